"""Gauss-Newton on the law: the equations ``law(other) = law(population)``, solved from many starts at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import ndtri

from annosim.coordinates.identifiable import in_float64
from annosim.information.jacobian import factors, listed_law, symmetric_law, symmetric_size, vectors
from annosim.information.support import DesignSupport
from annosim.populations.base import Population
from annosim.random import CounterRNG, child_seed, uniform53

__all__ = ["Equations", "gauss_newton", "subsample", "refine"]

#: most menus that the search looks at; what it finds is checked on all of them
SEARCH_MENUS = 400
#: entries of the small tensor in which two laws are compared during the search
SEARCH_SIZE = 1500
#: reverse differentiation up to so many residuals for each number
REVERSE = 4


def subsample(frame: DesignSupport, components: int, free: int, seed: int) -> DesignSupport:
    """A frame small enough to search in: fewer menus and blocks, no more questions than can matter."""
    # laws of two populations with C components each agree as soon as those of 2C - 1 questions do
    questions = max(1, min(frame.questions, 2 * components - 1))
    if frame.blocks is not None:
        size = int(max(1, 4e6 / max(1, free)))
        width = max(1, _block_width(frame))
        most = max(1, size // width)
        if len(frame.blocks) <= most or frame.block_share is None:
            return frame
        keep = _pick(len(frame.blocks), most, seed)
        return replace(frame, blocks=frame.blocks[keep], block_share=frame.block_share[keep])
    if len(frame.menu) > SEARCH_MENUS:
        keep = _pick(len(frame.menu), SEARCH_MENUS, seed)
        share = frame.share[keep] / frame.share[keep].sum()
        frame = replace(frame, menu=frame.menu[keep], share=share)
    return frame.with_questions(questions)


def _block_width(frame: DesignSupport) -> int:
    kinds = frame.design.feedback.count(frame.design.menu_size, True)
    return int(min(kinds**frame.questions, 1e9))


def _pick(count: int, size: int, seed: int) -> torch.Tensor:
    u = CounterRNG(child_seed(seed, "identify/menus"), np.arange(count)).uniform("analysis", 1)[:, 0]
    return torch.as_tensor(np.sort(np.argsort(u)[:size]))


class Equations:
    """Residuals ``law(v) - law(population)`` of parameter vectors, small enough for Gauss-Newton.

    Args:
        population: the population whose law is to be matched (float64 copy is made).
        frame: see :func:`subsample`.
        seed: of the projection that is used when the tensors are too large.
        target: population with the law to be matched; ``population`` by default.
    """

    def __init__(self, population: Population, frame: DesignSupport, seed: int = 0, target: Population | None = None):
        self.population = in_float64(population)
        self.frame = frame
        self.projection = self._make_projection(seed)
        with torch.no_grad():
            self.target = self._law(in_float64(target) if target is not None else self.population)

    def _make_projection(self, seed: int) -> torch.Tensor | None:
        if self.frame.blocks is not None:
            return None
        with torch.no_grad():
            d = vectors(factors(self.population, self.frame)[1], self.frame).shape[1]
        s = d
        while s > 2 and symmetric_size(s, self.frame.questions) > SEARCH_SIZE:
            s -= 1
        if s == d:
            return None
        # random orthonormal columns: distinct laws stay distinct, whatever the menus
        z = ndtri(uniform53(child_seed(seed, "identify/projection"), "analysis", np.arange(d)[:, None], np.arange(s)))
        return torch.linalg.qr(torch.as_tensor(z))[0] * (d / s) ** 0.5

    def _law(self, population: Population) -> torch.Tensor:
        weight, table = factors(population, self.frame)
        if self.frame.blocks is not None:
            return listed_law(weight, table, self.frame)
        f = vectors(table, self.frame)
        f = f if self.projection is None else f @ self.projection
        return symmetric_law(weight, f, self.frame.questions)

    def residual(self, v: torch.Tensor) -> torch.Tensor:
        """``law(v) - target``, ``(N,)``; differentiable, works under vmap."""
        return self.population.functional_call(v, self._law) - self.target


@dataclass(frozen=True)
class Solved:
    """End points ``(S, n)`` of Gauss-Newton and the norms of their residuals ``(S,)``."""

    at: torch.Tensor
    norm: torch.Tensor


def slope_and_value(
    residual: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Jacobian ``(N, n)`` and value ``(N,)``: in reverse unless there are many more residuals than numbers.

    Forward differentiation of an operation with a constant asks torch's shape rules in Python, a millisecond each.
    """
    value, pull = torch.func.vjp(residual, x)[:2]
    if len(value) > REVERSE * len(x):
        return torch.func.jacfwd(residual)(x), value
    return torch.func.vmap(pull)(torch.eye(len(value), dtype=value.dtype))[0], value


