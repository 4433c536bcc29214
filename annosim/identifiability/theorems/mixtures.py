"""Mixtures of Luce's rule: which answers identify K types."""

from __future__ import annotations

import math

from annosim.errors import ArgumentError, told
from annosim.identifiability.theorems.statement import Conclusion

__all__ = [
    "grouped_samples",
    "plackett_luce_mixtures",
    "structured_partial_orders",
    "two_bradley_terry",
    "uniform_two_mnl",
]


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
        raise ArgumentError(f"two_bradley_terry(kind={told(kind)}): pairs, choices of three, or rankings")
    if items >= least:
        return Conclusion("generic", f"two types from {kind} over {items} items", source)
    if kind == "pairs":
        return Conclusion(
            "not identified",
            f"{items} items have {math.comb(items, 2)} pair probabilities, fewer than the {2 * items - 1} parameters",
            "counting",
        )
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
        return Conclusion(
            "identified",
            f"{types} types with linearly independent laws, {questions} >= 3 answers each",
            "Allman, Matias, Rhodes 2009 (0809.5032)",
        )
    return Conclusion("unknown", f"{questions} < 2K - 1 answers per annotator", source)
