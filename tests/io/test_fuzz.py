"""Readers on mutated files: they succeed, or refuse in one line of at most 300 characters.

Each golden file is mutated as what it is: its bytes, its lines, its cells, the values and fields of its records, the
columns, types and metadata of parquet. The cases are the same in every run.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as hs

import annosim as an
from annosim.errors import AnnosimError

GOLDEN = Path(__file__).parent / "golden"
LONGEST = 300

PAIRS = {"annotator": "annotator", "prompt": "prompt", "weight": "weight", "order": "order"}
READERS = {
    "pairs.csv": lambda p: an.io.read_csv(p, **PAIRS),
    "arena.jsonl": an.io.read_arena,
    "arena.csv": an.io.read_arena,
    "crowdkit.csv": an.io.read_crowdkit,
    "evalica.csv": an.io.read_evalica,
    "trl.jsonl": an.io.read_trl,
    "trl_conversation.jsonl": an.io.read_trl,
    "trl_implicit.jsonl": an.io.read_trl,
    "trl_implicit_conversation.jsonl": an.io.read_trl,
    "kto.jsonl": an.io.read_kto,
    "long.csv": lambda p: an.io.read_long(p, annotator="person", features=["price", "comfort"]),
    "tiny.soc": an.io.read_preflib,
    "tiny.soi": lambda p: an.io.read_preflib(p, expand=True),
    "tiny.toc": an.io.read_preflib,
    "tiny.toi": lambda p: an.io.read_preflib(p, unlisted="absent"),
    "ward.csv": lambda p: an.io.read_scottish(p, expand=True),
    "frame_wide.csv": an.io.read_frame,
    "frame_long.csv": an.io.read_frame,
}

LAYOUTS = Path(__file__).parent / "layouts"
READERS |= {f"layouts/{path.name}": an.io.read for path in sorted(LAYOUTS.iterdir())}

TEXTS = [
    "",
    " ",
    "\u00b2",
    "-1",
    "0",
    "1",
    "2",
    "1e400",
    "nan",
    "inf",
    "9" * 25,
    "9" * 5000,
    "1.5",
    "\0",
    '"',
    "a,b",
    "True",
] + ["{1,2}", "{", "x" * 5000, "0x1", "\uff11", "\n", "\r", "#", ":", "left", "tie", "NA", "1_000", "None", "1,", "[]"]
VALUES = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**63,
    -(2**70),
    10**30,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
]
VALUES += [[None], ["a"], [{"role": "user"}], [{"role": "user", "content": None}], {"a": 1}, [[[[[0]]]]], *TEXTS]


def survives(read, source):
    """Read it; anything but success or one short line is a fault."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = read(source)
    except AnnosimError as error:
        message = str(error)
        assert "\n" not in message and len(message) <= LONGEST, message
    else:
        one = data if data.replicates is None else data[0]
        assert data.rows > 0 and repr(data) and one.take([0]).rows == 1 and one.counts(by="row").rows > 0


# ---- mutations -----------------------------------------------------------------------------------------------------


def a_byte(draw, raw):
    at = draw(hs.integers(0, max(len(raw) - 1, 0)))
    width = draw(hs.integers(0, 4))
    return raw[:at] + draw(hs.binary(max_size=4)) + raw[at + width :]


def a_cut(draw, raw):
    return raw[: draw(hs.integers(0, len(raw)))]


def a_line(draw, raw):
    lines = raw.split(b"\n")
    at, to = draw(hs.integers(0, len(lines) - 1)), draw(hs.integers(0, len(lines) - 1))
    kind = draw(hs.sampled_from(["drop", "again", "swap", "blank"]))
    if kind == "drop":
        del lines[at]
    elif kind == "again":
        lines.insert(to, lines[at])
    elif kind == "swap":
        lines[at], lines[to] = lines[to], lines[at]
    else:
        lines[at] = b""
    return b"\n".join(lines)


def a_cell(draw, raw):
    """One cell between separators, of any line, the header too."""
    lines = raw.split(b"\n")
    at = draw(hs.integers(0, len(lines) - 1))
    mark = draw(hs.sampled_from([b",", b":", b" "]))
    cells = lines[at].split(mark)
    cells[draw(hs.integers(0, len(cells) - 1))] = draw(hs.sampled_from(TEXTS)).encode()
    lines[at] = mark.join(cells)
    return b"\n".join(lines)


def a_value(draw, raw):
    """One value or field of one record, at any depth."""
    lines = raw.decode(errors="replace").split("\n")
    full = [i for i, line in enumerate(lines) if line.strip()]
    if not full:
        return raw
    at = draw(hs.sampled_from(full))
    try:
        record = json.loads(lines[at])
    except ValueError:
        return raw
    lines[at] = json.dumps(mutated(draw, record))
    return "\n".join(lines).encode()


