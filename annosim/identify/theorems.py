"""Known theorems as functions: a statement, its conditions, its source. Reports cite those that apply.

A conclusion is one of ``"identified"`` (no other population of the family has the same law), ``"generic"`` (all but a
set of measure zero are), ``"collides"`` (some parameters of the family share a law; generic ones may not) and
``"not identified"`` (this population shares its law with others).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from annosim.designs import Design
from annosim.errors import ArgumentError
from annosim.identify.coordinates import leaf_coordinates
from annosim.items import Items
from annosim.populations import Population

__all__ = [
    "Conclusion",
    "applicable",
    "best_of_n_kl",
    "borda_order",
    "grouped_samples",
    "maximal_lottery_distortion",
    "over_optimisation",
    "pairwise_calibration_error",
    "plackett_luce_mixtures",
    "probit_best_of_three",
    "single_type",
    "structured_partial_orders",
    "tastes_from_pairs",
    "two_bradley_terry",
    "uniform_two_mnl",
    "win_graph",
]


@dataclass(frozen=True)
class Conclusion:
    """What a theorem says of a population and a design.

    Attributes:
        kind: ``identified | generic | collides | not identified``.
        text: the statement as it applies here.
        source: where it is from.
    """

    kind: str
    text: str
    source: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text} [{self.source}]"


# ---- conditions in numbers ---------------------------------------------------------------------------------------


def plackett_luce_mixtures(types: int, items: int) -> Conclusion:
    """Mixtures of ``types`` Plackett-Luce models seen through full rankings of ``items`` alternatives.

    Not identifiable for ``m <= 2k - 1`` (some parameters collide); two types are identifiable for ``m >= 4``; k types
    are
    generically identifiable when ``k <= floor((m - 2) / 2)!`` (Zhao, Piech, Xia 2016, 1603.07323).

    Example:
        >>> plackett_luce_mixtures(2, 3).kind, plackett_luce_mixtures(2, 4).kind, plackett_luce_mixtures(3, 8).kind
        ('collides', 'identified', 'generic')
    """
    source = "Zhao, Piech, Xia 2016 (1603.07323)"
    if types == 1:
        return Conclusion("identified", "one Plackett-Luce model", source)
    if items <= 2 * types - 1:
        return Conclusion("collides", f"{types} Plackett-Luce types over m = {items} <= 2k - 1 alternatives", source)
    if types == 2:
        return Conclusion("identified", f"2 Plackett-Luce types over m = {items} >= 4 alternatives", source)
    bound = math.factorial(max((items - 2) // 2, 0))
    if types <= bound:
        return Conclusion("generic", f"{types} Plackett-Luce types <= floor((m - 2)/2)! = {bound}", source)
    return Conclusion("unknown", f"{types} Plackett-Luce types over m = {items}: outside the proved region", source)


def structured_partial_orders(types: int, items: int, ranked: int = 0, choices: tuple[int, ...] = ()) -> Conclusion:
    """Mixtures of Plackett-Luce models seen through ranked top-l answers over all items and choices from small menus.

    Args:
        types: k.
        items: m.
        ranked: l1, depth of a ranked top answer over all items (0: none).
        choices: sizes of the menus from which choices are made (every menu of these sizes).

    Not identifiable when ``l1 + l2 <= 2k - 1`` with l2 the largest menu of choices (1 without any); two types are
    identifiable from
    ranked top-3, from top-2 with pairs, and from choices over menus of 2, 3 and 4 (Zhao, Xia 2019, 1910.11721;
    ``m >= 4``).

    Example:
        >>> [structured_partial_orders(2, 5, choices=c).kind for c in ((2, 3, 4), (2, 3))]
        ['identified', 'collides']
    """
    source = "Zhao, Xia 2019 (1910.11721)"
    most = max(choices, default=1)
    if types >= 2 and ranked + most <= 2 * types - 1:
        return Conclusion("collides", f"l1 + l2 = {ranked + most} <= 2k - 1 = {2 * types - 1}", source)
    enough = ranked >= 3 or (ranked == 2 and 2 in choices) or {2, 3, 4} <= set(choices)
    if types == 2 and items >= 4 and enough:
        return Conclusion("identified", "2 types from ranked top-3, top-2 and pairs, or choices over up to 4", source)
    return Conclusion("unknown", "outside the proved region", source)


def uniform_two_mnl(sizes: set[int]) -> Conclusion:
    """A half-half mixture of two multinomial logits: slates of 2 and 3 identify it, slates of 2 alone do not.

    Chierichetti, Kumar, Tomkins 2018 (Learning a mixture of two multinomial logits).

    Example:
        >>> uniform_two_mnl({2, 3}).kind, uniform_two_mnl({2}).kind
        ('identified', 'collides')
    """
    source = "Chierichetti, Kumar, Tomkins 2018"
    if {2, 3} <= sizes:
        return Conclusion("identified", "a uniform mixture of two MNLs from all slates of sizes 2 and 3", source)
    if sizes == {2}:
        return Conclusion("collides", "uniform mixtures of two MNLs are not determined by pairs", source)
    return Conclusion("unknown", "outside the proved region", source)


def two_bradley_terry(kind: str, items: int) -> Conclusion:
    """Two-component mixtures are generically identifiable from pairs (n >= 5), 3-slates and rankings.

    Zhang, Zhang, Loh, Liang 2022 (2201.13132). For pairs four items leave a continuum (6 of 7).

    Args:
        kind: ``"pairs"``, ``"choices of three"`` or ``"rankings"``.

    Example:
        >>> two_bradley_terry("pairs", 5).kind, two_bradley_terry("pairs", 4).kind
        ('generic', 'not identified')
    """
    source = "Zhang, Zhang, Loh, Liang 2022 (2201.13132)"
    least = {"pairs": 5, "choices of three": 4, "rankings": 4}.get(kind)
    if least is None:
        raise ArgumentError(f"two_bradley_terry(kind={kind!r}): pairs, choices of three, or rankings")
    if items >= least:
        return Conclusion("generic", f"two types from {kind} over {items} items", source)
    if kind == "pairs":
        return Conclusion("not identified", f"{items} items have {math.comb(items, 2)} pair probabilities, fewer than "
                          f"the {2 * items - 1} parameters", "counting")  # fmt: skip
    return Conclusion("unknown", "outside the proved region", source)


def grouped_samples(types: int, questions: int, independent: bool = False) -> Conclusion:
    """Several independent answers by the same annotator identify the laws of the types.

    A mixture of K different laws is determined, among mixtures of at most K, by 2K - 1 independent draws per
    annotator; by
    three when the types' laws are linearly independent (Vandermeulen, Scott 2019, 1502.06644; Allman, Matias, Rhodes
    2009).

    Example:
        >>> grouped_samples(2, 3).kind, grouped_samples(2, 2).kind
        ('identified', 'unknown')
    """
    source = "Vandermeulen, Scott 2019 (1502.06644)"
    if questions >= 2 * types - 1:
        return Conclusion("identified", f"{types} different types, {questions} >= 2K - 1 answers per annotator", source)
    if independent and questions >= 3:
        return Conclusion("identified", f"{types} types with linearly independent laws, {questions} >= 3 answers each",
                          "Allman, Matias, Rhodes 2009 (0809.5032)")  # fmt: skip
    return Conclusion("unknown", f"{questions} < 2K - 1 answers per annotator", source)


# ---- tastes under the rich linear design (STUDY_heterogeneity T1 - T4) ---------------------------------------------


def tastes_from_pairs(tastes: np.ndarray, weights: np.ndarray, tol: float = 1e-9) -> Conclusion:
    r"""One pair per annotator, linear utility, pairs in an open ball around 0 (T1).

    ``sigmoid - 1/2`` is odd: only ``J = F - reflect(F)`` is identified, and F is point-identified, among all
    distributions, iff F and its reflection are mutually singular: no atom at zero and no two antipodal atoms.

    Args:
        tastes: ``(K, d)`` atoms; weights: ``(K,)``.

    Example:
        >>> tastes_from_pairs(np.array([[1., 0.], [0., 1.]]), np.array([.5, .5])).kind
        'identified'
        >>> tastes_from_pairs(np.array([[1., 0.], [0., 0.]]), np.array([.5, .5])).kind
        'not identified'
    """
    source = "STUDY_heterogeneity T1; Chidambaram et al. (2405.15065)"
    tastes = np.atleast_2d(np.asarray(tastes, dtype=float))[np.asarray(weights) > tol]
    apart = np.abs(tastes[:, None] + tastes[None]).max(-1)  # distance of each taste from each reflected one
    if (apart < tol).any():
        which = "a type without preferences" if (np.diag(apart) < tol).any() else "antipodal types"
        return Conclusion("not identified", f"{which}: one pair per annotator shows only the odd part of F", source)
    return Conclusion("identified", "F and its reflection are mutually singular (rich linear design of pairs)", source)


def odd_part_twin(taste: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """The one twin of ``{b: w, 0: 1 - w}`` inside the two-type family: ``{b: (1 + w)/2, -b: (1 - w)/2}``.

    Example:
        >>> odd_part_twin(np.array([1.0]), 0.5)[1].tolist()
        [0.75, 0.25]
    """
    taste = np.asarray(taste, dtype=float)
    return np.stack([taste, -taste]), np.array([(1 + weight) / 2, (1 - weight) / 2])


def duplicated_slate(scale: float, x: float = 1.0) -> float:
    r"""``P(a)`` on the slate {a, b, b} for tastes ``+-scale`` at one half each: ``E sigmoid(t - log 2)`` (T2).

    Example:
        >>> round(duplicated_slate(1.0), 6), round(duplicated_slate(2.0), 6)
        (0.36574, 0.425182)
    """
    t = np.array([scale * x, -scale * x]) - math.log(2)
    return float((1 / (1 + np.exp(-t))).mean())


# ---- other statements of THEOREMS.md -----------------------------------------------------------------------------


def win_graph(wins: np.ndarray) -> bool:
    """Ford 1957: the Bradley-Terry maximum-likelihood estimate exists and is unique iff the win graph is strongly
    connected (Plackett-Luce likewise, Hunter 2004).

    Args:
        wins: ``(n, n)`` counts, ``wins[i, j]`` times that i beat j.

    Example:
        >>> win_graph(np.array([[0, 1], [1, 0]])), win_graph(np.array([[0, 1], [0, 0]]))
        (True, False)
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(csr_matrix(np.asarray(wins) > 0), connection="strong")[0]) == 1


