"""The menu law of a design: every menu with its probability, and draws of menus."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.errors import TooLargeError
from annosim.random import CounterRNG

if TYPE_CHECKING:
    from annosim.designs.design import Design

__all__ = ["Menus", "enumerate_menus", "item_mass", "sample_menus", "sample_numbers"]


class Menus(NamedTuple):
    """The menu law, written out.

    Attributes:
        menu: ``(M, k)`` long, ordered menus of item ids, -1 pads.
        probability: ``(M,)`` float64, sums to one.
        covariates: of the alternatives as the menus show them, each ``(M, k)`` float64; none where menus are drawn.
    """

    menu: torch.Tensor
    probability: torch.Tensor
    covariates: Mapping[str, torch.Tensor]


def item_mass(design: Design, ids: torch.Tensor) -> torch.Tensor:
    """Probability of each item of a prompt for one place on the menu."""
    if design.log_proposal is None:
        return torch.full((len(ids),), 1 / len(ids), dtype=torch.float64)
    mass = (design.log_proposal[ids] + design.items.log_weights[ids]).exp()
    return mass / mass.sum()


# ---- enumeration -----------------------------------------------------------------------------------------------------


def enumerate_menus(design: Design, max_menus: float) -> Menus:
    """Every ordered menu with positive probability, and the probability."""
    if design.menus is not None:
        menu, share, shown = design.listed
        keep = (share > 0) | (design.questions == "all")
        return Menus(menu[keep], share[keep], {name: value[keep] for name, value in shown.items()})
    _check_count(design, max_menus)
    prompts = zip(design.prompt_ids.tolist(), design.prompt_probability.tolist(), strict=True)
    parts = [_of_prompt(design, prompt, share) for prompt, share in prompts if share > 0]
    return Menus(torch.cat([menu for menu, _ in parts]), torch.cat([probability for _, probability in parts]), {})


def _check_count(design: Design, limit: float) -> None:
    sizes = [len(design.items.members(prompt)) for prompt in design.prompt_ids.tolist()]
    k = design.menu_size
    count = sum(n**k if design.with_replacement else math.perm(n, k) for n in sizes)
    if count > limit:
        raise TooLargeError(
            f"the design has {count:.3g} ordered menus, more than {limit:.3g}; fix a list with menus=, use fewer "
            "items or a smaller menu_size"
        )


def _of_prompt(design: Design, prompt: int, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    ids, k = design.items.members(prompt), design.menu_size
    grid = torch.cartesian_prod(*[torch.arange(len(ids))] * k).reshape(-1, k)
    mass = item_mass(design, ids)
    if design.with_replacement:
        probability = mass[grid].prod(-1)
    else:
        ordered = grid.sort(-1).values
        grid = grid[(ordered[:, 1:] != ordered[:, :-1]).all(-1)] if k > 1 else grid
        taken = mass[grid]
        left = 1 - torch.nn.functional.pad(taken.cumsum(-1)[:, :-1], (1, 0))  # what each place may still choose from
        probability = (taken / left).prod(-1)
    keep = probability > 0
    return ids[grid[keep]], share * probability[keep]


# ---- draws -----------------------------------------------------------------------------------------------------------


def sample_menus(design: Design, rng: CounterRNG) -> torch.Tensor:
    """A menu for each entity: word 0 picks the prompt (or the listed menu), words 1 .. k the items."""
    if design.menus is not None:
        return design.listed.menu[sample_numbers(design, rng)]
    prompts = design.prompt_ids.tolist()
    draws = rng.raw_uint32("menu", design.menu_size, start=1)
    if len(prompts) == 1:
        return _sample_prompt(design, prompts[0], draws)
    which = _invert(design.prompt_probability, rng.uniform("menu", 1)[:, 0])
    out = torch.empty((len(rng), design.menu_size), dtype=torch.long)
    for number, prompt in enumerate(prompts):
        rows = which == number
        if bool(rows.any()):
            out[rows] = _sample_prompt(design, prompt, draws[rows.numpy()])
    return out


def sample_numbers(design: Design, rng: CounterRNG) -> torch.Tensor:
    """Which of the listed menus each entity is asked, ``(rows,)`` long."""
    return _invert(design.listed.probability, rng.uniform("menu", 1)[:, 0])


def _sample_prompt(design: Design, prompt: int, draws: NDArray[np.uint64]) -> torch.Tensor:
    ids = design.items.members(prompt)
    if design.log_proposal is None:
        return ids[torch.as_tensor(_uniform_menus(draws, len(ids), design.menu_size, design.with_replacement))]
    mass = item_mass(design, ids)
    u = (draws.astype(np.float64) + 0.5) * 2.0**-32
    return ids[_invert(mass, u)] if design.with_replacement else _sequential(ids, mass, u)


def _invert(probability: torch.Tensor, u: NDArray[np.float64]) -> torch.Tensor:
    """Inverse distribution function: index of the cell in which each uniform falls."""
    cdf = probability.double().cumsum(0)
    draw = torch.as_tensor(u) * cdf[-1]
    return torch.searchsorted(cdf, draw, right=True).clamp_max(len(cdf) - 1)


def _uniform_menus(draws: NDArray[np.uint64], n: int, k: int, replacement: bool) -> NDArray[np.int64]:
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


def _sequential(ids: torch.Tensor, mass: torch.Tensor, u: NDArray[np.float64]) -> torch.Tensor:
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
