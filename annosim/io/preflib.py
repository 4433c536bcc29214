"""PrefLib elections (preflib.org): soc, soi, toc and toi files, read and written back byte for byte."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from annosim.data.orders import ballot_data, ballots_of
from annosim.data.preferences import PreferenceData
from annosim.errors import DataError, FileReadError
from annosim.io.files import Problems, atomic_text, read_text
from annosim.items import Items

__all__ = ["read_preflib", "write_preflib"]

_KINDS = {
    ".soc": "strict orders, complete lists",
    ".soi": "strict orders, incomplete lists",
    ".toc": "orders with ties, complete lists",
    ".toi": "orders with ties, incomplete lists",
}
_NAME = re.compile(r"# ALTERNATIVE NAME (\d+): ?(.*)")
_FIELD = re.compile(r"# ([A-Z ]+?): ?(.*)")
_ORDER = re.compile(r"\s*(?:\d+|\{\s*\d+(?:\s*,\s*\d+)*\s*\})(?:\s*,\s*(?:\d+|\{\s*\d+(?:\s*,\s*\d+)*\s*\}))*\s*")
_BELOW = ("below", "absent")


def read_preflib(
    path: str | os.PathLike[str], expand: bool = False, unlisted: str = "below", totals: bool = True
) -> PreferenceData:
    """Read a PrefLib election.

    Each line ``count: order`` is one annotator whose weight is the count; with ``expand=True`` every voter is a row of
    weight one. Complete lists are rankings. Incomplete lists are ``top`` answers of varying length to a menu of all
    alternatives (the voter saw all and listed the best, so that what is not listed lies below), or, with
    ``unlisted="absent"``, full rankings of menus that hold only what is listed.

    Args:
        path: ``.soc``, ``.soi``, ``.toc`` or ``.toi``.
        expand: one row per voter.
        unlisted: ``"below"`` or ``"absent"``.
        totals: check the numbers of voters and of unique orders in the header (a file that was cut short fails).

    Returns:
        :class:`PreferenceData`; the header's lines are kept in ``data.settings["preflib"]``.

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
    if suffix not in _KINDS:
        raise FileReadError(f"{path}: extension {suffix!r}; the PrefLib kinds read here are {', '.join(_KINDS)}")
    text = read_text(path)
    problems = Problems(path, lambda line: line)
    header, counts, orders, lines = _parse(text, problems)
    fields, names = _header(header, problems)
    if not names:
        raise FileReadError(f"{path}: no '# ALTERNATIVE NAME 1: ...' line; this is not a PrefLib file")
    if not orders:
        raise FileReadError(f"{path}: a header and no orders; check how the file was made")
    n = len(names)
    _check_orders(orders, lines, n, suffix, problems)
    if totals and not problems.found:
        _check_totals(fields, names, counts, orders, problems)
    problems.report("mend these lines, or fetch the file again from preflib.org (totals=False skips the totals)")
    flat = [[[a - 1 for a in sorted(group)] for group in order] for order in orders]
    settings = {
        "source": str(path),
        "format": "preflib",
        "kind": suffix[1:],
        "preflib": {"header": header, "newline": "\r\n" if "\r\n" in text else "\n", "last": text[-1] == "\n"},
    }
    complete = suffix in (".soc", ".toc")
    weight = np.asarray(counts, dtype=np.float64)
    items = Items(names=_unique(names))
    return ballot_data(items, flat, weight, expand, unlisted, complete, settings)


def _parse(text: str, problems: Problems) -> tuple[list[str], list[int], list[list[list[int]]], list[int]]:
    """Header lines, counts, orders (groups of alternative numbers) and the orders' line numbers."""
    header: list[str] = []
    counts: list[int] = []
    orders: list[list[list[int]]] = []
    lines: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            header.append(line)
            continue
        if not line.strip():
            continue
        head, colon, body = line.partition(":")
        if not colon or not head.strip().isdigit() or int(head) < 1 or not _ORDER.fullmatch(body):
            problems.add(number, f"{line[:40]!r} is not 'count: a,b,{{c,d}},...'")
            continue
        counts.append(int(head))
        orders.append(_groups(body))
        lines.append(number)
    return header, counts, orders, lines


def _groups(body: str) -> list[list[int]]:
    if "{" not in body:
        return [[int(a)] for a in body.split(",")]
    parts = re.findall(r"\{([^}]*)\}|(\d+)", body)
    return [[int(a) for a in tied.split(",")] if tied else [int(single)] for tied, single in parts]


def _header(header: Sequence[str], problems: Problems) -> tuple[dict[str, tuple[int, str]], list[str]]:
    fields: dict[str, tuple[int, str]] = {}
    names: list[str] = []
    for number, line in enumerate(header, 1):
        if match := _NAME.fullmatch(line):
            if int(match[1]) != len(names) + 1:
                problems.add(number, f"alternative {match[1]} where {len(names) + 1} was due")
            names.append(match[2])
        elif match := _FIELD.fullmatch(line):
            fields[match[1]] = (number, match[2].strip())
    return fields, names