def probit_best_of_three(correlation: float) -> float:
    r"""Correlated probit with zero means: ``P(1 is best of 3) = 1/4 + arcsin(rho) / (2 pi)``, rho = corr(u1-u2, u1-u3).

    Pairs say nothing of the correlations (each is 1/2); best-of-three does (Cherapanamjeri et al. 2025, 2510.15839).

    Example:
        >>> round(probit_best_of_three(0.5), 6)
        0.333333
    """
    return 0.25 + math.asin(correlation) / (2 * math.pi)


def borda_order(share: np.ndarray) -> np.ndarray:
    """Hidden context: a Bradley-Terry fit to uniform pairs orders items by Borda score, not by expected utility
    (Siththaranjan, Laidlaw, Hadfield-Menell 2023).

    Args:
        share: ``(n, n)`` probabilities that the row beats the column.

    Returns:
        items, best first.

    Example:
        >>> borda_order(np.array([[.5, .9], [.1, .5]])).tolist()
        [0, 1]
    """
    return np.argsort(-np.asarray(share).sum(1), kind="stable")


def maximal_lottery_distortion(b: float) -> float:
    """Distortion of maximal lotteries under Bradley-Terry noise of scale b: at most ``(b/2)(1 + e^-b)/(1 - e^-b)``
    (Goelz, Haghtalab, Yang 2025, 2505.23749).

    Example:
        >>> [round(maximal_lottery_distortion(b), 4) for b in (1, 2, 5)]
        [1.082, 1.313, 2.5339]
    """
    if not b > 0:
        raise ArgumentError(f"maximal_lottery_distortion(b={b}): must be above 0")
    return b / 2 / math.tanh(b / 2)


