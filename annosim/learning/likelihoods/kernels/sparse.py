"""Compiled sums for large tables: scores of distinct orders, and products with the Hessian, which is never formed.

Orders are as in :mod:`annosim.learning.likelihoods.kernels.luce`: the first ``depth`` places of a row were chosen one after the
other from what was left. ``tail`` of a place is what was left there: it and all places after it. No ``fastmath``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["dot", "gather", "order_scores", "responsibility_change", "stage_curvature", "stage_product"]


@njit(cache=True, nogil=True)
def order_scores(s, order, depth, length, log_f, coefficient):
    """Fills the log-probability ``log_f (C,)`` of every order and its gradient in each place, ``(C, k)``."""
    tail = np.empty(order.shape[1])
    for c in range(order.shape[0]):
        m, stages = length[c], depth[c]
        _tails(s, order[c], m, tail)
        value = 0.0
        for a in range(order.shape[1]):
            coefficient[c, a] = 0.0
        for t in range(stages):
            value += s[order[c, t]] - tail[t]
            coefficient[c, t] += 1.0
            for a in range(t, m):
                coefficient[c, a] -= np.exp(s[order[c, a]] - tail[t])
        log_f[c] = value


@njit(cache=True, nogil=True)
def _tails(s, row, m, tail):
    """``tail[a] = log sum_{b >= a} exp(s_b)``."""
    running = -np.inf
    for a in range(m - 1, -1, -1):
        x = s[row[a]]
        top = x if x > running else running
        running = top + np.log(np.exp(x - top) + np.exp(running - top))
        tail[a] = running


@njit(cache=True, nogil=True)
def dot(coefficient, order, length, v, out):
    """``out[c] = sum_a coefficient[c, a] v[order[c, a]]``."""
    for c in range(order.shape[0]):
        total = 0.0
        for a in range(length[c]):
            total += coefficient[c, a] * v[order[c, a]]
        out[c] = total


@njit(cache=True, nogil=True)
def gather(coefficient, order, length, load, out):
    """Adds ``load[c] coefficient[c, a]`` to ``out[order[c, a]]``."""
    for c in range(order.shape[0]):
        w = load[c]
        if w != 0.0:
            for a in range(length[c]):
                out[order[c, a]] += w * coefficient[c, a]


@njit(cache=True, nogil=True)
def stage_product(s, order, depth, length, load, v, out):
    """Adds the information of all orders, weighted by ``load (C,)``, times ``v (n,)`` to ``out (n,)``.

    One stage with shares p gives ``p (v - p'v)``.
    """
    tail = np.empty(order.shape[1])
    for c in range(order.shape[0]):
        w, m = load[c], length[c]
        if w == 0.0:
            continue
        _tails(s, order[c], m, tail)
        for t in range(depth[c]):
            mean = 0.0
            for a in range(t, m):
                mean += np.exp(s[order[c, a]] - tail[t]) * v[order[c, a]]
            for a in range(t, m):
                i = order[c, a]
                out[i] += w * np.exp(s[i] - tail[t]) * (v[i] - mean)


@njit(cache=True, nogil=True)
def stage_curvature(s, order, depth, length, load, out):
    """Adds the diagonal of that information to ``out (n,)``."""
    tail = np.empty(order.shape[1])
    for c in range(order.shape[0]):
        w, m = load[c], length[c]
        if w == 0.0:
            continue
        _tails(s, order[c], m, tail)
        for t in range(depth[c]):
            for a in range(t, m):
                i = order[c, a]
                p = np.exp(s[i] - tail[t])
                out[i] += w * p * (1.0 - p)


@njit(cache=True, nogil=True)
def responsibility_change(y, shift, code, start, weight, r, load, mass):
    """How loads and masses change along a direction.

    Args:
        y: ``(C, K)`` change of each order's log-probability under each type.
        shift: ``(K,)`` change of the log shares.
        code, start, weight: rows to orders ``(rows,)``, blocks ``(B + 1,)``, ``(B,)``.
        r: ``(B, K)`` responsibilities.
        load: ``(C, K)``, added to in place.
        mass: ``(K,)``, added to in place.
    """
    blocks, types = r.shape
    a = np.empty(types)
    for b in range(blocks):
        mean = 0.0
        for t in range(types):
            a[t] = shift[t]
            for row in range(start[b], start[b + 1]):
                a[t] += y[code[row], t]
            mean += r[b, t] * a[t]
        for t in range(types):
            change = weight[b] * r[b, t] * (a[t] - mean)
            mass[t] += change
            for row in range(start[b], start[b + 1]):
                load[code[row], t] += change
