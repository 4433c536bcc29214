"""Compiled latent-class likelihood: one pass gives value, gradient, responsibilities and the exact Hessian.

Answers are *codes* (distinct orders; see :mod:`annosim.learning.likelihoods.kernels.luce`); rows point to codes, blocks of rows to
annotators. Tables are computed once a code, so that a design with few distinct menus costs additions only. The
parameter vector is the types' weights ``(K, d)``, flattened, then ``K - 1`` log-ratios of shares to the last type. No
``fastmath``.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import njit

from annosim.compiled import link_cache
from annosim.learning.likelihoods.kernels import luce
from annosim.learning.likelihoods.kernels.luce import linear_sums

__all__ = ["SPREAD_ROWS", "add_spread", "evaluate", "respond"]

#: blocks whose scores are multiplied at a time
SPREAD_ROWS = 256


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
    load, mass = np.zeros((types, codes)), np.zeros(types)
    gradient, outer = np.zeros(size), np.zeros((size, size))
    own, mean = np.zeros((types, SPREAD_ROWS, d)), np.zeros((SPREAD_ROWS, size))
    r_b = np.empty(types)
    value, total, at = 0.0, 0.0, 0
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
            for r in range(start[b], start[b + 1]):
                load[t, code[r]] += wb * share
            if not full:
                continue
            for p in range(d):
                own[t, at, p] = 0.0
            for r in range(start[b], start[b + 1]):
                for p in range(d):
                    own[t, at, p] += score[code[r], t, p]
            root = np.sqrt(wb)
            rise = np.sqrt(wb * share)
            for p in range(d):
                mean[at, t * d + p] = root * share * own[t, at, p]
                own[t, at, p] *= rise
            if t < types - 1:
                mean[at, types * d + t] = root * share
        if full:
            at += 1
            if at == SPREAD_ROWS:
                add_spread(outer, own, mean)
                at = 0
    if at:
        add_spread(outer, own[:, :at], mean[:at])
    for t in range(types - 1):
        gradient[types * d + t] = mass[t] - total * np.exp(log_share[t])
    information = np.zeros((types, d, d))
    for t in range(types):
        slope = gradient[t * d : (t + 1) * d]
        linear_sums(w[t], features[which[t]], offset[t], order, depth, length, load[t], slope, information[t])
        for p in range(d):
            for q in range(d):
                outer[t * d + p, t * d + q] += information[t, p, q]
    for t in range(types - 1):
        if full:  # of a share the score is r_t less a constant, which cancels in the spread
            i = types * d + t
            for p in range(t * d, (t + 1) * d):
                outer[p, i] -= gradient[p]
                outer[i, p] -= gradient[p]
            outer[i, i] -= mass[t]
        share = np.exp(log_share[t])
        for u in range(types - 1):
            outer[types * d + t, types * d + u] -= total * share * np.exp(log_share[u])
        outer[types * d + t, types * d + t] += total * share
    return value, gradient, information, outer, mass


@njit(cache=True, nogil=True)
def add_spread(outer, own, mean):
    """Takes off ``sum_k r_k v_k v_k' - vbar vbar'``, the spread of the types' scores within blocks, but for the products with the
    scores of the shares: those are sums over all blocks, the types' gradients and masses.

    ``own (K, rows, d)``: of each type's own weights, times ``sqrt(w r_k)``. ``mean (rows, P)``: the means, times ``sqrt(w)``.
    """
    types, _, d = own.shape
    for t in range(types):
        rows = np.ascontiguousarray(own[t])
        outer[t * d : (t + 1) * d, t * d : (t + 1) * d] -= rows.T @ rows
    outer += mean.T @ mean


link_cache.link(luce, of=sys.modules[__name__])
