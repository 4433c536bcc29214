"""A population of which a share answers without looking."""

from __future__ import annotations

from typing import Any

from annosim.parameters import Fixed, check_value, unmarked
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.rules.base import Rule
from annosim.rules.spam import Spammer
from annosim.utilities.tabular import ZeroUtility

__all__ = ["Contaminated"]


def Contaminated(population: Population, share: Any, spammer: Rule | None = None) -> Mixture:
    """A population of which a share answers without looking: ``Mixture([population, spammers], [1 - share, share])``.

    Args:
        population: the attentive part.
        share: from 0 to 1; estimated unless ``fixed(share)``.
        spammer: a rule, ``Spammer("random")`` by default (see :class:`annosim.rules.Spammer`).

    Raises:
        ArgumentError: a share that is not a probability.

    Example:
        >>> import annosim as an
        >>> people = Contaminated(an.Annotator(an.Tabular([0.0, 9.0]), an.Luce(1e-3)), 0.2)
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=6).tolist()
        [0.1, 0.9]
    """
    spammer = Spammer("random") if spammer is None else spammer
    s = float(check_value("Contaminated(share=)", unmarked(share), "unit"))
    weights: Any = [1 - s, s]
    return Mixture(
        [population, Annotator(ZeroUtility(), spammer)], Fixed(weights) if isinstance(share, Fixed) else weights
    )
