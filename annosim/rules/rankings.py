"""Rules for rankings: reversed Plackett-Luce, Mallows with its exact normaliser, and the noiseless ranker."""

from __future__ import annotations

import torch

from annosim.errors import ArgumentError
from annosim.parameters import ParameterLike
from annosim.random import CounterRNG
from annosim.rules.answers import reverse
from annosim.rules.base import Answer, Tempered, View
from annosim.rules.luce import Luce
from annosim.rules.stages import Stagewise

__all__ = ["Deterministic", "Mallows", "ReversedPlackettLuce"]


class ReversedPlackettLuce(Tempered):
    r"""Rankings built from the bottom: the worst is chosen first, with weights ``exp(-s)``, then the worst of the rest.

    ``P(ranking) = PL(reversed ranking; -s)``. The reverse of Plackett-Luce is not Plackett-Luce, except on pairs
    (Marden 1995, section 5.6).

    Args:
        temperature: positive; ``free(start)`` to estimate.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), ReversedPlackettLuce())
        >>> design = an.Design(an.Items(n=2), feedback="ranking", menus=[[0, 1]])
        >>> an.law(people, design).probabilities.round(decimals=4).tolist()
        [0.2689, 0.7311]
    """

    kinds = frozenset({"ranking"})

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Plackett-Luce of the reversed ranking at negated scores, ``(..., rows)``."""
        self.check_kind(view.feedback)
        return Luce().log_prob(negated(scores), reverse(answer, view), view)

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """Luce's draw at negated scores, reversed."""
        self.check_kind(view.feedback)
        return reverse(Luce().sample(negated(scores), view, rng), view)


def negated(scores: torch.Tensor) -> torch.Tensor:
    """``-scores``, with pads (``-inf``) kept."""
    return torch.where(torch.isfinite(scores), -scores, -torch.inf)


class Mallows(Stagewise):
    r"""``P(ranking) = phi^d / Z``, ``d`` the number of pairs ranked against the order of the scores (Mallows 1957).

    The normaliser is exact, ``Z = prod_{j <= m} (1 + phi + ... + phi^(j-1))``: with ``b`` better ones left out of
    ``m``, an alternative comes next with probability ``phi^b / (1 + ... + phi^(m-1))``. Equal scores: the pair counts
    in neither direction (the same as breaking ties at random first). ``phi = 0`` is noiseless, ``phi = 1`` uniform.

    ``normalised=`` gives the *normalised dispersion* instead, the expected number of discordant pairs over that of a
    uniform ranking, ``E d / (m (m - 1) / 4)``, which means the same for menus of any size (Boehmer, Bredereck, Elkind,
    Faliszewski, Szufa 2022).

    Args:
        phi: dispersion from 0 to 1; ``free(start)`` to estimate.
        normalised: normalised dispersion from 0 to 1, instead of ``phi``.

    Raises:
        ArgumentError: both or neither are given, or one is not in [0, 1].

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([2.0, 1.0, 0.0]), Mallows(phi=0.5))
        >>> design = an.Design(an.Items(n=3), feedback="ranking", menus=[[0, 1, 2]])
        >>> (an.law(people, design).probabilities * 21).round(decimals=4).tolist()  # 8, 4, 4, 2, 2, 1 over 21
        [8.0, 4.0, 4.0, 2.0, 2.0, 1.0]
    """

    ordinal = True

    def __init__(self, phi: ParameterLike | None = None, normalised: ParameterLike | None = None):
        super().__init__()
        if (phi is None) == (normalised is None):
            raise ArgumentError("Mallows: give phi=, or normalised= (the same meaning for menus of any size)")
        if phi is not None:
            self.declare("phi", phi, "unit", ndim=0)
        elif normalised is not None:
            self.declare("normalised", normalised, "unit", ndim=0)
        self.by_size = normalised is not None

    def dispersion(self, k: int, like: torch.Tensor) -> torch.Tensor:
        """``phi`` for menus of ``0 .. k`` alternatives, ``(k + 1,)``."""
        if not self.by_size:
            return self.phi.to(device=like.device, dtype=like.dtype).expand(k + 1)
        value = self.normalised.to(device=like.device, dtype=torch.float64)
        return torch.stack([dispersion_of(value, m) for m in range(k + 1)]).to(like.dtype)

    def stage(self, scores: torch.Tensor, left: torch.Tensor, view: View) -> torch.Tensor:
        """``b log phi + log([e]/e) - log [m]`` with ``[m] = 1 + ... + phi^(m-1)``, ``(..., rows, k)``."""
        k = scores.shape[-1]
        phi = self.dispersion(k, scores)[(view.menu >= 0).sum(-1)]
        both = left.unsqueeze(-2)
        better = (both & (scores.unsqueeze(-2) > scores.unsqueeze(-1))).sum(-1)
        equal = (both & (scores.unsqueeze(-2) == scores.unsqueeze(-1))).sum(-1).clamp_min(1)
        powers = phi.unsqueeze(-1) ** torch.arange(k, device=scores.device)
        sums = torch.cat([torch.ones_like(powers[..., :1]), powers.cumsum(-1)], -1)
        total = take(sums, left.sum(-1, keepdim=True))
        return torch.xlogy(better.to(phi.dtype), phi.unsqueeze(-1)) + (take(sums, equal) / equal).log() - total.log()


