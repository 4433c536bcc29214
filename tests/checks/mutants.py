"""Planted bugs: each is a correct estimator with one thing wrong, and the check that must catch it.

The correct ones (:func:`bradley_terry`, :func:`plackett_luce`, :func:`latent_classes`, :func:`reward`) pass every check
that applies to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, logsumexp

# ---- correct estimators -------------------------------------------------------------------------------------------


def wins(data, weights=True):
    """Win counts ``(n, n)`` of pairs, ties as half a win each way."""
    if data.rows == 0:
        raise ValueError("no rows")
    menu, answer = np.asarray(data.menu, dtype=np.int64), np.asarray(data.answer, dtype=np.int64)
    first = answer[:, 0] if answer.ndim == 2 else answer
    tied = np.zeros(len(first), bool) if data.tied is None else data.tied[:, 0]
    w = np.ones(len(first)) if data.weight is None or not weights else data.weight
    if not np.isfinite(w).all():
        raise ValueError("weights are not finite")
    count = np.zeros((data.items.n, data.items.n))
    rows = np.arange(len(first))
    won, lost = menu[rows, first], menu[rows, 1 - first]
    np.add.at(count, (won, lost), np.where(tied, 0.5, 1.0) * w)
    np.add.at(count, (lost, won), np.where(tied, 0.5, 0.0) * w)
    return count


def require_connected(count):
    """Ford's condition."""
    reach = (count > 0) | np.eye(len(count), dtype=bool)
    for _ in range(len(count)):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    if not reach.all():
        raise ValueError("the win graph is not strongly connected")


def newton(count, steps=100, ridge=0.0, tol=1e-11):
    """Maximum-likelihood Bradley-Terry utilities from win counts."""
    n = len(count)
    u, games = np.zeros(n), count + count.T
    for _ in range(steps):
        p = expit(u[:, None] - u[None, :])
        g = (count - games * p).sum(1) - ridge * u
        h = games * p * (1 - p)
        u = u + np.linalg.solve(np.diag(h.sum(1)) - h + 1 / n + ridge * np.eye(n), g)
        if np.abs(g).max() < tol:
            break
    return u - u.mean()


def bradley_terry(data):
    count = wins(data)
    require_connected(count)
    return newton(count)


def with_errors(data, inflate=1.0, per_row=False):
    count = wins(data)
    require_connected(count)
    u = newton(count)
    p = expit(u[:, None] - u[None, :])
    h = (count + count.T) * p * (1 - p)
    if per_row:  # forgets that more rows say more
        h = h / count.sum() * 400
    se = np.sqrt(np.diag(np.linalg.pinv(np.diag(h.sum(1)) - h)))
    return u, inflate * se


def objective(data, u, sign=1.0, factor=1.0):
    count = wins(data)
    p = expit(u[:, None] - u[None, :])
    value = (count * np.log(p)).sum()
    return value, sign * factor * (count - (count + count.T) * p).sum(1)


def stages(data, skip_last=True):
    """Luce stages of choices and rankings: (chosen, alternatives still there, weight), equal rows as one."""
    k = data.menu_size
    answer = np.asarray(data.answer, dtype=np.int64).reshape(data.rows, -1)
    rows, which = np.unique(np.concatenate([data.menu, answer], 1), axis=0, return_inverse=True)
    menu, answer = rows[:, :k], rows[:, k:]
    weight = np.bincount(which.reshape(-1), np.ones(data.rows) if data.weight is None else data.weight)
    out = []
    for m, row, w in zip(menu, answer, weight, strict=True):
        left = list(m)
        for place in row:
            if len(left) > 1:
                out.append((m[place], list(left), w))
            left.remove(m[place])
    return out


