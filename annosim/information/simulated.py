"""Fisher information by simulation: blocks drawn from the design itself, so that nothing is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from annosim.autodiff import forward_jacobian
from annosim.designs.design import Design
from annosim.designs.menu_law import sample_numbers
from annosim.information.jacobian import weights_by_covariates
from annosim.information.support import exchangeable
from annosim.laws import answer_space, on_menus
from annosim.populations.base import Population
from annosim.random import CounterRNG, child_seed

__all__ = ["simulated_information"]

#: numbers in the derivatives of one batch of blocks
BATCH = 2e7


@dataclass(frozen=True, eq=False)
class _Tables:
    """One-question probabilities of some menus and their derivatives: ``(X, C), (X, C, P), (J, V, C, M, A[, P])``."""

    weight: torch.Tensor
    dweight: torch.Tensor
    table: torch.Tensor
    dtable: torch.Tensor


def simulated_information(
    population: Population, design: Design, questions: int, draws: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of ``score score'`` over blocks drawn from the law, and its standard error, both ``(P, P)``.

    Rules may remember earlier answers or count the questions: a block is drawn in order, each answer given the last.
    """
    whole = design.questions == "all"
    plain = not whole and exchangeable(population, design)
    size = _batch(population, design, questions)
    total = torch.zeros(2, population.num_free(), population.num_free(), dtype=torch.float64)
    for start in range(0, draws, size):
        number = np.arange(start, min(start + size, draws))
        shown: Mapping[str, torch.Tensor] = {}
        if whole:
            menu, _, shown = design.listed
            at = np.arange(questions)[None].repeat(len(number), 0)
        elif design.covariates:
            streams = (CounterRNG(child_seed(seed, f"fisher/{j}"), number) for j in range(questions))
            drawn = torch.stack([sample_numbers(design, rng) for rng in streams], 1)
            code, inverse = drawn.unique(return_inverse=True)
            menu, shown = design.listed.menu[code], {name: value[code] for name, value in design.covariates.items()}
            at = inverse.numpy()
        else:
            rows = [design.sample(CounterRNG(child_seed(seed, f"fisher/{j}"), number)) for j in range(questions)]
            drawn = torch.stack(rows, 1)
            drawn = drawn.sort(-1).values if plain else drawn
            menu, code = drawn.flatten(0, 1).unique(dim=0, return_inverse=True)
            at = code.reshape(len(number), questions).numpy()
        score = _scores(
            _tables(population, design, menu, shown),
            torch.as_tensor(at),
            CounterRNG(child_seed(seed, "fisher"), number),
        )
        total += torch.stack([score.T @ score, (score**2).T @ (score**2)])
    mean, squares = total / draws
    return mean, ((squares - mean**2).clamp_min(0) / draws).sqrt()


def _batch(population: Population, design: Design, questions: int) -> int:
    """Blocks whose menus' tables fit into memory together."""
    answers, rules = len(answer_space(population, design)), [component.rule for component in population.components()]
    with torch.no_grad():
        nodes = sum(len(c.weight) for c in population.indexed(design.items))
    states = (answers + 1 if any(r.memory for r in rules) else 1) * (
        questions if any(r.sequential for r in rules) else 1
    )
    menus = 1 if design.questions == "all" else questions
    return max(50, int(BATCH / (max(1, population.num_free()) * nodes * answers * states * menus)))


def _tables(
    population: Population, design: Design, menu: torch.Tensor, covariates: Mapping[str, torch.Tensor]
) -> _Tables:
    share = torch.full((len(menu),), 1 / len(menu), dtype=torch.float64)

    def read(p: Population) -> tuple[torch.Tensor, torch.Tensor]:
        one = on_menus(p, design, menu, share, covariates)
        weight = weights_by_covariates(p, one)
        return weight * len(weight) ** 0.5, one.table.exp()

    def function(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return population.functional_call(v, read)

    v = population.vector()
    weight, table = function(v)
    dweight, dtable = forward_jacobian(function, v)
    return _Tables(weight.detach(), dweight.detach(), table.detach(), dtable.detach())


def _scores(tables: _Tables, at: torch.Tensor, rng: CounterRNG) -> torch.Tensor:
    """Draw types and answers to the menus ``at (B, q)``; derivatives of the blocks' log-likelihoods, ``(B, P)``."""
    who, blocks = torch.as_tensor(rng.entity) % len(tables.weight), len(at)
    weight = tables.weight[who]  # (B, C)
    kind = _pick(weight, rng.uniform53("type", 1)[:, 0])
    log_joint = weight.log()
    slope = tables.dweight[who] / weight.unsqueeze(-1).clamp_min(1e-300)  # (B, C, P)
    previous = torch.full((blocks,), tables.table.shape[1] - 1)
    for j in range(at.shape[1]):
        place = j if len(tables.table) > 1 else 0
        state = previous if tables.table.shape[1] > 1 else torch.zeros_like(previous)
        here = tables.table[place][state, :, at[:, j]]  # (B, C, A)
        answer = _pick(here[torch.arange(blocks), kind], rng.uniform53("answer", 1, j)[:, 0])
        p = here[torch.arange(blocks), :, answer]
        log_joint = log_joint + p.log()
        slope = slope + tables.dtable[place][state, :, at[:, j], answer] / p.clamp_min(1e-300).unsqueeze(-1)
        previous = answer
    return (torch.softmax(log_joint, 1).unsqueeze(-1) * slope).sum(1)


def _pick(probability: torch.Tensor, u: np.ndarray) -> torch.Tensor:
    """An index per row of ``probability (B, n)``, by inversion."""
    cdf = probability.cumsum(-1)
    at = torch.searchsorted(cdf, torch.as_tensor(u)[:, None] * cdf[:, -1:], right=True)
    return at.squeeze(-1).clamp_max(probability.shape[-1] - 1)
