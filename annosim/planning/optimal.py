"""D-optimal choice of menus by greedy exchange (Fedorov 1972)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from annosim.autodiff import forward_jacobian
from annosim.constraints import check_whole_number
from annosim.coordinates import identifiable_coordinates
from annosim.coordinates.identifiable import in_float64
from annosim.designs.design import Design
from annosim.information.jacobian import factors
from annosim.information.support import DesignSupport, prepare
from annosim.populations.base import Population
from annosim.results import Result

__all__ = ["OptimalDesign", "d_optimal", "menu_information"]


@dataclass(frozen=True, eq=False, repr=False)
class OptimalDesign(Result):
    """Menus that were chosen.

    Attributes:
        design: the design that asks them (one question drawn per annotator and question, as in the design given).
        log_determinant: of the information of one question on the identifiable coordinates, ``-inf`` when singular.
        uniform: the same for all candidate menus asked equally often.
        efficiency: D-efficiency of the chosen menus relative to the uniform design.
    """

    design: Design
    log_determinant: float
    uniform: float
    efficiency: float

    def _lines(self) -> list[tuple[str, object]]:
        return [
            ("menus", len(self.design.listed.menu)),
            ("log determinant", self.log_determinant),
            ("all candidates equally often", self.uniform),
            ("relative D-efficiency", self.efficiency),
        ]


def menu_information(population: Population, design: Design, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Menus ``(M, k)`` and the information of one question about each on the identifiable coordinates ``(M, r, r)``.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Tabular(3), an.Luce())
        >>> menu_information(one, an.Design(an.Items(n=3)))[1].shape
        torch.Size([3, 2, 2])
    """
    frame, information = _candidates(population, design, seed)
    return frame.menu, information


def _candidates(population: Population, design: Design, seed: int) -> tuple[DesignSupport, torch.Tensor]:
    """The questions of a design, and the information of one of each ``(M, r, r)``."""
    population = in_float64(population)
    basis = identifiable_coordinates(population, design.items).basis
    frame = prepare(population, design.with_(questions=1) if design.questions != "all" else design, seed=seed)

    def marginal(x: torch.Tensor) -> torch.Tensor:
        weight, table = population.functional_call(x, lambda p: factors(p, frame))
        # a row of covariates carries the root of its probability, and is wanted with the whole of it
        return torch.einsum("xc,cma->mxa", weight / len(weight) ** 0.5, table[0, -1]).flatten(1)

    v = population.vector()
    p, dp = marginal(v).detach(), forward_jacobian(marginal, v).detach() @ basis
    scaled = torch.where(p > 0, p, torch.ones_like(p)).rsqrt().unsqueeze(-1) * dp
    return frame, scaled.transpose(-1, -2) @ scaled


def d_optimal(population: Population, design: Design, menus: int, *, sweeps: int = 20, seed: int = 0) -> OptimalDesign:
    """Choose ``menus`` of the design's menus (an exact design: a menu may be chosen twice) to maximise log det of the
    information.

    Greedy addition from a slightly regularised start, then exchanges until no single exchange helps. For a mixture the
    information is that of one question per annotator (with more, it is not additive over menus).

    Raises:
        ArgumentError: fewer menus than one.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Linear([1.0]), an.Luce())
        >>> best = d_optimal(one, an.Design(an.Items.normal(8, 1, seed=0)), menus=1)
        >>> best.efficiency > 1
        True
    """
    check_whole_number("d_optimal(menus=)", menus)
    frame, info = _candidates(population, design, seed)
    candidates = frame.menu
    r = info.shape[-1]
    chosen = _greedy(info, menus)
    total = info[chosen].sum(0)
    for _ in range(sweeps):
        moved = False
        for place in range(menus):
            rest = total - info[chosen[place]]
            score = torch.linalg.slogdet(rest + info + 1e-12 * torch.eye(r, dtype=info.dtype))[1]
            best = int(score.argmax())
            if float(score[best]) > float(score[chosen[place]]) + 1e-9:
                chosen[place], total, moved = best, rest + info[best], True
        if not moved:
            break
    value, base = _log_det(total / menus), _log_det(info.mean(0))
    counts = torch.bincount(torch.tensor(chosen), minlength=len(candidates))
    keep = torch.nonzero(counts).flatten()
    share = counts[keep].double() / menus
    best_design = design.with_(
        menus=candidates[keep].numpy(),
        menu_weights=share.numpy(),
        covariates={name: value[keep] for name, value in frame.covariates.items()},
        proposal=None,
        replacement=None,
    )
    efficiency = float(torch.exp(torch.tensor((value - base) / max(r, 1)))) if base > -torch.inf else float("inf")
    return OptimalDesign(best_design, value, base, efficiency, settings={"candidates": len(candidates), "seed": seed})


def _greedy(info: torch.Tensor, menus: int) -> list[int]:
    r = info.shape[-1]
    total = 1e-6 * info.mean(0).diagonal().mean() * torch.eye(r, dtype=info.dtype)
    chosen: list[int] = []
    for _ in range(menus):
        best = int(torch.linalg.slogdet(total + info)[1].argmax())
        chosen.append(best)
        total = total + info[best]
    return chosen


def _log_det(matrix: torch.Tensor) -> float:
    values = torch.linalg.eigvalsh(matrix)
    if not len(values) or float(values[0]) <= 1e-12 * float(values[-1]):
        return float("-inf")
    return float(values.log().sum())