def take(table: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """``table (..., m)`` read at ``at (..., j)``, both broadcast over their leading axes."""
    batch = torch.broadcast_shapes(table.shape[:-1], at.shape[:-1])
    return table.expand(*batch, table.shape[-1]).gather(-1, at.expand(*batch, at.shape[-1]))


def expected_inversions(phi: torch.Tensor, m: int) -> torch.Tensor:
    """Mean number of discordant pairs of a Mallows ranking of ``m``: a sum of truncated geometric means.

    Example:
        >>> float(expected_inversions(torch.tensor(1.0), 4))
        3.0
    """
    i = torch.arange(max(m, 1), dtype=torch.float64, device=phi.device)
    w = phi.double() ** i
    return (((i * w).cumsum(0) / w.cumsum(0))[:m]).sum()


def dispersion_of(normalised: torch.Tensor, m: int) -> torch.Tensor:
    """``phi`` at which the expected share of discordant pairs is ``normalised / 2``; differentiable.

    Bisection (the mean grows with ``phi``), then one Newton step that carries the derivative.

    Example:
        >>> round(float(dispersion_of(torch.tensor(0.5), 2)), 6)  # phi / (1 + phi) = 1/4
        0.333333
    """
    if m < 2:
        return normalised
    goal = normalised * (m * (m - 1) / 4)
    low, high = torch.zeros_like(goal.detach()), torch.ones_like(goal.detach())
    for _ in range(60):
        middle = (low + high) / 2
        below = expected_inversions(middle, m) < goal.detach()
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    phi = (low + high) / 2
    i = torch.arange(m, dtype=torch.float64, device=phi.device)
    w = phi.double() ** i
    share = w.cumsum(0)
    variance = ((i**2 * w).cumsum(0) / share - ((i * w).cumsum(0) / share) ** 2).sum()
    slope = torch.where(phi > 1e-12, variance / phi, float(m - 1))  # d E / d phi of a truncated geometric law
    return phi + (goal - goal.detach()) / slope


class Deterministic(Stagewise):
    """No noise: the best is chosen, equals by a coin. The limit of every rule at temperature zero.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0, 1.0]), Deterministic())
        >>> an.law(people, an.Design(an.Items(n=3), menus=[[0, 1, 2]])).probabilities.round(decimals=4).tolist()
        [0.0, 0.5, 0.5]
    """

    ordinal = True

    def stage(self, scores: torch.Tensor, left: torch.Tensor, view: View) -> torch.Tensor:
        """Minus the log of the number of best ones, at the best ones, ``(..., rows, k)``."""
        top = torch.where(left, scores, -torch.inf).amax(-1, keepdim=True)
        best = left & (scores == top)
        return torch.where(best, -best.sum(-1, keepdim=True).clamp_min(1).to(scores.dtype).log(), -torch.inf)
