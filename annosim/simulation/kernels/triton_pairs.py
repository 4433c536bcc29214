"""Pairs on a GPU in one kernel: words, items, odds and answer without leaving the registers (triton).

A program takes some Philox blocks; each serves four rows. What is written is what a pair costs: eight bytes of items
(one 64-bit store) and one of answer.
"""

from __future__ import annotations

from typing import Any

import torch

from annosim.random import STREAMS, check_seed

try:
    import triton
    import triton.language as tl
except ImportError:  # torch for processors comes without triton; nothing here is called then
    triton: Any = None  # type: ignore[no-redef]
    tl: Any = None  # type: ignore[no-redef]

__all__ = ["available", "simulate_pairs"]


def available() -> bool:
    """Whether triton can be imported.

    Example:
        >>> available() in (True, False)
        True
    """
    return triton is not None


def _jit(*plain: str) -> Any:
    """``triton.jit`` that does not compile anew for special values of some arguments."""
    return (lambda f: f) if triton is None else triton.jit(do_not_specialize=list(plain))


_MENU = None if tl is None else tl.constexpr(STREAMS["menu"])
_ANSWER = None if tl is None else tl.constexpr(STREAMS["answer"])


@_jit()
def _philox(low, high, k, replicate, stream: tl.constexpr, k0, k1):
    """Four words of some blocks; all uint32."""
    c0, c1 = low, tl.zeros_like(low) + k.to(tl.uint32)
    c2 = tl.zeros_like(low) + replicate.to(tl.uint32)
    c3 = high + (stream << 24)
    for _ in tl.static_range(10):
        h0, l0 = tl.umulhi(c0, 0xD2511F53), c0 * 0xD2511F53
        h1, l1 = tl.umulhi(c2, 0xCD9E8D57), c2 * 0xCD9E8D57
        c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
        k0 = k0 + 0x9E3779B9
        k1 = k1 + 0xBB67AE85
    return c0, c1, c2, c3


@_jit()
def _pair(menu, answer, odds, types, row, live, w1, w2, w, again, n, questions, mixed: tl.constexpr):
    """One of the four rows of each block: write its menu and answer."""
    first = (w1.to(tl.uint64) * n) >> 32
    second = ((w2.to(tl.uint64) * (n - 1)) >> 32) + 1
    second = tl.where(second == first, 0, second)
    tl.store(menu + row, (first | (second << 32)).to(tl.int64), mask=live)
    base = tl.zeros_like(row)
    if mixed:
        base = tl.load(types + row // questions, mask=live, other=0).to(tl.int64) * n
    a = tl.load(odds + base + first.to(tl.int64), mask=live, other=1.0)
    b = tl.load(odds + base + second.to(tl.int64), mask=live, other=1.0)
    total = a + b
    bits = (w.to(tl.uint64) << 20) | (again.to(tl.uint64) >> 12)
    u = (bits.to(tl.float64) + 0.5) * 2.220446049250313e-16
    tl.store(answer + row, (a < u * total).to(tl.int8), mask=live)


@_jit("rows", "n", "questions", "k0", "k1", "replicate")
def _kernel(menu, answer, odds, types, rows, n, questions, k0, k1, replicate, mixed: tl.constexpr, size: tl.constexpr):
    block = tl.program_id(0).to(tl.int64) * size + tl.arange(0, size)
    low, high = (block & 0xFFFFFFFF).to(tl.uint32), (block >> 32).to(tl.uint32)
    k0, k1 = k0.to(tl.uint32), k1.to(tl.uint32)
    zero = tl.zeros_like(k0)
    a0, a1, a2, a3 = _philox(low, high, zero + 1, replicate, _MENU, k0, k1)
    b0, b1, b2, b3 = _philox(low, high, zero + 2, replicate, _MENU, k0, k1)
    c0, c1, c2, c3 = _philox(low, high, zero, replicate, _ANSWER, k0, k1)
    d0, d1, d2, d3 = _philox(low, high, zero + 1, replicate, _ANSWER, k0, k1)
    row = (block >> 4) * 64 + (block & 15)
    _pair(menu, answer, odds, types, row, row < rows, a0, b0, c0, d0, n, questions, mixed)
    _pair(menu, answer, odds, types, row + 16, row + 16 < rows, a1, b1, c1, d1, n, questions, mixed)
    _pair(menu, answer, odds, types, row + 32, row + 32 < rows, a2, b2, c2, d2, n, questions, mixed)
    _pair(menu, answer, odds, types, row + 48, row + 48 < rows, a3, b3, c3, d3, n, questions, mixed)


def simulate_pairs(
    menu: torch.Tensor,
    answer: torch.Tensor,
    odds: torch.Tensor,
    types: torch.Tensor,
    questions: int,
    seed: int,
    replicate: int = 0,
    size: int = 256,
) -> None:
    """Fill pairs of distinct items of one prompt, and Luce's answers.

    Args:
        menu: ``(rows, 2)`` int32, filled.
        answer: ``(rows,)`` int8, filled.
        odds: ``(types, n)`` float64 ``exp(score)``.
        types: ``(annotators,)`` int8.
        questions: rows of each annotator.
        seed, replicate: the address.
        size: Philox blocks of a program.
    """
    rows, (kinds, n) = len(answer), odds.shape
    key = check_seed(seed)
    blocks = -(-rows // 64) * 16
    signed = lambda x: x - 2**32 if x >= 2**31 else x  # noqa: E731 - triton takes 32-bit scalars as int32
    _kernel[(-(-blocks // size),)](
        menu.view(torch.int64),
        answer,
        odds,
        types,
        rows,
        n,
        questions,
        signed(key & 0xFFFFFFFF),
        signed(key >> 32),
        signed(replicate),
        mixed=kinds > 1,
        size=size,
    )
