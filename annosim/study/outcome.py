"""What a run found, as a study's claims and figures ask for it.

Everything is asked for by the group (the name of the cell's function) and by parameters. Whoever asks for a cell that
failed or was skipped gets a StudyError with the reason, so a claim can never be judged on what happens to be left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annosim.errors import AbsentCellError, StudyError
from annosim.study.estimates import Estimate, exact, t_interval
from annosim.study.keys import canonical
from annosim.study.store import Record, Rows
from annosim.study.values import Plain, Value

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Outcome"]


class Outcome:
    """The records of a run.

    Attributes:
        records: one per cell and replicate, in the study's order.
        settings: the preset's settings.
        preset: its name.

    Example:
        >>> found = Outcome([Record("f(x=1)", "f", r, 0, "", "done", {"x": 1}, [{"y": 2.0 + r}]) for r in range(3)])
        >>> found.values("f", "y", x=1)
        array([2., 3., 4.])
        >>> found.estimate("f", "y").value
        3.0
    """

    def __init__(self, records: Sequence[Record], settings: Mapping[str, object] | None = None, preset: str = ""):
        self.records = list(records)
        self.settings = dict(settings or {})
        self.preset = preset

    def select(self, group: str, /, **parameters: object) -> list[Record]:
        """The finished records of a group whose parameters have these values.

        Raises:
            AbsentCellError: no cell matches.
            StudyError: one that matches failed or was skipped.
        """
        wanted = {name: canonical(value) for name, value in parameters.items()}
        found = [r for r in self.records if group in (r.group, r.cell) and _matches(r, wanted)]
        if not found:
            inner = ", ".join(f"{k}={v!r}" for k, v in parameters.items())
            raise AbsentCellError(f"no cell matches {group}({inner}) in preset {self.preset or 'of this run'}")
        bad = [r for r in found if r.status != "done"]
        if bad:
            raise StudyError(f"cell {bad[0].cell}, replicate {bad[0].replicate}, {bad[0].status}: {bad[0].error}")
        return found

    def finished(self, group: str, /, **parameters: object) -> Rows:
        """The rows of those matching cells that finished, possibly none: for figures, never for claims."""
        wanted = {name: canonical(value) for name, value in parameters.items()}
        found = [r for r in self.records if group in (r.group, r.cell) and _matches(r, wanted)]
        return _rows([r for r in found if r.status == "done"])

    def rows(self, group: str, /, **parameters: object) -> Rows:
        """All result rows of the matching cells, each with its parameters, ``cell`` and ``replicate``."""
        return _rows(self.select(group, **parameters))

    def frame(self, group: str, /, **parameters: object) -> pd.DataFrame:
        """The same as a table, without the arrays."""
        import pandas as pd

        rows = self.rows(group, **parameters)
        return pd.DataFrame([{k: v for k, v in row.items() if not isinstance(v, np.ndarray)} for row in rows])

    def all(self, group: str, column: str, /, **parameters: object) -> list[Value]:
        """One column of the matching rows as a list (numbers, texts or arrays).

        Raises:
            StudyError: as :meth:`select`, or a row lacks the column.
        """
        rows = self.rows(group, **parameters)
        lacking = next((row for row in rows if column not in row), None)
        if lacking is not None:
            known = ", ".join(k for k in lacking if k not in ("cell", "replicate"))
            raise StudyError(f"cell {lacking['cell']} has no result {column!r}; it has {known}")
        return [row[column] for row in rows]

    def values(self, group: str, column: str, /, **parameters: object) -> NDArray[np.float64]:
        """One numeric column of the matching rows, float64, shape (rows,): usually one per replicate."""
        return np.array(self.all(group, column, **parameters), dtype=np.float64)

    def get(self, group: str, column: str, /, **parameters: object) -> Value:
        """The one matching number, text or array.

        Raises:
            StudyError: as :meth:`all`, or more than one row matches.
        """
        found = self.all(group, column, **parameters)
        if len(found) != 1:
            raise StudyError(f"{len(found)} rows match {group}, {column}; name more parameters, or take .values")
        return found[0]

    def exact(self, group: str, column: str, /, **parameters: object) -> Estimate:
        """The one matching number as an estimate without sampling error (a closed form, an exact projection)."""
        return exact(self.get(group, column, **parameters))

    def estimate(self, group: str, column: str, /, **parameters: object) -> Estimate:
        """Mean over the matching rows (replicates) with a 95 % t interval.

        For another interval pass :meth:`values` to one of the helpers of :mod:`annosim.study.estimates`.
        """
        return t_interval(self.values(group, column, **parameters))

    def table(self) -> pd.DataFrame:
        """All records as a table: one row per result row, and one per failed or skipped cell; arrays left out.

        This is what ``results.parquet`` holds. Columns: cell, group, replicate, seed, status, error, seconds, key, then
        the parameters and the results; a result of one of these names is called ``result.error`` and so on.
        """
        import pandas as pd

        out = []
        for r in self.records:
            head = {"cell": r.cell, "group": r.group, "replicate": r.replicate, "seed": r.seed, "status": r.status}
            head |= {"error": r.error, "seconds": r.seconds, "key": r.key}
            for row in r.rows or [{}]:
                body = {k: _scalar(v) for k, v in {**r.parameters, **row}.items() if not isinstance(v, np.ndarray)}
                out.append({**head, **{f"result.{k}" if k in head else k: v for k, v in body.items()}})
        return _one_type_a_column(pd.DataFrame(out))


def _rows(records: Sequence[Record]) -> Rows:
    return [{"cell": r.cell, "replicate": r.replicate, **r.parameters, **row} for r in records for row in r.rows]


def _matches(record: Record, wanted: Mapping[str, Plain]) -> bool:
    return all(name in record.parameters and record.parameters[name] == value for name, value in wanted.items())


def _scalar(value: Value) -> Value:
    """Lists and dicts as text, so that a column has one type."""
    return str(value) if isinstance(value, list | dict) else value


def _one_type_a_column(frame: pd.DataFrame) -> pd.DataFrame:
    """Parquet columns have one type: where numbers and texts meet all become texts, truth values beside numbers numbers."""
    for name in frame.columns:
        kinds = {type(v) for v in frame[name].dropna()} if frame[name].dtype == object else set()
        if str in kinds and len(kinds) > 1:
            frame[name] = frame[name].map(lambda v: v if v is None or v != v else str(v))
        elif bool in kinds and len(kinds) > 1:
            frame[name] = frame[name].map(lambda v: v if v is None or v != v else float(v))
    return frame
