"""Populations: who answers. An annotator is a utility and a rule; a mixture has hidden types.

Every population flattens to *leaves*, each a rule with one utility (or a distribution of utilities), and leaf weights.
What you fit is what you can simulate: the same objects stand on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import Model
from annosim.random import CounterRNG
from annosim.utilities.base import Utility, numbers_of

if TYPE_CHECKING:  # nouns never import rooms further down at run time
    from annosim.rules.base import Rule

__all__ = ["Annotator", "Component", "Leaf", "Mixture", "Population"]


class Component(NamedTuple):
    """One rule with ``Q`` indexed utilities and their probabilities; a leaf gives one component.

    Attributes:
        rule: the choice rule.
        index: ``(Q, n)`` indexed utilities ``rule.index(u(items), items)``.
        weight: ``(Q,)`` probabilities within the population (all components together sum to one).
        leaf: number of the leaf.
    """

    rule: Rule
    index: torch.Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    weight: torch.Tensor
    leaf: int


class Population(Model):
    """Base of every population: leaves (a rule with one utility, or a distribution of utilities) and their weights.

    Example:
        >>> import annosim as an
        >>> people = an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -1.0)], [0.7, 0.3])
        >>> isinstance(people, an.Population), len(people.leaves()), people.leaf_weights().tolist()
        (True, 2, [0.7, 0.3])
    """

    def forward(self, function: Callable[[Population], Any]) -> Any:
        """``function(self)``: lets ``torch.func.functional_call`` evaluate anything at other parameter values."""
        return function(self)

    def at(self, vector: torch.Tensor, function: Callable[[Population], Any]) -> Any:
        """``function`` of this population with its free parameters at ``vector (P,)``, differentiable in the vector.

        Example:
            >>> import annosim as an
            >>> one = an.Annotator(an.Tabular(2), an.Luce())
            >>> torch.func.jacrev(lambda v: one.at(v, lambda p: p.index(an.Items(n=2))))(torch.zeros(2)).tolist()
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

    def leaves(self) -> list[Leaf]:
        """The leaves in order of naming: ``[self]`` for an annotator, the types of a mixture, flattened."""
        return [leaf for leaf, _ in self._walk()]

    def leaf_weights(self) -> torch.Tensor:
        """Probability of each leaf, ``(L,)``, differentiable in the mixture weights."""
        return torch.stack([weight for _, weight in self._walk()])

    def annotator_weights(self, annotators: Any) -> torch.Tensor | None:
        """Probability of each leaf for the named annotators, ``(annotators, L)``, where it depends on who one is.

        ``None`` (the rule) when every annotator has :meth:`leaf_weights`; see :class:`annosim.Gated`.
        """
        return None

    def components(self, items: Items) -> list[Component]:
        """The leaves' indexed utilities and probabilities: what any law of answers is made of."""
        out = []
        for number, (leaf, weight) in enumerate(self._walk()):
            index, share = leaf.nodes(items)
            out.append(Component(leaf.rule, index, weight.to(share.device) * share, number))
        return out

    def _walk(self) -> Iterator[tuple[Leaf, torch.Tensor]]:
        raise TypeError(f"{type(self).__name__} must define _walk()")


class Leaf(Population):
    """A population with one rule. Subclasses define :meth:`nodes` and :meth:`row_scores`."""

    rule: Rule

    def _walk(self) -> Iterator[tuple[Leaf, torch.Tensor]]:
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


class Annotator(Leaf):
    """One kind of person: a utility and a rule.

    Args:
        utility: what they want.
        rule: how they answer.

    Example:
        >>> import annosim as an
        >>> an.Annotator(an.Linear([1.0, 0.0]), an.Luce()).index(an.Items.normal(6, 2)).shape
        torch.Size([6])
    """

    def __init__(self, utility: Utility, rule: Rule):
        super().__init__()
        if not isinstance(utility, nn.Module):
            shown = getattr(utility, "__name__", type(utility).__name__)
            raise ArgumentError(f"Annotator(utility=): {shown} is no utility; give one such as an.Tabular(n)")
        if not isinstance(utility, Utility):
            raise ArgumentError(
                f"Annotator(utility=): a plain module, {type(utility).__name__}; wrap it as one that reads features, "
                "an.Network(module), or tokens, an.LogPolicy(model) or an.SequenceReward(model)"
            )
        if isinstance(rule, type):
            raise ArgumentError(f"Annotator(rule=): the class {rule.__name__}; give one of its kind, {rule.__name__}()")
        if not hasattr(rule, "log_prob") or not hasattr(rule, "index"):
            raise ArgumentError(f"Annotator(rule={rule!r}): give a rule such as an.Luce()")
        self.utility = utility
        self.rule = rule

    def index(self, items: Items) -> torch.Tensor:
        """``rule.index(utility(items), items)``, ``(n,)``: all that answers can ever tell of the utility.

        It lies where the items lie, also where a network lives elsewhere.
        """
        return self.rule.index(numbers_of(self.utility, self.utility(items), items.n), items).to(items.device)

    def nodes(self, items: Items) -> tuple[torch.Tensor, torch.Tensor]:
        """One node of probability one."""
        return self.index(items)[None], torch.ones(1, dtype=torch.float64)

    def row_scores(self, items: Items, menu: torch.Tensor, annotators: CounterRNG) -> torch.Tensor:
        """The index read at the menu."""
        with torch.no_grad():
            return gather(self.index(items), menu)

    def __repr__(self) -> str:
        return f"Annotator({describe(self.utility)}, {describe(self.rule)})"


