"""Gauges: directions that no answer can tell. Computed, fixed by a stated convention, reported; never an error.

What could ever be known is each component's index, centred within each prompt, and the components' weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from annosim.items import Items
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.utilities.densities import LogDensity, normalise
from annosim.utilities.tabular import Tabular

__all__ = ["best_order", "canonical", "centred", "conventions", "knowable", "knowable_rank"]


def centred(index: torch.Tensor, items: Items) -> torch.Tensor:
    """``index (..., n)`` minus its mean within each prompt.

    Example:
        >>> centred(torch.tensor([1.0, 3.0]), Items(n=2)).tolist()
        [-1.0, 1.0]
    """
    if items.num_prompts == 1:
        return index - index.mean(-1, keepdim=True)
    _, code = items.prompts.unique(return_inverse=True)
    code = code.to(index.device)
    count = torch.bincount(code).to(index.dtype)
    total = torch.zeros((*index.shape[:-1], len(count)), dtype=index.dtype, device=index.device)
    total = total.index_add(-1, code, index)
    return index - (total / count)[..., code]


def knowable(population: Population, items: Items, rule_numbers: list[str] | None = None) -> torch.Tensor:
    """All that answers could tell, as a vector: centred indices of all components, their weights, free rule numbers.

    Temperatures are left out: they act through the index.
    """
    parts = []
    for component in population.indexed(items):
        index, cuts = component.index.double(), cuts_of(component.rule)
        if cuts is None:
            parts.append(centred(index, items).reshape(-1))
        else:  # ratings: where the index stands beside the cuts
            mean = index.mean(-1, keepdim=True)
            parts += [(index - mean).reshape(-1), (cuts.double() - mean).reshape(-1)]
        parts.append(component.weight.double().reshape(-1))
    names = _rule_numbers(population) if rule_numbers is None else rule_numbers
    values = dict(population.named_parameters())
    numbers = {name: values[name].double() for name in names}
    for name, value in numbers.items():
        if population.constraint_of(name) == "centred":
            numbers[name] = value - value.mean(-1, keepdim=True)
    return torch.cat(parts + [value.reshape(-1) for value in numbers.values()])


def _rule_numbers(population: Population) -> list[str]:
    """Names of free numbers that belong to rules (asked before parameters are replaced by tangents), cuts apart."""
    free = [name for name, p in population.named_parameters() if p.requires_grad]
    apart = {name for prefix, one in _annotators(population) for name in (cut_name(one, prefix),) if name}
    return [
        name for name in free if "rule" in name.split(".") and not name.endswith("temperature") and name not in apart
    ]


def cuts_of(rule: Any) -> torch.Tensor | None:
    """The cuts ``(G - 1,)`` on the scale of the index that an absolute rule compares it with, or ``None``.

    Example:
        >>> import annosim as an
        >>> cuts_of(an.Lapse(an.rules.OrderedLogit([0.0, 1.0]))).tolist(), cuts_of(an.Luce())
        ([0.0, 1.0], None)
    """
    while rule.absolute and not hasattr(rule, "cuts"):
        rule = rule.rule
    return rule.cuts if rule.absolute else None


def cut_name(one: Annotator, prefix: str = "") -> str | None:
    """Name of the free number that holds an annotator's cuts, or ``None``."""
    name, rule = prefix + "rule.", one.rule
    while rule.absolute and not hasattr(rule, "cuts"):
        name, rule = name + "rule.", rule.rule  # type: ignore[assignment]
    if not rule.absolute:
        return None
    own = {n: p for n, p in rule.named_parameters(recurse=False) if n in ("cuts", "threshold") and p.requires_grad}
    return name + next(iter(own)) if own else None


def knowable_jacobian(population: Population, items: Items) -> torch.Tensor:
    """Jacobian of :func:`knowable` in the free parameters, ``(knowable, P)``."""
    vector, names = population.vector(), _rule_numbers(population)
    rows = knowable(population, items, names).numel()
    jacobian = torch.func.jacfwd if vector.numel() <= rows else torch.func.jacrev
    return jacobian(lambda v: population.functional_call(v, lambda p: knowable(p, items, names)))(vector).detach()


def knowable_rank(population: Population, items: Items) -> int:
    """Rank of the knowable coordinates' Jacobian: the number of parameters that data could tell."""
    closed = _closed_rank(population, items)
    if closed is not None:
        return closed
    jacobian = knowable_jacobian(population, items)
    unit = jacobian.norm(dim=0)  # the units of features say nothing
    return int(torch.linalg.matrix_rank(jacobian / torch.where(unit > 0, unit, 1.0), rtol=1e-10))


def _closed_rank(population: Population, items: Items) -> int | None:
    """One free table without anything else: items minus prompts (spares the Jacobian of many items)."""
    if type(population) is Annotator and not population.rule.num_free() and _table_of(population) is not None:
        return items.n if population.rule.absolute else items.n - items.num_prompts
    return None


def _table_of(one: Annotator) -> Tabular | None:
    utility = one.utility.energy if type(one.utility) is LogDensity else one.utility
    free = type(utility) is Tabular and utility.values.requires_grad
    return utility if free else None  # type: ignore[return-value]


