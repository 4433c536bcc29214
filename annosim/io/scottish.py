"""Ballots of Scottish council wards: a row ``candidates, seats``, rows ``count, first, second, ...``, then the
candidates (number, name, party) and the ward."""

from __future__ import annotations

import csv
import io
import os
import re
from dataclasses import dataclass, field

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import FileReadError
from annosim.files import is_plain_file, read_head
from annosim.io.ballots import Unlisted, check_order, parse_whole, rankings
from annosim.io.row_errors import RowErrors
from annosim.items import Items
from annosim.places import read_text

__all__ = ["is_ward", "read_scottish"]

_BALLOT = re.compile(r"[0-9]+(,[0-9]+)*,?")
_CANDIDATE = re.compile(r"Candidate ([0-9]{1,6})")


def read_scottish(path: str | os.PathLike[str], expand: bool = False, unlisted: Unlisted = "below") -> PreferenceData:
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
    errors = RowErrors(path, lambda line: line)
    rows = _rows(path, text)
    n, seats = _sizes(path, rows[0][1])
    ward = _Ward()
    for line, cells in rows[1:]:
        ward.read(line, cells, n, errors)
    if len(ward.names) != n:
        errors.add(1, f"{n} candidates are announced, {len(ward.names)} are named")
    if len(set(ward.names)) < len(ward.names):
        errors.add(1, "two candidates have the same name")
    errors.raise_if_any("fix these lines; a ballot is 'count,first,second,...' with numbers of candidates")
    if not ward.orders:
        raise FileReadError(f"{path}: no ballots; check how the file was made")
    settings = {
        "source": str(path),
        "format": "scottish",
        "seats": seats,
        "ward": ward.title[0] if ward.title else None,
        "newline": "\r\n" if "\r\n" in text else "\n",
        "last": text[-1] == "\n",
        "comma": text.splitlines()[0].rstrip().endswith(","),
    }
    items = Items(names=ward.names, columns={"party": np.array(ward.parties, dtype=object)})
    return rankings(items, ward.orders, ward.counts, expand, unlisted, False, settings)


@dataclass
class _Ward:
    """What the lines say, gathered one by one."""

    orders: list[list[list[int]]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    parties: list[str] = field(default_factory=list)
    title: list[str] = field(default_factory=list)

    def read(self, line: int, cells: list[str], n: int, errors: RowErrors) -> None:
        """A candidate, the ward's name, or a ballot."""
        if match := _CANDIDATE.fullmatch(cells[0]):
            if len(cells) != 3 or int(match[1]) != len(self.names) + 1:
                errors.add(line, f"not 'Candidate {len(self.names) + 1}, name, party'")
            self.names.append(cells[1] if len(cells) > 1 else "")
            self.parties.append(cells[2] if len(cells) > 2 else "")
        elif self.names:
            self.title.append(cells[0])
            if len(self.title) > 1 or len(cells) > 1:
                errors.add(line, "a row after the candidates that is not the ward's name")
        else:
            self._ballot(line, cells, n, errors)

    def _ballot(self, line: int, cells: list[str], n: int, errors: RowErrors) -> None:
        numbers = [number for cell in cells if (number := parse_whole(cell)) is not None]
        if len(numbers) < max(len(cells), 2) or numbers[0] < 1:
            errors.add(line, f"{','.join(cells)[:40]!r} is not 'count,first,second,...'")
        elif wrong := check_order(numbers[1:], n, "candidate"):
            errors.add(line, wrong)
        else:
            self.counts.append(numbers[0])
            self.orders.append([[number - 1] for number in numbers[1:]])


def _rows(path: str | os.PathLike[str], text: str) -> list[tuple[int, list[str]]]:
    try:
        return [(line, _cells(raw)) for line, raw in enumerate(text.splitlines(), 1) if raw.strip()]
    except csv.Error as error:
        raise FileReadError(f"{path}: not a ballot file ({error})") from None


def _cells(line: str) -> list[str]:
    cells = next(csv.reader(io.StringIO(line)))
    return cells[:-1] if cells[-1] == "" and len(cells) > 1 else cells


def _sizes(path: str | os.PathLike[str], cells: list[str]) -> tuple[int, int]:
    numbers = [parse_whole(cell) for cell in cells]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        raise FileReadError(f"{path}: line 1 is {','.join(cells)[:40]!r}, not 'candidates, seats'; not a ballot file")
    return numbers[0], numbers[1]


def is_ward(path: str | os.PathLike[str]) -> bool:
    """Whether the first line of a file is ``candidates, seats`` and the others ballots (not pairs throughout)."""
    if not is_plain_file(path):
        return False
    lines = [
        line.strip() for line in read_head(path, 1 << 12).decode("utf-8-sig", "replace").splitlines() if line.strip()
    ]
    ballots = len(lines) > 2 and all(_BALLOT.fullmatch(line) for line in lines[:2])
    return ballots and lines[0].strip(",").count(",") == 1 and any(line.count(",") != 1 for line in lines)
