"""Drawing from the law: ``simulate(population, design, seed=)``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from annosim.data.preferences import PreferenceData
from annosim.designs import Design
from annosim.errors import ArgumentError
from annosim.populations import Population
from annosim.random import Address
from annosim.results import versions
from annosim.rules.base import Answer, View

__all__ = ["simulate"]

CHUNK = 1 << 18


def simulate(
    population: Population, design: Design, *, seed: int = 0, replicates: int | None = None, replicate: int = 0
) -> PreferenceData:
    """Draw what the population says to the design.

    A draw's address is ``(seed, replicate, stream, entity, k)``: nothing depends on chunks, threads or the device, and
    a longer run begins with the shorter one.

    Args:
        population: who answers.
        design: what they are asked.
        seed: 0 .. 2**64 - 1.
        replicates: R independent data sets along a leading axis.
        replicate: which replicate, when only one is drawn.

    Returns:
        :class:`PreferenceData` with the hidden types in ``truth["type"]`` ``(annotators,)``.

    Raises:
        AnswerKindError: a rule does not define the design's feedback.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Linear([1.0, 0.0]), an.Luce())
        >>> an.simulate(people, an.Design(an.Items.normal(6, 2), annotators=10), seed=0)
        PreferenceData(10 rows, choice from menus of 2, 10 annotators, 6 items)
    """
    for leaf in population.leaves():
        leaf.rule.check_kind(design.feedback)
    if replicates is not None and (isinstance(replicates, bool) or replicates < 1):
        raise ArgumentError(f"simulate(replicates={replicates!r}): a whole number of at least 1")
    with torch.no_grad():
        if replicates is None:
            parts = [_one(population, design, seed, replicate)]
        else:
            parts = [_one(population, design, seed, r) for r in range(replicates)]
    stack = (lambda name: parts[0][name]) if replicates is None else (lambda name: np.stack([p[name] for p in parts]))
    return PreferenceData(
        items=design.items,
        menu=stack("menu"),
        answer=stack("answer"),
        feedback=design.feedback,
        tied=None if parts[0]["tied"] is None else stack("tied"),
        annotator=None if _single(design) else parts[0]["annotator"],
        order=None if _single(design) else parts[0]["order"],
        truth={"type": stack("type")},
        settings={"seed": seed, "replicates": replicates, "replicate": replicate, "path": "reference", **versions()},
    )


def _single(design: Design) -> bool:
    return design.num_questions == 1 and design.loads is None


def _layout(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Annotator and place in the sequence of every row."""
    if design.loads is not None:
        annotator = np.repeat(np.arange(design.annotators), design.loads)
        starts = np.r_[0, np.cumsum(design.loads)[:-1]]
        return annotator, np.arange(len(annotator)) - np.repeat(starts, design.loads)
    row = np.arange(design.num_rows)
    return row // design.num_questions, row % design.num_questions


def _one(population: Population, design: Design, seed: int, replicate: int) -> dict[str, Any]:
    annotator, order = _layout(design)
    types = draw_types(population, seed, np.arange(design.annotators), replicate)
    space_ties = any(leaf.rule.ties for leaf in population.leaves())
    parts = (
        [
            _rows(
                population,
                design,
                seed,
                replicate,
                annotator[s],
                order[s],
                np.arange(s.start, s.stop),
                types,
                space_ties,
            )
            for s in _chunks(len(annotator))
        ]
        if not any(leaf.rule.memory for leaf in population.leaves())
        else [_with_memory(population, design, seed, replicate, annotator, order, types, space_ties)]
    )
    menu = np.concatenate([p[0] for p in parts])
    answer = np.concatenate([p[1] for p in parts])
    tied = np.concatenate([p[2] for p in parts]) if space_ties else None
    return {
        "menu": menu, "answer": answer, "tied": tied, "type": types,
        "annotator": annotator.astype(np.int32), "order": order.astype(np.int32),
    }  # fmt: skip


def _chunks(rows: int):
    return [slice(i, min(i + CHUNK, rows)) for i in range(0, rows, CHUNK)]


def draw_types(population: Population, seed: int, annotators: np.ndarray, replicate: int) -> np.ndarray:
    """Hidden leaf of each annotator, ``(annotators,)`` int8 (or int32 beyond 127 leaves)."""
    weight = population.leaf_weights().detach().double()
    dtype = np.int8 if len(weight) <= 127 else np.int32
    if len(weight) == 1:
        return np.zeros(len(annotators), dtype=dtype)
    u = torch.as_tensor(Address(seed, annotators, replicate).uniform("type", 1)[:, 0])
    cdf = weight.cumsum(0)
    return torch.searchsorted(cdf, u * cdf[-1], right=True).clamp_max(len(weight) - 1).numpy().astype(dtype)


