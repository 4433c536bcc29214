"""What a plan is for: the components of a target, their gradient, and the information that a design has on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from annosim.designs import Design
from annosim.errors import ArgumentError
from annosim.identify.coordinates import knowable
from annosim.identify.functionals import named_functionals
from annosim.identify.local import local_rank
from annosim.identify.search import thin
from annosim.identify.twins import follow_null, reflection_twins, search_twin
from annosim.information import double, few_threads, fisher_information, forward_jacobian, prepare
from annosim.items import Items
from annosim.populations import Population

__all__ = ["Asked", "policy_value", "target_function", "variance_per_annotator"]

Z = 1.959963984540054


def target_function(target: Any) -> tuple[str, Callable[[Population, Items], torch.Tensor]]:
    """Name and function of a target: ``"weights"``, ``"utilities"``, ..., or a function of the population."""
    found = named_functionals(target)
    if len(found) != 1:
        raise ArgumentError(f"plan(target={target!r}): one name or one function of the population")
    return next(iter(found.items()))


def policy_value(policy: Any) -> Callable[[Population, Items], torch.Tensor]:
    """The mean utility (centred per prompt, all annotators) of a policy: a density, or a vector of probabilities.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([-1., 1.]), an.Luce())
        >>> float(policy_value([0., 1.])(one, an.Items(n=2)))
        1.0
    """

    def value(population: Population, items: Items) -> torch.Tensor:
        from annosim.identify.functionals import mean_utility

        if callable(getattr(policy, "mass", None)):
            mass = policy.mass(items).detach().double()
        elif callable(getattr(policy, "log_prob", None)):
            mass = (policy.log_prob(items) + items.log_weights).exp().detach().double()
        else:
            mass = torch.as_tensor(policy, dtype=torch.float64)
        return mean_utility(population, items) @ mass

    value.__name__ = "policy value"
    return value


@dataclass(frozen=True, eq=False)
class Asked:
    """What one annotator's answers to a design tell of a target.

    Attributes:
        value: ``(m,)`` the target.
        variance: ``(m,)`` Cramer-Rao bound times the number of annotators; ``inf`` where the design does not identify
            it.
        reason: why not, or ``""``.
        verdict: of the local analysis and, with starts, of a search for twins.
        condition: of the information on the knowable coordinates that are identified.
        exact: the information was enumerated; otherwise it is an unbiased estimate.
    """

    value: torch.Tensor
    variance: torch.Tensor
    reason: str
    verdict: str
    condition: float
    exact: bool


def variance_per_annotator(
    population: Population, design: Design, function: Callable, *, starts: int = 0, seed: int = 0, draws: int = 20_000
) -> Asked:
    """Cramer-Rao bound of a target's components from one annotator's block.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0., 0.]), an.Luce())
        >>> asked = variance_per_annotator(one, an.Design(an.Items(n=2)), an.mean_gap(0, 1))
        >>> [round(v, 4) for v in asked.variance.tolist()]
        [4.0]
    """
    population = double(population)
    frame = prepare(population, design, seed=seed)
    with few_threads(len(frame.menu) * design.menu_size * population.num_free() * len(population.leaves())):
        return _variance(population, design, frame, function, starts, seed, draws)


def _variance(population, design, frame, function, starts, seed, draws) -> Asked:
    v = population.vector()
    know = knowable(population, design)
    local = local_rank(population, frame, know)
    at = lambda x: torch.as_tensor(population.at(x, lambda p: function(p, design.items))).reshape(-1)  # noqa: E731
    value = at(v).detach()
    gradient = forward_jacobian(at, v).detach() @ know.basis
    info = fisher_information(population, frame, seed=seed, draws=draws)
    matrix = know.basis.T @ info.matrix @ know.basis
    seen = torch.eye(len(matrix), dtype=torch.float64)
    if local.null.shape[1]:
        seen = local.right[:, : local.rank]
    inner = seen.T @ matrix @ seen
    inverse = torch.linalg.pinv(inner, hermitian=True)
    variance = ((gradient @ seen) @ inverse * (gradient @ seen)).sum(-1)
    hidden = (gradient @ local.null).norm(dim=-1) > 1e-7 * gradient.norm(dim=-1).clamp_min(1e-12)
    values = torch.linalg.eigvalsh(inner)
    condition = float(values[-1] / values[0]) if len(values) and float(values[0]) > 0 else math.inf
    variance = torch.where(hidden, torch.inf, variance)
    verdict, reason = _judge(population, design, frame, know, local, function, value, starts, seed)
    if bool(hidden.any()):
        reason = reason or "the target moves along a direction in which the law does not"
    elif verdict == "not_identified" and reason:
        variance = torch.full_like(variance, torch.inf)
    else:
        reason = ""
    return Asked(value, variance, reason, verdict, condition, info.exact)


def _judge(population, design, frame, know, local, function, value, starts, seed) -> tuple[str, str]:
    """Verdict, and a reason when a twin has another value of the target."""
    small = thin(frame, len(population.leaves()), population.num_free(), seed)
    found = reflection_twins(population, design, frame) if frame.blocks is None else None
    if not local.full:
        curve = follow_null(population, small, frame, know, local.null, seed)
        if curve.found:
            return "not_identified", f"rank {local.rank} of {local.num_parameters}: a curve of populations has this law"
        twin = "; a twin has the same law" if found is not None else ""
        return "singular", f"rank {local.rank} of {local.num_parameters}: the law moves at higher order only{twin}"
    if found is None and starts:
        found = search_twin(population, small, frame, design, starts, seed)
    if found is not None and found.twin is not None:
        with torch.no_grad():
            there = torch.as_tensor(function(double(found.twin), design.items)).double().reshape(-1)
        if there.shape != value.shape or float((there - value).abs().max()) > 1e-6:
            return "not_identified", "a twin with another value of the target has the same law"
        return "not_identified", ""
    return "locally_identified", ""
