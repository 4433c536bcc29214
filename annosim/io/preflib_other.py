"""PrefLib's other kinds: categories (``.cat``), which are ratings, and pairwise graphs of votes (``.pwg``)."""

from __future__ import annotations

import os
import re

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.data.writers.preflib import unique_names
from annosim.errors import FileReadError
from annosim.feedback import Feedback
from annosim.files import is_plain_file, read_head
from annosim.io.ballots import check_order, parse_whole
from annosim.io.pairs import pair_data
from annosim.io.row_errors import RowErrors
from annosim.io.sources import suffix_of
from annosim.items import Items
from annosim.places import read_text

__all__ = ["is_extra_data", "read_preflib_categories", "read_preflib_graph"]

_GROUP = re.compile(r"\{([^{}]*)\}|([0-9]+)")
_FIELD = re.compile(r"# (ALTERNATIVE|CATEGORY) NAME ([0-9]{1,9}): ?(.*)")
_NO_VOTES = {
    ".wmg": "majority margins, not votes: fetch the votes (.soc, .soi, .toc, .toi or .pwg)",
    ".mjg": "a majority graph, not votes: fetch the votes (.soc, .soi, .toc, .toi or .pwg)",
    ".tog": "a tournament graph, not votes: fetch the votes (.soc, .soi, .toc, .toi or .pwg)",
    ".wmd": "a matching problem (such as kidney exchange), in which nobody ranks anything; votes are .soc, .soi, .toc, .toi",
}


def read_preflib_categories(path: str | os.PathLike[str]) -> PreferenceData:
    """Read a PrefLib file of categories: ``count: {alternatives of the best category},{of the next},...``.

    Args:
        path: the ``.cat`` file, of today's layout.

    Returns:
        Ratings of the alternatives that a line lists, the first category the highest grade; the count is the weight;
        ``settings["categories"]`` names the categories, the best first.

    Raises:
        FileReadError: missing, unreadable or empty file, or no alternatives in the header.
        RowsError: malformed lines, with their numbers.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "yes.cat"
        >>> names = "# CATEGORY NAME 1: yes\\n# CATEGORY NAME 2: no\\n# ALTERNATIVE NAME 1: tea\\n# ALTERNATIVE NAME 2: milk\\n"
        >>> _ = path.write_text(names + "3: {2},{1}\\n1: {},{1,2}\\n")
        >>> data = read_preflib_categories(path)
        >>> data.answer.tolist(), data.weight.tolist()
        ([[0, 1], [0, 0]], [3.0, 1.0])
    """
    errors = RowErrors(path, lambda line: line)
    names, categories, lines = _header(path)
    place = {number: i for i, number in enumerate(sorted(names))}
    grades, counts = [], []
    for line, text in lines:
        head, _, body = text.partition(":")
        count = parse_whole(head)
        groups = [
            [parse_whole(cell) for cell in (match[1] or match[2] or "").split(",") if cell.strip()]
            for match in _GROUP.finditer(body)
        ]
        flat = [number for group in groups for number in group]
        if not count or not groups or None in flat or not flat:
            errors.add(line, f"{text[:40]!r} is not 'count: {{a,b}},{{c}},...'")
        elif len(groups) > len(categories):
            errors.add(line, f"{len(groups)} groups where the header has {len(categories)} categories")
        elif wrong := _wrong([number for number in flat if number is not None], place):
            errors.add(line, wrong)
        else:
            row = np.full(len(names), -1)
            for category, group in enumerate(groups):
                for number in group:
                    row[place[number or 0]] = len(categories) - 1 - category
            grades.append(row)
            counts.append(count)
    errors.raise_if_any("fix these lines, or fetch the file again from preflib.org")
    if not grades:
        raise FileReadError(f"{path}: a header and no answers; check how the file was made")
    answer = np.stack(grades)
    order = np.argsort(answer < 0, axis=1, kind="stable")
    there = np.take_along_axis(answer, order, 1) >= 0
    width = int(there.sum(1).max())
    return PreferenceData(
        Items(names=unique_names([names[number] for number in sorted(names)])),
        np.where(there, order, -1)[:, :width],
        np.take_along_axis(answer, order, 1)[:, :width],
        feedback=Feedback("rating", grades=max(len(categories), 2)),
        weight=np.array(counts, dtype=np.float64),
        settings={
            "source": str(path),
            "format": "preflib-categories",
            "categories": [categories[c] for c in sorted(categories)],
        },
    )


