"""Choices in tables: a row per situation and alternative (long)."""

from __future__ import annotations

import numpy as np

from annosim.io.format import Question, Reading
from annosim.io.seen import ANNOTATORS, Seen

__all__ = ["recognise_long"]

SITUATIONS = (
    "custom_id chid choice_situation situation situation_id sit case case_id obs obs_id obsid observation choice_id chid_id "
    "task task_id choice_set set question question_id menu scenario cs id group"
).split()
ALTERNATIVES = "alt alts alternative alternative_id mode option brand item items_id alt_name product j".split()
CHOICES = "choice chosen choose selected y picked decision is_chosen choice_flag choosen".split()


def recognise_long(seen: Seen) -> Reading | Question | None:
    """A situation, an alternative and a flag that is true once in every situation."""
    alternative, choice = seen.column(*ALTERNATIVES), seen.column(*CHOICES)
    if alternative is None or choice is None or not _is_flag(seen, choice):
        return None
    chosen = _chosen(seen, choice)
    places = [seen.plain[name] for name in SITUATIONS if name in seen.plain]
    for situation in places:
        if situation in (alternative, choice):
            continue
        of = seen.table.texts(situation, situation).codes
        if _is_situation(of, seen.table.texts(alternative, alternative).codes, chosen):
            return _reading(seen, situation, alternative, choice, of)
    return None


def _is_flag(seen: Seen, column: str) -> bool:
    return {word.strip().casefold() for word in seen.words(column)} <= {"0", "1", "0.0", "1.0", "true", "false"}


def _chosen(seen: Seen, choice: str) -> np.ndarray:
    texts = seen.table.texts(choice, choice)
    return np.array([str(name).strip().casefold() in ("1", "1.0", "true") for name in texts.names])[texts.codes]


def _is_situation(of: np.ndarray, alternative: np.ndarray, chosen: np.ndarray) -> bool:
    """Whether every situation has distinct alternatives, more than one of them somewhere, and one that is chosen."""
    rows = len(of)
    if len(np.unique(of * (alternative.max() + 1) + alternative)) < rows or of.max() + 1 == rows:
        return False
    share = np.mean(np.bincount(of[chosen], minlength=int(of.max()) + 1) == 1)
    return bool(share > 0.9)


def _reading(seen: Seen, situation: str, alternative: str, choice: str, of: np.ndarray) -> Reading:
    used = {situation, alternative, choice}
    annotator = seen._flat([*ANNOTATORS, "id"], used)
    if annotator is not None and not _constant(seen.table.texts(annotator, annotator).codes, of):
        annotator = None
    varying = []
    for name in seen.columns:
        if name in used | {annotator} or seen.kind(name) != "number" or seen.blanks(name) or not name.strip():
            continue
        if not _constant(seen.numbers(name), of) and not _is_row_number(seen, name):
            varying.append(name)
    options = {"situation": situation, "alternative": alternative, "choice": choice, "annotator": annotator}
    why = f"{situation} numbers the situations, {alternative} their alternatives, {choice} marks one of each"
    who = "" if annotator is None else f", annotator={annotator}"
    what = f", features={','.join(varying)}" if varying else ""
    return Reading(why + who + what, options | {"features": varying})


def _constant(values: np.ndarray, of: np.ndarray) -> bool:
    first = np.empty(int(of.max()) + 1, dtype=values.dtype)
    first[of[::-1]] = values[::-1]
    return bool((first[of] == values).all())


def _is_row_number(seen: Seen, name: str) -> bool:
    """Whether a column counts the rows, as data frames that were written with their index do."""
    values = seen.numbers(name)
    return bool((np.diff(values) == 1).all()) and name.strip().casefold() in (
        "",
        "index",
        "unnamed: 0",
        "rownames",
        "row",
    )
