"""Fisher information of one annotator's block: exact by enumeration, or unbiased by simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from annosim.autodiff import forward_jacobian
from annosim.coordinates.identifiable import in_float64
from annosim.designs.design import Design
from annosim.errors import ArgumentError, NothingFreeError, TooLargeError, told
from annosim.information.jacobian import (
    factors,
    listed_law,
    symmetric_index,
    symmetric_size,
    symmetric_tangent,
    tangents,
    vectors,
)
from annosim.information.simulated import simulated_information
from annosim.information.support import DesignSupport, merge_settings, prepare
from annosim.populations.base import Population
from annosim.results import Result, versions

__all__ = ["Information", "enumerable", "fisher_information"]

#: numbers in the enumerated Jacobian above which the information is simulated
ENUMERATE = 5e6


@dataclass(frozen=True, eq=False, repr=False)
class Information(Result):
    """Fisher information of one annotator in the free parameters.

    Attributes:
        matrix: ``(P, P)`` float64.
        exact: by enumeration; otherwise an unbiased estimate.
        standard_error: ``(P, P)`` of the estimate, or ``None``.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(2), an.Luce())
        >>> fisher_information(one, an.Design(an.Items(n=2))).exact
        True
    """

    matrix: torch.Tensor
    exact: bool
    standard_error: torch.Tensor | None = None

    def _lines(self):
        how = "exact, by enumeration" if self.exact else f"unbiased, from {self.settings['draws']} simulated blocks"
        return [("parameters", len(self.matrix)), ("computed", how)]


def fisher_information(
    population: Population, design: Design | DesignSupport, *, method: str = "auto", draws: int = 20_000, seed: int = 0
) -> Information:
    r"""``E[score score']`` of one annotator's block of answers, menus included (they carry no information themselves).

    Enumerated where the outcomes are few enough; otherwise blocks are drawn from the design, for rules that remember
    earlier answers, too, and the mean of ``score score'`` is an unbiased estimate.

    Args:
        population: at whose parameters.
        design: a design, or a frame of :func:`~annosim.information.prepare`.
        method: ``"exact"``, ``"simulate"``, or ``"auto"`` (exact where the outcomes are few enough).
        draws: simulated blocks.
        seed: of the simulation.

    Raises:
        ArgumentError: another method, no draws, not a design.
        NothingFreeError: nothing is free.
        TooLargeError: ``method="exact"`` for a design whose menus or blocks are too many to list.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(2), an.Luce())
        >>> fisher_information(one, an.Design(an.Items(n=2))).matrix.round(decimals=6).tolist()
        [[0.25, -0.25], [-0.25, 0.25]]
    """
    if not isinstance(population, Population) or not isinstance(design, Design | DesignSupport):
        raise ArgumentError("fisher_information(population, design): give a population and an.Design(...)")
    if method not in ("auto", "exact", "simulate"):
        raise ArgumentError(f"fisher_information(method={told(method)}): auto, exact or simulate")
    if isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < 1:
        raise ArgumentError(f"fisher_information(draws={told(draws)}): a whole number of at least 1")
    population = in_float64(population)
    if not population.num_free():
        raise NothingFreeError("fisher_information: nothing is free in this population")
    frame = design if isinstance(design, DesignSupport) else prepare(population, design, seed=seed)
    if frame.design.loads is None:
        matrix, error = _block(population, frame, method, draws, seed)
    else:  # annotators with different numbers of questions: the mean over them
        loads = frame.design.load_shares
        parts = [_block(population, _shorter(population, frame, q, seed), method, draws, seed) for q in loads]
        share = loads.values()
        matrix = torch.stack([w * p[0] for w, p in zip(share, parts, strict=True)]).sum(0)
        errors = [w * p[1] for w, p in zip(share, parts, strict=True) if p[1] is not None]
        error = torch.stack(errors).square().sum(0).sqrt() if errors else None
    settings = merge_settings(frame, draws=draws, seed=seed, **versions())
    return Information(matrix, error is None, error, settings=settings)


def _shorter(population: Population, frame: DesignSupport, questions: int, seed: int) -> DesignSupport:
    """The frame of annotators with fewer questions."""
    if frame.blocks is None:
        return frame.with_questions(questions)
    return prepare(population, frame.design.of_load(questions), seed=seed)


def enumerable(population: Population, frame: DesignSupport, limit: float = ENUMERATE) -> bool:
    """Whether the frame leaves nothing out and the Jacobian of all its outcomes has at most ``limit`` numbers."""
    if not frame.exact:
        return False
    with torch.no_grad():
        table = factors(population, frame)[1]
    if frame.blocks is not None:
        outcomes = float(len(frame.blocks)) * table.shape[-1] ** frame.questions
    else:
        outcomes = float(symmetric_size(vectors(table, frame).shape[-1], frame.questions))
    return outcomes * population.num_free() <= limit


def _block(
    population: Population, frame: DesignSupport, method: str, draws: int, seed: int
) -> tuple[torch.Tensor, Any]:
    """The matrix, and its standard error when it was simulated."""
    if method == "exact" and not frame.exact:
        raise TooLargeError(f'fisher_information(method="exact"): {frame.note}; use method="simulate"')
    if method == "exact" or (method == "auto" and enumerable(population, frame)):
        return _exact(population, frame) if frame.blocks is None else _exact_listed(population, frame), None
    design = frame.design
    questions = design.num_questions if design.questions == "all" else _asked(frame)
    return simulated_information(population, design, questions, draws, seed)


def _asked(frame: DesignSupport) -> int:
    """Questions of a block: those of the frame, unless it looks at a part of the block only."""
    return frame.questions if frame.exact or frame.blocks is None else frame.design.num_questions


def _exact(population, frame: DesignSupport) -> torch.Tensor:
    """Over unordered outcomes: a block's probability does not depend on the order of its questions."""
    weight, f, dweight, df = tangents(population, population.vector(), frame)
    root = frame.share.sqrt().repeat_interleave(f.shape[1] // len(frame.share))
    f, df, q = f * root, df * root[:, None], frame.questions  # now P(menu) P(answer | menu)
    index, times = symmetric_index(f.shape[1], q)
    whole = f[:, index].prod(-1)
    rows = len(weight)  # each carries the root of its probability, 1 / rows
    p, times = (weight @ whole).flatten(), times.repeat(rows)
    dp = symmetric_tangent(weight, dweight, f, df, q) / times[:, None]
    live = p > 0
    scaled = dp[live] * (times[live] / p[live].sqrt())[:, None]
    return scaled.T @ scaled / rows**0.5


def _exact_listed(population, frame: DesignSupport) -> torch.Tensor:
    v = population.vector()
    function = lambda x: population.functional_call(x, lambda p: listed_law(*factors(p, frame), frame))  # noqa: E731
    p, dp = function(v).detach(), forward_jacobian(function, v)
    # listed_law carries the root of the block's share: share * (dp')^2 / p' is (dp)^2 / p, times the root once more
    given: Any = frame.block_share
    rows = len(factors(population, frame)[0])
    share = given.sqrt().repeat_interleave(len(p) // len(given) // rows).repeat(rows)
    live = p > 0
    scaled = dp[live] * (share[live] / p[live]).sqrt()[:, None]
    return scaled.T @ scaled / rows**0.5