def canonical(population: Population, items: Items, vector: torch.Tensor | None = None) -> torch.Tensor:
    """The free parameters in the reported gauge, as one vector, differentiable in ``vector`` (default: as it is).

    Tables are centred in each prompt (under a PBDE along the null direction 1/f), weights sum to one, and a table
    inside a normalised density becomes the log density itself. Of ratings the cuts fix the location: tables stay as
    they are, and where the cuts are free they move with the table, which is centred over all items.
    """
    values = population.unflatten(population.vector() if vector is None else vector)
    values = {name: value.double() for name, value in values.items()}
    for prefix, one in _annotators(population):
        name = prefix + ("utility.energy.values" if type(one.utility) is LogDensity else "utility.values")
        if name not in values or _table_of(one) is None:
            continue
        if not one.rule.absolute or type(one.utility) is LogDensity:
            values[name] = _canonical_table(one, values[name], items)
        elif (cuts := cut_name(one, prefix)) in values:
            zero, mean = torch.zeros(items.n, dtype=torch.float64), values[name].mean()
            with torch.no_grad():
                slope = (one.rule.index(zero + 1, items) - one.rule.index(zero, items)).double()
            if bool((slope == slope[0]).all()):
                values[name], values[cuts] = values[name] - mean, values[cuts] - mean * slope[0]
    for name, value in values.items():
        if population.constraint_of(name) == "simplex":
            values[name] = value / value.sum()
        elif population.constraint_of(name) == "centred":
            values[name] = value - value.mean(-1, keepdim=True)
    return torch.cat([value.reshape(-1) for value in values.values()])


def _canonical_table(one: Annotator, value: torch.Tensor, items: Items) -> torch.Tensor:
    if type(one.utility) is LogDensity:
        return normalise(value, items)
    zero, unit = torch.zeros(items.n, dtype=torch.float64), torch.ones(items.n, dtype=torch.float64)
    with torch.no_grad():
        null = unit / (one.rule.index(unit, items) - one.rule.index(zero, items))
    _, code = items.prompts.unique(return_inverse=True)
    blank = torch.zeros(items.num_prompts, dtype=torch.float64)
    shift = blank.index_add(0, code, value) / blank.index_add(0, code, null)
    return value - shift[code] * null


def _annotators(population: Population):
    """Prefix of the names and annotator, for every annotator in the population."""
    for name, one in population.named_modules():
        if isinstance(one, Annotator):
            yield (name + "." if name else ""), one


def conventions(population: Population, items: Items) -> tuple[str, ...]:
    """In words, the convention that fixes each gauge of this model."""
    out = []
    tables = [one for _, one in _annotators(population) if _table_of(one) is not None]
    where = "" if not tables or items.num_prompts == 1 else f" in each of {items.num_prompts} prompts"
    if any(type(one.utility) is LogDensity for one in tables):
        out.append(f"log densities are normalised{where}")
    plain = [one for one in tables if type(one.utility) is not LogDensity]
    if any(not one.rule.absolute for one in plain):
        out.append(f"utilities sum to zero{where}")
    if any(one.rule.absolute and cut_name(one) for one in plain):
        out.append("utilities under ratings with free cuts sum to zero over all items")
    centred_numbers = [n for n in population.free_parameters() if population.constraint_of(n) == "centred"]
    if centred_numbers:
        kinds = sorted({name.split(".")[-1] for name in centred_numbers})
        out.append(f"{', '.join(kinds)} sum to zero along the last axis")
    if isinstance(population, Mixture):
        out.append("weights sum to one; types are named in order of falling weight")
    return tuple(out)


def best_order(population: Mixture, truth: Population, items: Items) -> list[int]:
    """Naming of the types that comes nearest to ``truth`` (assignment on squared distance of centred indices)."""
    from scipy.optimize import linear_sum_assignment

    with torch.no_grad():
        ours = torch.stack([centred(_mean_index(one, items), items) for one in population.components()])
        theirs = torch.stack([centred(_mean_index(one, items), items) for one in truth.components()])
    cost = torch.cdist(theirs, ours).square().numpy()
    rows, columns = linear_sum_assignment(cost)
    order = [int(c) for _, c in sorted(zip(rows, columns, strict=True))]
    return order + [k for k in range(len(ours)) if k not in order]


def _mean_index(leaf: Population, items: Items) -> torch.Tensor:
    parts = leaf.indexed(items)
    total = sum((part.weight[:, None] * part.index.double()).sum(0) for part in parts)
    return total / sum(part.weight.sum() for part in parts)  # type: ignore[return-value, operator]


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


def values_by_weight(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Free numbers of interchangeable types, by name, in the order of :func:`by_weight`.

    Example:
        >>> values_by_weight({"weights": torch.tensor([0.2, 0.8]), "types.0.a": 0, "types.1.a": 1})["types.0.a"]
        1
    """
    order = np.argsort(-values["weights"].detach().numpy(), kind="stable")
    out = dict(values, weights=values["weights"][torch.as_tensor(order)])
    for name in values:
        if name.startswith("types."):
            _, number, rest = name.split(".", 2)
            out[name] = values[f"types.{order[int(number)]}.{rest}"]
    return out


def _structure(one: torch.nn.Module) -> tuple[str, ...]:
    """What a type is apart from its free numbers: its modules, the shapes of what is free, the fixed numbers."""
    modules = [f"{name}: {type(module).__name__}" for name, module in one.named_modules()]
    free = [f"{name}: {tuple(p.shape)}" for name, p in one.named_parameters() if p.requires_grad]
    known = [*one.named_buffers(), *((name, p) for name, p in one.named_parameters() if not p.requires_grad)]
    return (*modules, *free, *(f"{name}: {value.detach().tolist()}" for name, value in known))
