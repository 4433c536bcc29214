"""The studies on a tiny transformer: the grammar's law, the judges' closed forms, and the pipeline at the smallest size."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from annosim.study import Preset, load_study, run_study

FOLDER = Path(__file__).parents[2] / "studies" / "language_models"
SMALLEST = {
    "designs": [["plain", 2, "pairs", 1], ["plain", 2, "pairs", 8], ["turning", 2, "pairs", 8]],
    "kls": [0.1],
    "ks": [4],
    "responses": 4,
    "shape": {"width": 8, "layers": 1, "heads": 2},
    "reference_steps": 4,
    "reference_batch": 8,
    "steps": 4,
    "rate": 1e-2,
    "batch": 16,
    "replicates": 1,
}


@pytest.fixture(scope="module")
def study():
    return load_study(FOLDER)


@pytest.fixture(scope="module")
def language(study):
    return sys.modules["annosim_study_language_models"]


@pytest.mark.parametrize("preset", ["quick", "desk", "paper"])
def test_every_preset_plans_its_cells_and_statements(study, preset):
    assert study.plan(preset)
    assert len(study.statements(preset)) >= 24


def test_the_study_runs_from_the_grammar_to_claims_and_figures(study, tmp_path):
    run = run_study(replace(study, presets={"tiny": Preset(0.1, SMALLEST)}), out=tmp_path)
    assert not run.failed
    rows = run.outcome.rows("hidden_types")
    assert all(r["regret"] >= 0 for r in rows)
    oracle = [r["assigned"] for r in rows if r["method"] == "oracle" and r["kind"] == "plain"]
    assert oracle[1] > oracle[0]  # eight answers tell more than one
    assert all(abs(r["kl"] - 0.1) < 1e-6 for r in run.outcome.rows("combined_rewards") if r["by"] == "tilt")
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == {f.__name__ for f in study.figures}
    assert all(c.verdict != "inconclusive" or "one replicate" in c.reason for c in run.claims)
