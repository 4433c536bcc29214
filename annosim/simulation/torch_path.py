"""Simulation in torch, on any device: menus and Luce's answers from the same raw uint32, in whole-tensor operations.

Slower than numba on a processor; on a GPU it is the path of ``simulate(device="cuda")``, where plain pairs take the
triton kernel of :mod:`annosim.simulation.kernels.triton_pairs`. Answers equal the reference's but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from annosim.designs.design import Design
from annosim.errors import DeviceError
from annosim.parameters import behaves_as
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.random import STREAMS, check_seed

__all__ = ["TorchSampler", "philox4x32", "uniform52", "raw_uint32"]

#: Rows of one pass: bounds the memory of intermediate float64 tensors.
CHUNK = 1 << 24
_MASK = 0xFFFFFFFF


def philox4x32(c0: torch.Tensor, c1: Any, c2: Any, c3: torch.Tensor, key: int) -> tuple[torch.Tensor, ...]:
    """Ten rounds of Philox4x32 on int64 tensors whose values are below 2**32.

    Products of 32-bit numbers keep their 64 bits in int64 (the sign is one of them); shifts are masked.

    Example:
        >>> zero = torch.zeros((), dtype=torch.long)
        >>> [hex(int(w)) for w in philox4x32(zero, zero, zero, zero, 0)]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    k0, k1 = key & _MASK, (key >> 32) & _MASK
    x0, x1, x2, x3 = c0, c1, c2, c3
    for _ in range(10):
        p0, p1 = x0 * 0xD2511F53, x2 * 0xCD9E8D57
        x0, x1, x2, x3 = ((p1 >> 32) & _MASK) ^ x1 ^ k0, p1 & _MASK, ((p0 >> 32) & _MASK) ^ x3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + 0x9E3779B9) & _MASK, (k1 + 0xBB67AE85) & _MASK
    return x0, x1, x2, x3


def raw_uint32(seed: int, stream: str, start: int, count: int, k: int, replicate: int, device: Any) -> torch.Tensor:
    """Raw uint32 number ``k`` of the entities ``start .. start + count - 1``, ``(count,)`` int64 below 2**32.

    Example:
        >>> from annosim.random import raw_uint32 as reference
        >>> raw_uint32(3, "answer", 5, 2, 0, 0, "cpu").tolist() == reference(3, "answer", [5, 6], 0).tolist()
        True
    """
    first, last = start // 64, -(-(start + count) // 64)
    block = torch.arange(first * 16, last * 16, dtype=torch.long, device=device)
    full = torch.ones_like(block)
    c3 = (STREAMS[stream] << 24) | (block >> 32)
    out = philox4x32(block & _MASK, k * full, replicate * full, c3, check_seed(seed))
    ordered = torch.stack([w.view(-1, 16) for w in out], 1).reshape(-1)
    return ordered[start - 64 * first :][:count]


