"""The bootstrap as weights on counts: the same refits as one by one, for every structure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.learning.inference import resample

ITEMS = an.Items.normal(6, 2, seed=0)
SCORES = ITEMS.features[:, 0].tolist()


def table(scale=1.0):
    return an.Annotator(an.Tabular([scale * s for s in SCORES]), an.Luce())


def linear(w):
    return an.Annotator(an.Linear(w), an.Luce())


@pytest.fixture(scope="module")
def rankings():
    truth = an.Mixture([linear([2.0, 0.0]), linear([-1.0, 1.0])], [0.6, 0.4])
    return an.simulate(truth, an.Design(ITEMS, menu_size=3, feedback="ranking", annotators=150, questions=3), seed=0)


MODELS = {
    "one table": table(),
    "linear": linear([1.0, 0.0]),
    "linear density": an.Annotator(an.LogDensity(an.Linear([1.0, 0.0])), an.Luce()),
    "types, linear": an.Mixture([linear([2.0, 0.0]), linear([-1.0, 1.0])], [0.6, 0.4]),
    "types, tables": an.Mixture([table(2.0), table(-2.0)], [0.6, 0.4]),
}


@pytest.mark.parametrize("prior", [None, an.priors.Gaussian(2.0)])
@pytest.mark.parametrize("name", MODELS)
def test_batched_refits_are_those_one_by_one(name, prior, rankings, monkeypatch):
    fit = an.fit(MODELS[name], rankings, prior=prior)
    batched = fit.bootstrap(6, seed=1)
    monkeypatch.setattr(resample, "_prepared", lambda *_: None)
    single = fit.bootstrap(6, seed=1)
    assert torch.isfinite(batched).all() and float((batched - single).abs().max()) < 1e-8
    assert float(batched.std(0).max()) > 0.01


def test_large_mixtures_and_half_wins(monkeypatch):
    fit = an.fit(
        MODELS["types, tables"],
        an.simulate(MODELS["types, tables"], an.Design(ITEMS, annotators=200, questions=6), seed=2),
        solver=an.Newton(hessian="matrix-free"),
    )
    tied = an.simulate(
        an.Annotator(an.Tabular(SCORES), an.Davidson(1.0)), an.Design(ITEMS, annotators=60, questions=5), seed=1
    ).ties("half")
    fits = [fit, an.fit(table(), tied, prior=an.priors.Gaussian(3.0))]
    batched = [one.bootstrap(5, seed=3) for one in fits]
    monkeypatch.setattr(resample, "mixture_applies", lambda _: False)
    batched.append(fit.bootstrap(5, seed=3))  # by products with the information
    monkeypatch.setattr(resample, "_prepared", lambda *_: None)
    single = [one.bootstrap(5, seed=3) for one in (*fits, fit)]
    for ours, theirs in zip(batched, single, strict=True):
        assert float((ours - theirs).abs().max()) < 1e-8


def test_replicates_without_an_estimate_are_counted():
    """Two people close the ring of preferences: a replicate that draws neither has no estimate."""
    data = an.PreferenceData(
        an.Items(n=3),
        [[0, 1, 2]] * 12,
        [[0, 1, 2]] * 10 + [[1, 2, 0], [2, 0, 1]],
        feedback="ranking",
        annotator=np.arange(12),
    )
    fit = an.fit(an.Annotator(an.Tabular(3), an.Luce()), data)
    with pytest.warns(UserWarning, match="of 40 replicates have no estimate"):
        draws = fit.bootstrap(40, seed=0)
    kept = resample.multinomial_weights(np.ones(12), 40, 0)
    closed = kept[:, 10] + kept[:, 11] > 0
    assert (torch.isfinite(draws).all(1).numpy() == closed).all()
