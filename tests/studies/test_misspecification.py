"""The misspecification matrix: its pieces at small sizes, and a row of one's own."""

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

import annosim as an
from annosim.study import load_study
from annosim.study.outcome import Outcome
from annosim.study.store import Record

STUDIES = Path(__file__).parents[2] / "studies"


def pieces(name):
    study = load_study(STUDIES / f"{name}.py")
    return study, sys.modules[f"annosim_study_{name}"]


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_every_preset_plans_its_cells_and_statements(preset):
    study, _ = pieces("misspecification")
    assert study.plan(preset)
    assert len(study.statements(preset)) >= 6
    for cell in study.plan(preset):
        needed = [p.name for p in inspect.signature(cell.function).parameters.values() if p.default is p.empty]
        assert set(needed) <= {*cell.parameters, "seed"}


@pytest.mark.parametrize("who", ["ties (Rao-Kupper)", "annotator mixture"])
def test_a_row_of_the_matrix_has_a_number_or_a_reason_for_every_learner(who):
    _, matrix = pieces("misspecification")
    rows = matrix.infinite(who, starts=6)
    assert [r["learner"] for r in rows] == list(matrix.LEARNERS)
    for found in rows + matrix.finite(who, pairs=2**10, starts=1, seed=0):
        assert np.isfinite(found["tv"]) or "NotIdentifiedError" in found["status"]
        assert np.isfinite(found["tv"]) or found["learner"] not in ("soft labels", "signed margin", "unsigned margin")
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
    assert len(names) == 2 * len(sys.modules["misspecification"].PEOPLE) + 1
    few = {
        name: make for name, make in sys.modules["misspecification"].LEARNERS.items() if name.startswith(("Luce", "la"))
    }
    sys.modules["misspecification"].LEARNERS = few
    rows = sys.modules["misspecification"].infinite("lapses, 50 %", starts=1)
    by_name = {r["learner"]: r["tv"] for r in rows}
    assert by_name["Luce"] > by_name["lapses, 20 %"] > 0.01
    records = [Record(c.title, c.group, 0, 0, "", "done", dict(c.parameters), rows) for c in study.plan("quick")]
    table = study.tables[0](Outcome(records))
    assert (table["who answers"] == "lapses, 50 %").sum() == len(rows)


def judged(replicates, two_types=(2e-5, "converged")):
    """Claims and finding of a made-up run, in which two types end at this total variation with this status."""
    study, matrix = pieces("misspecification")

    def rows(cell):
        if cell.group == "from_truth":
            return [{"tv": 0.05, "kl": 0.0, "higher": 0.2}]
        who, far = cell.parameters["who"], 0.02 if cell.group == "finite" else 0.0
        out = [{"learner": x, "tv": far if (who, x) in matrix.well_specified() else 0.2} for x in matrix.LEARNERS]
        out = [row | {"kl": 0.0, "status": "converged"} for row in out]
        if cell.group == "infinite":
            out[-1] |= dict(zip(("tv", "status"), two_types, strict=True))
        return out

    found = Outcome(
        [
            Record(c.title, c.group, r, 0, "", "done", dict(c.parameters), rows(c))
            for c in study.plan("quick")
            for r in range(1 if c.group == "infinite" else replicates)
        ]
    )
    claims = [s.decide(found, decisive=replicates > 1) for s in study.statements("quick")]
    return {claim.id: claim.verdict for claim in claims}, study.finding(found, claims)


def test_one_noisy_run_decides_nothing():
    """Means over data sets are judged by their interval; a single data set has none, and the finding says so."""
    (one, said_of_one), (five, said_of_five) = judged(1), judged(5)
    assert one["diagonal-finite"] == "not judged" and "decides nothing" in said_of_one
    assert five["diagonal-finite"] == "supported" and "mean of 5 data sets" in said_of_five


def test_the_finding_says_of_two_types_what_the_verdict_says():
    """A search that ended without a maximum is no contradiction."""
    for end, verdict, words in (
        ((2e-5, "converged"), "supported", "two types find both (2e-05"),
        ((0.44, "infinity"), "not judged", "found no maximum"),
        ((0.44, "converged"), "contradicted", "two types do not find them either (0.44"),
    ):
        verdicts, said = judged(5, end)
        assert verdicts["two-types"] == verdict and words in said
