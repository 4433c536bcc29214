"""Which theorems apply to a population and a design: the conditions, checked."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from annosim.coordinates import mean_indices, num_identifiable
from annosim.coordinates.identifiable import free_table
from annosim.coordinates.observed import covariate_rows
from annosim.designs.design import Design
from annosim.identifiability.theorems.mixtures import (
    grouped_samples,
    plackett_luce_mixtures,
    structured_partial_orders,
    two_bradley_terry,
    uniform_two_mnl,
)
from annosim.identifiability.theorems.statement import Conclusion
from annosim.identifiability.theorems.tastes import tastes_from_pairs
from annosim.items import Items
from annosim.parameters import behaves_as
from annosim.populations.annotator import Annotator
from annosim.populations.base import Component, Population
from annosim.populations.mixture import Mixture
from annosim.rules.base import Rule
from annosim.rules.luce import Luce
from annosim.rules.probit import Thurstone
from annosim.rules.response_biases import PositionBias
from annosim.utilities.linear import Linear
from annosim.utilities.tabular import Tabular

__all__ = ["applicable", "single_type"]


def applicable(population: Population, design: Design, full_rank: bool) -> list[Conclusion]:
    """Conclusions of the theorems whose conditions this population and design satisfy.

    Args:
        population: who answers.
        design: what they are asked.
        full_rank: the local rank is full (a condition of some).

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(4), an.Luce())
        >>> [c.kind for c in applicable(one, an.Design(an.Items(n=4)), True)]
        ['identified']
    """
    checks: tuple[Callable[[Population, Design, bool], Conclusion | None], ...] = (
        single_type,
        _never_compared,
        _pl_mixture,
        _zhao_xia,
        _two_mnl,
        _two_types_generic,
        _grouped,
        _reflection,
        _rich,
        _one_reward,
        _correlated,
    )
    found = [check(population, design, full_rank) for check in checks]
    return [c for c in found if c is not None and c.kind != "unknown"]


def _never_compared(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    """Ford 1957: items that no chain of menus connects have no common scale."""
    if not _free_tabular(population) or design.menus is None:
        return None
    parts = components(design)
    if parts == design.items.num_prompts:
        return None
    return Conclusion(
        "not identified", f"the items fall into {parts} groups that no menu connects", "Ford 1957; Hunter 2004"
    )


def components(design: Design) -> int:
    """Groups of items that menus connect (items never shown are groups of their own).

    Example:
        >>> import annosim as an
        >>> components(an.Design(an.Items(n=5), menus=[[0, 1], [2, 3]]))
        3
    """
    menus, n = design.listed.menu.numpy(), design.items.n
    first, other = np.repeat(menus[:, 0], menus.shape[1]), menus.reshape(-1)
    shown = other >= 0
    graph = coo_matrix((np.ones(int(shown.sum())), (first[shown], other[shown])), shape=(n, n))
    return int(connected_components(graph, directed=False)[0])


def single_type(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    """One type with Luce's rule: log-odds are differences of the index, so a full rank is global when the index is
    linear
    in the parameters (tabular and linear utilities, fixed rule)."""
    parts = population.components()
    if len(parts) != 1 or not full_rank or not _plain_luce(population) or not _linear_index(population):
        return None
    return Conclusion(
        "identified",
        "one type: log-odds are linear in the parameters, and determine them",
        "Luce 1959; Ford 1957 (the MLE exists iff the win graph is strongly connected)",
    )


def _pl_mixture(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    if not _free_tabular(population) or design.feedback.kind != "ranking" or design.menu_size != design.items.n:
        return None
    if not _distinct(population, design.items) or not _all_present(population):
        return None
    return plackett_luce_mixtures(len(population.components()), design.items.n)


def _zhao_xia(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    if not _free_tabular(population) or not _distinct(population, design.items) or not _weights_free(population):
        return None
    if not _all_present(population):
        return None
    k, n = len(population.components()), design.items.n
    if design.feedback.kind == "top" and design.menu_size == n:
        return structured_partial_orders(k, n, ranked=int(design.feedback.depth or 0))
    if design.feedback.kind == "choice":
        slates = tuple(sorted(_all_slates(design)))
        return structured_partial_orders(k, n, choices=slates) if design.num_questions == 1 and slates else None
    return None


def _two_mnl(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    parts = population.components()
    fixed_half = len(parts) == 2 and torch.allclose(population.component_weights().detach(), torch.tensor(0.5).double())
    if not fixed_half or _weights_free(population) or not _free_tabular(population) or design.feedback.kind != "choice":
        return None
    sizes = _all_slates(design)
    if not sizes or design.num_questions != 1 or not _distinct(population, design.items):
        return None
    return uniform_two_mnl(sizes)


def _two_types_generic(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    """Generic among free weights: it says nothing of weights that are known, equal ones least of all."""
    if len(population.components()) != 2 or not _free_tabular(population) or not _weights_free(population):
        return None
    if design.num_questions != 1 or design.feedback.kind != "choice":
        return None
    sizes, n = _all_slates(design), design.items.n
    if sizes == {2} and (full_rank or math.comb(n, 2) < num_identifiable(population, design.items)):
        return two_bradley_terry("pairs", n)
    return two_bradley_terry("choices of three", n) if sizes == {3} and full_rank else None


def _grouped(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    """2K - 1 independent questions: the types' laws are known; full rank of each type's own law then gives its
    index.
    """
    if design.questions == "all" or design.num_questions < 2 or design.loads is not None:
        return None
    parts = population.components()
    if not (2 <= len(parts) <= 6) or not full_rank or not _plain_luce(population) or not _linear_index(population):
        return None
    if not _distinct(population, design.items) or not _all_present(population):
        return None
    return grouped_samples(len(parts), design.num_questions)


def _reflection(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    parts = population.components()
    if design.menu_size != 2 or design.num_questions != 1 or not _plain_luce(population):
        return None
    if not all(_has_linear_utility(component) for component in parts):
        return None
    tastes = np.stack([component.utility.weights.detach().double().numpy() for component in parts])
    weights = population.component_weights().detach().numpy()
    said = tastes_from_pairs(tastes, weights)
    if said.kind == "identified":  # the theorem is about rich designs; on these items it is only a hint
        return Conclusion("generic", "for any tastes (pairs in an open ball): " + said.text, said.source, True)
    return Conclusion(said.kind, "among all distributions of tastes: " + said.text, said.source, True)


def _rich(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    """T2 to T4: what breaks the oddness of a single pair, stated for rich linear designs."""
    parts = population.components()
    if len(parts) < 2 or not all(_has_linear_utility(component) for component in parts):
        return None
    pairs = design.menu_size == 2 and design.feedback.kind == "choice"
    if _plain_luce(population) and design.menu_size == 3 and design.feedback.kind == "choice":
        name, why = "T2", "best of three identifies every distribution of tastes"
    elif _plain_luce(population) and pairs and design.num_questions >= 2 and design.questions != "all":
        name, why = "T3", "two pairs by the same annotator identify every distribution of tastes"
    elif pairs and all(component.rule.ties for component in parts):
        name, why = "T4", "ties identify every distribution of tastes, for all but countably many thresholds"
    elif pairs and all(_known_position_bias(component.rule) for component in parts):
        name, why = "T4", "a known position bias identifies every distribution of tastes"
    else:
        return None
    return Conclusion("generic", f"for any tastes (rich linear design): {why}", f"docs/theorems.md, {name}", True)


def _one_reward(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    if len(population.components()) < 2 or design.feedback.kind != "choice" or design.menu_size != 2:
        return None
    if not _plain_luce(population):
        return None
    return Conclusion(
        "remark",
        "one reward fitted to these people orders items by Borda score, not by mean utility",
        "Siththaranjan, Laidlaw, Hadfield-Menell 2023",
    )


def _correlated(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    if not any(
        isinstance(component.rule, Thurstone) and component.rule.correlated for component in population.components()
    ):
        return None
    say = "say nothing" if design.menu_size == 2 else "tell"
    return Conclusion(
        "remark",
        f"with equal means, answers to menus of {design.menu_size} {say} of the correlations",
        "Cherapanamjeri et al. 2025 (2510.15839)",
    )


def _known_position_bias(rule: Rule) -> bool:
    return isinstance(rule, PositionBias) and behaves_as(rule.rule, Luce) and not rule.num_free()


def _has_linear_utility(component: Component) -> bool:
    return isinstance(component, Annotator) and behaves_as(component.utility, Linear)


def _has_free_table(component: Component) -> bool:
    return isinstance(component, Annotator) and free_table(component) is component.utility


def _all_present(population: Population) -> bool:
    return float(population.component_weights().detach().min()) > 0


def _plain_luce(population: Population) -> bool:
    return all(behaves_as(one.rule, Luce) and not one.rule.num_free() for one in population.components())


def _linear_index(population: Population) -> bool:
    return all(_has_linear_utility(one) or _has_table(one) for one in population.components())


def _has_table(component: Component) -> bool:
    return isinstance(component, Annotator) and behaves_as(component.utility, Tabular)


def _free_tabular(population: Population) -> bool:
    """Each type has a table of its own, all of it free, under plain Luce."""
    parts = population.components()
    tables = {id(one.utility) for one in parts if isinstance(one, Annotator)}
    return _plain_luce(population) and all(map(_has_free_table, parts)) and len(tables) == len(parts)


def _weights_free(population: Population) -> bool:
    """Every share is estimated by itself: mixtures whose weights are all free."""
    mixtures = [part for part in population.modules() if isinstance(part, Mixture)]
    return bool(mixtures) and all(part.weights.requires_grad for part in mixtures) and not covariate_rows(population)


def _distinct(population: Population, items: Items, tol: float = 1e-6) -> bool:
    index = mean_indices(population, items)
    return all(float((a - b).abs().max()) > tol for i, a in enumerate(index) for b in index[:i])


def _all_slates(design: Design) -> set[int]:
    """Sizes s for which every set of s items is on the menu (one prompt)."""
    if design.items.num_prompts > 1:
        return set()
    n = design.items.n
    if design.menus is None:
        return {design.menu_size} if design.log_proposal is None else set()
    sets = {tuple(sorted(set(row) - {-1})) for row in design.menus.tolist()}
    sizes = {len(s) for s in sets}
    return {s for s in sizes if sum(len(x) == s for x in sets) == math.comb(n, s)}
