"""The misspecification matrix and the language study: their pieces at small sizes."""

import sys
from pathlib import Path

import numpy as np
import pytest

import annosim as an
from annosim.study import load_study
from annosim.study.datapath import missing_reason
from annosim.study.outcome import Outcome
from annosim.study.store import Record

STUDIES = Path(__file__).parents[2] / "studies"


def pieces(name):
    study = load_study(STUDIES / f"{name}.py")
    return study, sys.modules[f"annosim_study_{name}"]


@pytest.mark.parametrize("name", ["misspecification", "density_estimation_language"])
@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_every_preset_plans_its_cells_and_statements(name, preset):
    study, _ = pieces(name)
    assert study.plan(preset)
    assert len(study.statements(preset)) >= 6


@pytest.mark.parametrize("who", ["ties (Rao-Kupper)", "annotator mixture"])
def test_a_row_of_the_matrix_has_a_number_or_a_reason_for_every_learner(who):
    _, matrix = pieces("misspecification")
    rows = matrix.infinite(who)
    assert [r["learner"] for r in rows] == list(matrix.LEARNERS)
    for found in rows + matrix.finite(who, pairs=2**10, seed=0):
        assert np.isfinite(found["tv"]) or "Error" in found["status"]
    exact = {r["learner"]: r["tv"] for r in rows}
    assert exact["two types" if who == "annotator mixture" else who] < 1e-4


def test_the_two_mixtures_are_rows_of_their_own_and_different_laws():
    _, matrix = pieces("misspecification")
    design = matrix._design(1)
    laws = [an.law(matrix.PEOPLE[who](), design).marginal() for who in ("annotator mixture", "density mixture", "Luce")]
    for i in range(3):
        assert float((laws[i] - laws[i - 1]).abs().sum()) > 0.05


def test_one_line_adds_a_row(tmp_path):
    """A file of one's own: two lines beside the row itself, run by the command, and the row is in the report."""
    mine = tmp_path / "mine.py"
    source = (STUDIES / "misspecification.py").read_text()
    (tmp_path / "misspecification.py").write_text(source)
    mine.write_text(
        "import annosim as an\nimport misspecification as matrix\n"
        'matrix.PEOPLE["lapses, 50 %"] = lambda: matrix.people(an.Lapse(an.Luce(), 0.5))\n'
        "STUDY = matrix.STUDY\n"
    )
    study = load_study(mine)
    names = [cell.title for cell in study.plan("quick")]
    assert "lapses, 50 %, infinite data" in names
    assert len(names) == 2 * len(sys.modules["misspecification"].PEOPLE)
    few = {name: make for name, make in sys.modules["misspecification"].LEARNERS.items() if name.startswith(("Luce", "la"))}
    sys.modules["misspecification"].LEARNERS = few
    rows = sys.modules["misspecification"].infinite("lapses, 50 %")
    by_name = {r["learner"]: r["tv"] for r in rows}
    assert by_name["Luce"] > by_name["lapses, 20 %"] > 0.01
    records = [Record(c.title, c.group, 0, 0, "", "done", dict(c.parameters), rows) for c in study.plan("quick")]
    table = study.tables[0](Outcome(records))
    assert (table["who answers"] == "lapses, 50 %").sum() == len(rows)


@pytest.mark.parametrize(("kind", "modes"), [("density", 2), ("annotators", 1)])
def test_the_exact_surrogate_has_the_modes_of_the_paper(kind, modes):
    _, language = pieces("density_estimation_language")
    found = language.lengths_only(kind, longest=60, spread=0.25, beta=4e-5)
    assert found["modes"] == modes
    if kind == "density":
        assert found["modes_at"] == "[10, 44]"


@pytest.mark.skipif(
    missing_reason("tinyshakespeare.txt") is not None, reason=missing_reason("tinyshakespeare.txt") or ""
)
def test_the_language_pipeline_runs_from_the_corpus_to_adapted_lengths():
    _, language = pieces("density_estimation_language")
    shape = {"vocabulary": 50, "width": 16, "layers": 1, "heads": 2, "length": 12}
    found = language.models(shape, 5, 9, steps=6, batch=8, rate=1e-2, seed=0, device="cpu")
    rows = language.preferences(shape, 5, 9, 60, found, seed=1, device="cpu")
    assert len(rows) == 18
    assert all(r["preference"] > 0.5 for r in rows if not r["normalised"] and r["first"] == "short")
    adapted = language.adapt("annotators", shape, 32, 3, 8, 1e-3, 4e-5, 40, found, seed=2, device="cpu")
    assert adapted["count"].sum() == 40
