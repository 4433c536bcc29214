"""The maximiser of :mod:`annosim.learning.solvers.maximise` for latent classes, compiled as a whole.

Step by step it is that maximiser with the likelihood's EM step: the first steps are EM's, then Newton's wherever the
information is safely positive definite, and everywhere once patience is at its end. It exists because a study of replicates spends more time in Python between two
passes over a few thousand answers than in the passes, and because threads then share nothing; a test holds it to the
other. The constants are that module's.

The first call waits for the compiler, so the kernels are written for it too: numba compiles one anew for every constant
that it is called with, and assignments to slices bring numpy's messages about shapes along. Written with constants and
slices they took twice as long to compile.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import njit

from annosim.compiled import link_cache
from annosim.learning.likelihoods.kernels import luce, mixture
from annosim.learning.likelihoods.kernels.mixture import evaluate
from annosim.learning.solvers import functions, maximise
from annosim.learning.solvers.functions import Maximand
from annosim.learning.solvers.maximise import (
    ESCAPES,
    FEW_TRIES,
    LEAST_RAISED,
    MANY_TRIES,
    MOST_ESCAPES,
    PATIENCE,
    SAFE_CONDITION,
    SHORTER,
    SUFFICIENT,
    UPWARDS,
)

__all__ = ["STOPPED_BY", "ascend"]

_SHORTER, _SUFFICIENT = SHORTER, SUFFICIENT
#: of Newton's step and of EM's; entries of an array are numbers to numba, and no constants
_TRIES = np.array([FEW_TRIES, MANY_TRIES])
_CONDITION, _ROUNDING = SAFE_CONDITION, Maximand.rounding
_PATIENCE, _LEAST_RAISED, _UPWARDS, _MOST_ESCAPES = PATIENCE, LEAST_RAISED, UPWARDS, MOST_ESCAPES
_ESCAPES = np.array(ESCAPES)
#: words for the status that :func:`ascend` returns
STOPPED_BY = ("gradient", "iterations", "rounding")
_GRADIENT, _ITERATIONS, _AT_ROUNDING = 0, 1, 2
#: how often a ridge is made a hundred times larger before a type stays where it is
_RIDGES = 40


@njit(cache=True, nogil=True)
def solve_positive(matrix, right):
    """``matrix x = right`` by Cholesky in coordinates scaled by the diagonal, and the condition number there.

    The condition (in the one-norm, by the inverse) is infinite where the matrix is not positive definite.
    """
    n = len(right)
    x, lower = np.zeros(n), np.zeros((n, n))
    scale, norm = np.empty(n), 0.0
    top = 0.0
    for i in range(n):
        top = max(top, matrix[i, i])
    for i in range(n):
        scale[i] = 1.0 / np.sqrt(max(matrix[i, i], top * 1e-300 + 1e-300))
    for i in range(n):
        column = 0.0
        for j in range(n):
            column += abs(matrix[i, j]) * scale[i] * scale[j]
        norm = max(norm, column)
    if not np.isfinite(norm):
        return x, np.inf
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j] * scale[i] * scale[j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i == j:
                if not total > 0.0:
                    return x, np.inf
                lower[i, i] = np.sqrt(total)
            else:
                lower[i, j] = total / lower[j, j]
    inverse_norm = 0.0
    for e in range(n):
        unit = np.zeros(n)
        unit[e] = 1.0
        _substitute(lower, unit)
        total = 0.0
        for i in range(n):
            total += abs(unit[i])
        inverse_norm = max(inverse_norm, total)
    for i in range(n):
        x[i] = right[i] * scale[i]
    _substitute(lower, x)
    for i in range(n):
        x[i] *= scale[i]
    return x, norm * inverse_norm


@njit(cache=True, nogil=True)
def _raised(matrix, right):
    """Newton's direction with eigenvalues made positive and the small ones raised; the direction in which the value curves
    upwards most; and whether it does. Zeros where the curvature overflowed."""
    n = len(right)
    top, system, scale = 1e-300, np.empty((n, n)), np.empty(n)
    for i in range(n):
        top = max(top, matrix[i, i])
    for i in range(n):
        scale[i] = 1.0 / np.sqrt(matrix[i, i] if matrix[i, i] > 1e-300 * top else top)
    finite = True
    for i in range(n):
        for j in range(n):
            system[i, j] = matrix[i, j] * scale[i] * scale[j]
            finite = finite and np.isfinite(system[i, j])
    move, rising = np.zeros(n), np.zeros(n)
    if not finite:
        return move, rising, False
    values, vectors = np.linalg.eigh(system)
    top = max(abs(values[0]), abs(values[n - 1]), 1e-300)
    for e in range(n):
        along = 0.0
        for i in range(n):
            along += vectors[i, e] * scale[i] * right[i]
        along /= max(abs(values[e]), _LEAST_RAISED * top)
        for i in range(n):
            move[i] += scale[i] * vectors[i, e] * along
    for i in range(n):
        rising[i] = scale[i] * vectors[i, 0]
    return move, rising, values[0] < -_UPWARDS * top


@njit(cache=True, nogil=True)
def _substitute(lower, x):
    """Solves ``lower lower' y = x`` in place."""
    n = len(x)
    for i in range(n):
        for k in range(i):
            x[i] -= lower[i, k] * x[k]
        x[i] /= lower[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            x[i] -= lower[k, i] * x[k]
        x[i] /= lower[i, i]


@njit(cache=True, nogil=True)
def _log_share(theta, base, fixed, weights_free):
    """Logs of the shares ``(K,)``: of the log-ratios with the last type at zero, or the fixed ones."""
    if not weights_free:
        return fixed
    types = len(fixed)
    ratio, top, total = np.zeros(types), 0.0, 0.0
    for t in range(types - 1):
        ratio[t] = theta[base + t]
        top = max(top, ratio[t])
    for t in range(types):
        total += np.exp(ratio[t] - top)
    for t in range(types):
        ratio[t] = ratio[t] - top - np.log(total)
    return ratio


@njit(cache=True, nogil=True)
def _at(theta, data, fixed, weights_free, full):
    """All sums at one point; see :func:`annosim.learning.likelihoods.kernels.mixture.evaluate`."""
    features, which, offset, order, depth, length, code, start, weight = data
    types, d = len(fixed), features.shape[2]
    share = _log_share(theta, types * d, fixed, weights_free)
    return evaluate(theta, types, d, features, which, offset, order, depth, length, code, start, weight, share, full)


@njit(cache=True, nogil=True)
def _worst(gradient, free, scale):
    """Largest entry of the scaled gradient."""
    worst = 0.0
    for j in range(len(free)):
        worst = max(worst, abs(gradient[free[j]]) / scale[j])
    return worst


@njit(cache=True, nogil=True)
def _em_step(theta, gradient, blocks, mass, known, weights_free):
    """One Newton step on each free type's weighted likelihood, and the shares to the mean responsibilities."""
    types, d = blocks.shape[:2]
    move = np.zeros(len(theta))
    for t in range(types):
        if not known[t]:
            step = _ridged(blocks[t], gradient[t * d : (t + 1) * d])
            for p in range(d):
                move[t * d + p] = step[p]
    if weights_free:
        last = np.log(max(mass[types - 1], 1e-300))
        for t in range(types - 1):
            move[types * d + t] = np.log(max(mass[t], 1e-300)) - last - theta[types * d + t]
    return move


@njit(cache=True, nogil=True)
def _ridged(information, gradient):
    """The solution where the information is safely positive definite; else of one with a growing ridge."""
    n, trace, lifted, ridge = len(gradient), 0.0, information.copy(), 0.0
    for i in range(n):
        trace += information[i, i]
    lift = 1e-8 * max(trace / n, 1e-12)
    for _ in range(_RIDGES):
        x, condition = solve_positive(lifted, gradient)
        if condition < _CONDITION:
            return x
        ridge = lift if ridge == 0.0 else 100.0 * ridge
        for i in range(n):
            lifted[i, i] = information[i, i] + ridge
    return np.zeros(n)


@njit(cache=True, nogil=True)
def _free_part(information, gradient, free):
    """Rows and columns of what is free."""
    n = len(free)
    inner, slope = np.empty((n, n)), np.empty(n)
    for i in range(n):
        slope[i] = gradient[free[i]]
        for j in range(n):
            inner[i, j] = information[free[i], free[j]]
    return inner, slope


@njit(cache=True, nogil=True)
def _accepted(theta, now, worst, move, tries, free, scale, longest, data, fixed, weights_free, full):
    """The first of ever shorter moves that is accepted: whether there is one, the point, its sums, its gradient."""
    value, gradient = now[0], now[1]
    furthest, rise = 0.0, 0.0
    for j in range(len(free)):
        i = free[j]
        furthest = max(furthest, abs(move[i]) / longest[j])
        rise += gradient[i] * move[i]
    length, slack = 1.0 / max(furthest, 1.0), _ROUNDING * (1.0 + abs(value))
    for _ in range(tries if rise > slack else 2):
        trial = theta.copy()
        for i in free:
            trial[i] += length * move[i]
        there = _at(trial, data, fixed, weights_free, full)
        if np.isfinite(there[0]) and there[0] >= value + _SUFFICIENT * length * rise - slack:
            after = _worst(there[1], free, scale)
            if there[0] > value + slack or after < worst:
                return True, trial, there, after
        length *= _SHORTER
    return False, theta, now, worst


@njit(cache=True, nogil=True)
def _above_saddle(theta, now, rising, free, data, fixed, weights_free, full):
    """The highest of some points along a direction, if it is higher than the saddle."""
    best, point, sums = now[0] + 10 * _ROUNDING * (1.0 + abs(now[0])), theta, now
    for length in _ESCAPES:
        trial = theta.copy()
        for j in range(len(free)):
            trial[free[j]] += length * rising[j]
        there = _at(trial, data, fixed, weights_free, full)
        if np.isfinite(there[0]) and there[0] > best:
            best, point, sums = there[0], trial, there
    return sums[0] > now[0], point, sums


@njit(cache=True, nogil=True)
def ascend(
    theta,
    data,
    fixed,
    weights_free,
    known,
    free,
    scale,
    longest,
    tolerance,
    max_iterations,
    newton,
    em_iterations,
    trace,
):
    """From one starting point to the maximum.

    Args:
        theta: ``(K d + K - 1,)``.
        data: features, which, offset, order, depth, length, code, start and weight of the kernel ``evaluate``.
        fixed: log shares ``(K,)``, read where they are not free.
        weights_free: whether the shares are estimated.
        known: ``(K,)`` types whose index is known.
        free: the free entries of ``theta``.
        scale: ``(free,)`` by which the gradient is divided.
        longest: ``(free,)`` no coordinate moves further in one step.
        tolerance, max_iterations, newton, em_iterations: see ``maximise``.
        trace: ``(max_iterations + 1,)``, filled with values.

    Returns:
        theta, all sums there, status, iterations, Newton's steps, condition at the last factor.
    """
    full = newton and em_iterations == 0  # EM's steps do without the curvature of the whole
    now = _at(theta, data, fixed, weights_free, full)
    worst = _worst(now[1], free, scale)
    iteration, steps, polished, condition = 0, 0, not newton, np.nan
    rising, rises, escapes = np.zeros(len(free)), False, 0
    while True:
        trace[iteration] = now[0]
        done = worst <= tolerance
        if worst == 0.0 or (done and (polished or worst <= 1e-4 * tolerance)) or iteration >= max_iterations:
            status = _GRADIENT if done else _ITERATIONS
            break
        if newton:
            polished = done
        taken, at_rounding = False, False
        if newton and (done or iteration >= em_iterations):
            if not full:
                now = _at(theta, data, fixed, weights_free, not full)  # True, but no constant
                full = True
            inner, slope = _free_part(now[3], now[1], free)
            part, condition = solve_positive(inner, slope)
            rises = False
            if not condition < _CONDITION and iteration >= _PATIENCE:
                part, rising, rises = _raised(inner, slope)
            if condition < _CONDITION or iteration >= _PATIENCE:
                move = np.zeros(len(theta))
                for j in range(len(free)):
                    move[free[j]] = part[j]
                taken, theta, now, worst = _accepted(
                    theta, now, worst, move, _TRIES[0], free, scale, longest, data, fixed, weights_free, full
                )
                if not taken:
                    rise = 0.0
                    for j in range(len(theta)):
                        rise += now[1][j] * move[j]
                    at_rounding = abs(rise) <= _ROUNDING * (1.0 + abs(now[0]))
            steps += taken
        if not taken and not done and not at_rounding:
            move = _em_step(theta, now[1], now[2], now[4], known, weights_free)
            full = newton and iteration + 1 >= em_iterations
            taken, theta, now, worst = _accepted(
                theta, now, worst, move, _TRIES[1], free, scale, longest, data, fixed, weights_free, full
            )
        if not taken and done and rises and escapes < _MOST_ESCAPES:
            taken, theta, now = _above_saddle(theta, now, rising, free, data, fixed, weights_free, full)
            worst, escapes, polished = _worst(now[1], free, scale), escapes + 1, False
        if not taken:
            status = _GRADIENT if done else _AT_ROUNDING
            break
        iteration += 1
    if not full:
        now = _at(theta, data, fixed, weights_free, not full)
    return theta, now, status, iteration, steps, condition


link_cache.link(luce, mixture, functions, maximise, of=sys.modules[__name__])
