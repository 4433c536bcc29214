"""PrefLib elections (preflib.org): soc, soi, toc and toi files, of today's layout and of the one before 2022."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from annosim.data.preferences import PreferenceData
from annosim.data.writers.preflib import KINDS, unique_names
from annosim.errors import FileReadError
from annosim.io.ballots import Unlisted, check_order, parse_whole, rankings
from annosim.io.row_errors import RowErrors
from annosim.items import Items
from annosim.places import read_text

__all__ = ["read_preflib"]

_NAME = re.compile(r"# ALTERNATIVE NAME ([0-9]{1,9}): ?(.*)")
_FIELD = re.compile(r"# ([A-Z ]+?): ?(.*)")
_GROUP = re.compile(r"\s*(?:\{([^{}]*)\}|([0-9]+))\s*(,|$)")


def read_preflib(
    path: str | os.PathLike[str], expand: bool = False, unlisted: Unlisted = "below", totals: bool = True
) -> PreferenceData:
    """Read a PrefLib election.

    Each line ``count: order`` is one annotator whose weight is the count; with ``expand=True`` every voter is a row of
    weight one. Complete lists are rankings. Incomplete lists are ``top`` answers of varying length to a menu of all
    alternatives (the voter saw all and listed the best, so that what is not listed lies below), or, with
    ``unlisted="absent"``, full rankings of menus that hold only what is listed.

    Args:
        path: ``.soc``, ``.soi``, ``.toc`` or ``.toi``. The layout from before 2022 (number of alternatives,
            ``1,name``, totals, ``count,order``) is recognised.
        expand: one row per voter.
        unlisted: ``"below"`` or ``"absent"``.
        totals: check the numbers of voters and of unique orders in the header (a file that was cut short fails).

    Returns:
        :class:`PreferenceData`, items in the order of their numbers; the header's lines are kept in
        ``data.settings["preflib"]``.

    Raises:
        FileReadError: missing, unreadable or empty file, another extension, or no alternatives in the header.
        RowsError: malformed orders or a header that contradicts them, with line numbers.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "tiny.soi"
        >>> _ = path.write_text("# ALTERNATIVE NAME 1: tea\\n# ALTERNATIVE NAME 2: milk\\n3: 2,1\\n1: 2\\n")
        >>> data = read_preflib(path)
        >>> data.weight.tolist(), data.answer.tolist()
        ([3.0, 1.0], [[1, 0], [1, -1]])
    """
    suffix = Path(str(path).removesuffix(".gz")).suffix.lower()
    if suffix not in KINDS:
        raise FileReadError(f"{path}: extension {suffix!r}; the PrefLib kinds read here are {', '.join(KINDS)}")
    text = read_text(path)
    errors = RowErrors(path, lambda line: line)
    election = _Election()
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if parse_whole(lines[0][1]) is not None:
        election.read_old(lines, errors)
    else:
        election.read(lines, errors)
    if not election.names and not errors.found:
        raise FileReadError(f"{path}: no '# ALTERNATIVE NAME 1: ...' line; this is not a PrefLib file")
    orders = election.item_orders(suffix, errors)
    if totals and not errors.found:
        election.check_totals(errors)
    errors.raise_if_any("fix these lines, or fetch the file again from preflib.org (totals=False skips the totals)")
    if not orders:
        raise FileReadError(f"{path}: a header and no orders; check how the file was made")
    numbers = sorted(election.names)
    names = unique_names([election.names[number] for number in numbers])
    kept = {"header": election.header, "numbers": numbers, "names": names}
    settings = {
        "source": str(path),
        "format": "preflib",
        "kind": suffix[1:],
        "preflib": {**kept, "newline": "\r\n" if "\r\n" in text else "\n", "last": text[-1] == "\n"},
    }
    complete = suffix in (".soc", ".toc")
    return rankings(Items(names=names), orders, election.counts, expand, unlisted, complete, settings)


@dataclass
class _Election:
    """What the lines say.

    Attributes:
        header: its lines, for the way back (empty for the old layout).
        names: of the alternatives, by number.
        totals: what the header says, by its key: line and text.
        counts, orders, lines: of every order: voters, groups of alternative numbers, line number.
    """

    header: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    totals: dict[str, tuple[int, str]] = field(default_factory=dict)
    counts: list[int] = field(default_factory=list)
    orders: list[list[list[int]]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def read(self, lines: list[tuple[int, str]], errors: RowErrors) -> None:
        """The layout of today: ``# KEY: value`` and ``count: order``."""
        for number, line in lines:
            if line.startswith("#"):
                self._read_header(number, line, errors)
            else:
                self._read_order(number, line, ":", errors)

    def read_old(self, lines: list[tuple[int, str]], errors: RowErrors) -> None:
        """The layout from before 2022: a number, ``1,name`` lines, ``voters,sum,unique``, then ``count,order``."""
        n = parse_whole(lines[0][1]) or 0
        for number, line in lines[1 : n + 1]:
            head, _, name = line.partition(",")
            self._add_name(number, parse_whole(head), name.strip(), errors)
        if len(lines) < n + 2 or len(self.names) != n:
            errors.add(1, f"{n} alternatives are announced, {len(self.names)} are named")
            return
        number, line = lines[n + 1]
        totals = [cell.strip() for cell in line.split(",")]
        if len(totals) == 3:
            self.totals = {"NUMBER VOTERS": (number, totals[0]), "NUMBER UNIQUE ORDERS": (number, totals[2])}
        else:
            errors.add(number, f"{line[:40]!r} is not 'voters,sum,unique orders'")
        for number, line in lines[n + 2 :]:
            self._read_order(number, line, ",", errors)

    def _read_header(self, number: int, line: str, errors: RowErrors) -> None:
        self.header.append(line)
        if match := _NAME.fullmatch(line):
            self._add_name(number, int(match[1]), match[2], errors)
        elif match := _FIELD.fullmatch(line):
            self.totals[match[1]] = (number, match[2].strip())

    def _add_name(self, line: int, number: int | None, name: str, errors: RowErrors) -> None:
        if number is None or number < 1:
            errors.add(line, "not a number of an alternative and its name")
        elif number in self.names:
            errors.add(line, f"alternative {number} is named twice")
        else:
            self.names[number] = name

    def _read_order(self, number: int, line: str, mark: str, errors: RowErrors) -> None:
        head, _, body = line.partition(mark)
        count, order = parse_whole(head), _groups(body)
        if not count or order is None:
            errors.add(number, f"{line[:40]!r} is not 'count{mark} a,b,{{c,d}},...'")
            return
        self.counts.append(count)
        self.orders.append(order)
        self.lines.append(number)

    def item_orders(self, suffix: str, errors: RowErrors) -> list[list[list[int]]]:
        """The orders as item ids; those that the kind of file does not allow are errors."""
        n = len(self.names)
        place = {number: i for i, number in enumerate(sorted(self.names))}
        gaps = bool(place) and max(place) > n
        out = []
        for order, line in zip(self.orders, self.lines, strict=True):
            flat = [a for group in order for a in group]
            unknown = next((a for a in flat if a not in place), None)
            if unknown is not None:
                where = "that the header does not name" if gaps else f"where there are 1..{n}"
                errors.add(line, f"alternative {unknown} {where}")
            elif wrong := check_order([place[a] + 1 for a in flat], n, "alternative"):
                errors.add(line, wrong)
            elif suffix in (".soc", ".toc") and len(flat) < n:
                errors.add(line, f"{len(flat)} of {n} alternatives in a complete list")
            elif suffix in (".soc", ".soi") and len(order) < len(flat):
                errors.add(line, "a tie in a file of strict orders")
            else:
                out.append([sorted(place[a] for a in group) for group in order])
        return out

    def check_totals(self, errors: RowErrors) -> None:
        """What the header says against what the file holds."""
        unique = {tuple(tuple(sorted(group)) for group in order) for order in self.orders}
        have = {
            "NUMBER ALTERNATIVES": len(self.names),
            "NUMBER VOTERS": sum(self.counts),
            "NUMBER UNIQUE ORDERS": len(unique),
        }
        for key, value in have.items():
            line, given = self.totals.get(key, (0, str(value)))
            if given != str(value):
                errors.add(line, f"{key} says {given[:20]}, the file holds {value}")


def _groups(body: str) -> list[list[int]] | None:
    """``a,{b,c},d`` as groups of numbers, or ``None``."""
    if "{" not in body:
        numbers = [parse_whole(cell) for cell in body.split(",")]
        return None if None in numbers else [[number] for number in numbers if number is not None]
    groups = list(_split(body))
    return None if None in groups else [group for group in groups if group is not None]


def _split(body: str) -> Iterator[list[int] | None]:
    at = 0
    while at < len(body):
        match = _GROUP.match(body, at)
        cells = [] if match is None else (match[2] or match[1]).split(",")
        numbers = [parse_whole(cell) for cell in cells]
        if match is None or None in numbers or (match[3] and match.end() == len(body)):
            yield None
            return
        yield [number for number in numbers if number is not None]
        at = match.end()
