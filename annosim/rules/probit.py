"""Probit choice: the best after normal noise on each utility (Thurstone 1927), independent or correlated."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import torch
from torch.special import log_ndtr

from annosim.arrays import Numbers
from annosim.autodiff import plain_values
from annosim.errors import AnswerKindError, ArgumentError
from annosim.feedback import Feedback
from annosim.items import Items
from annosim.parameters import ParameterLike, check_value
from annosim.random import CounterRNG
from annosim.rules.base import Answer, Rule, View

__all__ = ["Thurstone"]

_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)


class Thurstone(Rule):
    r"""``x_i = u_i + noise_i`` with normal noise; the answer is the order of ``x``.

    Independent noise (``sd``, case V): a pair has ``P(a > b) = Phi((u_a - u_b) / (sd sqrt 2))``; larger menus and
    rankings are one-dimensional integrals, a trapezoid rule for choices and piecewise Gauss-Legendre for rankings
    (relative accuracy about 1e-10, also in the tails). ``covariance`` makes the noise correlated between items: orthant
    probabilities by nested Gauss-Legendre in log space (relative accuracy about 1e-8, menus of up to four). Best-worst
    sums over the orders of those between.

    Args:
        sd: standard deviation of the noise on each utility; ``free(start)`` to estimate. ``1 / sqrt(2)`` gives the pair
            probability ``Phi(u_a - u_b)``.
        covariance: ``(n, n)`` positive definite, instead of ``sd``.

    Raises:
        ArgumentError: both are given, or the covariance is not positive definite or has another size than the items.
        AnswerKindError: correlated noise on menus of more than four.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0.0, 1.0]), Thurstone(sd=0.5**0.5))
        >>> an.law(people, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=4).tolist()
        [0.1587, 0.8413]
    """

    kinds = frozenset({"choice", "ranking", "top", "best-worst"})
    unbounded = True

    def __init__(self, sd: ParameterLike | None = None, covariance: Numbers | None = None):
        super().__init__()
        if sd is not None and covariance is not None:
            raise ArgumentError("Thurstone: give sd= (independent noise) or covariance= (correlated), not both")
        self.correlated = covariance is not None
        if covariance is None:
            self.declare("sd", 1.0 if sd is None else sd, "positive", ndim=0)
            return
        matrix = check_value("Thurstone(covariance=)", covariance, "real")
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or bool((matrix - matrix.mT).abs().max() > 1e-9):
            raise ArgumentError(f"Thurstone(covariance=): a symmetric (n, n) matrix, got shape {tuple(matrix.shape)}")
        if int(torch.linalg.cholesky_ex(matrix)[1]):
            raise ArgumentError("Thurstone(covariance=): not positive definite; add a small multiple of the identity")
        self.register_buffer("noise", matrix)

    @property
    def divisor(self) -> str | None:  # type: ignore[override]
        """``"sd"`` where the noise is independent."""
        return None if self.correlated else "sd"

    def index(self, u: torch.Tensor, items: Items) -> torch.Tensor:
        """``u / sd`` (``u`` itself when the noise is correlated), ``(..., n)``."""
        return u if self.correlated else u / self.sd.to(u.dtype)

    def relabelled(self, order: Numbers) -> Thurstone:
        """The same rule after items are renamed: new item ``j`` is old item ``order[j]``."""
        if not self.correlated:
            return self
        at = torch.as_tensor(order)
        return Thurstone(covariance=self.noise[at][:, at])

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log-probability of the answers, ``(..., rows)``."""
        self.check_kind(view.feedback)
        kind, position = view.feedback.kind, answer.position
        if kind == "best-worst":
            return self._best_worst(scores, position, view)
        if self.correlated:
            return self._correlated(scores, position, view)
        if scores.shape[-1] == 2:
            gap = scores[..., 0] - scores[..., 1]
            return log_ndtr(torch.where(position[..., 0] == 0, gap, -gap) / math.sqrt(2))
        if kind == "choice":
            return _log_best(scores, position[..., :1])
        return _log_order(scores, position)

    def _best_worst(self, scores: torch.Tensor, position: torch.Tensor, view: View) -> torch.Tensor:
        k = scores.shape[-1]
        if k > 6 or view.padded:
            raise AnswerKindError(
                f"Thurstone: best-worst from menus of {k}: exact up to 6 alternatives, without empty places"
            )
        orders = torch.tensor(list(itertools.permutations(range(k))), device=scores.device)
        ends = (orders[:, 0] == position[..., :1]) & (orders[:, -1] == position[..., 1:])
        wide = replace(view.expanded(), feedback=Feedback("ranking"))
        each = self.log_prob(scores.unsqueeze(-2), Answer(orders), wide)
        return torch.logsumexp(torch.where(ends, each, -torch.inf), -1)

    def _correlated(self, scores: torch.Tensor, position: torch.Tensor, view: View) -> torch.Tensor:
        k = scores.shape[-1]
        self._check_items(view)
        if k > 4 or view.padded:
            raise AnswerKindError(
                f"Thurstone: correlated noise on menus of {k}: up to 4 alternatives, without empty places"
            )
        ordered = view.menu.sort(-1).values
        if bool((ordered[..., 1:] == ordered[..., :-1]).any()):
            raise AnswerKindError("Thurstone: correlated noise on a menu that shows an item twice; use distinct items")
        contrast = _contrasts(position, k, view.feedback.kind).to(scores.dtype)  # (..., k - 1, k)
        cov = self.noise.to(scores)[view.menu.unsqueeze(-1), view.menu.unsqueeze(-2)]
        mean = (contrast * scores.unsqueeze(-2)).sum(-1)
        return log_orthant(mean, contrast @ cov @ contrast.mT)

    def _check_items(self, view: View) -> None:
        if view.items.n != len(self.noise):
            raise ArgumentError(
                f"Thurstone(covariance=): a matrix of {len(self.noise)} items, there are {view.items.n}"
            )

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """Add normal noise and sort: exact, any menu size."""
        self.check_kind(view.feedback)
        rows, k = scores.shape
        noise = torch.as_tensor(rng.normal("answer", k), device=scores.device)
        if self.correlated:
            self._check_items(view)
            menu = view.menu.clamp_min(0)
            factor = torch.linalg.cholesky(self.noise.to(scores.device))[menu]  # repeated items share their noise
            shared = rng.normal("answer", len(self.noise))
            noise = (factor * torch.as_tensor(shared, device=scores.device).unsqueeze(-2)).sum(-1)
        order = (scores.double() + noise).argsort(dim=-1, descending=True, stable=True)
        filled = (view.menu >= 0).gather(-1, order)
        kind = view.feedback.kind
        if kind == "choice":
            return Answer(order[:, :1])
        if kind == "best-worst":
            last = (filled.sum(-1, keepdim=True) - 1).clamp_min(0)
            return Answer(torch.cat([order[:, :1], order.gather(-1, last)], -1))
        beyond = torch.arange(k, device=scores.device) >= min(view.feedback.depth or k, k)
        return Answer(torch.where(filled & ~beyond, order, -1))


