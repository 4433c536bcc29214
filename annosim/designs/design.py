"""Designs: what people are asked. One menu law with two faces, ``sample`` and ``enumerate``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from annosim.errors import ArgumentError, TooLargeError
from annosim.feedback import Feedback, filled_places
from annosim.items import Items
from annosim.random import CounterRNG
from annosim.utilities.densities import as_log_density

__all__ = ["Design", "Menus"]


class Menus(NamedTuple):
    """The menu law, written out.

    Attributes:
        menu: ``(M, k)`` long, ordered menus of item ids, -1 pads.
        probability: ``(M,)`` float64, sums to one.
    """

    menu: torch.Tensor
    probability: torch.Tensor


@dataclass(frozen=True, eq=False)
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
        replacement: overrides whether items of a menu may repeat.
        menus: ``(M, k)`` list of ordered menus, -1 pads.
        menu_weights: ``(M,)`` probabilities of the listed menus.
        prompt_weights: probabilities of the prompts, in ascending order of prompt id; uniform by default.
        depth: places ranked by ``"top"``.
        grades: grades of a ``"rating"``.
        loads: ``(annotators,)`` numbers of questions for each annotator, when they differ (``questions`` is then their
            maximum).

    Raises:
        ArgumentError: a menu of distinct items is larger than a prompt, or a number is out of range.

    Example:
        >>> design = Design(Items(n=4), menu_size=2)
        >>> len(design.enumerate().menu)
        12
    """

    items: Items
    menu_size: int = 2
    feedback: Any = "choice"
    annotators: int = 1000
    questions: Any = 1
    overlap: int = 1
    proposal: Any = None
    replacement: bool | None = None
    menus: Any = None
    menu_weights: Any = None
    prompt_weights: Any = None
    depth: int | None = None
    grades: int | None = None
    loads: Any = None

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        if not isinstance(self.items, Items):
            raise ArgumentError("Design(items=): give an.Items(...)")
        if not isinstance(self.feedback, Feedback):
            put("feedback", Feedback(self.feedback, self.depth, self.grades))
        put("depth", self.feedback.depth)
        put("grades", self.feedback.grades)
        for name in ("annotators", "overlap", "menu_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ArgumentError(f"Design({name}={value!r}): a whole number of at least 1")
        if self.menus is not None:
            self._read_menus(put)
        if self.menu_size < (1 if self.feedback.kind == "rating" else 2):
            raise ArgumentError(f"Design(menu_size={self.menu_size}): a menu needs at least 2 alternatives")
        if self.menu_size > 127:
            raise ArgumentError(f"Design(menu_size={self.menu_size}): answers are int8, so at most 127 alternatives")
        if self.depth is not None and self.depth > self.menu_size:
            raise ArgumentError(f"Design(depth={self.depth}): larger than menu_size={self.menu_size}")
        put("num_questions", self._count_questions())
        if self.loads is not None:
            self._read_loads(put)
        if self.proposal is not None:
            put("log_proposal", as_log_density(self.proposal, self.items))
        put("prompt_ids", self.items.prompts.unique())
        put("prompt_probability", self._prompt_probability())
        if self.menus is None:
            self._check_sizes()

    num_questions: int = field(init=False, default=0)
    filled: tuple[tuple[int, ...], ...] = field(init=False, default=(), repr=False)
    log_proposal: torch.Tensor | None = field(init=False, default=None, repr=False)
    prompt_ids: torch.Tensor = field(init=False, repr=False)
    prompt_probability: torch.Tensor = field(init=False, repr=False)

    def _read_menus(self, put: Any) -> None:
        menus = np.asarray(self.menus, dtype=np.int64)
        if menus.ndim != 2 or menus.shape[0] < 1:
            raise ArgumentError("Design(menus=): an (M, k) list of item ids, -1 pads")
        bad = (menus >= self.items.n) | (menus < -1)
        if bad.any():
            row = int(np.argwhere(bad)[0, 0])
            raise ArgumentError(
                f"Design(menus=): menu {row} names item {int(menus[bad][0])}, ids are 0..{self.items.n - 1}"
            )
        least = 2 if self.feedback.kind == "best-worst" else 1
        short = (menus >= 0).sum(-1) < min(least, menus.shape[1])
        if short.any():
            raise ArgumentError(
                f"Design(menus=): menu {int(short.argmax())} has fewer than {least} item(s); leave it out, or fill it"
            )
        tensor = torch.as_tensor(menus)
        prompts = torch.where(tensor >= 0, self.items.prompts[tensor.clamp_min(0)], self.items.prompts[tensor[:, :1]])
        if bool((prompts != prompts[:, :1]).any()):
            row = int(torch.nonzero((prompts != prompts[:, :1]).any(-1))[0])
            raise ArgumentError(f"Design(menus=): menu {row} mixes items of different prompts; menus stay inside one")
        put("menus", tensor)
        put("filled", filled_places(menus))
        put("menu_size", menus.shape[1])
        weights = np.full(len(menus), 1 / len(menus)) if self.menu_weights is None else self.menu_weights
        weights = torch.as_tensor(np.asarray(weights), dtype=torch.float64)
        if (
            weights.shape != (len(menus),)
            or bool((weights < 0).any())
            or not math.isclose(float(weights.sum()), 1, abs_tol=1e-6)
        ):
            raise ArgumentError(f"Design(menu_weights=): {len(menus)} nonnegative numbers that sum to one")
        put("menu_weights", weights / weights.sum())

    def _count_questions(self) -> int:
        if self.questions == "all":
            if self.menus is None:
                raise ArgumentError('Design(questions="all"): needs menus=, the list that everyone is asked')
            return len(self.menus)
        if isinstance(self.questions, bool) or not isinstance(self.questions, int | np.integer) or self.questions < 1:
            raise ArgumentError(f'Design(questions={self.questions!r}): a whole number of at least 1, or "all"')
        return int(self.questions)

    def _read_loads(self, put: Any) -> None:
        loads = np.asarray(self.loads, dtype=np.int64)
        if loads.shape != (self.annotators,) or (loads < 1).any():
            raise ArgumentError(f"Design(loads=): {self.annotators} whole numbers of at least 1, one per annotator")
        if self.questions == "all" and loads.max() > len(self.menus):
            raise ArgumentError(f"Design(loads=): {loads.max()} questions, but there are {len(self.menus)} menus")
        put("loads", loads)
        put("num_questions", int(loads.max()))

    def _prompt_probability(self) -> torch.Tensor:
        count = len(self.prompt_ids)
        if self.prompt_weights is None:
            return torch.full((count,), 1 / count, dtype=torch.float64)
        weights = torch.as_tensor(np.asarray(self.prompt_weights), dtype=torch.float64)
        if (
            weights.shape != (count,)
            or bool((weights < 0).any())
            or not math.isclose(float(weights.sum()), 1, abs_tol=1e-6)
        ):
            raise ArgumentError(f"Design(prompt_weights=): {count} nonnegative numbers that sum to one, one per prompt")
        return weights / weights.sum()

    def _check_sizes(self) -> None:
        if self.with_replacement:
            return
        for prompt in self.prompt_ids.tolist():
            size = len(self.items.members(prompt))
            if size < self.menu_size:
                raise ArgumentError(
                    f"Design(menu_size={self.menu_size}): prompt {prompt} has only {size} items and a menu's items are "
                    "distinct; lower menu_size or pass replacement=True"
                )

    @property
    def with_replacement(self) -> bool:
        """Whether a menu may show an item twice."""
        return self.proposal is not None if self.replacement is None else bool(self.replacement)

    @property
    def num_rows(self) -> int:
        """Rows of data: annotators x questions (or the sum of the loads)."""
        return int(self.loads.sum()) if self.loads is not None else self.annotators * self.num_questions

    def with_(self, **changes: Any) -> Design:
        """A copy with some settings replaced (``design.with_(questions=4)``)."""
        keep = {name: getattr(self, name) for name in _SETTINGS}
        if {"feedback", "depth", "grades"} & set(changes):
            keep |= {"depth": None, "grades": None}
        return Design(**(keep | changes))

    # ---- the menu law's two faces -------------------------------------------------------------------------------

    def enumerate(self, max_menus: float = 2e7) -> Menus:
        """Every ordered menu with positive probability, and the probability.

        Raises:
            TooLargeError: there are more than ``max_menus``.
        """
        if self.menus is not None:
            keep = (self.menu_weights > 0) | (self.questions == "all")
            return Menus(self.menus[keep], self.menu_weights[keep])
        self._count_menus(max_menus)
        parts = [
            self._enumerate_prompt(prompt, share)
            for prompt, share in zip(self.prompt_ids.tolist(), self.prompt_probability.tolist(), strict=True)
            if share > 0
        ]
        return Menus(torch.cat([m for m, _ in parts]), torch.cat([p for _, p in parts]))

    def _count_menus(self, limit: float) -> None:
        sizes = [len(self.items.members(p)) for p in self.prompt_ids.tolist()]
        k = self.menu_size
        count = sum(s**k if self.with_replacement else math.perm(s, k) for s in sizes)
        if count > limit:
            raise TooLargeError(
                f"the design has {count:.3g} ordered menus, more than {limit:.3g}; fix a list with menus=, use fewer "
                "items or a smaller menu_size"
            )

    def _enumerate_prompt(self, prompt: int, share: float) -> tuple[torch.Tensor, torch.Tensor]:
        ids, k = self.items.members(prompt), self.menu_size
        grid = torch.cartesian_prod(*[torch.arange(len(ids))] * k).reshape(-1, k)
        mass = self._mass(ids)
        if self.with_replacement:
            probability = mass[grid[:, 0]].clone()
            for j in range(1, k):
                probability *= mass[grid[:, j]]
        else:
            ordered = grid.sort(-1).values
            grid = grid[(ordered[:, 1:] != ordered[:, :-1]).all(-1)] if k > 1 else grid
            left = torch.ones(len(grid), dtype=torch.float64)
            probability = torch.ones_like(left)
            for j in range(k):
                probability = probability * mass[grid[:, j]] / left
                left = left - mass[grid[:, j]]
        keep = probability > 0
        return ids[grid[keep]], share * probability[keep]

    def _mass(self, ids: torch.Tensor) -> torch.Tensor:
        """Probability of each item of a prompt for one place on the menu."""
        if self.log_proposal is None:
            return torch.full((len(ids),), 1 / len(ids), dtype=torch.float64)
        mass = (self.log_proposal[ids] + self.items.log_weights[ids]).exp()
        return mass / mass.sum()

    def sample(self, rng: CounterRNG) -> torch.Tensor:
        """Draw a menu for each entity of ``rng``, ``(rows, k)`` long, from the stream ``menu``.

        Word 0 picks the prompt (or the listed menu), words 1 .. k the items.
        """
        if self.menus is not None:
            return self.menus[_invert(self.menu_weights, rng.uniform("menu", 1)[:, 0])]
        prompts = self.prompt_ids.tolist()
        if len(prompts) == 1:
            return self._sample_prompt(prompts[0], rng.raw_uint32("menu", self.menu_size, start=1))
        which = _invert(self.prompt_probability, rng.uniform("menu", 1)[:, 0])
        draws = rng.raw_uint32("menu", self.menu_size, start=1)
        out = torch.empty((len(rng), self.menu_size), dtype=torch.long)
        for number, prompt in enumerate(prompts):
            rows = which == number
            if bool(rows.any()):
                out[rows] = self._sample_prompt(prompt, draws[rows.numpy()])
        return out

    def _sample_prompt(self, prompt: int, draws: np.ndarray) -> torch.Tensor:
        ids = self.items.members(prompt)
        n, k = len(ids), self.menu_size
        if self.log_proposal is None:
            return ids[torch.as_tensor(_uniform_menus(draws, n, k, self.with_replacement))]
        mass = self._mass(ids)
        u = (draws.astype(np.float64) + 0.5) * 2.0**-32
        return ids[_invert(mass, u)] if self.with_replacement else _sequential(ids, mass, u)


_SETTINGS = (
    "items menu_size feedback annotators questions overlap proposal replacement menus menu_weights prompt_weights "
    "depth grades loads"
).split()


def _invert(probability: torch.Tensor, u: np.ndarray) -> torch.Tensor:
    """Inverse distribution function: index of the cell in which each uniform falls."""
    cdf = probability.double().cumsum(0)
    draw = torch.as_tensor(u) * cdf[-1]
    return torch.searchsorted(cdf, draw, right=True).clamp_max(len(cdf) - 1)


def _uniform_menus(draws: np.ndarray, n: int, k: int, replacement: bool) -> np.ndarray:
    """Uniform menus by multiply and shift (each probability is off by less than 2**-32).

    Distinct items are the first ``k`` of a Fisher-Yates shuffle of ``0 .. n - 1``, of which only the places that were
    touched are followed: step ``j`` reads place ``p`` drawn from ``j .. n - 1``, where an earlier step ``i`` that drew
    the same place has left what stood at place ``i``.
    """
    if replacement:
        return ((draws * np.uint64(n)) >> np.uint64(32)).astype(np.int64)
    place = np.empty((len(draws), k), dtype=np.int64)
    menu = np.empty_like(place)
    for j in range(k):
        place[:, j] = j + ((draws[:, j] * np.uint64(n - j)) >> np.uint64(32)).astype(np.int64)
        menu[:, j] = place[:, j]
        for i in reversed(range(j)):
            menu[:, j] = np.where(menu[:, j] == place[:, i], i, menu[:, j])
    return menu


def _sequential(ids: torch.Tensor, mass: torch.Tensor, u: np.ndarray) -> torch.Tensor:
    """Without replacement, each item with probability proportional to its mass among those left."""
    left = mass.expand(len(u), -1).clone()
    menu = torch.empty(u.shape, dtype=torch.long)
    for j in range(u.shape[1]):
        cdf = left.cumsum(-1)
        draw = torch.as_tensor(u[:, j : j + 1]) * cdf[:, -1:]
        pick = torch.searchsorted(cdf, draw, right=True).clamp_max(len(ids) - 1)
        menu[:, j] = pick[:, 0]
        left.scatter_(-1, pick, 0.0)
    return ids[menu]
