"""Normalisations: the conventions under which estimates are reported where no answer can tell them.

They are computed from the model, stated in words, and never an error. What is normalised is what has no coordinate in
:mod:`annosim.coordinates`.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes

from annosim.coordinates.identifiable import free_table
from annosim.items import Items
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.judge_panels import JudgePanels
from annosim.populations.low_rank import LowRank
from annosim.populations.mixture import Mixture
from annosim.rules.base import Rule
from annosim.rules.ratings import OrderedLogit
from annosim.rules.response_biases import ResponseBias
from annosim.utilities.densities import LogDensity, normalise

__all__ = [
    "by_weight",
    "canonical",
    "conventions",
    "cut_name",
    "cuts_of",
    "interchangeable",
    "order_by_weight",
    "rotations",
    "turned_to",
]


def cuts_of(rule: Rule) -> torch.Tensor | None:
    """The cuts ``(G - 1,)`` on the scale of the index that an absolute rule compares it with, or ``None``.

    Example:
        >>> import annosim as an
        >>> cuts_of(an.Lapse(an.rules.OrderedLogit([0.0, 1.0]))).tolist(), cuts_of(an.Luce())
        ([0.0, 1.0], None)
    """
    while isinstance(rule, ResponseBias):
        rule = rule.rule
    return rule.cuts if isinstance(rule, OrderedLogit) else None


def cut_name(one: Annotator, prefix: str = "") -> str | None:
    """Name of the free number that holds an annotator's cuts, or ``None``."""
    name, rule = prefix + "rule.", one.rule
    while isinstance(rule, ResponseBias):
        name, rule = name + "rule.", rule.rule
    if not isinstance(rule, OrderedLogit):
        return None
    own = {n: p for n, p in rule.named_parameters(recurse=False) if n in ("cuts", "threshold") and p.requires_grad}
    return name + next(iter(own)) if own else None


def canonical(population: Population, items: Items, vector: torch.Tensor | None = None) -> torch.Tensor:
    """The free parameters normalised as they are reported, as one vector, differentiable in ``vector`` (default: as it is).

    Tables are centred in each prompt (under a PBDE along the null direction 1/f), also those of people whose tastes differ
    item by item; weights sum to one, and a table inside a normalised density becomes the log density itself. Of ratings the cuts fix the location: tables stay as
    they are, and where the cuts are free they move with the table, which is centred over all items.
    """
    values = population.unflatten(population.vector() if vector is None else vector)
    values = {name: value.double() for name, value in values.items()}
    for prefix, one in _annotators(population):
        name = prefix + ("utility.energy.values" if isinstance(one.utility, LogDensity) else "utility.values")
        if name not in values or free_table(one) is None:
            continue
        if isinstance(one.utility, LogDensity):
            values[name] = normalise(values[name], items)
        elif not one.rule.absolute:
            values[name] = _centred_table(one.rule, values[name], items)
        elif (cuts := cut_name(one, prefix)) in values:
            zero, mean = torch.zeros(items.n, dtype=torch.float64), values[name].mean()
            with torch.no_grad():
                slope = (one.rule.index(zero + 1, items) - one.rule.index(zero, items)).double()
            if bool((slope == slope[0]).all()):
                values[name], values[cuts] = values[name] - mean, values[cuts] - mean * slope[0]
    for name, rule in _tables_of_tastes(population, items):
        if name in values:
            values[name] = _centred_table(rule, values[name], items)
    for name, value in values.items():
        if population.constraint_of(name) == "simplex":
            values[name] = value / value.sum()
        elif population.constraint_of(name) == "centred":
            values[name] = value - value.mean(-1, keepdim=True)
    return torch.cat([value.reshape(-1) for value in values.values()])


def _centred_table(rule: Rule, value: torch.Tensor, items: Items) -> torch.Tensor:
    """A table ``(n, ...)`` whose columns sum to zero in each prompt, moved along what the rule does not see."""
    zero, unit = torch.zeros(items.n, dtype=torch.float64), torch.ones(items.n, dtype=torch.float64)
    with torch.no_grad():
        null = unit / (rule.index(unit, items) - rule.index(zero, items))
    code = items.prompt_code
    null = null.reshape(-1, *[1] * (value.ndim - 1))
    blank = torch.zeros(items.num_prompts, *value.shape[1:], dtype=torch.float64)
    shift = blank.index_add(0, code, value) / torch.zeros_like(blank).index_add(0, code, null.expand_as(value))
    return value - shift[code] * null


