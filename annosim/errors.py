"""Errors: one class for each kind of failure. Every message says what is wrong, where, and what to do.

Every error of the library derives from :class:`AnnosimError`, so that a command can turn any of them into one line
and exit code 2, and a caller can catch the one failure that it knows how to handle.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence

__all__ = [
    "AbsentCellError",
    "AnnosimError",
    "ArgumentError",
    "AnswerKindError",
    "CheckError",
    "CheckFailedError",
    "ClusterError",
    "DataError",
    "DeviceError",
    "FileReadError",
    "LayoutError",
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
    "told",
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
    """An argument has a value that is not allowed. Pass one that the message describes.

    Example:
        >>> import annosim as an
        >>> an.Luce(temperature=0.0)
        Traceback (most recent call last):
        annosim.errors.ArgumentError: Luce(temperature=): 0.0; give a finite number above 0
    """


class DataError(AnnosimError, ValueError):
    """Preference data contradict themselves or their encoding. Correct the rows that the message names.

    Example:
        >>> import annosim as an
        >>> an.PreferenceData(an.Items(n=2), menu=[[0, 1]], answer=[2])
        Traceback (most recent call last):
        annosim.errors.DataError: ...
    """


class LayoutError(AnnosimError, ValueError):
    """The layout of a source is not known, or may be read in several ways. Answer what the message asks.

    Example:
        >>> import annosim as an
        >>> an.io.read([{"left": "tea", "right": "milk", "winner": 1}, {"left": "tea", "right": "milk", "winner": 0}])
        Traceback (most recent call last):
        annosim.errors.LayoutError: ... who wins at 1? say winner_is=score (the left side) or winner_is=index (the right)
    """


class RowsError(DataError):
    """Malformed rows in a file: up to twenty are named by their line in one short message, all are in ``problems``.

    Args:
        source: the file's name as the user wrote it.
        problems: ``(line number, what is wrong)`` for each row.
        remedy: what to do about it.
        unit: what is counted, ``"line"`` or ``"entry"``.

    Example:
        >>> print(RowsError("votes.csv", [(3, "no winner")]))
        votes.csv: 1 malformed row(s): line 3: no winner. Remedy: fix or remove these rows.
    """

    def __init__(
        self,
        source: str,
        problems: Sequence[tuple[int, str]],
        remedy: str = "fix or remove these rows",
        unit: str = "line",
    ):
        self.source, self.problems, self.remedy, self.unit = source, list(problems), remedy, unit
        source = source if len(source) <= 60 else "..." + source[-57:]
        head, tail = f"{source}: {len(self.problems)} malformed row(s): ", f". Remedy: {remedy}."
        super().__init__(head + _summary(self.problems, unit, max(_LONGEST - len(head) - len(tail), 80)) + tail)

    def reworded(self, change: Callable[[str], str]) -> RowsError:
        """The same rows, said otherwise: a command speaks of its options where a function speaks of its arguments."""
        problems = [(number, change(what)) for number, what in self.problems]
        return RowsError(self.source, problems, change(self.remedy), self.unit)


#: Characters of a message that names several rows.
_LONGEST = 300


def _summary(problems: Sequence[tuple[int, str]], unit: str, room: int) -> str:
    """Twenty rows in at most ``room`` characters, those of one fault together; the numbers of those that do not fit."""
    shown = problems[:20]
    more = f"; and {len(problems) - 20:,} more" if len(problems) > 20 else ""
    faults: dict[str, list[int]] = {}
    for number, what in shown:
        faults.setdefault(what, []).append(number)
    parts = [f"{_places(unit, numbers)}: {what}" for what, numbers in faults.items()]
    for told in range(len(parts), 0, -1):
        others = sorted(number for numbers in list(faults.values())[told:] for number in numbers)
        rest = f"; also {_places(unit, others)}" if others else ""
        text = "; ".join(parts[:told])
        if len(text) + len(rest) + len(more) <= room:
            break
        if told == 1:
            text = text[: max(room - len(rest) - len(more) - 3, 30)] + "..."
    return text + rest + more


def _places(unit: str, numbers: Sequence[int]) -> str:
    """``line 6``, or ``lines 6-8, 11``; the first four runs of many."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    said = ", ".join("-".join(map(str, run)) for run in runs[:4]) + (", ..." if len(runs) > 4 else "")
    plural = {"line": "lines", "entry": "entries"}.get(unit, unit)
    return f"{unit if len(numbers) == 1 else plural} {said}"


class FileReadError(AnnosimError, OSError):
    """A file is missing, unreadable, or not in the format that was named. Check its path and format.

    Example:
        >>> import annosim as an
        >>> an.io.read_csv("nowhere.csv", left="a", right="b", winner="w")
        Traceback (most recent call last):
        annosim.errors.FileReadError: ...
    """


class AnswerKindError(AnnosimError, TypeError):
    """A rule does not define this kind of feedback. Choose another rule or another ``feedback``.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular(2), an.rules.Thumbs())
        >>> an.simulate(people, an.Design(an.Items(n=2)), seed=0)
        Traceback (most recent call last):
        annosim.errors.AnswerKindError: ...
    """


