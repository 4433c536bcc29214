"""Ballots of Scottish council wards: a row ``candidates, seats``, rows ``count, first, second, ...``, then the
candidates (number, name, party) and the ward. Read and written back byte for byte."""

from __future__ import annotations

import csv
import io
import os
import re

import numpy as np

from annosim.data.orders import ballot_data, ballots_of
from annosim.data.preferences import PreferenceData
from annosim.errors import DataError, FileReadError
from annosim.io.files import Problems, atomic_text, read_text
from annosim.items import Items

__all__ = ["read_scottish", "write_scottish"]

_CANDIDATE = re.compile(r"Candidate (\d+)")


def read_scottish(path: str | os.PathLike[str], expand: bool = False, unlisted: str = "below") -> PreferenceData:
    """Read the ballots of one ward.

    Args:
        path: the CSV file.
        expand: one row per voter; by default each line is one annotator whose weight is the count.
        unlisted: candidates that a ballot does not list lie ``"below"`` those it lists (``top`` answers to a menu of
            all), or are ``"absent"`` from its menu (rankings).

    Returns:
        :class:`PreferenceData`; parties are in ``data.items.columns["party"]``, seats and ward in ``data.settings``.

    Raises:
        FileReadError: missing, unreadable or empty file, or no row of candidates and seats.
        RowsError: malformed ballots or candidates, with line numbers.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "ward.csv"
        >>> people = '"Candidate 1","Ann","Red",\\n"Candidate 2","Bob","Blue",\\n"Hill",'
        >>> _ = path.write_text("2,1,\\n5,2,1,\\n3,1,\\n" + people)
        >>> data = read_scottish(path)
        >>> data.items.names, data.weight.tolist(), data.answer.tolist()
        (('Ann', 'Bob'), [5.0, 3.0], [[1, 0], [0, -1]])
    """
    text = read_text(path)
    problems = Problems(path, lambda line: line)
    rows = [(line, _cells(raw)) for line, raw in enumerate(text.splitlines(), 1) if raw.strip()]
    first = rows[0][1]
    if len(first) != 2 or not all(cell.isdigit() for cell in first):
        raise FileReadError(f"{path}: line 1 is {','.join(first)[:40]!r}, not 'candidates, seats'; not a ballot file")
    n, seats = int(first[0]), int(first[1])
    orders: list[list[list[int]]] = []
    counts: list[int] = []
    names: list[str] = []
    parties: list[str] = []
    ward: list[str] = []
    for line, cells in rows[1:]:
        if match := _CANDIDATE.fullmatch(cells[0]):
            if len(cells) != 3 or int(match[1]) != len(names) + 1:
                problems.add(line, f"not 'Candidate {len(names) + 1}, name, party'")
            names.append(cells[1] if len(cells) > 1 else "")
            parties.append(cells[2] if len(cells) > 2 else "")
        elif names:
            ward.append(cells[0])
            if len(ward) > 1 or len(cells) > 1:
                problems.add(line, "a row after the candidates that is not the ward's name")
        elif _ballot(line, cells, n, problems):
            counts.append(int(cells[0]))
            orders.append([[int(cell) - 1] for cell in cells[1:]])
    if len(names) != n:
        problems.add(1, f"{n} candidates are announced, {len(names)} are named")
    if len(set(names)) < len(names):
        problems.add(1, "two candidates have the same name")
    problems.report("mend these lines; a ballot is 'count,first,second,...' with numbers of candidates")
    if not orders:
        raise FileReadError(f"{path}: no ballots; check how the file was made")
    settings = {
        "source": str(path),
        "format": "scottish",
        "seats": seats,
        "ward": ward[0] if ward else None,
        "newline": "\r\n" if "\r\n" in text else "\n",
        "last": text[-1] == "\n",
        "comma": text.splitlines()[0].rstrip().endswith(","),
    }
    items = Items(names=names, columns={"party": np.array(parties, dtype=object)})
    return ballot_data(items, orders, np.asarray(counts, dtype=np.float64), expand, unlisted, False, settings)


def _cells(line: str) -> list[str]:
    cells = next(csv.reader(io.StringIO(line)))
    return cells[:-1] if cells[-1] == "" else cells


def _ballot(line: int, cells: list[str], n: int, problems: Problems) -> bool:
    if not all(cell.isdigit() for cell in cells) or len(cells) < 2 or int(cells[0]) < 1:
        problems.add(line, f"{','.join(cells)[:40]!r} is not 'count,first,second,...'")
        return False
    listed = [int(cell) for cell in cells[1:]]
    if min(listed) < 1 or max(listed) > n:
        problems.add(line, f"candidate {max(listed) if max(listed) > n else min(listed)} where there are 1..{n}")
    elif len(set(listed)) < len(listed):
        problems.add(line, f"candidate {next(c for c in listed if listed.count(c) > 1)} is listed twice")
    return True


def write_scottish(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """Write ballots; atomic. What :func:`read_scottish` read comes back byte for byte.

    Raises:
        DataError: ties, skips, fractional weights, or answers that are not rankings or ``top``.
    """
    orders, counts = ballots_of(data)
    if any(len(group) > 1 for order in orders for group in order):
        raise DataError("a ballot has a tie, which this format cannot hold; use write_preflib with .toi")
    kept = data.settings
    end = "," if kept.get("comma", True) else ""
    quote = lambda cells: ",".join('"' + str(c).replace('"', '""') + '"' for c in cells)  # noqa: E731
    lines = [f"{data.items.n},{kept.get('seats', 1)}{end}"]
    for count, order in zip(counts, orders, strict=True):
        lines.append(",".join(map(str, [count, *(group[0] + 1 for group in order)])) + end)
    party = data.items.columns.get("party", [""] * data.items.n)
    for i, (name, of) in enumerate(zip(data.items.names, party, strict=True), 1):
        lines.append(quote([f"Candidate {i}", name, of]) + end)
    if kept.get("ward") is not None:
        lines.append(quote([kept["ward"]]) + end)
    newline = kept.get("newline", "\n")
    atomic_text(path, newline.join(lines) + (newline if kept.get("last", True) else ""))
