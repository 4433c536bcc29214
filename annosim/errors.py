"""The error tree: one class per failure, each message says what is wrong, where, and what to do.

Every error of the library derives from :class:`AnnosimError`, so that a command can turn any of them into one line
and exit code 2, and a caller can catch the one failure that it knows how to handle.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

__all__ = [
    "AbsentCellError",
    "AnnosimError",
    "ArgumentError",
    "AnswerKindError",
    "CheckError",
    "DataError",
    "DeviceError",
    "FileReadError",
    "GaugeError",
    "MissingDependencyError",
    "NoProjectionError",
    "NotIdentifiedError",
    "NothingFreeError",
    "RowsError",
    "ScenarioError",
    "StudyError",
    "TiesError",
    "TooLargeError",
    "TrainingError",
    "warn",
]


class AnnosimError(Exception):
    """Base class of every error that annosim raises on purpose; every message is one line.

    Example:
        >>> import annosim as an
        >>> try:
        ...     an.Luce(temperature=-1.0)
        ... except an.errors.AnnosimError as error:
        ...     print(error)
        Luce(temperature=): -1.0; give a finite number above 0
    """


class ArgumentError(AnnosimError, ValueError):
    """An argument has a value that its constraint does not allow."""


class DataError(AnnosimError, ValueError):
    """Preference data that contradict themselves or the encoding of the data."""


class RowsError(DataError):
    """Malformed rows in a file: up to twenty are named by their line in one short message, all are in ``problems``.

    Args:
        source: the file's name as the user wrote it.
        problems: ``(line number, what is wrong)`` for each row.
        remedy: what to do about it.
        unit: what is counted, ``"line"`` or ``"entry"``.
    """

    def __init__(
        self,
        source: str,
        problems: Sequence[tuple[int, str]],
        remedy: str = "mend or remove these rows",
        unit: str = "line",
    ):
        self.problems = list(problems)
        source = source if len(source) <= 60 else "..." + source[-57:]
        head, tail = f"{source}: {len(self.problems)} malformed row(s): ", f". Remedy: {remedy}."
        super().__init__(head + _summary(self.problems, unit, max(_LONGEST - len(head) - len(tail), 80)) + tail)


#: Characters of a message that names several rows.
_LONGEST = 300


def _summary(problems: Sequence[tuple[int, str]], unit: str, room: int) -> str:
    """Twenty rows in at most ``room`` characters: what is wrong with the first ones that fit, the others' numbers."""
    shown = problems[:20]
    more = f"; and {len(problems) - 20} more" if len(problems) > 20 else ""
    for told in range(len(shown), 0, -1):
        rest = f"; also {unit} {_ranges([number for number, _ in shown[told:]])}" if told < len(shown) else ""
        text = "; ".join(f"{unit} {number}: {what}" for number, what in shown[:told])
        if len(text) + len(rest) + len(more) <= room:
            break
        if told == 1:
            text = text[: max(room - len(rest) - len(more) - 3, 30)] + "..."
    return text + rest + more


def _ranges(numbers: Sequence[int]) -> str:
    """``6, 7, 8, 11`` as ``6-8, 11``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


class FileReadError(AnnosimError, OSError):
    """A file is missing, unreadable, or not in the format that was named."""


class AnswerKindError(AnnosimError, TypeError):
    """A rule was asked for a feedback kind that it does not define."""


class TiesError(DataError):
    """Tied answers met a rule without ties; ``data.ties("half")`` or a rule with ties is the remedy."""


class TooLargeError(AnnosimError, MemoryError):
    """An exact enumeration would exceed its limit; the message counts it and names the remedies.

    Example:
        >>> import annosim as an
        >>> design = an.Design(an.Items(n=4), menu_size=3)
        >>> an.law(an.Annotator(an.Tabular(4), an.Luce()), design, max_outcomes=10).probabilities
        Traceback (most recent call last):
        annosim.errors.TooLargeError: ...
    """


class GaugeError(AnnosimError, ValueError):
    """Parameters were asked for in a gauge that the model does not have."""


class NothingFreeError(AnnosimError, ValueError):
    """``population.like`` or ``fit`` met a population in which no parameter is free."""


class NotIdentifiedError(AnnosimError, ValueError):
    """The estimate does not exist, or the data say nothing of some parameters.

    Attributes:
        items: the items at fault (possibly empty).
        components: the components of the comparison graph at fault (possibly empty).

    Example:
        >>> import annosim as an
        >>> truth = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce())
        >>> try:  # items 0 and 1 never meet item 2
        ...     an.project(an.Annotator(an.Tabular(3), an.Luce()), truth, an.Design(an.Items(n=3), menus=[[0, 1]]))
        ... except an.errors.NotIdentifiedError as error:
        ...     print(error.items)
        ['2']
    """

    def __init__(self, message: str, items: Sequence[object] = (), components: Sequence[Sequence[object]] = ()):
        super().__init__(message)
        self.items = list(items)
        self.components = [list(c) for c in components]


class NoProjectionError(AnnosimError, TypeError):
    """The objective has no declared population optimum for this model and design.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce())
        >>> an.project(one, one, an.Design(an.Items(n=3), menu_size=3), objective=an.objectives.IPO(0.1))
        Traceback (most recent call last):
        annosim.errors.NoProjectionError: ...
    """


class TrainingError(AnnosimError, ArithmeticError):
    """A training run met a non-finite loss (the batch was saved where the message says), or nothing to descend."""


class ScenarioError(AnnosimError, ValueError):
    """A scenario file has an unknown key or a value that is not allowed; the message names the key and the remedy."""


class StudyError(AnnosimError, RuntimeError):
    """A study could not be found, loaded or run."""


class AbsentCellError(StudyError):
    """A claim or a figure asked for a cell that the preset does not have."""


class CheckError(AnnosimError, RuntimeError):
    """An estimator could not be loaded or called by the checks."""


class DeviceError(AnnosimError, RuntimeError):
    """A device was asked for that this machine does not have."""


class MissingDependencyError(AnnosimError, ImportError):
    """An extra is needed; the message names the ``pip install`` that brings it."""


def warn(message: str) -> None:
    """A warning that points to the line of the caller's own code, however deep in the library it arose.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as seen:
        ...     warnings.simplefilter("always")
        ...     warn("nearly")
        >>> str(seen[0].message)
        'nearly'
    """
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("annosim."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
