"""Populations: who answers.

Every population flattens to *components*, each a rule with one utility (or a distribution of utilities), and their
weights. What you fit is what you can simulate: the same objects stand on both sides.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self, TypeVar

import torch
from torch import nn

from annosim.annotators import Labels, PerAnnotator
from annosim.arrays import Numbers
from annosim.errors import ArgumentError, told
from annosim.items import Items
from annosim.parameters import Model
from annosim.random import CounterRNG
from annosim.rules.base import Rule

__all__ = ["Component", "IndexedComponent", "Population"]

T = TypeVar("T")


class IndexedComponent(NamedTuple):
    """One component's rule with ``Q`` indexed utilities and their probabilities.

    Attributes:
        rule: the choice rule.
        index: ``(Q, n)`` indexed utilities ``rule.index(u(items), items)``.
        weight: ``(Q,)`` probabilities within the population (all components together sum to one).
        number: place of the component among :meth:`Population.components`.
    """

    rule: Rule
    index: torch.Tensor  # type: ignore[assignment]  # hides tuple.index, which is never called
    weight: torch.Tensor
    number: int


class Population(Model):
    """Base of every population: components (a rule with one utility, or a distribution of utilities) and their weights.

    Subclasses define :meth:`weighted_components`.

    Example:
        >>> import annosim as an
        >>> people = an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -1.0)], [0.7, 0.3])
        >>> isinstance(people, an.Population), len(people.components()), people.component_weights().tolist()
        (True, 2, [0.7, 0.3])
    """

    def like(self, seed: int) -> Self:
        """The same structure and fixed numbers, with every free number redrawn; see :meth:`annosim.parameters.Model.like`."""
        other = super().like(seed)
        for component in other.components():
            component.estimated = False
        return other

    def forward(self, function: Callable[[Population], T]) -> T:
        """``function(self)``: lets ``torch.func.functional_call`` evaluate anything at other parameter values."""
        return function(self)

    def functional_call(self, vector: torch.Tensor, function: Callable[[Population], T]) -> T:
        """``function`` of this population with its free parameters at ``vector (P,)``, differentiable in the vector.

        Example:
            >>> import annosim as an
            >>> one, items = an.Annotator(an.Tabular(2), an.Luce()), an.Items(n=2)
            >>> torch.func.jacrev(lambda v: one.functional_call(v, lambda p: p.index(items)))(torch.zeros(2)).tolist()
            [[1.0, 0.0], [0.0, 1.0]]
        """
        return torch.func.functional_call(self, self._placed(self.unflatten(vector)), (function,), tie_weights=False)

    def _placed(self, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """``values`` at every place where a parameter stands: several modules may hold it (a tied weight), and several
        types the same module (a rule that they share), which torch would swap twice and never restore.
        """
        named = {id(p): name for name, p in self.named_parameters()}
        out = {}
        for path, module in self.named_modules():  # a shared module once
            for key, p in module._parameters.items():
                name = named.get(id(p))
                if name in values:
                    out[f"{path}.{key}" if path else key] = values[name]
        return out

    def components(self) -> list[Component]:
        """The components in order of naming: ``[self]`` for an annotator, the types of a mixture, flattened."""
        return [component for component, _ in self.weighted_components()]

    def component_weights(self) -> torch.Tensor:
        """Probability of each component, ``(C,)``, differentiable in the mixture weights."""
        return torch.stack([weight for _, weight in self.weighted_components()])

    def annotator_weights(self, annotators: Numbers) -> torch.Tensor | None:
        """Probability of each component for the named annotators, ``(annotators, C)``, where it depends on who one is.

        ``None`` (the rule) when every annotator has :meth:`component_weights`; see :class:`annosim.Gated`.
        """
        return None

    def for_annotators(self, labels: Labels) -> Self:
        """The same population, whose numbers per annotator are those of ``labels``, in this order.

        ``fit`` asks for those of its data (``data.annotator_names``), since selections of data renumber annotators.

        Args:
            labels: names of annotators, or ids in the data set for which the numbers were given.

        Raises:
            ArgumentError: an annotator for whom there are no numbers.

        Example:
            >>> import annosim as an
            >>> kinds = [an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (2.0, -2.0)]
            >>> people = an.Gated(kinds, covariates=[[1.0], [-1.0], [0.0]], annotators=["ann", "bob", "cy"])
            >>> people.for_annotators(["cy", "ann"]).covariates.tolist()
            [[0.0], [1.0]]
        """
        if not any(isinstance(module, PerAnnotator) for module in self.modules()):
            return self
        other = copy.deepcopy(self)
        for module in other.modules():
            if isinstance(module, PerAnnotator):
                module.select_annotators(labels)
        return other

    def indexed(self, items: Items) -> list[IndexedComponent]:
        """The components' indexed utilities and probabilities: what any law of answers is made of."""
        out = []
        for number, (component, weight) in enumerate(self.weighted_components()):
            index, share = component.nodes(items)
            weight = weight.to(share.device)
            # one node has probability one; forward derivatives of a product with a constant cost thirty of a sine's
            weight = weight[None] if len(share) == 1 else weight * share
            out.append(IndexedComponent(component.rule, index, weight, number))
        return out

    def weighted_components(self) -> Iterator[tuple[Component, torch.Tensor]]:
        """The components with their probabilities, scalars that are differentiable in the mixture weights."""
        raise TypeError(f"{type(self).__name__} must define weighted_components()")


