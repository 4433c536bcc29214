"""Any run of rows of a data set: who is asked, which menus, which answers, by whichever path was chosen.

Rows are numbered annotator by annotator. What is drawn for a row depends on its number alone, so that runs may be cut
anywhere (chunks, threads, shards) and put together again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from annosim.compiled import threads
from annosim.designs.design import Design
from annosim.populations.base import Population
from annosim.populations.random_tastes import RandomTastes
from annosim.random import check_seed
from annosim.rules.base import View
from annosim.simulation import memory, reference
from annosim.simulation.dispatch import choose
from annosim.simulation.paths import AnswerSampler, Path, PathName, RunSampler

__all__ = ["Block", "RowSampler"]

#: Rows that one task of a thread fills: enough that handing them out costs nothing, few enough for the last cache.
CHUNK = 1 << 18
_GROUP = 64


@dataclass(eq=False)
class Block:
    """Columns of a run of rows.

    Attributes:
        menu: ``(rows, k)`` int32.
        answer: ``(rows,)`` or ``(rows, width)`` int8.
        tied: ``(rows, k - 1)`` bool, or ``None``.
        type: hidden types of the run's annotators.
    """

    menu: np.ndarray
    answer: np.ndarray
    tied: np.ndarray | None
    type: np.ndarray


class RowSampler:
    """Draws any annotators' rows of one replicate.

    Args:
        population, design: what is drawn.
        seed: 0 .. 2**64 - 1.
        path: ``"auto"``, ``"numba"`` or ``"reference"``.
        threads: of compiled kernels; see :func:`annosim.compiled.threads.count`.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> rows = RowSampler(people, an.Design(an.Items(n=2), annotators=100), seed=0)
        >>> bool((rows.draw(0, 100, 0).menu[64:] == rows.draw(64, 100, 0).menu).all())
        True
    """

    def __init__(
        self, population: Population, design: Design, seed: int, path: PathName = "auto", threads: int | None = None
    ):
        self.population, self.design, self.seed = population, design, check_seed(seed)
        self.threads = threads
        components = population.components()
        self.num_components = len(components)
        self.ties = any(component.rule.ties for component in components)
        self.plain = not any(isinstance(component, RandomTastes) for component in components)
        self.memory = any(component.rule.memory for component in components)
        self.width = design.feedback.width(design.menu_size, self.ties)
        self.flat = design.feedback.kind == "choice" and self.width == 1
        self.path: Path = choose(population, design, seed, path)
        self.starts = None if design.loads is None else np.r_[0, np.cumsum(design.loads)]

    # ---- layout ----------------------------------------------------------------------------------------------------

    def row_of(self, annotator: int) -> int:
        """Number of an annotator's first row."""
        return int(annotator * self.design.num_questions if self.starts is None else self.starts[annotator])

    def layout(self, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
        """Annotator and place in the annotator's sequence of the rows ``low .. high - 1``."""
        row = np.arange(low, high)
        if self.starts is None:
            return row // self.design.num_questions, row % self.design.num_questions
        annotator = np.searchsorted(self.starts, row, side="right") - 1
        return annotator, row - self.starts[annotator]

    def empty(self, rows: int, lead: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Unfilled menu, answer and tied arrays with leading axes ``lead``."""
        k = self.design.menu_size
        menu = memory.empty((*lead, rows, k), np.int32)
        answer = memory.empty((*lead, rows) if self.flat else (*lead, rows, self.width), np.int8)
        return menu, answer, np.zeros((*lead, rows, k - 1), dtype=bool) if self.ties else None

    # ---- drawing ---------------------------------------------------------------------------------------------------

    def draw(self, first: int, last: int, replicate: int) -> Block:
        """Everything that the annotators ``first .. last - 1`` say."""
        menu, answer, tied = self.empty(self.row_of(last) - self.row_of(first))
        types = self.types(first, last, replicate)
        self.fill(menu, answer, tied, types, first, last, replicate)
        return Block(menu, answer, tied, types)

    def types(self, first: int, last: int, replicate: int) -> np.ndarray:
        """Hidden types of the annotators ``first .. last - 1``."""
        dtype = np.int8 if self.num_components <= 127 else np.int32
        if self.num_components == 1:
            return np.zeros(last - first, dtype=dtype)  # pages of zeros cost nothing until they are read
        if self.path.types is None:
            return reference.types(self.population, self.seed, np.arange(first, last), replicate)
        out = np.empty(last - first, dtype=dtype)
        sampler = self.path.types
        self._spread(lambda a, b: _aligned(sampler, out[a:b], first + a, replicate), last - first)
        return out

    def fill(
        self,
        menu: np.ndarray,
        answer: np.ndarray,
        tied: np.ndarray | None,
        types: np.ndarray,
        first: int,
        last: int,
        replicate: int,
    ) -> None:
        """Fill the columns of the annotators ``first .. last - 1``, whose hidden types are ``types``."""
        if self.memory:
            self._fill_with_memory(menu, answer, tied, types, first, last, replicate)
            return
        start = self.row_of(first)

        def task(a: int, b: int) -> None:
            part = None if tied is None else tied[a:b]
            self._fill_rows(menu[a:b], answer[a:b], part, start + a, start + b, types, first, replicate)

        with torch.no_grad():
            self._spread(task, len(menu))

    def covariates(self, first: int, last: int, replicate: int) -> dict[str, np.ndarray]:
        """What the questions of the annotators ``first .. last - 1`` show beside their items, each ``(rows, k)``."""
        if not self.design.covariates:
            return {}
        annotator, order = self.layout(self.row_of(first), self.row_of(last))
        found = reference.covariates(self.design, self.seed, replicate, annotator, order)
        return {name: value.numpy() for name, value in found.items()}

    def columns(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Columns ``annotator`` and ``order``, ``(rows,)`` int32; ``None`` when every row is its own annotator's."""
        if self.design.num_questions == 1 and self.starts is None:
            return None, None
        rows = self.design.num_rows
        annotator, order = memory.empty((rows,), np.int32), memory.empty((rows,), np.int32)

        def task(a: int, b: int) -> None:
            if self.starts is None and self.path.number_rows is not None and self.path.answers is not None:
                self.path.number_rows(annotator[a:b], order[a:b], a, self.design.num_questions)
            else:
                annotator[a:b], order[a:b] = self.layout(a, b)

        self._spread(task, rows)
        return annotator, order

    def _spread(self, task: Callable[[int, int], None], rows: int) -> None:
        size = CHUNK
        if self.path.answers is None and not self.plain:  # a reference with tastes holds (annotators, items)
            size = max(1 << 10, min(CHUNK, (1 << 23) // self.design.items.n))
        cuts = [*range(0, rows, size), rows]
        workers = threads.count(self.threads) if self.path.answers is not None else 1
        threads.run(lambda i: task(cuts[i], cuts[i + 1]), range(len(cuts) - 1), workers)

    def _fill_rows(
        self,
        menu: np.ndarray,
        answer: np.ndarray,
        tied: np.ndarray | None,
        low: int,
        high: int,
        types: np.ndarray,
        first: int,
        replicate: int,
    ) -> None:
        if self.path.menus is not None and self._own_menus:
            _aligned(self.path.menus, menu, low, replicate)
        else:
            menu[:] = self._other_menus(*self.layout(low, high), replicate)
        if self.path.answers is None:
            layout = self.layout(low, high)
            row = np.arange(low, high)
            self._refer(menu, answer, tied, row, layout, types[layout[0] - first], replicate)
            return
        of_row = self._types_of_rows(types, first, low, high)
        if low % _GROUP == 0:
            self.path.answers(menu, of_row, answer, tied, low, replicate)
        else:
            self._answers_unaligned(self.path.answers, menu, of_row, answer, tied, low, replicate)

    def _types_of_rows(self, types: np.ndarray, first: int, low: int, high: int) -> np.ndarray | None:
        if self.num_components == 1:
            return None
        if self.starts is not None:
            return types[self.layout(low, high)[0] - first]
        if self.design.num_questions == 1:
            return types[low - first : high - first]
        spread = self.path.row_types or reference.row_types
        return spread(types, first, low, high, self.design.num_questions)

    @property
    def _own_menus(self) -> bool:
        """Every row has its own menu, drawn at its own number."""
        return self.design.overlap == 1 and self.design.questions != "all"

    def _other_menus(self, annotator: np.ndarray, order: np.ndarray, replicate: int) -> np.ndarray:
        """Menus that are shared by annotators, listed in order, or drawn by the reference."""
        design = self.design
        if design.questions == "all" or self.path.menus is None:
            return reference.menus(design, self.seed, replicate, annotator, order).numpy()
        entity = reference.question_entity(design, annotator, order)
        low = int(entity.min()) // _GROUP * _GROUP
        drawn = np.empty((int(entity.max()) + 1 - low, design.menu_size), dtype=np.int32)
        self.path.menus(drawn, low, replicate)
        return drawn[entity - low]

    def _refer(
        self,
        menu: np.ndarray,
        answer: np.ndarray,
        tied: np.ndarray | None,
        row: np.ndarray,
        layout: tuple[np.ndarray, np.ndarray],
        of_row: np.ndarray,
        replicate: int,
        previous: torch.Tensor | None = None,
    ) -> None:
        annotator, order = layout
        view = View(
            items=self.design.items,
            menu=torch.as_tensor(menu, dtype=torch.long),
            feedback=self.design.feedback,
            order=torch.as_tensor(order),
            previous=previous,
            annotator=torch.as_tensor(annotator),
            covariates=reference.covariates(self.design, self.seed, replicate, annotator, order),
        )
        given, marks = reference.answers(
            self.population, view, self.seed, replicate, row, of_row, self.width, self.ties
        )
        answer[:] = given[:, 0] if self.flat else given
        if tied is not None and marks is not None:
            tied[:] = marks

    @staticmethod
    def _answers_unaligned(
        sampler: AnswerSampler,
        menu: np.ndarray,
        of_row: np.ndarray | None,
        answer: np.ndarray,
        tied: np.ndarray | None,
        low: int,
        replicate: int,
    ) -> None:
        """The compiled answers need a first row that is a multiple of 64: walk a copy that begins at one."""
        skip = low % _GROUP
        pad = lambda x: np.concatenate([np.repeat(x[:1], skip, 0), x])  # noqa: E731
        out, marks = pad(answer), None if tied is None else pad(tied)
        sampler(pad(menu), None if of_row is None else pad(of_row), out, marks, low - skip, replicate)
        answer[:] = out[skip:]
        if tied is not None and marks is not None:
            tied[:] = marks[skip:]

    def _fill_with_memory(
        self,
        menu: np.ndarray,
        answer: np.ndarray,
        tied: np.ndarray | None,
        types: np.ndarray,
        first: int,
        last: int,
        replicate: int,
    ) -> None:
        """Rules with memory: all annotators' first questions, then their second, and so on."""
        start = self.row_of(first)
        annotator, order = self.layout(start, start + len(menu))
        previous = torch.full((last - first, self.width), -1, dtype=torch.long)
        with torch.no_grad():
            for j in range(int(order.max()) + 1):
                now = np.flatnonzero(order == j)
                who = annotator[now] - first
                asked = reference.menus(self.design, self.seed, replicate, annotator[now], order[now]).numpy()
                menu[now] = asked
                given = np.empty((len(now),) if self.flat else (len(now), self.width), dtype=np.int8)
                marks = None if tied is None else np.empty((len(now), self.design.menu_size - 1), dtype=bool)
                self._refer(
                    asked, given, marks, start + now, (annotator[now], order[now]), types[who], replicate, previous[who]
                )
                answer[now] = given
                if tied is not None and marks is not None:
                    tied[now] = marks
                previous[who] = torch.as_tensor(given, dtype=torch.long).reshape(len(now), self.width)


def _aligned(fill: RunSampler, out: np.ndarray, start: int, replicate: int) -> None:
    """Fill from any first entity: kernels begin at multiples of 64."""
    skip = start % _GROUP
    if skip == 0:
        fill(out, start, replicate)
        return
    longer = np.empty((len(out) + skip, *out.shape[1:]), dtype=out.dtype)
    fill(longer, start - skip, replicate)
    out[:] = longer[skip:]
