"""Preference data as tensors on a device, cut by annotator into minibatches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.learning.objectives import Objective, columns_of
from annosim.random import torch_generator
from annosim.rules.base import Answer, View

__all__ = ["Rows", "rows_of"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of data ready for a rule; with ``R`` replicates they are stacked: replicate r's rows follow those of r - 1.

    Attributes:
        view: ``(rows,)`` fields of the questions.
        answer: the answers.
        block: ``(rows,)`` long, position of the row's annotator among the blocks, replicates one after another.
        weight: ``(blocks,)`` float64 annotator weights, scaled so that each replicate's sum to one.
        replicate: ``(rows,)`` long.
        columns: named float64 columns, ``(rows,)``.
        replicates: R.
        single: every block has exactly one row, in order.
        padded: some menu is shorter than the widest.
    """

    view: View
    answer: Answer
    block: torch.Tensor
    weight: torch.Tensor
    replicate: torch.Tensor
    columns: dict[str, torch.Tensor]
    replicates: int
    single: bool
    padded: bool

    @cached_property
    def pairs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """Winner and loser (item + n x replicate), and weight, equal pairs merged; ``None`` unless pairs are plain.

        Plain: every annotator chooses once from a pair, without ties or skips, and no column is read. The rows of one
        replicate need not be as many as those of another.
        """
        position = self.answer.position
        plain = self.single and not self.columns and self.answer.tied is None and position.shape[-1] == 1
        if not plain or self.view.feedback.kind != "choice" or self.view.k != 2 or self.padded:
            return None
        if bool((position < 0).any()):
            return None
        n = self.view.items.n
        size = n * self.replicates
        ids = self.view.menu + (self.replicate * n)[:, None]
        code = ids.gather(1, position) * size + ids.gather(1, 1 - position)
        unique, place = torch.unique(code[:, 0], return_inverse=True)
        weight = torch.zeros(len(unique), dtype=torch.float64, device=self.device).index_add_(0, place, self.weight)
        return unique // size, unique % size, weight

    @cached_property
    def shown(self) -> torch.Tensor:
        """Ids of the items on the rows' menus, ascending."""
        menu = self.view.menu
        return torch.unique(menu[menu >= 0])

    @cached_property
    def shown_each(self) -> torch.Tensor:
        """Ids of the items on each replicate's menus, ``(R, m)``, ascending, padded with n; m is a multiple of 64, so
        that batches have few shapes."""
        n, r = self.view.items.n, self.replicates
        menu = self.view.menu
        code = torch.unique((menu + (self.replicate * n)[:, None])[menu >= 0])
        count = torch.bincount(code // n, minlength=r)
        place = torch.arange(len(code), device=self.device) - (count.cumsum(0) - count)[code // n]
        width = min(n, -(-int(count.max()) // 64) * 64)
        out = torch.full((r, width), n, dtype=torch.long, device=self.device)
        out[code // n, place] = code % n
        return out

    @property
    def blocks(self) -> int:
        """Blocks of one replicate."""
        return len(self.weight) // self.replicates

    @property
    def device(self) -> torch.device:
        """Where the rows lie."""
        return self.weight.device

    def take_blocks(self, blocks: torch.Tensor) -> Rows:
        """The rows of some blocks (numbers within a replicate, ascending), of every replicate.

        Weights are scaled up by the share that was taken, so that a random minibatch's weighted sum is an unbiased
        estimate of that of all. The work grows with the rows that are taken, not with the data.
        """
        n, r = self.blocks, self.replicates
        taken = (torch.arange(r, device=self.device)[:, None] * n + blocks).flatten()
        keep, block = self._rows_of(taken)
        weight = self.weight[taken] * (n / len(blocks))
        at = lambda t: None if t is None else t[keep]  # noqa: E731
        return replace(
            self,
            view=self.view.rows(keep),
            answer=Answer(self.answer.position[keep], at(self.answer.tied)),
            block=block,
            weight=weight,
            replicate=self.replicate[keep],
            columns={name: value[keep] for name, value in self.columns.items()},
        )

    def normalised(self) -> Rows:
        """The same rows with the weights of each replicate's blocks summing to one.

        Raises:
            ArgumentError: they are all zero.
        """
        weight = self.weight.view(self.replicates, self.blocks)
        total = weight.sum(-1, keepdim=True)
        if not bool((total > 0).all()):
            raise ArgumentError("fit(held_out=): all annotators of one of the two parts have weight zero; drop those")
        return replace(self, weight=(weight / total).reshape(-1))

    def _rows_of(self, taken: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of some blocks of all replicates, and each row's place among these blocks."""
        place = torch.arange(len(taken), device=self.device)
        if self.single:
            return taken, place
        order, start, count = self._index
        sizes = count[taken]
        block = place.repeat_interleave(sizes)
        within = torch.arange(len(block), device=self.device) - (sizes.cumsum(0) - sizes)[block]
        return order[start[taken][block] + within], block

    @cached_property
    def _index(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rows sorted by block, and where each block begins and how long it is."""
        count = torch.bincount(self.block, minlength=len(self.weight))
        return self.block.argsort(stable=True), count.cumsum(0) - count, count


def rows_of(
    data: PreferenceData, objective: Objective, items: Items, copies: int = 1, device: str | torch.device = "cpu"
) -> Rows:
    """Tensors of the data; ``copies`` repeats them for as many starts.

    Args:
        data: with or without a replicate axis.
        objective: says which columns are read.
        items: the item set on the device.
        copies: starts per replicate; all starts of replicate 0 come first.
    """
    parts = [data] if data.replicates is None else [data[r] for r in range(data.replicates)]
    parts = [part for part in parts for _ in range(copies)]
    tables = [_one(part, objective, r, device) for r, part in enumerate(parts)]

    def join(name: str) -> Any:
        return torch.cat([t[name] for t in tables]) if tables[0][name] is not None else None

    view = View(items, join("menu"), data.feedback, join("order"), None, join("annotator"), join("prompt"))
    return Rows(
        view=view,
        answer=Answer(join("position"), join("tied")),
        block=torch.cat([t["block"] + r * len(tables[0]["weight"]) for r, t in enumerate(tables)]),
        weight=join("weight"),
        replicate=torch.cat([torch.full((len(t["menu"]),), r, device=device) for r, t in enumerate(tables)]),
        columns={name: torch.cat([t["columns"][name] for t in tables]) for name in objective.columns()},
        replicates=len(parts),
        single=all(t["single"] for t in tables),
        padded=any(bool((t["menu"] < 0).any()) for t in tables),
    )


def _one(data: PreferenceData, objective: Objective, replicate: int, device: Any) -> dict[str, Any]:
    view, answer = data.view(device), data.answers(device)
    ids = np.asarray(data.annotator_ids)
    names, block = np.unique(ids, return_inverse=True)
    weight = torch.as_tensor(data.annotator_weight[names], dtype=torch.float64, device=device)
    if not float(weight.sum()) > 0:
        raise ArgumentError("fit: all annotators have weight zero; give some a positive weight")
    return {
        "menu": view.menu,
        "order": view.order,
        "annotator": view.annotator,
        "prompt": view.prompt,
        "position": answer.position,
        "tied": answer.tied,
        "block": torch.as_tensor(block, dtype=torch.long, device=device),
        "weight": weight / weight.sum(),
        "columns": columns_of(objective, data.columns, device),
        "single": len(names) == len(ids) and bool((np.diff(block) > 0).all() if len(block) > 1 else True),
    }


def shuffled_batches(blocks: int, batch: int, seed: int, epoch: int) -> list[torch.Tensor]:
    """Block numbers of one epoch's minibatches, without replacement; they depend on (seed, epoch) only.

    Example:
        >>> [len(b) for b in shuffled_batches(10, 4, seed=0, epoch=0)]
        [4, 4, 2]
    """
    order = torch.randperm(blocks, generator=torch_generator(seed, f"epoch {epoch}"))
    return [part.sort().values for part in order.split(batch)]
