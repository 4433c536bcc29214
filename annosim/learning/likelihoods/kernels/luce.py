"""Compiled sums over Luce stages: value, gradient and Hessian of the log-likelihood in the index ``s``.

A row is an order of items, best first, of which the first ``depth`` places were chosen one after the other from what
was left: a choice has depth 1 and its other alternatives in any order, a full ranking depth k - 1. Items beyond
``length`` are pads. No ``fastmath``: it would remove the checks on NaN. Where scores differ by less than 300 within
the data, exponentials are taken once per item (their inverses are squared, and 1e308 is the largest number there is);
otherwise (``safe``) every stage works in logs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "as_orders",
    "linear_sums",
    "order_edges",
    "order_gradient",
    "order_hessian",
    "order_exposure",
    "order_rates",
    "pair_gradient",
]


@njit(cache=True, nogil=True)
def order_gradient(s, e, order, depth, length, weight, safe, gradient):
    """Adds the gradient to ``gradient (n,)`` and returns the log-likelihood.

    Args:
        s: ``(n,)`` index.
        e: ``(n,)`` exp(s - max s), unused when ``safe``.
        order: ``(N, k)`` int32.
        depth, length: ``(N,)`` int32.
        weight: ``(N,)`` float64.
        safe: work in logs.
        gradient: ``(n,)``, added to in place.
    """
    k = order.shape[1]
    total = np.empty(k)
    value = 0.0
    for r in range(order.shape[0]):
        m, d, w = length[r], depth[r], weight[r]
        if safe:
            running = -np.inf
            for a in range(m - 1, -1, -1):
                x = s[order[r, a]]
                top = x if x > running else running
                running = top + np.log(np.exp(x - top) + np.exp(running - top))
                total[a] = running
            for t in range(d):
                value += w * (s[order[r, t]] - total[t])
                gradient[order[r, t]] += w
                for a in range(t, m):
                    gradient[order[r, a]] -= w * np.exp(s[order[r, a]] - total[t])
        else:
            running = 0.0
            for a in range(m - 1, -1, -1):
                running += e[order[r, a]]
                total[a] = running
            inverse, product = 0.0, 1.0
            for t in range(d):
                product *= e[order[r, t]] / total[t]
                if product < 1e-150:
                    value += w * np.log(product)
                    product = 1.0
                inverse += w / total[t]
                gradient[order[r, t]] += w - e[order[r, t]] * inverse
            value += w * np.log(product)
            for a in range(d, m):
                gradient[order[r, a]] -= e[order[r, a]] * inverse
    return value


@njit(cache=True, nogil=True)
def order_hessian(s, e, order, depth, length, weight, safe, out):
    """Adds to ``out (n + 1, n)``: sums of products below, sums of probabilities in the last row.

    The information is ``diag(out[n]) - out[:n] - out[:n].T``; an item that stands twice in an order comes out right.
    """
    k, n = order.shape[1], out.shape[1]
    total, first, second, mine = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    for r in range(order.shape[0]):
        m, d, w = length[r], depth[r], weight[r]
        if safe:
            running = -np.inf
            for a in range(m - 1, -1, -1):
                x = s[order[r, a]]
                top = x if x > running else running
                running = top + np.log(np.exp(x - top) + np.exp(running - top))
                total[a] = running
            for t in range(d):
                for a in range(t, m):
                    i = order[r, a]
                    p = np.exp(s[i] - total[t])
                    out[n, i] += w * p * (1.0 - p)
                    for b in range(t, a):
                        out[i, order[r, b]] += w * p * np.exp(s[order[r, b]] - total[t])
            continue
        running = 0.0
        for a in range(m - 1, -1, -1):
            mine[a] = e[order[r, a]]
            running += mine[a]
            total[a] = running
        one, two = 0.0, 0.0
        for a in range(m):
            if a < d:
                inverse = 1.0 / total[a]
                one += w * inverse
                two += w * inverse * inverse
            first[a], second[a] = one, two * mine[a]
        for a in range(m):
            i, x = order[r, a], mine[a]
            out[n, i] += x * (first[a] - second[a])
            for b in range(a):
                out[i, order[r, b]] += x * second[b]


@njit(cache=True, nogil=True)
def order_rates(e, order, depth, length, weight, rates, chosen):
    """Adds to ``rates (n,)`` weight / total over the stages an item stood in, to ``chosen (n,)`` its wins."""
    k = order.shape[1]
    total = np.empty(k)
    for r in range(order.shape[0]):
        m, d, w = length[r], depth[r], weight[r]
        running = 0.0
        for a in range(m - 1, -1, -1):
            running += e[order[r, a]]
            total[a] = running
        inverse = 0.0
        for a in range(m):
            if a < d:
                inverse += w / total[a]
                chosen[order[r, a]] += w
            rates[order[r, a]] += inverse


@njit(cache=True, nogil=True)
def order_exposure(order, depth, length, weight, exposure):
    """Adds to ``exposure (n,)`` the weight of the stages in which each item stood."""
    for r in range(order.shape[0]):
        for a in range(length[r]):
            exposure[order[r, a]] += weight[r] * min(depth[r], a + 1)


@njit(cache=True, nogil=True)
def order_edges(order, depth, length, weight, table):
    """Marks who was chosen directly before whom; the last choice stands above all that were left."""
    for r in range(order.shape[0]):
        d = depth[r]
        if weight[r] > 0.0 and d > 0:
            for t in range(d - 1):
                table[order[r, t], order[r, t + 1]] = True
            for a in range(d, length[r]):
                table[order[r, d - 1], order[r, a]] = True


@njit(cache=True, nogil=True)
def as_orders(menu, answer):
    """Answers in display positions ``(N, width)`` as orders of items: the chosen first, the others as displayed."""
    rows, k = menu.shape
    width = answer.shape[1]
    order = np.full((rows, k), -1, dtype=np.int32)
    depth, length = np.zeros(rows, dtype=np.int32), np.zeros(rows, dtype=np.int32)
    taken = np.zeros(k, dtype=np.bool_)
    for r in range(rows):
        taken[:] = False
        at = 0
        for j in range(width):
            if answer[r, j] >= 0:
                order[r, at] = menu[r, answer[r, j]]
                taken[answer[r, j]] = True
                at += 1
        depth[r] = at
        for j in range(k):
            if menu[r, j] >= 0 and not taken[j]:
                order[r, at] = menu[r, j]
                at += 1
        length[r] = at
    return order, depth, length


@njit(cache=True, nogil=True)
def pair_gradient(s, first, second, wins, losses, gradient, curvature):
    """Sums over distinct pairs: returns the log-likelihood; adds the gradient and fills each pair's ``n p q``."""
    value = 0.0
    for r in range(first.shape[0]):
        i, j = first[r], second[r]
        d = s[i] - s[j]
        z = np.exp(-abs(d))
        soft = np.log1p(z)
        p = 1.0 / (1.0 + z) if d >= 0 else z / (1.0 + z)
        value -= wins[r] * (soft + (-d if d < 0 else 0.0)) + losses[r] * (soft + (d if d > 0 else 0.0))
        g = wins[r] * (1.0 - p) - losses[r] * p if d < 0 else wins[r] * z / (1.0 + z) - losses[r] * p
        gradient[i] += g
        gradient[j] -= g
        curvature[r] = (wins[r] + losses[r]) * z / ((1.0 + z) * (1.0 + z))
    return value


