"""What a study is: presets, cells, statements, figures. Plain functions joined by plain dicts.

A *cell* is the unit of work: one function (or a chain of them) with a dict of parameters, run once per replicate. Each
function takes, by name, what it needs from the pool of parameters, earlier results, and these reserved names::

    seed       64-bit number from a stable hash of the study's, the cell's name and the replicate
    replicate  0 .. replicates - 1
    seeds      instead of these two: the seeds of all replicates, which the function runs at once
    device     what --device says, "cpu" by default
    data       what --data says; pass it on to ``annosim.study.data_path(name, data)``
    jobs       how many processes the function may use: 1 in a worker
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from annosim.errors import StudyError
from annosim.study.claims import Claim, Statement

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from annosim.study.outcome import Outcome

__all__ = ["RESERVED", "Cell", "Preset", "Study", "call_by_name"]

T = TypeVar("T")

#: Names that a cell's function may ask for and a parameter must not have.
RESERVED = ("seed", "replicate", "seeds", "device", "data", "jobs")
#: Columns of results.parquet that a parameter or a result must not shadow.
COLUMNS = ("cell", "group", "status", "error", "seconds", "key")


@dataclass(frozen=True)
class Preset:
    """One size of a study.

    Attributes:
        minutes: estimated time on two CPU cores.
        settings: what the study's ``cells`` (and ``claims``) functions take by name.
        note: anything else to say of its cost ("on one GPU").
        decisive: whether its size is meant to decide every claim. At a preset that is not, a claim that the data leave
            open is "not judged" instead of "inconclusive": only a larger preset can say that it is open.

    Example:
        >>> Preset(3, {"pairs": 2**15}).time
        '3 min'
    """

    minutes: float
    settings: Mapping[str, object] = field(default_factory=dict)
    note: str = ""
    decisive: bool = True

    @property
    def time(self) -> str:
        """The estimate in words."""
        if self.minutes < 1:
            text = f"{max(1, round(self.minutes * 60))} s"
        elif self.minutes < 120:
            text = f"{self.minutes:g} min"
        else:
            text = f"{self.minutes / 60:.3g} h"
        return f"{text}, {self.note}" if self.note else text


@dataclass(frozen=True)
class Cell:
    """One unit of work: its finished result is kept on disk under a key that follows everything it depends on.

    Attributes:
        function: a function, or a chain of them; each takes by name what it needs and returns a dict that later
            ones may take from. The result is the last dict (or list of dicts, a row each): numbers, texts, arrays.
            A function that takes ``seeds`` returns a list with the result of each replicate, in order.
        parameters: plain values (numbers, texts, booleans, None, and lists, tuples or dicts of these).
        name: unique in the study; made of the function's name and the parameters by default.
        replicates: how often it runs, each with its own seed.
        needs: argument name -> another cell, whose result (a dict) is passed under that name. A cell with as many
            replicates gives replicate r its replicate r (a function that takes ``seeds`` gets the list of them); a cell
            with one gives it to all, as it is: also to a function that takes ``seeds`` and runs but one.
        skip: ``skip(...) -> (bool, reason)``, taking by name what the function may take; a skipped cell is a row.
            Where the function takes ``seeds`` it is asked once for all replicates.
        seed_name: cells with the same seed_name share their seeds (common random numbers); the cell's name by default.

    Example:
        >>> def square(x, seed):
        ...     return {"y": x * x}
        >>> Cell(square, {"x": 3}).title
        'square(x=3)'
    """

    function: Callable[..., object] | Sequence[Callable[..., object]]
    parameters: Mapping[str, object] = field(default_factory=dict)
    name: str = ""
    replicates: int = 1
    needs: Mapping[str, Cell] = field(default_factory=dict)
    skip: Callable[..., tuple[bool, str]] | None = None
    seed_name: str = ""

    @property
    def steps(self) -> tuple[Callable[..., object], ...]:
        """The functions in their order."""
        return (self.function,) if callable(self.function) else tuple(self.function)

    @property
    def batched(self) -> bool:
        """Whether one call of the function runs all replicates: networks that are trained as one batch."""
        return any("seeds" in _names(step) for step in self.steps)

    @property
    def group(self) -> str:
        """Name of the last function: results of one group have the same columns."""
        return _name_of(self.steps[-1]) if self.steps else ""

    @property
    def title(self) -> str:
        """The cell's name, or the one made from its functions and parameters."""
        if self.name:
            return self.name
        inner = ", ".join(f"{k}={_short(v)}" for k, v in self.parameters.items())
        chain = " + ".join(_name_of(step) for step in self.steps)
        return f"{chain}({inner})"

    def check(self) -> None:
        """Raise StudyError when the cell cannot be run as written."""
        if not self.steps:
            raise StudyError(f"cell {self.name!r} has no function; pass Cell(function, parameters)")
        if isinstance(self.replicates, bool) or not isinstance(self.replicates, int) or self.replicates < 1:
            raise StudyError(f"cell {self.title}: replicates={self.replicates!r}; use a whole number from 1")
        for name in (*self.parameters, *self.needs):
            if name in RESERVED or name in COLUMNS:
                raise StudyError(f"cell {self.title}: the name {name!r} is reserved; rename this parameter")
        if self.batched and (len(self.steps) > 1 or _names(self.steps[0]) & {"seed", "replicate"}):
            raise StudyError(
                f"cell {self.title}: a function that takes 'seeds' runs all replicates at once; it stands alone in its "
                "cell and takes neither 'seed' nor 'replicate'"
            )
        absent = {"seed", "replicate"} if self.batched else {"seeds"}
        wrong = sorted(_names(self.skip) & absent) if self.skip is not None else []
        if wrong:
            once = "once for all replicates" if self.batched else "for each replicate by itself"
            raise StudyError(f"cell {self.title}: its skip takes {wrong[0]!r}, but is asked {once}; do without")
        both = set(self.parameters) & set(self.needs)
        if both:
            raise StudyError(
                f"cell {self.title}: {sorted(both)[0]!r} is both a parameter and a needed cell; rename one"
            )
        taken = set().union(*(_names(step) for step in self.steps))
        if self.skip is not None:
            taken |= _names(self.skip)
        unused = [name for name in (*self.parameters, *self.needs) if name not in taken and "**" not in taken]
        if unused:
            raise StudyError(f"cell {self.title}: no function takes {unused[0]!r}; remove it or mend its name")
        for name, needed in self.needs.items():
            if not isinstance(needed, Cell):
                raise StudyError(f"cell {self.title}: needs[{name!r}] is a {type(needed).__name__}; pass a Cell")
            if needed.replicates not in (1, self.replicates):
                raise StudyError(
                    f"cell {self.title}: needs {needed.title} with {needed.replicates} replicates but has "
                    f"{self.replicates}; use 1 or {self.replicates}"
                )


