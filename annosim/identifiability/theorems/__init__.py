"""Known theorems as functions: a statement, its conditions, its source. Reports cite those that apply.

:data:`THEOREMS` lists them all; :func:`applicable` gives those whose conditions a population and a design satisfy.

Example:
    >>> print(THEOREMS["win_graph"].statement)
    The Bradley-Terry and Plackett-Luce estimate exists and is unique up to a shift.
"""

from collections.abc import Callable
from typing import Any

from annosim.identifiability.theorems.applicability import applicable, components, single_type
from annosim.identifiability.theorems.mixtures import (
    grouped_samples,
    plackett_luce_mixtures,
    structured_partial_orders,
    two_bradley_terry,
    uniform_two_mnl,
)
from annosim.identifiability.theorems.policies import (
    best_of_n_kl,
    max_min_policy,
    maximal_lottery_distortion,
    over_optimisation,
    pairwise_calibration_error,
)
from annosim.identifiability.theorems.pooled import borda_order, probit_best_of_three, voronoi_weights, win_graph
from annosim.identifiability.theorems.statement import Conclusion, Theorem
from annosim.identifiability.theorems.tastes import (
    duplicated_slate,
    odd_part_twin,
    same_annotator_pairs,
    tastes_from_pairs,
    tie_share,
)

__all__ = [
    "THEOREMS",
    "Conclusion",
    "Theorem",
    "applicable",
    "best_of_n_kl",
    "borda_order",
    "components",
    "duplicated_slate",
    "grouped_samples",
    "max_min_policy",
    "maximal_lottery_distortion",
    "odd_part_twin",
    "over_optimisation",
    "pairwise_calibration_error",
    "plackett_luce_mixtures",
    "probit_best_of_three",
    "same_annotator_pairs",
    "single_type",
    "structured_partial_orders",
    "tastes_from_pairs",
    "tie_share",
    "two_bradley_terry",
    "uniform_two_mnl",
    "voronoi_weights",
    "win_graph",
]

_ALL: tuple[tuple[Callable[..., Any], str, str, str], ...] = (
    (
        win_graph,
        "The Bradley-Terry and Plackett-Luce estimate exists and is unique up to a shift.",
        "the win graph is strongly connected",
        "Ford 1957; Hunter 2004",
    ),
    (
        plackett_luce_mixtures,
        "k-mixtures of Plackett-Luce collide for m <= 2k - 1 alternatives, are identified for k = "
        "2 and m >= 4, and generically for k <= floor((m - 2)/2)!.",
        "full rankings, different types of positive weight",
        "Zhao, Piech, Xia 2016 (1603.07323)",
    ),
    (
        structured_partial_orders,
        "Mixtures collide when l1 + l2 <= 2k - 1; k = 2 is identified from ranked top-3, from "
        "top-2 plus pairs, and from choices over up to 4.",
        "ranked top-l1 and l2-way choices over m >= 4 alternatives, different types of positive weight",
        "Zhao, Xia 2019 (1910.11721)",
    ),
    (
        uniform_two_mnl,
        "A uniform mixture of two MNLs is identified by slates of sizes 2 and 3, not by 2 alone.",
        "known weights 1/2, all slates of these sizes",
        "Chierichetti, Kumar, Tomkins 2018",
    ),
    (
        two_bradley_terry,
        "Two-component Bradley-Terry, 3-slate MNL and Plackett-Luce mixtures are generically known.",
        "n >= 5 items for pairs, n >= 4 for 3-slates and rankings",
        "Zhang, Zhang, Loh, Liang 2022 (2201.13132)",
    ),
    (
        grouped_samples,
        "2K - 1 independent answers by the same annotator identify K types; three do for linearly independent ones.",
        "different laws of positive weight",
        "Vandermeulen, Scott 2019 (1502.06644)",
    ),
    (
        tastes_from_pairs,
        "One pair per annotator shows the odd part of the distribution of tastes: it is identified iff "
        "it and its reflection are mutually singular.",
        "linear utility, pairs in an open ball, logistic choice",
        "docs/theorems.md, T1",
    ),
    (
        odd_part_twin,
        "{b: w, 0: 1 - w} has exactly one twin among two types, {b: (1 + w)/2, -b: (1 - w)/2}.",
        "one pair per annotator, linear utility",
        "docs/theorems.md, T1",
    ),
    (
        duplicated_slate,
        "Best of three identifies every distribution of tastes; a slate with a duplicate shows why.",
        "linear utility, rich design",
        "docs/theorems.md, T2",
    ),
    (
        same_annotator_pairs,
        "Two pairs by the same annotator identify every distribution of tastes.",
        "linear utility, rich design",
        "docs/theorems.md, T3",
    ),
    (
        tie_share,
        "Ties identify every distribution of tastes.",
        "linear utility, rich design, all but countably many thresholds",
        "docs/theorems.md, T4",
    ),
    (
        probit_best_of_three,
        "Pairs say nothing of a probit's correlations, best of three does.",
        "zero means, equal variances of the differences",
        "Cherapanamjeri et al. 2025 (2510.15839)",
    ),
    (
        borda_order,
        "Under hidden context a Bradley-Terry fit orders items by Borda score; expected utility is not "
        "identified by comparisons.",
        "uniform pairs",
        "Siththaranjan, Laidlaw, Hadfield-Menell 2023",
    ),
    (
        maximal_lottery_distortion,
        "Distortion of maximal lotteries is at most (b/2)(1 + e^-b)/(1 - e^-b).",
        "utilities in [0, 1], Bradley-Terry answers of scale b",
        "Goelz, Haghtalab, Yang 2025 (2505.23749)",
    ),
    (
        voronoi_weights,
        "The regularised estimate of one reward is not robust to approximate clones; the Voronoi-weighted one is.",
        "people who disagree",
        "Procaccia, Schiffer, Zhang 2025 (2501.09254)",
    ),
    (
        pairwise_calibration_error,
        "k i.i.d. rewards of annotators have squared calibration error at most 1/(4k).",
        "on every pair",
        "Pairwise calibration (2506.06298)",
    ),
    (
        max_min_policy,
        "Maximising the worst group's utility is a matrix game; no single reward's best policy does "
        "better for that group.",
        "known utilities of the groups",
        "MaxMin-RLHF (2402.08925)",
    ),
    (best_of_n_kl, "KL(best-of-n, base) <= log n - (n - 1)/n.", "any base policy", "Beirami et al. 2024 (2401.01879)"),
    (
        over_optimisation,
        "True reward follows d (alpha - beta d) for best-of-n and d (alpha - beta log d) for RL.",
        "empirical: d is the root of the KL divergence from the base",
        "Gao, Schulman, Hilton 2022 (2210.10760)",
    ),
)

#: name -> theorem; every function of this package that is a theorem
THEOREMS = {
    function.__name__: Theorem(function.__name__, statement, conditions, source, function)
    for function, statement, conditions, source in _ALL
}
