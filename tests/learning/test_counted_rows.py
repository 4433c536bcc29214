"""Equal rows, and annotators with equal answers, are counted once, and nothing but speed depends on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import annosim as an
from annosim.learning.likelihoods.autodiff import DifferentiatedLikelihood
from annosim.learning.likelihoods.latent_classes import LatentClasses
from annosim.learning.likelihoods.reference import Blocks
from annosim.learning.problem import Problem
from annosim.learning.training.losses import _MixtureLoss

N = 4


class Private(an.Luce):
    """A rule from elsewhere that says nothing of what it reads."""

    def log_prob(self, scores, answer, view):
        louder = 1.0 + view.annotator.to(scores) % 2
        return super().log_prob(scores * louder[..., None], answer, view)


RULES = {
    "Rao-Kupper": lambda: an.rules.RaoKupper(theta=an.free(1.5)),
    "position": lambda: an.PositionBias(an.Luce(), shift=an.free(0.2)),
    "lapses": lambda: an.Lapse(an.Luce(), an.free(0.1)),
}


@st.composite
def votes(draw) -> an.PreferenceData:
    """Pairs with many repeated rows, annotators of several answers and weights, ties in some, prompts in some."""
    rows = draw(st.integers(12, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    menu = rng.permuted(np.tile(np.arange(N), (rows, 1)), axis=1)[:, :2]
    people = draw(st.integers(1, 9))
    annotator = np.sort(rng.integers(0, people, rows)).astype(np.int32)
    weight = rng.uniform(0.5, 3.0, people)[annotator] if draw(st.booleans()) else None
    answer = rng.integers(0, 2, rows)
    if not draw(st.booleans()):
        return an.PreferenceData(an.Items(n=N), menu, answer, annotator=annotator, weight=weight)
    tied = rng.random(rows) < 0.2
    answer = np.where(tied, 0, answer)
    both = np.stack([answer, np.where(tied, 1, -1)], 1)
    return an.PreferenceData(an.Items(n=N), menu, both, annotator=annotator, weight=weight, tied=tied[:, None])


@given(data=votes(), rule=st.sampled_from(sorted(RULES)), seed=st.integers(0, 100))
def test_value_and_derivatives_are_those_of_all_rows(data, rule, seed):
    """Also under other weights of the annotators, as the bootstrap gives."""
    rule = RULES[rule]()
    data = data if rule.ties or not data.has_ties else data.ties("half")
    rng = np.random.default_rng(seed)
    model = an.Annotator(an.Tabular(an.free(rng.normal(size=N))), rule)
    likelihood = DifferentiatedLikelihood(Problem(model, data))
    weights = rng.uniform(0.0, 2.0, likelihood.blocks.count)
    for one in (likelihood, likelihood.reweighted(weights)):
        whole = DifferentiatedLikelihood(Problem(model, data))
        whole.blocks = whole.counted = one.blocks
        at = one.start(model)
        found, expected = one.evaluate(at), whole.evaluate(at)
        assert found.value == pytest.approx(expected.value, rel=1e-11)
        np.testing.assert_allclose(found.gradient, expected.gradient, atol=1e-10 * one.total)
        np.testing.assert_allclose(found.curvature, expected.curvature, atol=1e-10 * one.total)


def _data(rows: int = 200) -> an.PreferenceData:
    truth = an.Annotator(an.Tabular([1.0, 0.0, -1.0, 0.5]), an.Luce())
    return an.simulate(truth, an.Design(an.Items(n=N), annotators=rows // 4, questions=4), seed=0)


def test_how_many_rows_are_left():
    """At most the twelve ordered pairs times two answers; none where the rule or the model may read who answers."""
    blocks = Blocks(_data())
    table = an.Tabular(an.free(torch.zeros(N)))
    assert blocks.counted(an.Annotator(table, an.Lapse(an.Luce(), 0.1))).count <= 24
    several = an.Mixture([an.Annotator(table, an.Luce()) for _ in range(2)])
    skilled = an.Annotator(table, an.rules.Reliability(an.Luce(), skill=an.free(np.zeros(50))))
    for model in (several, skilled, an.Annotator(table, Private()), an.Annotator(table, an.rules.Fatigue(an.Luce()))):
        assert blocks.counted(model) is blocks


def test_few_equal_rows_stay_as_they_are():
    """To look them up would cost more than it saves."""
    data = _data().take(np.arange(6))
    blocks = Blocks(data)
    assert blocks.counted(an.Annotator(an.Tabular(N), an.Luce())) is blocks


@given(seed=st.integers(0, 10_000), questions=st.integers(1, 3))
def test_types_read_annotators_with_equal_answers_once(seed, questions):
    """Value and derivatives are those of all annotators, also under other weights; scores stay everybody's own."""
    rng = np.random.default_rng(seed)
    types = [an.Annotator(an.Tabular(rng.normal(size=3)), an.Luce()) for _ in range(2)]
    model, design = an.Mixture(types, [0.4, 0.6]), an.Design(an.Items(n=3), annotators=80, questions=questions)
    data = an.simulate(model, design, seed=seed)
    data = data.take(rng.permutation(data.rows))
    counted, whole = LatentClasses(Problem(model, data)), LatentClasses(Problem(model, data))
    whole._alike = None
    assert questions > 1 or counted._alike is not None
    weights = rng.integers(0, 3, 80).astype(float)
    for one, other in ((counted, whole), (counted.reweighted(weights), whole.reweighted(weights))):
        at = one.start(model)
        found, expected = one.evaluate(at), other.evaluate(at)
        assert found.value == pytest.approx(expected.value, rel=1e-11)
        np.testing.assert_allclose(found.gradient, expected.gradient, atol=1e-10 * one.total)
        np.testing.assert_allclose(found.curvature, expected.curvature, atol=1e-10 * one.total)
        np.testing.assert_allclose(found.mass, expected.mass, atol=1e-10 * one.total)
    assert len(counted.scores(model)[0]) == 80


def test_the_loss_of_a_mixture_is_a_logsumexp_and_its_slopes_are_responsibilities():
    """Also where a type cannot give an answer; held against automatic differentiation, shares included."""
    draw = torch.Generator().manual_seed(0)
    share = torch.randn(3, 5, dtype=torch.float64, generator=draw).log_softmax(0).requires_grad_()
    each = [(3 * torch.randn(5, dtype=torch.float64, generator=draw)).requires_grad_() for _ in range(3)]
    with torch.no_grad():
        each[1][2] = torch.inf
    weight = torch.rand(5, dtype=torch.float64, generator=draw)
    values, slopes = [], []
    for loss in (_MixtureLoss.apply(share, *each), -torch.logsumexp(share - torch.stack(each), 0)):
        values.append(loss.detach())
        slopes.append(torch.autograd.grad((weight * loss).sum(), [share, *each]))
    torch.testing.assert_close(values[0], values[1], rtol=1e-14, atol=0)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-12, atol=1e-15)