@dataclass(frozen=True)
class Study:
    """A paper's claims as code: presets of settings, cells of work, statements to judge, figures to look at.

    A study is a Python file or folder under ``./studies``, one that came with annosim, or an entry point of the group
    ``annosim.studies``. It imports only the public API and names its study ``STUDY``.

    Attributes:
        name: what ``annosim study run NAME`` takes.
        title: one line.
        paper: authors, title and number of the source.
        presets: ``{"quick": Preset(...), "paper": Preset(...)}``; the first is the default.
        cells: ``cells(**settings) -> cells`` of a preset.
        claims: ``claims(**settings) -> statements``; it takes by name the settings that it needs.
        figures: functions ``figure(outcome) -> matplotlib Figure``; the function's name is the file's name, its
            docstring the caption, and the first one is the key figure that opens the report.
        tables: functions ``table(outcome) -> pandas DataFrame`` with the docstring as caption.
        finding: ``finding(outcome, claims) -> str``, two sentences; a count of verdicts by default.
        data: real data that it reads (``"preflib/sushi.soc"``): the files must exist; their content enters every key.
        seed: first part of every cell's seed.
        in_ci: whether CI runs the quick preset.
        path, digest: the file it was loaded from, and the hash of its sources at that time (set by the loader).

    Example:
        >>> def half(n):
        ...     return {"half": n / 2}
        >>> def cells(sizes):
        ...     return [Cell(half, {"n": n}) for n in sizes]
        >>> study = Study("halves", "Halves", "Euclid", {"quick": Preset(0.1, {"sizes": [2, 4]})}, cells, lambda: [])
        >>> [cell.title for cell in study.plan("quick")]
        ['half(n=2)', 'half(n=4)']
    """

    name: str
    title: str
    paper: str
    presets: Mapping[str, Preset]
    cells: Callable[..., Iterable[Cell]]
    claims: Callable[..., Iterable[Statement]]
    figures: Sequence[Callable[[Outcome], Figure]] = ()
    tables: Sequence[Callable[[Outcome], pd.DataFrame]] = ()
    finding: Callable[[Outcome, Sequence[Claim]], str] | None = None
    data: Sequence[str] = ()
    seed: int = 0
    in_ci: bool = True
    path: Path | None = None
    digest: str = ""

    def preset(self, name: str | None = None) -> tuple[str, Preset]:
        """Name and contents of a preset; the first one when no name is given.

        Raises:
            StudyError: the study has no such preset; the message lists those it has.
        """
        if not self.presets:
            raise StudyError(f"study {self.name} has no presets; give it at least 'quick'")
        chosen = next(iter(self.presets)) if name is None else name
        if chosen not in self.presets:
            raise StudyError(f"study {self.name} has no preset {chosen!r}; choose one of {', '.join(self.presets)}")
        return chosen, self.presets[chosen]

    def plan(self, preset: str | None = None) -> list[Cell]:
        """The cells of a preset in an order in which every cell comes after those it needs.

        Raises:
            StudyError: two cells of one name, a reserved or unused parameter, settings that ``cells`` does not take.
        """
        name, chosen = self.preset(preset)
        try:
            listed = list(self.cells(**chosen.settings))
        except TypeError as error:
            raise StudyError(f"study {self.name}, preset {name}: its cells function failed: {error}") from error
        if not listed:
            raise StudyError(f"study {self.name}, preset {name}: no cells; its cells function must yield at least one")
        return _in_order(listed)

    def statements(self, preset: str | None = None) -> list[Statement]:
        """The statements of a preset, before they are judged.

        Raises:
            StudyError: two of them with the same id, or a setting that ``claims`` takes and the preset lacks.
        """
        name, chosen = self.preset(preset)
        listed = list(call_by_name(self.claims, chosen.settings, f"study {self.name}, preset {name}: claims"))
        seen: set[str] = set()
        for one in listed:
            if not isinstance(one, Statement):
                raise StudyError(f"study {self.name}: claims yielded {type(one).__name__}; yield Statement(...)")
            if one.id in seen:
                raise StudyError(f"study {self.name}: two claims have the id {one.id!r}; ids are unique")
            seen.add(one.id)
        return listed


