"""What a format is: its name, its reader, and how it is recognised."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.io.seen import Seen
from annosim.io.sources import Source

__all__ = ["COLUMNS", "EXPORTER", "VALUES", "Format", "Question", "Reading", "mapping_of"]

#: What a layout was recognised by, the weakest first: values alone, names of columns, all that one exporter writes.
VALUES, COLUMNS, EXPORTER = 1, 2, 3


@dataclass(frozen=True)
class Reading:
    """How a recognised source is read.

    Attributes:
        why: what was seen, in words: ``"left and right are the sides, winner holds left, right"``.
        options: the reader's options that say so.
        strength: what it was recognised by: :data:`EXPORTER` (the columns or structure of one known layout),
            :data:`COLUMNS` (names of columns), :data:`VALUES` (only what stands in them). The strongest wins.

    Example:
        >>> Reading("winner and loser in columns", {"winner": "won"}).options
        {'winner': 'won'}
    """

    why: str
    options: Mapping[str, object] = field(default_factory=dict)
    strength: int = COLUMNS


@dataclass(frozen=True)
class Question:
    """What a layout leaves open, in words, with the option that answers it.

    Attributes:
        text: the question.
        asks: the options that answer it.
        options: what is known already.
        strength: as in :class:`Reading`.

    Example:
        >>> Question("is 1 the left side or the right? say winner_is=score (left) or winner_is=index (right)").asks
        ('words', 'winner_is')
    """

    text: str
    asks: tuple[str, ...] = ("words", "winner_is")
    options: Mapping[str, object] = field(default_factory=dict)
    strength: int = COLUMNS


def _never(seen: Seen) -> Reading | Question | None:
    """Formats without columns are known by the extension or the contents of a folder."""
    return None


@dataclass(frozen=True)
class Format:
    """A foreign format.

    Attributes:
        name: what the command calls it.
        reader: reads a source; what else it takes are the format's options.
        description: one line.
        extensions: endings of file names that mean this format when none is named.
        contents: files by which a directory of this format is known.
        recognise: what the columns of a table say: how to read it, a question, or ``None`` for another layout.

    Example:
        >>> import annosim as an
        >>> an.io.FORMATS["preflib"].options
        ('expand', 'unlisted', 'totals')
    """

    name: str
    reader: Callable[..., PreferenceData]
    description: str
    extensions: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    recognise: Callable[[Seen], Reading | Question | None] = _never

    @property
    def is_table(self) -> bool:
        """Whether it is recognised by the columns of a table."""
        return self.recognise is not _never

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
                raise ArgumentError(f"format {self.name!r} has no option {name[:60]!r}; its options are {has[:160]}")
            out[name] = self._value(name, hints[name], value)
        return out

    def _value(self, name: str, hint: Any, value: object) -> object:
        """A value of the option's type; text of the command line is split where the option takes more than text."""
        kinds = {get_origin(kind) or kind for kind in (hint, *get_args(hint))}
        if isinstance(value, str) and Mapping in kinds:
            value = mapping_of(name, value)
        elif isinstance(value, str) and Sequence in kinds:
            value = [part.strip() for part in value.split(",")]
        try:
            return TypeAdapter(hint, config=_ANY_CLASS).validate_python(value)
        except ValidationError as error:
            shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
            reason = error.errors()[0]["msg"][:80].lower()
            raise ArgumentError(f"format {self.name!r}: option {name}={shown}: {reason}") from None


_ANY_CLASS = ConfigDict(arbitrary_types_allowed=True)


def mapping_of(name: str, text: str) -> dict[str, str]:
    """``A=left,B=right,=skip`` as a mapping; an empty word is an empty cell."""
    parts = [part.partition("=") for part in text.split(",")]
    if not all(equals and meaning.strip() for _, equals, meaning in parts):
        raise ArgumentError(f"{name} {text[:60]!r}: write WORD=MEANING with commas between, such as A=left,B=right")
    return {word.strip(): meaning.strip() for word, _, meaning in parts}
