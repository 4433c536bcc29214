"""Results of the room as pandas frames: one row for each thing that was asked about."""

from __future__ import annotations

import numpy as np

import annosim as an

ITEMS = an.Items(n=3)
PEOPLE = an.Annotator(an.Tabular([0.0, 0.5, 1.0]), an.Luce())
DESIGN = an.Design(ITEMS, annotators=200)


def test_a_report_has_a_row_for_each_function_or_for_each_family():
    hidden = an.Design(ITEMS, menus=[[0, 1]])  # item 2 is never shown
    table = an.identify(PEOPLE, hidden).to_frame().set_index("functional")
    assert not table.loc["utilities", "identified"]
    assert an.identify(PEOPLE, DESIGN).to_frame()["identified"].all()
    families = an.identify(PEOPLE, DESIGN, among=[None, an.types(2)], starts=2).to_frame()
    assert len(families) == 2 and families["family"].tolist()[1] == "2 types"


def test_bounds_and_profiles_have_a_row_for_each_number():
    weak = an.identify(PEOPLE, DESIGN).weak()
    table = weak.to_frame()
    assert table["parameter"].tolist() == PEOPLE.parameter_names()
    assert (table["standard_error"] > 0).all()
    shown = an.identify(PEOPLE, DESIGN).profile("utility.values[2]", points=2)
    np.testing.assert_array_equal(shown.to_frame()["value"], shown.values)


def test_a_test_is_one_row():
    data = an.simulate(PEOPLE, DESIGN, seed=0)
    table = an.identifiability.goodness_of_fit(PEOPLE, data, replicates=1).to_frame()
    assert len(table) == 1 and 0 < table.loc[0, "p_value"] <= 1
