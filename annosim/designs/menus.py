"""Lists of menus for ``Design(menus=)``: round robin, star, chain, sparse random graphs, random menus; loads from data.

Menus stay inside a prompt: every function makes its list for each prompt and puts them one after the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from annosim.arrays import Numbers
from annosim.constraints import check_size, check_whole_number, check_whole_numbers
from annosim.errors import ArgumentError, told
from annosim.items import Items
from annosim.random import uniform53

__all__ = [
    "both_orders",
    "chain",
    "empirical_loads",
    "lists_twice",
    "random_menus",
    "round_robin",
    "sparse_graph",
    "star",
]


def _per_prompt(items: Items, make: Callable[[NDArray[np.int64]], object], size: int) -> NDArray[np.int64]:
    parts = []
    for prompt in items.prompts.unique().tolist():
        ids = items.members(prompt).numpy()
        if len(ids) < size:
            raise ArgumentError(f"prompt {prompt} has only {len(ids)} items; menus of {size} need as many")
        parts.append(ids[np.asarray(make(ids), dtype=np.int64).reshape(-1, size)])
    return np.concatenate(parts)


def round_robin(items: Items, size: int = 2) -> NDArray[np.int64]:
    """Every set of ``size`` items once, ``(M, size)``, in ascending order of ids.

    Example:
        >>> round_robin(Items(n=3)).tolist()
        [[0, 1], [0, 2], [1, 2]]
    """
    check_whole_number("round_robin(size=)", size)

    def make(ids: NDArray[np.int64]) -> list[tuple[int, ...]]:
        check_size(f"round_robin(size={size})", math.comb(len(ids), size), size)
        return list(itertools.combinations(range(len(ids)), size))

    return _per_prompt(items, make, size)


def star(items: Items, centre: int | str | None = None) -> NDArray[np.int64]:
    """One item against each of the others, ``(n - 1, 2)``: ``centre`` (id or name), or each prompt's first item.

    Example:
        >>> star(Items(n=3), centre=1).tolist()
        [[1, 0], [1, 2]]
    """
    if centre is not None and items.num_prompts > 1:
        raise ArgumentError("star(centre=): there are several prompts, each has a centre of its own; leave centre out")
    middle = items.id_of(centre) if isinstance(centre, str) else centre
    if middle is not None and not 0 <= middle < items.n:
        raise ArgumentError(f"star(centre={told(centre)}): item ids are 0..{items.n - 1}")
    at = 0 if middle is None else int(middle)
    return _per_prompt(items, lambda ids: [(at, j) for j in range(len(ids)) if j != at], 2)


def chain(items: Items, closed: bool = False) -> NDArray[np.int64]:
    """Each item against the next, ``(n - 1, 2)``; ``closed`` adds the last against the first.

    Example:
        >>> chain(Items(n=3), closed=True).tolist()
        [[0, 1], [1, 2], [2, 0]]
    """

    def links(ids: NDArray[np.int64]) -> list[tuple[int, int]]:
        n = len(ids)
        return [(j, (j + 1) % n) for j in range(n if closed and n > 2 else n - 1)]

    return _per_prompt(items, links, 2)


def sparse_graph(items: Items, pairs: int, seed: int = 0) -> NDArray[np.int64]:
    """``pairs`` random distinct pairs that connect all items of each prompt, ``(pairs * prompts, 2)``, sides at random.

    A random recursive tree on a random order of the items, then pairs drawn uniformly among the rest.

    Args:
        pairs: per prompt, from ``n - 1`` to ``n (n - 1) / 2``.

    Example:
        >>> sparse_graph(Items(n=10), pairs=12, seed=0).shape
        (12, 2)
    """
    check_whole_number("sparse_graph(pairs=)", pairs, low=0)
    turn = itertools.count()

    def make(ids: NDArray[np.int64]) -> NDArray[np.int64]:
        n, stretch = len(ids), next(turn) * 4
        if not n - 1 <= pairs <= n * (n - 1) // 2:
            raise ArgumentError(
                f"sparse_graph(pairs={pairs}): from {n - 1} (connected) to {n * (n - 1) // 2} for {n} items"
            )
        check_size("sparse_graph: all pairs of items", n, n - 1)

        def draw(what: int, count: int) -> NDArray[np.float64]:
            return uniform53(seed, "menu", np.arange(count), stretch + what)

        order = np.argsort(draw(0, n), kind="stable")
        parent = (draw(1, n)[1:] * np.arange(1, n)).astype(np.int64)
        tree = np.stack([order[1:], order[parent]], -1)
        every = np.stack(np.triu_indices(n, 1), -1)
        key = every[:, 0] * n + every[:, 1]
        used = np.isin(key, tree.min(-1) * n + tree.max(-1))
        rest = every[~used]
        extra = rest[np.argsort(draw(2, len(rest)), kind="stable")[: pairs - (n - 1)]]
        edges = np.concatenate([tree, extra])
        flip = draw(3, len(edges)) < 0.5
        return np.where(flip[:, None], edges[:, ::-1], edges)

    return _per_prompt(items, make, 2)


def random_menus(items: Items, count: int, size: int = 2, seed: int = 0) -> NDArray[np.int64]:
    """``count`` menus of distinct items per prompt, drawn uniformly (a menu may repeat), ``(count * prompts, size)``.

    Example:
        >>> random_menus(Items(n=5), count=7, size=3).shape
        (7, 3)
    """
    for name, number in (("count", count), ("size", size)):
        check_whole_number(f"random_menus({name}=)", number)
    turn = itertools.count()

    def make(ids: NDArray[np.int64]) -> NDArray[np.int64]:
        check_size(f"random_menus(count={count})", count, len(ids))
        stretch = next(turn) * len(ids)
        keys = uniform53(seed, "menu", np.arange(count)[:, None], stretch + np.arange(len(ids))[None, :])
        return np.argsort(keys, axis=1, kind="stable")[:, :size]

    return _per_prompt(items, make, size)


def both_orders(menus: Numbers) -> NDArray[np.int64]:
    """Every pair on both sides, ``(2 M, 2)``: a design in which position bias cancels.

    Example:
        >>> both_orders([[0, 1]]).tolist()
        [[0, 1], [1, 0]]
    """
    pairs = check_whole_numbers("both_orders(menus=)", menus)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ArgumentError(f"both_orders(menus=): pairs (M, 2), got shape {pairs.shape}")
    return np.concatenate([pairs, pairs[:, ::-1]])


@runtime_checkable
class Answered(Protocol):
    """What says who answered: :class:`~annosim.PreferenceData` does."""

    @property
    def annotator_ids(self) -> NDArray[np.integer]:
        """``(rows,)`` the annotator of each answer."""
        ...


def empirical_loads(data: Answered | Numbers, annotators: int, seed: int = 0) -> NDArray[np.int64]:
    """Questions per annotator, ``(annotators,)``, drawn with replacement from those of real annotators.

    Args:
        data: :class:`~annosim.PreferenceData`, or the loads themselves.
        annotators: how many to draw.
        seed: stream ``load``.

    Example:
        >>> import annosim as an
        >>> loads = empirical_loads([1, 1, 8], annotators=4)
        >>> an.Design(an.Items(n=3), annotators=4, loads=loads).num_rows == int(loads.sum())
        True
    """
    loads = np.bincount(data.annotator_ids) if isinstance(data, Answered) else data
    known = check_whole_numbers("empirical_loads(data=)", loads)
    known = known[known > 0]
    if known.ndim != 1 or not len(known) or annotators < 1:
        raise ArgumentError(
            "empirical_loads: needs at least one annotator with an answer, and annotators of at least 1"
        )
    draw = uniform53(seed, "load", np.arange(annotators), 0)
    return np.sort(known)[(draw * len(known)).astype(np.int64)]


def lists_twice(menus: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a menu lists some item twice, ``(..., k)`` ids (-1 pads) to ``(...)``.

    Example:
        >>> lists_twice(np.array([[0, 1, -1, -1], [2, 0, 2, 1]])).tolist()
        [False, True]
    """
    if menus.shape[-1] == 2:
        return (menus[..., 0] == menus[..., 1]) & (menus[..., 0] >= 0)
    ordered = np.sort(menus, axis=-1)
    return ((np.diff(ordered, axis=-1) == 0) & (ordered[..., 1:] >= 0)).any(-1)
