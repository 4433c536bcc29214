"""Battles of the Chatbot Arena: ``model_a, model_b, winner`` with winner a column's name, or a tie of two kinds."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.data.writers.arena import BOTH_BAD
from annosim.io.format import EXPORTER, Reading
from annosim.io.pairs import name_items, pair_data, read_winner, without_self
from annosim.io.seen import Seen
from annosim.io.sources import Source, read_table, source_name
from annosim.io.tables import Coded, Table

__all__ = ["read_arena", "recognise_arena"]

_BOTH_BAD = (BOTH_BAD, "both_bad", "bothbad")
_WORDS = {"model_a": "left", "model_b": "right", "tie": "tie", **dict.fromkeys(_BOTH_BAD, "tie")}
#: The field with counts of both sides: tokens, headers, lists, bold.
_STYLE = "conv_metadata"
#: Columns of the layout with one flag for each outcome, and what they mean.
_FLAGS = {"winner_model_a": "model_a", "winner_model_b": "model_b", "winner_tie": "tie"}


def read_arena(source: Source, annotator: str | None = "judge", prompt: str | None = None) -> PreferenceData:
    """Read battles.

    Args:
        source: records with the fields ``model_a, model_b, winner`` (JSON, JSON lines, CSV, parquet, or in memory);
            instead of ``winner`` there may be flags ``winner_model_a, winner_model_b, winner_tie``.
        annotator: the field with who judged; ``None``, or a field that the file does not have when left at its
            default, makes every battle its own annotator.
        prompt: field with the context of the battle.

    Returns:
        Pairs; both kinds of tie are ties, told apart by the column ``bothbad``; other fields are named columns, and so are
        the counts of ``conv_metadata`` (``sum_assistant_a_tokens``, ``header_count_a``: the sum over its levels).

    Raises:
        FileReadError: missing, unreadable or empty file, or a missing field.
        RowsError: a winner other than ``model_a``, ``model_b``, ``tie``, ``tie (bothbad)``, ``both_bad``, or a battle
            without models.

    Example:
        >>> read_arena([{"model_a": "x", "model_b": "y", "winner": "both_bad", "judge": "u1"}]).columns["bothbad"]
        array([ True])
    """
    table = without_self(read_table(source), "model_a", "model_b")
    if annotator == "judge" and annotator not in table:
        annotator = None
    menu, items = name_items(table, [table.coded("model_a", "model_a"), table.coded("model_b", "model_b")], None, None)
    winner = _winner(table)
    outcome = read_winner(table, winner, menu, items, "side", _WORDS, ("model_a", "model_b"))
    people = None if annotator is None else table.people(annotator)
    context = None if prompt is None else table.coded(prompt, "prompt")
    table.errors.raise_if_any(f"winner is one of {', '.join(_WORDS)}; fix or remove these battles")
    columns = table.others(["model_a", "model_b", "winner", *_FLAGS, annotator, prompt])
    if _STYLE in table:
        counts = _style(table)
        columns |= {name: values for name, values in counts.items() if name not in columns}
        if counts or not any(isinstance(cell, str) for cell in table.head(_STYLE, 1)):
            columns.pop(_STYLE, None)
    both_bad = np.isin(winner.names, _BOTH_BAD)[winner.codes]
    if both_bad.any():
        columns["bothbad"] = both_bad
    settings = {"source": source_name(source), "format": "arena", "annotator": annotator, "prompt": prompt}
    return pair_data(menu, outcome, items, people, context, columns=columns, settings=settings)


def _style(table: Table) -> dict[str, np.ndarray]:
    """The counts in ``conv_metadata``, a column each; a count by level (``h1, h2``) is their sum, as in style control."""
    cells = [_record(cell) for cell in table.values(_STYLE, _STYLE)]
    names = dict.fromkeys(str(name) for cell in cells for name in cell)
    found = {name: np.array([_total(cell.get(name)) for cell in cells]) for name in names}
    return {name: values for name, values in found.items() if np.isfinite(values).any()}


def _record(cell: object) -> Mapping[object, object]:
    """A record, also where CSV has it as text: JSON, or as Python prints it (``DataFrame.to_csv``); empty for anything else."""
    if isinstance(cell, str) and (text := cell.lstrip())[:1] == "{":
        for read in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                cell = read(text)
                break
    return cell if isinstance(cell, Mapping) else {}


def _total(count: object) -> float:
    """A number, the sum of those in a record, NaN for anything else."""
    if isinstance(count, Mapping):
        return sum((_total(part) for part in count.values() if part is not None), 0.0)
    return float(count) if isinstance(count, int | float) else float("nan")


def _winner(table: Table) -> Coded:
    """The winner's word of every battle, from its field or from one flag for each outcome."""
    if "winner" in table or "winner_model_a" not in table:
        return table.coded("winner", "winner", blank=True)
    flags = np.stack([table.numbers(name, "winner") for name in _FLAGS], 1)
    bad = (flags.sum(1) != 1) | ~np.isin(flags, (0.0, 1.0)).all(1)
    table.errors.add_where(bad, lambda r: f"one of {', '.join(_FLAGS)} is 1 and the others are 0")
    return Coded(flags.argmax(1), np.array(list(_FLAGS.values()), dtype=object))


def recognise_arena(seen: Seen) -> Reading | None:
    """``model_a, model_b`` and the winner, or one flag for each outcome."""
    if not all(name in seen.table for name in ("model_a", "model_b")):
        return None
    if "winner" in seen.table:
        words = seen.words("winner")
        if not words or not set(words) <= set(_WORDS):
            return None
        why = f"model_a, model_b and winner with the words {', '.join(words)}"
    elif all(name in seen.table for name in _FLAGS):
        why = f"model_a, model_b and the flags {', '.join(_FLAGS)}"
    else:
        return None
    annotator = seen.column("judge", "judge_hash", "user_id", "annotator") or seen.annotator(
        ["model_a", "model_b", "winner"]
    )
    options = {} if annotator is None else {"annotator": annotator}
    return Reading(why + ("" if annotator is None else f", annotator={annotator}"), options, strength=EXPORTER)