def _tables_of_tastes(population: Population, items: Items) -> Iterator[tuple[str, Rule]]:
    """Names of numbers per item in populations of random tastes whose level no answer tells, and the rule they are under.

    Not under a PBDE, whose null direction differs between items: a prior on the numbers would not be the same there.
    """
    zero, unit = torch.zeros(items.n, dtype=torch.float64), torch.ones(items.n, dtype=torch.float64)
    for name, one in population.named_modules():
        prefix = name + "." if name else ""
        if isinstance(one, LowRank | JudgePanels) and not one.rule.absolute:
            with torch.no_grad():
                slope = (one.rule.index(unit, items) - one.rule.index(zero, items)).double()
            if bool((slope == slope[0]).all()):
                yield prefix + "mean", one.rule
                if isinstance(one, LowRank):
                    yield prefix + "loadings", one.rule


def rotations(population: Population) -> np.ndarray:
    """Directions of the free numbers ``(P, T)`` along which loadings turn: tastes are normal in all directions alike.

    Example:
        >>> import annosim as an
        >>> people = an.populations.LowRank(an.fixed([0.0, 0.0]), [[1.0, 0.0], [0.0, 2.0]], an.Luce())
        >>> (rotations(people) + 0.0).ravel().tolist()
        [0.0, -1.0, 2.0, 0.0]
    """
    free = population.free_parameters()
    out = []
    for name, one in population.named_modules():
        path = (name + "." if name else "") + "loadings"
        if isinstance(one, LowRank) and path in free:
            loadings = one.loadings.detach().double()
            for i, j in itertools.combinations(range(loadings.shape[1]), 2):
                turned = torch.zeros_like(loadings)
                turned[:, j], turned[:, i] = -loadings[:, i], loadings[:, j]
                parts = [turned if other == path else torch.zeros(value.shape) for other, value in free.items()]
                out.append(torch.cat([part.reshape(-1).double() for part in parts]).numpy())
    return np.stack(out, -1) if out else np.zeros((population.num_free(), 0))


def turned_to(population: Population, other: Population) -> Population:
    """The same law, with loadings turned as near to the other's as they come: replicates of one estimate are comparable.

    Example:
        >>> import annosim as an
        >>> one, mirrored = (an.populations.LowRank(2, [[s], [-s]], an.Luce()) for s in (1.0, -0.9))
        >>> turned_to(mirrored, one).loadings.ravel().tolist()
        [0.9, -0.9]
    """
    turned = {}
    with torch.no_grad():
        for (name, one), (_, own) in zip(population.named_modules(), other.named_modules(), strict=True):
            path = (name + "." if name else "") + "loadings"
            if isinstance(one, LowRank) and isinstance(own, LowRank) and path in population.free_parameters():
                turn = orthogonal_procrustes(one.loadings.double().numpy(), own.loadings.double().numpy())[0]
                turned[path] = one.loadings @ torch.as_tensor(turn, dtype=one.loadings.dtype)
    return population.with_parameters({**population.free_parameters(), **turned}) if turned else population


def _annotators(population: Population) -> Iterator[tuple[str, Annotator]]:
    """Prefix of the names and annotator, for every annotator in the population."""
    for name, one in population.named_modules():
        if isinstance(one, Annotator):
            yield (name + "." if name else ""), one