def pairwise_calibration_error(rewards: int) -> float:
    """k i.i.d. rewards of annotators have squared calibration error at most ``1/(4k)`` on every pair (2506.06298).

    Example:
        >>> pairwise_calibration_error(25)
        0.01
    """
    return 1 / (4 * rewards)


def best_of_n_kl(n: int) -> float:
    """Upper bound ``log n - (n - 1)/n`` of the KL divergence of best-of-n from its base (Beirami et al. 2401.01879).

    Example:
        >>> round(best_of_n_kl(2), 6)
        0.193147
    """
    return math.log(n) - (n - 1) / n


def over_optimisation(distance: np.ndarray, alpha: float, beta: float, kind: str = "best-of-n") -> np.ndarray:
    """True reward against ``d = sqrt(KL)``: ``d (alpha - beta d)`` for best-of-n, ``d (alpha - beta log d)`` for RL
    (Gao, Schulman, Hilton 2022, 2210.10760).

    Example:
        >>> over_optimisation(np.array([1.0, 2.0]), 1.0, 0.25).tolist()
        [0.75, 1.0]
    """
    d = np.asarray(distance, dtype=float)
    return d * (alpha - beta * (d if kind == "best-of-n" else np.log(d)))


# ---- which of them apply -----------------------------------------------------------------------------------------


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
    checks: tuple[Callable[..., Conclusion | None], ...] = (
        single_type, _pl_mixture, _zhao_xia, _two_mnl, _two_types_generic, _grouped, _reflection,
    )  # fmt: skip
    found = [check(population, design, full_rank) for check in checks]
    return [c for c in found if c is not None and c.kind != "unknown"]


