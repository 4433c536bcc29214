"""Fits from shards: counts where few answers are distinct, passes over the shards elsewhere; both are the fit in memory."""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an
from annosim.errors import ArgumentError, DataError, NotIdentifiedError
from annosim.learning import sharded

ITEMS = an.Items.normal(5, 2, seed=0)
ONE = an.Annotator(an.Tabular([0.0, 0.5, 1.0, -0.5, 0.3]), an.Luce())
LINE = an.Annotator(an.Linear([1.0, -0.5]), an.Luce())
TWO = an.Mixture([an.Annotator(an.Linear([s, 0.5]), an.Luce()) for s in (1.5, -1.0)], weights=[0.6, 0.4])
TABLES = an.Mixture([an.Annotator(an.Tabular([0.0, s, 2 * s, -s, 0.1]), an.Luce()) for s in (1.0, -1.0)])

#: population, size of menus, feedback, questions
CASES = {
    "pairs": (ONE, 2, "choice", 1),
    "rankings": (ONE, 4, "ranking", 2),
    "linear": (LINE, 3, "choice", 2),
    "classes": (TWO, 2, "choice", 6),
    "classes of tables": (TABLES, 2, "choice", 8),
}


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    people, size, feedback, questions = CASES[request.param]
    design = an.Design(ITEMS, menu_size=size, feedback=feedback, annotators=600, questions=questions)
    shards = an.simulate(people, design, seed=1, out=tmp_path / "votes", shard_rows=128 * questions)
    assert len(shards) == 5
    return people, shards


@pytest.mark.parametrize("most", [sharded.MOST_ANSWERS, 1], ids=["counts", "passes"])
def test_shards_give_the_fit_of_all_rows(case, most, monkeypatch):
    people, shards = case
    monkeypatch.setattr(sharded, "MOST_ANSWERS", most)
    model = people.like(seed=2)
    whole, found = an.fit(model, shards.load()), an.fit(model, shards)
    assert found.converged and ("over shards" in found.solver) == (most == 1)
    assert found.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-10)
    assert np.allclose(found.population.vector(), whole.population.vector(), atol=1e-6)
    for name, value in whole.standard_errors("hessian").items():
        assert np.allclose(found.standard_errors("hessian")[name], value, rtol=1e-4)
    if len(people.components()) > 1 or shards._spans[0] is None:  # of one type, whose answers they are is not counted
        assert found.bic == pytest.approx(whole.bic)
    if most == 1:
        with pytest.raises(ArgumentError, match="shards"):
            found.bootstrap(2)
        with pytest.raises(ArgumentError, match="shards"):
            found.standard_errors("cluster")


SHARED = {
    "tastes": an.populations.LowRank(
        [0.0, 0.5, 1.0, -0.5, 0.3], an.fixed([[1.0], [0.0], [-1.0], [0.5], [0.0]]), an.Luce()
    ),
    "fatigue": an.Annotator(an.Tabular([0.0, 0.5, 1.0, -0.5, 0.3]), an.rules.Fatigue(an.Luce(), an.free(0.4))),
    "memory": an.Annotator(an.Tabular([0.0, 0.5, 1.0, -0.5, 0.3]), an.rules.Carryover(an.Luce(), an.free(0.8))),
}


@pytest.mark.parametrize("name", SHARED)
def test_shards_keep_what_an_annotators_answers_share(name, tmp_path):
    people = SHARED[name]
    shards = an.simulate(
        people, an.Design(ITEMS, annotators=200, questions=4), seed=1, out=tmp_path / "v", shard_rows=256
    )
    model = people.like(seed=2)
    whole, found = an.fit(model, shards.load()), an.fit(model, shards)
    assert found.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-9)
    assert np.allclose(found.population.vector().detach(), whole.population.vector().detach(), atol=1e-5)


def test_what_passes_cannot_do_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded, "MOST_ANSWERS", 1)
    shards = an.simulate(TWO, an.Design(ITEMS, annotators=600), seed=1, out=tmp_path / "votes", shard_rows=256)
    noisy = an.Annotator(an.Tabular(5), an.Thurstone())
    with pytest.raises(ArgumentError, match="over shards, tables and linear utilities"):
        an.fit(noisy, shards)
    with pytest.raises(ArgumentError, match="leave the other settings out"):
        an.fit(ONE, shards, solver=an.Adam(steps=2))
    reliability = an.rules.Reliability(an.Luce(), skill=an.free([1.0] * 600))
    with pytest.raises(ArgumentError, match="numbers for each annotator"):
        an.fit(an.Annotator(an.Tabular(5), reliability), shards)


def test_an_estimate_that_does_not_exist_is_found_over_all_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded, "MOST_ANSWERS", 1)
    always = an.PreferenceData(an.Items(features=[[0.0], [1.0]]), [[0, 1]] * 8, answer=[1] * 8)
    paths = [tmp_path / f"{i}.parquet" for i in range(2)]
    for path in paths:
        always.to_parquet(path)
    for model in (an.Annotator(an.Tabular(2), an.Luce()), an.Annotator(an.Linear([0.0]), an.Luce())):
        with pytest.raises(NotIdentifiedError):
            an.fit(model, an.io.open_shards(paths))


def test_an_annotator_in_two_shards_is_refused_where_annotators_must_be_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded, "MOST_ANSWERS", 1)
    one = an.simulate(TWO, an.Design(ITEMS, annotators=50, questions=4), seed=1)
    with an.io.ShardWriter(tmp_path / "twice") as out:
        out.write(one)
        out.write(one)
    with pytest.raises(DataError, match="stands in two of them"):
        an.fit(TWO.like(seed=2), an.io.open_shards(tmp_path / "twice"))
