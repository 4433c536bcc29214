"""What a policy is worth: KL to the reference, win rates, expected utility and regret of each type, the worst group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, overload

import numpy as np
import torch

from annosim.analysis.borda import borda_scores
from annosim.analysis.divergences import (
    DensityLike,
    kl_divergence,
    log_density,
    over_prompts,
    prompt_quantiles,
    prompt_sums,
)
from annosim.arrays import Numbers, as_numpy
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.populations.base import Population
from annosim.results import Result

__all__ = ["PolicyScore", "expected_utility", "score_policy", "win_rate", "win_rate_quantile"]


#: A utility, its numbers on the items, a ``(types, n)`` table of them, or a population.
UtilityLike: TypeAlias = Callable[[Items], torch.Tensor] | Population | Numbers


def _masses(policy: DensityLike, items: Items) -> torch.Tensor:
    return (log_density(policy, items) + items.log_weights).exp()


def _utilities(utility: UtilityLike, items: Items) -> torch.Tensor:
    """``(types, n)`` float64: of a utility, a vector or table, or the indexed utilities of a population's components."""
    if isinstance(utility, Population):
        with torch.no_grad():
            parts = utility.indexed(items)
            rows = [(c.weight[:, None] * c.index.double()).sum(0) / c.weight.sum() for c in parts]
            return torch.stack(rows).double()
    value = utility(items).detach() if callable(utility) else torch.as_tensor(as_numpy(utility))
    value = value.double().reshape(-1, value.shape[-1])
    if value.shape[-1] != items.n or not bool(torch.isfinite(value).all()):
        raise ArgumentError(f"utility: shape {tuple(value.shape)}; give {items.n} finite numbers per type")
    return value


def expected_utility(policy: DensityLike, utility: UtilityLike, items: Items) -> np.ndarray:
    """``E_x E_{pi(.|x)} u_k`` of each type, ``(types,)``, prompts with equal weight.

    Args:
        policy: a density, or its vector on the items.
        utility: a utility, a vector, a ``(types, n)`` table, or a population (its components' indexed utilities).
        items: on which both are evaluated.

    Example:
        >>> expected_utility([0.5, 0.5], [[0.0, 2.0], [1.0, 1.0]], Items(n=2)).tolist()
        [1.0, 1.0]
    """
    return (_utilities(utility, items) @ _masses(policy, items) / items.num_prompts).numpy()


@overload
def win_rate(
    policy: DensityLike, utility: UtilityLike, items: Items, against: DensityLike, per_prompt: Literal[False] = False
) -> float: ...
@overload
def win_rate(
    policy: DensityLike, utility: UtilityLike, items: Items, against: DensityLike, *, per_prompt: Literal[True]
) -> torch.Tensor: ...
@overload
def win_rate(
    policy: DensityLike, utility: UtilityLike, items: Items, against: DensityLike, per_prompt: bool = False
) -> float | torch.Tensor: ...
def win_rate(
    policy: DensityLike, utility: UtilityLike, items: Items, against: DensityLike, per_prompt: bool = False
) -> float | torch.Tensor:
    """Probability that a response of the policy has a higher utility than one of another policy, ties half.

    Args:
        policy, against: densities, or vectors on the items.
        utility: one utility (or vector).
        items: on which they are evaluated.
        per_prompt: one number per prompt instead of their mean.

    Example:
        >>> round(win_rate([0.25, 0.75], [0.0, 1.0], Items(n=2), against=[0.5, 0.5]), 12)
        0.625
    """
    u = _one(utility, items)
    return over_prompts(_masses(policy, items) * _shares_below(u, _masses(against, items), items), items, per_prompt)


def _shares_below(utility: torch.Tensor, masses: torch.Tensor, items: Items) -> torch.Tensor:
    """Mass of each item's prompt that has a lower utility, and half of what has the same, ``(n,)``."""
    out = torch.empty(items.n, dtype=torch.float64)
    for _, ids in items.members_by_size:
        here = utility[ids]
        ordered, place = here.sort(-1)
        upto = torch.nn.functional.pad(masses[ids].gather(-1, place).cumsum(-1), (1, 0))
        below, with_equals = (torch.searchsorted(ordered, here, right=right) for right in (False, True))
        out[ids] = (upto.gather(-1, below) + upto.gather(-1, with_equals)) / 2
    return out