def _contrasts(position: torch.Tensor, k: int, kind: str) -> torch.Tensor:
    """Rows ``e_a - e_b`` that are positive exactly when the answer is given, ``(..., k - 1, k)``."""
    eye = torch.eye(k, dtype=torch.float64, device=position.device)
    if kind == "choice":
        best = position[..., :1]
        others = torch.arange(k - 1, device=position.device)
        others = others + (others >= best)
        return eye[best] - eye[others]
    live = position >= 0
    place = torch.arange(k, device=position.device)
    ranked = (position.unsqueeze(-1) == place).any(-2)
    depth = live.sum(-1, keepdim=True)
    key = torch.where(ranked, -1, place)  # the rest in display order behind the ranked
    rest = torch.where(key >= 0, key, k).sort(-1).values
    full = torch.where(place < depth, position, rest.gather(-1, (place - depth).clamp(0, k - 1).expand_as(rest)))
    above = torch.minimum(place[:-1], depth - 1).expand(*full.shape[:-1], k - 1)
    return eye[full.gather(-1, above)] - eye[full[..., 1:]]


def _log_best(scores: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """``log int phi(z) prod_j Phi(s_i - s_j + z) dz`` by the trapezoid rule (error beyond 1e-15 at step 1/4)."""
    batch = torch.broadcast_shapes(scores.shape[:-1], position.shape[:-1])
    s = scores.expand(*batch, scores.shape[-1])
    real = torch.isfinite(s)
    safe = torch.where(real, s, 0.0)
    own = safe.gather(-1, position.expand(*batch, 1))
    reach = float(plain_values(torch.where(real, s, -torch.inf).amax(-1) - own.squeeze(-1)).amax())
    z = torch.arange(-9.0, 9.0 + min(max(reach, 0.0), 80.0), 0.25, dtype=s.dtype, device=s.device)
    others = real & (torch.arange(s.shape[-1], device=s.device) != position)
    gaps = log_ndtr((own - safe).unsqueeze(-1) + z)
    inner = torch.where(others.unsqueeze(-1), gaps, 0.0).sum(-2)
    return torch.logsumexp(inner - z**2 / 2, -1) + math.log(0.25) - _LOG_ROOT_2PI


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


def _integration_matrix() -> np.ndarray:
    """``A[i, j]``: integral from -1 to node ``i`` of the ``j``-th Lagrange polynomial."""
    legendre = np.polynomial.legendre
    to_coefficients = np.linalg.inv(legendre.legvander(_NODES, 11))
    integrals = np.stack([legendre.legval(_NODES, legendre.legint(row, lbnd=-1)) for row in np.eye(12)], -1)
    return integrals @ to_coefficients


_INNER = _integration_matrix()


def _log_order(scores: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Log-probability of an order (of its first places): nested integrals on panels of width 3/4."""
    batch = torch.broadcast_shapes(scores.shape[:-1], position.shape[:-1])
    k = scores.shape[-1]
    s = scores.expand(*batch, k)
    position = position.expand(*batch, position.shape[-1])
    real = torch.isfinite(s)
    safe = torch.where(real, s, 0.0)
    low = float(plain_values(torch.where(real, s, torch.inf)).min()) - 9
    high = float(plain_values(torch.where(real, s, -torch.inf)).max()) + 9
    panels = max(int(math.ceil((high - low) / 0.75)), 1)
    half = (high - low) / panels / 2
    put = lambda a: torch.as_tensor(a, dtype=s.dtype, device=s.device)  # noqa: E731
    centre = low + half * (2 * torch.arange(panels, dtype=s.dtype, device=s.device) + 1)
    x = centre[:, None] + half * put(_NODES)
    ranked = (position.unsqueeze(-1) == torch.arange(k, device=s.device)).any(-2)
    rest = real & ~ranked
    below = log_ndtr(x - safe[..., None, None])
    g = torch.where(rest[..., None, None], below, 0.0).sum(-3).exp()
    total = torch.ones(batch, dtype=s.dtype, device=s.device)
    for j in reversed(range(position.shape[-1])):
        at = position[..., j : j + 1]
        live = (at >= 0).squeeze(-1)
        mine = safe.gather(-1, at.clamp_min(0))[..., None]
        f = torch.exp(-((x - mine) ** 2) / 2 - _LOG_ROOT_2PI) * g
        panel = (f * put(_WEIGHTS)).sum(-1) * half
        within = (f @ put(_INNER).mT) * half
        g = torch.where(live[..., None, None], (panel.cumsum(-1) - panel).unsqueeze(-1) + within, g)
        total = torch.where(live, panel.sum(-1), total)
    return total.log()


def log_orthant(mean: torch.Tensor, covariance: torch.Tensor, points: int = 40) -> torch.Tensor:
    """``log P(all of N(mean, covariance) > 0)``, ``(..., d)`` and ``(..., d, d)``: nested Gauss-Legendre in log space.

    Each integral conditions the others on the first coordinate; every term is positive, so that the relative accuracy
    holds in the tails.

    Example:
        >>> quarter = log_orthant(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
        >>> round(float(quarter.exp()), 10)
        0.25
    """
    sd = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    if mean.shape[-1] == 1:
        return log_ndtr(mean[..., 0] / sd[..., 0])
    edge = -mean[..., 0] / sd[..., 0]
    nodes, weights = np.polynomial.legendre.leggauss(points)
    shortfall = torch.where(mean < 0, -mean / sd, 0.0).amax(-1).detach()
    low = edge.clamp_min(-9.0)
    high = torch.maximum(edge.detach(), torch.zeros_like(edge)) + 9 + shortfall
    half = ((high - low) / 2).unsqueeze(-1)
    x = torch.as_tensor(nodes, dtype=mean.dtype, device=mean.device)
    z = low.unsqueeze(-1) + half * (x + 1)
    slope = covariance[..., 1:, 0] / sd[..., :1]
    rest = covariance[..., 1:, 1:] - slope.unsqueeze(-1) * slope.unsqueeze(-2)
    conditional = mean[..., None, 1:] + z.unsqueeze(-1) * slope.unsqueeze(-2)
    inner = log_orthant(conditional, rest.unsqueeze(-3).expand(*conditional.shape, rest.shape[-1]), points)
    log_w = torch.as_tensor(np.log(weights), dtype=mean.dtype, device=mean.device)
    return torch.logsumexp(inner - z**2 / 2 - _LOG_ROOT_2PI + log_w + half.log(), -1)
