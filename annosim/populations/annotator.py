"""One kind of person: a utility and a rule."""

from __future__ import annotations

import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import describe
from annosim.populations.base import Component, Population, check_rule, gather
from annosim.random import CounterRNG
from annosim.rules.base import Rule
from annosim.utilities.base import Density, Utility, as_vector

__all__ = ["Annotator", "answers_are_independent", "check_utilities", "single_answers_say_all"]


class Annotator(Component):
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
            shown = utility.__name__ if isinstance(utility, type) else type(utility).__name__
            raise ArgumentError(f"Annotator(utility=): {shown} is no utility; give one such as an.Tabular(n)")
        if not isinstance(utility, Utility):
            raise ArgumentError(
                f"Annotator(utility=): a plain module, {type(utility).__name__}; wrap it as one that reads features, "
                "an.Network(module), or tokens, an.LogPolicy(model) or an.SequenceReward(model)"
            )
        check_rule("Annotator", rule)
        self.utility = utility
        self.rule = rule

    def index(self, items: Items) -> torch.Tensor:
        """``rule.index(utility(items), items)``, ``(n,)``: all that answers can ever tell of the utility.

        It is on the items' device, also where a network is on another.
        """
        return self.rule.index(as_vector(self.utility, self.utility(items), items.n), items).to(items.device)

    def nodes(self, items: Items) -> tuple[torch.Tensor, torch.Tensor]:
        """One node of probability one."""
        return self.index(items)[None], torch.ones(1, dtype=torch.float64)

    def row_scores(self, items: Items, menu: torch.Tensor, annotators: CounterRNG) -> torch.Tensor:
        """The index read at the menu."""
        with torch.no_grad():
            return gather(self.index(items), menu)

    def __repr__(self) -> str:
        return f"Annotator({describe(self.utility)}, {describe(self.rule)})"


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
    for number, component in enumerate(population.components()):
        if not isinstance(component, Annotator):
            continue
        with torch.no_grad():
            values = as_vector(component.utility, component.utility(items), items.n)
        allowed = torch.isfinite(values)
        if isinstance(component.utility, Density):
            allowed = allowed | (values == -torch.inf)
        if not bool(allowed.all()):
            item = int(torch.nonzero(~allowed)[0, 0])
            raise ArgumentError(
                f"types[{number}].utility: {type(component.utility).__name__} is {float(values[item])} at item {item} "
                f"({items.names[item]!r}); make it finite on every item"
            )


def answers_are_independent(population: Population) -> bool:
    """Whether nothing hidden is shared by an annotator's answers: neither a type, nor tastes, nor a memory.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(2), an.Luce())
        >>> [answers_are_independent(p) for p in (one, an.Mixture([one, one]), an.RandomCoefficients([0.0], 1.0, an.Luce()))]
        [True, False, False]
    """
    components = population.components()
    return len(components) == 1 and isinstance(components[0], Annotator) and not components[0].rule.memory


def single_answers_say_all(population: Population) -> bool:
    """Whether the law of single answers is the law of whole blocks: independent answers that do not depend on their place.

    Example:
        >>> import annosim as an
        >>> one, tired = (an.Annotator(an.Tabular(2), rule) for rule in (an.Luce(), an.rules.Fatigue(an.Luce())))
        >>> single_answers_say_all(one), single_answers_say_all(tired)
        (True, False)
    """
    return answers_are_independent(population) and not any(one.rule.sequential for one in population.components())
