"""Battles of the Chatbot Arena: ``model_a, model_b, winner`` with winner a column's name, or a tie of two kinds."""

from __future__ import annotations

import os

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.io.pairs import name_items, named, pair_data, pair_meaning, read_winner
from annosim.io.records import read_records, write_records

__all__ = ["read_arena", "write_arena"]

_WORDS = {"model_a": "left", "model_b": "right", "tie": "tie", "tie (bothbad)": "tie"}
_BOTHBAD = "tie (bothbad)"


def read_arena(
    path: str | os.PathLike[str], annotator: str | None = "judge", prompt: str | None = None
) -> PreferenceData:
    """Read battles from JSON, JSON lines, CSV or parquet.

    Args:
        path: records with the fields ``model_a, model_b, winner``.
        annotator: the field with who judged; ``None``, or a field that the file does not have when left at its
            default, makes every battle its own annotator.
        prompt: field with the context of the battle.

    Returns:
        Pairs; both kinds of tie are ties, told apart by the column ``bothbad``; other fields are named columns.

    Raises:
        FileReadError: missing, unreadable or empty file, or a missing field.
        RowsError: a winner other than ``model_a``, ``model_b``, ``tie``, ``tie (bothbad)``, or a battle without models.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "battles.jsonl"
        >>> _ = path.write_text('{"model_a": "x", "model_b": "y", "winner": "tie (bothbad)", "judge": "u1"}\\n')
        >>> read_arena(path).columns["bothbad"].tolist()
        [True]
    """
    table = read_records(path)
    if annotator == "judge" and annotator not in table.frame:
        annotator = None
    sides = np.stack([table.filled("model_a", "model_a"), table.filled("model_b", "model_b")], 1)
    said = table.column("winner", "winner").to_numpy(dtype=object)
    meaning = read_winner(table, said, sides, "side", _WORDS, ("model_a", "model_b"), "winner")
    who = None if annotator is None else table.filled(annotator, "annotator")
    context = None if prompt is None else table.filled(prompt, "prompt")
    menu, items = name_items(table, sides, None)
    table.problems.report(f"winner is one of {', '.join(_WORDS)}; mend or remove these battles")
    columns = table.others(["model_a", "model_b", "winner", annotator, prompt])
    if (said == _BOTHBAD).any():
        columns["bothbad"] = said == _BOTHBAD
    settings = {"source": str(path), "format": "arena", "annotator": annotator, "prompt": prompt}
    return pair_data(menu, meaning, items, who, context, columns=columns, settings=settings)


def write_arena(data: PreferenceData, path: str | os.PathLike[str]) -> None:
    """Write pairs as battles (JSON, JSON lines, CSV or parquet, by extension); atomic.

    Raises:
        DataError: the data are not pairs, or hold skips, which the format has no word for.
    """
    from annosim.errors import DataError

    meaning = pair_meaning(data)
    if (meaning == 3).any():
        raise DataError(f"row {int((meaning == 3).argmax())} is a skip, which battles cannot hold; take(~data.skipped)")
    names = np.asarray(data.items.names, dtype=object)
    word = np.array(["model_a", "model_b", "tie"], dtype=object)[meaning]
    columns = dict(data.columns)
    if "bothbad" in columns:
        word = np.where(np.asarray(columns.pop("bothbad"), dtype=bool) & (meaning == 2), _BOTHBAD, word)
    out = {"model_a": names[data.menu[:, 0]], "model_b": names[data.menu[:, 1]], "winner": word}
    if data.annotator is not None:
        out[data.settings.get("annotator") or "judge"] = named(data.annotator, data.annotator_names)
    if data.prompt is not None:
        out[data.settings.get("prompt") or "prompt"] = named(data.prompt, data.prompt_names)
    clash = sorted(set(out) & set(columns))
    if clash:
        raise DataError(f"column {clash[0]!r} has the name of a field of the format; rename it")
    write_records(path, out | columns)
