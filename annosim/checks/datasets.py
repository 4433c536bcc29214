"""The data on which checks run: small data sets of every kind, and noiseless ones with whole-number expected counts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.sparse.csgraph import connected_components

from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.items import Items
from annosim.learning.existence.connectivity import answers_graph
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.random import child_seed, uniform53
from annosim.rules.luce import Luce
from annosim.simulation.draws import simulate
from annosim.utilities.linear import Linear
from annosim.utilities.tabular import Tabular

__all__ = [
    "components",
    "disconnected_dataset",
    "exact_ties_dataset",
    "exact_dataset",
    "has_estimate",
    "random_dataset",
    "relabel",
    "repeat",
    "ring_dataset",
    "swap_sides",
    "truth_of",
    "undefeated_dataset",
]


def truth_of(kind: str, n: int = 5, seed: int = 0) -> tuple[Population, Items]:
    """A well-behaved truth for a kind: utilities within about one unit, so that every pair has upsets."""
    u = 2 * uniform53(child_seed(seed, "check-truth"), "analysis", np.arange(n), 0) - 1
    if kind == "mixture":
        items = Items(n=n)
        v = np.linspace(-2.0, 2.0, n)
        return Mixture([Annotator(Tabular(v), Luce()), Annotator(Tabular(-v), Luce())], [0.7, 0.3]), items
    if kind == "reward":
        items = Items.normal(max(n, 8), 2, seed=child_seed(seed, "features"))
        return Annotator(Linear([1.0, -0.5]), Luce()), items
    return Annotator(Tabular(u), Luce()), Items(n=n)


def random_dataset(
    kind: str, n: int = 5, rows: int = 400, seed: int = 0, replicates: int | None = None
) -> PreferenceData:
    """Simulated Luce data of a kind; the win graph is made strongly connected by one balanced round."""
    population, items = truth_of(kind, n, seed)
    feedback = "ranking" if kind == "ranking" else "choice"
    size = {"ranking": 3, "choice": 3}.get(kind, 2)
    questions = 10 if kind == "mixture" else 1
    design = Design(items, menu_size=size, feedback=feedback, annotators=max(rows // questions, 1), questions=questions)
    data = simulate(population, design, seed=seed, replicates=replicates)
    if kind in ("mixture", "reward") or replicates is not None:
        return data
    return _tied_in(data, seed) if kind == "ties" else _with_cycle(data)


def _with_cycle(data: PreferenceData) -> PreferenceData:
    """Add one row per item in which it beats its successor: every item wins and loses, so the estimate exists."""
    n, k = data.items.n, data.menu_size
    menu = np.array([[(i + j) % n for j in range(k)] for i in range(n)], dtype=np.int32)
    answer = np.zeros(n, dtype=np.int8) if data.answer.ndim == 1 else np.tile(np.arange(k, dtype=np.int8), (n, 1))
    return PreferenceData(
        data.items, np.concatenate([data.menu, menu]), np.concatenate([data.answer, answer]), feedback=data.feedback
    )


def _tied_in(data: PreferenceData, seed: int) -> PreferenceData:
    """Turn every third or so answer into a tie."""
    plain = _with_cycle(data)
    tied = uniform53(child_seed(seed, "tied"), "analysis", np.arange(plain.rows), 0) < 0.3
    answer = np.where(tied[:, None], [[0, 1]], np.stack([plain.answer, -np.ones_like(plain.answer)], -1))
    return PreferenceData(plain.items, plain.menu, answer, feedback="choice", tied=tied[:, None])


def exact_dataset(kind: str, worths: Sequence[int] = (1, 2, 3, 4), shift: int = 1) -> tuple[PreferenceData, np.ndarray]:
    """Noiseless Luce data: every menu with whole-number counts that equal their expectation, and the true utilities.

    With whole-number worths ``w`` all choice probabilities are fractions, so multiplying by the least common
    denominator gives counts: no weights are needed, and any estimator can read them.

    Args:
        kind: ``"pairwise"``, ``"choice"``, ``"ranking"``, ``"ties"`` (pairs without a tie) or ``"reward"``.
        worths: one whole number per item.
        shift: multiplies all worths (another normalisation: nothing may depend on it).
    """
    w = [int(v) * shift for v in worths]
    k = 3 if kind in ("choice", "ranking") else 2
    menus, answers = [], []
    for menu in itertools.combinations(range(len(w)), k):
        space = list(itertools.permutations(range(k))) if kind == "ranking" else [(i,) for i in range(k)]
        chance = [_luce([w[i] for i in menu], order) for order in space]
        scale = np.lcm.reduce([c.denominator for c in chance])
        for order, c in zip(space, chance, strict=True):
            count = int(c * int(scale))
            menus += [menu] * count
            answers += [order if kind == "ranking" else order[0]] * count
    u = np.log(np.array(w, dtype=float))
    features = np.stack([u, np.arange(len(w)) % 2], -1) if kind == "reward" else None
    items = Items(features=features, n=len(w))
    data = PreferenceData(items, menus, answers, feedback="ranking" if kind == "ranking" else "choice")
    return data, u - u.mean()


def ring_dataset(kind: str, n: int = 40) -> tuple[PreferenceData, np.ndarray]:
    """Noiseless Luce data on a ring, and the true utilities: item ``i`` meets only its neighbours ``i + 1 (, i + 2)``.

    Worths are 1, 2, 3, 1, 2, 3, ...; a ring is the graph on which information travels slowest.
    """
    k = 3 if kind in ("choice", "ranking") else 2
    w = [1 + i % 3 for i in range(n)]
    menus, answers = [], []
    for i in range(n):
        menu = [(i + j) % n for j in range(k)]
        part, _ = exact_dataset(kind, [w[j] for j in menu])  # one menu of k items: its positions are ours
        menus += [menu] * part.rows
        answers.append(part.answer)
    u = np.log(np.array(w, dtype=float))
    return PreferenceData(Items(n=n), menus, np.concatenate(answers), feedback=part.feedback), u - u.mean()


def exact_ties_dataset(model: str, roots: Sequence[int] = (1, 2, 3)) -> tuple[PreferenceData, np.ndarray]:
    """Noiseless pairs with ties, in whole-number counts that equal their expectation, and the true utilities.

    Worths are the squares of ``roots``. ``"davidson"``: wins and ties stand as ``w_i : w_j : sqrt(w_i w_j)`` (Davidson
    1970, nu = 1). ``"rao_kupper"``: ``P(i beats j) = w_i / (w_i + 2 w_j)``, the rest are ties (Rao and Kupper 1967,
    theta = 2).
    """
    w = [int(r) ** 2 for r in roots]
    menu, outcome = [], []
    for i, j in itertools.combinations(range(len(w)), 2):
        if model == "davidson":
            counts = [w[i], w[j], int(roots[i]) * int(roots[j])]
        else:
            win, loss = Fraction(w[i], w[i] + 2 * w[j]), Fraction(w[j], w[j] + 2 * w[i])
            scale = int(np.lcm(win.denominator, loss.denominator))
            counts = [int(win * scale), int(loss * scale), int((1 - win - loss) * scale)]
        common = int(np.gcd.reduce(counts))
        for answer, count in zip(([0, -1], [1, -1], [0, 1]), counts, strict=True):
            menu += [(i, j)] * (count // common)
            outcome += [answer] * (count // common)
    tied = np.array(outcome)[:, 1:] == 1
    u = np.log(np.array(w, dtype=float))
    return PreferenceData(Items(n=len(w)), menu, outcome, feedback="choice", tied=tied), u - u.mean()


def components(data: PreferenceData) -> tuple[int, int]:
    """Numbers of strong and of weak components of the graph of wins, items that never appear counted alone.

    Example:
        >>> components(undefeated_dataset("pairwise")), components(disconnected_dataset("pairwise"))
        ((2, 1), (2, 2))
    """
    graph, _ = answers_graph(data)
    strong, weak = (connected_components(graph, connection=c, return_labels=False) for c in ("strong", "weak"))
    return int(strong), int(weak)


def has_estimate(data: PreferenceData) -> bool:
    """Whether Luce's maximum-likelihood estimate exists: the graph of wins is strongly connected (Ford 1957).

    Example:
        >>> has_estimate(undefeated_dataset("pairwise"))
        False
    """
    return components(data)[0] == 1


def _luce(worths: list[int], order: Sequence[int]) -> Fraction:
    left, p = list(range(len(worths))), Fraction(1)
    for place in order:
        p *= Fraction(worths[place], sum(worths[i] for i in left))
        left.remove(place)
    return p


def undefeated_dataset(kind: str) -> PreferenceData:
    """Item 0 wins every row in which it appears: no maximum-likelihood estimate exists."""
    base = random_dataset(kind, n=4, rows=60)
    answer = np.array(base.answer)
    for r in range(base.rows):
        places = np.flatnonzero(base.menu[r] == 0)
        if len(places) == 0:
            continue
        p = places[0]
        if answer.ndim == 1:
            answer[r] = p
        else:
            rest = [a for a in answer[r] if a >= 0 and a != p]
            full = [p, *rest]
            answer[r] = full[: answer.shape[1]] + [-1] * (answer.shape[1] - len(full))
    tied = None
    if base.tied is not None:
        tied = np.array(base.tied)
        tied[(base.menu == 0).any(1)] = False
        answer[(base.menu == 0).any(1), 1:] = -1
    return PreferenceData(base.items, base.menu, answer, feedback=base.feedback, tied=tied)


def disconnected_dataset(kind: str) -> PreferenceData:
    """Items {0, 1, 2} and {3, 4, 5} are never compared with one another."""
    half = random_dataset(kind, n=3, rows=60, seed=3)
    menu = np.concatenate([half.menu, half.menu + 3])
    answer = np.concatenate([half.answer, half.answer])
    tied = None if half.tied is None else np.concatenate([half.tied, half.tied])
    return PreferenceData(Items(n=6), menu, answer, feedback=half.feedback, tied=tied)


def swap_sides(data: PreferenceData) -> PreferenceData:
    """Show every menu in reverse display order; the same items are preferred."""
    k = data.menu_size
    answer = np.where(data.answer >= 0, k - 1 - data.answer, data.answer).astype(np.int8)
    if data.tied is not None and k == 2:  # a tied group lists its positions in ascending order
        answer[data.tied[:, 0]] = [0, 1]
    return data.with_(menu=data.menu[:, ::-1].copy(), answer=answer)


def relabel(data: PreferenceData, order: np.ndarray) -> PreferenceData:
    """Rename items: new item ``j`` is old item ``order[j]``."""
    new_id = np.argsort(order)
    menu = np.where(data.menu >= 0, new_id[data.menu], -1).astype(np.int32)
    items = data.items
    features = None if items.features is None else items.features[order.tolist()].numpy()
    return data.with_(items=Items(features=features, n=items.n), menu=menu)


def repeat(data: PreferenceData, times: int) -> PreferenceData:
    """Every row ``times`` times, each copy by new annotators."""
    tile = lambda v: None if v is None else np.concatenate([v] * times)  # noqa: E731
    ids = None
    if data.annotator is not None:
        ids = np.concatenate([data.annotator + t * data.num_annotators for t in range(times)])
    return data.with_(
        menu=tile(data.menu),
        answer=tile(data.answer),
        tied=tile(data.tied),
        annotator=ids,
        weight=tile(data.weight),
        order=None,
        columns={},
        annotator_names=None,
    )
