"""Ranks, ties and contrasts that hold together, against closed forms, other covariances and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binom, norm, studentized_range
from scipy.stats import t as student

import annosim as an
from annosim.learning.inference.simultaneous import quasi_variances, separate, tie_groups


def covariance(n, seed):
    root = np.random.default_rng(seed).normal(size=(n, n + 3))
    centre = np.eye(n) - 1 / n
    return centre @ root @ root.T @ centre / n


@pytest.mark.parametrize("n", [2, 3, 6])
def test_equal_variances_give_tukeys_studentized_range(n):
    """The critical value is q / sqrt(2); of 40,000 draws its quantile is within 2 % (7 standard errors at n = 2)."""
    found = separate(np.zeros(n), np.eye(n), draws=40_000)
    assert abs(found.critical / (studentized_range.ppf(0.95, n, np.inf) / np.sqrt(2)) - 1) < 0.02


@pytest.mark.parametrize("people", [9, 30])
def test_few_people_widen_contrasts_to_students_t(people):
    """Two items: the quantile of t with G - 1 degrees of freedom, times sqrt(G / (G - 1)); 3 % is 7 standard errors."""
    found = separate(np.zeros(2), np.eye(2), draws=40_000, clusters=people)
    expected = student.ppf(0.975, people - 1) * np.sqrt(people / (people - 1))
    assert abs(found.critical / expected - 1) < 0.03


def test_a_board_counts_the_people_behind_its_errors():
    """15 annotators: contrasts are wider than those of the same covariance known exactly."""
    people = an.Annotator(an.Tabular([0.5, 0.0, -0.5]), an.Luce())
    fit = an.fit(
        people.like(seed=0), an.simulate(people, an.Design(an.Items(n=3), annotators=15, questions=30), seed=0)
    )
    board = fit.leaderboard("cluster", draws=2000)
    assert board.separation.critical > 1.05 * separate(board.estimate, board.covariance, draws=2000).critical


def test_two_items_are_a_z_test():
    found = separate(np.array([0.0, 0.4]), np.eye(2) * 0.02, draws=40_000)
    assert abs(found.p_value[0, 1] - 2 * norm.sf(2.0)) < 7 * np.sqrt(0.0455 / 40_000)


@given(st.integers(2, 7), st.integers(0, 10_000))
def test_laws_of_ranks(n, seed):
    """Relabelling moves the answers along; intervals hold the observed rank; groups cover all and hold no separated pair."""
    rng = np.random.default_rng(seed)
    estimate, spread = rng.normal(size=n) * 2, covariance(n, seed)
    found = separate(estimate, spread, draws=1000)
    rank = 1 + (estimate[None, :] > estimate[:, None]).sum(1)
    assert (found.rank_low <= rank).all() and (rank <= found.rank_high).all()
    groups = tie_groups(estimate, found.better)
    assert set().union(*groups) == set(range(n))
    assert not any(found.better[i, j] for group in groups for i in group for j in group)
    assert not any(set(a) < set(b) for a in groups for b in groups)
    shifted = separate(estimate + 3.0, spread, draws=1000)
    assert (shifted.better == found.better).all()


def test_what_is_not_known_is_never_separated():
    spread = np.diag([np.inf, 0.01, 0.01])
    found = separate(np.array([5.0, 1.0, -1.0]), spread, draws=1000)
    assert found.rank_low.tolist() == [1, 1, 2] and found.rank_high.tolist() == [3, 2, 3]


def test_coverage_of_all_ranks_together():
    """400 draws of estimates with three true ties: at least 95 % hold every true rank (false alarm 1e-6).

    A tie is right in any order: a true rank set must meet the interval only through items that are truly better.
    """
    truth = np.array([1.0, 1.0, 0.6, 0.0, 0.0, -0.8])
    spread = covariance(6, 1) * 0.15
    root = np.linalg.cholesky(spread + 1e-12 * np.eye(6))
    rng, right = np.random.default_rng(0), 0
    better, worse = truth[None, :] > truth[:, None], truth[None, :] < truth[:, None]
    for _ in range(400):
        found = separate(truth + root @ rng.normal(size=6), spread, draws=1000)
        wrong = found.better & ~(truth[:, None] > truth[None, :])
        right += not wrong.any()
        if not wrong.any():
            assert (found.rank_low <= 1 + better.sum(1)).all() and (found.rank_high >= 6 - worse.sum(1)).all()
    assert right >= binom.ppf(1e-6, 400, 0.945)  # 1,000 draws blur the level by half a percent


def test_quasi_variances_reproduce_differences():
    """Three items have as many differences as variances: exact. The covariance's normalisation does not matter."""
    spread = covariance(3, 3)
    q, worst = quasi_variances(spread)
    if worst < 1e-6:
        difference = spread.diagonal()[:, None] + spread.diagonal()[None, :] - 2 * spread
        np.testing.assert_allclose((q[:, None] + q[None, :])[np.triu_indices(3, 1)], difference[np.triu_indices(3, 1)])
    shift = np.random.default_rng(0).normal(size=3)
    moved = spread + shift[:, None] + shift[None, :]  # another reference
    np.testing.assert_allclose(quasi_variances(moved)[0], q, rtol=1e-5)


