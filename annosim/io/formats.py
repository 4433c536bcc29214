"""The formats that can be named or recognised: ``an.io.read(FILE)``, ``annosim fit FILE --format NAME``."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.io.arena import read_arena
from annosim.io.crowdkit import read_crowdkit
from annosim.io.evalica import read_evalica
from annosim.io.frames import read_frame
from annosim.io.long import read_long
from annosim.io.pairs import read_csv
from annosim.io.preflib import read_preflib
from annosim.io.scottish import read_scottish
from annosim.io.shards import read_parquet
from annosim.io.tables import Source
from annosim.io.trl import read_kto, read_trl
from annosim.io.ukp import read_ukp

__all__ = ["FORMATS", "Format", "read", "recognise"]


@dataclass(frozen=True)
class Format:
    """A foreign format.

    Attributes:
        name: what the command calls it.
        reader: reads a source; what else it takes are the format's options.
        description: one line.
        extensions: endings of file names that mean this format when none is named.
        contents: files by which a directory of this format is known.

    Example:
        >>> FORMATS["preflib"].options
        ('expand', 'unlisted', 'totals')
    """

    name: str
    reader: Callable[..., PreferenceData]
    description: str
    extensions: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the reader's options."""
        return tuple(list(inspect.signature(self.reader).parameters)[1:])

    def read(self, source: Source, options: Mapping[str, object] | None = None) -> PreferenceData:
        """Read a source.

        Args:
            source: what to read.
            options: the reader's options by name, as values or as the text of a command line (``"price,time"`` for a
                list, ``"1=left,0=right"`` for words, ``"true"``); those that are ``None`` are left at their default.

        Raises:
            ArgumentError: an option that this format does not have (those that it has are listed), or a value of
                another type.
        """
        return self.reader(source, **self._checked(options or {}))

    def _checked(self, options: Mapping[str, object]) -> dict[str, object]:
        hints = get_type_hints(self.reader)
        out = {}
        for name, value in options.items():
            if value is None:
                continue
            if name not in self.options:
                has = ", ".join(self.options) or "none"
                raise ArgumentError(f"format {self.name!r} has no option {name[:60]!r}; its options are {has}")
            out[name] = self._value(name, hints[name], value)
        return out

    def _value(self, name: str, hint: Any, value: object) -> object:
        """A value of the option's type; text of the command line is split where the option takes more than text."""
        kinds = {get_origin(kind) or kind for kind in (hint, *get_args(hint))}
        if isinstance(value, str) and Mapping in kinds:
            value = _mapping(name, value)
        elif isinstance(value, str) and Sequence in kinds:
            value = [part.strip() for part in value.split(",")]
        try:
            return TypeAdapter(hint, config=_ANY_CLASS).validate_python(value)
        except ValidationError as error:
            shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
            reason = error.errors()[0]["msg"][:80].lower()
            raise ArgumentError(f"format {self.name!r}: option {name}={shown}: {reason}") from None


_ANY_CLASS = ConfigDict(arbitrary_types_allowed=True)


def _mapping(name: str, text: str) -> dict[str, str]:
    """``A=left,B=right,=skip`` as a mapping; an empty word is an empty cell."""
    parts = [part.partition("=") for part in text.split(",")]
    if not all(equals and meaning.strip() for _, equals, meaning in parts):
        raise ArgumentError(f"{name} {text[:60]!r}: write WORD=MEANING with commas between, such as A=left,B=right")
    return {word.strip(): meaning.strip() for word, _, meaning in parts}


#: Every format by name.
FORMATS: Mapping[str, Format] = {
    entry.name: entry
    for entry in (
        Format("pairs", read_csv, "a row per vote: columns for the two items and the winning side"),
        Format("arena", read_arena, "Chatbot Arena battles: model_a, model_b, winner"),
        Format("preflib", read_preflib, "PrefLib elections: soc, soi, toc, toi", (".soc", ".soi", ".toc", ".toi")),
        Format("scottish", read_scottish, "ballots of a Scottish council ward"),
        Format("crowdkit", read_crowdkit, "Crowd-Kit CSV: worker, left, right, label"),
        Format("evalica", read_evalica, "evalica CSV: left, right, winner"),
        Format("trl", read_trl, "TRL preferences: prompt, chosen, rejected"),
        Format("kto", read_kto, "TRL unpaired preferences: prompt, completion, label"),
        Format("ukp", read_ukp, "UKPConvArg1: a directory of votes and arguments", (), ("votes.csv", "votes.csv.gz")),
        Format("long", read_long, "long choice data (xlogit, choice-learn): a row per situation and alternative"),
        Format("wide", read_frame, "CSV of data.to_csv(layout='wide' or 'long')"),
        Format("parquet", read_parquet, "annosim's own parquet file, or shards", (".parquet",), ("shards.json",)),
    )
}


def recognise(path: str | os.PathLike[str]) -> Format:
    """The format of a file by its extension, or of a directory by what is in it.

    Raises:
        ArgumentError: neither says one.

    Example:
        >>> recognise("votes.soc").name
        'preflib'
    """
    path = Path(path)
    suffix = Path(str(path).removesuffix(".gz")).suffix.lower()
    for entry in FORMATS.values():
        if suffix in entry.extensions or any((path / name).exists() for name in entry.contents):
            return entry
    subject = "this directory" if path.is_dir() else f"extension {suffix!r}"
    raise ArgumentError(f"{path}: {subject} says no format; name one of {', '.join(FORMATS)}")


def read(source: Source, format: str | None = None, options: Mapping[str, object] | None = None) -> PreferenceData:
    """Read preference data of any format.

    Args:
        source: a file, a directory, a pandas frame, an Arrow table, a ``datasets.Dataset`` or a list of records.
        format: one of :data:`FORMATS`; by default what the extension or the directory says (PrefLib, parquet, UKP).
        options: options of the format's reader, by name (``{"annotator": "worker"}``).

    Raises:
        ArgumentError: an unknown format, none that could be recognised, or an option that the format does not have.

    Example:
        >>> votes = [{"left": "tea", "right": "milk", "winner": "left", "who": "ann"}]
        >>> read(votes, "pairs", {"annotator": "who"})
        PreferenceData(1 rows, choice from menus of 2, 1 annotators, 2 items)
    """
    if format is not None and format not in FORMATS:
        raise ArgumentError(f"format={format!r}: the formats are {', '.join(FORMATS)}")
    if format is not None:
        return FORMATS[format].read(source, options)
    if not isinstance(source, str | os.PathLike):
        raise ArgumentError(f"read: name the format of a source in memory, one of {', '.join(FORMATS)}")
    return recognise(source).read(source, options)
