"""Compiled latent-class likelihood: one pass gives value, gradient, responsibilities and the exact Hessian.

Answers are *codes* (distinct orders; see :mod:`annosim.learning.likelihoods.kernels.luce`); rows point to codes, blocks of rows to
annotators. Tables are computed once a code, so that a design with few distinct menus costs additions only. The
parameter vector is the types' weights ``(K, d)``, flattened, then ``K - 1`` log-ratios of shares to the last type. No
``fastmath``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["climb", "evaluate", "respond"]


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


@njit(cache=True, nogil=True)
def _solve_positive(a, b):
    """Solve ``a x = b`` by Cholesky in diagonally scaled coordinates; (False, b) unless safely positive definite."""
    n = len(b)
    lower, x = np.zeros((n, n)), np.empty(n)
    scale = np.empty(n)
    for i in range(n):
        if not a[i, i] > 0.0:
            return False, x
        scale[i] = 1.0 / np.sqrt(a[i, i])
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j] * scale[i] * scale[j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i == j:
                if not total > 1e-13:
                    return False, x
                lower[i, i] = np.sqrt(total)
            else:
                lower[i, j] = total / lower[j, j]
    for i in range(n):
        total = b[i] * scale[i]
        for k in range(i):
            total -= lower[i, k] * x[k]
        x[i] = total / lower[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for k in range(i + 1, n):
            total -= lower[k, i] * x[k]
        x[i] = total / lower[i, i]
    for i in range(n):
        x[i] *= scale[i]
    return True, x


@njit(cache=True, nogil=True)
def _shares(theta, types, d, fixed_share, weights_free):
    """Log shares ``(K,)``: softmax of the log-ratios with the last type at zero, or the fixed ones."""
    if not weights_free:
        return np.log(fixed_share)
    ratio = np.zeros(types)
    ratio[: types - 1] = theta[types * d :]
    top = ratio.max()
    return ratio - top - np.log(np.exp(ratio - top).sum())


@njit(cache=True, nogil=True)
def climb(
    theta,
    types,
    d,
    features,
    which,
    offset,
    order,
    depth,
    length,
    code,
    start,
    weight,
    fixed_share,
    weights_free,
    free,
    scale,
    tolerance,
    max_iterations,
    warm,
    newton,
    trace,
):
    """EM, then safeguarded Newton, from one starting point.

    The first ``warm`` iterations are EM (each M-step one Newton step on each type's weighted likelihood); then Newton
    on the whole likelihood wherever its information is positive definite and the likelihood rises, EM elsewhere.

    Args:
        free: indices of the free entries of ``theta``.
        scale: ``(P,)`` divides the gradient before it is compared with ``tolerance``.
        newton: False for plain EM.
        trace: ``(max_iterations + 1,)``, filled with the log-likelihood.

    Returns:
        theta, value, gradient, information, status (1 gradient, 0 iterations, 2 rounding), iterations, Newton steps.
    """
    share = _shares(theta, types, d, fixed_share, weights_free)
    now = evaluate(theta, types, d, features, which, offset, order, depth, length, code, start, weight, share, newton)
    value, gradient, blocks, information, mass = now
    status, steps, iteration, polished = 0, 0, 0, False
    while True:
        trace[iteration] = value
        worst = 0.0
        for i in free:
            worst = max(worst, abs(gradient[i]) / scale[i])
        done = worst <= tolerance
        if (done and (polished or not newton)) or worst == 0.0:
            status = 1
            break
        if iteration >= max_iterations:
            status = 1 if done else 0
            break
        polished = done
        iteration += 1
        moved = False
        slack = 1e-12 * (1.0 + abs(value))
        if newton and iteration > warm:
            ok, step = _solve_positive(information[free][:, free], gradient[free])
            if ok:
                length_ = min(1.0, 6.0 / max(np.abs(step).max(), 1e-300))
                rise = (gradient[free] * step).sum()
                for _ in range(6):
                    trial = theta.copy()
                    for i in range(len(free)):
                        trial[free[i]] += length_ * step[i]
                    s2 = _shares(trial, types, d, fixed_share, weights_free)
                    new = evaluate(
                        trial, types, d, features, which, offset, order, depth, length, code, start, weight, s2, newton
                    )
                    v, g, bl, info, m = new
                    after = 0.0
                    for i in free:
                        after = max(after, abs(g[i]) / scale[i])
                    if v >= value + 1e-4 * length_ * rise - slack and (v > value + slack or after < worst):
                        theta, value, gradient, blocks, information, mass = trial, v, g, bl, info, m
                        moved, steps = True, steps + 1
                        break
                    length_ *= 0.25
                if not moved and (done or worst < 100.0 * tolerance):
                    status = 1 if done else 2
                    break
        if not moved:
            step_em = _m_step(theta, gradient, blocks, mass, types, d, weights_free)
            length_ = 1.0
            for _ in range(30):
                trial = theta.copy()
                for i in free:
                    trial[i] += length_ * step_em[i]
                s2 = _shares(trial, types, d, fixed_share, weights_free)
                new = evaluate(
                    trial, types, d, features, which, offset, order, depth, length, code, start, weight, s2, newton
                )
                v, g, bl, info, m = new
                if v >= value - slack:
                    moved = True
                    theta, value, gradient, blocks, information, mass = trial, v, g, bl, info, m
                    break
                length_ *= 0.5
            if not moved:
                status = 1 if done else 2
                break
    return theta, value, gradient, information, status, iteration, steps


@njit(cache=True, nogil=True)
def _m_step(theta, gradient, blocks, mass, types, d, weights_free):
    """EM's move: one Newton step on each type's weighted likelihood, and the shares to the mean responsibilities."""
    step = np.zeros(len(theta))
    for t in range(types):
        ok, move = _solve_positive(blocks[t], gradient[t * d : (t + 1) * d])
        if not ok:
            ridge = blocks[t].copy()
            lift = 1e-8 * max(np.trace(ridge) / d, 1e-12)
            while not ok and lift < 1e12:
                for p in range(d):
                    ridge[p, p] += lift
                ok, move = _solve_positive(ridge, gradient[t * d : (t + 1) * d])
                lift *= 100.0
        if ok:
            longest = np.abs(move).max()
            step[t * d : (t + 1) * d] = move * min(1.0, 6.0 / max(longest, 1e-300))
    if weights_free:
        for t in range(types - 1):
            target = np.log(max(mass[t], 1e-300)) - np.log(max(mass[types - 1], 1e-300))
            step[types * d + t] = target - theta[types * d + t]
    return step
