"""Compiled sums of a simulated likelihood: panels of choices, normal coefficients, each person's own draws.

Draws lie side by side in memory and every inner loop runs over them, so that eight share an instruction. Tables are
indexed ``[row, r]``: a view of a row would be reference-counted, which costs more than the loop. A person's likelihood
under a draw is one over a product, kept as mantissa and power of two: neither a choice nor a draw takes a logarithm.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import int64, njit

from annosim.compiled import arithmetic, link_cache
from annosim.compiled.arithmetic import LOG2, add, add_product, bits, exponential, fma, number
from annosim.simulation.kernels import tastes
from annosim.simulation.kernels.tastes import normal_quantile

__all__ = ["normals", "people"]

#: logarithm up to which a product of sums of odds is left alone
_ROOM = 600.0
#: differences of utilities beyond which nothing is computed
_ABSURD = 1e12


@njit(cache=True, nogil=True, error_model="numpy")
def normals(uniform, out):
    """Standard normals ``out (people, dim, R)`` from uniforms ``(people * R, dim)``, kept off zero and one."""
    people, dim, draws = out.shape
    for b in range(people):
        for j in range(dim):
            for r in range(draws):
                u = uniform[b * draws + r, j]
                out[b, j, r] = normal_quantile(min(max(u, 2.0**-54), 1 - 2.0**-53))


@njit(cache=True, nogil=True, error_model="numpy")
def people(
    begin,
    end,
    first,
    difference,
    size,
    z,
    inverse,
    mean,
    factor,
    sign,
    component,
    column,
    weight,
    gradient,
    information,
    score,
):
    """Adds the gradient ``(P,)`` and information ``(P, P)`` (lower triangle) of some people; returns their
    log-likelihood, NaN where the coefficients are absurd.

    Args:
        begin, end: the people.
        first: ``(people + 1,)`` each person's first choice.
        difference: ``(choices, others, d)`` features of an alternative that was not chosen minus the chosen one's.
        size: ``(choices,)`` how many were not chosen.
        z: ``(people, s, R)`` standard normals.
        inverse: ``(people, R)`` one over the draws' weights, from 1 to e^60; ``(people, 0)`` where all are 1.
        mean, factor: ``(d,)`` and ``(d, s)``; coefficients are ``mean + factor z``.
        sign: ``(d,)`` zeros; +1 or -1 where a coefficient is that times ``exp(mean + factor z)`` instead.
        component, column: ``(P,)`` each: parameter p moves coefficient ``component[p]`` by ``z[column[p]]`` (by one
            where the column is -1).
        weight: ``(people,)``.
        score: ``(people, P)``, filled with each person's score.
    """
    (d, s), draws = factor.shape, z.shape[2]
    beta, slope, step = np.empty((d, draws)), np.empty((d, draws)), np.empty((d, draws))
    odds, curve = np.empty((difference.shape[1], draws)), np.empty((d * (d + 1) // 2, draws))
    moment = np.empty((1 + s + s * (s + 1) // 2, draws))
    total, product, exponent = np.empty(draws), np.empty(draws), np.empty(draws, np.int64)
    reach = np.empty(d)
    value = 0.0
    for b in range(begin, end):
        coefficients(b, z, mean, factor, sign, beta, reach)
        begun = start(b, inverse, product, exponent)
        if not choices(
            b, first, difference, size, reach, beta, odds, total, product, exponent, begun, slope, curve, step
        ):
            return np.nan
        value += weight[b] * posterior(product, exponent)
        by_logarithm(sign, beta, slope, curve)
        moments(b, z, product, moment)
        derivatives(b, s, component, column, weight, slope, curve, moment, gradient, information, score)
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def coefficients(b, z, mean, factor, sign, beta, reach):
    """``beta (d, R)`` of person ``b``, and how far each is from zero at most, ``reach (d,)``."""
    (d, s), draws = factor.shape, beta.shape[1]
    for p in range(d):
        base = mean[p]
        for r in range(draws):
            beta[p, r] = base
        for j in range(s):
            slant = factor[p, j]
            if slant != 0.0:
                for r in range(draws):
                    beta[p, r] = fma(slant, z[b, j, r], beta[p, r])
        if sign[p] != 0.0:
            for r in range(draws):
                h = beta[p, r]
                beta[p, r] = sign[p] * exponential(h if h < 700.0 else 700.0)  # e^700 is absurd, and no infinity
        most = int64(0)  # without their sign, the bits of floats are in the floats' order, NaN last
        for r in range(draws):
            most = max(most, bits(beta[p, r]) & int64(0x7FFFFFFFFFFFFFFF))
        reach[p] = number(most)


@njit(inline="always")
def start(b, inverse, product, exponent):
    """One over a draw's weight, and the bound of its logarithm."""
    weighted = inverse.shape[1] > 0
    for r in range(len(product)):
        product[r], exponent[r] = inverse[b, r] if weighted else 1.0, 0
    return 60.0 if weighted else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def choices(b, first, difference, size, reach, beta, odds, total, product, exponent, begun, slope, curve, step):
    """One over the likelihood, ``product * 2**exponent``, its slope and curvature in beta, draw by draw.

    ``reach`` bounds all odds of a choice before they are computed: only where they might overflow are they looked at.
    False where the coefficients are absurd.
    """
    d, draws = beta.shape
    for p in range(d):
        for r in range(draws):
            slope[p, r] = 0.0
    for at in range(len(curve)):
        for r in range(draws):
            curve[at, r] = 0.0
    used = begun
    for t in range(first[b], first[b + 1]):
        m, bound = size[t], 0.0
        for a in range(m):
            most = 0.0
            for p in range(d):
                most += abs(difference[t, a, p]) * reach[p]
            if not most < _ABSURD:
                return False
            bound = max(bound, most)
            combine(t, a, difference, beta, odds)
        for r in range(draws):
            total[r] = 1.0
        if bound + np.log(1.0 + m) > _ROOM:
            halve(m, odds, total, exponent)
            bound = 0.0
        bound += np.log(1.0 + m)
        if used + bound > _ROOM:
            renormalise(product, exponent)
            used = 1.0
        used += bound
        choice(t, m, difference, odds, total, product, slope, curve, step)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def by_logarithm(sign, beta, slope, curve):
    """Slope and curvature in the logarithms of those coefficients that have a sign: with ``b = sign exp(h)``,
    ``df/dh = b df/db``, and minus the second derivative is ``b b`` times that in b, less ``df/dh``."""
    d, draws = slope.shape
    at = 0
    for i in range(d):
        if sign[i] != 0.0:
            for r in range(draws):
                slope[i, r] *= beta[i, r]
        for k in range(i + 1):
            if sign[i] != 0.0:
                for r in range(draws):
                    curve[at, r] *= beta[i, r]
            if sign[k] != 0.0:
                for r in range(draws):
                    curve[at, r] *= beta[k, r]
            if i == k and sign[i] != 0.0:
                for r in range(draws):
                    curve[at, r] -= slope[i, r]
            at += 1


