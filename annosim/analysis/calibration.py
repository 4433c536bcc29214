"""Calibration of probabilities and of reward scales: Brier score, expected calibration error, the slope of logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit, log_expit

from annosim.analysis.divergences import check_probabilities
from annosim.errors import ArgumentError, NotIdentifiedError
from annosim.results import Result

__all__ = [
    "CalibrationSlope",
    "IsotonicCalibration",
    "TemperatureCalibration",
    "brier_score",
    "calibration_curve",
    "calibration_error",
    "calibration_slope",
    "isotonic_calibration",
    "log_loss",
    "temperature_calibration",
]


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


@dataclass(frozen=True, eq=False, repr=False)
class TemperatureCalibration(Result):
    """A map from logits to forecasts with one number, ``sigmoid(logit / temperature)``.

    Attributes:
        temperature: above 1 where the logits were too large.
        slope: its reciprocal, with its standard error.

    Example:
        >>> temperature_calibration([2.0, 2.0, 2.0, 2.0], [1, 1, 1, 0])([2.0, -2.0]).round(4).tolist()
        [0.75, 0.25]
    """

    temperature: float
    slope: CalibrationSlope

    def __call__(self, logit: ArrayLike) -> NDArray[np.float64]:
        """Forecasts of these logits, ``(rows,)``."""
        return np.asarray(expit(self.slope.slope * np.asarray(logit, dtype=np.float64)))

    def _lines(self) -> list[tuple[str, object]]:
        return [("temperature", self.temperature)]


def temperature_calibration(
    logit: ArrayLike, outcome: ArrayLike, weight: ArrayLike | None = None
) -> TemperatureCalibration:
    """One temperature, fitted to held-out answers by maximum likelihood (Guo et al. 2017).

    A reward that was trained with a margin, a penalty or another loss orders pairs, but its differences are no log-odds:
    forecasts are judged after this map, fitted on answers that neither training nor the judgement has seen.

    Args:
        logit: ``(rows,)`` differences of rewards.
        outcome: ``(rows,)`` 0/1 or shares.
        weight: ``(rows,)``.

    Raises:
        NotIdentifiedError: the logits' signs separate the outcomes, or order them the wrong way round.

    Example:
        >>> temperature_calibration([2.0, 2.0, 2.0, 2.0], [1, 1, 1, 0]).temperature.__round__(3)
        1.82
    """
    found = calibration_slope(logit, outcome, weight)
    if not found.slope > 0:
        raise NotIdentifiedError(
            f"temperature_calibration: the slope is {found.slope:.3g}; these logits order the outcomes the wrong way round, and "
            "no temperature mends that"
        )
    return TemperatureCalibration(1 / found.slope, found, settings=dict(found.settings))


@dataclass(frozen=True, eq=False, repr=False)
class IsotonicCalibration(Result):
    """A nondecreasing map from logits to forecasts, a step function.

    Attributes:
        logit: ``(steps,)`` ascending, where the steps begin.
        forecast: ``(steps,)`` nondecreasing.

    Example:
        >>> isotonic_calibration([0.0, 1.0, 2.0], [0, 1, 0])([-1.0, 0.5, 3.0]).tolist()
        [0.0, 0.0, 0.5]
    """

    logit: NDArray[np.float64]
    forecast: NDArray[np.float64]

    def __call__(self, logit: ArrayLike) -> NDArray[np.float64]:
        """Forecasts of these logits, ``(rows,)``; below the first step that of the first."""
        at = np.searchsorted(self.logit, np.asarray(logit, dtype=np.float64), side="right") - 1
        return self.forecast[np.maximum(at, 0)]

    def _lines(self) -> list[tuple[str, object]]:
        return [("steps", len(self.logit)), ("forecasts", f"{self.forecast[0]:.3g} to {self.forecast[-1]:.3g}")]


def isotonic_calibration(logit: ArrayLike, outcome: ArrayLike, weight: ArrayLike | None = None) -> IsotonicCalibration:
    """The nondecreasing map with the smallest squared error on held-out answers: pools of adjacent violators (Zadrozny and
    Elkan 2002).

    It needs more answers than a temperature, and asks for nothing but the order of the logits.

    Args:
        logit, outcome, weight: as in :func:`temperature_calibration`.

    Example:
        >>> isotonic_calibration([0.0, 1.0, 2.0, 3.0], [0, 1, 0, 1]).forecast.tolist()
        [0.0, 0.5, 1.0]
    """
    x = np.asarray(logit, dtype=np.float64)
    y = check_probabilities("isotonic_calibration(outcome=)", outcome)
    w = np.ones_like(x) if weight is None else np.asarray(weight, dtype=np.float64)
    if (
        x.ndim != 1
        or x.shape != y.shape
        or w.shape != x.shape
        or not len(x)
        or not (np.isfinite(x).all() and (w > 0).all())
    ):
        raise ArgumentError(
            f"isotonic_calibration: shapes {x.shape}, {y.shape}, {w.shape}; give one finite number each per row, weights positive"
        )
    place, at = np.unique(x, return_inverse=True)  # equal logits have one forecast
    total = np.bincount(at, w)
    fitted = np.asarray(isotonic_regression(np.bincount(at, w * y) / total, weights=total).x)
    begins = np.r_[True, np.diff(fitted) > 1e-15]
    return IsotonicCalibration(place[begins], fitted[begins])


def _rows(
    forecast: ArrayLike, outcome: ArrayLike, weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p, y = check_probabilities("forecast", forecast), check_probabilities("outcome", outcome)
    w = np.ones_like(p) if weight is None else np.asarray(weight, dtype=np.float64)
    if p.ndim != 1 or p.shape != y.shape or w.shape != p.shape or not len(p):
        raise ArgumentError(f"forecast {p.shape}, outcome {y.shape}, weight {w.shape}: give one number each per row")
    return p, y, w
