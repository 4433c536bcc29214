"""E5: SLiC's optimum is a staircase that depends on its margin and on the weight of the forward KL term."""

from __future__ import annotations

import torch

import annosim as an

from . import world

#: margins and weights of the regulariser
MARGINS, WEIGHTS = [0.0, 0.25, 0.5, 1.0, 2.0], [0.0, 1.0]
#: fresh draws of the reference in every step of a network
DRAWS = 8192


def _parts(delta: float, weight: float, draws: int | None = None) -> dict:
    return {
        "objective": an.objectives.SLiC(delta),
        "regulariser": an.objectives.ForwardKL(world.reference(), weight, draws=draws) if weight else None,
    }


def _steps(log_p: torch.Tensor, delta: float) -> float:
    """How far the differences of log density are from multiples of the margin, at most."""
    if delta == 0:
        return float((log_p - log_p[0]).abs().max())
    height = (log_p - log_p[0]) / delta
    return float((height - height.round()).abs().max())


def slic_exact(delta: float, weight: float, points: int) -> dict:
    """The exact optimum: a linear program without the regulariser, an interior point with it."""
    items = world.grid(points)
    truth, design = world.truth("E1", 0.0), world.design(items)
    model = an.Annotator(an.LogDensity(an.Tabular(points)), an.Luce())
    found = an.project(model, truth, design, **_parts(delta, weight))
    log_p = world.log_density(found.population, items)
    flat = torch.zeros(points, dtype=torch.float64) - items.weights.sum().log()
    unit = an.project(model, truth, design, **_parts(1.0, 0.0))
    tilt = an.LogDensity(an.Tabular((delta * world.log_density(unit.population, items)).numpy()))(items).detach()
    return {
        "x": items.features[:, 0].numpy(),
        "projected": log_p.exp().numpy(),
        "objective": found.objective,
        "duality_gap": abs(found.duality_gap or 0.0),
        "loose_items": found.loose_items or 0,
        "converged": bool(found.converged),
        "off_staircase": _steps(log_p, delta) if weight == 0 else float("nan"),
        "tv_uniform": world.total_variation(log_p, flat, items),
        "tv_reference": world.total_variation(log_p, world.reference()(items), items),
        "tv_tilt": world.total_variation(log_p, tilt, items),
        **world.features_of(log_p, items),
    }


def slic_network(
    delta: float,
    weight: float,
    points: int,
    pairs: int,
    steps: int,
    rate: float,
    width: int,
    depth: int,
    pretrained: dict,
    seeds: list[int],
    device: str,
    draws: int | None = DRAWS,
) -> list[dict]:
    """The energy network on 2^15 pairs, judged against the exact optimum in total variation.

    The expectation of the forward KL is over ``draws`` fresh draws of the reference a step (the same for all
    replicates), or exact (``None``).
    """
    items, truth = world.grid(points), world.truth("E1", 0.0)
    parts = _parts(delta, weight, draws)
    model = an.Annotator(world.at_reference(pretrained, width, depth), an.Luce())
    fits = world.train(model, truth, items, pairs, seeds, steps, rate, device, **parts)
    tabular = an.Annotator(an.LogDensity(an.Tabular(points)), an.Luce())
    exact = an.project(tabular, truth, world.design(items), **parts)
    best = world.log_density(exact.population, items)
    rows = []
    for found in fits:
        log_p = world.log_density(found.population, items)
        rows.append(
            {
                "x": items.features[:, 0].numpy(),
                "learned": log_p.exp().numpy(),
                "tv": world.total_variation(log_p, best, items),
                "objective": found.objective,
                **world.speed(found),
            }
        )
    return rows
