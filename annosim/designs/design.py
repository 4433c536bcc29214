"""Designs: what people are asked. One menu law with two methods, ``sample`` and ``enumerate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.arrays import Numbers
from annosim.constraints import check_value, check_whole_number, check_whole_numbers
from annosim.designs.menu_law import Menus, enumerate_menus, item_mass, sample_menus
from annosim.designs.menus import lists_twice
from annosim.errors import ArgumentError, told
from annosim.feedback import Feedback, filled_places
from annosim.items import Items
from annosim.parameters import Fixed
from annosim.random import CounterRNG
from annosim.utilities.base import Density
from annosim.utilities.densities import as_log_density

__all__ = ["Design", "DesignSettings", "Menus"]

#: Kinds of feedback, by name or with their settings.
FeedbackLike: TypeAlias = Literal["choice", "ranking", "top", "best-worst", "rating"] | str | Feedback


class DesignSettings(TypedDict, total=False):
    """The settings of a :class:`Design`, for :meth:`Design.with_`."""

    items: Items
    menu_size: int
    feedback: FeedbackLike
    annotators: int
    questions: int | Literal["all"]
    overlap: int
    proposal: Density | Numbers | Fixed | None
    replacement: bool | None
    menus: Numbers | Sequence[Sequence[int]] | None
    menu_weights: Numbers | None
    prompt_weights: Numbers | None
    depth: int | None
    grades: int | None
    loads: Numbers | None
    covariates: Mapping[str, Numbers] | None


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Design:
    """What is asked, of how many people, how often.

    Menus are ordered (position bias needs it) and stay inside a prompt: first a prompt by ``prompt_weights``, then
    items within it. Without a proposal the items of a menu are distinct, uniformly; with one they are drawn i.i.d.,
    with replacement. ``menus=`` fixes the list; each question then draws one of them, i.i.d. uniformly (by
    ``menu_weights``), or every annotator gets all of them in order with ``questions="all"``.

    Args:
        items: the item set.
        menu_size: alternatives on a menu, at least 2 (1 for ratings).
        feedback: ``"choice"``, ``"ranking"``, ``"top"`` (with ``depth``), ``"best-worst"``, ``"rating"`` (with
            ``grades``), or a :class:`~annosim.feedback.Feedback`.
        annotators: how many people.
        questions: questions per annotator, or ``"all"`` (needs ``menus``).
        overlap: how many (consecutive) annotators answer the same questions.
        proposal: density with respect to ``items.weights``, or its vector.
        replacement: overrides whether items of a menu may repeat, drawn or listed.
        menus: ``(M, k)`` list of ordered menus, -1 pads.
        menu_weights: ``(M,)`` probabilities of the listed menus.
        prompt_weights: probabilities of the prompts, in ascending order of prompt id; uniform by default.
        depth: places ranked by ``"top"``.
        grades: grades of a ``"rating"``.
        loads: ``(annotators,)`` numbers of questions for each annotator, when they differ (``questions`` is then their
            maximum). The law of an annotator's block is then the mixture over these numbers.
        covariates: by name, ``(M, k)``: a number of each alternative as each listed menu shows it (a menu may be listed
            again with others), which :class:`~annosim.rules.Covariates` reads. They belong to the question: laws are
            conditional on them, as on the menus.

    Attributes:
        menus, menu_weights: the list and its probabilities, ``(M, k)`` long and ``(M,)`` float64 tensors, or ``None``.
        num_questions: the most questions that an annotator gets.
        log_proposal: ``(n,)`` log density of the proposal, or ``None``.
        prompt_ids, prompt_probability: the prompts, ascending, and their probabilities.

    Raises:
        ArgumentError: a menu of distinct items is larger than a prompt, or a number is out of range.

    Example:
        >>> design = Design(Items(n=4), menu_size=2)
        >>> len(design.enumerate().menu)
        12
    """

    items: Items
    menu_size: int
    feedback: Feedback
    annotators: int
    questions: int | Literal["all"]
    overlap: int
    proposal: Density | Numbers | Fixed | None
    replacement: bool | None
    menus: torch.Tensor | None
    menu_weights: torch.Tensor | None
    prompt_weights: Numbers | None
    depth: int | None
    grades: int | None
    loads: NDArray[np.int64] | None
    covariates: Mapping[str, torch.Tensor]
    num_questions: int
    filled: tuple[tuple[int, ...], ...]
    log_proposal: torch.Tensor | None
    prompt_ids: torch.Tensor
    prompt_probability: torch.Tensor

    def __init__(
        self,
        items: Items,
        menu_size: int = 2,
        feedback: FeedbackLike = "choice",
        annotators: int = 1000,
        questions: int | Literal["all"] = 1,
        overlap: int = 1,
        proposal: Density | Numbers | Fixed | None = None,
        replacement: bool | None = None,
        menus: Numbers | Sequence[Sequence[int]] | None = None,
        menu_weights: Numbers | None = None,
        prompt_weights: Numbers | None = None,
        depth: int | None = None,
        grades: int | None = None,
        loads: Numbers | None = None,
        covariates: Mapping[str, Numbers] | None = None,
    ) -> None:
        if not isinstance(items, Items):
            raise ArgumentError("Design(items=): give an.Items(...)")
        kind = feedback if isinstance(feedback, Feedback) else Feedback(feedback, depth, grades)
        self._put(items=items, feedback=kind, depth=kind.depth, grades=kind.grades)
        self._put(proposal=proposal, replacement=replacement, prompt_weights=prompt_weights)
        for name, value in (("annotators", annotators), ("overlap", overlap), ("menu_size", menu_size)):
            self._put(**{name: check_whole_number(f"Design({name}=)", value)})
        self._put(**self._listed(menus, menu_weights))
        self._check_menu_size()
        self._put(**self._asked(questions, loads))
        self._put(covariates=self._shown({} if covariates is None else covariates))
        self._put(log_proposal=None if proposal is None else as_log_density(proposal, items))
        self._put(prompt_ids=items.prompts.unique())
        self._put(prompt_probability=self._prompt_probability())
        if self.menus is None:
            self._check_prompts()

    def _put(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    # ---- settings, read and checked ----------------------------------------------------------------------------------

    def _listed(self, menus: Numbers | Sequence[Sequence[int]] | None, weights: Numbers | None) -> dict[str, object]:
        """The listed menus, their probabilities and their size."""
        if menus is None:
            return {"menus": None, "menu_weights": None, "filled": ()}
        array = check_whole_numbers("Design(menus=)", menus)
        if array.ndim != 2 or array.shape[0] < 1:
            raise ArgumentError("Design(menus=): an (M, k) list of item ids, -1 pads")
        self._check_ids(array)
        self._check_one_prompt(array)
        count = len(array)
        share = check_value(
            "Design(menu_weights=)", np.full(count, 1 / count) if weights is None else weights, "simplex"
        )
        if share.shape != (count,):
            raise ArgumentError(f"Design(menu_weights=): {count} nonnegative numbers that sum to one")
        return {
            "menus": torch.as_tensor(array),
            "menu_weights": share,
            "filled": filled_places(array),
            "menu_size": array.shape[1],
        }

    def _check_ids(self, menus: NDArray[np.int64]) -> None:
        n = self.items.n
        bad = (menus >= n) | (menus < -1)
        if bad.any():
            row = int(np.argwhere(bad)[0, 0])
            raise ArgumentError(f"Design(menus=): menu {row} names item {int(menus[bad][0])}, ids are 0..{n - 1}")
        if not self.with_replacement and (twice := lists_twice(menus)).any():
            raise ArgumentError(
                f"Design(menus=): menu {int(twice.argmax())} lists an item twice; list each item once, or pass "
                "replacement=True"
            )
        least = min(2 if self.feedback.kind == "best-worst" else 1, menus.shape[1])
        short = (menus >= 0).sum(-1) < least
        if short.any():
            raise ArgumentError(
                f"Design(menus=): menu {int(short.argmax())} has fewer than {least} item(s); leave it out, or fill it"
            )

    def _check_one_prompt(self, menus: NDArray[np.int64]) -> None:
        prompt = self.items.prompts.cpu().numpy()[menus]
        first = prompt[np.arange(len(menus)), (menus >= 0).argmax(1)][:, None]
        mixed = ((prompt != first) & (menus >= 0)).any(1)
        if mixed.any():
            raise ArgumentError(
                f"Design(menus=): menu {int(mixed.argmax())} mixes items of different prompts; menus stay inside one"
            )

    def _check_menu_size(self) -> None:
        if self.menu_size < (1 if self.feedback.kind == "rating" else 2):
            raise ArgumentError(f"Design(menu_size={self.menu_size}): a menu needs at least 2 alternatives")
        if self.menu_size > 127:
            raise ArgumentError(f"Design(menu_size={self.menu_size}): answers are int8, so at most 127 alternatives")
        if self.depth is not None and self.depth > self.menu_size:
            raise ArgumentError(f"Design(depth={self.depth}): larger than menu_size={self.menu_size}")

    def _asked(self, questions: int | Literal["all"], loads: Numbers | None) -> dict[str, object]:
        """Numbers of questions: for all, and for each annotator where they differ."""
        if questions == "all":
            if self.menus is None:
                raise ArgumentError('Design(questions="all"): needs menus=, the list that everyone is asked')
            most = len(self.menus)
        elif isinstance(questions, str):
            raise ArgumentError(f'Design(questions={told(questions)}): a whole number of at least 1, or "all"')
        else:
            questions = most = check_whole_number("Design(questions=)", questions)
        if loads is None:
            return {"questions": questions, "num_questions": most, "loads": None}
        each = check_whole_numbers("Design(loads=)", loads, (self.annotators,))
        if (each < 1).any():
            raise ArgumentError(f"Design(loads=): {self.annotators} whole numbers of at least 1, one per annotator")
        if questions == "all" and each.max() > most:
            raise ArgumentError(f"Design(loads=): {each.max()} questions, but there are {most} menus")
        return {"questions": questions, "num_questions": int(each.max()), "loads": each}

    def _shown(self, covariates: Mapping[str, Numbers]) -> dict[str, torch.Tensor]:
        """Covariates of the listed menus, zero at pads."""
        if not isinstance(covariates, Mapping):
            raise ArgumentError("Design(covariates=): numbers (M, k) by name, {'length': ...}")
        if self.menus is None:
            if covariates:
                raise ArgumentError("Design(covariates=): they belong to listed questions; give menus= too")
            return {}
        out = {}
        for name, value in covariates.items():
            if not isinstance(name, str) or not name or "." in name:
                raise ArgumentError(f"Design(covariates=): {name!r} cannot be a name; give a text without a dot")
            numbers = check_value(f"Design(covariates={{{name!r}: }})", value, "real")
            if numbers.shape != self.menus.shape:
                raise ArgumentError(
                    f"Design(covariates=): {name!r} has shape {tuple(numbers.shape)}; give a number for each place of "
                    f"each menu, {tuple(self.menus.shape)}"
                )
            out[str(name)] = torch.where(self.menus >= 0, numbers, 0.0)
        return out

    def _prompt_probability(self) -> torch.Tensor:
        count = len(self.prompt_ids)
        if self.prompt_weights is None:
            return torch.full((count,), 1 / count, dtype=torch.float64)
        share = check_value("Design(prompt_weights=)", self.prompt_weights, "simplex")
        if share.shape != (count,):
            raise ArgumentError(f"Design(prompt_weights=): {count} nonnegative numbers that sum to one, one per prompt")
        return share

    def _check_prompts(self) -> None:
        if self.with_replacement:
            return
        for prompt in self.prompt_ids.tolist():
            size = len(self.items.members(prompt))
            if size < self.menu_size:
                raise ArgumentError(
                    f"Design(menu_size={self.menu_size}): prompt {prompt} has only {size} items and a menu's items are "
                    "distinct; lower menu_size or pass replacement=True"
                )

    # ---- what follows from them --------------------------------------------------------------------------------------

    @property
    def with_replacement(self) -> bool:
        """Whether a menu may show an item twice."""
        return self.proposal is not None if self.replacement is None else bool(self.replacement)

    @property
    def num_rows(self) -> int:
        """Rows of data: annotators x questions (or the sum of the loads)."""
        return int(self.loads.sum()) if self.loads is not None else self.annotators * self.num_questions

    @property
    def load_shares(self) -> dict[int, float]:
        """Numbers of questions, ascending, and the share of annotators who get each.

        Example:
            >>> Design(Items(n=3), annotators=4, loads=[1, 1, 1, 8]).load_shares
            {1: 0.75, 8: 0.25}
        """
        if self.loads is None:
            return {self.num_questions: 1.0}
        sizes, counts = np.unique(self.loads, return_counts=True)
        return dict(zip(sizes.tolist(), (counts / counts.sum()).tolist(), strict=True))

    def of_load(self, questions: int) -> Design:
        """The design of the annotators who get this many questions."""
        if self.menus is not None and self.questions == "all":
            shown = {name: value[:questions] for name, value in self.covariates.items()}
            return self.with_(menus=self.menus[:questions], menu_weights=None, loads=None, covariates=shown)
        return self.with_(questions=questions, loads=None)

    def with_(self, **changes: Unpack[DesignSettings]) -> Design:
        """A copy with some settings replaced (``design.with_(questions=4)``)."""
        settings: DesignSettings = {name: getattr(self, name) for name in DesignSettings.__annotations__}  # type: ignore[assignment]
        if {"feedback", "depth", "grades"} & set(changes):
            settings |= {"depth": None, "grades": None}
        if "menus" in changes and "covariates" not in changes:
            settings |= {"covariates": None}  # they belong to the menus that go
        return Design(**(settings | changes))

    @property
    def listed(self) -> Menus:
        """The listed menus and their probabilities; a design that draws its menus is refused.

        Raises:
            ArgumentError: the design has no list.
        """
        if self.menus is None or self.menu_weights is None:
            raise ArgumentError("this design draws its menus; give Design(menus=...)")
        return Menus(self.menus, self.menu_weights, self.covariates)

    def enumerate(self, max_menus: float = 2e7) -> Menus:
        """Every ordered menu with positive probability, and the probability.

        Raises:
            TooLargeError: there are more than ``max_menus``.
        """
        return enumerate_menus(self, max_menus)

    def sample(self, rng: CounterRNG) -> torch.Tensor:
        """Draw a menu for each entity of ``rng``, ``(rows, k)`` long, from the stream ``menu``."""
        return sample_menus(self, rng)

    def item_mass(self, ids: torch.Tensor) -> torch.Tensor:
        """Probability of each of a prompt's items for one place on the menu, ``(len(ids),)``."""
        return item_mass(self, ids)

    def __repr__(self) -> str:
        listed = f"menus={len(self.menus)}" if self.menus is not None else f"menu_size={self.menu_size}"
        loads = "loads=..., " if self.loads is not None else ""
        return (
            f"Design({self.items!r}, {listed}, feedback={self.feedback.kind!r}, annotators={self.annotators}, "
            f"{loads}questions={self.questions!r})"
        )
