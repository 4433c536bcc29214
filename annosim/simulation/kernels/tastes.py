"""Random coefficients in compiled loops: every annotator's own coefficients, and choices and rankings with them."""

from __future__ import annotations

import numpy as np
from numba import njit

from annosim.random import STREAMS
from annosim.simulation.kernels.generator import BLOCK, fill_uint32, uniform52
from annosim.simulation.kernels.luce import choose, exponential, write_order

__all__ = ["coefficient_choice", "coefficient_ranking", "standard_normals"]

_TASTE, _ANSWER = STREAMS["taste"], STREAMS["answer"]

# Wichura (1988), algorithm AS 241, PPND16: relative accuracy about 1e-16
_A = (
    3.3871328727963666080e0,
    1.3314166789178437745e2,
    1.9715909503065514427e3,
    1.3731693765509461125e4,
    4.5921953931549871457e4,
    6.7265770927008700853e4,
    3.3430575583588128105e4,
    2.5090809287301226727e3,
)
_B = (
    1.0,
    4.2313330701600911252e1,
    6.8718700749205790830e2,
    5.3941960214247511077e3,
    2.1213794301586595867e4,
    3.9307895800092710610e4,
    2.8729085735721942674e4,
    5.2264952788528545610e3,
)
_C = (
    1.42343711074968357734e0,
    4.63033784615654529590e0,
    5.76949722146069140550e0,
    3.64784832476320460504e0,
    1.27045825245236838258e0,
    2.41780725177450611770e-1,
    2.27238449892691845833e-2,
    7.74545014278341407640e-4,
)
_D = (
    1.0,
    2.05319162663775882187e0,
    1.67638483018380384940e0,
    6.89767334985100004550e-1,
    1.48103976427480074590e-1,
    1.51986665636164571966e-2,
    5.47593808499534494600e-4,
    1.05075007164441684324e-9,
)
_E = (
    6.65790464350110377720e0,
    5.46378491116411436990e0,
    1.78482653991729133580e0,
    2.96560571828504891230e-1,
    2.65321895265761230930e-2,
    1.24266094738807843860e-3,
    2.71155556874348757815e-5,
    2.01033439929228813265e-7,
)
_F = (
    1.0,
    5.99832206555887937690e-1,
    1.36929880922735805310e-1,
    1.48753612908506148525e-2,
    7.86869131145613259100e-4,
    1.84631831751005468180e-5,
    1.42151175831644588870e-7,
    2.04426310338993978564e-15,
)


@njit(inline="always")
def _ratio(top, bottom, x):
    a, b = top[7], bottom[7]
    for i in range(6, -1, -1):
        a, b = a * x + top[i], b * x + bottom[i]
    return a / b


@njit(nogil=True, error_model="numpy", cache=True)
def normal_quantile(p):
    """Inverse of the standard normal distribution function at ``0 < p < 1``."""
    q = p - 0.5
    if abs(q) <= 0.425:
        return q * _ratio(_A, _B, 0.180625 - q * q)
    r = np.sqrt(-np.log(min(p, 1.0 - p)))
    z = _ratio(_C, _D, r - 1.6) if r <= 5.0 else _ratio(_E, _F, r - 5.0)
    return -z if q < 0 else z


@njit(nogil=True, error_model="numpy", cache=True)
def standard_normals(out, start, key, replicate):
    """Normals of consecutive annotators from stream ``taste``, ``out (annotators, dim)``; ``start % 64 == 0``."""
    high, low = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    for at in range(0, len(out), BLOCK):
        for j in range(out.shape[1]):
            fill_uint32(high, (start + at) // 64, key, _TASTE, 2 * j, replicate)
            fill_uint32(low, (start + at) // 64, key, _TASTE, 2 * j + 1, replicate)
            for r in range(min(BLOCK, len(out) - at)):
                out[at + r, j] = normal_quantile(uniform52(high[r], low[r]))


@njit(nogil=True, error_model="numpy", cache=True)
def _scores(rows, who, tastes, features, slope, offset, shift, value):
    """Indexed scores of a block, ``value (k, BLOCK)``, -inf at pads, less the best of each row."""
    for r in range(len(rows)):
        best = -np.inf
        for j in range(rows.shape[1]):
            item = rows[r, j]
            score = -np.inf
            if item >= 0:
                score = 0.0
                for d in range(features.shape[1]):
                    score += features[item, d] * tastes[who[r], d]
                score = slope[item] * score + offset[item] + shift[j]
            value[j, r] = score
            best = max(best, score)
        for j in range(rows.shape[1]):
            value[j, r] -= best
    value[:, len(rows) :] = 0.0


@njit(nogil=True, error_model="numpy", cache=True)
def coefficient_choice(menu, who, tastes, features, slope, offset, shift, out, start, key, replicate):
    """Luce choices of annotators with coefficients ``tastes (annotators, dim)``, ``out (rows,)`` int8.

    The index of item ``i`` is ``slope_i x_i' beta + offset_i``, plus the ``shift`` of its position.
    """
    w = np.empty(BLOCK, np.uint32)
    value = np.empty((menu.shape[1], BLOCK))
    for at in range(0, len(out), BLOCK):
        rows = menu[at : at + BLOCK]
        _scores(rows, who[at : at + BLOCK], tastes, features, slope, offset, shift, value)
        for j in range(len(value)):
            for r in range(BLOCK):
                value[j, r] = np.exp(value[j, r])
        fill_uint32(w, (start + at) // 64, key, _ANSWER, 0, replicate)
        choose(value, w, out[at : at + BLOCK], start + at, key, replicate)


@njit(nogil=True, error_model="numpy", cache=True)
def coefficient_ranking(menu, who, tastes, features, slope, offset, shift, out, start, depth, key, replicate):
    """Plackett-Luce rankings of such annotators, ``out (rows, k)`` int8; arrivals in logs: no score is too far."""
    w = np.empty(BLOCK, np.uint32)
    value, place = np.empty((menu.shape[1], BLOCK)), np.empty((menu.shape[1], BLOCK), np.int32)
    for at in range(0, len(out), BLOCK):
        _scores(menu[at : at + BLOCK], who[at : at + BLOCK], tastes, features, slope, offset, shift, value)
        for j in range(len(value)):
            fill_uint32(w, (start + at) // 64, key, _ANSWER, j, replicate)
            for r in range(BLOCK):
                value[j, r] = np.log(exponential(w[r])) - value[j, r]
        write_order(value, place, out[at : at + BLOCK], depth)
