"""A population of which a share answers without looking."""

from __future__ import annotations

from annosim.parameters import Fixed, check_number, marked_like, unmarked
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.rules.base import Rule
from annosim.rules.spam import Spammer
from annosim.utilities.tabular import ZeroUtility

__all__ = ["Contaminated"]


class Contaminated(Mixture):
    """A population of which a share answers without looking: the mixture of it and of spammers.

    Args:
        population: the attentive part.
        share: of the spammers, from 0 to 1; estimated unless ``fixed(share)``.
        spammer: a rule, ``Spammer("random")`` by default (see :class:`annosim.rules.Spammer`).

    Raises:
        ArgumentError: a share that is not a probability.

    Example:
        >>> import annosim as an
        >>> people = Contaminated(an.Annotator(an.Tabular([0.0, 9.0]), an.Luce(1e-3)), 0.2)
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=6).tolist()
        [0.1, 0.9]
    """

    def __init__(self, population: Population, share: float | Fixed, spammer: Rule | None = None):
        s = check_number("Contaminated(share=)", unmarked(share), "unit")
        spammers = Annotator(ZeroUtility(), Spammer("random") if spammer is None else spammer)
        super().__init__([population, spammers], marked_like(share, [1 - s, s]))

    @property
    def share(self) -> float:
        """Share of the spammers, as it is now."""
        return float(self.component_weights()[-1].detach())