@pytest.fixture(scope="module")
def board():
    items = an.Items(names=["a_1", "b", "c|d", "e & f"])
    people = an.Annotator(an.Tabular([1.2, 1.1, 0.0, -1.5]), an.Luce())
    data = an.simulate(people, an.Design(items, annotators=40, questions=20), seed=1)
    return an.fit(an.Annotator(an.Tabular(4), an.Luce()), data)


def test_a_board_agrees_with_the_summary_and_its_scales_with_each_other(board):
    table, summary = board.leaderboard().to_frame(), board.summary()
    assert summary.attrs["kind"] == table.attrs["kind"] == "cluster"
    for name in ("item", "rank"):
        assert list(table[name]) == list(summary[name])
    for name in ("estimate", "standard_error", "low", "high"):
        np.testing.assert_allclose(table[name], summary[name], atol=1e-12)
    np.testing.assert_allclose(table["win_probability"], table["odds"] / (1 + table["odds"]))
    np.testing.assert_allclose(1 / (1 + 10 ** ((1000 - table["elo"]) / 400)), table["win_probability"])


def test_contrasts_are_differences_with_their_own_errors(board):
    row = board.contrasts([("e & f", "b")]).iloc[0]
    variance = board.covariance("cluster").numpy()
    u = board.population.utility.values.detach().numpy()
    assert np.isclose(row["difference"], u[3] - u[1])
    assert np.isclose(row["standard_error"] ** 2, variance[3, 3] + variance[1, 1] - 2 * variance[1, 3])
    assert row["win_low"] < row["win_probability"] < row["win_high"]
    assert np.isclose(row["win_probability"], expit(row["difference"]))
    with pytest.raises(an.errors.ArgumentError, match="no item 'z'"):
        board.contrasts([("z", "b")])


def test_reports_hold_every_item_and_escape_it(board, tmp_path):
    markdown, latex = board.report("markdown"), board.report("latex")
    assert "c\\|d" in markdown and r"e \& f" in latex and r"a\_1" in latex
    page = board.report("html", tmp_path / "board.html")
    assert "e &amp; f" in page and (tmp_path / "board.html").read_text(encoding="utf-8") == page + "\n"
    assert "data:image/png" in page and "http" not in page
    with pytest.raises(an.errors.ArgumentError, match="markdown"):
        board.report("pdf")


def test_one_order_for_every_model():
    items = an.Items(names=["a", "b", "c"])
    truth = an.Annotator(an.Tabular([-1.0, 1.0, 0.0]), an.Davidson(delta=0.8))
    data = an.simulate(truth, an.Design(items, annotators=100, questions=6), seed=0)
    fit = an.fit(an.Annotator(an.Tabular(3), an.Davidson(delta=an.free(1.0))), data)
    table = fit.summary()
    assert list(table["item"]) == ["b", "c", "a", ""] and list(table["rank"][:3]) == [1, 2, 3]
    assert list(fit.summary(sort="parameter")["item"]) == ["a", "b", "c", ""]
    assert fit.leaderboard().names == ("b", "c", "a")


def test_few_annotators_are_not_the_default_units():
    people = an.Annotator(an.Tabular([0.5, 0.0, -0.5]), an.Luce())
    few = an.simulate(people, an.Design(an.Items(n=3), annotators=4, questions=30), seed=0)
    once = an.simulate(people, an.Design(an.Items(n=3), annotators=90), seed=0)
    for data in (few, once):
        assert an.fit(an.Annotator(an.Tabular(3), an.Luce()), data).summary().attrs["kind"] == "hessian"


def test_a_board_needs_a_table():
    items = an.Items.normal(4, 2, seed=0)
    people = an.Annotator(an.Linear([1.0, 0.0]), an.Luce())
    fit = an.fit(people.like(seed=0), an.simulate(people, an.Design(items, annotators=80), seed=0))
    with pytest.raises(an.errors.ArgumentError, match="one utility per item"):
        fit.leaderboard()
