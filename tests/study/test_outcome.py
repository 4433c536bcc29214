"""Whoever asks for a cell that failed is message so, and never handed what is left."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from annosim.errors import StudyError
from annosim.study import Outcome
from annosim.study.store import Record


def record(x, replicate=0, status="done", **row):
    rows = [row] if status == "done" else []
    return Record(
        f"f(x={x})", "f", replicate, 1, "k", status, {"x": x, "betas": [1.0, 2.0]}, rows, "broke" * (not rows)
    )


OUTCOME = Outcome(
    [
        record(1, 0, y=2.0, curve=np.arange(3.0)),
        record(1, 1, y=4.0),
        record(2, y=1, name="a"),
        record(3, status="failed"),
    ],
    {"n": 1},
    "quick",
)


def test_values_come_by_group_and_parameters():
    assert OUTCOME.values("f", "y", x=1).tolist() == [2.0, 4.0]
    assert OUTCOME.get("f", "name", x=2) == "a" and OUTCOME.exact("f", "y", x=2).method == "exact"
    assert OUTCOME.estimate("f", "y", x=1).value == 3.0 and OUTCOME.estimate("f", "y", x=1).n == 2
    assert OUTCOME.values("f(x=2)", "y", betas=(1.0, 2.0)).tolist() == [1.0]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda o: o.values("f", "y"), r"cell f\(x=3\), replicate 0, failed: broke"),
        (lambda o: o.values("f", "y", x=9), r"no cell matches f\(x=9\) in preset quick"),
        (lambda o: o.values("g", "y"), r"no cell matches g\(\)"),
        (lambda o: o.values("f", "z", x=2), r"no result 'z'; it has x, betas, y, name"),
        (lambda o: o.get("f", "y", x=1), "2 rows match"),
    ],
)
def test_what_is_not_there_is_an_error_with_its_reason(ask, message):
    with pytest.raises(StudyError, match=message):
        ask(OUTCOME)


def test_figures_may_draw_what_finished():
    assert [row["y"] for row in OUTCOME.finished("f")] == [2.0, 4.0, 1] and OUTCOME.finished("nothing") == []


def test_a_result_never_hides_what_became_of_its_cell():
    made = Record("c", "f", 2, 1, "k", "done", {}, [{"error": 0.5, "replicate": 7, "status": "fine"}])
    table = Outcome([made]).table()
    assert table.error[0] == "" and table.replicate[0] == 2 and table.status[0] == "done"
    assert table["result.error"][0] == 0.5 and table["result.replicate"][0] == 7
    assert Outcome([made]).values("f", "error").tolist() == [0.5]


def test_the_table_has_a_row_for_every_record_and_columns_of_one_type(tmp_path):
    mixed = Outcome([*OUTCOME.records, record("text", y="none"), record(None, y=np.inf)])
    table = mixed.table()
    assert len(table) == 6 and "curve" not in table and table.status.tolist().count("failed") == 1
    table.to_parquet(tmp_path / "t.parquet")
    back = pd.read_parquet(tmp_path / "t.parquet")
    assert back.x.tolist()[:5] == ["1", "1", "2", "3", "text"] and back.betas[0] == "[1.0, 2.0]"
