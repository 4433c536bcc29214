"""Sequential designs: one question after another, each chosen from the answers so far, until the target is decided."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.designs.design import Design
from annosim.errors import ArgumentError, told
from annosim.learning.arguments import check_level
from annosim.learning.posterior.annotators import annotator_posterior
from annosim.learning.posterior.information import expected_information
from annosim.learning.posterior.questions import QuestionTarget, target_labels
from annosim.populations.base import Population
from annosim.random import CounterRNG
from annosim.results import Result, versions

__all__ = ["Interviews", "Sequential"]

Choice = Literal["best", "random"]


@dataclass(frozen=True)
class Sequential:
    """Ask one question after another, until an annotator's target is decided.

    The stopping rule is that of :func:`annosim.learning.next_question`, which may be looked at after every answer. A
    question may be asked again.

    Args:
        design: the questions that may be asked (its menus and its feedback) and how many annotators there are.
        target: ``"type"``, ``"policy"`` (the annotator's best item), or a function of utilities.
        alpha: probability of deciding wrongly, at most.
        choose: ``"best"`` (most expected information about the target) or ``"random"`` (the design's own menu law).
        most: questions after which one gives up.

    Raises:
        ArgumentError: names the argument.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s, 0.1 * s]), an.Luce()) for s in (2.0, -2.0)])
        >>> design = an.Design(an.Items(n=3), annotators=100)
        >>> table = an.plan(two, {c: Sequential(design, choose=c) for c in ("random", "best")})
        >>> table.best.name
        'best'
    """

    design: Design
    target: QuestionTarget = "type"
    alpha: float = 0.05
    choose: Choice = "best"
    most: int = 200

    def __post_init__(self) -> None:
        if not isinstance(self.design, Design):
            raise ArgumentError(f"Sequential(design={told(self.design)}): give an.Design(...)")
        check_level(self.alpha, "Sequential(alpha=", "an error between 0 and 1")
        if self.choose not in ("best", "random"):
            raise ArgumentError(f"Sequential(choose={told(self.choose)}): 'best' or 'random'")
        if self.target == "utility":
            raise ArgumentError(
                "Sequential(target='utility'): utilities are never decided; 'type', 'policy' or a function"
            )
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise ArgumentError(f"Sequential(most={told(self.most)}): a whole number of at least 1")

    def simulate(self, population: Population, annotators: int | None = None, *, seed: int = 0) -> Interviews:
        """Interview simulated annotators, whose tastes lie on the population's nodes.

        Args:
            population: who they are, and what the rule believes of them.
            annotators: how many; those of the design by default.
            seed: of the annotators, their answers, and of random questions.

        Raises:
            ArgumentError: a rule whose answers depend on earlier ones.
        """
        if any(component.rule.memory or component.rule.sequential for component in population.components()):
            raise ArgumentError(
                "Sequential: answers that depend on earlier ones, or on their place, are not planned for"
            )
        count = self.design.annotators if annotators is None else int(annotators)
        menus = self.design.enumerate()
        prior = annotator_posterior(population, items=self.design.items)
        tables, weight, _ = prior.tables(0, menus.menu, self.design.feedback, menus.covariates)
        labels, groups = target_labels(prior, 0, self.target)
        assert labels is not None  # utilities were refused
        averaged = self.target == "type"
        return _interview(self, tables, weight, labels, groups, menus.probability, count, seed, averaged)


@dataclass(frozen=True, eq=False, repr=False)
class Interviews(Result):
    """Simulated interviews.

    Attributes:
        questions: ``(R,)`` asked of each annotator.
        decided: ``(R,)`` bool: the target was decided.
        right: ``(R,)`` bool: and it is the truth.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (2.0, -2.0)])
        >>> done = an.planning.Sequential(an.Design(an.Items(n=2))).simulate(two, 200)
        >>> bool(done.decided.all()), bool(done.error_rate < 0.05)
        (True, True)
    """

    questions: NDArray[np.int64]
    decided: NDArray[np.bool_]
    right: NDArray[np.bool_]

    @property
    def error_rate(self) -> float:
        """Share of the annotators for whom something else than the truth was decided."""
        return float((self.decided & ~self.right).mean())

    def _lines(self) -> list[tuple[str, object]]:
        low, high = np.quantile(self.questions, [0.05, 0.95])
        return [
            ("annotators", len(self.questions)),
            ("questions each", f"{self.questions.mean():.3g} (90 %: {low:.0f} to {high:.0f})"),
            ("decided", f"{self.decided.mean():.1%}, wrongly {self.error_rate:.1%}"),
        ]


def _interview(
    plan: Sequential,
    tables: torch.Tensor,
    weight: torch.Tensor,
    labels: torch.Tensor,
    groups: int,
    menu_probability: torch.Tensor,
    count: int,
    seed: int,
    averaged: bool,
) -> Interviews:
    """All annotators at once, those who are decided left out: states ``S``, questions ``M``, answers ``A``."""
    people = CounterRNG(seed, np.arange(count))
    state = _pick(weight.expand(count, -1), torch.as_tensor(people.uniform53("type", 1)[:, 0]))
    draws = torch.as_tensor(people.uniform53("answer", 2 * plan.most)).reshape(count, plan.most, 2)
    log_likelihood = torch.zeros(count, len(weight), dtype=torch.float64)
    asked, decision = np.zeros(count, dtype=np.int64), np.full(count, -1)
    for step in range(plan.most):
        left = torch.as_tensor(np.flatnonzero(decision < 0))
        if not len(left):
            break
        chosen = _questions(
            plan.choose, tables, weight, labels, log_likelihood[left], menu_probability, draws[left, step, 0]
        )
        answer = _pick(tables[state[left], chosen], draws[left, step, 1])
        log_likelihood[left] += tables[:, chosen, answer].log().T
        asked[left.numpy()] += 1
        kept = ~_excluded(log_likelihood[left], weight, labels, groups, averaged, plan.alpha)
        done = kept.sum(-1) == 1
        decision[left[done].numpy()] = kept[done].long().argmax(-1).numpy()
    right = decision == labels[state].numpy()
    return Interviews(asked, decision >= 0, right, settings={"seed": seed, "choose": plan.choose, **versions()})


def _questions(
    choose: Choice,
    tables: torch.Tensor,
    weight: torch.Tensor,
    labels: torch.Tensor,
    log_likelihood: torch.Tensor,
    menu_probability: torch.Tensor,
    draws: torch.Tensor,
) -> torch.Tensor:
    """The question for each annotator, ``(R,)``."""
    if choose == "random":
        return _pick(menu_probability.expand(len(draws), -1), draws)
    posterior = torch.softmax(weight.log() + log_likelihood, -1)
    rows = max(1, 4_000_000 // (tables[0].numel() * max(2, int(labels.max()) + 1)))
    return torch.cat([expected_information(tables, part, labels).argmax(-1) for part in posterior.split(rows)])


def _excluded(
    log_likelihood: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, groups: int, averaged: bool, alpha: float
) -> torch.Tensor:
    """Which values of the target are excluded, ``(R, G)``; see :mod:`annosim.learning.posterior.questions`."""
    total = torch.logsumexp(weight.log() + log_likelihood, -1, keepdim=True)
    inside = [labels == g for g in range(groups)]
    best = torch.full((len(log_likelihood), groups), -math.inf, dtype=torch.float64)
    for g, at in enumerate(inside):
        if not bool(at.any()):
            continue
        if averaged:
            best[:, g] = torch.logsumexp(weight[at].log() + log_likelihood[:, at], -1) - weight[at].sum().log()
        else:
            best[:, g] = log_likelihood[:, at].amax(-1)
    return best <= total + math.log(alpha)


def _pick(p: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """A draw from each row of probabilities ``(R, n)``."""
    cdf = p.cumsum(-1)
    return (cdf < uniform[:, None] * cdf[:, -1:]).sum(-1).clamp_max(p.shape[-1] - 1)