@njit(cache=True, nogil=True)
def linear_sums(w, features, offset, order, depth, length, weight, gradient, information):
    """Value, gradient ``(d,)`` and information ``(d, d)`` of a linear index ``s = features @ w + offset``.

    With ``p`` the probabilities at a stage and ``x`` measured from the order's most probable item, a stage adds
    ``sum_a p_a x_a x_a' - m m'``, ``m = sum_a p_a x_a``: the first sums over all stages of an alternative, so that a full
    ranking costs one pass. Rows of both kinds are collected and multiplied by BLAS. Measured so, nothing is lost where
    one item is nearly sure. ``gradient`` and ``information`` are added to in place; returns the log-likelihood.
    """
    d, k = features.shape[1], order.shape[1]
    size = max(256, 2 * k)
    plus, minus = np.empty((size, d)), np.empty((size, d))
    score, share, tops, masses, mean = np.empty(k), np.empty(k), np.empty(k), np.empty(k), np.empty(d)
    value, full, spent = 0.0, 0, 0
    for r in range(order.shape[0]):
        m, stages, weigh = length[r], depth[r], weight[r]
        if weigh == 0.0:
            continue
        if full + k > size or spent + k > size:
            information += plus[:full].T @ plus[:full]
            if spent:
                information -= minus[:spent].T @ minus[:spent]
            full, spent = 0, 0
        best = 0
        for a in range(m):
            i = order[r, a]
            x = offset[i]
            for p in range(d):
                x += features[i, p] * w[p]
            score[a] = x
            if x > score[best]:
                best = a
        centre = order[r, best]
        pair = m == 2 and stages == 1
        top, mass = -np.inf, 0.0
        mean[:] = 0.0
        for a in range(m - 1, -1, -1):
            if score[a] > top:
                shrink = np.exp(top - score[a])
                mass *= shrink
                mean *= shrink
                top = score[a]
            e = np.exp(score[a] - top)
            mass += e
            share[a], tops[a], masses[a] = e, top, mass
            if pair:
                continue
            if a != best:
                i = order[r, a]
                for p in range(d):
                    mean[p] += e * (features[i, p] - features[centre, p])
            if a < stages:
                scale = np.sqrt(weigh) / mass
                for p in range(d):
                    minus[spent, p] = scale * mean[p]
                spent += 1
        inverse, top = 0.0, tops[0]
        for a in range(m):
            i = order[r, a]
            if a < stages:
                value += weigh * (score[a] - tops[a] - np.log(masses[a]))
                if tops[a] != top:
                    inverse *= np.exp(tops[a] - top)
                    top = tops[a]
                inverse += 1.0 / masses[a]
            expected = inverse * (share[a] if tops[a] == top else np.exp(score[a] - top))
            coefficient = weigh * ((1.0 if a < stages else 0.0) - expected)
            for p in range(d):
                gradient[p] += coefficient * features[i, p]
            if a != best:
                if pair:
                    expected *= 1.0 - expected
                scale = np.sqrt(weigh * expected)
                for p in range(d):
                    plus[full, p] = scale * (features[i, p] - features[centre, p])
                full += 1
    information += plus[:full].T @ plus[:full] - minus[:spent].T @ minus[:spent]
    return value
