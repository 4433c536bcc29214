"""Questions that annotators may be asked next: menus, what they show, and their possible answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch

from annosim.arrays import Numbers
from annosim.designs.design import Design
from annosim.errors import ArgumentError
from annosim.feedback import AnswerSpace, Feedback
from annosim.items import Items
from annosim.populations.base import Population
from annosim.rules.base import View

__all__ = ["Menus", "Shown", "answer_space", "as_design", "asked_of", "asked_view"]

#: What can be asked: a design (all its menus), or a list of menus ``(M, k)`` of item ids.
Menus = Design | Numbers | Sequence[Sequence[int]]
#: covariates of the alternatives as the menus show them, each ``(M, k)``
Shown: TypeAlias = Mapping[str, torch.Tensor]


def as_design(verb: str, menus: Menus, items: Items, feedback: Feedback) -> Design:
    """Questions as a design: of a list of menus, one with this feedback.

    Raises:
        ArgumentError: neither.
    """
    if isinstance(menus, Design):
        if menus.items.n != items.n or menus.items.names != items.names:
            raise ArgumentError(f"{verb}(menus=): the design has other items; build it on the items of the fit")
        if not _alike(menus.items, items):
            raise ArgumentError(
                f"{verb}(menus=): the design's items have the names of the fit's, and other features or prompts; build it on "
                "the items of the fit"
            )
        return menus
    try:
        return Design(items, menus=menus, feedback=feedback)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{verb}(menus=): give an.Design(items, ...) or a list of menus of item ids, such as [[0, 1], [2, 3]] ({error})"
        ) from None


def _alike(one: Items, other: Items) -> bool:
    """Whether items have the same features and prompts."""
    if not torch.equal(one.prompts, other.prompts) or (one.features is None) != (other.features is None):
        return False
    return one.features is None or other.features is None or torch.equal(one.features, other.features)


def asked_of(verb: str, design: Design, population: Population) -> tuple[torch.Tensor, Shown]:
    """The menus ``(M, k)`` of a design and their covariates, each ``(M, k)``.

    Raises:
        ArgumentError: a rule of the population reads a covariate that the questions do not have.
    """
    listed = design.enumerate() if design.menus is None else None
    asked = torch.as_tensor(design.menus) if listed is None else listed.menu
    shown = design.covariates if listed is None else listed.covariates
    needed = dict.fromkeys(name for component in population.components() for name in component.rule.covariates)
    if missing := [name for name in needed if name not in shown]:
        raise ArgumentError(
            f"{verb}(menus=): the model reads {', '.join(map(repr, missing))} of each question; give "
            f"an.Design(items, menus=[[0, 1]], covariates={{{missing[0]!r}: [[...]]}})"
        )
    return asked, shown


def answer_space(population: Population, items: Items, menus: torch.Tensor, feedback: Feedback) -> AnswerSpace:
    """All answers that some rule of the population can give to these menus."""
    for component in population.components():
        component.rule.check_kind(feedback)
    view = View(items, menus, feedback)
    spaces = [component.rule.space(view) for component in population.components()]
    return max(spaces, key=lambda space: (space.tied is not None, len(space)))


def asked_view(items: Items, menus: torch.Tensor, feedback: Feedback, annotator: int, covariates: Shown) -> View:
    """These menus as the first question of somebody's session."""
    rows = len(menus)
    none_yet = torch.full((rows, feedback.width(menus.shape[-1])), -1)
    who = torch.full((rows,), annotator)
    order = torch.zeros(rows, dtype=torch.long)
    return View(items, menus, feedback, order, none_yet, who, covariates=covariates)