@njit(inline="always")
def combine(t, a, difference, beta, odds):
    """``odds[a] = difference[t, a] @ beta``, four coefficients at a time."""
    d, draws = beta.shape
    for r in range(draws):
        odds[a, r] = 0.0
    p = 0
    while p + 3 < d:
        x0, x1, x2, x3 = (
            difference[t, a, p],
            difference[t, a, p + 1],
            difference[t, a, p + 2],
            difference[t, a, p + 3],
        )
        for r in range(draws):
            near = fma(x2, beta[p + 2, r], fma(x3, beta[p + 3, r], odds[a, r]))
            odds[a, r] = fma(x0, beta[p, r], fma(x1, beta[p + 1, r], near))
        p += 4
    while p < d:
        x0 = difference[t, a, p]
        for r in range(draws):
            odds[a, r] = fma(x0, beta[p, r], odds[a, r])
        p += 1


@njit(cache=True, nogil=True, error_model="numpy")
def halve(m, odds, total, exponent):
    """Takes powers of two out of a choice whose odds might overflow; ``total`` becomes those of the chosen one."""
    for r in range(len(total)):
        top = 0.0
        for a in range(m):
            top = max(top, odds[a, r])
        k = np.ceil(top / LOG2)
        for a in range(m):
            odds[a, r] -= k * LOG2
        total[r] = exponential(-k * LOG2)
        exponent[r] += int64(k)


@njit(inline="always")
def renormalise(product, exponent):
    """Moves the powers of two of ``product`` into ``exponent``."""
    for r in range(len(product)):
        pattern = bits(product[r])
        power = (pattern >> int64(52)) - int64(1023)
        exponent[r] += power
        product[r] = number(pattern - (power << int64(52)))