class Component(Population):
    """A population with one rule. Subclasses define :meth:`nodes` and :meth:`row_scores`.

    Attributes:
        rule: the choice rule.
        estimated: its free numbers are those that a fit found; :meth:`like` starts anew.
    """

    rule: Rule
    estimated: bool = False

    def weighted_components(self) -> Iterator[tuple[Component, torch.Tensor]]:
        """Itself, with probability one."""
        yield self, torch.ones((), dtype=torch.float64)

    def nodes(self, items: Items) -> tuple[torch.Tensor, torch.Tensor]:
        """Indexed utilities ``(Q, n)`` and probabilities ``(Q,)``: exact (Q = 1), or quadrature nodes."""
        raise TypeError(f"{type(self).__name__} must define nodes(items)")

    def row_scores(self, items: Items, menu: torch.Tensor, annotators: CounterRNG) -> torch.Tensor:
        """Indexed scores of each row's menu, ``(rows, k)``, ``-inf`` at pads.

        ``annotators`` has one entity per row, the annotator who answers it; personal tastes come from its stream
        ``taste``.
        """
        raise TypeError(f"{type(self).__name__} must define row_scores(items, menu, annotators)")


def check_rule(where: str, rule: object) -> None:
    """Refuse what is no rule.

    Raises:
        ArgumentError: names the argument and what belongs there.
    """
    if isinstance(rule, type):
        raise ArgumentError(f"{where}(rule=): the class {rule.__name__}; give one of its kind, {rule.__name__}()")
    if not isinstance(rule, Rule):
        raise ArgumentError(f"{where}(rule={told(rule)}): give a rule such as an.Luce()")


def populations_of(types: nn.ModuleList) -> list[Population]:
    """The parts of a module list, as the populations that they are.

    Example:
        >>> import annosim as an
        >>> populations_of(nn.ModuleList([an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())]))
        [Annotator(Tabular(values=[0, 1]), Luce(temperature=1))]
    """
    return [one for one in types if isinstance(one, Population)]


def gather(index: torch.Tensor, menu: torch.Tensor) -> torch.Tensor:
    """``index (..., n)`` read at ``menu (rows, k)``: ``(..., rows, k)``, ``-inf`` at pads.

    Example:
        >>> gather(torch.tensor([1.0, 2.0]), torch.tensor([[1, -1]])).tolist()
        [[2.0, -inf]]
    """
    scores = index[..., menu.clamp_min(0)]
    return torch.where(menu >= 0, scores, -torch.inf) if bool((menu < 0).any()) else scores
