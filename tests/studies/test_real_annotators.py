"""The quick study of the real files, and its numbers against other people's estimators."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from itertools import combinations

import numpy as np
import pytest

from annosim.study import load_named, run_study
from annosim.study.datapath import missing_reason

STUDY = load_named("real_annotators")
missing = missing_reason(STUDY.data)
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))


@pytest.mark.slow  # .ci/run runs the quick preset
def test_a_small_run_decides_every_claim(tmp_path):
    run = run_study(STUDY, "smoke", out=tmp_path)
    verdicts = {claim.id: claim.verdict for claim in run.claims}
    assert set(verdicts.values()) == {"supported"}, verdicts
    one = next(claim for claim in run.claims if claim.id == "debates-without-ties")
    assert one.value == 1  # one debate of 32 has an item that only ties save
    text = STUDY.finding(run.outcome, run.claims)
    assert "1 of them has an estimate only because ties count" in text and "favour the left answer by" in text
    open_ones = [replace(claim, verdict="inconclusive") for claim in run.claims]
    assert "do not surely favour" in STUDY.finding(run.outcome, open_ones)


def test_cycles_of_majorities_by_hand():
    """All triples one by one, on random counts with equal ones among them."""
    cycles = import_module("annosim_study_real_annotators.debates").cycles
    counts = np.random.default_rng(0).integers(0, 4, (9, 9))
    above = counts > counts.T
    triads = [t for t in combinations(range(9), 3) if all(above[i, j] or above[j, i] for i, j in combinations(t, 2))]
    cyclic = [t for t in triads if len({sum(above[i, j] for j in t) for i in t}) == 1]
    assert cycles(counts) == (len(triads), len(cyclic)) and len(cyclic) > 0


@pytest.mark.slow
@pytest.mark.parametrize("package", ["choix", "evalica", "statsmodels"])
def test_other_packages_where_right_and_where_wrong(package):
    """To 1e-6 where they maximise the same likelihood; off, or finite without an estimate, where the study says so."""
    pytest.importorskip(package)
    rows = getattr(import_module("annosim_study_real_annotators.crosschecks"), package)(None)
    right, wrong = [[r for r in rows if bool(r["problem"]) == bad] for bad in (False, True)]
    assert right and max(r["difference"] for r in right) < 1e-6
    assert wrong and all(r["finite"] and not r["difference"] < 1e-4 for r in wrong)  # nan: there is no estimate
