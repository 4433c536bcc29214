"""PreferenceData: what people said, in columns; answers in display positions (see :mod:`annosim.feedback`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annosim.data.validate import ROW_COLUMNS, as_array, check_shapes, check_values
from annosim.errors import ArgumentError, DataError
from annosim.feedback import Feedback
from annosim.items import Items
from annosim.rules.base import Answer, View

if TYPE_CHECKING:
    import os

    import pandas as pd

__all__ = ["PreferenceData"]


@dataclass(frozen=True, eq=False)
class PreferenceData:
    """Answers to questions, one row each.

    Args:
        items: the item set.
        menu: ``(rows, k)`` ints, item ids in display order, -1 pads. With replicates ``(R, rows, k)``.
        answer: display positions: choice ``(rows,)``; ranking and top ``(rows, k)``, best first; best-worst
            ``(rows, 2)``; rating ``(rows, k)`` grades. -1 throughout is a skip. A choice among data with ties is
            ``(rows, k)``: the winners first.
        feedback: kind, or a :class:`~annosim.feedback.Feedback`.
        tied: ``(rows, k - 1)`` bool: the j-th and (j+1)-th of the order are tied; ``None`` when nothing is.
        annotator: ``(rows,)`` ints; every row its own annotator by default.
        prompt: ``(rows,)`` ints, the context of the question.
        order: ``(rows,)`` ints, place in the annotator's own sequence; counted in row order by default.
        weight: ``(rows,)`` nonnegative floats; it belongs to the **annotator** and is constant within one.
        annotator_names: names of the annotators, indexed by ``annotator``.
        prompt_names: names (or texts) of the prompts, indexed by ``prompt``.
        columns: further named columns of length ``rows``.
        truth: what the simulation knows and a learner must not (hidden types); see :meth:`for_learner`.
        settings: where the data come from.

    Raises:
        DataError: no rows, an item id, position or grade out of range, lengths that differ, a weight that changes
            within an annotator. The first offending row is named.

    Example:
        >>> data = PreferenceData(Items(names=["tea", "coffee"]), menu=[[0, 1], [1, 0]], answer=[0, 0])
        >>> data.rows, data.num_annotators
        (2, 2)
    """

    items: Items
    menu: Any
    answer: Any
    feedback: Any = "choice"
    tied: Any = None
    annotator: Any = None
    prompt: Any = None
    order: Any = None
    weight: Any = None
    annotator_names: Any = None
    prompt_names: Any = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        menu = as_array("menu", self.menu, np.int32)
        if menu.ndim not in (2, 3):
            raise DataError(f"menu: shape {tuple(menu.shape)}, expected (rows, k), or (R, rows, k) with replicates")
        if menu.shape[-2] == 0:
            raise DataError("the data have no rows; check the file or the filter that was applied")
        put("menu", menu)
        answer = as_array("answer", self.answer, np.int8 if menu.shape[-1] <= 128 else np.int16)
        if not isinstance(self.feedback, Feedback):
            some = answer.ndim > 0 and answer.size > 0
            depth = max(int((answer >= 0).sum(-1).max()) if some else 1, 1) if self.feedback == "top" else None
            grades = (int(answer.max()) + 1 if some else 2) if self.feedback == "rating" else None
            put("feedback", Feedback(self.feedback, depth, None if grades is None else max(grades, 2)))
        put("answer", answer)
        put("tied", None if self.tied is None else as_array("tied", self.tied, np.bool_))
        for name, dtype in zip(ROW_COLUMNS, (np.int32, np.int32, np.int32, np.float64), strict=True):
            value = getattr(self, name)
            put(name, None if value is None else as_array(name, value, dtype))
        check_shapes(self)
        check_values(self)

    @classmethod
    def _trusted(cls, **columns: Any) -> PreferenceData:
        """Data whose arrays already have the dtypes and values of the encoding: no pass over them is made.

        For code that has just drawn them (validation costs several times the drawing).
        """
        from dataclasses import MISSING, fields

        data = object.__new__(cls)
        for one in fields(cls):
            default = one.default_factory() if one.default_factory is not MISSING else one.default
            object.__setattr__(data, one.name, columns.get(one.name, default))
        return data

    # ---- sizes -----------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> int:
        """Rows (of one replicate)."""
        return int(self.menu.shape[-2])

    def __len__(self) -> int:
        return self.rows

    @property
    def menu_size(self) -> int:
        """Places on a menu, pads included."""
        return int(self.menu.shape[-1])

    @property
    def replicates(self) -> int | None:
        """Number of replicates, or ``None`` for plain data."""
        return int(self.menu.shape[0]) if self.menu.ndim == 3 else None

    @property
    def annotator_ids(self) -> np.ndarray:
        """``(rows,)`` annotator of each row; row numbers when nobody is named."""
        return np.arange(self.rows, dtype=np.int32) if self.annotator is None else self.annotator

    @property
    def num_annotators(self) -> int:
        """Number of annotators (largest id + 1)."""
        return self.rows if self.annotator is None else int(self.annotator.max()) + 1

    @property
    def annotator_weight(self) -> np.ndarray:
        """``(annotators,)`` weight of each annotator's block; ones by default."""
        weight = np.ones(self.num_annotators)
        if self.weight is not None:
            weight[self.annotator_ids] = self.weight
        return weight

    @property
    def row_weight(self) -> np.ndarray:
        """``(rows,)`` weight of each row's annotator; ones by default."""
        return np.ones(self.rows) if self.weight is None else self.weight

    @property
    def skipped(self) -> np.ndarray:
        """``(..., rows)`` bool: the annotator declined to answer."""
        return self.answer < 0 if self.answer.ndim == self.menu.ndim - 1 else (self.answer < 0).all(-1)

    @property
    def has_ties(self) -> bool:
        """Whether any answer is tied."""
        return self.tied is not None and bool(self.tied.any())

    @property
    def sequence(self) -> np.ndarray:
        """``(rows,)`` place of each row in its annotator's sequence: ``order``, or counted in row order."""
        if self.order is not None:
            return self.order
        if self.annotator is None:
            return np.zeros(self.rows, dtype=np.int32)
        by = np.argsort(self.annotator, kind="stable")
        sorted_ids = self.annotator[by]
        start = np.r_[0, np.flatnonzero(np.diff(sorted_ids)) + 1]
        place = np.arange(self.rows) - np.repeat(start, np.diff(np.r_[start, self.rows]))
        out = np.empty(self.rows, dtype=np.int32)
        out[by] = place
        return out

    # ---- selections ------------------------------------------------------------------------------------------------

    def __getitem__(self, replicate: int) -> PreferenceData:
        """One replicate."""
        if self.replicates is None:
            raise ArgumentError("these data have no replicates; data[r] reads replicate r, data.take(rows) takes rows")
        if not -self.replicates <= replicate < self.replicates:
            raise ArgumentError(f"data[{replicate}]: the replicates are 0..{self.replicates - 1}")
        pick = lambda v: v[replicate] if v is not None and v.ndim == self.menu[..., 0].ndim else v  # noqa: E731
        truth = {k: (v[replicate] if getattr(v, "ndim", 0) > 1 else v) for k, v in self.truth.items()}
        return replace(
            self,
            menu=self.menu[replicate],
            answer=self.answer[replicate],
            tied=None if self.tied is None else self.tied[replicate],
            truth=truth,
            settings={**self.settings, "replicate": replicate},
            **{name: pick(getattr(self, name)) for name in ROW_COLUMNS},
        )

    def take(self, rows: Any) -> PreferenceData:
        """Some rows (indices or a mask), annotator numbers kept (:meth:`compact` renumbers them).

        Raises:
            ArgumentError: row numbers that do not exist, a mask of another length, or data with replicates.
        """
        if self.replicates is not None:
            raise ArgumentError("take: these data have replicates; take rows of one of them: data[r].take(rows)")
        try:
            rows = np.arange(self.rows)[rows]
        except IndexError as error:
            raise ArgumentError(f"take: {error}; row numbers are 0..{self.rows - 1}, a mask has {self.rows}") from None
        at = lambda v: None if v is None else v[rows]  # noqa: E731
        return replace(
            self,
            menu=self.menu[rows],
            answer=self.answer[rows],
            tied=at(self.tied),
            columns={name: np.asarray(value)[rows] for name, value in self.columns.items()},
            **{  # type: ignore[arg-type]
                name: at(self.sequence if name == "order" and self.annotator is not None else getattr(self, name))
                for name in ROW_COLUMNS
            },
        )

    def for_learner(self) -> PreferenceData:
        """The same data without the hidden truth."""
        return replace(self, truth={})

    def ties(self, how: str = "half") -> PreferenceData:
        """The data without ties: each tied pair counts as half a win for either side.

        A weight belongs to an annotator, so an annotator with ties becomes two half annotators: in the first every
        tied pair is won by the one displayed first, in the second by the other. A data set without annotator ids
        simply gets two rows of half the weight for each tied row. In rankings the second copy reverses every tied
        group, so that each tied pair is ordered each way by half the weight; in choices between more than two, and in
        ``top`` answers whose last group runs over the depth, there are as many copies as give each member an equal
        share. The total weight, and the log-likelihood of a model without types, are those of the usual half wins.

        Args:
            how: ``"half"``.

        Returns:
            Data without ties, rows sorted by annotator. ``columns["voter"]`` and ``columns["vote"]`` are the original
            annotator and row: the copies of one are not independent (robust standard errors add their scores first).

        Raises:
            TooLargeError: one annotator's groups need more than 720 copies.

        Example:
            >>> import annosim as an
            >>> tied = an.PreferenceData(an.Items(n=2), [[0, 1]], answer=[[0, 1]], tied=[[True]])
            >>> half = tied.ties("half")
            >>> half.answer.tolist(), half.weight.tolist()
            ([0, 1], [0.5, 0.5])
        """
        from annosim.data.reshape import break_ties

        return break_ties(self, how)

    def counts(self, by: str = "annotator", ordered: bool = False, columns: Sequence[str] = ()) -> PreferenceData:
        """Sufficient statistics: annotators with equal blocks of answers become one whose weight is their total.

        A block is the annotator's multiset of rows (menu in display order, answer, ties, prompt, and the ``columns``
        that are named); other columns, names and hidden truth do not survive. Classes stand in the order of their
        first annotator.

        Args:
            by: ``"annotator"``, or ``"row"`` for models in which it does not matter who answered (then every distinct
                row is an annotator of its own).
            ordered: blocks are sequences instead of multisets (for rules with memory, fatigue or drift).
            columns: named columns that belong to the key and are kept.

        Example:
            >>> import annosim as an
            >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, answer=[0, 1, 0])
            >>> data.counts().weight.tolist()
            [2.0, 1.0]
        """
        from annosim.data.counts import counts

        return counts(self, by, ordered, columns)

    def split(
        self, by: str = "annotator", fraction: float | Sequence[float] = 0.8, seed: int = 0
    ) -> tuple[PreferenceData, ...]:
        """Disjoint parts: all rows of an annotator, of a prompt, or single rows go together.

        Args:
            by: ``"annotator"``, ``"prompt"`` (``data.prompt``, else the items' prompts) or ``"row"``.
            fraction: share of the units in the first of two parts, or the shares of several parts.
            seed: the draw; each unit's number is an address, so that other columns change nothing.

        Returns:
            The parts, rows in their old order, annotators renumbered without gaps (:meth:`compact`).

        Raises:
            ArgumentError: an unknown unit, or shares that are not positive or do not sum to one.
            DataError: fewer units than parts.

        Example:
            >>> import annosim as an
            >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 10, answer=[0] * 10)
            >>> [part.rows for part in data.split(by="row", fraction=0.7, seed=0)]
            [7, 3]
        """
        from annosim.data.reshape import split

        return split(self, by, fraction, seed)

    def compact(self) -> PreferenceData:
        """Annotators renumbered 0, 1, ... without gaps (after :meth:`take`); names and hidden truth follow."""
        from annosim.data.reshape import compact

        return compact(self)

    def with_(self, **changes: Any) -> PreferenceData:
        """A copy with some columns replaced."""
        return replace(self, **changes)

    # ---- other forms -----------------------------------------------------------------------------------------------

    def equals(self, other: PreferenceData, truth: bool = False) -> bool:
        """Whether the two say the same: items, questions, answers, annotators, weights and named columns.

        Spellings that mean the same are equal (``tied`` without a tie and ``None``); settings are not compared, and
        hidden truth only on request.
        """
        from annosim.data.same import differences

        return not differences(self, other, truth)

    def to_frame(self, layout: str = "wide") -> pd.DataFrame:
        """A pandas frame that :meth:`from_frame` reads back without loss (hidden truth is never in it).

        Args:
            layout: ``"wide"``: a row per answer, with columns ``annotator, prompt, order, weight`` (where the data have
                them), ``item_0 ..``, ``answer`` or ``answer_0 ..`` (display positions), ``tied_0 ..`` and the named
                columns. ``"long"``: a row per answer and alternative shown, with ``row, position, item`` and
                ``answer``: 1 for the chosen and 0 elsewhere; ranks from 1 (tied alternatives share one, 0 is not
                ranked); 1 and -1 for best and worst; the grade; missing throughout for a skip.

        Example:
            >>> import annosim as an
            >>> data = an.PreferenceData(an.Items(names=["tea", "milk"]), [[1, 0]], answer=[0])
            >>> data.to_frame("long")[["item", "answer"]].values.tolist()
            [['milk', 1], ['tea', 0]]
        """
        from annosim.data.frames import to_frame

        return to_frame(self, layout)

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, items: Items | None = None, feedback: Any = None, menu_size: int | None = None
    ) -> PreferenceData:
        """Data from a frame of the layout that :meth:`to_frame` writes (wide or long, told by its columns).

        Args:
            frame: the frame. Text columns are coded in order of first appearance; categories keep their codes, and
                whole numbers are the numbers themselves (:meth:`compact` closes gaps).
            items: the item set; by default the names found, without features.
            feedback: kind of answer, where the frame does not remember it (``frame.attrs``); ``"choice"`` by default.
            menu_size: places on a menu, for long frames in which the last places are always empty.

        Raises:
            DataError: neither layout, blanks, unknown items, or values out of range; the row is named.
        """
        from annosim.data.frames import from_frame

        return from_frame(frame, items, feedback, menu_size)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """One parquet file with everything, hidden truth in its metadata; see :mod:`annosim.io.parquet`."""
        from annosim.io.parquet import write_parquet

        write_parquet(self, path)

    @classmethod
    def from_parquet(cls, path: str | os.PathLike[str]) -> PreferenceData:
        """Read a file that :meth:`to_parquet` wrote (memory-mapped), or all shards of a directory."""
        from annosim.io.shards import read_parquet

        return read_parquet(path)

    def to_trl(self, as_list: bool = False) -> Any:
        """The ``train_dataset`` of TRL's trainers, or its records as a list; see :func:`annosim.io.trl.to_trl`."""
        from annosim.io.trl import to_trl

        return to_trl(self, as_list)

    # ---- towards rules ---------------------------------------------------------------------------------------------

    def view(self, device: str | torch.device = "cpu") -> View:
        """What the annotators saw, as tensors."""
        put = lambda v: None if v is None else torch.as_tensor(np.asarray(v), dtype=torch.long, device=device)  # noqa: E731
        return View(
            items=self.items,
            menu=put(self.menu),  # type: ignore[arg-type]  # never None: only optional columns are
            feedback=self.feedback,
            order=put(self.sequence),
            annotator=put(self.annotator_ids),
            prompt=put(self.prompt),
        )

    def answers(self, device: str | torch.device = "cpu") -> Answer:
        """The answers, as tensors; a plain choice gets a trailing axis of one."""
        position = torch.as_tensor(np.asarray(self.answer), dtype=torch.long, device=device)
        if position.ndim == self.menu.ndim - 1:
            position = position.unsqueeze(-1)
        return Answer(position, None if self.tied is None else torch.as_tensor(self.tied, device=device))

    def __repr__(self) -> str:
        kind = self.feedback.kind
        extra = f", replicates={self.replicates}" if self.replicates is not None else ""
        extra += ", ties" if self.has_ties else ""
        return (
            f"PreferenceData({self.rows} rows, {kind} from menus of {self.menu_size}, "
            f"{self.num_annotators} annotators, {self.items.n} items{extra})"
        )