def uniform52(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """The float64 uniform of two raw uint32, as :meth:`annosim.random.CounterRNG.uniform53` makes it."""
    return (((high << 20) | (low >> 12)).double() + 0.5) * 2.0**-52


class TorchSampler:
    """Draws rows on a device.

    Args:
        population: annotators (or a mixture of them) who answer by Luce's rule, or a PBDE.
        design: menus drawn per row, ``questions`` a number; choices, rankings or top.
        seed: 0 .. 2**64 - 1.
        device: where.

    Raises:
        DeviceError: the device is not there, or there is no path for this population or design.
    """

    def __init__(self, population: Population, design: Design, seed: int, device: str = "cuda"):
        self.device = _device(device)
        self.design, self.seed = design, check_seed(seed)
        components = population.components()
        kind = design.feedback.kind
        if design.loads is not None or design.overlap > 1 or kind not in ("choice", "ranking", "top"):
            raise DeviceError(f"device={device!r}: loads, overlap and {kind!r} answers have no path there; use the cpu")
        if population.annotator_weights([0]) is not None:
            raise DeviceError(f"device={device!r}: types that depend on the annotator have no path there; use the cpu")
        for component in components:
            if not behaves_as(component, Annotator) or not component.rule.follows_luce:
                raise DeviceError(f"device={device!r}: only annotators with Luce's rule have a path there; use the cpu")
        with torch.no_grad():
            scores = torch.stack([one.index(design.items).double() for one in components])
            self.scores = scores.to(self.device)
            self.cdf = population.component_weights().detach().double().cumsum(0).to(self.device)
        self.menus = self._menu_drawer()
        self.fused = self._can_fuse()

    @property
    def name(self) -> str:
        """Which path this is, for the data's settings."""
        return "triton" if self.fused else "torch"

    def _can_fuse(self) -> bool:
        """Pairs of distinct items of one prompt on a CUDA device, with odds that fit float64: one triton kernel."""
        from annosim.simulation.kernels.triton_pairs import available

        design = self.design
        plain = design.menus is None and design.log_proposal is None and not design.with_replacement
        pairs = design.menu_size == 2 and design.feedback.kind == "choice" and len(design.prompt_ids) == 1
        spread = float((self.scores.amax(-1) - self.scores.amin(-1)).max())
        if not (self.device.type == "cuda" and available() and plain and pairs and spread <= 600):
            return False
        self.odds = (self.scores - (self.scores.amax(-1, keepdim=True) + self.scores.amin(-1, keepdim=True)) / 2).exp()
        return True

    def columns(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Columns ``annotator`` and ``order`` int32 on the device; ``None`` for one question each."""
        q = self.design.num_questions
        if q == 1:
            return None, None
        row = torch.arange(self.design.num_rows, device=self.device)
        return (row // q).int(), (row % q).int()

    def draw(self, replicate: int = 0) -> dict[str, torch.Tensor]:
        """Columns ``menu`` int32, ``answer`` int8 and ``type`` int8 of all rows, on the device."""
        design, k = self.design, self.design.menu_size
        rows = design.num_rows
        menu = torch.empty(rows, k, dtype=torch.int32, device=self.device)
        flat = design.feedback.kind == "choice"
        answer = torch.empty(rows if flat else (rows, k), dtype=torch.int8, device=self.device)
        types = self._types(replicate)
        if self.fused:
            from annosim.simulation.kernels.triton_pairs import simulate_pairs

            simulate_pairs(menu, answer, self.odds, types, design.num_questions, self.seed, replicate)
            return {"menu": menu, "answer": answer, "type": types}
        with torch.no_grad():
            for low in range(0, rows, CHUNK):
                high = min(low + CHUNK, rows)
                part = self.menus(low, high - low, replicate)
                menu[low:high] = part
                who = torch.arange(low, high, device=self.device) // design.num_questions
                answer[low:high] = self._answers(part, types[who].long(), low, replicate)
        return {"menu": menu, "answer": answer, "type": types}

    def _word(self, stream: str, start: int, count: int, k: int, replicate: int) -> torch.Tensor:
        return raw_uint32(self.seed, stream, start, count, k, replicate, self.device)

    def _types(self, replicate: int) -> torch.Tensor:
        dtype = torch.int8 if len(self.cdf) <= 127 else torch.int32
        people = self.design.annotators
        if len(self.cdf) == 1:
            return torch.zeros(people, dtype=dtype, device=self.device)
        u = (self._word("type", 0, people, 0, replicate).double() + 0.5) * 2.0**-32
        return _cell(self.cdf, u).to(dtype)

    # ---- menus -----------------------------------------------------------------------------------------------------

    def _menu_drawer(self) -> Callable[[int, int, int], torch.Tensor]:
        design = self.design
        if design.questions == "all" and design.menus is not None:
            listed = design.menus.to(self.device)
            return lambda low, count, r: listed[torch.arange(low, low + count, device=self.device) % len(listed)]
        if design.menus is not None and design.menu_weights is not None:
            listed, cdf = design.menus.to(self.device), design.menu_weights.double().cumsum(0).to(self.device)
            return lambda low, count, r: listed[_cell(cdf, self._uniform(low, count, 0, r))]
        ids = [design.items.members(p) for p in design.prompt_ids.tolist()]
        if design.log_proposal is not None:
            if len(ids) > 1 or not design.with_replacement:
                raise DeviceError(
                    "proposals over several prompts or without replacement have no path there; use the cpu"
                )
            members, cdf = ids[0].to(self.device), design.item_mass(ids[0]).cumsum(0).to(self.device)
            return lambda low, count, r: torch.stack(
                [members[_cell(cdf, self._uniform(low, count, j + 1, r))] for j in range(design.menu_size)], -1
            )
        size = torch.tensor([len(i) for i in ids], device=self.device)
        offset, members = size.cumsum(0) - size, torch.cat(ids).to(self.device)
        cdf = design.prompt_probability.cumsum(0).to(self.device)
        return lambda low, count, r: self._uniform_menus(size, offset, members, cdf, low, count, r)

    def _uniform(self, low: int, count: int, k: int, replicate: int) -> torch.Tensor:
        return (self._word("menu", low, count, k, replicate).double() + 0.5) * 2.0**-32

    def _uniform_menus(self, size, offset, members, cdf, low: int, count: int, replicate: int) -> torch.Tensor:
        prompt = _cell(cdf, self._uniform(low, count, 0, replicate)) if len(size) > 1 else torch.zeros_like(size[:1])
        n, first = size[prompt], offset[prompt]
        places: list[torch.Tensor] = []
        menu = []
        for j in range(self.design.menu_size):
            taken = 0 if self.design.with_replacement else j
            word = self._word("menu", low, count, j + 1, replicate)
            place = taken + ((word * (n - taken)) >> 32)
            item = place
            if not self.design.with_replacement:
                for i in reversed(range(j)):
                    item = torch.where(item == places[i], i, item)
            places.append(place)
            menu.append(members[first + item])
        return torch.stack(menu, -1)

    # ---- answers ---------------------------------------------------------------------------------------------------

    def _answers(self, menu: torch.Tensor, kind: torch.Tensor, low: int, replicate: int) -> torch.Tensor:
        scores = torch.where(menu >= 0, self.scores[kind[:, None], menu.clamp_min(0)], -torch.inf)
        count, k = menu.shape
        if self.design.feedback.kind == "choice":
            high, second = (self._word("answer", low, count, j, replicate) for j in (0, 1))
            cdf = torch.softmax(scores, -1).cumsum(-1)
            return torch.searchsorted(cdf, uniform52(high, second)[:, None] * cdf[:, -1:])[:, 0].to(torch.int8)
        word = torch.stack([self._word("answer", low, count, j, replicate) for j in range(k)], -1)
        arrival = torch.log(-torch.log((word.double() + 0.5) * 2.0**-32)) - scores
        order = arrival.argsort(-1)
        gone = ~torch.isfinite(scores).gather(-1, order)
        beyond = torch.arange(k, device=self.device) >= min(self.design.feedback.depth or k, k)
        return torch.where(gone | beyond, -1, order).to(torch.int8)


def _cell(cdf: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    return torch.searchsorted(cdf, u * cdf[-1], right=True).clamp_max(len(cdf) - 1)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"device={name!r}: no such device; use cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device={name!r}: torch finds no CUDA device here; leave out device= for the cpu")
    return device
