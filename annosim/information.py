r"""How the law of the answers moves with the parameters: its Jacobian, distances between laws, Fisher information.

Given the type, answers are independent, so the law of a block of ``q`` questions is a weighted sum of tensor powers,
``L = sum_c w_c f_c^{(x)q}`` with ``f_c(menu, answer) = sqrt(P(menu)) P_c(answer | menu)``. All of it happens inside the
span of the vectors ``f_c`` and of their derivatives: a QR of these few columns turns a law of billions of outcomes into
a small symmetric tensor with the same singular values (never a Gram difference, which only reaches 1e-8).

Lengths are in the norm ``|L|^2 = E_menus sum_answers P(answers | menus)^2``: it does not grow with the number of menus.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from annosim.designs import Design
from annosim.errors import ArgumentError, NothingFreeError, TooLargeError
from annosim.law import answer_space, on_menus
from annosim.populations import Population
from annosim.random import Address, child_seed

__all__ = ["Frame", "factors", "law_distance", "law_jacobian", "prepare"]

#: numbers that one array may hold before menus are sampled instead
LIMIT = 6e7


@dataclass(frozen=True, eq=False)
class Frame:
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
    """

    design: Design
    menu: torch.Tensor
    share: torch.Tensor
    questions: int
    blocks: torch.Tensor | None = None
    block_share: torch.Tensor | None = None
    exact: bool = True
    note: str = ""

    def with_questions(self, questions: int) -> Frame:
        """The same menus with another number of independent questions."""
        return replace(self, questions=questions)


# ---- preparing a design ------------------------------------------------------------------------------------------


def double(population: Population) -> Population:
    """A float64 copy: float32 weights would blur ranks at 1e-8."""
    import copy

    return copy.deepcopy(population).double()


def prepare(
    population: Population, design: Design, *, questions: int | None = None, seed: int = 0, limit: float = LIMIT
) -> Frame:
    """Enumerate (or, when there are too many, sample at ``seed``) the menus and blocks of a design.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(4), an.Luce())
        >>> prepare(one, an.Design(an.Items(n=4))).menu.shape
        torch.Size([6, 2])
    """
    menu, share, exact, note = _menus(population, design, seed, limit)
    q = design.num_questions if questions is None else int(questions)
    rules = [leaf.rule for leaf in population.leaves()]
    frame = Frame(design, menu, share, q, exact=exact, note=note)
    if design.questions == "all":
        frame = replace(frame, menu=design.menus, share=design.menu_weights)
        block = torch.arange(len(design.menus))[None]
        return _listed(frame, block, torch.ones(1, dtype=torch.float64), population, seed, limit)
    if q > 1 and any(rule.memory or rule.sequential for rule in rules):
        return _all_blocks(frame, population, seed, limit)
    return frame


def _menus(population, design, seed, limit):
    """Distinct menus and shares; unordered ones when the order shown does not matter."""
    width = design.feedback.count(design.menu_size, any(leaf.rule.ties for leaf in population.leaves()))
    numbers = max(1, population.num_free()) * len(population.leaves()) * max(width, 1)
    most = max(50, int(limit / numbers))
    plain = exchangeable(population, design)
    order = math.factorial(design.menu_size) if plain else 1
    try:
        found = design.enumerate(max_menus=min(2e7, 4.0 * most * order))
        menu, share, exact = found.menu, found.probability, True
    except TooLargeError:
        draws = Address(child_seed(seed, "information/menus"), np.arange(most))
        menu, exact = design.sample(draws), False
        share = torch.full((len(menu),), 1 / len(menu), dtype=torch.float64)
    if plain:
        menu, share = _merge(menu.sort(-1).values if design.menu_size > 1 else menu, share)
    if len(menu) > most:
        keep = _subset(len(menu), most, seed)
        menu, share, exact = menu[keep], share[keep] / share[keep].sum(), False
    note = "" if exact else f"a seeded sample of {len(menu)} menus stands for all of them"
    return menu, share, exact, note


