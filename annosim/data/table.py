"""The columns of preference data, validated once, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from annosim.data.covariates import as_covariates
from annosim.data.validation import as_array, as_names, check_shapes, check_values
from annosim.errors import DataError
from annosim.feedback import Feedback
from annosim.items import Items
from annosim.rules.base import Answer, View

__all__ = ["AnswerTable"]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class AnswerTable:
    """The columns of :class:`~annosim.PreferenceData` (which describes them), their sizes and their tensors."""

    items: Items
    menu: NDArray[np.integer]
    answer: NDArray[np.integer]
    feedback: Feedback = Feedback()
    tied: NDArray[np.bool_] | None = None
    annotator: NDArray[np.int32] | None = None
    prompt: NDArray[np.int32] | None = None
    order: NDArray[np.int32] | None = None
    weight: NDArray[np.float64] | None = None
    annotator_names: NDArray[np.object_] | None = None
    prompt_names: NDArray[np.object_] | None = None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    truth: Mapping[str, np.ndarray] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    covariates: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __init__(
        self,
        items: Items,
        menu: ArrayLike,
        answer: ArrayLike,
        feedback: str | Feedback = "choice",
        tied: ArrayLike | None = None,
        annotator: ArrayLike | None = None,
        prompt: ArrayLike | None = None,
        order: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        annotator_names: Sequence[object] | NDArray[np.object_] | None = None,
        prompt_names: Sequence[object] | NDArray[np.object_] | None = None,
        columns: Mapping[str, ArrayLike] | None = None,
        truth: Mapping[str, ArrayLike] | None = None,
        settings: Mapping[str, object] | None = None,
        covariates: Mapping[str, ArrayLike] | None = None,
    ):
        if not isinstance(items, Items):
            raise DataError(f"PreferenceData(items=): an.Items, not {type(items).__name__}")
        menu = as_array("menu", menu, np.int32)
        if menu.ndim not in (2, 3):
            raise DataError(f"menu: shape {tuple(menu.shape)}, expected (rows, k), or (R, rows, k) with replicates")
        if menu.shape[-2] == 0:
            raise DataError("the data have no rows; check the file or the filter that was applied")
        answer = as_array("answer", answer, np.int8 if menu.shape[-1] <= 128 else np.int16)
        feedback = feedback if isinstance(feedback, Feedback) else _feedback(feedback, answer)
        integers = {"annotator": annotator, "prompt": prompt, "order": order}
        self._set(
            items=items,
            menu=menu,
            answer=answer,
            feedback=feedback,
            tied=None if tied is None else as_array("tied", tied, np.bool_),
            **{name: None if v is None else as_array(name, v, np.int32) for name, v in integers.items()},
            weight=None if weight is None else as_array("weight", weight, np.float64),
            annotator_names=as_names("annotator_names", annotator_names),
            prompt_names=as_names("prompt_names", prompt_names),
            columns=dict(columns or {}),
            truth=dict(truth or {}),
            settings=dict(settings or {}),
            covariates=as_covariates(covariates or {}, menu),
        )
        check_shapes(self)
        self._set(columns={name: np.asarray(value) for name, value in self.columns.items()})
        check_values(self)

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def _from_validated(cls, **columns: object) -> Self:
        """Data whose arrays already have the dtypes and values of the encoding: no pass over them is made.

        For code that has just drawn them (validation costs several times the drawing).
        """
        data = object.__new__(cls)
        for one in fields(cls):
            default = one.default_factory() if one.default_factory is not MISSING else one.default
            data._set(**{one.name: columns.get(one.name, default)})
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
    def annotator_ids(self) -> NDArray[np.int32]:
        """``(rows,)`` annotator of each row; row indices if no annotator ids were given."""
        return np.arange(self.rows, dtype=np.int32) if self.annotator is None else self.annotator

    @property
    def num_annotators(self) -> int:
        """Number of annotators (largest id + 1)."""
        return self.rows if self.annotator is None else int(self.annotator.max()) + 1

    @property
    def annotator_weight(self) -> NDArray[np.float64]:
        """``(annotators,)`` weight of each annotator's block; ones by default."""
        weight = np.ones(self.num_annotators)
        if self.weight is not None:
            weight[self.annotator_ids] = self.weight
        return weight

    @property
    def row_weight(self) -> NDArray[np.float64]:
        """``(rows,)`` weight of each row's annotator; ones by default."""
        return np.ones(self.rows) if self.weight is None else self.weight

    @property
    def skipped(self) -> NDArray[np.bool_]:
        """``(..., rows)`` bool: the annotator declined to answer."""
        blank = self.answer < 0
        return blank if self.answer.ndim == self.menu.ndim - 1 else blank.all(-1)  # type: ignore[return-value]

    @property
    def largest_tie(self) -> int:
        """How many alternatives the largest tied group of an answer has; 1 where nothing is tied."""
        if self.tied is None:
            return 1
        run = longest = np.zeros(self.tied.shape[:-1], dtype=np.int64)
        for place in np.moveaxis(np.asarray(self.tied), -1, 0):
            run = (run + 1) * place
            longest = np.maximum(longest, run)
        return 1 + int(longest.max(initial=0))

    @property
    def has_ties(self) -> bool:
        """Whether any answer is tied."""
        return self.tied is not None and bool(self.tied.any())

    def share_of(self, rows: NDArray[np.bool_]) -> tuple[float, float]:
        """Weight of some answers ``(..., rows)``, and of all of them: rows that stand for many count as many.

        Example:
            >>> import annosim as an
            >>> votes = an.PreferenceData(an.Items(n=2), [[0, 1]] * 2, answer=[0, -1], weight=[3.0, 1.0])
            >>> votes.share_of(votes.skipped)
            (1.0, 4.0)
        """
        weight = np.broadcast_to(self.row_weight, rows.shape)
        return float(weight[rows].sum()), float(weight.sum())

    @property
    def sequence(self) -> NDArray[np.int32]:
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

    # ---- towards rules ---------------------------------------------------------------------------------------------

    def view(self, device: str | torch.device = "cpu") -> View:
        """What the annotators saw, as tensors."""
        return View(
            items=self.items,
            menu=_long(self.menu, device),
            feedback=self.feedback,
            order=_long(self.sequence, device),
            annotator=_long(self.annotator_ids, device),
            prompt=None if self.prompt is None else _long(self.prompt, device),
            covariates={name: torch.as_tensor(value, device=device) for name, value in self.covariates.items()},
        )

    def answers(self, device: str | torch.device = "cpu") -> Answer:
        """The answers, as tensors; a plain choice gets a trailing axis of one."""
        position = _long(self.answer, device)
        if position.ndim == self.menu.ndim - 1:
            position = position.unsqueeze(-1)
        return Answer(position, None if self.tied is None else torch.as_tensor(self.tied, device=device))

    def __repr__(self) -> str:
        extra = f", replicates={self.replicates}" if self.replicates is not None else ""
        extra += ", ties" if self.has_ties else ""
        extra += f", covariates {', '.join(self.covariates)}" if self.covariates else ""
        return (
            f"{type(self).__name__}({self.rows} rows, {self.feedback.kind} from menus of {self.menu_size}, "
            f"{self.num_annotators} annotators, {self.items.n} items{extra})"
        )


def _feedback(kind: str, answer: np.ndarray) -> Feedback:
    """A kind with the depth or the grades that the answers use."""
    some = answer.ndim > 0 and answer.size > 0
    if kind == "top":
        return Feedback(kind, depth=max(int((answer >= 0).sum(-1).max()) if some else 1, 1))
    if kind == "rating":
        return Feedback(kind, grades=max(int(answer.max()) + 1 if some else 2, 2))
    return Feedback(kind)


def _long(values: np.ndarray, device: str | torch.device) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.long, device=device)
