"""PreferenceData: what people said, in columns; answers in display positions (see :mod:`annosim.feedback`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from annosim.data import writers
from annosim.data.asked import design_of
from annosim.data.counts import collapse
from annosim.data.covariates import CovariateNames, columns_to_covariates
from annosim.data.equality import differences
from annosim.data.splitting import compact, leave_one_out, split
from annosim.data.table import AnswerTable
from annosim.data.ties import break_ties
from annosim.data.validation import ROW_COLUMNS
from annosim.designs.design import Design
from annosim.errors import ArgumentError, told
from annosim.feedback import Feedback
from annosim.items import Items

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

__all__ = ["PreferenceData"]

Path = str | os.PathLike[str]


class PreferenceData(AnswerTable):
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
        annotator_names: names of the annotators, indexed by ``annotator`` (by row where there are no ids). Whole numbers
            are the ids in a larger data set, which :meth:`split`, :meth:`take` and :meth:`compact` keep: numbers that a
            model holds per person are looked up by them.
        prompt_names: names (or texts) of the prompts, indexed by ``prompt``.
        columns: further named columns of length ``rows``.
        truth: what the simulation knows and a learner must not (hidden types); see :meth:`for_learner`.
        settings: where the data come from.
        covariates: by name, ``(rows, k)``: a number of each alternative as it was shown in that row (its length, whether
            it played at home), zero at pads. They belong to the question, as the menu does; :class:`~annosim.rules.Covariates`
            reads them. Of pairs also ``(rows,)``, the first side's number less the second's.

    Raises:
        DataError: no rows, an item id, position or grade out of range, lengths that differ, a weight that changes
            within an annotator, a covariate that is missing somewhere. The first offending row is named.

    Example:
        >>> data = PreferenceData(Items(names=["tea", "coffee"]), menu=[[0, 1], [1, 0]], answer=[0, 0])
        >>> data.rows, data.num_annotators
        (2, 2)
    """

    # ---- selections ------------------------------------------------------------------------------------------------

    def __getitem__(self, replicate: int) -> PreferenceData:
        """One replicate."""
        if self.replicates is None:
            raise ArgumentError("these data have no replicates; data[r] reads replicate r, data.take(rows) takes rows")
        if not -self.replicates <= replicate < self.replicates:
            raise ArgumentError(f"data[{replicate}]: the replicates are 0..{self.replicates - 1}")

        def pick(column: np.ndarray | None) -> np.ndarray | None:
            return column[replicate] if column is not None and column.ndim == self.menu[..., 0].ndim else column

        columns: dict[str, Any] = {name: pick(getattr(self, name)) for name in ROW_COLUMNS}
        truth = {k: (v[replicate] if getattr(v, "ndim", 0) > 1 else v) for k, v in self.truth.items()}
        return self._from_validated(
            **{one.name: getattr(self, one.name) for one in fields(self)}
            | columns
            | {
                "menu": self.menu[replicate],
                "answer": self.answer[replicate],
                "tied": None if self.tied is None else self.tied[replicate],
                "truth": truth,
                "covariates": {n: v[replicate] if v.ndim == self.menu.ndim else v for n, v in self.covariates.items()},
                "settings": {**self.settings, "replicate": replicate},
            }
        )

    def take(self, rows: ArrayLike | slice) -> PreferenceData:
        """Some rows (indices, a mask or a slice); annotators keep their ids, or their old row number as name.

        Raises:
            ArgumentError: row numbers that do not exist, a mask of another length, or data with replicates.
        """
        if self.replicates is not None:
            raise ArgumentError("take: these data have replicates; take rows of one of them: data[r].take(rows)")
        try:
            picked = np.arange(self.rows)[rows if isinstance(rows, slice) else _indices(rows)]
        except IndexError as error:
            raise ArgumentError(f"take: {error}; row numbers are 0..{self.rows - 1}, a mask has {self.rows}") from None

        def at(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[picked]

        return replace(
            self,
            menu=self.menu[picked],
            answer=self.answer[picked],
            tied=at(self.tied),
            annotator=at(self.annotator),
            prompt=at(self.prompt),
            order=at(self.order) if self.annotator is None else self.sequence[picked],
            weight=at(self.weight),
            annotator_names=_names_of_rows(self, picked) if self.annotator is None else self.annotator_names,
            columns={name: value[picked] for name, value in self.columns.items()},
            covariates={name: value[picked] for name, value in self.covariates.items()},
        )

    def with_covariates(
        self, covariates: CovariateNames, *, relative: bool = False, standardise: bool = False
    ) -> PreferenceData:
        """Named columns made covariates of the question: what :class:`~annosim.rules.Covariates` reads.

        Args:
            covariates: names. ``"length"`` is the column of that name: one number a row is the first side's less the
                second's (true or false, as of who plays at home, is 1 or 0), one for each alternative is its own; where
                there is none, the two columns of the sides (``length_a`` and ``length_b``, ``left_length`` ...); or a
                feature by which choices in long or wide format tell items apart, whose items are then the alternatives
                themselves. A mapping says which columns: ``{"length": ("tokens_a", "tokens_b")}``. A record of numbers
                (how often each mark occurs) counts as their sum; two columns of words become an indicator for every
                word but the first, ``"language=de"``.
            relative: each alternative's share of its row's total, so that sides differ by ``(a - b) / (a + b)``.
            standardise: in units of the standard deviation of the differences to the first place.

        Returns:
            The data with these covariates beside those that they have; the columns stay.

        Raises:
            DataError: there is no such column, or it does not hold numbers (the first bad row is named).
            ArgumentError: the data have replicates, or no names are given.

        Example:
            >>> import annosim as an
            >>> votes = [{"left": "x", "right": "y", "winner": "left", "len_left": 90, "len_right": 40}]
            >>> an.io.read(votes).with_covariates(["len"]).covariates["len"].tolist()
            [[90.0, 40.0]]
        """
        return columns_to_covariates(self, covariates, relative, standardise)

    def for_learner(self) -> PreferenceData:
        """The same data without the hidden truth."""
        return self._from_validated(**{one.name: getattr(self, one.name) for one in fields(self)} | {"truth": {}})

    def design(self) -> Design:
        """What was asked, as a design: ``an.plan(fit, data.design())`` says what more of the same would tell.

        Its menus come as often as they were asked, its annotators answer as many questions as they did.

        Raises:
            ArgumentError: the data have replicates.

        Example:
            >>> import annosim as an
            >>> votes = an.PreferenceData(an.Items(n=3), [[0, 1], [1, 2]], answer=[0, 0], annotator=[0, 0])
            >>> votes.design()
            Design(Items(n=3), menus=2, feedback='choice', annotators=1, questions=2)
        """
        return design_of(self)

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
        return break_ties(self, how)

    def counts(self, by: str = "annotator", ordered: bool = False, columns: Sequence[str] = ()) -> PreferenceData:
        """Sufficient statistics: annotators with equal blocks of answers become one whose weight is their total.

        A block is the annotator's multiset of rows (menu in display order, answer, ties, prompt, covariates, and the
        ``columns`` that are named); other columns, names and hidden truth do not survive. Classes stand in the order of their
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
        return collapse(self, by, ordered, columns)

    def split(
        self, by: str = "annotator", fraction: float | Sequence[float] = 0.8, seed: int = 0
    ) -> tuple[PreferenceData, ...]:
        """Disjoint parts: all rows of an annotator, of a prompt, or single rows go together.

        Args:
            by: ``"annotator"``, ``"prompt"`` (``data.prompt``, else the items' prompts) or ``"row"``.
            fraction: share of the units in the first of two parts, or the shares of several parts.
            seed: the draw; each unit's number is an address, so that other columns change nothing.

        Returns:
            The parts, rows in their old order, annotators renumbered without gaps and known by their names or old ids (:meth:`compact`).

        Raises:
            ArgumentError: an unknown unit, or shares that are not positive or do not sum to one.
            DataError: fewer units than parts.

        Example:
            >>> import annosim as an
            >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 10, answer=[0] * 10)
            >>> [part.rows for part in data.split(by="row", fraction=0.7, seed=0)]
            [7, 3]
        """
        return split(self, by, fraction, seed)

    def leave_one_out(self, by: str = "prompt") -> Iterator[tuple[int, PreferenceData, PreferenceData]]:
        """Each annotator, prompt or row left out in turn: its number, the rest to learn from, and what was left out.

        Args:
            by: ``"annotator"``, ``"prompt"`` or ``"row"``, as in :meth:`split`.

        Raises:
            ArgumentError: an unknown unit.
            DataError: a single unit.

        Example:
            >>> import annosim as an
            >>> items = an.Items(n=4, prompts=[0, 0, 1, 1])
            >>> data = an.PreferenceData(items, [[0, 1], [0, 1], [2, 3]], answer=[0, 1, 0])
            >>> [(prompt, rest.rows, out.rows) for prompt, rest, out in data.leave_one_out()]
            [(0, 1, 2), (1, 2, 1)]
        """
        return leave_one_out(self, by)

    def compact(self) -> PreferenceData:
        """Annotators renumbered 0, 1, ... without gaps (after :meth:`take`); names (or old ids) and hidden truth follow."""
        return compact(self)

    def with_(self, **changes: object) -> PreferenceData:
        """A copy with some columns replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def equals(self, other: PreferenceData, truth: bool = False) -> bool:
        """Whether the two say the same: items, questions, answers, annotators, weights and named columns.

        Spellings that mean the same are equal (``tied`` without a tie and ``None``); settings are not compared, and
        hidden truth only on request.
        """
        return not differences(self, other, truth)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        items: Items | None = None,
        feedback: str | Feedback | None = None,
        menu_size: int | None = None,
    ) -> PreferenceData:
        """Data from a frame of the layout that :meth:`to_frame` writes (wide or long, told by its columns).

        Frames of other layouts are read by :mod:`annosim.io`: ``an.io.read_csv(frame)`` for votes on pairs,
        ``an.io.read_long(frame)`` for choices.

        Args:
            frame: the frame. Text columns are coded in order of first appearance; categories keep their codes, and
                whole numbers are the numbers themselves (:meth:`compact` closes gaps).
            items: the item set; by default the names found, without features.
            feedback: kind of answer, where the frame does not remember it (``frame.attrs``); ``"choice"`` by default.
            menu_size: places on a menu, for long frames in which the last places are always empty.

        Raises:
            DataError: neither layout, blanks, unknown items, or values out of range; the row is named.
        """
        from annosim.data.frames import parse_frame  # pandas takes a while to load

        return cls(**parse_frame(frame, items, feedback, menu_size))

    from_pandas = from_frame

    # ---- other forms: files are written whole or not at all --------------------------------------------------------

    def to_frame(self, layout: Literal["wide", "long"] = "wide") -> pd.DataFrame:
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
        return writers.preference_frame(self, layout)

    to_pandas = to_frame

    def to_csv(
        self,
        path: Path,
        layout: Literal["pairs", "wide", "long"] = "pairs",
        sep: str = ",",
        *,
        annotator: str = "annotator",
        left: str = "left",
        right: str = "right",
        winner: str = "winner",
        prompt: str = "prompt",
        weight: str = "weight",
        order: str = "order",
    ) -> None:
        """Write a CSV file.

        Args:
            path: the file; packed when its name ends in ``.gz``.
            layout: ``"pairs"``: a row per vote with the columns ``left``, ``right`` and ``winner`` (left, right, tie or
                skip) and ``annotator``, ``prompt``, ``weight``, ``order`` where the data have them;
                :func:`annosim.io.read_csv` reads it. ``"wide"`` or ``"long"``: the frame of :meth:`to_frame` with one
                more column ``feedback``, for every kind of answer; :func:`annosim.io.read_frame` reads it.
            sep: the separator of ``"pairs"``.
            annotator, left, right, winner, prompt, weight, order: names of the columns of ``"pairs"``.

        Raises:
            DataError: the layout is ``"pairs"`` and the data are not, or a named column has the name of another.
        """
        if layout == "pairs":
            frame = writers.pairs_frame(self, annotator, left, right, winner, prompt, weight, order)
            writers.write_csv(frame, path, sep)
        elif layout in ("wide", "long"):
            writers.write_frame(self, path, layout)
        else:
            raise ArgumentError(f"to_csv(layout={told(layout)}): pairs, wide or long")

    def to_parquet(self, path: Path) -> None:
        """One parquet file with everything; :func:`annosim.io.read_parquet` reads it. Hidden truth lies beside it.

        Raises:
            FileReadError: the place cannot be written.
            DataError: a named column or hidden truth that parquet cannot hold (mixed types).
        """
        writers.write_parquet(self, path)

    def to_arena(self, path: Path) -> None:
        """Write pairs as battles, ``model_a, model_b, winner`` (JSON, JSON lines, CSV or parquet, by extension).

        Raises:
            DataError: the data are not pairs, or hold skips, which the format has no word for.
        """
        writers.write_arena(self, path)

    @overload
    def to_choix(self, kind: Literal["top1"]) -> list[tuple[int, list[int]]]: ...
    @overload
    def to_choix(self, kind: Literal["pairs", "rankings"]) -> list[tuple[int, ...]]: ...
    @overload
    def to_choix(self, kind: None = None) -> list[tuple[int, ...]] | list[tuple[int, list[int]]]: ...
    def to_choix(
        self, kind: Literal["pairs", "rankings", "top1"] | None = None
    ) -> list[tuple[int, ...]] | list[tuple[int, list[int]]]:
        """choix's lists: ``choix.ilsr_pairwise(data.items.n, data.to_choix())``.

        Whole-number weights repeat their entries. ``kind`` is ``"pairs"`` for choices between two, ``"top1"`` for
        choices, ``"rankings"`` for full rankings, and by default whatever fits.

        Raises:
            TiesError: tied answers; break them with ``data.ties("half")`` and double the weights.
            DataError: skips, fractional weights, or another kind of answer.

        Example:
            >>> import annosim as an
            >>> an.io.read_choix([(0, 1), (2, 1)]).to_choix()
            [(0, 1), (2, 1)]
        """
        return writers.choix_lists(self, kind)

    def to_crowdkit(self, path: Path | None = None) -> pd.DataFrame:
        """A frame for ``crowdkit.aggregation.BradleyTerry().fit``: worker, left, right, label and the named columns.

        Args:
            path: also write it there as CSV.

        Raises:
            TiesError: tied answers (Crowd-Kit has none).
            DataError: the data are not pairs, or hold skips.
        """
        return _written(writers.crowdkit_frame(self), path)

    def to_evalica(self, path: Path | None = None) -> pd.DataFrame:
        """A frame for evalica: left, right, winner; annotators, prompts and weights become columns that it ignores.

        Args:
            path: also write it there, for the ``evalica`` command.

        Raises:
            DataError: the data are not pairs, hold skips (evalica would drop them) or weights (it takes none).
        """
        return _written(writers.evalica_frame(self), path)

    def to_long(self, path: Path | None = None) -> pd.DataFrame:
        """Choices in long format, under the column names that they came from (xlogit's by default).

        Args:
            path: also write it there as CSV; :func:`annosim.io.read_long` reads it.

        Raises:
            DataError: not choices, or ties or skips, which the format cannot hold.
        """
        return _written(writers.long_frame(self), path)

    def to_preflib(self, path: Path) -> None:
        """Write rankings or ``top`` answers as a PrefLib file.

        Data that :func:`annosim.io.read_preflib` read come back byte for byte (a tied group with its numbers
        ascending). Other data get a fresh header; the extension says what is allowed (``.soc`` no ties, complete lists,
        and so on).

        Raises:
            DataError: another kind of answer, skips, a fractional weight, or orders that the extension does not allow.
            FileReadError: another extension, or a place that cannot be written.
        """
        writers.write_preflib(self, path)

    def to_scottish(self, path: Path) -> None:
        """Write ballots of a council ward. What :func:`annosim.io.read_scottish` read comes back byte for byte.

        Raises:
            DataError: ties, skips, fractional weights, or answers that are not rankings or ``top``.
        """
        writers.write_scottish(self, path)

    @overload
    def to_trl(self, path: None = None, *, as_list: Literal[True]) -> list[dict[str, object]]: ...
    @overload
    def to_trl(self, path: None = None, *, as_list: bool = False) -> Dataset | list[dict[str, object]]: ...
    @overload
    def to_trl(self, path: Path, *, as_list: bool = False) -> None: ...
    def to_trl(self, path: Path | None = None, *, as_list: bool = False) -> Dataset | list[dict[str, object]] | None:
        """What TRL's trainers take as ``train_dataset``: paired for choices between two, unpaired (KTO) for thumbs.

        Thumbs are ratings with two grades of menus of one. Annotator ids, weights, prompts and named columns
        (``margin``) are extra fields. The text of an item is ``items.texts``, or its name where there are none; the
        prompt is the row's, or the items' own. ``chosen_position`` records what stood where, when the chosen was not
        always first.

        Args:
            path: write the records there (``.jsonl``, ``.json``, ``.csv`` or ``.parquet``) and return nothing.
            as_list: return the records as a list of dicts.

        Returns:
            a ``datasets.Dataset``; a list of dicts with ``as_list``, or where ``datasets`` is not installed (it comes
            with TRL, and with ``pip install annosim[hf]``).

        Raises:
            TiesError: tied answers, which TRL cannot hold; ``data.ties("half")`` breaks them.
            DataError: skips, or another kind of answer; a column of mixed kinds, which a ``Dataset`` cannot hold.

        Example:
            >>> import annosim as an
            >>> items = an.Items(texts=["4", "5"])
            >>> data = an.PreferenceData(items, [[0, 1]], answer=[0], prompt=[0], prompt_names=["2+2?"])
            >>> data.to_trl(as_list=True)
            [{'prompt': '2+2?', 'chosen': '4', 'rejected': '5'}]
        """
        if path is None:
            return writers.trl_dataset(self, as_list)
        writers.write_trl(self, path)
        return None


def _written(frame: pd.DataFrame, path: Path | None) -> pd.DataFrame:
    if path is not None:
        writers.write_csv(frame, path)
    return frame


def _indices(rows: ArrayLike) -> np.ndarray:
    """Row numbers or a mask; an empty list picks nothing."""
    picked = np.asarray(rows)
    return picked if picked.size else picked.astype(np.int64)


def _names_of_rows(data: PreferenceData, rows: np.ndarray) -> np.ndarray | None:
    """Who answered some rows of data without annotator ids: names, or row numbers in the larger data set."""
    if data.annotator_names is not None:
        return data.annotator_names[rows]
    return None if np.array_equal(rows, np.arange(len(rows))) else rows