def plackett_luce(data, include_gone=False, steps=60):
    if data.rows == 0:
        raise ValueError("no rows")
    if not np.isfinite(np.ones(1) if data.weight is None else data.weight).all():
        raise ValueError("weights are not finite")
    parts = stages(data)
    n = data.items.n
    beat = np.zeros((n, n))
    for chosen, left, w in parts:
        for other in left:
            beat[chosen, other] += w * (other != chosen)
    require_connected(beat)
    if include_gone:
        whole = [list(left) for _, left, _ in parts if len(left) == data.menu_size]  # the first stage of each row
        parts = [(c, whole[i // (data.menu_size - 1)], w) for i, (c, _, w) in enumerate(parts)]
    size = max(len(left) for _, left, _ in parts)
    menu = np.array([left + [-1] * (size - len(left)) for _, left, _ in parts])
    chosen, weight = np.array([c for c, _, _ in parts]), np.array([w for _, _, w in parts])
    u = np.zeros(n)
    for _ in range(steps):
        s = np.where(menu >= 0, u[menu], -np.inf)
        p = np.exp(s - logsumexp(s, axis=1, keepdims=True))
        g, h = np.bincount(chosen, weight, n), np.full((n, n), 1 / n)
        np.add.at(g, menu[menu >= 0], -(p * weight[:, None])[menu >= 0])
        for j in range(size):
            np.add.at(h, (menu[:, j].clip(0), menu[:, j].clip(0)), p[:, j] * weight)
            for k in range(size):
                np.add.at(h, (menu[:, j].clip(0), menu[:, k].clip(0)), -p[:, j] * p[:, k] * weight)
        u = u + np.linalg.solve(h, g)
        if np.abs(g).max() < 1e-9:
            break
    return u - u.mean()


def latent_classes(data, outside=False, steps=200):
    """Two Bradley-Terry types by EM over annotators."""
    if data.rows == 0:
        raise ValueError("no rows")
    ids = np.asarray(data.annotator)
    if len(set(ids.tolist())) < 2:
        raise ValueError("one annotator says nothing of two types")
    n, people = data.items.n, int(ids.max()) + 1
    menu, answer = np.asarray(data.menu, dtype=np.int64), np.asarray(data.answer, dtype=np.int64)
    rows = np.arange(data.rows)
    won, lost = menu[rows, answer], menu[rows, 1 - answer]
    count = np.zeros((people, n, n))
    np.add.at(count, (ids, won, lost), 1.0)
    net = count.sum(2) - count.sum(1)
    # a start that depends on the data alone: split along the main direction in which annotators differ
    _, _, axis = np.linalg.svd(net - net.mean(0), full_matrices=False)
    direction = axis[0] * np.sign(axis[0] @ net.sum(0) or 1.0)
    gamma = np.stack([expit(net @ direction), expit(-net @ direction)], 1)
    share = gamma.mean(0)
    for _ in range(steps):
        u = np.stack([newton(np.einsum("a,aij->ij", gamma[:, k], count) + 1e-9, ridge=1e-6) for k in range(2)])
        logp = np.log(expit(u[:, :, None] - u[:, None, :]))
        ll = np.einsum("aij,kij->ak", count, logp)
        if outside:  # a person's answers are averaged instead of multiplied
            ll = ll / np.maximum(count.sum((1, 2)), 1)[:, None]
        joint = ll + np.log(share)
        gamma = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        moved = np.abs(gamma.mean(0) - share).max()
        share = gamma.mean(0)
        if moved < 1e-12:
            break
    return u[np.argsort(-share)]


def reward(data, use_right=True):
    x = data.items.features.numpy()
    if data.rows == 0:
        raise ValueError("no rows")
    menu, answer = np.asarray(data.menu, dtype=np.int64), np.asarray(data.answer, dtype=np.int64)
    d = x[menu[:, 0]] - (x[menu[:, 1]] if use_right else 0)
    weight = np.ones(len(d)) if data.weight is None else data.weight
    if not np.isfinite(weight).all():
        raise ValueError("weights are not finite")
    y = np.where(answer == 0, 1.0, -1.0)
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        p = expit(-y * (d @ beta))
        g = (d * (weight * y * p)[:, None]).sum(0)
        h = (d * (weight * p * (1 - p))[:, None]).T @ d
        if np.linalg.cond(h) > 1e12 or np.abs(beta).max() > 50:
            raise ValueError("the answers are separable: no finite maximum-likelihood reward")
        beta = beta + np.linalg.solve(h, g)
        if np.abs(g).max() < 1e-10:
            break
    return x @ beta


# ---- mutants ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """A planted bug: what is wrong, the estimator, and the check that must catch it."""

    name: str
    function: Callable
    caught_by: str
    kind: str = "pairwise"
    tags: frozenset = frozenset()


MUTANTS: list[Mutant] = []


def mutant(caught_by, kind="pairwise", tags=()):
    def register(function):
        MUTANTS.append(Mutant(function.__name__, function, caught_by, kind, frozenset(tags)))
        return function

    return register


def _rows(data, keep):
    return data.take(keep)


@mutant("check_exact_recovery")
def sign_flipped(data):
    return -bradley_terry(data)


@mutant("check_swapping_sides")
def left_always_wins(data):
    return newton(wins(data.with_(answer=np.zeros(data.rows, np.int8))) + 0.1)


@mutant("check_exact_recovery")
def item_index_off_by_one(data):
    return np.roll(bradley_terry(data), 1)


@mutant("check_many_items")
def stops_at_the_iteration_limit(data):
    count = wins(data)
    require_connected(count)
    games, w = count + count.T, np.ones(len(count))
    for _ in range(20):  # minorise-maximise needs some thousand steps on a ring
        w = count.sum(1) / (games / (w[:, None] + w[None, :])).sum(1)
    return np.log(w) - np.log(w).mean()


@mutant("check_exact_recovery")
def missing_factor_two(data):
    return bradley_terry(data) / 2


@mutant("check_exact_recovery")
def penalty_leaks_in(data):
    return newton(wins(data), ridge=0.1)


@mutant("check_row_order")
def order_dependent(data):
    u = np.zeros(data.items.n)
    for m, a in zip(data.menu, data.answer, strict=True):
        w, lo = m[a], m[1 - a]
        step = 0.2 * (1 - expit(u[w] - u[lo]))
        u[w] += step
        u[lo] -= step
    return u


@mutant("check_relabelling")
def leaks_the_item_id(data):
    return bradley_terry(data) + 0.001 * np.arange(data.items.n)


@mutant("check_deterministic")
def jitters_with_the_global_generator(data):
    return bradley_terry(data) + 1e-3 * np.random.normal(size=data.items.n)  # noqa: NPY002 - the bug


@mutant("check_leaves_global_generators_alone")
def shuffles_with_the_global_generator(data):
    return bradley_terry(data.take(np.random.permutation(data.rows)))  # noqa: NPY002 - the bug


@mutant("check_leaves_inputs_alone")
def sorts_its_input(data):
    u = bradley_terry(data)
    data.menu.sort(axis=1)
    return u


@mutant("check_reversal", kind="ties")
def ties_are_wins_of_both_and_more(data):
    count = wins(data) + wins(data.take(data.tied[:, 0])) * np.array(2.0) if data.tied is not None else wins(data)
    bonus = np.bincount(data.menu[data.tied[:, 0]].ravel(), minlength=data.items.n)
    return newton(count + bonus[:, None] * 0.5 * (count > 0))


@mutant("check_swapping_sides", kind="ties")
def ties_go_to_the_left(data):
    return bradley_terry(data.with_(tied=np.zeros_like(data.tied)))


@mutant("check_merging_weights", tags={"weights"})
def ignores_weights(data):
    count = wins(data, weights=False)
    require_connected(count)
    return newton(count)


@mutant("check_merging_weights", tags={"weights"})
def squares_weights(data):
    return bradley_terry(data.with_(weight=None if data.weight is None else data.weight**2))


@mutant("check_row_order")
def drops_the_first_row(data):
    return bradley_terry(data.take(np.arange(1, data.rows)))


@mutant("check_exact_recovery")
def drops_duplicate_rows(data):
    _, keep = np.unique(np.column_stack([data.menu, data.answer]), axis=0, return_index=True)
    return newton(wins(data.take(keep)))


@mutant("check_exact_recovery")
def reads_positions_as_items(data):
    n = data.items.n
    count = np.full((n, n), 0.01)
    for m, a in zip(data.menu, data.answer, strict=True):
        count[int(a), m[0] if m[0] != a else m[1]] += 1
    np.fill_diagonal(count, 0)
    return newton(count)


@mutant("check_consistency")
def counts_in_eight_bits(data):
    return newton(np.abs(wins(data).astype(np.int8).astype(float)) + 1e-3)


@mutant("check_exact_recovery")
def single_precision_with_an_offset(data):
    return (bradley_terry(data).astype(np.float32) + np.float32(1e5)).astype(float)


@mutant("check_exact_recovery")
def clamps_utilities(data):
    return np.clip(bradley_terry(data), -0.5, 0.5)


@mutant("check_refuses_disconnected")
def pseudo_inverse_on_anything(data):
    count = wins(data)
    u, games = np.zeros(data.items.n), count + count.T
    for _ in range(25):
        p = expit(u[:, None] - u[None, :])
        h = games * p * (1 - p)
        u = u + np.linalg.pinv(np.diag(h.sum(1)) - h) @ (count - games * p).sum(1)
    return u


@mutant("check_refuses_undefeated")
def collapses_on_an_undefeated_item(data):
    count = wins(data)
    w = np.ones(len(count))
    for _ in range(2000):
        w = np.maximum(count.sum(1) / np.maximum(((count + count.T) / (w[:, None] + w)).sum(1), 1e-12), 1e-6)
        w = w / w.sum()
    return np.log(w)


@mutant("check_consistency")
def looks_at_a_root_of_the_rows(data):
    few = data.take(np.arange(min(data.rows, int(8 * data.rows**0.5))))
    return newton(wins(few) + 1e-6)


@mutant("check_many_rows")
def step_does_not_scale_with_rows(data):
    count = wins(data)
    require_connected(count)
    u = np.zeros(data.items.n)
    for _ in range(5000):
        u = u + 0.01 * (count - (count + count.T) * expit(u[:, None] - u[None, :])).sum(1)
    return u - u.mean()


@mutant("check_refuses_disconnected", tags={"weights"})
def joins_groups_by_a_pseudo_count(data):
    return newton(wins(data) + 1e-3)


@mutant("check_davidson_recovery", kind="ties", tags={"davidson"})
def ties_count_as_two_halves_too_many(data):
    ties = np.zeros((data.items.n, data.items.n))
    rows = data.menu[data.tied[:, 0]]
    np.add.at(ties, (rows[:, 0], rows[:, 1]), 0.5)
    np.add.at(ties, (rows[:, 1], rows[:, 0]), 0.5)
    return newton(wins(data) + ties)  # Davidson's utilities, halved twice over: a tie pulls its pair together again


@mutant("check_rao_kupper_recovery", kind="ties", tags={"rao_kupper"})
def threshold_of_one(data):
    return newton(wins(data))


@mutant("check_refuses_nan", tags={"weights"})
def hides_nan_weights(data):
    return bradley_terry(data.with_(weight=None if data.weight is None else np.nan_to_num(data.weight)))


@mutant("check_coverage", tags={"intervals"})
def intervals_half_as_wide(data):
    return with_errors(data, inflate=0.5)


@mutant("check_coverage", tags={"intervals"})
def intervals_twice_as_wide(data):
    return with_errors(data, inflate=2.0)


@mutant("check_duplicates", tags={"intervals"})
def intervals_that_never_shrink(data):
    return with_errors(data, per_row=True)


@mutant("check_relabelling")
def remembers_by_number_of_rows(data):
    return _MEMORY.setdefault((data.rows, data.items.n), bradley_terry(data))


_MEMORY: dict = {}


@mutant("check_dtypes")
def reads_raw_bytes(data):
    menu = np.frombuffer(np.ascontiguousarray(data.menu).tobytes(), dtype=np.int32).reshape(-1, 2)[: data.rows]
    return bradley_terry(data.with_(menu=np.clip(menu, 0, data.items.n - 1)))


@mutant("check_dtypes")
def computes_in_the_default_dtype(data):
    rating = torch.tensor((1e5 + bradley_terry(data)).tolist())  # float32, unless somebody set another default
    return rating.double().numpy() - 1e5


@mutant("check_swapping_sides")
def left_bonus(data):
    first = np.bincount(data.menu[:, 0], minlength=data.items.n)
    return bradley_terry(data) + 0.05 * first / first.sum()


@mutant("check_monotonicity")
def left_wins_count_as_losses(data):
    return newton(wins(data.with_(answer=np.ones(data.rows, np.int8))) + 0.1)


@mutant("check_serialisation")
def returns_something_with_a_lambda(data):
    return _Holder(bradley_terry(data))


class _Holder:
    def __init__(self, u):
        self.u, self.later = u, lambda: u

    def __array__(self, dtype=None, copy=None):
        return self.u


@mutant("check_annotator_ids_ignored")
def weighs_by_annotator(data):
    ids = data.annotator_ids
    share = 1.0 / np.bincount(ids)[ids] ** 0.5
    return bradley_terry(data.with_(annotator=None, weight=share * (1 + ids % 2)))


@mutant("check_exact_recovery", kind="ranking")
def chosen_items_stay_on_the_menu(data):
    return plackett_luce(data, include_gone=True)


@mutant("check_exact_recovery", kind="ranking")
def reads_rankings_worst_first(data):
    return plackett_luce(data.with_(answer=data.answer[:, ::-1].copy()))


@mutant("check_exact_recovery", kind="choice")
def compares_with_the_first_loser_only(data):
    menu = np.asarray(data.menu)
    rows = np.arange(len(menu))
    won = menu[rows, data.answer]
    lost = np.where(data.answer == 0, menu[:, 1], menu[:, 0])
    n = data.items.n
    count = np.zeros((n, n))
    np.add.at(count, (won, lost), 1 + (lost % 2))
    return newton(count)


@mutant("check_row_order", kind="mixture")
def annotator_index_off_by_one(data):
    return latent_classes(data.with_(annotator=np.roll(data.annotator, 1), order=None))


@mutant("check_annotator_relabelling", kind="mixture")
def annotator_id_used_as_a_number(data):
    heavy = np.concatenate([np.arange(data.rows), np.flatnonzero(data.annotator == 0)])
    return latent_classes(data.take(heavy))


@mutant("check_type_relabelling", kind="mixture")
def lists_types_by_their_first_item(data):
    u = latent_classes(data)
    return u[np.argsort(u[:, 0])]


@mutant("check_types_recovered", kind="mixture")
def averages_where_it_should_multiply(data):
    return latent_classes(data, outside=True)


@mutant("check_single_annotator", kind="mixture")
def splits_one_annotator_into_types(data):
    ids = data.annotator if len(set(data.annotator.tolist())) > 1 else np.arange(data.rows, dtype=np.int32) // 10
    return latent_classes(data.with_(annotator=ids))


@mutant("check_exact_recovery", kind="reward")
def forgets_the_right_side(data):
    return reward(data, use_right=False)


class _WithGradient:
    """An estimator that declares a gradient."""

    def __init__(self, name, **wrong):
        self.__name__, self.wrong = name, wrong

    def __call__(self, data):
        return bradley_terry(data)

    def objective(self, data, u):
        return objective(data, u, **self.wrong)


for _name, _wrong in (("gradient_sign", {"sign": -1.0}), ("gradient_factor_two", {"factor": 2.0})):
    MUTANTS.append(Mutant(_name, _WithGradient(_name, **_wrong), "check_gradient", tags=frozenset({"gradient"})))

GOOD = [
    ("bradley_terry", bradley_terry, "pairwise", {"weights"}),
    ("with_errors", with_errors, "pairwise", {"weights", "intervals"}),
    ("gradient", _WithGradient("gradient"), "pairwise", {"weights", "gradient"}),
    ("bradley_terry_ties", bradley_terry, "ties", {"weights"}),
    ("plackett_luce_choice", plackett_luce, "choice", {"weights"}),
    ("plackett_luce_ranking", plackett_luce, "ranking", {"weights"}),
    ("latent_classes", latent_classes, "mixture", set()),
    ("reward", reward, "reward", {"weights"}),
]