def single_type(population: Population, design: Design, full_rank: bool) -> Conclusion | None:
    """One type with Luce's rule: log-odds are differences of the index, so a full rank is global when the index is
    linear
    in the parameters (tabular and linear utilities, fixed rule)."""
    leaves = population.leaves()
    if len(leaves) != 1 or not full_rank or not _plain_luce(population) or not _linear_index(population):
        return None
    return Conclusion("identified", "one type: log-odds are linear in the parameters, and determine them",
                      "Luce 1959; Ford 1957 (the MLE exists iff the win graph is strongly connected)")  # fmt: skip


def _pl_mixture(population, design, full_rank):
    if not _free_tabular(population) or design.feedback.kind != "ranking" or design.menu_size != design.items.n:
        return None
    if not _distinct(population, design.items):
        return None
    return plackett_luce_mixtures(len(population.leaves()), design.items.n)


def _zhao_xia(population, design, full_rank):
    if not _free_tabular(population) or not _distinct(population, design.items) or not _weights_free(population):
        return None
    k, n = len(population.leaves()), design.items.n
    if design.feedback.kind == "top" and design.menu_size == n:
        return structured_partial_orders(k, n, ranked=int(design.feedback.depth or 0))
    if design.feedback.kind == "choice":
        slates = tuple(sorted(_all_slates(design)))
        return structured_partial_orders(k, n, choices=slates) if design.num_questions == 1 and slates else None
    return None


def _two_mnl(population, design, full_rank):
    leaves = population.leaves()
    fixed_half = len(leaves) == 2 and torch.allclose(population.leaf_weights().detach(), torch.tensor(0.5).double())
    if not fixed_half or _weights_free(population) or not _free_tabular(population) or design.feedback.kind != "choice":
        return None
    sizes = _all_slates(design)
    return uniform_two_mnl(sizes) if sizes and design.num_questions == 1 else None


def _two_types_generic(population, design, full_rank):
    if len(population.leaves()) != 2 or not _free_tabular(population) or design.num_questions != 1:
        return None
    sizes = _all_slates(design)
    if design.feedback.kind == "choice" and sizes == {2} and full_rank:
        return two_bradley_terry("pairs", design.items.n)
    if design.feedback.kind == "choice" and sizes == {3} and full_rank:
        return two_bradley_terry("choices of three", design.items.n)
    return None


def _grouped(population, design, full_rank):
    """2K - 1 independent questions: the types' laws are known; full rank of each type's own law then gives its
    index.
    """
    if design.questions == "all" or design.num_questions < 2 or design.loads is not None:
        return None
    leaves = population.leaves()
    if not (2 <= len(leaves) <= 6) or not full_rank or not _plain_luce(population) or not _linear_index(population):
        return None
    if not _distinct(population, design.items) or float(population.leaf_weights().detach().min()) <= 0:
        return None
    return grouped_samples(len(leaves), design.num_questions)


def _reflection(population, design, full_rank):
    from annosim.utilities import Linear

    leaves = population.leaves()
    if design.menu_size != 2 or design.num_questions != 1 or not _plain_luce(population):
        return None
    if not all(isinstance(getattr(leaf, "utility", None), Linear) for leaf in leaves):
        return None
    tastes = np.stack([leaf.utility.weights.detach().double().numpy() for leaf in leaves])
    weights = population.leaf_weights().detach().numpy()
    said = tastes_from_pairs(tastes, weights)
    if said.kind == "identified":  # the theorem is about rich designs; on these items it is only a hint
        return Conclusion("generic", "freely (any tastes, pairs in an open ball): " + said.text, said.source)
    return Conclusion(said.kind, "freely (among all distributions of tastes): " + said.text, said.source)


def _plain_luce(population: Population) -> bool:
    from annosim.rules.luce import Luce

    return all(type(leaf.rule) is Luce and not leaf.rule.num_free() for leaf in population.leaves())


def _linear_index(population: Population) -> bool:
    from annosim.utilities import Linear, Tabular

    return all(type(getattr(leaf, "utility", None)) in (Linear, Tabular) for leaf in population.leaves())


def _free_tabular(population: Population) -> bool:
    from annosim.utilities import Tabular

    return _plain_luce(population) and all(
        type(getattr(leaf, "utility", None)) is Tabular and leaf.utility.num_free() for leaf in population.leaves()
    )


def _weights_free(population: Population) -> bool:
    return any(n.endswith("weights") and population.constraint_of(n) == "simplex" for n in population.free_parameters())


def _distinct(population: Population, items: Items, tol: float = 1e-6) -> bool:
    index, _ = leaf_coordinates(population, items)
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
