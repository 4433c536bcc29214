"""The paper's toy world: densities on [-10, 10], who answers, what is assumed, and what the theory says is learned."""

from __future__ import annotations

import numpy as np
import torch

import annosim as an

#: everything that E1-E4 and E6 vary: (experiment, value of its parameter)
SETTINGS = {"E1": [0.0], "E2": [1.0, 4.0, 16.0], "E3": [4.0], "E4": [1.0, 0.25, 0.0625], "E6": [0.1, 0.5, 1.0]}
#: name of that parameter
PARAMETER = {"E1": "", "E2": "beta", "E3": "beta", "E4": "alpha", "E6": "tau"}
#: shares of the two annotators (and of the two modes of p*)
SHARES = [0.4, 0.6]


def grid(points: int) -> an.Items:
    """The domain [-10, 10] with trapezoid weights; 401 points or more have -2.5 and 2.5 among them."""
    return an.Items.grid(-10.0, 10.0, points)


def left() -> an.LogDensity:
    """The narrow mode."""
    return an.utilities.truncated_normal(-2.5, 0.25)


def right() -> an.LogDensity:
    """The wide mode."""
    return an.utilities.truncated_normal(2.5, 1.0)


def p_star() -> an.utilities.DensityMixture:
    """The implicit preference density."""
    return an.utilities.DensityMixture([left(), right()], SHARES)


def reference() -> an.LogDensity:
    """pi0: both ends of every pair are drawn from it, and DPO, IPO and the geometric average refer to it."""
    return an.utilities.truncated_normal(0.0, 5.0)


def design(items: an.Items, pairs: int = 2**15) -> an.Design:
    """Pairs of independent draws from pi0, one answer each, nobody is named."""
    return an.Design(items, annotators=pairs, proposal=reference())


def truth(experiment: str, value: float) -> an.Annotator:
    """Who answers: Luce on p*, or in E3 a DPO annotator with the learner's own beta."""
    rule = an.PBDE.dpo(value, reference()) if experiment == "E3" else an.Luce()
    return an.Annotator(p_star(), rule)


def two_annotators() -> an.Mixture:
    """Each answer comes from one of two Luce annotators, each with one of the two modes (an *annotator mixture*)."""
    return an.Mixture([an.Annotator(left(), an.Luce()), an.Annotator(right(), an.Luce())], SHARES)


def rule(experiment: str, value: float) -> an.Luce:
    """What the learner assumes of the way people answer."""
    if experiment in ("E2", "E3"):
        return an.PBDE.dpo(value, reference())
    if experiment == "E4":
        return an.PBDE.geometric(value, reference())
    return an.PBDE.dpo(1.0, reference()) if experiment == "E6" else an.Luce()


def objective(experiment: str, value: float) -> an.objectives.NLL | an.objectives.IPO:
    """The loss."""
    return an.objectives.IPO(value) if experiment == "E6" else an.objectives.NLL()


def closed_form(experiment: str, value: float, items: an.Items) -> torch.Tensor:
    """Log density that the theory says is learned from infinite data, ``(n,)``."""
    star, ref = p_star()(items).detach(), reference()(items)
    if experiment == "E2":
        energy = ref + star / value
    elif experiment == "E4":
        energy = (1 - value) * ref + value * star
    elif experiment == "E6":
        mass = ref.exp() * items.weights
        energy = ref + torch.sigmoid(star[:, None] - star[None]) @ mass / value
    else:
        energy = star
    return energy - torch.logsumexp(energy + items.log_weights, 0)


def energy_network(seed: int, width: int = 64, depth: int = 4) -> an.Network:
    """The paper's energy network: a tanh multilayer perceptron; log density = - energy, normalised on the grid."""
    return an.Network([width] * depth, dim=1, seed=seed, sign=-1.0)


def train(
    models: an.Population | list,
    truth: an.Population,
    items: an.Items,
    pairs: int,
    seeds: list[int],
    steps: int,
    rate: float,
    device: str,
    **parts,
) -> list[an.Fit]:
    """Networks on data of their own, one for each seed, trained as one batch: full batch, Adam with a cosine to zero.

    Energies reach hundreds of nats, so they stay in float32 on a GPU as well.
    """
    data = an.data.stack([an.simulate(truth, design(items, pairs), seed=seed) for seed in seeds])
    found = an.fit(
        models, data, solver=an.Adam(steps=steps, lr=rate, precision="float32"), seed=seeds[0], device=device, **parts
    )
    return [found[r] for r in range(len(seeds))]


def speed(found: an.Fit) -> dict:
    """Steps a second of the batch of replicates and how busy the GPU was; nothing on a CPU."""
    record = found.training.settings["speed"]
    return {f"gpu_{name}": value for name, value in record.items()} if "gpu" in record else {}


def at_reference(pretrained: dict, width: int, depth: int) -> an.LogDensity:
    """The energy network fitted to pi0, where every experiment but E1 and E8 begins."""
    weights = torch.as_tensor(pretrained["weights"])
    return an.LogDensity(energy_network(0, width, depth)).with_parameters(weights)


def log_density(population: an.Population, items: an.Items) -> torch.Tensor:
    """Log density of an annotator: of a reward, exp(reward) normalised on the grid."""
    with torch.no_grad():
        u = population.utility(items).double()
        return u - torch.logsumexp(u + items.log_weights, 0)


def total_variation(log_p: torch.Tensor, log_q: torch.Tensor, items: an.Items) -> float:
    """Half the integral of ``|p - q|``."""
    return float(0.5 * ((log_p.exp() - log_q.exp()).abs() * items.weights).sum())


def features_of(log_p: torch.Tensor, items: an.Items) -> dict[str, float]:
    """The highest points left and right of zero, where they lie, and the mass left of zero."""
    p, x = log_p.exp().numpy(), items.features[:, 0].numpy()
    low, high = np.flatnonzero(x < 0), np.flatnonzero(x > 0)
    at_low, at_high = low[p[low].argmax()], high[p[high].argmax()]
    return {
        "left_peak": float(p[at_low]),
        "left_at": float(x[at_low]),
        "right_peak": float(p[at_high]),
        "right_at": float(x[at_high]),
        "mass_left": float((p * items.weights.numpy() * np.where(x == 0, 0.5, x < 0)).sum()),  # half of the point at 0
    }


def modes(log_p: torch.Tensor) -> int:
    """Strict local maxima inside the domain."""
    p = log_p.numpy()
    return int(((p[1:-1] > p[:-2]) & (p[1:-1] > p[2:])).sum())
