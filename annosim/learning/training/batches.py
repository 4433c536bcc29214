"""Preference data as tensors, cut by annotator into minibatches, and sent to a device.

Minibatches are put together on the CPU, where reading values forces no device synchronisation: which items they show,
which pairs are equal, how many rows an annotator has. What a step then asks for is sent; nothing waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import torch

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.items import Items, send
from annosim.learning.fingerprint import checksum
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
        replicates: R; a replicate's rows follow each other.
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
    def pairs(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Winner and loser (item + n x replicate) and replicate ``(3, pairs)``, and weight ``(pairs,)``, equal pairs
        merged; ``None`` unless plain.

        Plain: every annotator chooses once from a pair, without ties or skips, and no column is read. The rows of one
        replicate need not be as many as those of another.
        """
        position = self.answer.position
        read = self.columns or self.view.covariates
        plain = self.single and not read and self.answer.tied is None and position.shape[-1] == 1
        if not plain or self.view.feedback.kind != "choice" or self.view.k != 2 or self.padded:
            return None
        if bool((position < 0).any()):
            return None
        n = self.items.n
        size = n * self.replicates
        ids = self.view.menu + (self.replicate * n)[:, None]
        code = ids.gather(1, position) * size + ids.gather(1, 1 - position)
        unique, place = torch.unique(code[:, 0], return_inverse=True)
        weight = torch.zeros(len(unique), dtype=torch.float64, device=self.device).index_add_(0, place, self.weight)
        return torch.stack([unique // size, unique % size, unique // (size * n)]), weight

    @cached_property
    def shown(self) -> torch.Tensor:
        """Ids of the items on the rows' menus, ascending, on the CPU."""
        menu = self.view.menu
        return torch.unique(menu[menu >= 0])

    @cached_property
    def shown_each(self) -> torch.Tensor:
        """Ids of the items on each replicate's menus, ``(R, m)``, ascending, padded with n; m is a multiple of 64, so
        that batches have few shapes."""
        n, r = self.items.n, self.replicates
        menu = self.view.menu
        code = torch.unique((menu + (self.replicate * n)[:, None])[menu >= 0])
        count = torch.bincount(code // n, minlength=r)
        place = torch.arange(len(code), device=self.device) - (count.cumsum(0) - count)[code // n]
        width = min(n, -(-int(count.max()) // 64) * 64)
        out = torch.full((r, width), n, dtype=torch.long, device=self.device)
        out[code // n, place] = code % n
        return out

    @cached_property
    def places(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Every place on a menu as item + n x replicate ``(places,)``, and how many each replicate has ``(R,)``."""
        menu = self.view.menu
        at = (menu.clamp_min(0) + (self.replicate * self.items.n)[:, None])[menu >= 0]
        return at, torch.bincount(at // self.items.n, minlength=self.replicates)

    @cached_property
    def people(self) -> torch.Tensor:
        """Number of each block's annotator, ``(blocks,)``, of data that name them; replicates one after another."""
        out = torch.zeros(len(self.weight), dtype=torch.long, device=self.device)
        out[self.block] = self.view.annotator.long()  # type: ignore[union-attr]
        return out

    @cached_property
    def parts(self) -> list[tuple[Answer, View, dict[str, torch.Tensor]]]:
        """Answers, view and columns of each replicate."""
        sizes = torch.bincount(self.replicate, minlength=self.replicates).tolist()
        ends = list(accumulate(sizes))
        out = []
        for at in (slice(end - size, end) for end, size in zip(ends, sizes, strict=True)):
            tied = None if self.answer.tied is None else self.answer.tied[at]
            columns = {name: value[at] for name, value in self.columns.items()}
            out.append((Answer(self.answer.position[at], tied), self.view.rows(at), columns))
        return out

    def to(self, device: str | torch.device) -> Rows:
        """The rows on ``device``, each part of them sent when it is asked for."""
        return self if torch.device(device).type == "cpu" else DeviceRows(self, torch.device(device))

    @property
    def items(self) -> Items:
        """The item set."""
        return self.view.items

    @property
    def blocks(self) -> int:
        """Blocks of one replicate."""
        return len(self.weight) // self.replicates

    @property
    def device(self) -> torch.device:
        """Where the rows lie."""
        return self.weight.device

    def take_blocks(self, blocks: torch.Tensor) -> Rows:
        """The rows of some blocks (numbers within a replicate, ascending, on the CPU), of every replicate.

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

    def fingerprint(self) -> list[int]:
        """Of the questions, the answers, who gave them and the columns that the objective reads."""
        parts = [self.view.menu, self.answer.position, self.weight, self.block, *self.columns.values()]
        parts += self.view.covariates.values()
        return [checksum(part) for part in (*parts, self.answer.tied) if part is not None]

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


class _FromHost:
    """An attribute that is made by the rows on the CPU, sent when it is first read, and kept."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, rows: DeviceRows, owner: type | None = None) -> Any:
        rows.__dict__[self.name] = _moved(getattr(rows.host, self.name), rows.device)
        return rows.__dict__[self.name]


class DeviceRows(Rows):
    """Rows on a device. A step reads few of their attributes, and waits for none of them."""

    view, answer, block, weight, replicate, columns = (_FromHost() for _ in range(6))
    pairs, shown_each, places, people, parts = (_FromHost() for _ in range(5))

    def __init__(self, host: Rows, place: torch.device):
        self.__dict__.update(host=host, place=place, replicates=host.replicates, single=host.single, padded=host.padded)

    @property
    def host(self) -> Rows:
        """The rows on the CPU."""
        return self.__dict__["host"]

    @property
    def device(self) -> torch.device:
        return self.__dict__["place"]

    @property
    def shown(self) -> torch.Tensor:
        return self.host.shown

    @property
    def items(self) -> Items:
        return self.host.items

    @property
    def blocks(self) -> int:
        return self.host.blocks

    def fingerprint(self) -> list[int]:
        return self.host.fingerprint()

    def to(self, device: str | torch.device) -> Rows:
        return self.host.to(device)

    def take_blocks(self, blocks: torch.Tensor) -> Rows:
        return self.host.take_blocks(blocks).to(self.device)

    def normalised(self) -> Rows:
        return self.host.normalised().to(self.device)


def _moved(value: Any, place: torch.device) -> Any:
    """Tensors, views and answers on a device, and collections of them."""
    if isinstance(value, tuple | list):
        return type(value)(_moved(part, place) for part in value)
    if isinstance(value, dict):
        return {name: _moved(part, place) for name, part in value.items()}
    if value is None:
        return None
    return send(value, place) if isinstance(value, torch.Tensor) else value.to(place)


def rows_of(
    data: PreferenceData, objective: Objective, items: Items, copies: int = 1, device: str | torch.device = "cpu"
) -> Rows:
    """Tensors of the data; ``copies`` repeats them for as many starts.

    Args:
        data: with or without a replicate axis.
        objective: says which columns are read.
        items: the item set on the device.
        copies: starts per replicate; all starts of replicate 0 come first.
        device: where the rows are read.
    """
    parts = [data] if data.replicates is None else [data[r] for r in range(data.replicates)]
    parts = [part for part in parts for _ in range(copies)]
    tables = [_one(part, objective) for part in parts]
    people = [len(t["weight"]) for t in tables]
    if len(set(people)) > 1:
        one, other = list(dict.fromkeys(people))[:2]
        raise ArgumentError(
            f"train: replicates of {one} and {other} annotators are no batch; train them one by one, as fit does"
        )

    def join(name: str) -> Any:
        return torch.cat([t[name] for t in tables]) if tables[0][name] is not None else None

    shown = {name: torch.cat([t["covariates"][name] for t in tables]) for name in data.covariates}
    view = View(items, join("menu"), data.feedback, join("order"), None, join("annotator"), join("prompt"), shown)
    rows = Rows(
        view=view,
        answer=Answer(join("position"), join("tied")),
        block=torch.cat([t["block"] + r * len(tables[0]["weight"]) for r, t in enumerate(tables)]),
        weight=join("weight"),
        replicate=torch.cat([torch.full((len(t["menu"]),), r) for r, t in enumerate(tables)]),
        columns={name: torch.cat([t["columns"][name] for t in tables]) for name in objective.columns()},
        replicates=len(parts),
        single=all(t["single"] for t in tables),
        padded=any(bool((t["menu"] < 0).any()) for t in tables),
    )
    return rows.to(device)


def _one(data: PreferenceData, objective: Objective) -> dict[str, Any]:
    view, answer = data.view(), data.answers()
    ids = np.asarray(data.annotator_ids)
    names, block = np.unique(ids, return_inverse=True)
    weight = torch.as_tensor(data.annotator_weight[names], dtype=torch.float64)
    if not float(weight.sum()) > 0:
        raise ArgumentError("fit: all annotators have weight zero; give some a positive weight")
    return {
        "menu": view.menu,
        "order": view.order,
        "annotator": view.annotator,
        "prompt": view.prompt,
        "covariates": view.covariates,
        "position": answer.position,
        "tied": answer.tied,
        "block": torch.as_tensor(block, dtype=torch.long),
        "weight": weight / weight.sum(),
        "columns": columns_of(objective, data.columns),
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
