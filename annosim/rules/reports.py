"""What raters report: of what they saw, of what a segment could have been, or of what serves them best."""

from __future__ import annotations

import torch

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import ParameterLike
from annosim.rules.base import Rule
from annosim.rules.response_biases import Attribute, ResponseBias, as_attribute, attribute_of

__all__ = ["RegretPreference", "SeesObservation", "Strategic"]


class SeesObservation(ResponseBias):
    """Partial observability: raters see an observation of each item, and believe in the mean utility of all that look so.

    An item is worth the mean utility of the items with the same observation, weighted by how often the rater believes that
    each of them occurs (Lang et al. 2402.17747). What is hidden can be gained without being noticed: deceptive inflation.

    Args:
        rule: the wrapped rule.
        observation: name of an items' column, number of a feature, or ``(n,)`` values; equal values look alike.
        belief: how often each item occurs, column, feature or nonnegative values; equal by default.

    Raises:
        ArgumentError: the items have no such column; a belief is negative; the items of an observation have none.

    Example:
        >>> import annosim as an
        >>> items = an.Items(n=3, columns={"log": [0.0, 0.0, 1.0]})
        >>> SeesObservation(an.Luce(), "log").index(torch.tensor([0.0, 1.0, 2.0]), items).tolist()
        [0.5, 0.5, 2.0]
    """

    def __init__(self, rule: Rule, observation: Attribute = "observation", belief: Attribute | None = None):
        super().__init__(rule)
        self.observation = as_attribute(observation)
        self.belief = None if belief is None else as_attribute(belief)

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """The wrapped index, averaged over the items of each observation, ``(..., n)``."""
        inner = self.rule.index(u, items)
        seen = attribute_of(items, self.observation, "SeesObservation(observation=)").cpu()
        weight = torch.ones(items.n, dtype=torch.float64)
        if self.belief is not None:
            weight = attribute_of(items, self.belief, "SeesObservation(belief=)").cpu()
        alike = (seen[:, None] == seen[None]).double() * weight
        total = alike.sum(1, keepdim=True)
        if bool((weight < 0).any()) or bool((total <= 0).any()):
            raise ArgumentError("SeesObservation(belief=): nonnegative, and positive for an item of each observation")
        average = (alike / total).to(device=inner.device, dtype=inner.dtype)
        return (average * inner.unsqueeze(-2)).sum(-1)


class RegretPreference(ResponseBias):
    """Preferences of segments by regret: not what was gained, but how far from the best it was.

    A segment's index is its partial return (the utility) plus the value of the state in which it ends less that of the state
    in which it starts, which is minus its regret when the environment is deterministic (Knox et al. 2206.02231). A learner
    that assumes partial returns learns the advantage instead of the reward.

    Args:
        rule: the wrapped rule.
        start: value of the state in which a segment starts: an items' column, a feature's number, or ``(n,)`` values.
        end: the same of the state in which it ends.

    Raises:
        ArgumentError: the items have no such column or feature, or the values do not fit.

    Example:
        >>> import annosim as an
        >>> items = an.Items(n=2, columns={"start_value": [5.0, 1.0], "end_value": [4.0, 4.0]})
        >>> RegretPreference(an.Luce()).index(torch.tensor([1.0, 0.0]), items).tolist()  # the first lost nothing it had
        [0.0, 3.0]
    """

    def __init__(self, rule: Rule, start: Attribute = "start_value", end: Attribute = "end_value"):
        super().__init__(rule)
        self.start, self.end = as_attribute(start), as_attribute(end)

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """The wrapped index plus the end's value less the start's, ``(..., n)``."""
        inner = self.rule.index(u, items)
        values = [
            attribute_of(items, value, "RegretPreference").to(device=inner.device, dtype=inner.dtype)
            for value in (self.end, self.start)
        ]
        return inner + values[0] - values[1]


class Strategic(ResponseBias):
    """Reports that pull the learned reward towards one's own: who expects the others to say something else exaggerates.

    The index moves away from what the others are expected to want, ``u + strength (u - others)``. One reward learned from
    all is a kind of mean, which gives every annotator a reason to misreport (Siththaranjan et al. 2312.08358).

    Args:
        rule: the wrapped rule.
        others: the reward that the others are expected to report: an items' column, a feature's number, or ``(n,)`` values.
        strength: of the exaggeration, at least 0 (0: honest); ``free(start)`` to estimate.

    Raises:
        ArgumentError: the items have no such column or feature, or the values do not fit.

    Example:
        >>> import annosim as an
        >>> rule = Strategic(an.Luce(), others=[1.0, 0.0], strength=2.0)
        >>> rule.index(torch.tensor([1.0, 1.0]), an.Items(n=2)).tolist()  # agreed on, and not
        [1.0, 3.0]
    """

    def __init__(self, rule: Rule, others: Attribute = "others", strength: ParameterLike = 1.0):
        super().__init__(rule)
        self.declare("strength", strength, "nonnegative", ndim=0)
        self.others = as_attribute(others)

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """The wrapped index, moved away from the others', ``(..., n)``."""
        inner = self.rule.index(u, items)
        others = attribute_of(items, self.others, "Strategic(others=)").to(device=inner.device, dtype=inner.dtype)
        return inner + self.strength.to(inner.device) * (inner - others)
