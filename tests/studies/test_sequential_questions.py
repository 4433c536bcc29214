"""The study of questions chosen one after another: the known length of Wald's test, and a finding that follows the verdicts."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from annosim.study import Preset, load_study, run_study

STUDY = load_study(Path(__file__).parents[2] / "studies" / "sequential_questions.py")
study = sys.modules["annosim_study_sequential_questions"]


def test_the_length_of_walds_test_is_that_of_a_walk_between_two_walls():
    """By solving the difference equation of the walk's mean length, state by state."""

    p = 1 / (1 + np.exp(-0.5))
    wall = int(np.ceil(np.log(2 / study.ALPHA - 1) / 0.5))
    n = 2 * wall - 1  # states between the walls
    table = np.eye(n) - p * np.eye(n, k=1) - (1 - p) * np.eye(n, k=-1)
    assert study.wald_length() == pytest.approx(np.linalg.solve(table, np.ones(n))[wall - 1])


def test_a_tiny_run_finishes_and_the_finding_says_what_the_verdicts_say(tmp_path):
    settings = {"replicates": 2, "people": 6, "tastes": False}
    run = run_study(dataclasses.replace(STUDY, presets={"tiny": Preset(0.1, settings)}), "tiny", out=tmp_path, jobs=1)
    assert not run.failed and {c.id for c in run.claims} >= {"Q1.types.type", "Q2.types.policy.best", "Q3"}

    def said(verdict):
        return study.finding(run.outcome, [dataclasses.replace(c, verdict=verdict) for c in run.claims])

    assert "the rule is safe" in said("supported") and "not shown to be safe" in said("inconclusive")
    assert "not surely two thirds" in said("contradicted") and "not surely" not in said("supported")


def test_every_preset_can_be_planned_and_its_claims_stated():
    for preset in STUDY.presets:
        assert STUDY.plan(preset) and STUDY.statements(preset)
