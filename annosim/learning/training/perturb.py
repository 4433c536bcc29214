"""Noise on the parameters that a training run begins from: types that begin alike would stay alike."""

from __future__ import annotations

import copy

import torch

from annosim.populations.base import Population
from annosim.populations.gated import Gated
from annosim.populations.mixture import Mixture
from annosim.random import child_seed, torch_generator
from annosim.utilities.adapters import LowRank
from annosim.utilities.language_models import LogPolicy, SequenceReward

__all__ = ["again", "apart", "begin_alike", "perturbed"]

#: noise on types that begin alike, in units of each tensor's root mean square
APART = 0.1
#: noise on restarts of networks whose weights came from elsewhere, in the same units
NEAR = 0.01


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


def begin_alike(model: Population) -> bool:
    """Whether two types of a mixture have the same free numbers: a saddle of the likelihood, on which they stay alike.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Network([4], dim=1), an.Luce())
        >>> begin_alike(an.Mixture([one, copy.deepcopy(one)])), begin_alike(one)
        (True, False)
    """
    if not isinstance(model, Mixture | Gated):
        return False
    vectors = [one.vector() for one in model.types]  # type: ignore[operator]
    known = [(repr(one), v) for one, v in zip(model.types, vectors, strict=True) if v.numel()]
    pairs = [(a, b) for i, a in enumerate(known) for b in known[:i]]
    return any(a[0] == b[0] and a[1].shape == b[1].shape and torch.equal(a[1], b[1]) for a, b in pairs)


def apart(model: Population, seed: int) -> Population:
    """The model, with noise on its networks where its types begin alike.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.Network([4], dim=1), an.Luce())
        >>> begin_alike(apart(an.Mixture([one, copy.deepcopy(one)]), seed=0))
        False
    """
    return perturbed(model, APART, seed, 0) if begin_alike(model) else model


def again(model: Population, seed: int, start: int) -> Population:
    """Where a restart begins: at redrawn numbers, but near the weights that language models and reward heads came with.

    Adapters on a frozen trunk are redrawn.

    Example:
        >>> import annosim as an
        >>> one = an.Annotator(an.LogPolicy(torch.nn.Embedding(50, 8)), an.Luce())
        >>> bool((again(one, seed=0, start=1).vector() - one.vector()).abs().max() < 0.1)
        True
    """
    if any(_came_with_weights(part) for part in model.modules()):
        return perturbed(model, NEAR, seed, start)
    return model.like(child_seed(seed, f"start {start}"))


def _came_with_weights(part: torch.nn.Module) -> bool:
    whole = isinstance(part, LogPolicy | SequenceReward) and any(p.requires_grad for p in part.parameters())
    return whole and not any(isinstance(layer, LowRank) for layer in part.modules())
