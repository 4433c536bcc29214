"""One temperature and isotonic fits: what they must do to forecasts, and what they cannot mend."""

from __future__ import annotations

import numpy as np
import pytest

from annosim.analysis import brier_score, isotonic_calibration, log_loss, temperature_calibration
from annosim.errors import ArgumentError, NotIdentifiedError


def drawn(n=20_000, factor=3.0, seed=0):
    rng = np.random.default_rng(seed)
    logit = rng.normal(size=n)
    return factor * logit, (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)


def test_the_temperature_is_the_factor_by_which_logits_are_too_large():
    found = temperature_calibration(*drawn())
    # the slope's standard error is about .006 of 1/3; five of them
    assert abs(1 / found.temperature - 1 / 3) < 5 * found.slope.standard_error < 0.05


def test_no_other_temperature_has_a_smaller_log_loss():
    logit, outcome = drawn(500)
    found = temperature_calibration(logit, outcome)
    losses = [log_loss(1 / (1 + np.exp(-logit / (found.temperature * k))), outcome) for k in (0.9, 1.0, 1.1)]
    assert losses[1] == min(losses)
    np.testing.assert_allclose(found(logit), 1 / (1 + np.exp(-logit / found.temperature)))


def test_logits_the_wrong_way_round_have_no_temperature():
    logit, outcome = drawn(500)
    with pytest.raises(NotIdentifiedError, match="wrong way"):
        temperature_calibration(-logit, outcome)


def test_isotonic_forecasts_are_in_order_and_no_increasing_map_is_nearer():
    logit, outcome = drawn(400)
    found = isotonic_calibration(logit, outcome)
    assert (np.diff(found.forecast) > 0).all() and (np.diff(found.logit) > 0).all()
    best = brier_score(found(logit), outcome)
    assert best <= brier_score(temperature_calibration(logit, outcome)(logit), outcome)
    step = np.searchsorted(found.logit, logit, side="right")
    for k in np.unique(step):  # each step forecasts the mean of its own outcomes
        assert found(logit)[step == k][0] == pytest.approx(outcome[step == k].mean())


def test_equal_logits_have_one_forecast_and_weights_count_rows_several_times():
    x, y = [0.0, 0.0, 1.0], [0, 1, 1]
    assert isotonic_calibration(x, y)([0.0]).tolist() == [0.5]
    weighted = isotonic_calibration([0.0, 1.0, 2.0], [1, 0, 1], [2.0, 1.0, 1.0])
    repeated = isotonic_calibration([0.0, 0.0, 1.0, 2.0], [1, 1, 0, 1])
    at = [-1.0, 0.5, 1.0, 9.0]
    np.testing.assert_allclose(weighted(at), repeated(at))


def test_an_increasing_map_of_the_logits_changes_no_isotonic_forecast():
    logit, outcome = drawn(300)
    np.testing.assert_allclose(
        isotonic_calibration(logit, outcome)(logit), isotonic_calibration(np.exp(logit), outcome)(np.exp(logit))
    )


def test_what_is_no_number_is_refused():
    with pytest.raises(ArgumentError):
        isotonic_calibration([0.0, np.nan], [0, 1])
    with pytest.raises(ArgumentError):
        isotonic_calibration([0.0], [0, 1])