@njit(cache=True, nogil=True, error_model="numpy")
def choice(t, m, difference, odds, total, product, slope, curve, step):
    """One choice: from logarithms of odds to probabilities ``p_a``; adds minus ``sum p_a x_a`` to the slope and the
    covariance of ``x_a`` to the curvature, two alternatives at a time."""
    d, draws = slope.shape
    for a in range(m):
        for r in range(draws):
            odds[a, r] = exponential(odds[a, r])
            total[r] += odds[a, r]
    for r in range(draws):
        product[r] *= total[r]
        total[r] = 1.0 / total[r]
    for a in range(m):
        for r in range(draws):
            odds[a, r] *= total[r]
    for a in range(0, m, 2):
        c, real = min(a + 1, m - 1), 1.0 if a + 1 < m else 0.0
        for p in range(d):
            x, y = difference[t, a, p], real * difference[t, c, p]
            if a == 0:
                for r in range(draws):
                    step[p, r] = fma(x, odds[a, r], y * odds[c, r])
            else:
                for r in range(draws):
                    step[p, r] = fma(x, odds[a, r], fma(y, odds[c, r], step[p, r]))
    for p in range(d):
        for r in range(draws):
            slope[p, r] -= step[p, r]
    for a in range(0, m, 2):
        c, real, at = min(a + 1, m - 1), 1.0 if a + 1 < m else 0.0, 0
        for p in range(d):
            for q in range(p + 1):
                x = difference[t, a, p] * difference[t, a, q]
                y = real * difference[t, c, p] * difference[t, c, q]
                if a == 0:
                    for r in range(draws):
                        curve[at, r] += fma(x, odds[a, r], fma(y, odds[c, r], -step[p, r] * step[q, r]))
                else:
                    for r in range(draws):
                        curve[at, r] = fma(x, odds[a, r], fma(y, odds[c, r], curve[at, r]))
                at += 1


@njit(cache=True, nogil=True, error_model="numpy")
def posterior(product, exponent):
    """Turns one over the likelihoods into the draws' posterior weights; returns the log of the mean likelihood."""
    draws = len(product)
    renormalise(product, exponent)
    low = exponent[0]
    for r in range(draws):
        low = exponent[r] if exponent[r] < low else low
    for r in range(draws):
        power = int64(1023) + low - exponent[r]
        product[r] = number((power if power > 0 else int64(0)) << int64(52)) / product[r]
    mass = 0.0
    for r in range(draws):
        mass = add(mass, product[r])
    share = 1.0 / mass
    for r in range(draws):
        product[r] *= share
    return np.log(mass / draws) - low * LOG2


@njit(inline="always")
def moments(b, z, product, moment):
    """Weights times 1, ``z_j`` and ``z_j z_k``, ``(1 + s + s (s + 1) / 2, R)``."""
    s, draws = z.shape[1], z.shape[2]
    for r in range(draws):
        moment[0, r] = product[r]
    at = 1 + s
    for j in range(s):
        for r in range(draws):
            moment[1 + j, r] = product[r] * z[b, j, r]
        for k in range(j + 1):
            for r in range(draws):
                moment[at, r] = moment[1 + j, r] * z[b, k, r]
            at += 1


@njit(inline="always")
def corner(i, j):
    """Where ``(i, j)`` stands in a lower triangle written row by row."""
    return i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i


@njit(cache=True, nogil=True, error_model="numpy")
def derivatives(b, normals, component, column, weight, slope, curve, moment, gradient, information, score):
    """Louis (1982): score ``E s`` and information ``E(-h - s s') + (E s)(E s)'`` under the draws' weights.

    A score is a slope times 1 or a normal: ``s s'`` is a product of slopes under the same moments as ``-h``.
    """
    d, draws = slope.shape
    at = 0
    for i in range(d):
        for k in range(i + 1):
            for r in range(draws):
                curve[at, r] -= slope[i, r] * slope[k, r]
            at += 1
    for p in range(len(component)):
        i, tilt, total = component[p], 1 + column[p], 0.0
        for r in range(draws):
            total = add_product(total, moment[tilt, r], slope[i, r])
        score[b, p] = total
        gradient[p] += weight[b] * total
    for p in range(len(component)):
        for q in range(p + 1):
            at, tilt, total = corner(component[p], component[q]), tilted(column[p], column[q], normals), 0.0
            for r in range(draws):
                total = add_product(total, moment[tilt, r], curve[at, r])
            information[p, q] += weight[b] * (total + score[b, p] * score[b, q])


@njit(inline="always")
def tilted(j, k, normals):
    """Which moment holds the weights times normals ``j`` and ``k`` (-1: one)."""
    return 1 + max(j, k) if j < 0 or k < 0 else 1 + normals + corner(j, k)


link_cache.link(arithmetic, tastes, of=sys.modules[__name__])
