"""Conditional logit in a diagnosis: constants of alternatives that come again, and items that no answer compares."""

from __future__ import annotations

import numpy as np
import pytest

import annosim as an

NAMES = ("bus", "car", "rail", "air")


def choices(constants, questions=400, seed=0, never=None):
    """Long records: price of each alternative in each situation, coefficient -1."""
    rng = np.random.default_rng(seed)
    rows = []
    for question in range(questions):
        price = rng.normal(size=len(NAMES)).round(3)
        value = np.asarray(constants) - price + rng.gumbel(size=len(NAMES))
        value[[name == never for name in NAMES]] = -np.inf
        best = int(value.argmax())
        rows += [
            {"situation": question, "alternative": name, "choice": int(k == best), "price": price[k]}
            for k, name in enumerate(NAMES)
        ]
    return an.io.read(rows, "long", {"features": ["price"]})


def table(page):
    return {row[0]: row[1:] for row in page["existence"].rows}


def test_alternatives_that_come_again_have_constants():
    """Estimates are those of a fit with dummies of the alternatives; the truth lies within four standard errors."""
    truth = {"price": -1.0, "constant of car": 1.0, "constant of rail": -0.5, "constant of air": 0.5}
    page = an.diagnose(choices([0.0, 1.0, -0.5, 0.5]))
    found = table(page)
    assert page.exit_code == 0 and set(found) == set(truth) and "that of bus is 0" in page["existence"].sentence
    for name, (value, low, high) in found.items():
        assert abs(value - truth[name]) < 4 * (high - low) / (2 * 1.96)
    assert page["collect"].sentence.startswith("Coefficients are known") and page["margin"].status == "not asked"
    assert page["fit"].status == page["cycles"].status == "not asked"
    data = choices([0.0, 1.0, -0.5, 0.5])
    dummies = np.stack([np.asarray(data.items.columns["alternative"]) == name for name in NAMES[1:]], 1)
    items = an.Items(features=np.c_[data.items.features.numpy(), dummies])
    fit = an.fit(an.Annotator(an.Linear(4), an.Luce()), data.with_(items=items))
    expected = fit.population.utility.weights.detach().numpy()
    np.testing.assert_allclose(
        [found["price"][0], *(found[f"constant of {n}"][0] for n in NAMES[1:])], expected, atol=1e-6
    )
    assert "p < 1e-06" in page["existence"].sentence


def test_constants_that_are_equal_are_not_called_needed():
    """Wald's test at 1e-4: a false alarm has that probability."""
    said = an.diagnose(choices([0.0] * 4, seed=3))["existence"].sentence
    assert float(said.split("p ")[-1].rstrip(").")) > 1e-4


def test_an_alternative_that_is_never_chosen_has_no_constant():
    page = an.diagnose(choices([0.0] * 4, never="rail"))
    assert list(table(page)) == ["price"] and "It has no constants" in page["existence"].sentence
    assert "separated" in page["existence"].sentence


@pytest.mark.parametrize("missing", ["never compared", "never won"])
def test_features_do_not_hide_an_item_without_a_strength(missing):
    """Items come again and again; one of them is never shown, or never wins: no strength, whatever its features say."""
    rng = np.random.default_rng(0)
    items = an.Items(names=list("abcd"), features=rng.normal(size=(4, 1)))
    menu = np.array([[0, 1], [1, 2], [2, 0]] * 40 + ([[3, 0], [3, 1]] * 5 if missing == "never won" else []))
    answer = rng.integers(0, 2, len(menu))
    answer[(menu == 3).any(1)] = 1
    page = an.diagnose(an.PreferenceData(items, menu, answer))
    assert page.exit_code == 3 and "'d'" in page["existence"].sentence
    assert "conditional logit on the features has a finite estimate" in page["existence"].sentence
