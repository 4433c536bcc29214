"""Compiled sums of a simulated likelihood: panels of choices, normal coefficients, each person's own draws.

The inner loops run over draws, which lie side by side in memory. ``odds (choices * others, R)`` holds
``exp(s_other - s_chosen)`` of one person under each of the R draws, computed by numpy.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["person"]


@njit(cache=True, nogil=True)
def lanes(x):
    """Sum of ``x`` in eight independent partial sums."""
    a0, a1, a2, a3, a4, a5, a6, a7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    n, r = len(x), 0
    while r + 7 < n:
        a0 += x[r]
        a1 += x[r + 1]
        a2 += x[r + 2]
        a3 += x[r + 3]
        a4 += x[r + 4]
        a5 += x[r + 5]
        a6 += x[r + 6]
        a7 += x[r + 7]
        r += 8
    while r < n:
        a0 += x[r]
        r += 1
    return ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7))


@njit(cache=True, nogil=True)
def person(odds, difference, others, z, component, column, weight, gradient, information, score):
    """Adds one person's gradient ``(P,)`` and information ``(P, P)`` (lower triangle); returns the log-likelihood.

    Args:
        odds: ``(rows, R)``, overwritten; a row is one alternative that was not chosen.
        difference: ``(rows, d)`` features of the other minus the chosen.
        others: rows of one choice.
        z: ``(d, R)`` standard normals.
        component, column: ``(P,)`` each: parameter p moves coefficient ``component[p]`` by ``z[column[p]]`` (by one
        where
            the column is -1).
        weight: of the person.
        score: ``(P,)``, filled with this person's score.
    """
    rows, draws = odds.shape
    d, size = difference.shape[1], len(component)
    log_p, slope, curve = np.zeros(draws), np.zeros((d, draws)), np.zeros((d * (d + 1) // 2, draws))
    total, product, step = np.empty(draws), np.ones(draws), np.empty((d, draws))
    for first in range(0, rows, others):
        for r in range(draws):
            total[r] = 1.0
        for a in range(others):
            odd = odds[first + a]
            for r in range(draws):
                total[r] += odd[r]
        for r in range(draws):
            product[r] *= total[r]
            total[r] = 1.0 / total[r]
        if (first // others) % 4 == 3:
            for r in range(draws):
                log_p[r] -= np.log(product[r])
                product[r] = 1.0
        for p in range(d):
            own_step = step[p]
            for r in range(draws):
                own_step[r] = 0.0
        for a in range(others):
            odd = odds[first + a]
            for r in range(draws):
                odd[r] *= total[r]
            at = 0
            for p in range(d):
                x, own_step = difference[first + a, p], step[p]
                for r in range(draws):
                    own_step[r] += odd[r] * x
                for q in range(p + 1):
                    xy, bent = x * difference[first + a, q], curve[at]
                    for r in range(draws):
                        bent[r] += odd[r] * xy
                    at += 1
        at = 0
        for p in range(d):
            slope_p, step_p = slope[p], step[p]
            for r in range(draws):
                slope_p[r] -= step_p[r]
            for q in range(p + 1):
                bent, step_q = curve[at], step[q]
                for r in range(draws):
                    bent[r] -= step_p[r] * step_q[r]
                at += 1
    top = -np.inf
    for r in range(draws):
        log_p[r] -= np.log(product[r])
        if log_p[r] > top:
            top = log_p[r]
    mass = 0.0
    for r in range(draws):
        log_p[r] = np.exp(log_p[r] - top)
        mass += log_p[r]
    for r in range(draws):
        log_p[r] /= mass
    # log_p now holds the posterior weights of the draws
    own, heavy = np.empty((size, draws)), np.empty((size, draws))
    for p in range(size):
        i, j = component[p], column[p]
        own_p, slope_i, heavy_p = own[p], slope[i], heavy[p]
        if j < 0:
            for r in range(draws):
                own_p[r] = slope_i[r]
        else:
            normal = z[j]
            for r in range(draws):
                own_p[r] = slope_i[r] * normal[r]
        for r in range(draws):
            heavy_p[r] = log_p[r] * own_p[r]
        part = lanes(heavy_p)
        score[p] = part
        gradient[p] += weight * part
    bend = np.empty(draws)
    for p in range(size):
        i, j = component[p], column[p]
        heavy_p = heavy[p]
        for q in range(p + 1):
            k, m = component[q], column[q]
            at = i * (i + 1) // 2 + k if i >= k else k * (k + 1) // 2 + i
            bent, own_q = curve[at], own[q]
            for r in range(draws):
                bend[r] = log_p[r] * bent[r]
            if j >= 0:
                normal = z[j]
                for r in range(draws):
                    bend[r] *= normal[r]
            if m >= 0:
                normal = z[m]
                for r in range(draws):
                    bend[r] *= normal[r]
            for r in range(draws):
                bend[r] -= heavy_p[r] * own_q[r]
            information[p, q] += weight * (lanes(bend) + score[p] * score[q])
    return weight * (top + np.log(mass / draws))
