"""Free numbers beside utilities (rules, gates, spreads of tastes): have they a finite estimate, inside their range?

Where the likelihood rises for ever along a number, an optimiser stops far out, where the gradient is below its
tolerance; there the information of the number is as small. What the end of its range says decides what it means: the
boundary (no tie occurs, nobody errs) is an estimate whose standard error means nothing; infinity is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.errors import NotIdentifiedError
from annosim.learning.priors import Prior
from annosim.parameters import Unconstrained
from annosim.populations.base import Population

__all__ = ["check_free_numbers", "numbers_beside_utilities"]

#: information of a number, per unit of weight and of its unconstrained coordinate, below which nothing is known of it
NO_INFORMATION = 1e-9
#: unconstrained coordinates beyond which a number is on its way out (odds of 1,000)
FAR = 7.0
#: change of a number per unit of its unconstrained coordinate below which it stands at the end of its range
AT_THE_END = 1e-2


def numbers_beside_utilities(model: Population) -> list[str]:
    """Names of free parameters that no check before the fit decides, each once for all its entries.

    Example:
        >>> import annosim as an
        >>> numbers_beside_utilities(an.Annotator(an.Tabular(2), an.PositionBias(an.Luce(), an.free(0.0))))
        ['rule.shift']
    """
    return [
        name
        for name in model.free_parameters()
        if {"rule", "gate", "scale", "lower"} & set(name.split(".")) and not name.endswith("skill")
    ]


@dataclass(frozen=True)
class _Number:
    name: str
    value: float
    ends: bool


def check_free_numbers(
    population: Population, information: NDArray[np.float64], total: float, prior: Prior | None
) -> list[str]:
    """Notes on numbers at the boundary of their range; an error that names those without a finite estimate.

    Args:
        population: at the optimum.
        information: minus the Hessian, with the prior, in unconstrained coordinates ``(P, P)``.
        total: weight of the annotators.
        prior: named in the message, as it did not act on these numbers.

    Raises:
        NotIdentifiedError: the likelihood rises for ever along some number.
    """
    coordinates, checked = Unconstrained(population), set(numbers_beside_utilities(population))
    z = coordinates.outside(population.vector())
    slope = torch.func.jacfwd(coordinates.inside)(z).diagonal().abs()
    names, scalars = population.parameter_names(), _scalars(population)
    silent = [
        _Number(_shown(names[j], scalars), float(population.vector()[j]), bool(slope[j] < AT_THE_END))
        for j in range(len(names))
        if names[j].split("[")[0] in checked and abs(float(z[j])) > FAR and information[j, j] < NO_INFORMATION * total
    ]
    lost = [one for one in silent if not one.ends]
    if lost:
        shown = ", ".join(f"{one.name} (at {one.value:.3g})" for one in lost[:5])
        more = f"; prior={prior} does not act on it" if prior is not None else ""
        raise NotIdentifiedError(
            f"fit: no finite estimate of {shown}: the likelihood rises for ever along it{more}. Remedies: give it as a "
            "number, collect answers that speak against it, or pass prior=an.priors.Gaussian(sd)"
        )
    return [
        f"{one.name} is at the boundary of its range ({one.value:.2g}): its standard error means nothing there"
        for one in silent
    ]


def _scalars(population: Population) -> set[str]:
    return {name for name, value in population.free_parameters().items() if value.numel() == 1}


def _shown(name: str, scalars: set[str]) -> str:
    """``rule.shift`` for the only entry of a parameter, ``gate[0,1]`` otherwise."""
    whole = name.split("[")[0]
    return whole if whole in scalars else name
