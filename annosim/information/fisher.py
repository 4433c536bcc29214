"""Fisher information of one annotator's block: exact by enumeration, or unbiased by simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from annosim.designs import Design
from annosim.errors import NothingFreeError
from annosim.information.frames import Frame, double, merge_settings, prepare
from annosim.information.jacobian import (
    factors,
    forward_jacobian,
    listed_law,
    symmetric_index,
    symmetric_size,
    symmetric_tangent,
    tangents,
    vectors,
)
from annosim.populations import Population
from annosim.random import Address, child_seed
from annosim.results import Result, versions

__all__ = ["Information", "fisher_information"]

#: numbers in the enumerated Jacobian above which the information is simulated
ENUMERATE = 5e6


@dataclass(frozen=True, eq=False, repr=False)
class Information(Result):
    """Fisher information of one annotator in the free parameters.

    Attributes:
        matrix: ``(P, P)`` float64.
        exact: by enumeration; otherwise an unbiased estimate.
        standard_error: ``(P, P)`` of the estimate, or ``None``.
    """

    matrix: torch.Tensor
    exact: bool
    standard_error: torch.Tensor | None = None

    def _lines(self):
        how = "exact, by enumeration" if self.exact else f"unbiased, from {self.settings['draws']} simulated blocks"
        return [("parameters", len(self.matrix)), ("computed", how)]


def fisher_information(
    population: Population, design: Design | Frame, *, method: str = "auto", draws: int = 20_000, seed: int = 0
) -> Information:
    r"""``E[score score']`` of one annotator's block of answers, menus included (they carry no information themselves).

    Args:
        population: at whose parameters.
        design: a design, or a frame of :func:`~annosim.information.prepare`.
        method: ``"exact"``, ``"simulate"``, or ``"auto"`` (exact where the outcomes are few enough).
        draws: simulated blocks.
        seed: of the simulation.

    Raises:
        NothingFreeError: nothing is free.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(2), an.Luce())
        >>> fisher_information(one, an.Design(an.Items(n=2))).matrix.round(decimals=6).tolist()
        [[0.25, -0.25], [-0.25, 0.25]]
    """
    population = double(population)
    if not population.num_free():
        raise NothingFreeError("fisher_information: nothing is free in this population")
    frame = design if isinstance(design, Frame) else prepare(population, design, seed=seed)
    loads = frame.design.loads if frame.blocks is None else None
    if loads is None:
        matrix, error, exact = _block(population, frame, method, draws, seed)
    else:  # annotators with different numbers of questions: the mean over them
        sizes, counts = np.unique(np.asarray(loads), return_counts=True)
        parts = [_block(population, frame.with_questions(int(q)), method, draws, seed) for q in sizes]
        share = counts / counts.sum()
        matrix = sum(w * p[0] for w, p in zip(share, parts, strict=True))
        exact = all(p[2] for p in parts)
        errors = [w * p[1] for w, p in zip(share, parts, strict=True) if p[1] is not None]
        error = torch.stack(errors).square().sum(0).sqrt() if errors else None
    return Information(
        matrix, exact and frame.exact, error, settings=merge_settings(frame, draws=draws, seed=seed, **versions())
    )


def _block(population, frame: Frame, method: str, draws: int, seed: int) -> tuple[torch.Tensor, Any, bool]:
    free = population.num_free()
    if frame.blocks is not None:
        small = _listed_size(population, frame) * free <= ENUMERATE
        if method == "exact" or (method == "auto" and small):
            return _exact_listed(population, frame), None, True
        return (*_simulated(population, frame, draws, seed), False)
    size = symmetric_size(_dimension(population, frame), frame.questions) * free
    if method == "exact" or (method == "auto" and size <= ENUMERATE):
        return _exact(population, frame), None, True
    return (*_simulated(population, frame, draws, seed), False)


def _dimension(population, frame: Frame) -> int:
    with torch.no_grad():
        return vectors(factors(population, frame)[1], frame).shape[-1]


def _listed_size(population, frame: Frame) -> int:
    with torch.no_grad():
        answers = factors(population, frame)[1].shape[-1]
    return len(frame.blocks) * answers**frame.questions if frame.blocks is not None else 0


def _exact(population, frame: Frame) -> torch.Tensor:
    """Over unordered outcomes: a block's probability does not depend on the order of its questions."""
    weight, f, dweight, df = tangents(population, population.vector(), frame)
    root = frame.share.sqrt().repeat_interleave(f.shape[1] // len(frame.share))
    f, df, q = f * root, df * root[:, None], frame.questions  # now P(menu) P(answer | menu)
    index, times = symmetric_index(f.shape[1], q)
    whole = f[:, index].prod(-1)
    p = (weight[:, None] * whole).sum(0)
    dp = symmetric_tangent(weight, dweight, f, df, q) / times[:, None]
    live = p > 0
    scaled = dp[live] * (times[live] / p[live].sqrt())[:, None]
    return scaled.T @ scaled


def _exact_listed(population, frame: Frame) -> torch.Tensor:
    v = population.vector()
    function = lambda x: population.at(x, lambda p: listed_law(*factors(p, frame), frame))  # noqa: E731
    p, dp = function(v).detach(), forward_jacobian(function, v)
    # listed_law carries the root of the block's share: share * (dp')^2 / p' is (dp)^2 / p, times the root once more
    given: Any = frame.block_share
    share = given.sqrt().repeat_interleave(len(p) // len(given))
    live = p > 0
    scaled = dp[live] * (share[live] / p[live]).sqrt()[:, None]
    return scaled.T @ scaled


def _simulated(population, frame: Frame, draws: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of score score' over blocks drawn from the law."""
    v = population.vector()

    def function(x):
        weight, table = population.at(x, lambda p: factors(p, frame))
        return weight, table[0, -1]

    if frame.blocks is not None and bool(population.leaves()[0].rule.memory):
        raise NothingFreeError("fisher_information: a rule with memory needs a design small enough to enumerate")
    weight, table = (t.detach() for t in function(v))
    dweight, dtable = (t.detach() for t in forward_jacobian(function, v))
    address = Address(child_seed(seed, "fisher"), np.arange(draws))
    pick = lambda name, k, cdf: torch.searchsorted(  # noqa: E731
        cdf, torch.as_tensor(address.uniform(name, 1, k)[:, 0]) * cdf[-1]
    ).clamp_max(len(cdf) - 1)
    kind = pick("type", 0, weight.cumsum(0))
    block = None if frame.blocks is None else frame.blocks[pick("menu", 0, frame.block_share.cumsum(0))]  # type: ignore[union-attr]
    joint = torch.ones(len(weight), draws, dtype=torch.float64)
    dlog = torch.zeros(len(weight), draws, len(v), dtype=torch.float64)
    for j in range(frame.questions):
        menu = pick("menu", j, frame.share.cumsum(0)) if block is None else block[:, j]
        cdf = table[kind, menu].cumsum(-1)
        u = torch.as_tensor(address.uniform53("answer", 1, j)) * cdf[:, -1:]
        answer = torch.searchsorted(cdf, u).squeeze(-1).clamp_max(cdf.shape[-1] - 1)
        p = table[:, menu, answer]
        joint = joint * p
        dlog = dlog + dtable[:, menu, answer] / p.clamp_min(1e-300).unsqueeze(-1)
    total = (weight[:, None] * joint).sum(0)
    score = ((dweight[:, None] + weight[:, None, None] * dlog) * joint.unsqueeze(-1)).sum(0) / total.unsqueeze(-1)
    mean = score.T @ score / draws
    squares = (score**2).T @ (score**2) / draws
    return mean, ((squares - mean**2).clamp_min(0) / draws).sqrt()
