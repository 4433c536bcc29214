"""Keys and seeds follow what a result depends on, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annosim.errors import StudyError
from annosim.study import Cell, load_study
from annosim.study.jobs import make_jobs
from annosim.study.keys import canonical, cell_seed, source_files, stable_hash, study_digest

COIN = Path(__file__).with_name("coin.py")
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), plain, max_size=4))
def test_the_hash_does_not_depend_on_the_order_of_keys(value):
    assert stable_hash(value) == stable_hash(dict(reversed(value.items())))


@given(plain, plain)
def test_different_values_have_different_hashes(a, b):
    assert (stable_hash(a) == stable_hash(b)) == (repr(_sorted(a)) == repr(_sorted(b)))


def _sorted(value):
    if isinstance(value, dict):
        return {k: _sorted(value[k]) for k in sorted(value)}
    return [_sorted(v) for v in value] if isinstance(value, list) else value


def test_seeds_and_hashes_are_the_same_in_another_process():
    code = (
        "from annosim.study import load_study; from annosim.study.keys import cell_seed;"
        f"s = load_study(__import__('pathlib').Path({str(COIN)!r})); print([cell_seed(s, c, 1) for c in s.plan()])"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PATH": ""},
    )
    study = load_study(COIN)
    assert other.stdout.strip() == str([cell_seed(study, c, 1) for c in study.plan()])


def test_a_seed_depends_on_its_name_and_replicate_alone():
    study = load_study(COIN)
    alone, cells = Cell(len, name="coin 0.3"), study.plan()
    assert cell_seed(study, alone, 0) == cell_seed(study, cells[0], 0)
    seeds = [cell_seed(study, c, r) for c in cells for r in range(100)]
    assert len(set(seeds)) == len(seeds) and all(0 <= s < 2**63 for s in seeds)
    assert cell_seed(study, Cell(len, name="other", seed_name="coin 0.3"), 0) == seeds[0]


def keys_of(study, tmp_path, common=None, device="cpu"):
    return [j.key for j in make_jobs(study, study.plan(), tmp_path, common or {"torch": "1"}, {"device": device})]


def test_a_key_follows_versions_parameters_and_what_it_needs(tmp_path):
    study = load_study(COIN)
    before = keys_of(study, tmp_path)
    assert len(set(before)) == len(before)
    assert not set(before) & set(keys_of(study, tmp_path, {"torch": "2"}))
    assert keys_of(study, tmp_path, device="cuda") == before  # no cell of this study takes a device


def uses(device):
    return {"device": device}


def test_the_device_enters_the_key_of_a_cell_that_takes_it(tmp_path):
    study, cells = load_study(COIN), [Cell(uses)]
    one, other = (make_jobs(study, cells, tmp_path, {}, {"device": d})[0].key for d in ("cpu", "cuda"))
    assert one != other


def folder_study(tmp_path):
    folder = tmp_path / "studies" / "mine"
    folder.mkdir(parents=True)
    start = "from __future__ import annotations\n"
    text = COIN.read_text(encoding="utf-8").replace(start, f"{start}import shared_helper\nfrom .cells import X\n")
    (folder / "__init__.py").write_text(text)
    (folder / "cells.py").write_text("X = 1\n")
    (folder / "table.csv").write_text("a,b\n")
    (tmp_path / "studies" / "shared_helper.py").write_text("import helper_of_helper\n")
    (tmp_path / "studies" / "helper_of_helper.py").write_text("")
    (tmp_path / "studies" / "another.py").write_text("")
    return folder


@pytest.mark.parametrize(
    ("file", "matters"),
    [
        ("mine/__init__.py", True),
        ("mine/cells.py", True),
        ("mine/table.csv", True),
        ("shared_helper.py", True),
        ("helper_of_helper.py", True),
        ("another.py", False),
        ("mine/__pycache__/x.pyc", False),
    ],
)
def test_the_digest_follows_every_source_of_the_study(tmp_path, file, matters):
    folder = folder_study(tmp_path)
    before = study_digest(load_study(folder))
    edited = folder.parent / file
    edited.parent.mkdir(exist_ok=True)
    edited.write_text((edited.read_text() if edited.exists() else "") + "# edited\n")
    assert (study_digest(load_study(folder)) != before) == matters


def test_a_study_of_one_file_consists_of_that_file():
    assert source_files(COIN) == [COIN.resolve()]


@given(st.sampled_from([np.int64(3), np.float64(2.5), np.bool_(True), np.arange(3), (1, 2)]))
def test_numpy_and_tuples_are_spelled_as_plain_data(value):
    assert stable_hash(canonical(value)) == stable_hash(value)


def test_an_object_is_no_parameter():
    with pytest.raises(StudyError, match="plain data"):
        canonical({"model": object()})
