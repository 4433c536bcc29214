"""Arithmetic for compiled loops that vectorise: numba calls a scalar routine for ``math.exp``, knows no fused
multiply-add and sums in the order written, so a loop with one of these runs one number at a time.

None of this is ``fastmath``: infinities and NaN are what they are, and only the sums that say so change their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import int64, njit, types
from numba.extending import intrinsic

from annosim.compiled import kernel_cache

__all__ = ["LOG2", "add", "add_product", "bits", "exponential", "fma", "number"]

LOG2 = float(np.log(2.0))

kernel_cache.install()


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """``a b + c``, rounded once."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), build


@intrinsic
def add(typing: Any, total: Any, a: Any) -> Any:
    """``total + a`` of a sum that may be taken in any order."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=("reassoc",))

    return types.float64(types.float64, types.float64), build


@intrinsic
def add_product(typing: Any, total: Any, a: Any, b: Any) -> Any:
    """``total + a b`` of a sum that may be taken in any order, rounded once or twice."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        product = builder.fmul(*arguments[1:], flags=("contract",))
        return builder.fadd(arguments[0], product, flags=("reassoc", "contract"))

    return types.float64(types.float64, types.float64, types.float64), build


@intrinsic
def bits(typing: Any, x: Any) -> Any:
    """The 64 bits of a float64 as an int64."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), build


@intrinsic
def number(typing: Any, x: Any) -> Any:
    """The float64 with these bits."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), build


# log 2 = _HIGH + _LOW; n * _HIGH is exact for |n| < 2**20. Adding _MAGIC (1.5 * 2**52) rounds to a whole number, which
# then stands in the low bits.
_HIGH, _LOW, _MAGIC = float.fromhex("0x1.62e42fefa0000p-1"), float.fromhex("0x1.cf79abc9e3b39p-40"), 6755399441055744.0
_PER_LOG2 = float(1.0 / np.log(2.0))
# exp on [-log(2) / 2, log(2) / 2]: polynomial of degree 11 through the Chebyshev points, lowest power first
_E = (
    1.0,
    1.0,
    0.5000000000000019,
    0.1666666666666668,
    0.0416666666664881,
    0.008333333333319601,
    0.0013888888952314775,
    0.00019841269890047113,
    2.4801485482328494e-05,
    2.755724091857897e-06,
    2.763263963904103e-07,
    2.5110037605963777e-08,
)


@njit(inline="always")
def exponential(x):
    """``exp(x)`` for ``x < 709``, to one unit in the last place; 3e-308 below -708, NaN at NaN."""
    y = -708.0 if x < -708.0 else x
    shifted = fma(y, _PER_LOG2, _MAGIC)
    n = shifted - _MAGIC
    f = fma(n, -_LOW, fma(n, -_HIGH, y))
    p = fma(_E[11], f, _E[10])
    p = fma(p, f, _E[9])
    p = fma(p, f, _E[8])
    p = fma(p, f, _E[7])
    p = fma(p, f, _E[6])
    p = fma(p, f, _E[5])
    p = fma(p, f, _E[4])
    p = fma(p, f, _E[3])
    p = fma(p, f, _E[2])
    p = fma(p, f, _E[1])
    p = fma(p, f, _E[0])
    return p * number((bits(shifted) + int64(1023)) << int64(52))
