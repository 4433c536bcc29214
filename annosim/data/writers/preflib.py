"""PrefLib elections (preflib.org): soc, soi, toc and toi files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from annosim.data.writers.ballots import Order, ballots
from annosim.errors import DataError, FileReadError
from annosim.files import atomic_text

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData

__all__ = ["KINDS", "unique_names", "write_preflib"]

#: The kinds of PrefLib file that hold rankings.
KINDS = {
    ".soc": "strict orders, complete lists",
    ".soi": "strict orders, incomplete lists",
    ".toc": "orders with ties, complete lists",
    ".toi": "orders with ties, incomplete lists",
}


def unique_names(names: Sequence[str]) -> list[str]:
    """Names made unique by their number where they repeat or are empty."""
    seen: set[str] = set()
    out = []
    for i, name in enumerate(names, 1):
        unique = name if name and name not in seen else f"{name} [{i}]".strip()
        while unique in seen:
            unique += "'"
        seen.add(unique)
        out.append(unique)
    return out


def write_preflib(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """See :meth:`PreferenceData.to_preflib`."""
    suffix = Path(path).suffix.lower()
    if suffix not in KINDS:
        raise FileReadError(f"{path}: extension {suffix!r}; the PrefLib kinds are {', '.join(KINDS)}")
    orders, counts = ballots(data)
    if suffix in (".soc", ".toc") and any(sum(map(len, o)) < data.items.n for o in orders):
        raise DataError(f"{path}: {suffix} holds complete lists, some answers list fewer; use {suffix[:-1]}i")
    if suffix in (".soc", ".soi") and any(len(g) > 1 for o in orders for g in o):
        raise DataError(f"{path}: {suffix} holds strict orders, some answers have ties; use .t{suffix[2:]}")
    kept = data.settings.get("preflib")
    kept = kept if isinstance(kept, dict) and kept.get("names") == list(data.items.names) else {}
    totals = _totals(data, orders, counts)
    numbers = kept.get("numbers") or list(range(1, data.items.n + 1))
    header = [_with_total(line, totals) for line in kept.get("header", [])]
    header = header or _fresh_header(data, totals, Path(path).name)
    body = [f"{count}: {_order_text(order, numbers)}" for count, order in zip(counts, orders, strict=True)]
    newline = str(kept.get("newline", "\n"))
    atomic_text(path, newline.join([*header, *body]) + (newline if kept.get("last", True) else ""))


def _order_text(order: Order, numbers: Sequence[int]) -> str:
    groups = [[str(numbers[a]) for a in group] for group in order]
    return ",".join(g[0] if len(g) == 1 else "{" + ",".join(g) + "}" for g in groups)


def _totals(data: PreferenceData, orders: list[Order], counts: list[int]) -> dict[str, int]:
    return {
        "NUMBER ALTERNATIVES": data.items.n,
        "NUMBER VOTERS": sum(counts),
        "NUMBER UNIQUE ORDERS": len({tuple(map(tuple, order)) for order in orders}),
    }


def _with_total(line: str, totals: dict[str, int]) -> str:
    """A line of the header that was read, with the total of these data where it gives one."""
    head, colon, given = line.partition(":")
    total = totals.get(head.removeprefix("#").strip())
    return line if total is None or given.strip() == str(total) else f"{head}{colon} {total}"


def _fresh_header(data: PreferenceData, totals: dict[str, int], name: str) -> list[str]:
    fields: dict[str, object] = {
        "FILE NAME": name,
        "TITLE": "",
        "DESCRIPTION": "",
        "DATA TYPE": Path(name).suffix[1:],
        "MODIFICATION TYPE": "synthetic",
        "RELATES TO": "",
        "RELATED FILES": "",
        "PUBLICATION DATE": "",
        "MODIFICATION DATE": "",
        **totals,
    }
    head = [f"# {key}: {value}".rstrip() for key, value in fields.items()]
    return head + [f"# ALTERNATIVE NAME {i}: {item}" for i, item in enumerate(data.items.names, 1)]
