"""Draws put where a person's tastes probably are, and weighted for it: importance sampling of a simulated likelihood.

Of a person with many answers few of all people's tastes explain them, so that the mean over draws from everybody rests
on few of them. Normals drawn about the mode of the person's own tastes, at a first estimate, and weighted by the ratio
of the two densities, have the same mean and a fraction of its error (Geweke 1989; Train 2009, section 9.2.7).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["centred", "modes"]

Vector = NDArray[np.float64]

#: share of the curvature of a person's answers that their draws have: below one, as tails must not be lighter than the tastes'
CURVATURE = 0.4
#: logarithm of a weight, less the person's largest, below which it is that
LIGHTEST = -60.0


def centred(noise: Vector, mode: Vector, curvature: Vector) -> tuple[Vector, Vector, Vector]:
    """Draws ``(people, s, R)`` about the modes, one over their weights ``(people, R)``, and the weights' unit ``(people,)``.

    Weights are divided by the person's largest; ``unit`` is its logarithm.

    Args:
        noise: standard normals ``(people, s, R)``.
        mode, curvature: ``(people, s)`` and ``(people, s, s)``, of the answers and the standard normal together.

    Example:
        >>> z, inverse, unit = centred(np.zeros((1, 1, 2)), np.array([[2.0]]), np.eye(1)[None])
        >>> z.tolist(), unit.tolist()  # exp(-2) is the ratio of the densities at 2, of normals about 0 and 2
        ([[[2.0, 2.0]]], [-2.0])
    """
    s = mode.shape[1]
    root = np.linalg.cholesky(np.eye(s) + CURVATURE * (curvature - np.eye(s)))
    spread = np.linalg.inv(root).transpose(0, 2, 1)
    z = mode[:, :, None] + spread @ noise
    size = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(1)
    log_weight = 0.5 * ((noise**2).sum(1) - (z**2).sum(1)) - size[:, None]
    unit = log_weight.max(1)
    return np.ascontiguousarray(z), np.exp(-np.maximum(log_weight - unit[:, None], LIGHTEST)), unit


def modes(
    first: NDArray[np.int64], difference: Vector, size: NDArray[np.int64], mean: Vector, factor: Vector
) -> tuple[Vector, Vector]:
    """Where each person's standard normals probably are, ``(people, s)``, and the curvature there, ``(people, s, s)``.

    The logarithm of a person's likelihood times the standard normal density is concave: Newton's method, whose step is
    halved as long as it does not rise.

    Args:
        first, difference, size: the choices, as the kernels take them.
        mean, factor: coefficients are ``mean + factor z``.
    """
    people, s = len(first) - 1, factor.shape[1]
    slant, base = difference @ factor, difference @ mean
    base = np.where(np.arange(base.shape[1]) < size[:, None], base, -np.inf)
    who = np.repeat(np.arange(people), np.diff(first))
    z = np.zeros((people, s))
    value, gradient, curvature = _at(z, who, first, slant, base)
    for _ in range(50):
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        if not (np.abs(step).max(initial=0.0) > 1e-6):
            break
        length = np.ones(people)
        for _ in range(30):
            trial = _at(z + length[:, None] * step, who, first, slant, base)
            worse = trial[0] < value - 1e-12 * np.abs(value)
            if not worse.any():
                break
            length = np.where(worse, length / 2, length)
        z = z + length[:, None] * step
        value, gradient, curvature = trial
    return z, curvature


def _at(z: Vector, who: NDArray[np.int64], first: NDArray[np.int64], slant: Vector, base: Vector) -> tuple[Vector, ...]:
    """Value, gradient and minus curvature of each person's log posterior density of z."""
    odds = base + np.einsum("cas,cs->ca", slant, z[who])
    top = np.maximum(odds.max(1), 0.0)
    share = np.exp(odds - top[:, None])
    total = share.sum(1) + np.exp(-top)
    share /= total[:, None]
    middle = np.einsum("ca,cas->cs", share, slant)
    curve = np.einsum("ca,cas,cat->cst", share, slant, slant) - middle[:, :, None] * middle[:, None]
    sums = lambda part: np.add.reduceat(part, first[:-1], axis=0)  # noqa: E731
    value = -sums(top + np.log(total)) - 0.5 * (z**2).sum(1)
    return value, -sums(middle) - z, sums(curve) + np.eye(z.shape[1])
