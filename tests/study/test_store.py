"""A kept cell is whole or not there, and comes back as it was."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from annosim.errors import StudyError
from annosim.files import atomic_path, atomic_text
from annosim.study.store import Record, load_record, normalise_rows, save_record

scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=5)
arrays = hnp.arrays(
    st.sampled_from([np.float64, np.float32, np.int8, np.int64, np.bool_]), hnp.array_shapes(max_dims=3)
)
values = st.recursive(
    scalars | arrays,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


def record(**changes):
    return Record(
        **{"cell": "c", "group": "g", "replicate": 0, "seed": 2**63 - 1, "key": "k", "status": "done", **changes}
    )


def same(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, dict):
        return set(a) == set(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


@given(st.lists(st.dictionaries(st.text(max_size=4), values, max_size=4), max_size=3))
@settings(max_examples=60)
def test_round_trip_loses_nothing(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("cell") / "a.npz"
    rows = normalise_rows(rows, "c")
    save_record(path, record(rows=rows, warnings=("w",)))
    back = load_record(path)
    assert same(back.rows, rows) and back.seed == 2**63 - 1 and back.warnings == ("w",)
    assert [f.name for f in path.parent.iterdir()] == ["a.npz"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    atomic_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as part:
        part.write_text("half")
        _ = 1 / 0
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_who_reads_while_a_file_is_replaced_reads_the_old_one_whole(tmp_path):
    path = tmp_path / "a.txt"
    atomic_text(path, "old")
    with path.open() as reader:
        atomic_text(path, "new and longer")
        assert reader.read() == "old"
    assert path.read_text() == "new and longer"


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_computed_anew(tmp_path, keep):
    path = tmp_path / "a.npz"
    save_record(path, record(rows=[{"x": np.arange(1000.0)}]))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    assert load_record(path) is None and load_record(tmp_path / "none.npz") is None


def test_a_file_with_a_damaged_byte_is_computed_anew_or_whole(tmp_path):
    path = tmp_path / "a.npz"
    rng = np.random.default_rng(0)
    rows = [{"x": rng.normal(size=200), "t": "abc" * 20}]
    save_record(path, record(rows=rows))
    content = path.read_bytes()
    refused = 0
    for where, mask in zip(rng.integers(len(content), size=500), rng.integers(1, 256, size=500), strict=True):
        path.write_bytes(content[:where] + bytes([content[where] ^ mask]) + content[where + 1 :])
        back = load_record(path)
        refused += back is None
        assert back is None or (same(back.rows, rows) and back.key == "k")
    assert refused > 250


@pytest.mark.parametrize(
    "parts",
    [
        {"x": np.zeros(3)},
        {"json": np.frombuffer(b"{}", dtype=np.uint8)},
        {"json": np.frombuffer(b"[1]", dtype=np.uint8)},
        {"json": np.frombuffer(b"no", dtype=np.uint8)},
        {"json": np.frombuffer(b'{"warnings": 3}', dtype=np.uint8)},
        {"json": np.array([{}], dtype=object)},
    ],
)
def test_a_file_made_by_hand_is_computed_anew(tmp_path, parts):
    np.savez(tmp_path / "a.npz", **parts)
    assert load_record(tmp_path / "a.npz") is None


def test_torch_and_numpy_become_plain():
    import torch

    rows = normalise_rows({"t": torch.ones(2, requires_grad=True), "s": np.float32(0.5), "z": torch.tensor(3)}, "c")
    assert isinstance(rows[0]["t"], np.ndarray) and rows[0]["s"] == 0.5 and rows[0]["z"] == 3


@pytest.mark.parametrize("result", [None, 3.0, [1, 2], {"f": math.sin}, {"o": np.array([object()])}])
def test_what_cannot_be_kept_is_refused_by_name(result):
    with pytest.raises(StudyError, match="c"):
        normalise_rows(result, "c")