def mutated(draw, value):
    """A JSON value with one part replaced, dropped or renamed."""
    if isinstance(value, dict) and value and draw(hs.integers(0, 9)):
        key = draw(hs.sampled_from(sorted(value)))
        kind = draw(hs.sampled_from(["inside", "inside", "inside", "drop", "rename"]))
        rest = {k: v for k, v in value.items() if k != key}
        if kind == "drop":
            return rest
        return (
            rest | {draw(hs.sampled_from(TEXTS)): value[key]}
            if kind == "rename"
            else value | {key: mutated(draw, value[key])}
        )
    if isinstance(value, list) and value and draw(hs.integers(0, 3)):
        at = draw(hs.integers(0, len(value) - 1))
        kind = draw(hs.sampled_from(["inside", "drop", "again"]))
        middle = {"inside": [mutated(draw, value[at])], "drop": [], "again": [value[at]] * 2}[kind]
        return [*value[:at], *middle, *value[at + 1 :]]
    return draw(hs.sampled_from(VALUES))


@hs.composite
def mutated_file(draw, name):
    raw = ((LAYOUTS.parent if name.startswith("layouts/") else GOLDEN) / name).read_bytes()
    kinds = [a_byte, a_cut, a_line] + ([a_value] * 4 if name.endswith(("jsonl", "json")) else [a_cell] * 4)
    for _ in range(draw(hs.integers(1, 3))):
        raw = draw(hs.sampled_from(kinds))(draw, raw)
    return raw


@hs.composite
def mutated_parquet(draw):
    """One of annosim's own files with another column, type, row count or metadata, or other bytes."""
    table = pq.read_table(GOLDEN / "votes.parquet")
    metadata = dict(table.schema.metadata)
    for _ in range(draw(hs.integers(1, 2))):
        kind = draw(
            hs.sampled_from(["drop", "rename", "type", "values", "rows", "again", "metadata", "metadata", "none"])
        )
        at = draw(hs.integers(0, max(table.num_columns - 1, 0)))
        if kind in ("drop", "rename", "type", "values", "again") and not table.num_columns:
            continue
        column = None if not table.num_columns else table.column(at)
        if kind == "drop":
            table = table.remove_column(at)
        elif kind == "rename":
            table = table.rename_columns(
                [draw(hs.sampled_from(TEXTS)) if i == at else n for i, n in enumerate(table.column_names)]
            )
        elif kind == "type":
            other = draw(hs.sampled_from([pa.string(), pa.float64(), pa.list_(pa.int64()), pa.binary(), pa.int64()]))
            table = table.set_column(at, table.column_names[at], pa.nulls(table.num_rows, other))
        elif kind == "values":
            value = draw(hs.sampled_from([-5, 7, 2**31 - 1, -(2**31), 127]))
            table = table.set_column(at, table.column_names[at], pa.array([value] * table.num_rows))
        elif kind == "rows":
            table = table.slice(draw(hs.integers(0, 1)), draw(hs.integers(0, 3)))
        elif kind == "again":
            table = table.append_column(table.column_names[at], column)
        elif kind == "metadata":
            held = mutated(draw, json.loads(metadata[b"annosim"]))
            metadata[b"annosim"] = json.dumps(held).encode()
        else:
            metadata.pop(b"annosim", None)
        if b"annosim" not in metadata:
            break
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink)
    raw = sink.getvalue().to_pybytes()
    return a_byte(draw, raw) if draw(hs.integers(0, 4)) == 0 else raw


@hs.composite
def mutated_frame(draw):
    """A frame of either layout with another cell, column or index."""
    name = draw(hs.sampled_from(["frame_wide.csv", "frame_long.csv"]))
    frame = an.io.read_frame(GOLDEN / name).to_frame(draw(hs.sampled_from(["wide", "long"]))).astype(object)
    for _ in range(draw(hs.integers(1, 2))):
        row, column = draw(hs.integers(0, len(frame) - 1)), draw(hs.integers(0, frame.shape[1] - 1))
        kind = draw(hs.sampled_from(["cell", "cell", "column", "drop", "rename", "rows"]))
        cells = {c: frame[c].tolist() for c in frame.columns}
        key = frame.columns[column]
        if kind == "cell":
            cells[key][row] = draw(hs.sampled_from(VALUES))
        elif kind == "column":
            cells[key] = [draw(hs.sampled_from(VALUES))] * len(frame)
        elif kind == "drop":
            del cells[key]
        elif kind == "rename":
            cells[draw(hs.sampled_from(TEXTS))] = cells.pop(key)
        else:
            cells = {c: values[: row + 1] for c, values in cells.items()}
        if not cells:
            break
        attrs = frame.attrs
        frame = pd.DataFrame({c: pd.Series(v, dtype=object) for c, v in cells.items()})
        frame.attrs = attrs if draw(hs.booleans()) else {}
    return frame