@overload
def win_rate_quantile(
    policy: DensityLike,
    utility: UtilityLike,
    items: Items,
    reference: DensityLike,
    level: float = 0.85,
    per_prompt: Literal[False] = False,
) -> float: ...
@overload
def win_rate_quantile(
    policy: DensityLike,
    utility: UtilityLike,
    items: Items,
    reference: DensityLike,
    level: float = 0.85,
    *,
    per_prompt: Literal[True],
) -> torch.Tensor: ...
@overload
def win_rate_quantile(
    policy: DensityLike,
    utility: UtilityLike,
    items: Items,
    reference: DensityLike,
    level: float = 0.85,
    per_prompt: bool = False,
) -> float | torch.Tensor: ...
def win_rate_quantile(
    policy: DensityLike,
    utility: UtilityLike,
    items: Items,
    reference: DensityLike,
    level: float = 0.85,
    per_prompt: bool = False,
) -> float | torch.Tensor:
    """Probability that a response of the policy beats the ``level`` quantile of the reference's utility.

    Equality counts half; the quantile is the smallest value v with ``P_reference(u <= v) >= level``, prompt by prompt.

    Raises:
        ArgumentError: the level is outside (0, 1).

    Example:
        >>> win_rate_quantile([0., 0., 0., 1.], [0., 1., 2., 3.], Items(n=4), [.25] * 4, level=.75)
        1.0
    """
    if not 0 < level < 1:
        raise ArgumentError(f"win_rate_quantile(level={level}): a number between 0 and 1, for example 0.85")
    u = _one(utility, items)
    bar = prompt_quantiles(u, _masses(reference, items), level, items)[items.prompt_code]
    beats = ((u > bar).double() + (u >= bar).double()) / 2
    return over_prompts(_masses(policy, items) * beats, items, per_prompt)


@dataclass(frozen=True, eq=False, repr=False)
class PolicyScore(Result):
    """A policy's scores.

    Attributes:
        kl: KL to the reference, mean over prompts, nats.
        win_rate: ``(types,)`` against one response of the reference, ties half.
        win_rate_quantile: ``(types,)`` against the reference's 85 % quantile.
        utility: ``(types,)`` expected utility.
        regret: ``(types,)`` what each type loses against its favourite response of every prompt.
        worst: the type with the largest regret.
        borda: expected Borda score of its responses; ``None`` unless a population was given.

    Example:
        >>> import annosim as an
        >>> score = an.analysis.score_policy([0.0, 1.0], [[0.0, 1.0], [1.0, 0.0]], [0.5, 0.5], an.Items(n=2))
        >>> score.worst, score.regret.tolist()
        (1, [0.0, 1.0])
    """

    kl: float
    win_rate: np.ndarray
    win_rate_quantile: np.ndarray
    utility: np.ndarray
    regret: np.ndarray
    worst: int
    borda: float | None

    def _lines(self):
        show = lambda v: np.array2string(v, precision=4)  # noqa: E731
        lines = [
            ("KL to the reference", f"{self.kl:.4g} nats per prompt"),
            ("win rate", show(self.win_rate)),
            ("win rate against the quantile", show(self.win_rate_quantile)),
            ("expected utility", show(self.utility)),
            ("regret", show(self.regret)),
            ("worst group", f"type {self.worst}"),
        ]
        return lines if self.borda is None else [*lines, ("Borda score", self.borda)]


def score_policy(
    policy: DensityLike, truth: UtilityLike, reference: DensityLike, items: Items, level: float = 0.85
) -> PolicyScore:
    """Everything said of a policy, type by type.

    Args:
        policy: a density, or its vector on the items.
        truth: a population, or utilities (one, or a ``(types, n)`` table).
        reference: the policy it started from.
        items: all responses of all prompts.
        level: of the quantile.

    Example:
        >>> import annosim as an
        >>> truth = an.Annotator(an.Tabular([0.0, 1.0]), an.Luce())
        >>> score = score_policy([0.0, 1.0], truth, [0.5, 0.5], an.Items(n=2))
        >>> score.regret.tolist(), score.win_rate.tolist(), round(score.kl, 4)
        ([0.0], [0.75], 0.6931)
    """
    u = _utilities(truth, items)
    gained = expected_utility(policy, u, items)
    code = items.prompt_code
    top = torch.full((len(u), items.num_prompts), -torch.inf, dtype=torch.float64)
    best = top.scatter_reduce(1, code.expand(u.shape), u, "amax").mean(1).numpy()
    regret = best - gained
    borda = None
    if isinstance(truth, Population):
        scores = torch.nan_to_num(borda_scores(truth, items), nan=0.5)  # a response alone in its prompt
        borda = float(prompt_sums(_masses(policy, items) * scores, items).mean())
    return PolicyScore(
        kl_divergence(policy, reference, items),
        np.array([win_rate(policy, row, items, reference) for row in u]),
        np.array([win_rate_quantile(policy, row, items, reference, level) for row in u]),
        gained,
        regret,
        int(regret.argmax()),
        borda,
        settings={"level": level},
    )


def _one(utility: UtilityLike, items: Items) -> torch.Tensor:
    u = _utilities(utility, items)
    if len(u) != 1:
        raise ArgumentError(f"win rate: {len(u)} types; give one utility (a row of the table) at a time")
    return u[0]
