"""Numbers that belong to annotators follow the annotators' names, not the rows of the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError

PEOPLE = 200
X = np.stack([np.ones(PEOPLE), np.random.default_rng(0).normal(size=PEOPLE)], 1)
NAMES = [f"w{i}" for i in range(PEOPLE)]


def kinds():
    return [an.Annotator(an.Tabular(u), an.Luce()) for u in ([0.0, 1.0, 2.0], [2.0, 0.0, -1.0])]


@pytest.fixture(scope="module")
def answers():
    truth = an.Gated(kinds(), X, gate=[[0.0], [3.0]])
    return an.simulate(truth, an.Design(an.Items(n=3), annotators=PEOPLE, questions=12), seed=1).for_learner()


def gate_of(model, data):
    return an.fit(model, data).population.gate.detach().numpy()


def test_a_gate_fitted_on_a_half_is_that_of_the_halfs_own_rows(answers):
    half = answers.split(fraction=0.5, seed=3)[0]
    own = X[half.annotator_names]
    right = gate_of(an.Gated(kinds(), own), half.with_(annotator_names=None))
    assert abs(right[1, 0] - 3) < 1.5
    np.testing.assert_allclose(gate_of(an.Gated(kinds(), X), half), right, rtol=1e-6)
    fitted = an.fit(an.Gated(kinds(), X), half).population  # whose covariates are the half's: fitted again, the same
    np.testing.assert_allclose(gate_of(fitted, half), right, rtol=1e-4)


def test_a_gate_finds_its_rows_by_name(answers):
    named = answers.with_(annotator_names=NAMES)
    right = gate_of(an.Gated(kinds(), X), answers)
    order = np.random.default_rng(1).permutation(PEOPLE)
    model = an.Gated(kinds(), X[order], annotators=[NAMES[i] for i in order])
    np.testing.assert_allclose(gate_of(model, named), right, rtol=1e-6)
    half = named.split(fraction=0.5, seed=3)[0]
    own = X[[int(name[1:]) for name in half.annotator_names]]
    right = gate_of(an.Gated(kinds(), own), half)  # as many rows as people, in their order
    np.testing.assert_allclose(gate_of(model, half), right, rtol=1e-6)


def test_a_mismatch_is_refused(answers):
    half = answers.with_(annotator_names=NAMES).split(fraction=0.5, seed=3)[0]
    with pytest.raises(ArgumentError, match="200 rows and 100 annotators.*annotators="):
        an.fit(an.Gated(kinds(), X), half)
    with pytest.raises(ArgumentError, match="no row for annotator 'w"):
        an.fit(an.Gated(kinds(), X, annotators=[f"v{i}" for i in range(PEOPLE)]), half)
    with pytest.raises(ArgumentError, match="3 names for 200 rows"):
        an.Gated(kinds(), X, annotators=["a", "b", "c"])
    with pytest.raises(ArgumentError, match="2 names for 3 numbers"):
        an.rules.Reliability(an.Luce(), [0.0, 1.0, 2.0], annotators=["a", "b"])


def test_skills_of_a_part_are_those_of_its_people(answers):
    skill = np.linspace(-1, 3, PEOPLE)
    part = answers.split(fraction=0.3, seed=5)[0]
    model = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.rules.Reliability(an.Luce(), skill))
    found = an.fit(model, part)
    own = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.rules.Reliability(an.Luce(), skill[part.annotator_names]))
    right = an.fit(own, part.with_(annotator_names=None))
    assert found.log_likelihood == pytest.approx(right.log_likelihood, rel=1e-9)
    np.testing.assert_allclose(found.population.rule.skill, skill[part.annotator_names])
    free = an.Annotator(an.Tabular(3), an.rules.Reliability(an.Luce(), an.free(skill)))
    assert an.fit(free, part, prior=an.priors.Gaussian(2.0)).population.rule.skill.shape == (part.num_annotators,)


def test_selections_keep_the_ids(answers):
    train, test = answers.split(fraction=0.5, seed=3)
    assert sorted([*train.annotator_names, *test.annotator_names]) == list(range(PEOPLE))
    again = train.split(fraction=0.5, seed=4)[0]
    assert set(again.annotator_names) <= set(train.annotator_names)
    both = an.data.concat([train, test])
    rows = np.r_[np.flatnonzero(np.isin(answers.annotator, train.annotator_names))]
    assert both.num_annotators == PEOPLE
    np.testing.assert_array_equal(both.annotator_names[both.annotator[: train.rows]], answers.annotator[rows])
    single = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, [0, 1, 1, 0])
    assert single.take([3, 1]).annotator_names.tolist() == [3, 1]
    assert single.take([3, 1]).take([1]).annotator_names.tolist() == [1]
    assert single.take([False, False, True, True]).answer.tolist() == [1, 0]


def test_populations_are_asked_by_name():
    people = an.Gated(kinds(), X[:3], gate=[[0.0], [1.0]], annotators=["a", "b", "c"])
    some = people.for_annotators(["c", "a"])
    torch.testing.assert_close(some.annotator_weights([0, 1]), people.annotator_weights([2, 0]))
    plain = an.Mixture(kinds())
    assert plain.for_annotators(["c", "a"]) is plain


def test_copies_that_share_a_persons_ties_have_the_persons_numbers():
    names = ["ann", "bob", "c/2"]
    votes = an.PreferenceData(
        an.Items(n=3),
        [[0, 1], [1, 2], [0, 2]],
        answer=[[0, 1], [1, -1], [0, 1]],
        tied=[[True], [False], [True]],
        annotator=[0, 1, 2],
        annotator_names=names,
    )
    half = votes.ties("half")
    assert half.annotator_names.tolist() == ["ann/1", "ann/2", "bob", "c/2/1", "c/2/2"]
    gated = an.Gated(kinds(), [[1.0], [2.0], [3.0]], annotators=names).for_annotators(half.annotator_names)
    np.testing.assert_array_equal(gated.covariates[:, 0], [1, 1, 2, 3, 3])
    with pytest.raises(ArgumentError, match="no row for annotator 'dora'"):
        an.Gated(kinds(), [[1.0], [2.0]], annotators=["ann", "bob"]).for_annotators(["dora"])