def _check_orders(orders: list[list[list[int]]], lines: list[int], n: int, suffix: str, problems: Problems) -> None:
    for order, line in zip(orders, lines, strict=True):
        flat = [a for group in order for a in group]
        if max(flat) > n or min(flat) < 1:
            problems.add(line, f"alternative {max(flat) if max(flat) > n else min(flat)} where there are 1..{n}")
        elif len(set(flat)) < len(flat):
            problems.add(line, f"alternative {next(a for a in flat if flat.count(a) > 1)} is listed twice")
        elif suffix in (".soc", ".toc") and len(flat) < n:
            problems.add(line, f"{len(flat)} of {n} alternatives in a complete list")
        elif suffix in (".soc", ".soi") and len(order) < len(flat):
            problems.add(line, "a tie in a file of strict orders")


def _check_totals(fields: Any, names: list[str], counts: list[int], orders: Any, problems: Problems) -> None:
    have = {
        "NUMBER ALTERNATIVES": len(names),
        "NUMBER VOTERS": sum(counts),
        "NUMBER UNIQUE ORDERS": len({tuple(tuple(sorted(g)) for g in o) for o in orders}),
    }
    for key, value in have.items():
        if key in fields:
            line, said = fields[key]
            if said != str(value):
                problems.add(line, f"{key} says {said}, the file holds {value}")


def _unique(names: Sequence[str]) -> list[str]:
    """Names made unique by their number where they repeat (the header keeps the original)."""
    seen: set[str] = set()
    out = []
    for i, name in enumerate(names, 1):
        unique = name if name not in seen and name else f"{name} [{i}]".strip()
        seen.add(unique)
        out.append(unique)
    return out


def write_preflib(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """Write rankings or ``top`` answers as a PrefLib file; atomic.

    Data that :func:`read_preflib` read come back byte for byte (a tied group with its numbers ascending). Other data
    get a fresh header; the extension says what is allowed (``.soc`` no ties, complete lists, and so on).

    Raises:
        DataError: another kind of answer, skips, a fractional weight, or orders that the extension does not allow.
        FileReadError: another extension, or a place that cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _KINDS:
        raise FileReadError(f"{path}: extension {suffix!r}; the PrefLib kinds are {', '.join(_KINDS)}")
    orders, counts = ballots_of(data)
    if suffix in (".soc", ".toc") and any(sum(map(len, o)) < data.items.n for o in orders):
        raise DataError(f"{path}: {suffix} holds complete lists, some answers list fewer; use {suffix[:-1]}i")
    if suffix in (".soc", ".soi") and any(len(g) > 1 for o in orders for g in o):
        raise DataError(f"{path}: {suffix} holds strict orders, some answers have ties; use .t{suffix[2:]}")
    kept = data.settings.get("preflib", {})
    header = kept.get("header")
    if header is None or not _fits(header, data, orders, counts):
        header = _fresh(data, orders, counts, Path(path).name)
    text = lambda g: str(g[0] + 1) if len(g) == 1 else "{" + ",".join(str(a + 1) for a in g) + "}"  # noqa: E731
    body = [f"{count}: {','.join(map(text, order))}" for count, order in zip(counts, orders, strict=True)]
    newline = kept.get("newline", "\n")
    atomic_text(path, newline.join([*header, *body]) + (newline if kept.get("last", True) else ""))


def _fits(header: list[str], data: PreferenceData, orders: Any, counts: list[int]) -> bool:
    problems = Problems("", lambda line: line)
    fields, names = _header(header, problems)
    if _unique(names) != list(data.items.names):
        return False
    _check_totals(fields, names, counts, orders, problems)
    return not problems.found


def _fresh(data: PreferenceData, orders: Any, counts: list[int], name: str) -> list[str]:
    unique = len({tuple(map(tuple, o)) for o in orders})
    fields = {
        "FILE NAME": name,
        "TITLE": "",
        "DESCRIPTION": "",
        "DATA TYPE": Path(name).suffix[1:],
        "MODIFICATION TYPE": "synthetic",
        "RELATES TO": "",
        "RELATED FILES": "",
        "PUBLICATION DATE": "",
        "MODIFICATION DATE": "",
        "NUMBER ALTERNATIVES": data.items.n,
        "NUMBER VOTERS": sum(counts),
        "NUMBER UNIQUE ORDERS": unique,
    }
    head = [f"# {key}: {value}".rstrip() for key, value in fields.items()]
    return head + [f"# ALTERNATIVE NAME {i}: {item}" for i, item in enumerate(data.items.names, 1)]