# ---- tests ---------------------------------------------------------------------------------------------------------


def fuzzed(examples):
    """So many examples in .ci/full, which sets ANNOSIM_FUZZ, and half of them otherwise."""
    return settings(
        max_examples=examples if "ANNOSIM_FUZZ" in os.environ else examples // 2,
        derandomize=True,
        database=None,
        deadline=20_000,  # nothing takes longer to refuse
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("f")


@pytest.mark.parametrize("name", [name for name in READERS if not name.startswith("layouts/")])
@fuzzed(80)
@given(data=hs.data())
def test_mutated_files(name, folder, data):
    (folder / name).write_bytes(data.draw(mutated_file(name)))
    survives(READERS[name], folder / name)


@pytest.mark.parametrize("name", [name for name in READERS if name.startswith("layouts/")])
@fuzzed(15)
@given(data=hs.data())
def test_mutated_layouts_that_are_recognised(name, folder, data):
    (folder / "layouts").mkdir(exist_ok=True)
    (folder / name).write_bytes(data.draw(mutated_file(name)))
    survives(READERS[name], folder / name)


@fuzzed(300)
@given(raw=mutated_parquet())
def test_mutated_parquet(folder, raw):
    (folder / "votes.parquet").write_bytes(raw)
    survives(an.io.read_parquet, folder / "votes.parquet")


@fuzzed(200)
@given(frame=mutated_frame())
def test_mutated_frames(frame):
    survives(an.PreferenceData.from_frame, frame)
    survives(an.io.read_csv, frame)


@fuzzed(200)
@given(data=hs.data())
def test_mutated_lists(data):
    entries = mutated(data.draw, [[0, 1], [2, 1], [1, 2], [3, [0, 1]]])
    for kind in ("pairs", "rankings", "top1"):
        survives(
            lambda source, kind=kind: an.io.read_choix(source, kind),
            entries if isinstance(entries, list) else [entries],
        )
    survives(an.io.read_arena, entries)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@fuzzed(2_300)
@given(data=hs.data())
def test_mutated_files_at_length(name, folder, data):
    (folder / "layouts").mkdir(exist_ok=True)
    (folder / name).write_bytes(data.draw(mutated_file(name)))
    survives(READERS[name], folder / name)


@pytest.mark.slow
@fuzzed(8_000)
@given(raw=mutated_parquet())
def test_mutated_parquet_at_length(folder, raw):
    (folder / "votes.parquet").write_bytes(raw)
    survives(an.io.read_parquet, folder / "votes.parquet")


# ---- tiny inputs that ask for giant objects ------------------------------------------------------------------------


def giant_parquet(change):
    table = pq.read_table(GOLDEN / "votes.parquet")
    held = json.loads(table.schema.metadata[b"annosim"]) | change
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({b"annosim": json.dumps(held).encode()}), sink)
    return sink.getvalue().to_pybytes()


HEAD = "# ALTERNATIVE NAME 1: a\n# ALTERNATIVE NAME 2: b\n"
GIANTS = {
    "a.soc": (lambda p: an.io.read_preflib(p, expand=True), f"{HEAD}900000000000: 1,2\n".encode()),
    "b.soc": (an.io.read_preflib, f"{HEAD}{'9' * 5000}: 1,2\n".encode()),
    "c.csv": (an.io.read_scottish, b"2000000000,1,\n3,1,\n"),
    "d.csv": (an.io.read_frame, b"row,position,item,answer\n0,2000000000,a,1\n0,1,b,0\n"),
    "e.csv": (
        lambda p: an.io.read_csv(p, annotator="w", count="n"),
        b"w,left,right,winner,n\nx,a,b,left,900000000000\n",
    ),
    "f.parquet": (an.io.read_parquet, giant_parquet({"menu_size": 2_000_000_000})),
    "g.parquet": (an.io.read_parquet, giant_parquet({"replicates": 2_000_000_000})),
}


@pytest.mark.parametrize("name", GIANTS)
def test_a_tiny_file_that_asks_for_a_giant_object_is_refused_before_it_is_made(name, tmp_path):
    read, raw = GIANTS[name]
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(AnnosimError) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) <= LONGEST


def test_a_list_of_one_pair_asks_for_no_billion_items():
    with pytest.raises(AnnosimError, match="n_items= for more"):
        an.io.read_choix([(0, 10**12)])
    assert np.isfinite(an.io.read_choix([(0, 10**6)]).items.n)
