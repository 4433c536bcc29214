"""The reference path: numpy and torch, readable, the definition of every draw.

Compiled paths are held to it: same seed, same answers, but where a uniform lies within rounding of a threshold.
"""

from __future__ import annotations

import numpy as np
import torch

from annosim.designs.design import Design
from annosim.designs.menu_law import sample_numbers
from annosim.populations.base import Population
from annosim.random import CounterRNG
from annosim.rules.base import Answer, View

__all__ = ["answers", "covariates", "menu_numbers", "menus", "question_entity", "row_types", "types"]


def types(population: Population, seed: int, annotators: np.ndarray, replicate: int) -> np.ndarray:
    """Hidden component of each annotator, ``(annotators,)`` int8 (or int32 beyond 127 components); word 0 of stream ``type``."""
    weight = population.annotator_weights(annotators)
    weight = (population.component_weights() if weight is None else weight).detach().double()
    count = weight.shape[-1]
    dtype = np.int8 if count <= 127 else np.int32
    if count == 1:
        return np.zeros(len(annotators), dtype=dtype)
    cdf = weight.cumsum(-1)
    draw = torch.as_tensor(CounterRNG(seed, annotators, replicate).uniform("type", 1)) * cdf[..., -1:]
    if cdf.ndim == 1:
        draw = draw[:, 0]
    pick = torch.searchsorted(cdf, draw, right=True).clamp_max(count - 1)
    return pick.reshape(-1).numpy().astype(dtype)


def row_types(types: np.ndarray, first: int, low: int, high: int, questions: int) -> np.ndarray:
    """Types of the rows ``low .. high - 1`` when everyone answers ``questions``; ``types`` of the annotators ``first ...``."""
    return types[np.arange(low, high) // questions - first]


def question_entity(design: Design, annotator: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Entity of stream ``menu`` of each row: consecutive annotators share their questions when ``overlap > 1``."""
    asked = annotator // design.overlap
    if design.loads is not None and design.overlap == 1:
        return (np.cumsum(design.loads) - design.loads)[annotator] + order
    return asked * design.num_questions + order


def menus(design: Design, seed: int, replicate: int, annotator: np.ndarray, order: np.ndarray) -> torch.Tensor:
    """Menus of some rows, ``(rows, k)`` long."""
    if design.menus is not None:
        return design.menus[menu_numbers(design, seed, replicate, annotator, order)]
    return design.sample(CounterRNG(seed, question_entity(design, annotator, order), replicate))


def menu_numbers(design: Design, seed: int, replicate: int, annotator: np.ndarray, order: np.ndarray) -> torch.Tensor:
    """Which of the listed menus some rows are asked, ``(rows,)`` long."""
    if design.questions == "all":
        return torch.as_tensor(order, dtype=torch.long)
    return sample_numbers(design, CounterRNG(seed, question_entity(design, annotator, order), replicate))


def covariates(
    design: Design, seed: int, replicate: int, annotator: np.ndarray, order: np.ndarray
) -> dict[str, torch.Tensor]:
    """What the questions of some rows show beside their items, each ``(rows, k)``."""
    if not design.covariates:
        return {}
    asked = menu_numbers(design, seed, replicate, annotator, order)
    return {name: value[asked] for name, value in design.covariates.items()}


def answers(
    population: Population,
    view: View,
    seed: int,
    replicate: int,
    row: np.ndarray,
    types: np.ndarray,
    width: int,
    ties: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Answers to the rows of a view (its ``annotator`` is needed), component by component.

    Args:
        population: who answers.
        view: what they see; ``view.annotator`` ``(rows,)``.
        seed, replicate: the address.
        row: ``(rows,)`` row numbers, the entities of streams ``answer`` and ``habit``.
        types: ``(rows,)`` component of each row's annotator.
        width: columns of the answer.
        ties: whether anybody can tie.

    Returns:
        position ``(rows, width)`` int8, and ``tied (rows, k - 1)`` or ``None``.
    """
    annotator = view.annotator.numpy()  # type: ignore[union-attr]
    position = torch.full((len(row), width), -1, dtype=torch.long)
    tied = torch.zeros((len(row), view.k - 1), dtype=torch.bool) if ties else None
    for number, component in enumerate(population.components()):
        mine = np.flatnonzero(types == number)
        if not len(mine):
            continue
        keep = torch.as_tensor(mine)
        scores = component.row_scores(view.items, view.menu[keep], CounterRNG(seed, annotator[mine], replicate))
        given: Answer = component.rule.sample(scores, view.rows(keep), CounterRNG(seed, row[mine], replicate))
        position[keep, : given.position.shape[1]] = given.position
        if tied is not None and given.tied is not None:
            tied[keep] = given.tied
    return position.numpy().astype(np.int8), None if tied is None else tied.numpy()
