"""The support of a design: what of it enters a law. Its menus, their probabilities, and how a block is put together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from annosim.designs.design import Design, Menus
from annosim.errors import TooLargeError
from annosim.laws import answer_space, on_menus
from annosim.populations.base import Population
from annosim.random import CounterRNG, child_seed

__all__ = ["LIMIT", "DesignSupport", "exchangeable", "merge_settings", "prepare"]

#: numbers that one array may hold before menus are sampled instead
LIMIT = 6e7


@dataclass(frozen=True, eq=False)
class DesignSupport:
    """What of a design enters a law: its menus, their probabilities, and how a block is put together.

    Attributes:
        design: the design.
        menu: ``(M, k)`` distinct menus (unordered ones when the answers do not depend on the order shown).
        share: ``(M,)`` probabilities, sum to one.
        questions: questions in a block that are looked at.
        blocks: ``(B, questions)`` menu numbers of listed blocks, or ``None``: menus drawn independently.
        block_share: ``(B,)`` probabilities of the listed blocks.
        exact: nothing was left out; otherwise ranks are lower bounds.
        note: what was left out, in words.
        covariates: of the alternatives as the menus show them, each ``(M, k)``.

    Example:
        >>> import annosim as an
        >>> design = an.Design(an.Items(n=4))
        >>> found = prepare(an.Annotator(an.Tabular(4), an.Luce()), design)
        >>> found.menu.shape, found.exact
        (torch.Size([6, 2]), True)
    """

    design: Design
    menu: torch.Tensor
    share: torch.Tensor
    questions: int
    blocks: torch.Tensor | None = None
    block_share: torch.Tensor | None = None
    exact: bool = True
    note: str = ""
    covariates: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def with_questions(self, questions: int) -> DesignSupport:
        """The same menus with another number of independent questions."""
        return replace(self, questions=questions)


# ---- preparing a design ------------------------------------------------------------------------------------------


def prepare(
    population: Population, design: Design, *, questions: int | None = None, seed: int = 0, limit: float = LIMIT
) -> DesignSupport:
    """Enumerate (or, when there are too many, sample at ``seed``) the menus and blocks of a design.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(4), an.Luce())
        >>> prepare(one, an.Design(an.Items(n=4))).menu.shape
        torch.Size([6, 2])
    """
    (menu, share, shown), exact, note = _menus(population, design, seed, limit)
    q = design.num_questions if questions is None else int(questions)
    rules = [component.rule for component in population.components()]
    frame = DesignSupport(design, menu, share, q, exact=exact, note=note, covariates=shown)
    if design.questions == "all":
        listed = design.listed
        frame = replace(frame, menu=listed.menu, share=listed.probability, covariates=listed.covariates)
        block = torch.arange(len(design.listed.menu))[None]
        return _listed(frame, block, torch.ones(1, dtype=torch.float64), population, seed, limit)
    if q > 1 and any(rule.memory or rule.sequential for rule in rules):
        return _all_blocks(frame, population, seed, limit)
    return frame


def _menus(population, design, seed, limit):
    """Distinct menus and shares; unordered ones when the order shown does not matter."""
    width = design.feedback.count(design.menu_size, any(component.rule.ties for component in population.components()))
    with torch.no_grad():
        nodes = sum(len(c.weight) for c in population.indexed(design.items))
    numbers = max(1, population.num_free()) * nodes * max(width, 1)
    most = max(50, int(limit / numbers))
    plain = exchangeable(population, design)
    order = math.factorial(design.menu_size) if plain else 1
    try:
        found = design.enumerate(max_menus=min(2e7, 4.0 * most * order))
        (menu, share, shown), exact = found, True
    except TooLargeError:
        draws = CounterRNG(child_seed(seed, "information/menus"), np.arange(most))
        menu, shown, exact = design.sample(draws), {}, False
        share = torch.full((len(menu),), 1 / len(menu), dtype=torch.float64)
    if plain:
        menu, share = _merge(menu.sort(-1).values if design.menu_size > 1 else menu, share)
    if len(menu) > most:
        keep = _subset(len(menu), most, seed)
        menu, share, exact = menu[keep], share[keep] / share[keep].sum(), False
        shown = {name: value[keep] for name, value in shown.items()}
    note = "" if exact else f"a seeded sample of {len(menu)} menus stands for all of them"
    return Menus(menu, share, shown), exact, note


def _merge(menu: torch.Tensor, share: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    distinct, code = menu.unique(dim=0, return_inverse=True)
    return distinct, torch.zeros(len(distinct), dtype=torch.float64).scatter_add(0, code, share)


def _subset(count: int, size: int, seed: int) -> torch.Tensor:
    u = CounterRNG(child_seed(seed, "information/subset"), np.arange(count)).uniform("analysis", 1)[:, 0]
    return torch.as_tensor(np.sort(np.argsort(u)[:size]))


def exchangeable(population: Population, design: Design) -> bool:
    """Whether a menu shown in reverse order gets the same answers (probed on the design's menus; pads count as order).

    Ratings and answers of other rules are compared item by item, so any position effect is seen.
    """
    if design.feedback.kind not in ("choice", "ranking", "top") or any(
        component.rule.ties or component.rule.skips or component.rule.sequential
        for component in population.components()
    ):
        return False
    if design.menus is not None and (design.questions == "all" or bool((design.menus < 0).any())):
        return False
    if any(component.rule.covariates for component in population.components()):
        return False  # a menu in another order is another question
    menu = design.sample(CounterRNG(0, np.arange(24)))
    k = design.menu_size
    space = answer_space(population, design)
    flip = np.where(space.answer >= 0, k - 1 - space.answer, -1)
    to = [int(np.flatnonzero((space.answer == row).all(-1))[0]) for row in flip]
    share = torch.full((len(menu),), 1 / len(menu), dtype=torch.float64)
    turned = [menu.flip(-1), menu.roll(1, -1)]
    roll = np.where(space.answer >= 0, (space.answer + 1) % k, -1)
    back = [int(np.flatnonzero((space.answer == row).all(-1))[0]) for row in roll]
    with torch.no_grad():
        here = on_menus(population, design, menu, share).table
        for other, order in zip(turned, (to, back), strict=True):
            there = on_menus(population, design, other, share).table[..., order]
            if not torch.allclose(here.exp(), there.exp(), rtol=0, atol=1e-13):
                return False
    return True


def _listed(frame, blocks, share, population, seed, limit):
    """Blocks listed one by one; questions beyond the limit are left out (the law of the rest is then a margin
    of it).
    """
    answers = len(answer_space(population, frame.design))
    free = max(1, population.num_free())
    q = blocks.shape[1]
    keep = max(1, min(q, int(math.log(max(limit / free / len(blocks), answers)) / math.log(answers) + 1e-9)))
    if keep == q:
        return replace(frame, blocks=blocks, block_share=share, questions=q)
    count = max(1, int(limit / 8 / free / answers**3))
    size = min(3, q)
    u = CounterRNG(child_seed(seed, "information/questions"), np.arange(min(count, 400))).uniform("analysis", q)
    pick = torch.as_tensor(np.sort(np.argsort(u, -1)[:, :size], -1))
    row = torch.arange(len(pick)) % len(blocks)
    chosen = blocks[row[:, None], pick]
    even = torch.full((len(chosen),), 1 / len(chosen), dtype=torch.float64)
    return replace(
        frame,
        blocks=chosen,
        block_share=even,
        questions=size,
        exact=False,
        note=f"a seeded sample of {len(chosen)} sub-blocks of {size} questions stands for blocks of {q}",
    )


def _all_blocks(frame, population, seed, limit):
    """Every sequence of menus (a rule that remembers or counts makes questions unequal)."""
    m, q = len(frame.menu), frame.questions
    answers = len(answer_space(population, frame.design))
    free = max(1, population.num_free())
    while q > 1 and answers**q * free > limit:
        q -= 1
    most = max(1, int(limit / (answers**q * free)))
    if m**q <= most:
        blocks = torch.as_tensor(np.indices((m,) * q).reshape(q, -1).T.copy())
        exact, note = frame.exact and q == frame.questions, frame.note
        share = frame.share[blocks].prod(-1)
    else:
        u = CounterRNG(child_seed(seed, "information/blocks"), np.arange(min(most, 2000))).uniform("analysis", q)
        blocks = torch.searchsorted(frame.share.cumsum(0), torch.as_tensor(u)).clamp_max(m - 1)
        exact, note = False, f"a seeded sample of {len(blocks)} menu blocks stands for all of them"
        share = torch.full((len(blocks),), 1 / len(blocks), dtype=torch.float64)
    return replace(frame, blocks=blocks, block_share=share, questions=q, exact=exact, note=note)


def merge_settings(frame: DesignSupport, **more: object) -> dict[str, object]:
    """What a result says of the frame."""
    return {"menus": len(frame.menu), "questions": frame.questions, "exact": frame.exact, "note": frame.note, **more}
