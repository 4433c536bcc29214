"""The study of hidden context: Borda by theorem, the paper's example, and a tiny run."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from annosim.study import Preset, load_study, run_study

STUDY = load_study(Path(__file__).parents[2] / "studies" / "hidden_context.py")
study = sys.modules["annosim_study_hidden_context"]


def test_the_learned_order_is_the_borda_order():
    found = study.orders(seed=5, worlds=8, n=5, types=4)
    assert found["borda"] == found["one_type"] == found["worlds"] == 8


def test_mean_and_variance_are_recovered_from_their_own_probabilities():
    mean, sd = np.array([-1.0, 0.0, 0.5, 0.5]), np.array([0.8, 1.0, 0.7, 1.5])
    p = ndtr(np.subtract.outer(mean, mean) / np.sqrt(np.add.outer(sd**2, sd**2)))
    found_mean, found_sd = study.mean_and_variance(torch.as_tensor(p))
    assert found_mean == pytest.approx((mean - mean.mean()) / sd.mean(), abs=2e-2)
    assert found_sd == pytest.approx(sd / sd.mean(), abs=2e-2)


def test_same_order_ignores_ties():
    assert study.same_order(np.array([1.0, 2.0, 2.0]), np.array([0.0, 1.0, 5.0]))
    assert not study.same_order(np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    assert not study.same_order(np.zeros(3), np.arange(3.0))  # a learner that learns nothing has no order


def test_an_order_upside_down_does_not_pass_for_the_example(monkeypatch):
    right = study.learned
    assert study.example(11)["learned_gap"] > 0 and study.finite_votes(0, 11, 2000)["safe_above"] == 1.0
    monkeypatch.setattr(study, "learned", lambda people, design: -right(people, design))
    assert study.example(11)["learned_gap"] < 0


def test_a_tiny_run(tmp_path):
    settings = {"worlds": 4, "replicates": 2, "n": 11, "votes": [300, 2000]}
    run = run_study(dataclasses.replace(STUDY, presets={"tiny": Preset(0.1, settings)}), "tiny", out=tmp_path, jobs=1)
    assert not run.failed
    told = {c.id: c.verdict for c in run.claims}
    assert told["H1"] == told["H2"] == told["E1"] == told["E1.mean"] == "supported"
    said = STUDY.finding(run.outcome, run.claims)
    assert ("practically as good" in said) == (told["E4"] == "supported")
    assert ("in only" in said) == (told["H3"] == "supported") and "always learns the Borda order" in said
    counts = next(c.found for c in run.claims if c.id == "H1")
    assert counts == "2 types, 8 worlds: yes; 5 types, 8 worlds: yes; 10 types, 8 worlds: yes"


@pytest.mark.parametrize(("same", "verdict"), [(1000, "supported"), (1400, "contradicted"), (1210, "inconclusive")])
def test_rare_agreement_is_claimed_with_a_bar_that_can_be_missed(same, verdict):
    """Of 2400 worlds; the bar is one half."""
    from annosim.study.outcome import Outcome
    from annosim.study.store import Record

    row = {"mean_utility": same, "worlds": 2400}
    found = Outcome([Record("orders", "orders", 0, 0, "a", "done", {"types": 5}, [row])])
    assert {c.id: c for c in STUDY.statements("paper")}["H3"].decide(found).verdict == verdict


def test_every_preset_can_be_planned_and_its_claims_stated():
    for preset in STUDY.presets:
        assert STUDY.plan(preset) and STUDY.statements(preset)
