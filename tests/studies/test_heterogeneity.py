"""The study of hidden types: its exact numbers, its theorems, and a tiny run of EM-DPO and of everything."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from annosim.study import Cell, Preset, load_study, run_study

FOLDER = Path(__file__).parents[2] / "studies" / "heterogeneity"


@pytest.fixture(scope="module")
def study():
    return load_study(FOLDER)


@pytest.fixture(scope="module")
def rooms(study):
    return sys.modules["annosim_study_heterogeneity"]


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_every_preset_plans_its_cells_and_statements(study, preset):
    cells = study.plan(preset)
    assert len({c.title for c in cells}) == len(cells)
    assert len(study.statements(preset)) >= 40


def test_every_pair_of_worlds_is_a_pair_of_twins(rooms):
    for name in rooms.twins.WITNESSES:
        found = rooms.twins.witness(name, 1.5)
        assert found["pairs"] < 1e-15
        assert min(found[k] for k in ("best_of_three", "two_pairs", "ties", "position_bias", "slate_gap")) > 1e-3


def test_the_slate_with_a_duplicate(rooms):
    assert rooms.twins.duplicated(1.0)["probability"] == pytest.approx(0.365740, abs=1e-6)
    assert rooms.twins.duplicated(2.0)["probability"] == pytest.approx(0.425182, abs=1e-6)


def test_collisions_stop_at_twice_the_number_of_types(rooms):
    assert rooms.theorems.collision(2, 3)["law_distance"] < 1e-14
    assert rooms.theorems.collision(2, 3)["apart"] > 1
    assert np.isnan(rooms.theorems.collision(2, 4)["law_distance"])


def test_probit_and_distortion(rooms):
    found = rooms.theorems.probit(0.3)
    assert found["orthant"] == pytest.approx(found["formula"], abs=1e-8)
    assert rooms.theorems.distortion(2.0)["bound"] == pytest.approx(rooms.theorems.distortion(2.0)["other"], abs=1e-12)


def test_em_and_its_baselines_are_scored(rooms):
    rows = {r["method"]: r for r in rooms.em.em_dpo("general", "linear", "best of three", 5, 400, seed=1)}
    assert {"em", "k-means", "hard", "pooled", "pooled DPO", "uniform mixture", "min-max regret", "MaxMin"} <= set(rows)
    assert rows["em"]["accuracy"] > 0.9 and rows["em"]["error"] < 0.3
    assert rows["min-max regret"]["worst_regret"] < rows["pooled DPO"]["worst_regret"]
    assert all(r["mean_regret"] >= 0 for r in rows.values() if "mean_regret" in r)


def test_k_means_finds_groups_that_are_far_apart(rooms):
    import annosim as an
    from annosim.analysis import clustering_accuracy

    items, truth = rooms.em.world("antipodal")
    data = an.simulate(truth, an.Design(items, annotators=150, questions=20), seed=0)
    assert clustering_accuracy(data.truth["type"], rooms.em.k_means(data.for_learner(), 0)) > 0.95


def test_a_tiny_run_judges_what_it_can(study, rooms, tmp_path):
    cells = [Cell(rooms.twins.witness, {"name": n, "scale": 1.0}) for n in rooms.twins.WITNESSES]
    tiny = dataclasses.replace(
        study,
        presets={"tiny": Preset(0.1, {})},
        cells=lambda: cells,
        claims=lambda: [s for s in rooms.twin_statements() if s.id in ("T1.witnesses", "T3.two_pairs", "slogan")],
        figures=[study.figures[0]],
        tables=[],
        finding=None,
    )
    run = run_study(tiny, "tiny", out=tmp_path)
    assert [c.verdict for c in run.claims] == ["supported"] * 3
