"""E1-E4 and E6: one annotator. Three levels that must agree: closed form, exact projection, network on finite data."""

from __future__ import annotations

import numpy as np
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


def proposals(points: int) -> dict:
    """What is learned of one Luce annotator when pairs are drawn from pi0 or from somewhere else (infinite data)."""
    items, truth = world.grid(points), world.truth("E1", 0.0)
    elsewhere = an.utilities.truncated_normal(3.0, 2.0)
    found = {"x": items.features[:, 0].numpy()}
    for name, experiment, value in (("luce", "E1", 0.0), ("dpo", "E2", 4.0), ("ipo", "E6", 0.5)):
        learned = []
        for design in (world.design(items), world.design(items).with_(proposal=elsewhere)):
            model = an.Annotator(an.LogDensity(an.Tabular(points)), world.rule(experiment, value))
            best = an.project(model, truth, design, objective=world.objective(experiment, value))
            learned.append(world.log_density(best.population, items))
        found[f"tv_{name}"] = world.total_variation(*learned, items)
        found[f"{name}_here"], found[f"{name}_elsewhere"] = (one.exp().numpy() for one in learned)
    return found


def other_rules(points: int) -> list[dict]:
    """The general formula for the rules that E1-E6 leave out: the optimum against ``exp((f* log p* + g* - g + C) / f)``."""
    plain = world.grid(points)
    length = 5 + np.arange(points) % 7
    items = an.Items(features=plain.features.numpy(), weights=plain.weights.numpy(), columns={"length": length})
    star = world.p_star()(items).detach()
    f = torch.as_tensor(8.0 / length)
    cases = {
        "temperature 2": (an.Luce(2.0), an.Luce(), star / 2),
        "temperature 2 on both sides": (an.Luce(2.0), an.Luce(2.0), star),
        "length-normalised learner": (an.Luce(), an.PBDE.length_normalised(8.0), star / f),
        "length-normalised on both sides": (an.PBDE.length_normalised(8.0),) * 2 + (star,),
        "geometric annotator, DPO learner": (
            an.PBDE.geometric(0.5, world.reference()),
            an.PBDE.dpo(2.0, world.reference()),
            star + 0.5 * world.reference()(items),
        ),
    }
    rows = []
    for name, (answers, assumes, energy) in cases.items():
        model = an.Annotator(an.LogDensity(an.Tabular(points)), assumes)
        best = an.project(model, an.Annotator(world.p_star(), answers), world.design(items))
        slope = 1.0 / f if name == "length-normalised learner" else torch.ones(points, dtype=torch.float64)
        expected = energy + _constant(energy, slope, items) * slope
        far = world.total_variation(world.log_density(best.population, items), expected, items)
        rows.append({"rules": name, "tv": far})
    return rows


def _constant(energy: torch.Tensor, slope: torch.Tensor, items: an.Items) -> float:
    """The root C of the normalisation of ``exp(energy + C slope)``."""
    from scipy.optimize import brentq

    return brentq(lambda c: float(torch.logsumexp(energy + c * slope + items.log_weights, 0)), -1e3, 1e3, xtol=1e-14)


def pretrained(points: int, steps: int, width: int, depth: int, seed: int, device: str = "cpu") -> dict:
    """An energy network fitted to pi0 by regression of the log density on the grid: where the others start."""
    items = world.grid(points)
    density = an.LogDensity(world.energy_network(seed, width, depth)).to(device)
    target, items = world.reference()(items).to(device), items.to(device)
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
    return {"weights": density.vector().cpu().numpy(), "tv": world.total_variation(learned, target, items)}


def network(
    experiment: str,
    value: float,
    points: int,
    pairs: int,
    steps: int,
    rate: float,
    width: int,
    depth: int,
    pretrained: dict,
    seeds: list[int],
    device: str,
) -> list[dict]:
    """The same model with an energy network, fitted to finite data; E1 from a random start, the others from pi0."""
    items = world.grid(points)
    models: an.Annotator | list[an.Annotator]
    if experiment == "E1":  # a reward: nothing normalises it
        models = [an.Annotator(world.energy_network(seed, width, depth), an.Luce()) for seed in seeds]
    else:
        models = an.Annotator(world.at_reference(pretrained, width, depth), world.rule(experiment, value))
    fits = world.train(
        models,
        world.truth(experiment, value),
        items,
        pairs,
        seeds,
        steps,
        rate,
        device,
        objective=world.objective(experiment, value),
    )
    closed, star = world.closed_form(experiment, value, items), world.p_star()(items).detach()
    seen = world.reference()(items).exp() * star.exp() > 1e-4
    rows = []
    for found in fits:
        learned, reward = world.log_density(found.population, items), found.population.utility(items).detach().double()
        gap, unseen = (reward - star)[seen], (reward - star)[~seen]
        rows.append(
            {
                "x": items.features[:, 0].numpy(),
                "learned": learned.exp().numpy(),
                "reward": reward.numpy(),
                "offset_spread": float(gap.std()),
                "tail_gap": float((unseen - gap.mean()).abs().max()),
                "tv": world.total_variation(learned, closed, items),
                "loss": found.objective,
                "last_change": found.last_change,
                **world.features_of(learned, items),
                **world.speed(found),
            }
        )
    return rows
