"""Functions of a population that one may want to know, and whether a law determines them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from annosim.autodiff import forward_jacobian
from annosim.coordinates import Coordinates, centred
from annosim.coordinates.identifiable import in_float64
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.populations.base import Population

__all__ = [
    "FUNCTIONALS",
    "FunctionalResult",
    "as_vector",
    "check_functionals",
    "evaluate",
    "index_and_weight",
    "mean_gap",
    "named_functionals",
    "share_preferring",
]


def index_and_weight(population: Population, items: Items) -> tuple[torch.Tensor, torch.Tensor]:
    """Centred index of all components ``(C, n)`` and their weights ``(C,)``."""
    parts = population.indexed(items)
    index = torch.cat([c.index.double() for c in parts])
    return centred(index, items), torch.cat([c.weight.double() for c in parts])


def _pairs(items: Items, most: int = 300) -> torch.Tensor:
    pairs = torch.combinations(torch.arange(items.n), 2)
    same = items.prompts[pairs[:, 0]] == items.prompts[pairs[:, 1]]
    return pairs[same][:most]


def weights(population: Population, items: Items) -> torch.Tensor:
    """Probabilities of the types."""
    return population.component_weights().double()


def utilities(population: Population, items: Items) -> torch.Tensor:
    """Centred index of every type on every item."""
    return torch.cat([centred(c.index.double(), items).flatten() for c in population.indexed(items)])


def mean_utility(population: Population, items: Items) -> torch.Tensor:
    """Mean over annotators of the centred index of each item."""
    index, weight = index_and_weight(population, items)
    return weight @ index


def pair_probabilities(population: Population, items: Items) -> torch.Tensor:
    """Share of answers for the first item of every pair, under a logistic choice on the index."""
    index, weight = index_and_weight(population, items)
    pairs = _pairs(items)
    return weight @ torch.sigmoid(index[:, pairs[:, 0]] - index[:, pairs[:, 1]])


def odd_part(population: Population, items: Items) -> torch.Tensor:
    """Odd part of the distribution of tastes, on test functions ``E tanh(t (u_i - u_j))``."""
    index, weight = index_and_weight(population, items)
    pairs = _pairs(items, 60)
    gap = index[:, pairs[:, 0]] - index[:, pairs[:, 1]]
    return torch.cat([weight @ torch.tanh(t * gap) for t in (0.25, 0.5, 1.0, 2.0)])


def even_part(population: Population, items: Items) -> torch.Tensor:
    """Even part of the distribution of tastes, on test functions ``E tanh(t (u_i - u_j))^2``."""
    index, weight = index_and_weight(population, items)
    pairs = _pairs(items, 60)
    gap = index[:, pairs[:, 0]] - index[:, pairs[:, 1]]
    return torch.cat([weight @ torch.tanh(t * gap) ** 2 for t in (0.25, 0.5, 1.0, 2.0)])


#: name -> function(population, items) -> tensor; usable as ``functional="weights"``
FUNCTIONALS: dict[str, Callable[[Population, Items], torch.Tensor]] = {
    "weights": weights,
    "utilities": utilities,
    "mean utility": mean_utility,
    "pair probabilities": pair_probabilities,
    "odd part of tastes": odd_part,
    "even part of tastes": even_part,
}


def share_preferring(first: int, second: int) -> Callable[[Population, Items], torch.Tensor]:
    """The share of annotators who prefer item ``first`` to item ``second`` (a half for the indifferent).

    It jumps where a type is indifferent: a Cramer-Rao bound at such a population says nothing of it.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0., s]), an.Luce()) for s in (1., -1.)], [.7, .3])
        >>> round(float(share_preferring(1, 0)(two, an.Items(n=2))), 6)
        0.7
    """

    def share(population: Population, items: Items) -> torch.Tensor:
        index, weight = index_and_weight(population, items)
        gap = index[:, first] - index[:, second]
        return weight @ (0.5 + 0.5 * torch.sign(gap))

    share.__name__ = f"share preferring {first} to {second}"
    return share


def mean_gap(first: int, second: int) -> Callable[[Population, Items], torch.Tensor]:
    """The mean over annotators of the utility of ``first`` minus that of ``second``.

    Example:
        >>> import annosim as an
        >>> float(mean_gap(1, 0)(an.Annotator(an.Tabular([0., 2.]), an.Luce()), an.Items(n=2)))
        2.0
    """

    def gap(population: Population, items: Items) -> torch.Tensor:
        index, weight = index_and_weight(population, items)
        return weight @ (index[:, first] - index[:, second])

    gap.__name__ = f"mean utility of {first} minus {second}"
    return gap


#: a number, or numbers, of a population
Functional: TypeAlias = Callable[[Population, Items], torch.Tensor]
#: what ``functional=`` takes: a name, a function of the population (and the items), or several
AnyFunction: TypeAlias = Functional | Callable[[Population], torch.Tensor]
FunctionalLike: TypeAlias = str | AnyFunction | Mapping[str, AnyFunction] | Sequence[str | AnyFunction] | None


def named_functionals(functional: FunctionalLike) -> dict[str, Functional]:
    """``None``, a name, a callable, or a mapping or list of these, as name -> function(population, items).

    Raises:
        ArgumentError: an unknown name.
    """
    if functional is None:
        return {}
    if isinstance(functional, Mapping):
        return {str(name): _two_arguments(f) for name, f in functional.items()}
    out = {}
    for one in functional if isinstance(functional, list | tuple) else [functional]:
        if isinstance(one, str):
            if one not in FUNCTIONALS:
                raise ArgumentError(f"functional={one!r}: the names are {', '.join(FUNCTIONALS)}; or give a function")
            out[one] = FUNCTIONALS[one]
        elif callable(one):
            out[getattr(one, "__name__", "functional")] = _two_arguments(one)
        else:
            raise ArgumentError(f"functional={one!r}: give a name, or a function of the population")
    return out


def _two_arguments(function: Callable) -> Callable[[Population, Items], torch.Tensor]:
    import functools
    import inspect

    if len(inspect.signature(function).parameters) >= 2:
        return function

    @functools.wraps(function)
    def of_population(population: Population, items: Items) -> torch.Tensor:
        return function(population)

    return of_population


def as_vector(
    function: Callable[[Population, Items], torch.Tensor], population: Population, items: Items
) -> torch.Tensor:
    """A functional as a float64 vector ``(m,)``, differentiable and unchecked."""
    return torch.as_tensor(function(population, items)).double().reshape(-1)


def evaluate(
    function: Callable[[Population, Items], torch.Tensor], population: Population, items: Items
) -> torch.Tensor:
    """A functional as a float64 vector ``(m,)``, without derivatives.

    Raises:
        ArgumentError: it fails on this population and these items, or returns no finite numbers.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0., 2.]), an.Luce())
        >>> evaluate(an.identifiability.mean_gap(1, 0), one, an.Items(n=2)).tolist()
        [2.0]
    """
    try:
        with torch.no_grad():
            value = as_vector(function, population, items)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise ArgumentError(
            f"functional {_name(function)}: fails on this population and these items ({type(error).__name__}: {said})"
        ) from error
    if not bool(torch.isfinite(value).all()):
        raise ArgumentError(f"functional {_name(function)}: not finite on this population")
    return value


def _name(function: Callable) -> str:
    return repr(getattr(function, "__name__", "of the user"))


@dataclass(frozen=True, eq=False)
class FunctionalResult:
    """Whether a function of the population is determined by the law.

    Attributes:
        identified: one bool per component.
        value: at the population.
        twin: at the twin, or ``None``.
        low, high: bounds over all populations with the same law, where they were computed.
    """

    identified: torch.Tensor
    value: torch.Tensor
    twin: torch.Tensor | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{float(self.value.reshape(-1)[0]):.4g}, bounds [{self.low:.4g}, {self.high:.4g}]"
        yes, all_ = int(self.identified.sum()), self.identified.numel()
        if all_ == 1:
            text = f"{'identified' if yes else 'not identified'}, {float(self.value.reshape(-1)[0]):.4g} here"
            return text + (f", {float(self.twin.reshape(-1)[0]):.4g} at the twin" if self.twin is not None else "")
        return "identified" if yes == all_ else "not identified" if not yes else f"{yes} of {all_} identified"


def check_functionals(
    functions: Mapping[str, Callable],
    population: Population,
    items: Items,
    know: Coordinates,
    null: torch.Tensor,
    twins: Sequence[Population],
) -> dict[str, FunctionalResult]:
    """Local check (the gradient is orthogonal to the null directions), and equality of the values at all twins."""
    population = in_float64(population)
    v = population.vector()
    out = {}
    for name, function in functions.items():
        at = lambda x, function=function: population.functional_call(x, lambda p: as_vector(function, p, items))  # noqa: E731
        value = evaluate(function, population, items)
        if know.basis.shape[1]:
            moves = forward_jacobian(at, v) @ know.basis
            seen = (moves @ null).norm(dim=-1) if null.shape[1] else torch.zeros(len(value), dtype=torch.float64)
            known = seen <= 1e-7 * moves.norm(dim=-1).clamp_min(1e-12)
        else:
            known = torch.ones(len(value), dtype=torch.bool)
        there = [evaluate(function, in_float64(twin), items) for twin in twins]
        for other in there:
            known = known & ((other - value).abs() < 1e-7) if other.shape == value.shape else torch.zeros_like(known)
        out[name] = FunctionalResult(known, value, there[0] if there else None)
    return out