def conventions(population: Population, items: Items) -> tuple[str, ...]:
    """In words, the convention that normalises each direction of this model which no answer can tell."""
    out = []
    tables = [one for _, one in _annotators(population) if free_table(one) is not None]
    where = "" if items.num_prompts == 1 else f" in each of {items.num_prompts} prompts"
    if any(isinstance(one.utility, LogDensity) for one in tables):
        out.append(f"log densities are normalised{where}")
    plain = [one for one in tables if not isinstance(one.utility, LogDensity)]
    free = population.free_parameters()
    tastes = [name for name, _ in _tables_of_tastes(population, items) if name in free]
    if any(not one.rule.absolute for one in plain) or tastes:
        out.append(f"utilities sum to zero{where}")
    if any(one.rule.absolute and cut_name(one) for one in plain):
        out.append("utilities under ratings with free cuts sum to zero over all items")
    centred_numbers = [n for n in free if population.constraint_of(n) == "centred"]
    if centred_numbers:
        kinds = sorted({name.split(".")[-1] for name in centred_numbers})
        out.append(f"{', '.join(kinds)} sum to zero along the last axis")
    if isinstance(population, Mixture):
        out.append("weights sum to one; types are named in order of falling weight")
    return tuple(out)


def by_weight(population: Population) -> Population:
    """The types of a mixture named in order of falling weight, where nothing else tells them apart.

    Types that differ in kind, or in a number that was fixed, have names of their own and keep their places; so do all
    types when the weights are fixed.

    Example:
        >>> import annosim as an
        >>> free, fixed = [an.Annotator(an.Tabular(v), an.Luce()) for v in ([1.0, 0.0], an.fixed([1.0, 0.0]))]
        >>> by_weight(an.Mixture([free, free], [0.2, 0.8])).weights.tolist()
        [0.8, 0.2]
        >>> by_weight(an.Mixture([free, fixed], [0.2, 0.8])).weights.tolist()
        [0.2, 0.8]
    """
    if not interchangeable(population):
        return population
    return population.relabelled(np.argsort(-population.weights.detach().numpy(), kind="stable").tolist())


def interchangeable(population: Population) -> bool:
    """Whether the types of a mixture have no names of their own: alike but for their free numbers, shares estimated.

    Example:
        >>> import annosim as an
        >>> interchangeable(an.Mixture([an.Annotator(an.Tabular(2), an.Luce()) for _ in range(2)]))
        True
    """
    if not isinstance(population, Mixture) or not population.weights.requires_grad:
        return False
    first, *others = (_structure(one) for one in population.types)
    return all(other == first for other in others)


def order_by_weight(population: Population, vector: np.ndarray) -> np.ndarray:
    """Which free number stands where once the types are named as :func:`by_weight` names them, ``(P,)``.

    Args:
        population: whose names and conventions are read, not its numbers.
        vector: its free numbers ``(P,)``; ``vector[order]`` are those of ``by_weight`` of the population with them.

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, 1.0]), an.Luce()) for _ in range(2)])
        >>> order_by_weight(two, np.array([0.2, 0.8, 0.0, 1.0, 2.0, 3.0])).tolist()
        [1, 0, 4, 5, 2, 3]
    """
    if not interchangeable(population):
        return np.arange(len(vector))
    sizes = {name: p.numel() for name, p in population.named_parameters() if p.requires_grad}
    cuts = np.cumsum([0, *sizes.values()])
    places = {name: np.arange(cuts[i], cuts[i + 1]) for i, name in enumerate(sizes)}
    order, out = np.argsort(-vector[places["weights"]], kind="stable"), []
    for name, own in places.items():
        if name == "weights":
            own = own[order]
        elif name.startswith("types."):
            _, number, rest = name.split(".", 2)
            own = places.get(f"types.{order[int(number)]}.{rest}", own)  # a part that types share stays where it is
        out.append(own)
    return np.concatenate(out)


def _structure(one: torch.nn.Module) -> tuple[object, ...]:
    """What a type is apart from its free numbers: its modules, the shapes of what is free, the fixed numbers."""
    modules = [(name, type(module)) for name, module in one.named_modules()]
    free = [f"{name}: {tuple(p.shape)}" for name, p in one.named_parameters() if p.requires_grad]
    known = [*one.named_buffers(), *((name, p) for name, p in one.named_parameters() if not p.requires_grad)]
    return (*modules, *free, *(f"{name}: {_bytes_of(value)}" for name, value in known))


def _bytes_of(value: torch.Tensor) -> str:
    """Shape and digest: a frozen trunk has too many numbers to be written out."""
    flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return f"{tuple(value.shape)} {hashlib.sha256(flat.numpy().data).hexdigest()}"
