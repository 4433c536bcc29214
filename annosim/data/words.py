"""Answers in words, a line each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData
    from annosim.items import Items

__all__ = ["answers_in_words", "called", "words_of"]


def answers_in_words(data: PreferenceData) -> list[str]:
    """Each answer as ``annotator: left>right``.

    The right one of two won where it is ``left<right``; ``=`` is a tie, ``?`` a skip, ``x3`` a weight of 3. A ranking is
    ``best>...>worst``, a choice ``chosen>others``, a rating ``item=grade``, from 0.

    Example:
        >>> import annosim as an
        >>> tea = an.Items(names=["tea", "milk", "juice"])
        >>> answers_in_words(an.PreferenceData(tea, [[0, 1], [1, 2]], answer=[1, 0], annotator=[0, 0], annotator_names=["ann"]))
        ['ann: tea<milk', 'ann: milk>juice']
    """
    names = data.items.names if data.items.texts is None else [words_of(text)[:20] for text in data.items.texts]
    return [_who(data, row) + _answer(data, row, names) + _weight(data, row) for row in range(data.rows)]


def called(items: Items, number: int) -> str:
    """What an item is called; of texts that have only numbers, how they begin.

    Example:
        >>> import annosim as an
        >>> called(an.Items(names=["tea", "milk"]), 1), called(an.Items(texts=["Four.", "Five."]), 0)
        ('milk', 'Four.')
    """
    name = str(items.names[number])
    if items.texts is None or name != str(number):
        return name
    return " ".join(words_of(items.texts[number]).split())[:40] or name


def words_of(text: str) -> str:
    """What a text says; of a conversation (JSON messages) what the last message says, or which tool it calls.

    Example:
        >>> words_of("4"), words_of('[{"role": "assistant", "content": "Four."}]')
        ('4', 'Four.')
    """
    if not text.startswith('[{"'):
        return text
    try:
        last = json.loads(text)[-1]
    except (ValueError, RecursionError):
        return text
    said = last.get("content") or last.get("tool_calls") if isinstance(last, dict) else None
    return said if isinstance(said, str) else text if said is None else json.dumps(said, ensure_ascii=False)


def _who(data: PreferenceData, row: int) -> str:
    if data.annotator is None:
        return ""
    who = data.annotator[row]
    return f"{who if data.annotator_names is None else data.annotator_names[who]}: "


def _weight(data: PreferenceData, row: int) -> str:
    return "" if data.row_weight[row] == 1 else f" x{data.row_weight[row]:g}"


def _answer(data: PreferenceData, row: int, names: Sequence[str]) -> str:
    menu = [names[i] for i in data.menu[row] if i >= 0]
    answer = np.atleast_1d(data.answer[row])
    if data.skipped[row]:
        return "?".join(menu)
    if data.feedback.kind == "rating":
        return " ".join(f"{name}={grade}" for name, grade in zip(menu, answer, strict=False))
    tied = np.zeros(len(answer), dtype=bool) if data.tied is None else data.tied[row]
    best = [menu[i] for i in answer if i >= 0]
    if data.feedback.kind == "best-worst":
        return f"{best[0]}>...>{best[1]}"
    if data.feedback.kind == "choice" and tied.any():
        return "=".join(best)
    if data.feedback.kind == "choice":
        others = [name for name in menu if name != best[0]]
        return "<".join(menu) if len(menu) == 2 and answer[0] == 1 else f"{best[0]}>{','.join(others)}"
    return "".join(("" if j == 0 else "=" if tied[j - 1] else ">") + name for j, name in enumerate(best))
