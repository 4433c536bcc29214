"""Where EM over networks begins: the given parameters, a fitted model, one pooled type, or redraws."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.learning.solvers.settings import EM, Adam, TrainingSolver
from annosim.learning.training.perturb import perturbed
from annosim.learning.training.sgd import train
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.gated import Gated
from annosim.populations.mixture import Mixture
from annosim.random import child_seed
from annosim.utilities.language_models import LogPolicy, SequenceReward

__all__ = ["beginnings", "split_responsibilities"]


def beginnings(
    model: Mixture, data: PreferenceData, options: EM, starts: int, seed: int, device: Any
) -> tuple[list[Population], list[bool]]:
    """The starts (of each replicate), and whether a start's first responsibilities are random.

    Without a warm start the first is the model as given, and the others redraw every free number; language models and
    reward heads, whose weights came from elsewhere, keep them and begin from random responsibilities.
    """
    warm = options.warm_start
    if warm is None:
        made = [perturbed(model, options.perturbation, seed, 0)]
        kept = any(_from_elsewhere(one) for one in model.components())
        for s in range(1, starts):
            made.append(
                perturbed(model, options.perturbation, seed, s) if kept else model.like(child_seed(seed, f"start {s}"))
            )
        return made, [kept and s > 0 for s in range(starts)]
    bases: list[Population]
    if isinstance(warm, str):
        bases = [_copied(model, one) for one in _pooled(model, data, options, seed, device)]
    else:
        bases = [_taken(model, warm if isinstance(warm, Population) else warm.population)]
    made = [perturbed(base, options.perturbation, seed, s) for base in bases for s in range(starts)]
    return made, [s > 0 and options.perturbation == 0 for s in range(starts)]


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


def _from_elsewhere(leaf: Population) -> bool:
    return any(isinstance(part, LogPolicy | SequenceReward) for part in leaf.modules())


def _pooled(model: Mixture, data: PreferenceData, options: EM, seed: int, device: Any) -> list[Population]:
    """One type trained on everybody, for each replicate."""
    steps = options.warm_steps or max(1, options.steps // 4)
    plain = {f.name: getattr(options, f.name) for f in fields(TrainingSolver)}
    plain |= {"steps": steps, "checkpoint": None, "log": None, "final": False}
    if options.m_step != "adam":
        plain["batch"] = None
    done = train(model.types[0], data, options=Adam(**plain), seed=seed, device=device)  # type: ignore[arg-type]
    return done.populations


def _taken(model: Mixture, given: Population) -> Population:
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
    return _copied(model, given)


def _copied(model: Mixture, one: Population) -> Population:
    """Every type with the free numbers of one annotator."""
    own = one.free_parameters()
    return _with(model, {f"types.{k}.{name}": p for k in range(len(model.types)) for name, p in own.items()})


def _with(model: Mixture, values: dict[str, torch.Tensor]) -> Population:
    wanted = model.free_parameters()
    for name, value in values.items():
        if name not in wanted or wanted[name].shape != value.shape:
            raise ArgumentError(f"EM(warm_start=): the model has no free {name!r} of shape {tuple(value.shape)}")
    return model.with_parameters(values)
