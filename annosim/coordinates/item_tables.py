"""Which free numbers of a model belong to an item each."""

from __future__ import annotations

from annosim.items import Items
from annosim.populations.base import Population
from annosim.populations.judge_panels import JudgePanels
from annosim.populations.low_rank import LowRank
from annosim.utilities.tabular import Tabular

__all__ = ["item_tables", "utility_tables"]

_UTILITIES = ((Tabular, "values"), (LowRank, "mean"), (JudgePanels, "mean"))
_OTHERS = ((LowRank, "loadings"), (JudgePanels, "spread"))


def utility_tables(population: Population) -> list[str]:
    """Names of free tables ``(n,)`` with a utility for each item.

    Example:
        >>> import annosim as an
        >>> utility_tables(an.populations.LowRank(2, [[1.0], [0.5]], an.Luce()))
        ['mean']
    """
    return _named(population, _UTILITIES)


def item_tables(population: Population, items: Items) -> list[str]:
    """Names of free tables ``(n, ...)`` with numbers of any kind for each item.

    Example:
        >>> import annosim as an
        >>> item_tables(an.populations.LowRank(2, [[1.0], [0.5]], an.Luce()), an.Items(n=2))
        ['mean', 'loadings']
    """
    free = population.free_parameters()
    return [name for name in _named(population, _UTILITIES + _OTHERS) if free[name].shape[:1] == (items.n,)]


def _named(population: Population, kinds: tuple[tuple[type, str], ...]) -> list[str]:
    out = []
    for name in population.free_parameters():
        owner, _, last = name.rpartition(".")
        part = population.get_submodule(owner)
        if any(isinstance(part, kind) and last == own for kind, own in kinds):
            out.append(name)
    return out
