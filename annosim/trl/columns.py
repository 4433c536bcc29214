"""Columns of a dataset beside the texts: who answered, margins, and soft labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.errors import ArgumentError, DataError
from annosim.extras import library

__all__ = ["Columns", "row_losses"]

#: names in a batch, which no column of a user's has
CODE, MARGIN, SOFT = "annosim_annotator", "annosim_margin", "annosim_soft_label"


@dataclass
class Columns:
    """Which columns are read.

    Attributes:
        annotator: who answered.
        margin: subtracted from the difference of the rewards, or ``None``.
        soft: probability that the chosen response is the better one, or ``None``.
        annotators: their names, ascending; known when the rows are coded.
        evaluated_without: a column that rows for evaluation need not have.
    """

    annotator: str
    margin: str | None
    soft: str | None
    annotators: list[str] = field(default_factory=list)
    evaluated_without: str | None = None

    @classmethod
    def of(cls, who: str, dataset: Any, annotator: str, margin: str | None, soft: str | None) -> Columns:
        """Refuse, before a model is loaded, rows that lack a column or hold something else in it.

        Raises:
            ArgumentError: a stream, or no such column.
            DataError: a value that is missing or out of range; the row is named.
        """
        if not isinstance(dataset, library("datasets", "hf").Dataset):
            raise ArgumentError(
                f"{who}(train_dataset={type(dataset).__name__}): the E-step reads all rows; give a datasets.Dataset"
            )
        for option, name in (("annotator", annotator), ("margin", margin), ("soft_labels", soft)):
            if name is not None and name not in dataset.column_names:
                raise ArgumentError(
                    f"{who}({option}={name!r}): the rows have no such column; there are {', '.join(dataset.column_names)}"
                )
        values = list(dataset[annotator])
        missing = [row for row, value in enumerate(values) if value is None or value != value]  # None, or NaN
        if missing:
            raise DataError(f"{who}: row {missing[0]} has no annotator; drop it, or give a name to each")
        if margin is not None:
            _numbers(who, dataset, margin, -np.inf, np.inf)
        if soft is not None:
            _numbers(who, dataset, soft, 0.0, 1.0)
        return cls(annotator, margin, soft)

    def coded(self, dataset: Any) -> Any:
        """The rows with the columns under their own names, annotators as numbers."""
        names, code = np.unique(np.array(list(dataset[self.annotator])), return_inverse=True)
        self.annotators = [str(name) for name in names]
        return self.numbered(dataset.add_column(CODE, code.tolist()))

    def numbered(self, dataset: Any) -> Any:
        """The rows with margins and soft labels under their own names; of rows for evaluation, too.

        Raises:
            ArgumentError: rows for evaluation lack a column, or are a stream.
            DataError: a value that is missing or out of range.
        """
        for name, column, low, high in ((MARGIN, self.margin, -np.inf, np.inf), (SOFT, self.soft, 0.0, 1.0)):
            there = getattr(dataset, "column_names", None) or ()
            if column is None or name in there or (column not in there and column == self.evaluated_without):
                continue
            if column not in there or not isinstance(dataset, library("datasets", "hf").Dataset):
                raise ArgumentError(
                    f"eval_dataset: needs the column {column!r} that the loss reads, in a datasets.Dataset; add it"
                )
            dataset = dataset.add_column(name, _numbers("eval_dataset", dataset, column, low, high).tolist())
        return dataset

    def collator(self, inner: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """The trainer's collator, which keeps these columns."""

        def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
            batch = inner(rows)
            for name in (CODE, MARGIN, SOFT):
                if name in rows[0]:
                    kind = torch.long if name == CODE else torch.float32
                    batch[name] = torch.tensor([row[name] for row in rows], dtype=kind)
            return batch

        return collate

    def taken(self, inputs: dict[str, Any]) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """Numbers of annotators, margins and soft labels ``(rows,)``, out of a batch; ``None`` where it has none."""
        inputs.pop("margin", None)  # the reward trainer's own, which it takes from a column of that name
        code, margin, soft = (inputs.pop(name, None) for name in (CODE, MARGIN, SOFT))
        return code, margin, soft


def row_losses(gaps: torch.Tensor, margin: torch.Tensor | None, soft: torch.Tensor | None) -> torch.Tensor:
    """Minus the log-probability of each row's answer under each type, ``(types, rows)``.

    ``-log s(h - m)``, and of soft labels p ``-p log s(h - m) - (1 - p) log s(m - h)``.

    Example:
        >>> row_losses(torch.zeros(1, 1), None, torch.tensor([0.5])).exp().tolist()
        [[2.0]]
    """
    h = gaps if margin is None else gaps - margin
    agree = -torch.nn.functional.logsigmoid(h)
    if soft is None:
        return agree
    return soft * agree - (1 - soft) * torch.nn.functional.logsigmoid(-h)


def _numbers(who: str, dataset: Any, column: str, low: float, high: float) -> NDArray[np.float64]:
    values: Sequence[Any] = list(dataset[column])
    for row, value in enumerate(values):
        good = isinstance(value, int | float) and np.isfinite(value) and low <= value <= high
        if not good:
            wanted = "a finite number" if np.isinf(low) else "a probability, 0 to 1"
            raise DataError(f"{who}: row {row} has {column} {value!r}; give {wanted}")
    return np.array(values, dtype=np.float64)
