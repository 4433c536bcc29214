"""Bradley-Terry on many items: the accelerated fixed point against dense Newton, and its proof of existence."""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an
from annosim.learning.likelihoods.luce import LuceTable
from annosim.learning.likelihoods.statistics import PairList, from_data
from annosim.learning.problem import Problem
from annosim.learning.solvers.accelerated import EdgeList, TableOfCounts, WeightedPairs, accelerate
from annosim.learning.solvers.maximise import maximise

N = 80


def votes(rows=6000, prompts=None, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    u = spread * rng.normal(size=N)
    group = np.zeros(N, int) if prompts is None else np.arange(N) % prompts
    first = rng.integers(0, N, rows)
    second = (first + (prompts or 1) * rng.integers(0, N // (prompts or 1), rows)) % N  # some meet themselves
    lost = rng.random(rows) > 1 / (1 + np.exp(u[second] - u[first]))
    return an.PreferenceData(an.Items(n=N, prompts=group), np.stack([first, second], 1), lost.astype(np.int8))


def dense(data):
    stats = from_data(data)
    table = LuceTable(Problem(an.Annotator(an.Tabular(N), an.Luce()), data), stats)
    return maximise(table, stats.start()), stats


@pytest.mark.parametrize("prompts", [None, 4])
def test_tables_and_lists_agree_with_newton(prompts):
    data = votes(prompts=prompts)
    newton, stats = dense(data)
    menu, answer = np.asarray(data.menu), np.asarray(data.answer)
    for form in (TableOfCounts, EdgeList):
        found = accelerate(form(menu, answer, N, data.items.num_prompts), 1e-11)
        gap = found.point - newton.point
        for p in range(data.items.num_prompts):
            at = data.items.prompts.numpy() == p
            assert np.ptp(gap[at]) < 1e-8
        assert abs(found.value - newton.value) < 1e-8 * abs(newton.value)
    fit = an.fit(an.Annotator(an.Tabular(N), an.Luce()), data)
    assert "accelerated" in fit.why and abs(fit.log_likelihood - newton.value) < 1e-7


def test_weighted_pairs_agree_with_newton():
    data = votes().with_(weight=np.random.default_rng(1).uniform(0.1, 4.0, 6000))
    newton, stats = dense(data)
    up = np.triu_indices(N, 1)
    wins, losses = stats.wins[up], stats.wins.T[up]
    live = wins + losses > 0
    pairs = PairList(up[0][live], up[1][live], wins[live], losses[live], N, stats.constant)
    found = accelerate(WeightedPairs(pairs), 1e-11)
    assert np.ptp(found.point - newton.point) < 1e-8 and abs(found.value - newton.value) < 1e-7


@pytest.mark.parametrize("seed", range(5))
def test_it_never_claims_a_maximum_that_does_not_exist(seed):
    """One item's losses are turned into wins: it is undefeated, and the certificate must not be given."""
    data = votes(seed=seed)
    menu, answer = np.asarray(data.menu).copy(), np.asarray(data.answer).copy()
    answer[menu[:, 0] == 7] = 0
    answer[menu[:, 1] == 7] = 1
    answer[(menu[:, 0] == menu[:, 1])] = 0
    for form in (TableOfCounts, EdgeList):
        assert accelerate(form(menu, answer, N), 1e-10) is None
    with pytest.raises(an.errors.NotIdentifiedError, match="never lost to the others: '7'"):
        an.fit(an.Annotator(an.Tabular(N), an.Luce()), data.with_(answer=answer))


def test_separate_groups_are_not_missed():
    data = votes()
    menu = np.asarray(data.menu)
    apart = data.take(np.flatnonzero((menu[:, 0] < 40) == (menu[:, 1] < 40)))
    with pytest.raises(an.errors.NotIdentifiedError, match="never compared with the rest"):
        an.fit(an.Annotator(an.Tabular(N), an.Luce()), apart)


def test_more_items_than_a_dense_matrix_holds():
    """5,000 items, weighted and plain: the same optimum by the fixed point and by Newton with conjugate gradients."""
    rng = np.random.default_rng(0)
    n, rows = 5000, 300_000
    u = rng.normal(size=n)
    first = rng.integers(0, n, rows)
    second = (first + rng.integers(1, n, rows)) % n
    lost = rng.random(rows) > 1 / (1 + np.exp(u[second] - u[first]))
    data = an.PreferenceData(an.Items(n=n), np.stack([first, second], 1), lost.astype(np.int8))
    model = an.Annotator(an.Tabular(n), an.Luce())
    plain, weighted = an.fit(model, data), an.fit(model, data.with_(weight=np.full(rows, 2.0)))
    gap = plain.population.utility.values - weighted.population.utility.values
    assert plain.converged and float(gap.abs().max().detach()) < 1e-7
    assert abs(2 * plain.log_likelihood - weighted.log_likelihood) < 1e-6 * abs(plain.log_likelihood)
