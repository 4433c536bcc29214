"""E1-E4 and E6: one annotator. Three levels that must agree: closed form, exact projection, network on finite data."""

from __future__ import annotations

import torch

import annosim as an

from . import world


def exact(experiment: str, value: float, points: int) -> dict:
    """Closed form and ``project`` (a tabular density): infinite data, no sampling error."""
    items = world.grid(points)
    model = an.Annotator(an.LogDensity(an.Tabular(points)), world.rule(experiment, value))
    found = an.project(
        model, world.truth(experiment, value), world.design(items), objective=world.objective(experiment, value)
    )
    projected, closed = world.log_density(found.population, items), world.closed_form(experiment, value, items)
    star = world.p_star()(items).detach()
    return {
        "x": items.features[:, 0].numpy(),
        "star": star.exp().numpy(),
        "reference": world.reference()(items).exp().numpy(),
        "closed": closed.exp().numpy(),
        "projected": projected.exp().numpy(),
        "tv": world.total_variation(projected, closed, items),
        "kl": float((star.exp() * (star - projected) * items.weights).sum()),
        "gradient": found.gradient_norm,
        **world.features_of(projected, items),
    }


def pretrained(points: int, steps: int, width: int, depth: int, seed: int) -> dict:
    """An energy network fitted to pi0 by regression of the log density on the grid: where the others start."""
    items = world.grid(points)
    density = an.LogDensity(world.energy_network(seed, width, depth))
    target = world.reference()(items)
    optimiser = torch.optim.Adam(density.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = ((density(items) - target) ** 2).mean()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        learned = density(items)
    return {"weights": density.vector().numpy(), "tv": world.total_variation(learned, target, items)}


def network(
    experiment: str, value: float, points: int, pairs: int, steps: int, rate: float, width: int, depth: int,
    pretrained: dict, seed: int, device: str,
) -> dict:  # fmt: skip
    """The same model with an energy network, fitted to finite data; E1 from a random start, the others from pi0."""
    items = world.grid(points)
    data = an.simulate(world.truth(experiment, value), world.design(items, pairs), seed=seed)
    energy = world.energy_network(seed, width, depth)
    if experiment == "E1":
        model = an.Annotator(energy, an.Luce())  # a reward: nothing normalises it
    else:
        start = an.LogDensity(energy).with_parameters(torch.as_tensor(pretrained["weights"]))
        model = an.Annotator(start, world.rule(experiment, value))
    found = an.fit(
        model, data, objective=world.objective(experiment, value), steps=steps, lr=rate, seed=seed, device=device
    )
    learned, closed = world.log_density(found.population, items), world.closed_form(experiment, value, items)
    reward, star = found.population.utility(items).detach().double(), world.p_star()(items).detach()
    seen = world.reference()(items).exp() * star.exp() > 1e-4
    gap = (reward - star)[seen]
    return {
        "x": items.features[:, 0].numpy(),
        "learned": learned.exp().numpy(),
        "reward": reward.numpy(),
        "offset_spread": float(gap.std()),
        "tv": world.total_variation(learned, closed, items),
        "loss": found.objective,
        "last_change": found.extra["last_change"],
        **world.features_of(learned, items),
    }
