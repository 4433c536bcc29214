"""Label Studio's JSON export of comparisons and rankings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.io.format import EXPORTER, Reading
from annosim.io.layouts.lists import Lists
from annosim.io.layouts.sides import TEXTS, Sides, sides_of
from annosim.io.layouts.votes import Votes, strings
from annosim.io.layouts.words import side_of_word
from annosim.io.seen import PROMPTS, Seen
from annosim.io.sources import Source, read_table, table_of_records
from annosim.io.tables import Table

__all__ = ["read_label_studio", "recognise_label_studio"]

#: Fields of an item of a list: what it is called, and what it says.
_CALLED, _SAYS = ("model", "name", "title"), ("body", "text", "html", "content", "title")


def read_label_studio(source: Source) -> PreferenceData:
    """Read Label Studio's JSON export of comparisons and rankings: tasks with ``data`` and ``annotations``.

    Results of the kinds ``pairwise`` (left or right) and ``choices`` (words for sides and ties) are votes; the sides are the
    fields of ``data`` that differ in their mark (``text1, text2``). Results of the kind ``ranker`` are rankings of the items
    that ``data`` lists. Cancelled annotations are left out.

    Returns:
        Pairs (or rankings) of names where the tasks name models, else of texts within the prompt of the task.

    Raises:
        RowsError: tasks without two sides, results that are no vote, or rankings in several buckets.

    Example:
        >>> task = {"data": {"text1": "tea", "text2": "milk"}, "annotations": [
        ...     {"completed_by": 7, "result": [{"type": "pairwise", "value": {"selected": "right"}}]}]}
        >>> data = read_label_studio([task])
        >>> data.answer.tolist(), data.annotator_names.tolist()
        ([1], ['7'])
    """
    table = read_table(source)
    tasks, annotations = table.values("data", "data"), table.values("annotations", "annotations")
    if any("ranker" in value for given in annotations[:50] for _, value in _results(given)):
        return _rankings(source, table, tasks, annotations)
    sides = _sides_of_records(table, tasks)
    votes = Votes(table, "label-studio")
    texts = sides is not None and not _are_names(sides)
    for row, (task, given) in enumerate(zip(tasks, annotations, strict=True)):
        if not isinstance(task, Mapping) or not isinstance(given, list):
            table.errors.add(row, "no data and annotations")
            continue
        for who, value in _results(given):
            if sides is None or sides.left not in task or sides.right not in task:
                table.errors.add(row, "data has no two fields that are sides, such as text1 and text2")
                break
            said = _selected(value, sides)
            if said is None:
                table.errors.add(row, f"a result that is no comparison: {str(dict(value))[:60]}")
                continue
            prompt = _prompt_of(task)
            votes.add(row, strings(task[sides.left]), strings(task[sides.right]), said, annotator=who, prompt=prompt)
    return votes.data(source, texts=texts)


def _rankings(
    source: Source, table: Table, tasks: NDArray[np.object_], annotations: NDArray[np.object_]
) -> PreferenceData:
    """Rankings of the items of a list; those that were not moved lie below those that were."""
    listed = [_listed(task) for task in tasks]
    called = [frozenset(_named(item, _CALLED, key) for key, item in items.items()) for items in listed]
    texts = len(set(called)) > 1 or not all(called)  # the same names in every task are models
    lists = Lists(table, "label-studio", texts)
    below = False
    for row, (task, items, given) in enumerate(zip(tasks, listed, annotations, strict=True)):
        shown = {key: _named(item, _SAYS if texts else _CALLED, key) for key, item in items.items()}
        for who, value in _results(given):
            order = _order(value.get("ranker"))
            if order is None or len(order) < 2 or not set(order) <= set(shown):
                table.errors.add(row, f"a ranking that is no order of the task's items: {str(dict(value))[:60]}")
                continue
            place = {key: float(at) for at, key in enumerate(order)}
            below |= len(place) < len(shown)
            numbers = {name: place.get(key, float("nan")) for key, name in shown.items()}
            lists.add(row, numbers, _prompt_of(task) if isinstance(task, Mapping) else "", annotator=who)
    return lists.rankings(source, below)


def _listed(task: object) -> dict[str, Mapping[str, object]]:
    """The items of a task's list, by their ids."""
    fields = task.values() if isinstance(task, Mapping) else ()
    found = next((one for one in fields if isinstance(one, list) and one and isinstance(one[0], Mapping)), [])
    return {str(item.get("id", at)): item for at, item in enumerate(found) if isinstance(item, Mapping)}


def _named(item: Mapping[str, object], fields: Sequence[str], default: str) -> str:
    return next((strings(item[name]) for name in fields if item.get(name)), default)


def _order(ranker: object) -> list[str] | None:
    """Ids, the best first: a list, or the only bucket that has any."""
    if isinstance(ranker, Mapping):
        filled = [bucket for bucket in ranker.values() if isinstance(bucket, list) and bucket]
        ranker = filled[0] if len(filled) == 1 else None
    return [str(one) for one in ranker] if isinstance(ranker, list) else None


def _results(annotations: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Who annotated, and each result that may be a vote."""
    for one in annotations if isinstance(annotations, list) else []:
        if not isinstance(one, Mapping) or one.get("was_cancelled"):
            continue
        who = one.get("completed_by", one.get("annotator", one.get("id", 0)))
        who = who.get("email", who.get("id")) if isinstance(who, Mapping) else who
        for result in one.get("result") or []:
            value = result.get("value") if isinstance(result, Mapping) else None
            if isinstance(value, Mapping) and {"selected", "choices", "ranker"} & set(value):
                yield str(who), value


def _selected(value: Mapping[str, object], sides: Sides) -> str | None:
    said = value.get("selected", value.get("choices"))
    said = said[0] if isinstance(said, list) and said else said
    return side_of_word(said, sides) if isinstance(said, str) else ("skip" if not said else None)


def _sides_of_records(table: Table, records: Iterable[object]) -> Sides | None:
    """The fields of nested records that are the two sides: names first, texts else."""
    plain = [record for record in records if isinstance(record, Mapping) and record]
    if not plain:
        return None
    seen = Seen(table_of_records(table.name, plain))
    return sides_of(seen) or sides_of(seen, TEXTS)


def _are_names(sides: Sides) -> bool:
    return sides.stem in ("model", "system", "generator", "item", "candidate", "name", "option")


def _prompt_of(task: Mapping[str, object]) -> str:
    return next((strings(task[name]) for name in (*PROMPTS, "input", "title") if name in task), "")


def recognise_label_studio(seen: Seen) -> Reading | None:
    """Tasks with ``data`` and ``annotations``."""
    if "data" not in seen.table or "annotations" not in seen.table or seen.kind("data") != "record":
        return None
    return Reading("Label Studio tasks: data and annotations with results", {}, EXPORTER)
