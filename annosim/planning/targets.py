"""What a plan is for: the components of a target, as a function of the population."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch

from annosim.constraints import check_value
from annosim.errors import ArgumentError, told
from annosim.identifiability.functionals import mean_utility, named_functionals
from annosim.items import Items
from annosim.policies.tilts import DensityLike
from annosim.populations.base import Population
from annosim.utilities.base import Density

__all__ = ["Target", "policy_value", "target_function"]


#: The components of a target, as a function of the population.
Target: TypeAlias = Callable[[Population, Items], torch.Tensor]


def target_function(target: str | Target) -> tuple[str, Target]:
    """Name and function of a target: ``"weights"``, ``"utilities"``, ..., or a function of the population."""
    found = named_functionals(target)
    if len(found) != 1:
        raise ArgumentError(f"plan(target={told(target)}): one name or one function of the population")
    return next(iter(found.items()))


def policy_value(policy: DensityLike) -> Target:
    """The mean utility (centred per prompt, all annotators) of a policy: a density, or a vector of probabilities.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([-1., 1.]), an.Luce())
        >>> float(policy_value([0., 1.])(one, an.Items(n=2)))
        1.0
    """

    def value(population: Population, items: Items) -> torch.Tensor:
        if isinstance(policy, Density):
            mass = (policy.log_prob(items) + items.log_weights).exp().detach().double()
        else:
            mass = check_value("policy_value(policy=)", policy, "nonnegative", ndim=1)
        return mean_utility(population, items) @ mass

    value.__name__ = "policy value"
    return value
