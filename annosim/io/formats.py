"""The formats that a command can name: ``annosim fit FILE --format NAME``."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError

__all__ = ["FORMATS", "Format", "read"]


@dataclass(frozen=True)
class Format:
    """A foreign format.

    Attributes:
        name: what the command calls it.
        reader: ``module:function`` inside :mod:`annosim.data`; imported on first use.
        description: one line.
        extensions: endings of file names that mean this format when none is named.
        writer: ``module:function``, or ``None``.
    """

    name: str
    reader: str
    description: str
    extensions: tuple[str, ...] = ()
    writer: str | None = None

    def read(self, path: str | os.PathLike[str], **options: Any) -> PreferenceData:
        """Read a file; options that are ``None`` are left at the reader's default.

        Raises:
            ArgumentError: an option that this format does not have (those that it has are listed).
        """
        return _call(self.reader, self.name, path, options)

    def write(self, data: PreferenceData, path: str | os.PathLike[str], **options: Any) -> None:
        """Write a file.

        Raises:
            ArgumentError: the format is only read, or does not have an option.
        """
        if self.writer is None:
            raise ArgumentError(f"format {self.name!r} is only read; write one of {', '.join(writable())}")
        _call(self.writer, self.name, data, {"path": path, **options})

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the reader's options."""
        return tuple(list(inspect.signature(_function(self.reader)).parameters)[1:])


def _function(where: str) -> Callable[..., Any]:
    module, name = where.split(":")
    return getattr(import_module(f"annosim.io.{module}"), name)


def _call(where: str, name: str, first: Any, options: dict[str, Any]) -> Any:
    function = _function(where)
    given = {key: value for key, value in options.items() if value is not None}
    allowed = list(inspect.signature(function).parameters)[1:]
    unknown = [key for key in given if key not in allowed]
    if unknown:
        has = ", ".join(allowed) or "none"
        raise ArgumentError(f"format {name!r} has no option {unknown[0]!r}; its options are {has}")
    return function(first, **given)


# ruff: noqa: E501 (one format a line)
_LIST = [
    Format(
        "pairs",
        "pairs:read_csv",
        "CSV, a row per vote: columns for the two items and the winning side",
        (),
        "pairs:write_csv",
    ),
    Format("arena", "arena:read_arena", "Chatbot Arena battles: model_a, model_b, winner", (), "arena:write_arena"),
    Format(
        "preflib",
        "preflib:read_preflib",
        "PrefLib elections: soc, soi, toc, toi",
        (".soc", ".soi", ".toc", ".toi"),
        "preflib:write_preflib",
    ),
    Format("scottish", "scottish:read_scottish", "ballots of a Scottish council ward", (), "scottish:write_scottish"),
    Format(
        "crowdkit", "crowdkit:read_crowdkit", "Crowd-Kit CSV: worker, left, right, label", (), "crowdkit:write_crowdkit"
    ),
    Format("evalica", "evalica:read_evalica", "evalica CSV: left, right, winner", (), "evalica:write_evalica"),
    Format("trl", "trl:read_trl", "TRL preferences: prompt, chosen, rejected", (), "trl:write_trl"),
    Format("kto", "trl:read_kto", "TRL unpaired preferences: prompt, completion, label", (), "trl:write_trl"),
    Format("ukp", "ukp:read_ukp", "UKPConvArg1: votes and arguments in a directory"),
    Format(
        "long",
        "long:read_long",
        "CSV, a row per choice situation and alternative (xlogit, choice-learn)",
        (),
        "long:write_long",
    ),
    Format("wide", "framecsv:read_frame", "CSV of data.to_frame(), wide or long", (), "framecsv:write_frame"),
    Format(
        "parquet",
        "shards:read_parquet",
        "annosim's own parquet file, or a directory of shards",
        (".parquet",),
        "parquet:write_parquet",
    ),
]

#: Every format by name.
FORMATS: dict[str, Format] = {entry.name: entry for entry in _LIST}


def writable() -> list[str]:
    """Names of the formats that can be written."""
    return [entry.name for entry in _LIST if entry.writer]


def read(path: str | os.PathLike[str], format: str | None = None, **options: Any) -> PreferenceData:
    """Read a file in a named format; without a name the extension decides (PrefLib and parquet).

    Raises:
        ArgumentError: an unknown format, none for this extension, or an option that the format does not have.

    Example:
        >>> sorted(FORMATS)[:3]
        ['arena', 'crowdkit', 'evalica']
    """
    if format is None:
        suffix = Path(str(path).removesuffix(".gz")).suffix.lower()
        fitting = [entry for entry in _LIST if suffix in entry.extensions]
        if Path(path).is_dir():
            fitting = [FORMATS["parquet"] if (Path(path) / "shards.json").exists() else FORMATS["ukp"]]
        if not fitting:
            raise ArgumentError(f"{path}: extension {suffix!r} says no format; name one of {', '.join(FORMATS)}")
        return fitting[0].read(path, **options)
    if format not in FORMATS:
        raise ArgumentError(f"format={format!r}: the formats are {', '.join(FORMATS)}")
    return FORMATS[format].read(path, **options)
