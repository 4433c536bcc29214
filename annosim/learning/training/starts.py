"""Where the starts of a training run begin: redrawn, near given weights, or with a symmetry between types broken."""

from __future__ import annotations

import copy
import itertools

import torch

from annosim.populations.base import Population
from annosim.populations.gated import Gated
from annosim.populations.mixture import Mixture
from annosim.random import child_seed, torch_generator
from annosim.utilities.adapters import LowRank
from annosim.utilities.language_models import LogPolicy, SequenceReward

__all__ = ["break_symmetry", "has_duplicate_components", "perturbed", "restart_from"]

#: noise on types that have the same numbers, in units of each tensor's root mean square
SYMMETRY_NOISE = 0.1
#: noise on restarts of networks whose weights came from elsewhere, in the same units
RESTART_NOISE = 0.01


def perturbed(model: Population, scale: float, seed: int, start: int) -> Population:
    """A copy with normal noise on the free network parameters, ``scale`` times each tensor's root mean square.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Network([4], dim=1), an.Luce())
        >>> bool((perturbed(one, 0.1, seed=0, start=0).vector() == one.vector()).any())
        False
    """
    if not scale:
        return model
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, p in other.named_parameters():
            if p.requires_grad and other.constraint_of(name) == "real":
                noise = torch.randn(p.shape, generator=torch_generator(seed, f"perturb {start} {name}"), dtype=p.dtype)
                p.add_(scale * p.square().mean().sqrt() * noise.to(p.device))
    return other


def has_duplicate_components(model: Population) -> bool:
    """Whether two types of a mixture have the same free numbers: a saddle of the likelihood, on which they stay alike.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Network([4], dim=1), an.Luce())
        >>> has_duplicate_components(an.Mixture([one, copy.deepcopy(one)])), has_duplicate_components(one)
        (True, False)
    """
    if not isinstance(model, Mixture | Gated):
        return False
    return any(_same(one, other) for one, other in itertools.combinations(_types(model), 2) if one.num_free())


def _types(model: Mixture | Gated) -> list[Population]:
    return [one for one in model.types if isinstance(one, Population)]


def _same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether two types are built alike and hold the same numbers, free or not."""
    if [type(part) for part in one.modules()] != [type(part) for part in other.modules()]:
        return False
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(
        torch.equal(value.cpu(), theirs[name].cpu()) for name, value in mine.items()
    )


def break_symmetry(model: Population, seed: int) -> Population:
    """The model, with noise on its networks where two of its types are the same.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Network([4], dim=1), an.Luce())
        >>> has_duplicate_components(break_symmetry(an.Mixture([one, copy.deepcopy(one)]), seed=0))
        False
    """
    return perturbed(model, SYMMETRY_NOISE, seed, 0) if has_duplicate_components(model) else model


def restart_from(model: Population, seed: int, start: int) -> Population:
    """Where a restart begins: at redrawn numbers, but near the weights that language models and reward heads came with.

    Adapters on a frozen trunk are redrawn.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.LogPolicy(torch.nn.Embedding(50, 8)), an.Luce())
        >>> bool((restart_from(one, seed=0, start=1).vector() - one.vector()).abs().max() < 0.1)
        True
    """
    if any(_came_with_weights(part) for part in model.modules()):
        return perturbed(model, RESTART_NOISE, seed, start)
    return model.like(child_seed(seed, f"start {start}"))


def _came_with_weights(part: torch.nn.Module) -> bool:
    whole = isinstance(part, LogPolicy | SequenceReward) and any(p.requires_grad for p in part.parameters())
    return whole and not any(isinstance(layer, LowRank) for layer in part.modules())
