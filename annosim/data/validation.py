"""What preference data must satisfy; every refusal names the first offending row and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike

from annosim.errors import DataError

if TYPE_CHECKING:
    from annosim.data.table import AnswerTable

__all__ = ["ROW_COLUMNS", "as_array", "as_names", "check_shapes", "check_values"]

#: Columns with one entry per row, which replicates may share.
ROW_COLUMNS = ("annotator", "prompt", "order", "weight")


def as_array(name: str, value: ArrayLike, dtype: DTypeLike) -> np.ndarray:
    """``value`` as an array of ``dtype``, refused when that would change a number."""
    if isinstance(value, torch.Tensor) and value.device.type != "cpu":
        return value  # type: ignore[return-value]  # stays where it was simulated until a verb needs it
    try:
        raw = np.asarray(value)
        with np.errstate(invalid="ignore"):  # NaN as an integer: refused below
            out = raw.astype(dtype, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name}: not a table of numbers ({error}); encode names as ids first") from None
    kind = raw.dtype.kind
    if kind == "f" and np.issubdtype(dtype, np.integer) and not bool((raw == out).all()):
        raise DataError(f"{name}: needs whole numbers, found NaN or fractions")
    if kind in "iu" and not np.can_cast(raw.dtype, dtype, "safe") and not bool((raw == out).all()):
        raise DataError(f"{name}: values do not fit {np.dtype(dtype).name}")
    if kind not in "biuf" and raw.size:
        raise DataError(f"{name}: holds {raw.dtype}, not numbers; encode names as ids first")
    return out


def as_names(name: str, value: Sequence[object] | np.ndarray | None) -> np.ndarray | None:
    """Names as text, or as whole numbers (ids of a larger data set)."""
    if value is None:
        return None
    if isinstance(value, str):
        raise DataError(f"{name}: one text; give a list of names")
    names = np.asarray(value if isinstance(value, np.ndarray) else list(value))
    if names.dtype.kind in "iu":
        return names
    return names if names.dtype == object else np.array([str(one) for one in names.tolist()], dtype=object)


def check_shapes(data: AnswerTable) -> None:
    """Shapes of all columns."""
    lead = tuple(data.menu.shape[:-1])
    k = data.menu.shape[-1]
    if k < 1:
        raise DataError(f"menu: shape {tuple(data.menu.shape)} has menus without places")
    widths = {data.feedback.width(k, ties=False), data.feedback.width(k, ties=True)}
    shapes = {(*lead, w) for w in widths} | ({lead} if data.feedback.kind == "choice" else set())
    if tuple(data.answer.shape) not in shapes:
        raise DataError(f"answer: shape {tuple(data.answer.shape)}, expected one of {sorted(shapes, key=str)}")
    if data.tied is not None and tuple(data.tied.shape) != (*lead, k - 1):
        raise DataError(f"tied: shape {tuple(data.tied.shape)}, expected {(*lead, k - 1)}")
    for name in ROW_COLUMNS:
        value = getattr(data, name)
        if value is not None and tuple(value.shape) not in {lead, lead[-1:]}:
            raise DataError(f"{name}: shape {tuple(value.shape)}, expected {lead}")
    for name, value in data.columns.items():
        size = len(value) if hasattr(value, "__len__") else None
        if size != lead[-1]:
            raise DataError(f"column {name!r}: {'one value' if size is None else size} for {lead[-1]} rows")


def check_values(data: AnswerTable) -> None:
    """Values of all columns, and that answers, ties and menus agree."""
    k = data.menu.shape[-1]
    n = data.items.n
    refuse_outside(data.menu, -1, n, "menu", f"item ids are 0..{n - 1}, -1 pads")
    top = int(data.feedback.grades or 0) if data.feedback.kind == "rating" else k
    refuse_outside(data.answer, -1, top, "answer", f"values are 0..{top - 1}, -1 for a skip or pad")
    if not isinstance(data.menu, torch.Tensor):
        padded = bool(data.menu.min() < 0)
        if padded:
            refuse(np.asarray((data.menu < 0).all(-1)), "menu", "an empty menu asks nothing; drop the row")
        _check_prompts(data)
        _check_answers(data, padded)
    for name in ("annotator", "prompt", "order"):
        value = getattr(data, name)
        if value is not None:
            refuse_outside(value, 0, None, name, f"{name} numbers start at 0")
    _check_weight(data)
    for name in ("annotator", "prompt"):
        _check_names(data, name)


def _check_prompts(data: AnswerTable) -> None:
    """Menus stay inside a prompt of the items."""
    prompts = data.items.prompts.cpu().numpy()
    if len(prompts) and (prompts == prompts[0]).all():
        return
    of = np.where(data.menu < 0, -1, prompts[data.menu])
    first = np.take_along_axis(of, (data.menu >= 0).argmax(-1)[..., None], -1)
    refuse((of != first) & (data.menu >= 0), "menu", "the items of a menu must belong to one prompt (items.prompts)")


def _check_answers(data: AnswerTable, padded: bool) -> None:
    kind = data.feedback.kind
    answer = data.answer[..., None] if data.answer.ndim == data.menu.ndim - 1 else data.answer
    tied = data.tied
    if kind == "rating":
        refuse((answer >= 0) & (data.menu < 0), "answer", "grades an empty place (-1) of its menu")
    else:
        if padded:
            shown = np.take_along_axis(data.menu, np.maximum(answer, 0).astype(np.int64), -1)
            refuse((answer >= 0) & (shown < 0), "answer", "points at an empty place (-1) of its menu")
        if answer.shape[-1] > 1:
            ordered = np.sort(answer, -1)
            refuse((np.diff(ordered, axis=-1) == 0) & (ordered[..., 1:] >= 0), "answer", "repeats a position")
    given = answer >= 0
    if kind == "best-worst":
        refuse(given[..., 0] != given[..., 1], "answer", "best-worst needs both places, or -1 in both for a skip")
    elif kind != "rating":
        refuse(given[..., 1:] & ~given[..., :-1], "answer", "-1 stands before a place; list the best first, then -1")
    if kind == "ranking":
        listed = given.sum(-1)
        short = (listed > 0) & (listed < (data.menu >= 0).sum(-1))
        refuse(short, "answer", "a ranking lists its whole menu; use feedback='top' for the best l")
    if tied is None:
        alone = given[..., 1:] if kind == "choice" else np.zeros(1, dtype=bool)
        refuse(alone, "answer", "a choice of several needs tied=")
    else:
        _check_ties(kind, answer, given, tied)


def _check_ties(kind: str, answer: np.ndarray, given: np.ndarray, tied: np.ndarray) -> None:
    if kind in ("best-worst", "rating"):
        refuse(tied, "tied", f"a {kind} answer has no ties")
        return
    if kind == "choice":  # the winners are all tied with each other, or there is one
        if answer.shape[-1] == 1 and tied.shape[-1]:
            refuse(tied, "tied", "a choice with ties is (rows, k), the winners first: a tied pair is [0, 1]")
            return
        refuse(given[..., 1:] != tied, "tied", "a choice lists its winners, all tied: [0, 1] with tied [True]")
    width = min(tied.shape[-1], answer.shape[-1] - 1)
    joined = tied[..., :width]
    refuse(joined & ~given[..., 1 : width + 1], "tied", "ties a place of the order that is empty")
    down = answer[..., 1 : width + 1] < answer[..., :width]
    refuse(joined & down, "answer", "inside a tied group positions ascend; sort them")


def _check_weight(data: AnswerTable) -> None:
    if data.weight is None:
        return
    refuse(~((data.weight >= 0) & (data.weight < np.inf)), "weight", "weights are finite and nonnegative")
    if data.annotator is None or data.annotator.ndim != 1 or data.weight.ndim != 1:
        return
    annotator: np.ndarray = data.annotator
    if int(annotator.max()) > 4 * len(annotator) + 1_000_000:  # few of very many: no table over all of them
        annotator = np.unique(annotator, return_inverse=True)[1]
    first = np.full(int(annotator.max()) + 1, np.nan)
    first[annotator[::-1]] = data.weight[::-1]
    wrong = first[annotator] != data.weight
    refuse(wrong, "weight", "a weight belongs to an annotator: make it equal on all rows of one")


def _check_names(data: AnswerTable, name: str) -> None:
    names, codes = getattr(data, f"{name}_names"), getattr(data, name)
    if names is None:
        return
    if codes is None and (name != "annotator" or len(names) != data.rows):
        raise DataError(f"{name}_names: names without numbers; give {name}= as well")
    if codes is not None and len(names) <= int(codes.max()):
        raise DataError(f"{name}_names: {len(names)} names for {name} numbers up to {int(codes.max())}")
    if names.dtype.kind in "iu":
        return  # ids of a larger data set, of which one may stand here several times
    if len(set(map(str, names))) < len(names):
        seen: set[str] = set()
        twice = next(str(v) for v in names if str(v) in seen or seen.add(str(v)))  # type: ignore[func-returns-value]
        raise DataError(f"{name}_names: {twice[:60]!r} appears twice; make names unique")


def refuse_outside(values: np.ndarray, low: int, top: int | None, name: str, remedy: str) -> None:
    """Raise for the first value outside ``low <= value < top``; where there is none, no table of flags is made."""
    if isinstance(values, np.ndarray) and values.size and values.min() >= low and (top is None or values.max() < top):
        return
    refuse((values < low) if top is None else (values < low) | (values >= top), name, remedy)


def refuse(bad: np.ndarray, name: str, remedy: str) -> None:
    """Raise for the first true entry."""
    if bool(bad.any()):
        where = np.argwhere(np.asarray(bad))[0].tolist()
        raise DataError(f"{name}: bad value at {where} (row first unless there are replicates): {remedy}")