def gauss_newton(
    residual: Callable[[torch.Tensor], torch.Tensor],
    start: torch.Tensor,
    steps: int = 60,
    tol: float = 1e-15,
    enough: Callable[[torch.Tensor], bool] | None = None,
) -> Solved:
    """Levenberg-Marquardt from many starts as one batched program.

    Args:
        residual: ``(n,) -> (N,)``, differentiable.
        start: ``(S, n)``.
        steps: most iterations.
        tol: norm of the residual at which a start is done.
        enough: called with a point that is done; when it says yes, the other starts stop too.
    """
    both = torch.func.vmap(lambda x: slope_and_value(residual, x))
    plain = torch.func.vmap(residual)
    x, n = start.clone(), start.shape[1]
    damping = torch.full((len(x),), 1e-3, dtype=torch.float64)
    jacobian, r = both(x)
    norm = r.norm(dim=-1)
    eye = torch.eye(n, dtype=torch.float64)
    slow = torch.zeros(len(x), dtype=torch.long)
    for _ in range(steps):
        if enough is not None and any(enough(point) for point in x[norm <= tol]):
            break
        live = (norm > tol) & (damping < 1e12) & (slow < 6)
        if not bool(live.any()):
            break
        at = torch.nonzero(live).flatten()
        j = jacobian[at]
        gram = j.transpose(-1, -2) @ j
        top = gram.diagonal(dim1=-2, dim2=-1).amax(-1).clamp_min(1e-300)
        system = gram + (damping[at] * top)[:, None, None] * eye + 1e-15 * top[:, None, None] * eye
        step = torch.linalg.solve(system, -(j.transpose(-1, -2) @ r[at].unsqueeze(-1))).squeeze(-1)
        size = step.norm(dim=-1, keepdim=True)
        step = step * torch.where(size > 4.0, 4.0 / size, torch.ones_like(size))
        trial = x[at] + step
        new = plain(trial).norm(dim=-1)
        better = new < norm[at]
        good = at[better]
        damping[at] = torch.where(better, damping[at] * 0.1, damping[at] * 8.0)
        if len(good):
            slow[good] = torch.where(new[better] > 0.9 * norm[good], slow[good] + 1, torch.zeros_like(slow[good]))
            x[good] = trial[better]
            fresh, value = both(x[good])
            jacobian[good], r[good] = fresh, value
            norm[good] = value.norm(dim=-1)
    return Solved(x, norm)


def refine(
    residual: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor, solved: Solved, points: int = 4
) -> Solved:
    """The starts whose ends are best once more, by full steps of least norm on the Jacobian itself.

    Normal equations lose directions below 1e-8 of the largest, and damping makes their steps tiny: a root that is
    weakly determined is then approached to 1e-8 and never reached.
    """
    at, norm = solved.at.clone(), solved.norm.clone()
    for number in torch.where(torch.isfinite(norm), norm, torch.inf).argsort()[:points].tolist():
        x = start[number]
        for _ in range(8):
            slope, value = slope_and_value(residual, x)
            if not bool(torch.isfinite(slope).all() and torch.isfinite(value).all()):
                break
            step = torch.linalg.lstsq(slope, value[:, None], rcond=1e-13, driver="gelsd").solution[:, 0]
            x = x - step
            new = residual(x).norm()
            if not bool(torch.isfinite(new)):
                break
            if bool(new < norm[number]):
                at[number], norm[number] = x, new
    return Solved(at, norm)
