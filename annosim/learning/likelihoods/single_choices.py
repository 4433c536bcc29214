"""Sums of a latent-class model over single choices from menus of their own: numpy's exponentials, compiled sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from annosim.compiled import threads
from annosim.compiled.lazy import LazyModule
from annosim.learning.likelihoods.statistics import PartialRankings

__all__ = ["SingleChoices"]

learning_choice = LazyModule("annosim.learning.likelihoods.kernels.choice")


class SingleChoices:
    """A panel of single choices, every menu its own: differences to the chosen, summed in chunks that stay in cache."""

    def __init__(self, features: np.ndarray, offset: np.ndarray, orders: PartialRankings, start: np.ndarray):
        order, length, d = orders.order, orders.length, features.shape[-1]
        self.types, self.d, self.others = len(offset), d, order.shape[1] - 1
        safe = np.maximum(order, 0)
        self.real = (np.arange(1, order.shape[1]) < length[:, None]).reshape(-1)
        self.full = bool(self.real.all())  # nothing is padded
        self.offset = None
        self.difference = (features[safe[:, 1:]] - features[safe[:, :1]]).reshape(-1, d)
        if not self.full:
            self.difference = np.where(self.real[:, None], self.difference, 0.0)
        if (offset != offset[:, :1]).any():
            self.offset = np.stack([(g[safe[:, 1:]] - g[safe[:, :1]]).reshape(-1) for g in offset], 1)
        self.start = start
        rows = max(int(start[-1]), 1)
        self.step = max(1, int((len(start) - 1) * 4096 / (rows * self.others)))

    def __call__(self, theta: np.ndarray, log_share: np.ndarray, weight: np.ndarray) -> tuple[Any, ...] | None:
        """The same sums as the general kernel, or ``None`` where an odds would overflow."""
        types, d = self.types, self.d
        w = theta[: types * d].reshape(types, d)
        parts = list(range(0, len(weight), self.step))
        groups = threads.PARTS if len(self.real) > 50_000 else 1
        found: list[Any] = [None] * groups

        def part(i: int) -> None:
            found[i] = self._sums(w, log_share, weight, parts[i::groups])

        threads.run(part, range(groups), threads.count(None))
        if any(one is None for one in found):
            return None
        value, gradient, blocks, outer, mass = (sum(one[j] for one in found) for j in range(5))
        return self._assemble(value, gradient, blocks, outer, mass, np.exp(log_share))

    def _sums(
        self, w: np.ndarray, log_share: np.ndarray, weight: np.ndarray, parts: list[int]
    ) -> tuple[Any, ...] | None:
        types, d = self.types, self.d
        size = types * d + types
        value, gradient, blocks = 0.0, np.zeros(size), np.zeros((types, d, d))
        outer, mass = np.zeros((size, size)), np.zeros(types)
        for first in parts:
            last = min(first + self.step, len(weight))
            rows = slice(int(self.start[first]) * self.others, int(self.start[last]) * self.others)
            odds = self.difference[rows] @ w.T
            if self.offset is not None:
                odds += self.offset[rows]
            if odds.max(initial=0.0) > 200.0:
                return None
            np.exp(odds, out=odds)
            if not self.full:
                odds *= self.real[rows, None]
            value += learning_choice.panel_sums(
                odds,
                self.difference,
                self.others,
                self.start,
                first,
                last,
                weight,
                log_share,
                gradient,
                blocks,
                outer,
                mass,
            )
        return value, gradient, blocks, outer, mass

    def _assemble(self, value, gradient, blocks, outer, mass, share):
        types, d = self.types, self.d
        base, total = types * d, float(mass.sum())
        information = outer
        for t in range(types):
            own, i = slice(t * d, (t + 1) * d), base + t
            information[own, own] += blocks[t]
            information[own, i] -= gradient[own]
            information[i, own] -= gradient[own]
            information[i, i] -= mass[t]
        gradient[base:] -= total * share
        information[base:, base:] += total * (np.diag(share) - np.outer(share, share))
        return value, gradient[:-1].copy(), blocks, information[:-1, :-1].copy(), mass
