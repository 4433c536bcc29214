"""The study of irrational teachers: what infinite data keep, what myopia changes, and a tiny run."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

import annosim as an
from annosim.study import Preset, load_study, run_study

STUDY = load_study(Path(__file__).parents[2] / "studies" / "teachers.py")
study = sys.modules["annosim_study_teachers"]


def test_symmetric_errors_keep_the_direction():
    assert study.infinite(seed=2, teacher="mistake")["cosine"] == pytest.approx(1.0, abs=0.01)


def test_returns_are_sums_of_steps():
    weights = study.make_weights(np.random.default_rng(0))
    items = study.episodes(np.random.default_rng(1), weights, 7)
    returns = items.features.numpy() @ weights.sum(0)
    assert np.asarray(items.columns["steps"]).sum(1) == pytest.approx(returns)


def test_skips_are_dropped_and_equals_are_halved():
    rng = np.random.default_rng(0)
    items = study.episodes(rng, study.make_weights(rng), 30)
    for name in ("skip", "equal"):
        people = an.Annotator(an.Linear(np.ones(study.DIM)), study.make_teacher(name))
        data = an.simulate(people, an.Design(items, annotators=200), seed=0)
        told = study.prepared(data)
        assert not told.has_ties and not told.skipped.any()
        assert float(told.row_weight.sum()) == pytest.approx(float((~data.skipped).sum()))


def test_a_tiny_run(tmp_path):
    settings = {"pairs": [100, 300], "replicates": 2, "replicates_of_few": 3}
    run = run_study(dataclasses.replace(STUDY, presets={"tiny": Preset(0.1, settings)}), "tiny", out=tmp_path, jobs=1)
    assert not run.failed
    told = {c.id: c.verdict for c in run.claims}
    assert told["T6"] == "supported"
    perfect = next(c for c in run.claims if c.id == "T0")
    assert perfect.value == 0 and perfect.verdict == "inconclusive"  # none of two data sets: too few to say "most"
    assert len(study.column(run.outcome, "spearman", "oracle", "SLiC", 100)) == 3

    def said(**verdicts):
        told = [
            dataclasses.replace(c, verdict=verdicts.get(c.id.replace(".", "_"), "inconclusive")) for c in run.claims
        ]
        return study.finding(run.outcome, told)

    # words follow verdicts: an objective whose lead is chance is not praised, a cost that is not decided is no cost
    assert "not told apart from the likelihood" in said() and "better than the likelihood: SLiC" in said(
        T7_SLiC="supported"
    )
    assert "not surely cured" in said() and "mistakes are cured" in said(T4="supported")
    assert "hurt by teachers who skip" in said(T2_skip="contradicted").replace("unhurt", "-")
    assert "unhurt by teachers who skip" in said(T2_skip="supported")


def test_every_preset_can_be_planned_and_its_claims_stated():
    for preset in STUDY.presets:
        assert STUDY.plan(preset) and STUDY.statements(preset)
