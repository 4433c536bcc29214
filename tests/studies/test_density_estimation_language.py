"""The language study: its exact surrogate, and the pipeline at a tiny size."""

import sys
from pathlib import Path

import pytest

from annosim.study import load_study
from annosim.study.datapath import missing_reason

FOLDER = Path(__file__).parents[2] / "studies" / "density_estimation_language"


@pytest.fixture(scope="module")
def study():
    return load_study(FOLDER)


@pytest.fixture(scope="module")
def language(study):
    return sys.modules["annosim_study_density_estimation_language"]


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_every_preset_plans_its_cells_and_statements(study, preset):
    assert study.plan(preset)
    assert len(study.statements(preset)) >= 14


@pytest.mark.parametrize(
    ("kind", "design", "parameter", "modes"),
    [("density", "peaked", 0.25, "[10, 44]"), ("annotators", "peaked", 0.25, "[3]"),
     ("density", "cut", 0.01, "[19, 31]"), ("annotators", "cut", 0.01, "[10, 31]"),
     ("density", "soft", 4.0, "[15, 34]"), ("annotators", "soft", 4.0, "[13]")],
)  # fmt: skip
def test_the_modes_of_the_exact_surrogate_depend_on_the_annotators(language, kind, design, parameter, modes):
    found = language.surrogate.lengths_only(kind, design, parameter, longest=60, beta=4e-5)
    assert found["modes_at"] == modes
    assert found["gradient"] < 1e-9


@pytest.mark.skipif(
    missing_reason("tinyshakespeare.txt") is not None, reason=missing_reason("tinyshakespeare.txt") or ""
)
def test_the_language_pipeline_runs_from_the_corpus_to_adapted_lengths(language):
    language = language.sentences
    shape = {"vocabulary": 50, "width": 16, "layers": 1, "heads": 2, "length": 12}
    found = language.models(shape, 5, 9, steps=6, batch=8, rate=1e-2, seed=0, device="cpu")
    rows = language.preferences(shape, 5, 9, 60, found, seed=1, device="cpu")
    assert len(rows) == 18
    assert all(r["preference"] > 0.5 for r in rows if not r["normalised"] and r["first"] == "short")
    adapted = language.adapt("annotators", shape, 32, 3, 8, 1e-3, 4e-5, 40, found, seed=2, device="cpu")
    assert adapted["count"].sum() == 40
