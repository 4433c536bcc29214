"""The number of hidden types: the table against its definition, the choice on planted types, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an
from annosim.learning.likelihoods.reference import log_likelihood
from annosim.learning.number_of_types import _summary

N = 4
ITEMS = an.Items(n=N)


def model(k):
    return an.Mixture([an.Annotator(an.Tabular(N), an.Luce()) for _ in range(k)])


def planted(k, seed=2, people=120):
    tastes = [[3.0, 1.0, -1.0, -3.0], [-3.0, 1.0, 3.0, -1.0], [-1.0, -3.0, 1.0, 3.0]][:k]
    truth = an.Mixture([an.Annotator(an.Tabular(u), an.Luce()) for u in tastes])
    return an.simulate(truth, an.Design(ITEMS, annotators=people, questions=10), seed=seed)


@pytest.mark.parametrize("k", [1, 2])
def test_bic_counts_planted_types(k):
    """Types four logits apart and ten answers each, fixed seed: one more type gains a few nats and costs ten."""
    found = an.choose_types(model, planted(k), ks=range(1, k + 2), folds=0, starts=2)
    assert found.best == k and len(found.fit.population.components()) == k


def test_held_out_likelihood_misses_no_planted_type():
    """It may take one too many (it is no consistent criterion), never one too few: two types gain a nat a person."""
    found = an.choose_types(model, planted(2), ks=(1, 2), by="held_out", folds=2, starts=2)
    assert found.best == 2 and found.held_out[1] - found.held_out[0] > 3 * found.held_out_error[0]


def test_the_table_follows_its_definitions():
    data = planted(2, people=60)
    found = an.choose_types(model, data, ks=(1, 2), folds=60, starts=1)
    p = np.array([N - 1, 2 * (N - 1) + 1])
    assert found.num_parameters.tolist() == p.tolist()
    assert found.log_likelihood == pytest.approx([an.fit(model(k), data).log_likelihood for k in (1, 2)], abs=1e-6)
    assert found.bic == pytest.approx(p * np.log(60) - 2 * found.log_likelihood, abs=1e-9)
    left_out = [  # one type, each annotator held out once
        log_likelihood(
            an.fit(model(1), data.take(data.annotator != a).compact()).population,
            data.take(data.annotator == a).compact(),
        )
        for a in range(60)
    ]
    assert found.held_out[0] == pytest.approx(np.mean(left_out), abs=1e-7)
    assert found.held_out[1] > found.held_out[0] and found.held_out_error[1] == 0 < found.held_out_error[0]
    assert found.to_frame().loc[2, "bic"] == found.bic[1] and "2 (by bic)" in repr(found)


def test_a_number_of_types_without_an_estimate_is_a_note():
    data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, answer=[0, 1, 0, 1], annotator=[0, 0, 1, 1])
    one = lambda k: an.Mixture([an.Annotator(an.Tabular(2), an.Luce()) for _ in range(k)])  # noqa: E731
    found = an.choose_types(one, data, ks=(1, 3), folds=0)
    assert found.best == 1 and np.isnan(found.bic[1]) and "3 types" in found.notes[0]
    with pytest.raises(an.errors.NotIdentifiedError, match="no number of types"):
        an.choose_types(one, data, ks=(3,), folds=0)


@pytest.mark.parametrize(
    "bad,words",
    [
        ({"by": "aic"}, "one of bic, held_out"),
        ({"ks": ()}, "whole numbers"),
        ({"ks": (0, 1)}, "whole numbers"),
        ({"folds": 1}, "from 2 to"),
        ({"folds": 0, "by": "held_out"}, "nobody is held out"),
    ],
)
def test_refusals(bad, words):
    with pytest.raises(an.errors.AnnosimError, match=words):
        an.choose_types(model, planted(1, people=5), **bad)


def test_the_error_of_a_difference_is_that_of_people_and_weights_count_them():
    """Held-out scores of three numbers of types: the standard error of the mean difference from the best, written out."""
    scores = np.random.default_rng(0).normal(size=(3, 40)) + np.array([[-3.0], [-2.0], [-2.2]])
    mean, error = _summary(scores, np.ones(40))
    gap = scores - scores[1]
    assert mean == pytest.approx(scores.mean(1)) and mean.argmax() == 1
    assert error == pytest.approx(gap.std(1) / np.sqrt(40)) and error[1] == 0
    weight = np.tile([1, 3], 20)
    weighted, repeated = _summary(scores, weight.astype(float)), _summary(np.repeat(scores, weight, 1), np.ones(80))
    for one, other in zip(weighted, repeated, strict=True):
        assert one == pytest.approx(other)


def test_the_number_chosen_is_the_best_by_the_criterion_asked_for(monkeypatch):
    """Scripted criteria that disagree: BIC wants one type, people held out want two."""
    data = planted(2, people=30)
    found = an.choose_types(model, data, ks=(1, 2), folds=3, starts=1, by="held_out")
    assert found.best == (1, 2)[int(np.argmax(found.held_out))] and found.by == "held_out"
    monkeypatch.setattr(an.Fit, "bic", property(lambda fit: float(len(fit.population.components()))))
    by_bic, by_people = (
        an.choose_types(model, data, ks=(1, 2), folds=3, starts=1, by=by) for by in ("bic", "held_out")
    )
    assert by_bic.best == 1 and by_people.best == found.best == 2
    assert by_people.held_out == pytest.approx(found.held_out)
