"""Calibration of probabilities and of reward scales: Brier score, expected calibration error, the slope of logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit

from annosim.analysis.divergences import check_probabilities
from annosim.errors import ArgumentError, NotIdentifiedError
from annosim.results import Result

__all__ = ["CalibrationSlope", "brier_score", "calibration_curve", "calibration_error", "calibration_slope", "log_loss"]


def brier_score(forecast: ArrayLike, outcome: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean squared error of forecast probabilities; outcomes may be shares in [0, 1].

    Args:
        forecast, outcome: ``(rows,)`` probabilities and outcomes.
        weight: ``(rows,)`` nonnegative; ones by default.

    Example:
        >>> brier_score([0.5, 1.0], [1, 1])
        0.125
    """
    p, y, w = _rows(forecast, outcome, weight)
    return float(np.average((p - y) ** 2, weights=w))


def log_loss(forecast: ArrayLike, outcome: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean cross-entropy of forecast probabilities in nats; outcomes may be shares; infinite for a certain miss.

    Example:
        >>> round(log_loss([0.5, 0.5], [1, 0]), 4)
        0.6931
    """
    p, y, w = _rows(forecast, outcome, weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = np.where(y > 0, -y * np.log(p), 0.0) + np.where(y < 1, -(1 - y) * np.log1p(-p), 0.0)
    return float(np.average(loss, weights=w))


def calibration_curve(
    forecast: ArrayLike, outcome: ArrayLike, bins: int = 10, weight: ArrayLike | None = None
) -> np.ndarray:
    """Mean forecast, mean outcome and weight of each bin of equal width that is not empty, ``(used bins, 3)``.

    Example:
        >>> calibration_curve([0.1, 0.1, 0.9], [0, 1, 1], bins=2).round(3).tolist()
        [[0.1, 0.5, 2.0], [0.9, 1.0, 1.0]]
    """
    p, y, w = _rows(forecast, outcome, weight)
    if bins < 1:
        raise ArgumentError(f"calibration_curve(bins={bins}): at least 1")
    at = np.minimum((p * bins).astype(int), bins - 1)
    total = np.bincount(at, w, bins)
    used = total > 0
    means = [np.bincount(at, w * v, bins)[used] / total[used] for v in (p, y)]
    return np.stack([*means, total[used]], 1)


def calibration_error(
    forecast: ArrayLike, outcome: ArrayLike, bins: int = 10, weight: ArrayLike | None = None
) -> float:
    """Expected calibration error: weighted mean distance of a bin's mean forecast from its mean outcome.

    It depends on the bins and is biased upwards in small samples: compare it between models, on the same rows.

    Example:
        >>> calibration_error([0.5, 0.5], [0, 1])
        0.0
    """
    curve = calibration_curve(forecast, outcome, bins, weight)
    return float(np.average(np.abs(curve[:, 0] - curve[:, 1]), weights=curve[:, 2]))


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationSlope(Result):
    """The factor by which logits must be multiplied to be calibrated.

    Attributes:
        slope: 1 when calibrated, below 1 when the scale is too large (overconfident).
        standard_error: from the curvature of the likelihood.

    Example:
        >>> import annosim as an
        >>> found = an.analysis.calibration_slope([2.0, -2.0, 2.0, -2.0], [1, 0, 0, 1])
        >>> abs(round(found.slope, 6))
        0.0
    """

    slope: float
    standard_error: float

    def _lines(self):
        return [("slope", f"{self.slope:.6g} +- {self.standard_error:.2g}")]


def calibration_slope(
    logit: ArrayLike, outcome: ArrayLike, weight: ArrayLike | None = None, tolerance: float = 1e-10
) -> CalibrationSlope:
    """Fit ``P(outcome) = sigmoid(slope * logit)`` by maximum likelihood: calibration of a reward's scale.

    A reward's transforms (``an.policies.lsc``) are not invariant to its scale; multiply it by this slope, fitted to held-out
    comparisons (logit = difference of rewards), before transforming.

    Args:
        logit: ``(rows,)`` differences of rewards.
        outcome: ``(rows,)`` 0/1 or shares.
        weight: ``(rows,)``.
        tolerance: on the gradient.

    Raises:
        NotIdentifiedError: all logits are zero, or their signs separate the outcomes (the slope would be infinite).

    Example:
        >>> calibration_slope([2.0, 2.0, 2.0, 2.0], [1, 1, 1, 0]).slope.__round__(4)
        0.5493
    """
    x = np.asarray(logit, dtype=np.float64)
    y = check_probabilities("calibration_slope(outcome=)", outcome)
    w = np.ones_like(x) if weight is None else np.asarray(weight, dtype=np.float64)
    if x.shape != y.shape or w.shape != x.shape:
        raise ArgumentError(f"calibration_slope: shapes {x.shape}, {y.shape}, {w.shape}; give one number each per row")
    against = float((w * np.where(x > 0, (1 - y) * x, -y * x)).sum())
    with_ = float((w * np.where(x > 0, y * x, -(1 - y) * x)).sum())
    if against == 0 or with_ == 0:
        raise NotIdentifiedError("calibration_slope: the logits' signs separate the outcomes (or are all zero)")
    scale = np.sqrt(np.average(x * x, weights=w))
    z, slope = x / scale, 0.0
    loss = lambda s: -float((w * (y * log_expit(s * z) + (1 - y) * log_expit(-s * z))).sum())  # noqa: E731
    for _ in range(200):
        p = expit(slope * z)
        gradient, curvature = float((w * (p - y) * z).sum()), float((w * p * (1 - p) * z * z).sum())
        if abs(gradient) <= tolerance * w.sum():
            break
        step = np.clip(-gradient / curvature, -1.0, 1.0)
        while loss(slope + step) > loss(slope):  # Newton's step is a descent direction: halving ends
            step /= 2
        slope += step
    error = float(1 / np.sqrt(curvature) / scale)
    return CalibrationSlope(float(slope / scale), error, settings={"tolerance": tolerance})


def _rows(
    forecast: ArrayLike, outcome: ArrayLike, weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p, y = check_probabilities("forecast", forecast), check_probabilities("outcome", outcome)
    w = np.ones_like(p) if weight is None else np.asarray(weight, dtype=np.float64)
    if p.ndim != 1 or p.shape != y.shape or w.shape != p.shape or not len(p):
        raise ArgumentError(f"forecast {p.shape}, outcome {y.shape}, weight {w.shape}: give one number each per row")
    return p, y, w
