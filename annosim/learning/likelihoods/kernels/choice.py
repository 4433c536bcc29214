"""Compiled sums over panels of single choices under a latent-class model: everything from one table of exponentials.

``odds (rows * (k - 1), K)`` holds ``exp(s_other - s_chosen)`` under every type, computed by numpy (whose exponential is
vectorised); pads have odds of zero. One pass per block of rows gives responsibilities, gradient, and both informations.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["panel_sums"]


@njit(cache=True, nogil=True)
def panel_sums(odds, difference, others, start, first, last, weight, log_share, gradient, blocks, outer, mass):
    """Adds to gradient ``(K d + K,)``, blocks ``(K, d, d)``, outer ``(K d + K, K d + K)``, mass ``(K,)``.

    Args:
        odds: of the blocks ``first .. last - 1`` only.
        difference: ``(rows * (k - 1), d)`` features of the other minus the chosen, all rows.
        others: k - 1.
        start: ``(B + 1,)`` first row of each block.
        outer: the spread of the types' scores within blocks, lower triangle.

    Returns:
        log-likelihood of these blocks.
    """
    types, d = odds.shape[1], difference.shape[1]
    size = types * d + types
    log_f, r_b = np.empty(types), np.empty(types)
    own, mean = np.empty((types, d)), np.empty(size)
    inner, step = np.empty((types, d, d)), np.empty(d)
    value, shift = 0.0, start[first] * others
    for b in range(first, last):
        low, high = start[b] * others - shift, start[b + 1] * others - shift
        for t in range(types):
            product, total_log = 1.0, 0.0
            for p in range(d):
                own[t, p] = 0.0
                for q in range(p + 1):
                    inner[t, p, q] = 0.0
            r = low
            while r < high:
                total = 1.0
                for a in range(others):
                    total += odds[r + a, t]
                product *= total
                if product > 1e200:
                    total_log += np.log(product)
                    product = 1.0
                inverse = 1.0 / total
                for p in range(d):
                    step[p] = 0.0
                for a in range(others):
                    chance = odds[r + a, t] * inverse
                    row = r + a + shift
                    for p in range(d):
                        part = chance * difference[row, p]
                        step[p] += part
                        for q in range(p + 1):
                            inner[t, p, q] += part * difference[row, q]
                for p in range(d):
                    own[t, p] -= step[p]
                    for q in range(p + 1):
                        inner[t, p, q] -= step[p] * step[q]
                r += others
            log_f[t] = log_share[t] - total_log - np.log(product)
        top = log_f.max()
        norm = 0.0
        for t in range(types):
            r_b[t] = np.exp(log_f[t] - top)
            norm += r_b[t]
        wb = weight[b]
        value += wb * (top + np.log(norm))
        for t in range(types):
            share = r_b[t] / norm
            heavy = wb * share
            mass[t] += heavy
            mean[types * d + t] = share
            gradient[types * d + t] += heavy
            for p in range(d):
                x = own[t, p]
                mean[t * d + p] = share * x
                gradient[t * d + p] += heavy * x
                outer[types * d + t, t * d + p] += heavy * x
                for q in range(p + 1):
                    blocks[t, p, q] += heavy * inner[t, p, q]
                    outer[t * d + p, t * d + q] += heavy * x * own[t, q]
            outer[types * d + t, types * d + t] += heavy
        for i in range(size):
            for j in range(i + 1):
                outer[i, j] -= wb * mean[i] * mean[j]
    return value