def _merge(menu: torch.Tensor, share: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    distinct, code = menu.unique(dim=0, return_inverse=True)
    return distinct, torch.zeros(len(distinct), dtype=torch.float64).scatter_add(0, code, share)


def _subset(count: int, size: int, seed: int) -> torch.Tensor:
    u = Address(child_seed(seed, "information/subset"), np.arange(count)).uniform("analysis", 1)[:, 0]
    return torch.as_tensor(np.sort(np.argsort(u)[:size]))


def exchangeable(population: Population, design: Design) -> bool:
    """Whether a menu shown in reverse order gets the same answers (probed on the design's menus; pads count as order).

    Ratings and answers of other rules are compared item by item, so any position effect is seen.
    """
    if design.feedback.kind not in ("choice", "ranking", "top") or any(
        leaf.rule.ties or leaf.rule.skips or leaf.rule.sequential for leaf in population.leaves()
    ):
        return False
    if design.menus is not None and (design.questions == "all" or bool((design.menus < 0).any())):
        return False
    menu = design.sample(Address(0, np.arange(24)))
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
    """Blocks listed one by one; questions beyond the limit are left out (the law of the rest is then a margin of it)."""
    answers = len(answer_space(population, frame.design))
    free = max(1, population.num_free())
    q = blocks.shape[1]
    keep = max(1, min(q, int(math.log(max(limit / free / len(blocks), answers)) / math.log(answers) + 1e-9)))
    if keep == q:
        return replace(frame, blocks=blocks, block_share=share, questions=q)
    count = max(1, int(limit / 8 / free / answers**3))
    size = min(3, q)
    u = Address(child_seed(seed, "information/questions"), np.arange(min(count, 400))).uniform("analysis", q)
    pick = torch.as_tensor(np.sort(np.argsort(u, -1)[:, :size], -1))
    row = torch.arange(len(pick)) % len(blocks)
    chosen = blocks[row[:, None], pick]
    even = torch.full((len(chosen),), 1 / len(chosen), dtype=torch.float64)
    return replace(
        frame, blocks=chosen, block_share=even, questions=size, exact=False,
        note=f"a seeded sample of {len(chosen)} sub-blocks of {size} questions stands for blocks of {q}",
    )  # fmt: skip


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
        u = Address(child_seed(seed, "information/blocks"), np.arange(min(most, 2000))).uniform("analysis", q)
        blocks = torch.searchsorted(frame.share.cumsum(0), torch.as_tensor(u)).clamp_max(m - 1)
        exact, note = False, f"a seeded sample of {len(blocks)} menu blocks stands for all of them"
        share = torch.full((len(blocks),), 1 / len(blocks), dtype=torch.float64)
    return replace(frame, blocks=blocks, block_share=share, questions=q, exact=exact, note=note)


# ---- the law on factors ------------------------------------------------------------------------------------------


def factors(population: Population, frame: Frame) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights ``(C,)`` and probabilities ``(J, V, C, M, A)`` of one question; differentiable, and works under vmap."""
    one = on_menus(population, frame.design, frame.menu, frame.share)
    return one.weight, one.table.exp()


def vectors(table: torch.Tensor, frame: Frame) -> torch.Tensor:
    """``f_c``: the first question's table times the root of the menus' shares, ``(..., C, M * A)``."""
    return (table[..., 0, -1, :, :, :] * frame.share.sqrt()[:, None]).flatten(-2)


@lru_cache(maxsize=64)
def _symmetric(r: int, q: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sorted multi-indices of a symmetric ``r^q`` tensor ``(N, q)``, and the root of how often each occurs."""
    if q == 1:
        return torch.arange(r)[:, None], torch.ones(r, dtype=torch.float64)
    index = np.array(list(itertools.combinations_with_replacement(range(r), q)), dtype=np.int64).reshape(-1, q)
    count = np.full(len(index), float(math.factorial(q)))
    run = np.ones(len(index))
    for j in range(1, q):
        run = np.where(index[:, j] == index[:, j - 1], run + 1, 1.0)
        count /= run
    return torch.as_tensor(index), torch.as_tensor(np.sqrt(count))


def symmetric_size(r: int, q: int) -> int:
    """Distinct entries of a symmetric tensor with ``q`` indices of ``r`` values."""
    return math.comb(r + q - 1, q)


def symmetric_law(weight: torch.Tensor, f: torch.Tensor, q: int) -> torch.Tensor:
    """``sum_c w_c f_c^{(x)q}`` in the coordinates of symmetric tensors: ``(C,), (C, r) -> (N,)``, isometric."""
    index, root = _symmetric(f.shape[-1], q)
    product = f[..., index[:, 0]]
    for j in range(1, q):
        product = product * f[..., index[:, j]]
    return (weight.unsqueeze(-2) @ product).squeeze(-2) * root


def symmetric_tangent(
    weight: torch.Tensor, dweight: torch.Tensor, f: torch.Tensor, df: torch.Tensor, q: int
) -> torch.Tensor:
    """Derivative of :func:`symmetric_law`: ``(C,), (C, P), (C, r), (C, r, P) -> (N, P)``."""
    index, root = _symmetric(f.shape[-1], q)
    parts = [f[..., index[:, j]] for j in range(q)]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole * part
    out = whole.transpose(-1, -2) @ dweight
    for j in range(q):
        rest = weight.unsqueeze(-1).expand(parts[0].shape)
        for i in range(q):
            if i != j:
                rest = rest * parts[i]
        out = out + (rest.unsqueeze(-1) * df[..., index[:, j], :]).sum(-3)
    return out * root.unsqueeze(-1)


def listed_law(weight: torch.Tensor, table: torch.Tensor, frame: Frame) -> torch.Tensor:
    """The law on listed blocks, ``(B * A^q,)``, entries times the root of the block's share; differentiable."""
    assert_blocks = frame.blocks
    if assert_blocks is None:
        raise ArgumentError("listed_law: the frame lists no blocks")
    joint = None
    answers = table.shape[-1]
    for j in range(frame.questions):
        part = table[j if table.shape[0] > 1 else 0]
        menus = assert_blocks[:, j]
        if part.shape[0] == 1 or joint is None:
            now = part[-1][:, menus]  # (C, B, A)
            joint = now if joint is None else (joint.unsqueeze(-1) * now.unsqueeze(-2)).flatten(-2)
            continue
        now = part[:answers][:, :, menus].permute(1, 2, 0, 3)  # (C, B, previous, A)
        shape = joint.shape
        split = joint.reshape(*shape[:-1], -1, answers)
        joint = (split.unsqueeze(-1) * now.unsqueeze(-3)).flatten(-3)
    if joint is None or frame.block_share is None:
        raise ArgumentError("listed_law: no questions")
    mixed = (weight[:, None, None] * joint).sum(0)
    return (mixed * frame.block_share.sqrt()[:, None]).flatten()


# ---- Jacobian ----------------------------------------------------------------------------------------------------


def law_jacobian(population: Population, frame: Frame, *, questions: int | None = None) -> torch.Tensor:
    """Jacobian of the law in the free parameters, ``(rows, P)`` float64, up to a rotation of the rows.

    Raises:
        NothingFreeError: nothing is free.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(3), an.Luce())
        >>> J = law_jacobian(one, prepare(one, an.Design(an.Items(n=3))))
        >>> int(torch.linalg.matrix_rank(J))
        2
    """
    population = double(population)
    if not population.num_free():
        raise NothingFreeError("the Jacobian of a law needs a free parameter; nothing is free in this population")
    v = population.vector()
    if frame.blocks is not None:
        function = lambda x: population.at(x, lambda p: listed_law(*factors(p, frame), frame))  # noqa: E731
        return forward_jacobian(function, v)
    weight, f, dweight, df = tangents(population, v, frame)
    f, df = compress(f, df)
    return symmetric_tangent(weight, dweight, f, df, questions or frame.questions)


def forward_jacobian(function: Any, v: torch.Tensor) -> Any:
    """Jacobian by forward differentiation, parameters last; rules without forward derivatives go through reverse mode."""
    try:
        return torch.func.jacfwd(function)(v)
    except (NotImplementedError, RuntimeError) as error:
        if "forward" not in str(error).lower():
            raise
        return torch.func.jacrev(function, chunk_size=64)(v)


def tangents(population: Population, v: torch.Tensor, frame: Frame):
    """``weight (C,), f (C, D), dweight (C, P), df (C, D, P)`` at the parameter vector ``v``."""

    def function(x):
        weight, table = population.at(x, lambda p: factors(p, frame))
        return weight, vectors(table, frame)

    weight, f = function(v)
    dweight, df = forward_jacobian(function, v)
    return weight.detach(), f.detach(), dweight.detach(), df.detach()


def compress(f: torch.Tensor, df: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same vectors in an orthonormal frame of their span: ``(C, r), (C, r, P)``."""
    c, d = f.shape
    flat = df.permute(1, 0, 2).reshape(d, -1)
    live = (flat != 0).any(0)
    columns = torch.cat([f.T, flat[:, live]], 1)
    if columns.shape[1] >= d:
        return f, df
    r = torch.linalg.qr(columns, mode="r")[1]
    packed = torch.zeros(len(r), flat.shape[1], dtype=f.dtype)
    packed[:, live] = r[:, c:]
    return r[:, :c].T.contiguous(), packed.reshape(len(r), c, -1).permute(1, 0, 2).contiguous()


# ---- distance ----------------------------------------------------------------------------------------------------


def law_distance(first: Population, second: Population, design: Design | Frame, *, seed: int = 0) -> float:
    r"""Distance of two laws: the root of ``E_menus sum_answers (P(answers | menus) - Q(answers | menus))^2``.

    Zero exactly when the laws agree; rounding leaves about 1e-16, since both populations are read in one frame.

    Example:
        >>> import annosim as an
        >>> a = an.Annotator(an.Tabular([0., 1.]), an.Luce()); b = an.Annotator(an.Tabular([1., 2.]), an.Luce())
        >>> law_distance(a, b, an.Design(an.Items(n=2))) < 1e-15
        True
    """
    both = _both(first, second)
    frame = design if isinstance(design, Frame) else prepare(both, design, seed=seed)
    with torch.no_grad():
        weight, table = factors(both, frame)  # one call: the same answers are listed for both
        split = sum(len(c.weight) for c in first.components(frame.design.items))
        weight = 2 * torch.cat([weight[:split], -weight[split:]])
        if frame.blocks is not None:
            return float(listed_law(weight, table, frame).norm())
        f = vectors(table, frame)
        if len(f) < f.shape[1]:
            f = torch.linalg.qr(f.T, mode="r")[1].T
        q = frame.questions
        # atoms are len(weight): laws of more questions agree exactly when those of len(weight) - 1 do
        while q > 1 and symmetric_size(f.shape[1], q) > 2e6:
            q -= 1
        return float(symmetric_law(weight, f, q).norm())


def _both(first: Population, second: Population) -> Population:
    from annosim.parameters import fixed
    from annosim.populations import Mixture

    return Mixture([double(first), double(second)], weights=fixed([0.5, 0.5]))


def common_frame(first: Population, second: Population, design: Design, seed: int = 0) -> Frame:
    """A frame that serves two populations: their order effects, memories and answers."""
    return prepare(_both(first, second), design, seed=seed)


def merge_settings(frame: Frame, **more: Any) -> dict[str, Any]:
    """What a result says of the frame."""
    return {"menus": len(frame.menu), "questions": frame.questions, "exact": frame.exact, "note": frame.note, **more}
