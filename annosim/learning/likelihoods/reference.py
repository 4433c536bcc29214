"""The likelihood of preference data under any population, in torch: the reference that every solver is held against.

An annotator's answers share one hidden type: ``log P(block) = log sum_c w_c prod_j P_c(answer_j | menu_j)``.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from annosim.annotators import PerAnnotator
from annosim.data.counts import distinct_rows
from annosim.data.preferences import PreferenceData
from annosim.errors import DataError, TiesError
from annosim.parameters import behaves_as
from annosim.populations.annotator import single_answers_say_all
from annosim.populations.base import Population, gather
from annosim.rules.answers import answered
from annosim.rules.base import Answer, Rule, View

__all__ = [
    "Blocks",
    "as_read_by",
    "block_log_likelihood",
    "block_sums",
    "check_answers",
    "joint_log_prob",
    "log_likelihood",
    "row_log_prob",
    "total_weight",
]

#: scores that a rule reads at once: many nodes of a few answers, or few of many
TOGETHER = 2**18


class Blocks:
    """Data prepared for repeated evaluation: tensors made once, rows grouped by annotator.

    Args:
        data: preference data without replicates.
        device: where to compute.
        named: the annotators are people (those of a law are not).

    Attributes:
        weight: ``(B,)`` weight of each annotator with an answer.
        block: ``(rows,)`` number of the block of each row.
        annotator: ``(B,)`` annotator number of each block.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]] * 3, answer=[0, 0, 1], annotator=[5, 5, 7])
        >>> Blocks(data).annotator.tolist()
        [5, 7]
    """

    def __init__(self, data: PreferenceData, device: str | torch.device = "cpu", named: bool = True):
        self.data, self.named = data, named
        self.view: View = data.view(device)
        self.answer: Answer = data.answers(device)
        ids, block = np.unique(np.asarray(data.annotator_ids), return_inverse=True)
        self.people = ids
        self.annotator = torch.as_tensor(ids.astype(np.int64), device=device)
        self.block = torch.as_tensor(block.astype(np.int64), device=device)
        self.weight = torch.as_tensor(np.asarray(data.annotator_weight)[ids], dtype=torch.float64, device=device)
        self._previous: torch.Tensor | None = None

    @property
    def count(self) -> int:
        """Number of blocks."""
        return len(self.annotator)

    @property
    def total(self) -> float:
        """Sum of the weights of all blocks."""
        return float(self.weight.sum())

    def with_weights(self, weight: torch.Tensor) -> Blocks:
        """The same answers under other weights of the annotators, ``(B,)``."""
        other = copy(self)
        other.weight = weight
        return other

    def counted(self, population: Population) -> Blocks:
        """The distinct rows, each a block with the weight of all its equals, where the population's likelihood is the same
        for these and they are at most half as many; else these blocks."""
        if not (self.named and _reads_rows_alone(population) and self._distinct):
            return self
        rows, number = self._distinct
        return rows.with_weights(torch.bincount(number, self.weight[self.block], len(rows.weight)))

    @cached_property
    def _distinct(self) -> tuple[Blocks, torch.Tensor] | None:
        first, number = distinct_rows(self.data)
        if 2 * len(first) > self.data.rows:
            return None
        rows = replace(self.data.take(first), annotator=None, annotator_names=None, order=None, weight=None, truth={})
        return Blocks(rows, self.block.device), torch.as_tensor(number, device=self.block.device)

    def with_memory(self) -> View:
        """The view with each row's previous answer by the same annotator (-1 at the first)."""
        if self._previous is None:
            by = np.lexsort((np.asarray(self.data.sequence), self.block.cpu().numpy()))
            ordered = self.answer.position[torch.as_tensor(by)]
            last = torch.full_like(ordered, -1)
            last[1:] = ordered[:-1]
            first = np.r_[True, np.diff(self.block.cpu().numpy()[by]) != 0]
            last[torch.as_tensor(first)] = -1
            self._previous = torch.empty_like(last)
            self._previous[torch.as_tensor(by)] = last
        return replace(self.view, previous=self._previous)


def _reads_rows_alone(population: Population) -> bool:
    """Whether an answer's probability depends on its row alone, not on who gives it or when. A rule from elsewhere may read
    anything, unless it does what one of the library's does."""
    personal = any(isinstance(part, PerAnnotator) and part.is_personal for part in population.modules())
    rules = [layer for one in population.components() for layer in one.rule.layers()]
    return not personal and all(map(_is_known, rules)) and single_answers_say_all(population)


def _is_known(rule: Rule) -> bool:
    own = next(kind for kind in type(rule).__mro__ if kind.__module__.startswith("annosim."))
    return own is not Rule and behaves_as(rule, own)


