"""A likelihood that is level where the search begins is no maximum: the search begins elsewhere, too."""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an

ITEMS = an.Items(n=3)
TRUTH = an.Annotator(an.Tabular([-1.5, 0.0, 1.5]), an.Luce())
THRESHOLD = an.Annotator(an.Tabular(3), an.rules.JustNoticeable(an.Luce(), 0.5))


def test_fit_and_project_leave_a_level_start():
    data = an.simulate(TRUTH, an.Design(ITEMS, annotators=600), seed=0)
    found = an.fit(THRESHOLD, data)
    guessing = 600 * np.log(0.5)
    assert found.log_likelihood > guessing + 50, "every gap is below the threshold where the search began"
    assert np.argsort(found.population.utility.values.detach()).tolist() == [0, 1, 2]
    assert an.project(THRESHOLD, TRUTH, an.Design(ITEMS)).divergence < 0.05


@pytest.mark.parametrize("rule", [an.rules.Davidson(0.5), an.rules.Thurstone()], ids=["davidson", "thurstone"])
def test_a_maximum_where_nobody_prefers_anything_is_kept(rule):
    votes = an.PreferenceData(ITEMS, [[0, 1], [0, 1], [1, 2], [1, 2], [0, 2], [0, 2]], answer=[0, 1] * 3)
    values = an.fit(an.Annotator(an.Tabular(3), rule), votes).population.utility.values
    np.testing.assert_allclose(values.detach(), 0, atol=1e-6)