def _menus(design: Design, seed: int, replicate: int, annotator: np.ndarray, order: np.ndarray) -> torch.Tensor:
    if design.questions == "all":
        return design.menus[torch.as_tensor(order)]
    asked = annotator // design.overlap  # consecutive annotators share their questions
    if design.loads is not None and design.overlap == 1:
        starts = np.r_[0, np.cumsum(design.loads)[:-1]]
        entity = starts[annotator] + order
    else:
        entity = asked * design.num_questions + order
    return design.sample(Address(seed, entity, replicate))


def _rows(population, design, seed, replicate, annotator, order, row, types, ties, previous=None):
    """Menus, answers and ties of some rows."""
    menu = _menus(design, seed, replicate, annotator, order)
    width = design.feedback.width(design.menu_size, ties)
    position = torch.full((len(row), width), -1, dtype=torch.long)
    tied = torch.zeros((len(row), design.menu_size - 1), dtype=torch.bool) if ties else None
    view = View(
        items=design.items, menu=menu, feedback=design.feedback, order=torch.as_tensor(order),
        annotator=torch.as_tensor(annotator), previous=previous,
    )  # fmt: skip
    kind = types[annotator]
    for number, leaf in enumerate(population.leaves()):
        mine = np.flatnonzero(kind == number)
        if not len(mine):
            continue
        keep = torch.as_tensor(mine)
        scores = leaf.row_scores(design.items, menu[keep], Address(seed, annotator[mine], replicate))
        given: Answer = leaf.rule.sample(scores, view.rows(keep), Address(seed, row[mine], replicate))
        position[keep, : given.position.shape[1]] = given.position
        if tied is not None and given.tied is not None:
            tied[keep] = given.tied
    answer = position.numpy().astype(np.int8)
    answer = answer[:, 0] if design.feedback.kind == "choice" and width == 1 else answer
    return menu.numpy().astype(np.int32), answer, None if tied is None else tied.numpy()


def _with_memory(population, design, seed, replicate, annotator, order, types, ties):
    """Rules that remember: one question of everybody's sequence at a time."""
    rows = np.arange(len(annotator))
    width = design.feedback.width(design.menu_size, ties)
    menu = np.empty((len(rows), design.menu_size), dtype=np.int32)
    shape = (len(rows),) if design.feedback.kind == "choice" and width == 1 else (len(rows), width)
    answer = np.full(shape, -1, dtype=np.int8)
    tied = np.zeros((len(rows), design.menu_size - 1), dtype=bool) if ties else None
    last = torch.full((design.annotators, width), -1, dtype=torch.long)
    for j in range(design.num_questions):
        now = rows[order == j]
        who = annotator[now]
        part = _rows(population, design, seed, replicate, who, order[now], now, types, ties, last[who])
        menu[now], answer[now] = part[0], part[1]
        if tied is not None:
            tied[now] = part[2]
        last[who] = torch.as_tensor(part[1], dtype=torch.long).reshape(len(now), width)
    return menu, answer, tied


def simulate_like(population: Population, data: PreferenceData, *, seed: int = 0, replicate: int = 0) -> PreferenceData:
    """New answers to the same questions by the same annotators: parametric bootstrap and posterior prediction.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items(n=2), annotators=5), seed=0)
        >>> simulate_like(people, data, seed=1).rows
        5
    """
    design = Design(
        data.items, menus=data.menu, questions="all", feedback=data.feedback, annotators=data.num_annotators
    )
    types = draw_types(population, seed, np.arange(data.num_annotators), replicate)
    ties = any(leaf.rule.ties for leaf in population.leaves())
    if any(leaf.rule.memory for leaf in population.leaves()):
        raise ArgumentError("simulate_like: a rule remembers earlier answers; simulate with a Design instead")
    row = np.arange(data.rows)
    annotator = np.asarray(data.annotator_ids)
    with torch.no_grad():
        _, answer, tied = _answer_fixed(population, design, seed, replicate, annotator, data, row, types, ties)
    return replace(data, answer=answer, tied=tied, truth={"type": types}, settings={"seed": seed, "path": "reference"})


def _answer_fixed(population, design, seed, replicate, annotator, data, row, types, ties):
    menu = torch.as_tensor(data.menu, dtype=torch.long)
    width = data.feedback.width(data.menu_size, ties)
    position = torch.full((data.rows, width), -1, dtype=torch.long)
    tied = torch.zeros((data.rows, data.menu_size - 1), dtype=torch.bool) if ties else None
    view = data.view()
    for number, leaf in enumerate(population.leaves()):
        mine = np.flatnonzero(types[annotator] == number)
        if len(mine):
            keep = torch.as_tensor(mine)
            scores = leaf.row_scores(data.items, menu[keep], Address(seed, annotator[mine], replicate))
            given = leaf.rule.sample(scores, view.rows(keep), Address(seed, row[mine], replicate))
            position[keep, : given.position.shape[1]] = given.position
            if tied is not None and given.tied is not None:
                tied[keep] = given.tied
    answer = position.numpy().astype(np.int8)
    answer = answer[:, 0] if data.feedback.kind == "choice" and width == 1 else answer
    return data.menu, answer, None if tied is None else tied.numpy()
