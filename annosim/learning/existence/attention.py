"""Whether an annotator's reliability has a finite estimate, and whose the prior decided.

With everything else at the estimate, the log-likelihood of one annotator's answers, ``sum_r log(q P_r + (1 - q) G_r)``,
is concave in the attention ``q = sigmoid(skill)``; its maximum is inside (0, 1) exactly where its slope is positive at
0 and negative at 1. Elsewhere the skill has no finite estimate: the annotator contradicts the rule too little, or
follows it too little, or gave no answers. In a mixture each answer counts with the probability that its annotator is of
the type, as in EM, whose fixed points are those of the likelihood.
"""

from __future__ import annotations

from typing import Any

import torch

from annosim.errors import ArgumentError, NotIdentifiedError
from annosim.learning.likelihoods.reference import Blocks, joint_log_prob
from annosim.learning.priors import Prior
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population, gather
from annosim.rules.base import Answer
from annosim.rules.reliability import Reliability

__all__ = ["check_attention", "refuse_named", "unbounded_annotators"]


def unbounded_annotators(population: Population, blocks: Blocks) -> tuple[list[int], list[int], list[int]]:
    """Annotators whose skill the likelihood sends up for ever, down for ever, or says nothing of.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, answer=[0, 0, 1], annotator=[0, 0, 1])
        >>> people = an.Annotator(an.Tabular([1.0, 0.0]), an.rules.Reliability(an.Luce(), an.free([0.0, 0.0, 0.0])))
        >>> unbounded_annotators(people, Blocks(data))
        ([0], [1], [2])
    """
    if not isinstance(population, Annotator) or not isinstance(population.rule, Reliability):
        return [], [], []
    return _unbounded(population, blocks, torch.as_tensor(blocks.data.row_weight).double())


def _unbounded(population: Annotator, blocks: Blocks, weight: torch.Tensor) -> tuple[list[int], list[int], list[int]]:
    rule: Any = population.rule
    if not rule.skill.requires_grad:
        return [], [], []
    size = rule.skill.numel()
    who = torch.zeros(len(blocks.block), dtype=torch.long)
    if size > 1 and blocks.view.annotator is not None:
        who = blocks.view.annotator
    tied = blocks.answer.tied
    if rule.ties and tied is None:
        tied = torch.zeros((*blocks.view.menu.shape[:-1], blocks.view.k - 1), dtype=torch.bool)
    answer = Answer(blocks.answer.position, tied if rule.ties else None)
    view = blocks.with_memory() if rule.memory else blocks.view
    with torch.no_grad():
        scores = gather(population.index(blocks.data.items).double(), view.menu)
        ratio = (rule.rule.log_prob(scores, answer, view).double() - rule.log_guess(answer, view)).exp()
    weight = weight * ~answer.skipped
    blank = torch.zeros(size, dtype=torch.float64)
    low = blank.index_add(0, who, torch.where(weight > 0, weight * (ratio - 1.0), 0.0))  # slope at q = 0
    high = blank.index_add(0, who, torch.where(weight > 0, weight * (1.0 - 1.0 / ratio), 0.0))  # slope at q = 1
    seen = blank.index_add(0, who, weight) > 0
    at = lambda mask: torch.nonzero(mask).flatten().tolist()  # noqa: E731
    return at(seen & (high >= 0)), at(seen & (low <= 0) & (high < 0)), at(~seen)


def _of_all_types(population: Population, blocks: Blocks) -> tuple[list[Any], list[Any], list[Any]]:
    """Of every type, each answer counted with the probability that its annotator is of the type (EM's own question)."""
    if isinstance(population, Annotator):
        return unbounded_annotators(population, blocks)
    found: tuple[list[str], list[str], list[str]] = ([], [], [])
    components = population.components()
    if not any(isinstance(component.rule, Reliability) for component in components):
        return [], [], []
    with torch.no_grad():
        joint = torch.softmax(joint_log_prob(population, blocks), 0)
    which = [part.number for part in population.indexed(blocks.data.items) for _ in part.weight]
    for number, component in enumerate(components):
        if isinstance(component, Annotator) and isinstance(component.rule, Reliability):
            share = joint[torch.tensor(which) == number].sum(0)[blocks.block]
            parts = _unbounded(component, blocks, torch.as_tensor(blocks.data.row_weight).double() * share)
            for ids, more in zip(found, parts, strict=True):
                ids += [f"{who} as type {number}" for who in more]
    return found


def check_attention(population: Population, blocks: Blocks, prior: Prior | None) -> list[str]:
    """Notes on whose skill the prior decided; without a prior, an error that names them.

    Raises:
        NotIdentifiedError: some skill has no finite estimate and there is no prior.
    """
    up, down, silent = _of_all_types(population, blocks)
    if not (up or down or silent):
        return []
    found = "; ".join(
        f"{text} {_listed(ids)}"
        for ids, text in (
            (up, "nothing speaks against full attention of"),
            (down, "nothing speaks for any attention of"),
            (silent, "no answers from"),
        )
        if ids
    )
    if prior is None:
        raise NotIdentifiedError(
            f"fit: {len(up) + len(down) + len(silent)} annotator(s) have no finite skill: {found}; pass "
            "prior=an.priors.Gaussian(sd), drop them, or give them one skill together, Reliability(rule, an.free(0.0))"
        )
    return [f"prior {prior} decided how finite the skill is where the data do not: {found}"]


def refuse_named(population: Population) -> None:
    """A law has no named annotators: refuse to project onto one skill per person.

    Raises:
        ArgumentError: some rule has more than one skill.
    """
    for component in population.components():
        if (
            isinstance(component.rule, Reliability)
            and max(p.numel() for p in (component.rule.skill, *component.rule.biases())) > 1
        ):
            raise ArgumentError(
                "project: Reliability has a skill per annotator, and a law has no named annotators; give one skill, "
                "Reliability(rule, an.free(0.0)), or fit simulated data"
            )


def _listed(ids: list[Any]) -> str:
    return ", ".join(map(str, ids[:8])) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