class Mixture(Population):
    """Hidden types with weights: each annotator has one type, drawn once, and answers every question with it.

    Args:
        types: populations (usually annotators).
        weights: their probabilities; uniform by default; estimated unless ``fixed(...)``.

    Raises:
        ArgumentError: no type, or weights that are negative or do not sum to one.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0., s]), an.Luce()) for s in (1., -1.)], weights=[.7, .3])
        >>> two.leaf_weights().tolist()
        [0.7, 0.3]
    """

    def __init__(self, types: Sequence[Population], weights: Any = None):
        super().__init__()
        types = list(types)
        if not types or not all(isinstance(t, Population) for t in types):
            raise ArgumentError("Mixture(types=): give a list of populations, for example an.Annotator(...)")
        self.types = nn.ModuleList(types)
        value = np.full(len(types), 1 / len(types)) if weights is None else weights
        self.declare("weights", value, "simplex", free_by_default=True)
        if self.weights.shape != (len(types),):
            raise ArgumentError(f"Mixture(weights=): {self.weights.numel()} weights for {len(types)} types")

    def _walk(self) -> Iterator[tuple[Leaf, torch.Tensor]]:
        share = self.weights / self.weights.sum()
        for weight, one in zip(share, self.types, strict=True):
            for leaf, inner in one._walk():  # type: ignore[operator, union-attr]
                yield leaf, weight * inner

    def annotator_weights(self, annotators: Any) -> torch.Tensor | None:
        """Per-annotator probabilities when some type has them, else ``None``."""
        own = [one.annotator_weights(annotators) for one in self.types]  # type: ignore[operator]
        if all(w is None for w in own):
            return None
        share = self.weights / self.weights.sum()
        count = len(np.asarray(annotators))
        inner = [
            one.leaf_weights().expand(count, -1) if w is None else w  # type: ignore[operator]
            for one, w in zip(self.types, own, strict=True)
        ]
        return torch.cat([share[k] * w for k, w in enumerate(inner)], -1)

    def relabelled(self, order: Sequence[int]) -> Mixture:
        """The same mixture with its types renamed: new type ``j`` is old type ``order[j]``."""
        import copy

        other = copy.deepcopy(self)
        other.types = nn.ModuleList([other.types[i] for i in order])
        with torch.no_grad():
            other.weights.copy_(self.weights[list(order)])
        return other

    def __repr__(self) -> str:
        inside = ", ".join(f"{float(w):.4g}: {t!r}" for w, t in zip(self.weights.detach(), self.types, strict=True))
        return f"Mixture({inside})"


def check_utilities(population: Population, items: Items) -> None:
    """Refuse a utility that is not finite on these items, where answers are drawn or a law is written out.

    Own classes can return anything, and a NaN would be carried into every probability. A density may be zero somewhere,
    so ``-inf`` is allowed to what has a ``log_prob``.

    Raises:
        ArgumentError: names the type, the item and the value.

    Example:
        >>> import annosim as an
        >>> class Root(an.Utility):
        ...     def forward(self, items):
        ...         return items.features[:, 0].sqrt()
        >>> check_utilities(an.Annotator(Root(), an.Luce()), an.Items(features=[[4.0], [-1.0]]))
        Traceback (most recent call last):
        annosim.errors.ArgumentError: types[0].utility: Root is nan at item 1 ('1'); make it finite on every item
    """
    for number, leaf in enumerate(population.leaves()):
        if not isinstance(leaf, Annotator):
            continue
        with torch.no_grad():
            values = numbers_of(leaf.utility, leaf.utility(items), items.n)
        allowed = torch.isfinite(values)
        if hasattr(leaf.utility, "log_prob"):
            allowed = allowed | (values == -torch.inf)
        if not bool(allowed.all()):
            item = int(torch.nonzero(~allowed)[0, 0])
            raise ArgumentError(
                f"types[{number}].utility: {type(leaf.utility).__name__} is {float(values[item])} at item {item} "
                f"({items.names[item]!r}); make it finite on every item"
            )


def gather(index: torch.Tensor, menu: torch.Tensor) -> torch.Tensor:
    """``index (..., n)`` read at ``menu (rows, k)``: ``(..., rows, k)``, ``-inf`` at pads.

    Example:
        >>> gather(torch.tensor([1.0, 2.0]), torch.tensor([[1, -1]])).tolist()
        [[2.0, -inf]]
    """
    scores = index[..., menu.clamp_min(0)]
    return torch.where(menu >= 0, scores, -torch.inf) if bool((menu < 0).any()) else scores


def describe(module: nn.Module) -> str:
    """``Linear([1, 0])``: the class and its declared numbers, for a readable repr."""
    numbers = []
    for name in module.__dict__.get("_constraints", {}):
        value = getattr(module, name).detach()
        flat = [f"{v:.4g}" for v in value.reshape(-1)[:4].tolist()]
        text = flat[0] if value.ndim == 0 else "[" + ", ".join(flat) + (", ..." if value.numel() > 4 else "") + "]"
        numbers.append(f"{name}={text}")
    inner = [describe(child) for child in module.children() if isinstance(child, Model)]
    return f"{type(module).__name__}({', '.join(inner + numbers)})"
