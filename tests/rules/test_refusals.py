"""What has no meaning is refused in one line."""

from __future__ import annotations

import pytest

import annosim as an
from annosim.errors import AnswerKindError, ArgumentError

ITEMS = an.Items.normal(4, 2, seed=0)
DESIGN = an.Design(ITEMS, menu_size=3, feedback="ranking", annotators=200)
ORDER = [0.0, 1.0, 2.0, 0.5]


@pytest.mark.parametrize(
    "rule",
    [
        an.rules.Mallows(0.3),
        an.rules.Mallows(an.free(0.5)),
        an.Lapse(an.rules.Mallows(0.3), 0.1),
        an.rules.Deterministic(),
        an.rules.Lexicographic([0]),
    ],
    ids=repr,
)
def test_utilities_are_not_fitted_where_the_likelihood_is_flat_in_them(rule):
    data = an.simulate(an.Annotator(an.Tabular(ORDER), an.rules.Mallows(0.3)), DESIGN, seed=0)
    with pytest.raises(ArgumentError, match="order of the utilities") as caught:
        an.fit(an.Annotator(an.Tabular(4), rule), data)
    assert "\n" not in str(caught.value)


def test_dispersion_is_fitted_where_the_order_is_known():
    data = an.simulate(an.Annotator(an.Tabular(ORDER), an.rules.Mallows(0.3)), DESIGN, seed=0)
    fit = an.fit(an.Annotator(an.Tabular(an.fixed(ORDER)), an.rules.Mallows(an.free(0.5))), data)
    assert fit.population.rule.phi.item() == pytest.approx(0.3, abs=0.145)  # five standard errors


def test_prototypes_are_utilities():
    with pytest.raises(ArgumentError, match="two utilities"):
        an.populations.DirichletTastes([[0, 1], [1, 0]], 0.5, an.Luce())


def test_a_mixture_has_no_scale_of_its_own():
    people = an.Mixture(
        [an.Annotator(an.Linear([1.0, 0.0]), an.Luce()), an.Annotator(an.Linear([0.0, 1.0]), an.Luce())]
    )
    with pytest.raises(ArgumentError, match="no one scale"):
        an.analysis.with_error_rate(people, an.Design(ITEMS), 0.2)


def test_graded_pairs_want_two_alternatives():
    design = an.Design(ITEMS, menus=[[0, 1], [2, -1]], feedback="rating", grades=4)
    with pytest.raises(AnswerKindError, match="empty place"):
        an.law(an.Annotator(an.Tabular(ORDER), an.rules.GradedPairs([0.5])), design)


def test_nor_projected():
    truth = an.Annotator(an.Tabular(ORDER), an.Luce())
    with pytest.raises(ArgumentError, match="project: .*order of the utilities"):
        an.project(an.Annotator(an.Tabular(4), an.rules.Mallows(0.3)), truth, DESIGN)
