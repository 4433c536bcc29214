"""Numbers that belong to annotators, looked up by the annotators' names.

Selections of data renumber annotators and keep their names (or the ids that they had in the larger data set). A rule or
a population that holds a number for each annotator therefore says whose numbers they are, and is asked for those of the
data at hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from annosim.errors import ArgumentError

__all__ = ["Labels", "PerAnnotator", "copy_name", "rows_of"]

#: Names of annotators, or their ids in a larger data set.
Labels = Sequence[str] | Sequence[int] | NDArray[np.object_] | NDArray[np.integer]


class PerAnnotator:
    """A module that holds numbers for each annotator.

    Attributes:
        annotators: whose numbers they are, in order; ``None`` when they are those of annotators 0, 1, ...
    """

    annotators: Labels | None = None

    @property
    def is_personal(self) -> bool:
        """Whether there is a number for each annotator, rather than one for all."""
        return True

    def number_of(self, name: str, annotator: torch.Tensor | None) -> torch.Tensor:
        """The number ``name`` of each annotator, ``annotator``'s shape; a scalar where there is one for all.

        Raises:
            ArgumentError: nobody is named, or an annotator has no number.
        """
        value: torch.Tensor = getattr(self, name)
        if value.ndim == 0 or len(value) == 1:
            return value.reshape(())
        what = f"{type(self).__name__}({name}=)"
        if annotator is None:
            raise ArgumentError(
                f"{what}: {len(value)} annotators, but there are no annotator ids here (a law "
                "has none); take one person's rule with .of(annotator), or an.Mixture of them"
            )
        if annotator.numel() and not 0 <= int(annotator.min()) <= int(annotator.max()) < len(value):
            raise ArgumentError(
                f"{what}: {len(value)} numbers, but annotator {int(annotator.max())} answers; give "
                "data.num_annotators of them"
            )
        return value[annotator]

    def keep(self, name: str, labels: Labels) -> None:
        """Keep the numbers ``name`` of these annotators, in their order; one number for everybody stays."""
        value: torch.Tensor = getattr(self, name)
        if value.numel() == 1:
            return
        rows = rows_of(f"{type(self).__name__}({name}=)", labels, self.annotators, len(value))
        chosen = value.detach()[torch.as_tensor(rows)]
        setattr(self, name, nn.Parameter(chosen) if isinstance(value, nn.Parameter) else chosen)

    def select_annotators(self, labels: Labels) -> None:
        """Keep the numbers of these annotators, in their order.

        Raises:
            ArgumentError: an annotator without numbers here.
        """
        raise NotImplementedError


def copy_name(name: str, number: int) -> str:
    """The name of one of the copies among whom a person's ties are shared, counted from 1.

    Example:
        >>> copy_name("ann", 2), rows_of("skill", ["ann/2", "bob/1"], ["bob", "ann"], 2).tolist()
        ('ann/2', [1, 0])
    """
    return f"{name}/{number}"


def _person_of(name: str) -> str:
    """Whose copy somebody of this name is; the name itself where it is nobody's."""
    person, slash, number = name.rpartition("/")
    return person if slash and number.isdigit() else name


def rows_of(
    what: str, labels: Labels, annotators: Labels | None, count: int, cyclic: bool = False
) -> NDArray[np.int64]:
    """The row of each annotator in a table of ``count`` rows.

    Args:
        what: names the table in messages.
        labels: names or ids of the annotators that are asked for.
        annotators: names or ids of the rows; ``None`` for 0, 1, ... A copy of a person has the person's row.
        count: number of rows.
        cyclic: annotator ``i`` has row ``i mod count`` where rows have no names.

    Raises:
        ArgumentError: an annotator that the table does not have.

    Example:
        >>> rows_of("skill", ["bob", "ann"], ["ann", "bob", "cy"], 3).tolist()
        [1, 0]
        >>> rows_of("skill", [2, 0], None, 3).tolist()
        [2, 0]
    """
    asked = np.asarray(labels)
    numbered = asked.dtype.kind in "iu"
    if annotators is None and numbered:
        if not cyclic and len(asked) and int(asked.max()) >= count:
            raise ArgumentError(f"{what}: {count} numbers, but annotator {int(asked.max())} answers")
        return asked.astype(np.int64) % count
    if annotators is None or (numbered and np.asarray(annotators).dtype.kind not in "iu"):
        if len(asked) != count:
            raise ArgumentError(
                f"{what}: {count} rows and {len(asked)} annotators, of whom only one side has names; say whose the rows "
                "are with annotators=data.annotator_names (of the whole data, before it was split)"
            )
        return np.arange(count)
    place = {str(name): i for i, name in enumerate(annotators)}
    rows = [place.get(name, place.get(_person_of(name), -1)) for name in map(str, asked.tolist())]
    if -1 in rows:
        lost = str(asked[rows.index(-1)])[:60]
        raise ArgumentError(f"{what}: no row for annotator {lost!r}; give the numbers of everybody who answers")
    return np.asarray(rows, dtype=np.int64)