def _wrong(flat: list[int], place: dict[int, int]) -> str | None:
    unknown = next((number for number in flat if number not in place), None)
    if unknown is not None:
        return f"alternative {unknown} that the header does not name"
    return check_order([place[number] + 1 for number in flat], len(place), "alternative")


def _header(path: str | os.PathLike[str]) -> tuple[dict[int, str], dict[int, str], list[tuple[int, str]]]:
    """Names of the alternatives and categories by number, and the other lines."""
    found: dict[str, dict[int, str]] = {"ALTERNATIVE": {}, "CATEGORY": {}}
    lines = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if match := _FIELD.match(line):
            found[match[1]][int(match[2])] = match[3].strip()
        elif line.strip() and not line.startswith("#"):
            lines.append((number, line))
    if not found["ALTERNATIVE"] or not found["CATEGORY"]:
        raise FileReadError(
            f"{path}: no '# ALTERNATIVE NAME 1: ...' and '# CATEGORY NAME 1: ...' lines; not a .cat file"
        )
    return found["ALTERNATIVE"], found["CATEGORY"], lines


def read_preflib_graph(path: str | os.PathLike[str]) -> PreferenceData:
    """Read PrefLib's pairwise graph of votes: ``count,a,b`` says how many prefer ``a`` to ``b``.

    Args:
        path: the ``.pwg`` file (a number of alternatives, ``1,name`` lines, totals, then the votes). Graphs of margins or
            majorities hold no votes and are refused.

    Returns:
        Pairs, the preferred alternative displayed first; the count is the weight.

    Raises:
        FileReadError: another kind of file, or one without votes.
        RowsError: malformed lines, with their numbers.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "tiny.pwg"
        >>> _ = path.write_text("2\\n1,tea\\n2,milk\\n4,4,2\\n3,1,2\\n1,2,1\\n")
        >>> read_preflib_graph(path).weight.tolist()
        [3.0, 1.0]
    """
    suffix = suffix_of(path)
    if suffix in _NO_VOTES:
        raise FileReadError(f"{path}: {_NO_VOTES[suffix]}")
    errors = RowErrors(path, lambda line: line)
    lines = [
        (number, line) for number, line in enumerate(read_text(path).splitlines(), 1) if line.strip() and line[0] != "#"
    ]
    n = parse_whole(lines[0][1]) if lines else None
    if n is None or len(lines) < n + 3 or n < 2:
        raise FileReadError(f"{path}: not a number of alternatives, their names, totals and votes; not a .pwg file")
    names = [line.partition(",")[2].strip() for _, line in lines[1 : n + 1]]
    menu, counts = [], []
    for number, line in lines[n + 2 :]:
        cells = [parse_whole(cell) for cell in line.split(",")]
        votes = [cell for cell in cells if cell is not None]
        if len(votes) != 3 or len(cells) != 3 or votes[0] < 1:
            errors.add(number, f"{line[:40]!r} is not 'count,a,b'")
        elif wrong := check_order(votes[1:], n, "alternative"):
            errors.add(number, wrong)
        else:
            menu.append([votes[1] - 1, votes[2] - 1])
            counts.append(votes[0])
    errors.raise_if_any("fix these lines, or fetch the file again from preflib.org")
    if not menu:
        raise FileReadError(f"{path}: no votes; check how the file was made")
    return pair_data(
        np.array(menu),
        np.zeros(len(menu), dtype=np.int64),
        Items(names=unique_names(names)),
        weight=np.array(counts, dtype=np.float64),
        settings={"source": str(path), "format": "preflib-graph"},
    )


def is_extra_data(path: str | os.PathLike[str]) -> bool:
    """Whether a file is PrefLib's extra data: a table under a header of today's layout."""
    return is_plain_file(path) and read_head(path, 64).removeprefix(b"\xef\xbb\xbf").startswith(b"# FILE NAME:")
