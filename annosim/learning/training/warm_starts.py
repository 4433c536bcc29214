"""Where EM over networks begins: the given parameters, a fitted model, one pooled type, or redraws."""

from __future__ import annotations

from dataclasses import fields

import torch

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.learning.solvers.settings import EM, Adam, TrainingSolver
from annosim.learning.training.run import train
from annosim.learning.training.starts import perturbed
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.gated import Gated
from annosim.populations.mixture import Mixture
from annosim.random import child_seed, torch_generator
from annosim.utilities.language_models import LogPolicy, SequenceReward

__all__ = ["first_responsibilities", "initial_models", "split_responsibilities"]


def initial_models(
    model: Mixture, data: PreferenceData, solver: EM, starts: int, seed: int, device: torch.device
) -> tuple[list[Population], list[bool]]:
    """The starts (of each replicate), and whether a start's first responsibilities are random.

    Without a warm start the first is the model as given, and the others redraw every free number; language models and
    reward heads, whose weights came from elsewhere, keep them and begin from random responsibilities.
    """
    warm = solver.warm_start
    if warm is None:
        made = [perturbed(model, solver.perturbation, seed, 0)]
        kept = any(_from_elsewhere(one) for one in model.components())
        for s in range(1, starts):
            made.append(
                perturbed(model, solver.perturbation, seed, s) if kept else model.like(child_seed(seed, f"start {s}"))
            )
        return made, [kept and s > 0 for s in range(starts)]
    bases: list[Population]
    if isinstance(warm, str):
        bases = [_with_every_type(model, one) for one in _pooled(model, data, solver, seed, device)]
    else:
        bases = [_with_types_of(model, warm if isinstance(warm, Population) else warm.population)]
    made = [perturbed(base, solver.perturbation, seed, s) for base in bases for s in range(starts)]
    return made, [s > 0 and solver.perturbation == 0 for s in range(starts)]


def first_responsibilities(types: int, annotators: int, seed: int, start: int) -> torch.Tensor:
    """Random responsibilities in logs ``(types, annotators)``, Dirichlet(1, ..., 1) for each annotator.

    Example:
        >>> first_responsibilities(2, 3, seed=0, start=0).exp().sum(0).round(decimals=9).tolist()
        [1.0, 1.0, 1.0]
    """
    generator = torch_generator(seed, f"responsibilities {start}")
    spacing = -torch.rand(types, annotators, generator=generator, dtype=torch.float64).log()
    return (spacing / spacing.sum(0)).log()


def split_responsibilities(
    log_gamma: torch.Tensor, target: int, source: int, generator: torch.Generator
) -> torch.Tensor:
    """Responsibilities ``(types, annotators)`` in logs with a random share of ``source``'s given to ``target``.

    Example:
        >>> gamma = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
        >>> split = split_responsibilities(gamma.log(), 0, 1, torch.Generator().manual_seed(0))
        >>> split.exp().sum(0).tolist(), bool((split.exp()[0] > 0).all())
        ([1.0, 1.0], True)
    """
    share = torch.rand(log_gamma.shape[1], generator=generator, dtype=torch.float64).to(log_gamma.device)
    out = log_gamma.clone()
    out[target] = torch.logaddexp(log_gamma[target], log_gamma[source] + share.log())
    out[source] = log_gamma[source] + torch.log1p(-share)
    return out


def _from_elsewhere(component: Population) -> bool:
    return any(isinstance(part, LogPolicy | SequenceReward) for part in component.modules())


def _pooled(model: Mixture, data: PreferenceData, solver: EM, seed: int, device: torch.device) -> list[Population]:
    """One type trained on everybody, for each replicate."""
    steps = solver.warm_steps or max(1, solver.steps // 4)
    plain = {f.name: getattr(solver, f.name) for f in fields(TrainingSolver)}
    plain |= {"steps": steps, "checkpoint": None, "log": None, "final": False}
    if solver.m_step != "adam":
        plain["batch"] = None
    done = train(model.types[0], data, solver=Adam(**plain), seed=seed, device=device)  # type: ignore[arg-type]
    return done.populations


def _with_types_of(model: Mixture, given: Population) -> Population:
    if isinstance(given, Mixture | Gated):
        if len(given.types) != len(model.types):
            raise ArgumentError(
                f"EM(warm_start=): {len(given.types)} types for a model of {len(model.types)}; give as many, or one"
            )
        values = {name: p for name, p in given.free_parameters().items() if name not in ("weights", "gate")}
        if isinstance(given, Gated) and isinstance(model, Gated) and "gate" in model.free_parameters():
            values["gate"] = given.gate.detach()
        if isinstance(given, Mixture) and "weights" in model.free_parameters():
            values["weights"] = given.weights.detach()
        return _with(model, values)
    if not isinstance(given, Annotator):
        raise ArgumentError(f"EM(warm_start={type(given).__name__}): a mixture, or one annotator")
    return _with_every_type(model, given)


def _with_every_type(model: Mixture, one: Population) -> Population:
    """Every type with the free numbers of one annotator."""
    own = one.free_parameters()
    return _with(model, {f"types.{k}.{name}": p for k in range(len(model.types)) for name, p in own.items()})


def _with(model: Mixture, values: dict[str, torch.Tensor]) -> Population:
    wanted = model.free_parameters()
    for name, value in values.items():
        if name not in wanted or wanted[name].shape != value.shape:
            raise ArgumentError(f"EM(warm_start=): the model has no free {name!r} of shape {tuple(value.shape)}")
    return model.with_parameters(values)