def call_by_name(function: Callable[..., T], pool: Mapping[str, object], where: str) -> T:
    """Call a function with those entries of the pool that it names (all of them if it takes ``**``).

    Raises:
        StudyError: it needs an argument that the pool does not have.

    Example:
        >>> call_by_name(lambda x, scale=2: x * scale, {"x": 3, "other": 0}, "here")
        6
    """
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return function(**pool)
    lacking = [
        p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL and p.name not in pool
    ]
    if lacking:
        raise StudyError(f"{where}: {_name_of(function)} takes {lacking[0]!r}, which nothing provides; add it")
    return function(**{p.name: pool[p.name] for p in parameters if p.name in pool})


def _in_order(listed: Sequence[Cell]) -> list[Cell]:
    """Every cell behind the cells that it needs, each looked at once; two cells of one name are refused.

    Cells may stand in layers thousands deep, so the walk keeps its own stack.
    """
    ordered: dict[str, Cell] = {}
    placed: dict[int, bool] = {}  # by identity: False while the cells that it needs are being placed
    stack = list(reversed(listed))
    while stack:
        cell = stack[-1]
        if id(cell) not in placed:
            if not isinstance(cell, Cell):
                raise StudyError(f"cells yielded {type(cell).__name__}; yield Cell(function, parameters)")
            cell.check()
            placed[id(cell)] = False
            above = list(cell.needs.values())
            if any(placed.get(id(needed)) is False for needed in above):
                raise StudyError(f"cell {cell.title} needs itself, by way of its needs; remove one of them")
            stack += reversed(above)
            continue
        stack.pop()
        if not placed[id(cell)]:
            placed[id(cell)] = True
            before = ordered.setdefault(cell.title, cell)
            if before is not cell and _identity(before) != _identity(cell):
                raise StudyError(f"two cells have the name {cell.title!r}; give one of them another name=")
    return list(ordered.values())


def _identity(cell: Cell) -> tuple[object, ...]:
    """What two cells of one name must share."""
    needs = {name: needed.title for name, needed in cell.needs.items()}
    return cell.steps, repr(dict(cell.parameters)), cell.replicates, needs, cell.skip, cell.seed_name


def _names(function: Callable[..., object]) -> set[str]:
    kinds = inspect.signature(function).parameters.values()
    return {"**" if p.kind is p.VAR_KEYWORD else p.name for p in kinds}


def _name_of(function: Callable[..., object]) -> str:
    inner = getattr(function, "func", function)  # functools.partial
    return str(getattr(inner, "__name__", type(inner).__name__))


def _short(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def source_file(study: Study) -> Path | None:
    """The file that the study was loaded from or is written in; None in an interactive session."""
    if study.path is not None:
        return study.path
    try:
        path = Path(inspect.getfile(study.cells))
    except (TypeError, OSError):
        return None
    return path if path.is_file() else None
