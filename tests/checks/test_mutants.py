"""Power is shown: every planted bug is caught by the check named beside it; the correct estimators pass everything."""

import importlib.util
import sys
from pathlib import Path

import pytest

from annosim.checks import check_estimator

# tests are imported by path, not as a package: load the catalogue that lies beside this file
_spec = importlib.util.spec_from_file_location("annosim_mutants", Path(__file__).with_name("mutants.py"))
mutants = importlib.util.module_from_spec(_spec)
sys.modules["annosim_mutants"] = mutants
_spec.loader.exec_module(mutants)


def test_the_catalogue_is_large_and_varied():
    assert len(mutants.MUTANTS) >= 25
    assert len({m.name for m in mutants.MUTANTS}) == len(mutants.MUTANTS)
    assert len({m.caught_by for m in mutants.MUTANTS}) >= 15


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda m: m.name)
def test_each_planted_bug_is_caught(mutant):
    report = check_estimator(
        mutant.function, kind=mutant.kind, tags=mutant.tags, only=[mutant.caught_by], raise_on_failure=False
    )
    assert report[0].status == "failed", report[0]
    assert report[0].evidence


@pytest.mark.parametrize(("name", "function", "kind", "tags"), mutants.GOOD, ids=[g[0] for g in mutants.GOOD])
def test_the_correct_estimators_pass(name, function, kind, tags):
    report = check_estimator(function, kind=kind, tags=tags, name=name, raise_on_failure=False)
    assert not report.failed, report.failed
    assert sum(r.status == "passed" for r in report) >= 10
