"""The bootstrap as weights on counts: the same refits as one by one, for every structure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annosim as an
from annosim.coordinates.normalisation import canonical
from annosim.learning.inference.resample import multinomial_weights

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


def refitted(fit, data, draws):
    """Single fits of the annotators that each replicate drew, in the reported normalisation, types as in ``fit``."""
    ids = np.unique(data.annotator_ids, return_inverse=True)[1]
    out = []
    for weights in draws:
        rows = weights[ids]
        part = data.take(np.flatnonzero(rows > 0)).with_(weight=rows[rows > 0])
        one = an.fit(fit.population, part, prior=fit.problem.prior, solver=fit.problem.solver).align(fit.population)
        out.append(canonical(one.population, data.items).detach())
    return torch.stack(out)


@pytest.mark.parametrize("prior", [None, an.priors.Gaussian(2.0)])
@pytest.mark.parametrize("name", MODELS)
def test_refits_are_fits_of_the_annotators_drawn(name, prior, rankings):
    fit = an.fit(MODELS[name], rankings, prior=prior)
    refits = fit.bootstrap(6, seed=1)
    single = refitted(fit, rankings, multinomial_weights(np.ones(150), 6, 1))
    assert torch.isfinite(refits).all() and float((refits - single).abs().max()) < 1e-8
    assert float(refits.std(0).max()) > 0.01


@pytest.mark.parametrize("hessian", ["dense", "matrix-free"])
def test_refits_of_pairs_under_types(hessian):
    data = an.simulate(MODELS["types, tables"], an.Design(ITEMS, annotators=200, questions=6), seed=2)
    fit = an.fit(MODELS["types, tables"], data, solver=an.Newton(hessian=hessian))
    single = refitted(fit, data, multinomial_weights(np.ones(200), 5, 3))
    assert float((fit.bootstrap(5, seed=3) - single).abs().max()) < 1e-8


@pytest.mark.parametrize("prior", [None, an.priors.Gaussian(3.0)])
def test_half_wins_draw_whole_voters(prior):
    truth = an.Annotator(an.Tabular([0.3 * s for s in SCORES]), an.Davidson(1.0))
    data = an.simulate(truth, an.Design(ITEMS, annotators=60, questions=5), seed=1).ties("half")
    fit = an.fit(table(), data, prior=prior)
    voters, place = np.unique(data.columns["voter"], return_inverse=True)
    drawn = multinomial_weights(np.ones(len(voters)), 5, 3)
    for weights, found in zip(drawn, fit.bootstrap(5, seed=3), strict=True):
        rows = weights[place] * data.row_weight
        part = data.take(np.flatnonzero(rows > 0)).with_(weight=rows[rows > 0])
        one = canonical(an.fit(table(), part, prior=prior).population, ITEMS).detach()
        assert float((one - found).abs().max()) < 1e-8


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
    kept = multinomial_weights(np.ones(12), 40, 0)
    closed = kept[:, 10] + kept[:, 11] > 0
    assert (torch.isfinite(draws).all(1).numpy() == closed).all()
