r"""Reward transforms: from rewards to log-probabilities that a response is good (Wang et al. 2402.00742).

"Good" means preferred to a fixed reference response; under Bradley-Terry ``log p(good) = log sigmoid(r - r_ref)``, so
that maximising it under a KL penalty of gamma gives ``pi_0 p(good)^{1/gamma}``. Properties combine as events do: all,
any and none of them, given independence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import nn
from torch.nn.functional import logsigmoid

from annosim.arrays import Numbers, as_numpy
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.parameters import check_value
from annosim.policies.tilts import frozen, values_of
from annosim.utilities.base import Utility

#: Reference values: a number, one per prompt, or a function ``(rewards, items) -> (prompts,)``.
ReferenceLike: TypeAlias = Numbers | Callable[[torch.Tensor, Items], torch.Tensor]

__all__ = ["GoodProbability", "all_of", "any_of", "dependence_error", "lsc", "none_of"]


class GoodProbability(Utility):
    """A utility that is the log-probability of an event ("good"), with that of its complement computed as well."""

    def log_good(self, items: Items) -> torch.Tensor:
        """Log-probability of the event, ``(n,)``, at most 0."""
        raise TypeError(f"{type(self).__name__} must define log_good(items)")

    def log_bad(self, items: Items) -> torch.Tensor:
        """Log-probability of the complement, ``(n,)``."""
        return log1mexp(self.log_good(items))

    def forward(self, items: Items) -> torch.Tensor:
        """Same as :meth:`log_good`."""
        return self.log_good(items)


class _LSC(GoodProbability):
    def __init__(self, reward: Utility, reference_value: ReferenceLike):
        super().__init__()
        self.reward, self.reference_value = reward, reference_value

    def margin(self, items: Items) -> torch.Tensor:
        r = values_of(self.reward, items, "lsc(reward=)")
        return r - _per_item(self.reference_value, r, items)

    def log_good(self, items: Items) -> torch.Tensor:
        return logsigmoid(self.margin(items))

    def log_bad(self, items: Items) -> torch.Tensor:
        return logsigmoid(-self.margin(items))


class _LogProbability(GoodProbability):
    """Any utility that is at most 0, read as a log-probability."""

    def __init__(self, utility: Utility):
        super().__init__()
        self.utility = utility

    def log_good(self, items: Items) -> torch.Tensor:
        u = values_of(self.utility, items)
        if bool((u > 0).any()):
            at = int(torch.nonzero(u > 0)[0])
            raise ArgumentError(
                f"item {items.names[at]!r} has log-probability {float(u[at]):.4g} above 0; transform rewards with "
                "an.policies.lsc(reward, reference_value) before they are combined"
            )
        return u


class _AllOf(GoodProbability):
    def __init__(self, parts: list[GoodProbability]):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def log_good(self, items: Items) -> torch.Tensor:
        return torch.stack([part.log_good(items) for part in self.parts]).sum(0)  # type: ignore[operator]


class _NoneOf(_AllOf):
    def log_good(self, items: Items) -> torch.Tensor:
        return torch.stack([part.log_bad(items) for part in self.parts]).sum(0)  # type: ignore[operator]


class _AnyOf(_NoneOf):
    def log_good(self, items: Items) -> torch.Tensor:
        return log1mexp(super().log_good(items))

    def log_bad(self, items: Items) -> torch.Tensor:
        return super().log_good(items)


def lsc(reward: Utility, reference_value: ReferenceLike) -> GoodProbability:
    r"""The log-sigmoid centred reward ``u = log sigmoid(r(x, y) - r_ref(x))``.

    Linear far below the reference and flat far above it (``u' = sigmoid(r_ref - r)``), so that a tilt spends its KL on
    responses that are not yet good. Invariant to ``r -> r + c(x)`` when the reference moves along, not to
    ``r -> a r``: the scale of r is its calibration.

    Args:
        reward: a utility on the Bradley-Terry scale (log-odds).
        reference_value: a number; ``(prompts,)`` numbers in ascending order of prompt id; or a rule such as
            ``an.policies.reference_quantile(pi_0, .85)``, ``an.policies.reference_mean(pi_0)`` or ``an.policies.fixed_response_reference(ids)`` that reads it
            off the same reward.

    Raises:
        ArgumentError: a reference value is not finite or of the wrong number (when evaluated).

    Example:
        >>> import annosim as an
        >>> lsc(an.Tabular([0.0, 2.0]), 0.0)(an.Items(n=2)).exp().numpy().round(4).tolist()
        [0.5, 0.8808]
    """
    value = reference_value
    if not callable(value):
        value = check_value("lsc(reference_value=)", value, "real")
        if value.ndim > 1:
            raise ArgumentError("lsc(reference_value=): a finite number, or one per prompt")
    return _LSC(frozen(reward, "lsc(reward=)"), value)


def all_of(*properties: Utility) -> GoodProbability:
    """Log-probability that every property holds, given independence: the sum of their log-probabilities.

    Args:
        properties: ``an.policies.lsc(...)`` or any utility of log-probabilities (at most 0).

    Raises:
        ArgumentError: no property, or one above 0 (when evaluated).

    Example:
        >>> import annosim as an
        >>> half = lsc(an.Tabular([0.0]), 0.0)
        >>> round(float(all_of(half, half)(an.Items(n=1)).exp()), 12)
        0.25
    """
    return _AllOf(_parts("all_of", properties))


def any_of(*properties: Utility) -> GoodProbability:
    """Log-probability that at least one property holds, given independence: ``log(1 - prod(1 - p_i))``.

    Example:
        >>> import annosim as an
        >>> half = lsc(an.Tabular([0.0]), 0.0)
        >>> round(float(any_of(half, half)(an.Items(n=1)).exp()), 12)
        0.75
    """
    return _AnyOf(_parts("any_of", properties))


def none_of(*properties: Utility) -> GoodProbability:
    """Log-probability that no property holds, given independence: ``sum log(1 - p_i)``.

    Example:
        >>> import annosim as an
        >>> half = lsc(an.Tabular([0.0]), 0.0)
        >>> round(float(none_of(half, half)(an.Items(n=1)).exp()), 12)
        0.25
    """
    return _NoneOf(_parts("none_of", properties))


def dependence_error(probabilities: Numbers, weights: Numbers | None = None) -> torch.Tensor:
    r"""What adding log-probabilities gets wrong when properties depend on each other: ``log P(all) - sum_i log P_i``.

    Properties are independent given a hidden context (an annotator, a definition of "good"), and dependent without it.

    Args:
        probabilities: ``(contexts, properties, ...)`` of each property in each context (0/1 for single judgements).
        weights: ``(contexts,)`` probabilities of the contexts; uniform by default.

    Returns:
        ``(...)`` float64 nats; positive where properties come together, ``-inf`` where they exclude each other,
        0 where one of them is impossible by itself.

    Raises:
        ArgumentError: not probabilities, no property axis, or weights that are negative or all zero.

    Example:
        >>> dependence_error([[1.0, 1.0], [0.0, 0.0]]).exp().item()
        2.0
    """
    p = torch.as_tensor(as_numpy(probabilities), dtype=torch.float64)
    if p.ndim < 2 or not bool(((p >= 0) & (p <= 1)).all()):
        raise ArgumentError("dependence_error(probabilities=): numbers from 0 to 1, shape (contexts, properties, ...)")
    w = (
        torch.full((len(p),), 1 / len(p), dtype=torch.float64)
        if weights is None
        else torch.as_tensor(as_numpy(weights)).double()
    )
    if w.shape != (len(p),):
        raise ArgumentError(f"dependence_error(weights=): shape {tuple(w.shape)}, expected ({len(p)},)")
    if not bool((torch.isfinite(w) & (w >= 0)).all() and w.sum() > 0):
        raise ArgumentError("dependence_error(weights=): finite nonnegative numbers that are not all zero")
    w = w / w.sum()
    together = torch.tensordot(w, p.prod(1), 1)
    alone = torch.tensordot(w, p, 1)
    impossible = (alone == 0).any(0)  # both sides are log 0: the sum is exact
    return torch.where(impossible, 0.0, together.log() - alone.log().sum(0))


def log1mexp(x: torch.Tensor) -> torch.Tensor:
    """``log(1 - exp(x))`` for x <= 0 without cancellation (Maechler 2012).

    Example:
        >>> round(float(log1mexp(torch.tensor(-1e-20, dtype=torch.float64))), 4)
        -46.0517
    """
    near = torch.log(-torch.expm1(torch.where(x > -math.log(2), x, -1.0)))
    return torch.where(x > -math.log(2), near, torch.log1p(-torch.exp(x)))


def _parts(name: str, properties: tuple[Utility, ...]) -> list[GoodProbability]:
    if not properties:
        raise ArgumentError(
            f"{name}(): needs at least one property, for example an.policies.lsc(reward, reference_value)"
        )
    return [p if isinstance(p, GoodProbability) else _LogProbability(frozen(p, f"{name}()")) for p in properties]


def _per_item(value: ReferenceLike, reward: torch.Tensor, items: Items) -> torch.Tensor:
    """The reference value of each item's prompt."""
    found = value(reward, items) if callable(value) else torch.as_tensor(as_numpy(value))
    found = found.double()
    if found.ndim == 0:
        return found
    if found.shape != (items.num_prompts,):
        raise ArgumentError(f"lsc(reference_value=): {len(found)} values for {items.num_prompts} prompts")
    return found[items.prompt_code]
