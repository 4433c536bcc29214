"""From a population and a design to compiled kernels: tables of odds, cumulative probabilities, and who fills what.

Each builder returns a function that fills a run of rows, or says in a :class:`Refusal` why there is none; then that
part takes the reference path.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from annosim.designs import Design
from annosim.kernels import luce, menus
from annosim.populations import Annotator, Population
from annosim.random import STREAMS
from annosim.rules.luce import Luce

__all__ = ["Refusal", "answer_filler", "menu_filler", "type_filler"]

#: fills ``(out, first entity, replicate)``; the first entity is a multiple of 64
MenuFiller = Callable[[np.ndarray, int, int], None]
#: fills ``(menu, types of the rows or None, answer, tied or None, first row, replicate)``
AnswerFiller = Callable[..., None]

_NO_BASE = np.empty(0, dtype=np.int32)
#: ranges of utilities within one prompt that the odds form holds: float64 for choices, float32 arrivals for rankings
_RANGE = {"choice": 600.0, "ranking": 120.0, "top": 120.0}


class Refusal(Exception):
    """Why there is no compiled kernel for this population or design."""


def menu_filler(design: Design, seed: int) -> MenuFiller:
    """Fills menus of consecutive entities, as ``design.sample`` draws them."""
    key = np.uint64(seed)
    if design.menus is not None:
        return _listed(design, key)
    ids = [design.items.members(p).numpy() for p in design.prompt_ids.tolist()]
    if design.log_proposal is not None:
        if len(ids) > 1 or not design.with_replacement:
            raise Refusal("a proposal over several prompts or without replacement")
        cdf = design._mass(torch.as_tensor(ids[0])).cumsum(0).numpy()
        guide = menus.guide_table(cdf)
        return lambda out, start, replicate: menus.proposal_menus(out, start, cdf, guide, ids[0], key, replicate)
    size = np.array([len(i) for i in ids])
    members = np.concatenate(ids)
    replacement = design.with_replacement
    if len(ids) == 1 and design.menu_size == 2 and (members == np.arange(len(members))).all():
        n = int(size[0])
        return lambda out, start, replicate: menus.uniform_pairs(out, start, n, replacement, key, replicate)
    offset, cdf = np.cumsum(size) - size, design.prompt_probability.cumsum(0).numpy()
    return lambda out, start, replicate: menus.uniform_menus(
        out, start, size, offset, members, cdf, replacement, key, replicate
    )


def _listed(design: Design, key: np.uint64) -> MenuFiller:
    listed = np.ascontiguousarray(design.menus.numpy().astype(np.int32))
    cdf = design.menu_weights.double().cumsum(0).numpy()
    guide = menus.guide_table(cdf)
    return lambda out, start, replicate: menus.listed_menus(out, start, cdf, guide, listed, key, replicate)


def type_filler(population: Population, seed: int) -> MenuFiller:
    """Fills hidden types of consecutive annotators, ``out (n,)``."""
    cdf = population.leaf_weights().detach().double().cumsum(0).numpy()
    guide = menus.guide_table(cdf)
    key = np.uint64(seed)

    def fill(out: np.ndarray, start: int, replicate: int) -> None:
        padded = np.empty(-(-len(out) // 64) * 64, dtype=np.int64)
        menus.inverse_index(padded, start // 64, cdf, guide, STREAMS["type"], 0, key, replicate)
        out[:] = padded[: len(out)]

    return fill


def answer_filler(population: Population, design: Design, seed: int) -> AnswerFiller:
    """Fills answers to given menus."""
    leaves = population.leaves()
    kind = design.feedback.kind
    for leaf in leaves:
        if type(leaf) is not Annotator:
            raise Refusal(f"{type(leaf).__name__} has no compiled kernel")
        if type(leaf.rule).sample is not Luce.sample:
            raise Refusal(f"{type(leaf.rule).__name__} has no compiled kernel")
    if kind not in _RANGE:
        raise Refusal(f"feedback {kind!r} has no compiled kernel")
    scores = torch.stack([leaf.index(design.items).detach().double() for leaf in leaves]).numpy()
    odds = _odds(scores, design, _RANGE[kind])
    n = design.items.n if len(leaves) > 1 else 0
    key = np.uint64(seed)
    if kind != "choice":
        depth = min(design.feedback.depth or design.menu_size, design.menu_size)
        with np.errstate(divide="ignore"):
            inverse = 1.0 / odds
        return lambda menu, types, answer, tied, start, replicate: luce.luce_ranking(
            menu, _base(types, n), inverse, answer, start, depth, key, replicate
        )
    pads = design.menus is not None and bool((design.menus < 0).any())
    kernel = luce.luce_pairs if design.menu_size == 2 and not pads else luce.luce_choice
    return lambda menu, types, answer, tied, start, replicate: kernel(
        menu, _base(types, n), odds, answer, start, key, replicate
    )


def _base(types: np.ndarray | None, n: int) -> np.ndarray:
    return _NO_BASE if n == 0 or types is None else types.astype(np.int32) * np.int32(n)


def _odds(scores: np.ndarray, design: Design, limit: float) -> np.ndarray:
    """``exp(score)`` per type and item, centred within each prompt (each has its own gauge), one run per type."""
    prompts = design.items.prompts.numpy()
    if scores.size >= 2**31:
        raise Refusal("types times items exceed 2**31")
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise Refusal("a utility is NaN or +inf")
    centred = scores.copy()
    for prompt in np.unique(prompts):
        part = scores[:, prompts == prompt]
        finite = np.isfinite(part)
        high = np.where(finite, part, -np.inf).max(1, keepdims=True)
        low = np.where(finite, part, np.inf).min(1, keepdims=True)
        if not np.isfinite(high).all():
            raise Refusal("a type gives no item of a prompt a finite utility")
        if (high - low).max() > limit:
            raise Refusal(f"utilities range over more than {limit:g}")
        centred[:, prompts == prompt] = part - (high + low) / 2
    return np.exp(centred).ravel()


class announced:  # noqa: N801 - reads as a sentence: with announced(): ...
    """Says on standard error that kernels are being compiled, when that takes more than two seconds."""

    def __enter__(self) -> None:
        self._timer = threading.Timer(2.0, _say)
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_: Any) -> None:
        self._timer.cancel()


def _say() -> None:
    import sys

    sys.stderr.write("annosim: compiling the simulation kernels (once; they are cached on disk)\n")