class TiesError(DataError):
    """Tied answers met a rule without ties. Split them with ``data.ties("half")`` or fit a rule with ties.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]], answer=[[0, 1]], tied=[[True]])
        >>> an.fit(an.Annotator(an.Tabular(2), an.Luce()), data)
        Traceback (most recent call last):
        annosim.errors.TiesError: ...
    """


class TooLargeError(AnnosimError, MemoryError):
    """An exact enumeration would exceed its limit; the message counts it and names the remedies.

    Example:
        >>> import annosim as an
        >>> design = an.Design(an.Items(n=4), menu_size=3)
        >>> an.law(an.Annotator(an.Tabular(4), an.Luce()), design, max_outcomes=10).probabilities
        Traceback (most recent call last):
        annosim.errors.TooLargeError: ...
    """


class NothingFreeError(AnnosimError, ValueError):
    """No parameter of the population is free, so there is nothing to redraw or to estimate. Mark one with ``an.free``.

    Example:
        >>> import annosim as an
        >>> an.Annotator(an.Tabular(an.fixed([0.0, 1.0])), an.Luce()).like(seed=0)
        Traceback (most recent call last):
        annosim.errors.NothingFreeError: ...
    """


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
    """Training or an optimisation cannot go on, for example at a loss that is not finite (the message says where the
    batch was saved). Lower the learning rate, or look at that batch.

    Example:
        >>> raise TrainingError("loss is nan at step 3; lower learning_rate")
        Traceback (most recent call last):
        annosim.errors.TrainingError: loss is nan at step 3; lower learning_rate
    """


class ScenarioError(AnnosimError, ValueError):
    """A scenario file has an unknown key, or a value that is not allowed. The message names the key and the remedy.

    Example:
        >>> from annosim.scenario import read_scenario
        >>> read_scenario({"items": {"kind": "normla", "n": 4, "dim": 1}})
        Traceback (most recent call last):
        annosim.errors.ScenarioError: ...
    """


class StudyError(AnnosimError, RuntimeError):
    """A study cannot be found, loaded or run. ``annosim study list`` shows those that can.

    Example:
        >>> from annosim.study import load_named
        >>> load_named("no_such_study")
        Traceback (most recent call last):
        annosim.errors.StudyError: ...
    """


class AbsentCellError(StudyError):
    """A claim or a figure asked for a cell that the preset does not have. It is skipped and the page says so.

    Example:
        >>> issubclass(AbsentCellError, StudyError)
        True
    """


class CheckError(AnnosimError, RuntimeError):
    """The checks cannot load or call an estimator. Write ``module:callable`` and return one utility per item.

    Example:
        >>> from annosim.checks.adapt import load
        >>> load("choix")
        Traceback (most recent call last):
        annosim.errors.CheckError: estimator 'choix': write module:callable, for example choix:ilsr_pairwise
    """


class CheckFailedError(AnnosimError, AssertionError):
    """An estimator, a rule or a population breaks a law. Read the evidence in the message, or all of it in ``report``.

    ``raise_on_failure=False`` returns the report instead; a failure that is known is named in
    ``expected_failed_checks``.

    Attributes:
        report: the :class:`~annosim.checks.CheckReport` with every result.

    Example:
        >>> from annosim.checks import check_estimator
        >>> check_estimator(lambda data: None, only=["check_deterministic"])
        Traceback (most recent call last):
        annosim.errors.CheckFailedError: <lambda>: 1 of 1 checks failed: check_deterministic (...)
    """

    def __init__(self, message: str, report: object = None):
        super().__init__(message)
        self.report = report


class ClusterError(AnnosimError, RuntimeError):
    """A cluster cannot be reached, was lost, or has workers that would compute something else. Mend it and run again:
    what was finished is kept.

    Example:
        >>> import annosim as an
        >>> with an.cluster("gopher://somewhere"):
        ...     pass
        Traceback (most recent call last):
        annosim.errors.ClusterError: ...
    """


class DeviceError(AnnosimError, RuntimeError):
    """A device is not available here, or has no path for this request. Use ``device="cpu"``.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular(2), an.Luce())
        >>> an.simulate(people, an.Design(an.Items(n=2)), seed=0, device="abacus")
        Traceback (most recent call last):
        annosim.errors.DeviceError: ...
    """


class MissingDependencyError(AnnosimError, ImportError):
    """An optional library is missing. The message names the ``pip install`` that brings it.

    Example:
        >>> raise MissingDependencyError("choix is not installed; pip install choix")
        Traceback (most recent call last):
        annosim.errors.MissingDependencyError: choix is not installed; pip install choix
    """


def told(value: object) -> str:
    """A value in a message of one line: as it is written, or where that is long, its type.

    Example:
        >>> told(0.5), told(list(range(1000)))
        ('0.5', 'a list of 1000')
    """
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:  # written out over many lines
        return f"{kind} of shape {shape}"
    text = repr(value)
    if len(text) <= 100 and "\n" not in text:
        return text
    if isinstance(value, list | tuple | dict | set):
        return f"a {kind} of {len(value)}"
    return kind if "\n" in text or not text.startswith(kind) else f"{kind}(...)"


def warn(message: str) -> None:
    """Warn, and point to the line of the caller's own code, however deep in the library the warning arose.

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