def check_answers(population: Population, data: PreferenceData) -> None:
    """Raise where a rule cannot give the answers in the data.

    Raises:
        AnswerKindError: the rule does not define the kind of feedback.
        TiesError: tied answers met a rule without ties.
        DataError: skipped answers met a rule without skips.
    """
    for component in population.components():
        component.rule.check_kind(data.feedback)
    if data.has_ties and not any(component.rule.ties for component in population.components()):
        tied, total = data.share_of(np.logical_or.reduce(np.asarray(data.tied), axis=-1))
        raise TiesError(
            f"{tied / total:.1%} of the answers are tied and the rule has no ties; ask for half wins with data.ties('half'), "
            "or fit a rule with ties (an.Davidson(delta=an.free(1.0)), an.rules.RaoKupper(theta=an.free(2.0)))"
        )
    largest = min((limit for one in population.components() if (limit := one.rule.largest_tie)), default=None)
    if largest is not None and data.largest_tie > largest:
        starts = ", ".join(["1.0"] * (data.largest_tie - 1))
        raise TiesError(
            f"a tie of {data.largest_tie}, and the rule knows ties of {largest}; give it a number for each size: "
            f"an.Davidson(delta=an.free([{starts}]))"
        )
    skipped = np.asarray(data.skipped)
    if skipped.any() and not any(component.rule.skips for component in population.components()):
        raise DataError(
            f"row {int(np.argmax(skipped))} (and {int(skipped.sum()) - 1} more) is a skip and the rule has none; drop "
            "them with data.take(~data.skipped), or fit a rule with skips"
        )


def row_log_prob(population: Population, blocks: Blocks) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of every row under every component, ``(C, rows)``, and log-weights ``(C,)``; differentiable.

    A component whose rule has no ties, or no skips, gives none: they have ``-inf`` there.
    """
    parts, weights = [], []
    for rule, index, weight, _ in population.indexed(blocks.data.items):
        answer, view = as_read_by(rule, blocks)
        never = _never_given(rule, blocks.answer)
        if never is not None:
            answer = answered(answer, view)
        for nodes in index.double().split(max(TOGETHER // max(view.menu.numel(), 1), 1)):
            found = rule.log_prob(gather(nodes, view.menu), answer, view)
            if never is not None:
                found = torch.where(never, -torch.inf, found)
            parts.append(found.expand(len(nodes), -1))  # what no utility moves may have no axis of nodes
        weights.append(weight)
    return torch.cat(parts), torch.cat(weights).log()


def _never_given(rule: Rule, answer: Answer) -> torch.Tensor | None:
    """``(rows,)`` ties and skips that the rule cannot give, or ``None`` where there are none."""
    never = torch.zeros(answer.position.shape[:1], dtype=torch.bool, device=answer.position.device)
    if answer.tied is not None and not rule.ties:
        never = never | answer.tied.any(-1)
    if not rule.skips:
        never = never | answer.skipped
    return never if bool(never.any()) else None


def as_read_by(rule: Rule, blocks: Blocks) -> tuple[Answer, View]:
    """The answers and the view as a rule reads them: marks of ties where it has ties, previous answers where it remembers."""
    view = blocks.with_memory() if rule.memory else blocks.view
    tied = blocks.answer.tied if rule.ties else None
    if rule.ties and tied is None:
        tied = torch.zeros((*view.menu.shape[:-1], view.k - 1), dtype=torch.bool)
    return Answer(blocks.answer.position, tied), view


def block_log_likelihood(population: Population, blocks: Blocks) -> torch.Tensor:
    """``log P(block)`` of every annotator, ``(B,)`` float64, differentiable in the population's parameters."""
    return torch.logsumexp(joint_log_prob(population, blocks), 0)


def joint_log_prob(population: Population, blocks: Blocks) -> torch.Tensor:
    """Log-probability of each component together with each block, ``(C, B)``.

    Where the shares depend on who one is (:class:`annosim.Gated`), each annotator has their own.
    """
    rows, log_weight = row_log_prob(population, blocks)
    own = population.annotator_weights(blocks.people) if blocks.named else None
    if own is None:
        return log_weight[:, None] + block_sums(rows, blocks)
    inside = [part.weight / part.weight.sum() for part in population.indexed(blocks.data.items)]
    component = torch.cat([torch.full((len(w),), number) for number, w in enumerate(inside)])
    return torch.cat(inside).log()[:, None] + own.log().T[component] + block_sums(rows, blocks)


def block_sums(rows: torch.Tensor, blocks: Blocks) -> torch.Tensor:
    """Row log-probabilities summed within blocks, ``(C, rows) -> (C, B)``."""
    if blocks.count == rows.shape[-1] and bool((blocks.block == torch.arange(blocks.count)).all()):
        return rows
    out = torch.zeros((*rows.shape[:-1], blocks.count), dtype=rows.dtype, device=rows.device)
    return out.index_add(-1, blocks.block, rows)


def total_weight(data: PreferenceData) -> float:
    """Sum of the weights of the annotators who have rows; ids without rows are ignored.

    Example:
        >>> import annosim as an
        >>> total_weight(an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, [0, 0, 1], annotator=[0, 0, 7]))
        2.0
    """
    if data.annotator is None:
        return float(data.rows) if data.weight is None else float(data.weight.sum())
    return float(np.asarray(data.annotator_weight)[np.unique(data.annotator)].sum())


def log_likelihood(population: Population, data: PreferenceData) -> float:
    """``sum_b weight_b log P(block_b)``.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]], answer=[0])
        >>> round(log_likelihood(an.Annotator(an.Tabular(2), an.Luce()), data), 6)
        -0.693147
    """
    check_answers(population, data)
    blocks = Blocks(data)
    with torch.no_grad():
        return float((blocks.weight * block_log_likelihood(population, blocks)).sum())
