"""What is known of annotators, given a population and their answers: types, tastes, utilities, predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.annotators import PerAnnotator
from annosim.arrays import Numbers
from annosim.coordinates import centred
from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, told
from annosim.feedback import AnswerSpace, Feedback
from annosim.items import Items
from annosim.learning.likelihoods.reference import Blocks, check_answers
from annosim.learning.posterior.asked import Menus, Shown, answer_space, as_design, asked_of, asked_view
from annosim.learning.posterior.nodes import ComponentNodes, component_nodes
from annosim.learning.posterior.prediction import Prediction
from annosim.learning.structure import free_table
from annosim.populations.annotator import Annotator
from annosim.populations.base import Component, Population, gather
from annosim.populations.gated import Gated
from annosim.results import Result, versions
from annosim.simulation.draws import to_cpu
from annosim.utilities.linear import Linear
from annosim.utilities.tabular import Tabular

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AnnotatorPosterior", "annotator_posterior"]

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class AnnotatorPosterior(Result):
    """What is known of each annotator, given the population and their answers.

    The population is taken as known: the error of its estimates is not in these numbers
    (:func:`annosim.sample_posterior` has it).

    Attributes:
        annotators: their names, ``B`` of them.
        num_answers: ``(B,)`` how many answers each has given.
        types: ``(B, C)`` probability of each component.
        log_evidence: ``(B,)`` log-probability of the annotator's answers under the population.
        method: ``"enumeration"`` (exact), ``"quadrature"`` (exact up to rounding and the rule of integration), or
            ``"importance sampling"``.
        effective: ``(B,)`` effective number of draws of the importance sampling, of 2048; infinite where it is exact.
        items: the items.
        population: who they are drawn from.
        feedback: the kind of the answers.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -1.0)], [0.7, 0.3])
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, [1, 1], annotator=[0, 0])
        >>> an.learning.annotator_posterior(two, data).types.round(3).tolist()
        [[0.945, 0.055]]
    """

    annotators: tuple[str, ...]
    num_answers: NDArray[np.int64]
    types: Vector
    log_evidence: Vector
    method: str
    effective: Vector
    items: Items
    population: Population
    feedback: Feedback
    parts: tuple[ComponentNodes, ...] = field(repr=False)

    # ---- tastes and utilities --------------------------------------------------------------------------------------

    @property
    def taste_mean(self) -> Vector:
        """Posterior mean of each annotator's tastes, ``(B, p)``: coefficients of random tastes, weights of linear types.

        Raises:
            ArgumentError: the components have no tastes, or not the same ones.
        """
        return self._taste_moments[0]

    @property
    def taste_sd(self) -> Vector:
        """Posterior standard deviation of each annotator's tastes, ``(B, p)``."""
        mean, square = self._taste_moments
        return np.sqrt(np.maximum(square - mean**2, 0.0))

    @property
    def utility_mean(self) -> Vector:
        """Posterior mean of each annotator's utilities, as their rule reads them, ``(B, n)``.

        They are centred in each prompt, unless their level changes the answers (ratings).
        """
        return self._utility_moments[0]

    @property
    def utility_sd(self) -> Vector:
        """Posterior standard deviation of each annotator's utilities, ``(B, n)``."""
        mean, square = self._utility_moments
        return np.sqrt(np.maximum(square - mean**2, 0.0))

    @cached_property
    def best_item(self) -> Vector:
        """Probability that an item is the annotator's best of its prompt, ``(B, n)``."""
        return self.average(lambda u: _is_best(u, self.items))

    @cached_property
    def _utility_moments(self) -> tuple[Vector, Vector]:
        both = self.average(lambda u: torch.cat([u, u.square()], -1))
        return both[:, : self.items.n], both[:, self.items.n :]

    @cached_property
    def _taste_moments(self) -> tuple[Vector, Vector]:
        parts = []
        for part in self.parts:
            tastes = _tastes_of(part)
            if tastes is None:
                raise ArgumentError(
                    f"tastes: {type(part.component).__name__} number {part.number} has no coefficients; read utility_mean "
                    "and utility_sd"
                )
            weight = torch.as_tensor(self.types)[:, part.number, None, None] * part.weight[..., None]
            parts.append(((weight * tastes).sum(1), (weight * tastes.square()).sum(1)))
        if len({mean.shape for mean, _ in parts}) > 1:
            raise ArgumentError("tastes: the types have different numbers of coefficients; read utility_mean")
        return sum(m for m, _ in parts).numpy(), sum(s for _, s in parts).numpy()  # type: ignore[union-attr]

    def average(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Vector:
        """Posterior mean of a function of the utilities for each annotator, ``(B, q)``.

        Args:
            function: of utilities ``(..., n)``, centred as in :attr:`utility_mean`, to ``(..., q)``.
        """
        total = None
        for part in self.parts:
            rows = [self._average_of(part, slice(b, b + 64), function) for b in range(0, len(self.annotators), 64)]
            mean = torch.as_tensor(self.types)[:, part.number, None] * torch.cat(rows)
            total = mean if total is None else total + mean
        assert total is not None
        return total.numpy()

    def _average_of(
        self, part: ComponentNodes, at: slice, function: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        with torch.no_grad():
            return (part.weight[at, :, None] * function(self.utilities(part, at))).sum(1)

    def utilities(self, part: ComponentNodes, at: slice) -> torch.Tensor:
        """Utilities at a component's nodes, centred where their level means nothing, ``(B or 1, S, n)``."""
        with torch.no_grad():
            index = part.index(self.items, at)
        return index if part.component.rule.absolute else centred(index, self.items)

    # ---- answers ---------------------------------------------------------------------------------------------------

    def predict(self, menus: Menus) -> Prediction:
        """Probabilities of the answers that each annotator would give to other questions.

        As the first question of a new session: without a previous answer.

        Args:
            menus: a design, whose menus, covariates and feedback are taken, or ``(M, k)`` item ids (-1 pads), asked as
                in the data.

        Raises:
            ArgumentError: menus that are none, or without a covariate that a rule reads.
            AnswerKindError: a rule does not define the feedback.
        """
        asked, shown, feedback = self.questions("predict", menus)
        mean, square = [], []
        for b in range(len(self.annotators)):
            table, weight, space = self.tables(b, asked, feedback, shown)
            mean.append(torch.einsum("s,sma->ma", weight, table))
            square.append(torch.einsum("s,sma->ma", weight, table.square()))
        p = torch.stack(mean)
        sd = (torch.stack(square) - p.square()).clamp_min(0.0).sqrt()
        return Prediction(
            self.annotators, asked.numpy(), p.numpy(), sd.numpy(), space, self.items, feedback, settings=versions()
        )

    def questions(self, verb: str, menus: Menus) -> tuple[torch.Tensor, Shown, Feedback]:
        """What is asked: menus ``(M, k)``, their covariates, each ``(M, k)``, and the kind of answer.

        Raises:
            ArgumentError: menus that are none, or without a covariate that a rule reads.
        """
        design = as_design(verb, menus, self.items, self.feedback)
        asked, shown = asked_of(verb, design, self.population)
        return asked, shown, design.feedback

    def tables(
        self, b: int, menus: torch.Tensor, feedback: Feedback, covariates: Shown | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, AnswerSpace]:
        """Of one annotator: probabilities of all answers at every node ``(S, M, A)``, the nodes' weights ``(S,)``, the answers."""
        space = answer_space(self.population, self.items, menus, feedback)
        tables, weights = [], []
        for part in self.parts:
            rule = part.component.rule
            view = asked_view(self.items, menus, feedback, b, covariates or {})
            with torch.no_grad():
                scores = gather(part.index(self.items, slice(b, b + 1))[0], menus)
                tables.append(rule.table(scores, view, space).double().exp())
            weights.append(self.types[b, part.number] * part.weight[b])
        return torch.cat(tables), torch.cat(weights), space

    # ---- to read ---------------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """One row per annotator: answers, probability of each type, log evidence, effective draws."""
        import pandas as pd

        columns: dict[str, object] = {"annotator": self.annotators, "answers": self.num_answers}
        columns |= {f"type {c}": self.types[:, c] for c in range(self.types.shape[1])}
        columns |= {"log evidence": self.log_evidence}
        if self.method == "importance sampling":
            columns["effective draws"] = self.effective
        return pd.DataFrame(columns)

    def _title(self) -> str:
        return f"Posterior of {len(self.annotators)} annotator{'s' * (len(self.annotators) != 1)}"

    def _lines(self) -> list[tuple[str, object]]:
        lines: list[tuple[str, object]] = [("population", _short(repr(self.population)))]
        low, high = int(self.num_answers.min()), int(self.num_answers.max())
        lines.append(("answers each", str(low) if low == high else f"{low} to {high}"))
        for b in range(min(4, len(self.annotators))):
            shares = ", ".join(f"{p:.3f}" for p in self.types[b][:6]) + ", ..." * (self.types.shape[1] > 6)
            lines.append((self.annotators[b], f"types {shares}"))
        lines.append(("method", self.method))
        if self.method == "importance sampling":
            lines.append(("effective draws", f"{self.effective.min():.0f} at least, of 2048"))
        return lines


def annotator_posterior(
    population: Population,
    data: PreferenceData | None = None,
    *,
    items: Items | None = None,
    covariates: Numbers | None = None,
) -> AnnotatorPosterior:
    r"""What is known of annotators who are drawn from ``population`` and gave the answers in ``data``.

    ``P(type k, taste | answers) ~ w_k p_k(taste) prod_j P_k(answer_j | menu_j, taste)``: over types by enumeration; over
    continuous tastes by quadrature in up to three dimensions and by importance sampling beyond
    (:mod:`annosim.learning.posterior.nodes`).

    Args:
        population: known; of a fit, ``fit.posterior(data)``.
        data: answers of annotators, few or many; ``None`` for one who has not answered: the prior.
        items: needed where there are no data.
        covariates: ``(B, c)`` covariates of these annotators, where the shares depend on them (:class:`annosim.Gated`).

    Raises:
        ArgumentError: replicates, a population with numbers for each annotator that has none for these, items that do
            not fit.
        AnswerKindError, TiesError, DataError: a rule cannot give these answers.

    Example:
        >>> import annosim as an
        >>> people = an.RandomCoefficients([0.0], [1.0], an.Luce())
        >>> items = an.Items(features=[[0.0], [1.0]])
        >>> data = an.PreferenceData(items, [[0, 1]] * 3, [1, 1, 1], annotator=[0, 0, 0])
        >>> known = annotator_posterior(people, data)
        >>> [round(float(v), 4) for v in (known.taste_mean[0, 0], known.taste_sd[0, 0])]
        [0.9229, 0.8004]
    """
    if not isinstance(population, Population):
        raise ArgumentError(
            f"annotator_posterior(population={told(population)}): give a population, or call fit.posterior"
        )
    if data is None:
        if items is None:
            raise ArgumentError("annotator_posterior: without data= say which items=")
        return _posterior(_of_nobody(population, covariates), None, items, Feedback("choice"), ("no answers yet",))
    if not isinstance(data, PreferenceData):
        raise ArgumentError(
            f"posterior(data={told(data)}): give an.PreferenceData, or None for an annotator without answers"
        )
    if data.replicates is not None:
        raise ArgumentError("posterior(data=): one replicate at a time: data[r]")
    data = to_cpu(data).compact()
    population = _for_these(population, data, covariates)
    check_answers(population, data)
    return _posterior(population, Blocks(data), data.items, data.feedback, _names(data))


def _posterior(
    population: Population, blocks: Blocks | None, items: Items, feedback: Feedback, names: tuple[str, ...]
) -> AnnotatorPosterior:
    with torch.no_grad():
        parts = tuple(component_nodes(one, c, items, blocks) for c, one in enumerate(population.components()))
        own = population.annotator_weights(np.arange(len(names)) if blocks is None else blocks.people)
        share = population.component_weights()[None] if own is None else own
        joint = share.double().log() + torch.stack([part.log_evidence for part in parts], -1)
        evidence = torch.logsumexp(joint, -1)
        types = (joint - evidence[:, None]).exp()
        methods = [part.method for part in parts]
        sampled = [part for part in parts if part.method == "importance sampling"]
    count = np.zeros(1, dtype=np.int64) if blocks is None else np.bincount(blocks.block.numpy())
    effective = (
        torch.stack([part.effective for part in sampled]).amin(0).numpy() if sampled else np.full(len(names), np.inf)
    )
    method = next((m for m in ("importance sampling", "quadrature") if m in methods), "enumeration")
    return AnnotatorPosterior(
        annotators=names,
        num_answers=count,
        types=types.numpy(),
        log_evidence=evidence.numpy(),
        method=method,
        effective=effective,
        items=items,
        population=population,
        feedback=feedback,
        parts=parts,
        settings=versions(),
    )


# ---- what is given ---------------------------------------------------------------------------------------------------


def check_same_items(population: Population, own: Items, other: Items) -> None:
    """Refuse other items where utilities are a number for each item; features may be those of new items.

    Raises:
        ArgumentError: names the first item that differs.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular(2), an.Luce())
        >>> check_same_items(people, an.Items(names=["tea", "milk"]), an.Items(names=["milk", "tea"]))
        Traceback (most recent call last):
        annosim.errors.ArgumentError: posterior(data=): item 0 is 'milk', and of the fit it is 'tea'; ...
    """
    tabular = [part for part in population.modules() if isinstance(part, Tabular)]
    if not tabular and not any(free_table(one) is not None for one in population.components()):
        return
    if own.n != other.n:
        raise ArgumentError(
            f"posterior(data=): {other.n} items, and the fit has {own.n}, each with a utility of its own; read the data "
            "on the items of the fit"
        )
    for number, (mine, theirs) in enumerate(zip(own.names, other.names, strict=True)):
        if mine != theirs:
            raise ArgumentError(
                f"posterior(data=): item {number} is {theirs!r}, and of the fit it is {mine!r}; read the data on the items "
                "of the fit, in their order"
            )


def _for_these(population: Population, data: PreferenceData, covariates: Numbers | None) -> Population:
    """The population with the numbers of these annotators, where it has numbers for each."""
    if not any(isinstance(part, PerAnnotator) and part.is_personal for part in population.modules()):
        if covariates is not None:
            raise ArgumentError("posterior(covariates=): the shares of this population do not depend on covariates")
        return population
    if covariates is not None:
        return _with_covariates(population, covariates, data.num_annotators, data.annotator_names)
    if data.annotator_names is None:
        raise ArgumentError(
            "posterior(data=): the population has numbers for each annotator, and these annotators have no names; name "
            "them (annotator_names=), or give their covariates="
        )
    return population.for_annotators(data.annotator_names)


def _with_covariates(
    population: Population, covariates: Numbers, count: int, names: NDArray[np.generic] | None
) -> Population:
    if not isinstance(population, Gated):
        raise ArgumentError("posterior(covariates=): the shares of this population do not depend on covariates")
    kinds = [one for one in population.types if isinstance(one, Population)]
    fresh = Gated(kinds, covariates, population.gate.detach().numpy())
    if len(fresh.covariates) != count:
        raise ArgumentError(f"posterior(covariates=): {len(fresh.covariates)} rows for {count} annotators")
    fresh.annotators = None if names is None else [str(name) for name in names]
    return fresh


def _of_nobody(population: Population, covariates: Numbers | None) -> Population:
    if covariates is None and isinstance(population, Gated):
        raise ArgumentError(
            "posterior: the shares of the types depend on the annotator's covariates; say whose: covariates=[[...]]"
        )
    return population if covariates is None else _with_covariates(population, covariates, 1, None)


def _names(data: PreferenceData) -> tuple[str, ...]:
    names = data.annotator_names
    return tuple(str(name) for name in (range(data.num_annotators) if names is None else names))


def _tastes_of(part: ComponentNodes) -> torch.Tensor | None:
    """Tastes ``(B or 1, S, p)`` of random tastes, or the weights of a linear utility."""
    with torch.no_grad():
        found = part.tastes()
        return _linear_weights(part.component) if found is None else found


def _linear_weights(component: Component) -> torch.Tensor | None:
    utility = component.utility if isinstance(component, Annotator) else None
    return utility.weights.detach().double()[None, None] if isinstance(utility, Linear) else None


def _is_best(utilities: torch.Tensor, items: Items) -> torch.Tensor:
    """Indicator of the best item of each prompt, ``(..., n)``; of equals, the first."""
    out = torch.zeros_like(utilities)
    for prompt in items.prompts.unique().tolist():
        members = items.members(prompt)
        out[..., members] = torch.nn.functional.one_hot(utilities[..., members].argmax(-1), len(members)).to(out)
    return out


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
