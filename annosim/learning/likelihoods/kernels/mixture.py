"""Compiled latent-class likelihood: one pass gives value, gradient, responsibilities and the exact Hessian.

Answers are *codes* (distinct orders; see :mod:`annosim.learning.likelihoods.kernels.luce`); rows point to codes, blocks of rows to
annotators. Tables are computed once a code, so that a design with few distinct menus costs additions only. The
parameter vector is the types' weights ``(K, d)``, flattened, then ``K - 1`` log-ratios of shares to the last type. No
``fastmath``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["evaluate", "respond"]


@njit(cache=True, nogil=True)
def _tables(w, features, which, offset, order, depth, length, log_f, score):
    """Log-probability ``(C, K)`` and score ``(C, K, d)`` of every code under every type."""
    codes, k = order.shape
    types, d = w.shape
    n = features.shape[1]
    by_item = n < 2 * codes
    s = np.empty((types, n)) if by_item else np.empty((types, 1))
    if by_item:
        for t in range(types):
            for i in range(n):
                total = offset[t, i]
                for p in range(d):
                    total += features[which[t], i, p] * w[t, p]
                s[t, i] = total
    local, mass = np.empty(k), np.empty(k)
    for c in range(codes):
        m, stages = length[c], depth[c]
        for t in range(types):
            x = features[which[t]]
            top = -np.inf
            for a in range(m):
                i = order[c, a]
                if by_item:
                    local[a] = s[t, i]
                else:
                    total = offset[t, i]
                    for p in range(d):
                        total += x[i, p] * w[t, p]
                    local[a] = total
                if local[a] > top:
                    top = local[a]
            for p in range(d):
                score[c, t, p] = 0.0
            value = 0.0
            if stages == 1:
                total = 0.0
                for a in range(m):
                    mass[a] = np.exp(local[a] - top)
                    total += mass[a]
                value = local[0] - top - np.log(total)
                for a in range(m):
                    i = order[c, a]
                    coefficient = -mass[a] / total
                    if a == 0:
                        coefficient += 1.0
                    for p in range(d):
                        score[c, t, p] += coefficient * x[i, p]
            else:
                running = -np.inf
                for a in range(m - 1, -1, -1):
                    high = local[a] if local[a] > running else running
                    running = high + np.log(np.exp(local[a] - high) + np.exp(running - high))
                    mass[a] = running
                for a in range(m):
                    i = order[c, a]
                    coefficient = 0.0
                    if a < stages:
                        value += local[a] - mass[a]
                        coefficient = 1.0
                    for b in range(min(a + 1, stages)):
                        coefficient -= np.exp(local[a] - mass[b])
                    for p in range(d):
                        score[c, t, p] += coefficient * x[i, p]
            log_f[c, t] = value


@njit(cache=True, nogil=True)
def _curvature(w, features, which, offset, order, depth, length, load, information):
    """Adds ``sum_c load[c, t] * (minus Hessian of log f)`` to ``information (K, d, d)``."""
    codes = order.shape[0]
    types, d = w.shape
    mean, second = np.empty(d), np.empty((d, d))
    for t in range(types):
        x = features[which[t]]
        for c in range(codes):
            weigh = load[c, t]
            if weigh == 0.0:
                continue
            m, stages = length[c], depth[c]
            top, mass = -np.inf, 0.0
            mean[:] = 0.0
            second[:] = 0.0
            for a in range(m - 1, -1, -1):
                i = order[c, a]
                total = offset[t, i]
                for p in range(d):
                    total += x[i, p] * w[t, p]
                if total > top:
                    shrink = np.exp(top - total)
                    mass *= shrink
                    for p in range(d):
                        mean[p] *= shrink
                        for q in range(p + 1):
                            second[p, q] *= shrink
                    top = total
                e = np.exp(total - top)
                mass += e
                for p in range(d):
                    part = e * x[i, p]
                    mean[p] += part
                    for q in range(p + 1):
                        second[p, q] += part * x[i, q]
                if a < stages:
                    for p in range(d):
                        for q in range(p + 1):
                            information[t, p, q] += weigh * (second[p, q] / mass - mean[p] * mean[q] / (mass * mass))
        for p in range(d):
            for q in range(p):
                information[t, q, p] = information[t, p, q]


@njit(cache=True, nogil=True)
def respond(log_f, log_share, code, start, out):
    """Responsibilities ``(B, K)`` into ``out`` and log-likelihood of each block, returned ``(B,)``."""
    blocks, types = out.shape
    value = np.empty(blocks)
    for b in range(blocks):
        top = -np.inf
        for t in range(types):
            total = log_share[t]
            for r in range(start[b], start[b + 1]):
                total += log_f[code[r], t]
            out[b, t] = total
            if total > top:
                top = total
        mass = 0.0
        for t in range(types):
            out[b, t] = np.exp(out[b, t] - top)
            mass += out[b, t]
        for t in range(types):
            out[b, t] /= mass
        value[b] = top + np.log(mass)
    return value


@njit(cache=True, nogil=True)
def evaluate(theta, types, d, features, which, offset, order, depth, length, code, start, weight, log_share, full):
    """One pass over the data.

    Args:
        theta: ``(K d + K - 1,)``.
        full: also the Hessian of the whole; otherwise only its M-step blocks.

    Returns:
        value, gradient ``(P,)``, M-step information ``(K, d, d)``, information ``(P, P)``, mass of each type ``(K,)``.
    """
    w = theta[: types * d].reshape(types, d).copy()
    codes, blocks, size = order.shape[0], len(weight), types * d + types - 1
    log_f, score = np.empty((codes, types)), np.empty((codes, types, d))
    _tables(w, features, which, offset, order, depth, length, log_f, score)
    load, mass = np.zeros((codes, types)), np.zeros(types)
    gradient, outer = np.zeros(size), np.zeros((size, size))
    own, mean = np.empty((types, d)), np.empty(size)
    r_b = np.empty(types)
    value, total = 0.0, 0.0
    for b in range(blocks):
        wb = weight[b]
        top = -np.inf
        for t in range(types):
            joint = log_share[t]
            for r in range(start[b], start[b + 1]):
                joint += log_f[code[r], t]
            r_b[t] = joint
            top = max(top, joint)
        norm = 0.0
        for t in range(types):
            r_b[t] = np.exp(r_b[t] - top)
            norm += r_b[t]
        value += wb * (top + np.log(norm))
        total += wb
        for t in range(types):
            share = r_b[t] / norm
            r_b[t] = share
            mass[t] += wb * share
            for p in range(d):
                own[t, p] = 0.0
            for r in range(start[b], start[b + 1]):
                load[code[r], t] += wb * share
                for p in range(d):
                    own[t, p] += score[code[r], t, p]
            for p in range(d):
                gradient[t * d + p] += wb * share * own[t, p]
        if full:
            _outer(outer, own, r_b, log_share, mean, wb, types, d)
    for t in range(types - 1):
        gradient[types * d + t] = mass[t] - total * np.exp(log_share[t])
    information = np.zeros((types, d, d))
    _curvature(w, features, which, offset, order, depth, length, load, information)
    for t in range(types):
        for p in range(d):
            for q in range(d):
                outer[t * d + p, t * d + q] += information[t, p, q]
    for t in range(types - 1):
        share = np.exp(log_share[t])
        for u in range(types - 1):
            outer[types * d + t, types * d + u] -= total * share * np.exp(log_share[u])
        outer[types * d + t, types * d + t] += total * share
    return value, gradient, information, outer, mass


@njit(cache=True, nogil=True)
def _outer(outer, own, r_b, log_share, mean, wb, types, d):
    """Takes off ``sum_k r_k v_k v_k' - vbar vbar'``, the spread of the types' scores within one block."""
    base = types * d
    for t in range(types):
        for p in range(d):
            mean[t * d + p] = r_b[t] * own[t, p]
        if t < types - 1:
            mean[base + t] = r_b[t]  # the constant -share cancels in the spread
    size = base + types - 1
    for t in range(types):
        for p in range(d):
            i = t * d + p
            for q in range(d):
                outer[i, t * d + q] -= wb * r_b[t] * own[t, p] * own[t, q]
            if t < types - 1:
                outer[i, base + t] -= wb * r_b[t] * own[t, p]
                outer[base + t, i] -= wb * r_b[t] * own[t, p]
        if t < types - 1:
            outer[base + t, base + t] -= wb * r_b[t]
    for i in range(size):
        for j in range(size):
            outer[i, j] += wb * mean[i] * mean[j]
