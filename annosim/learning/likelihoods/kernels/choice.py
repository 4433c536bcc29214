"""Compiled sums over panels of single choices under a latent-class model: everything from one table of exponentials.

``odds (rows * (k - 1), K)`` holds ``exp(s_other - s_chosen)`` under every type, computed by numpy (whose exponential is
vectorised); pads have odds of zero. Responsibilities come first; then what is squared is collected in rows and multiplied by
BLAS.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import njit

from annosim.compiled import link_cache
from annosim.learning.likelihoods.kernels import mixture
from annosim.learning.likelihoods.kernels.mixture import SPREAD_ROWS, add_spread

__all__ = ["panel_sums"]

#: rows that are multiplied at a time
_ROWS = 512


@njit(cache=True, nogil=True)
def panel_sums(odds, difference, others, start, first, last, weight, log_share, gradient, blocks, outer, mass):
    """Adds to gradient ``(K d + K,)``, blocks ``(K, d, d)``, outer ``(K d + K, K d + K)``, mass ``(K,)``.

    Args:
        odds: of the blocks ``first .. last - 1`` only.
        difference: ``(rows * (k - 1), d)`` features of the other minus the chosen, all rows.
        others: k - 1.
        start: ``(B + 1,)`` first row of each block.
        outer: minus the spread of the types' scores within blocks, but for what only the sums over all blocks tell: see
            :func:`annosim.learning.likelihoods.kernels.mixture.add_spread`.

    Returns:
        log-likelihood of these blocks.
    """
    types, d = odds.shape[1], difference.shape[1]
    base = types * d
    r_b = np.empty(types)
    size = _ROWS + others
    plus, minus, at = np.empty((types, size, d)), np.empty((types, size, d)), np.zeros((2, types), np.int64)
    own, mean, full = np.zeros((types, SPREAD_ROWS, d)), np.zeros((SPREAD_ROWS, base + types)), 0
    step = np.empty(d)
    value, shift = 0.0, start[first] * others
    for b in range(first, last):
        low, high = start[b] * others - shift, start[b + 1] * others - shift
        wb = weight[b]
        top = -np.inf
        for t in range(types):
            product, total_log = 1.0, 0.0
            for r in range(low, high, others):
                total = 1.0
                for a in range(r, r + others):
                    total += odds[a, t]
                product *= total
                if product > 1e200:
                    total_log += np.log(product)
                    product = 1.0
            r_b[t] = log_share[t] - total_log - np.log(product)
            top = max(top, r_b[t])
        norm = 0.0
        for t in range(types):
            r_b[t] = np.exp(r_b[t] - top)
            norm += r_b[t]
        value += wb * (top + np.log(norm))
        root = np.sqrt(wb)
        for t in range(types):
            share = r_b[t] / norm
            heavy = wb * share
            rise = np.sqrt(heavy)
            mass[t] += heavy
            gradient[base + t] += heavy
            mean[full, base + t] = root * share
            score = own[t, full]
            score[:] = 0.0
            for r in range(low, high, others):
                total = 1.0
                for a in range(r, r + others):
                    total += odds[a, t]
                if others == 1:
                    chance = odds[r, t] / total
                    scale = rise * np.sqrt(chance / total)
                    i = at[0, t]
                    for p in range(d):
                        x = difference[r + shift, p]
                        score[p] -= chance * x
                        plus[t, i, p] = scale * x
                    at[0, t] += 1
                else:
                    step[:] = 0.0
                    for a in range(r, r + others):
                        chance = odds[a, t] / total
                        scale = rise * np.sqrt(chance)
                        i = at[0, t]
                        for p in range(d):
                            x = difference[a + shift, p]
                            step[p] += chance * x
                            plus[t, i, p] = scale * x
                        at[0, t] += 1
                    i = at[1, t]
                    for p in range(d):
                        score[p] -= step[p]
                        minus[t, i, p] = rise * step[p]
                    at[1, t] += 1
                if at[0, t] >= _ROWS:
                    _add_products(blocks[t], plus[t], minus[t], at[:, t])
            for p in range(d):
                gradient[t * d + p] += heavy * score[p]
                mean[full, t * d + p] = root * share * score[p]
                score[p] *= rise
        full += 1
        if full == SPREAD_ROWS:
            add_spread(outer, own, mean)
            full = 0
    for t in range(types):
        _add_products(blocks[t], plus[t], minus[t], at[:, t])
    add_spread(outer, own[:, :full], mean[:full])
    return value


@njit(cache=True, nogil=True)
def _add_products(block, plus, minus, at):
    """Adds the products of the first rows of one, takes off those of the other, and empties both."""
    block += plus[: at[0]].T @ plus[: at[0]]
    if at[1]:
        block -= minus[: at[1]].T @ minus[: at[1]]
    at[:] = 0


link_cache.link(mixture, of=sys.modules[__name__])
