"""Which items may still be the best on average, however often one looks.

For parameters ``theta`` the ratio ``P(answers) / P(answers | theta)``, with ``P(answers)`` averaged over a proper prior, is a
nonnegative martingale of mean one under ``theta``, whatever questions and annotators were chosen from the answers before.
By Ville's inequality (1939) it ever reaches ``1 / alpha`` with probability ``alpha`` at most: the likelihood ratio of a
mixture (Robbins 1970, Ann. Math. Stat. 41:1397; Wasserman, Ramdas and Balakrishnan 2020, PNAS 117:16880). An item is
excluded when the ratio has reached ``1 / alpha`` at all parameters under which it is the best. This holds for every truth and
every proper prior, which changes only how soon something is excluded, and for all prompts at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from annosim.items import Items
from annosim.populations.base import Population
from annosim.sampling.density import LogPosterior
from annosim.sampling.methods import FREEDOM, allowed_k, smoothed, spread_out

__all__ = ["Evidence", "log_evidence", "mean_index", "possible_best"]

Vector = NDArray[np.float64]
#: draws for the evidence
DRAWS = 1000
#: standard errors by which the evidence is lowered, and nats by which a maximum is raised: what is computed may be off
ERRORS, SLACK = 4.0, 1e-3
#: unconstrained numbers are searched so far, in units and in standard deviations of the draws; a maximum at infinity is
#: nearly reached there
RANGE = 30.0
#: draws from which a maximum is searched, where there may be several
STARTS = 3


@dataclass(frozen=True)
class Evidence:
    """Log-probability of the answers under the prior, by importance sampling.

    Attributes:
        value: the estimate.
        error: its standard error.
        pareto_k: tail of the weights.
        allowed_k: above it neither is to be trusted.
    """

    value: float
    error: float
    pareto_k: float
    allowed_k: float

    @property
    def trusted(self) -> bool:
        """Whether the weights have a tail that allows an estimate."""
        return self.pareto_k < self.allowed_k


def log_evidence(density: LogPosterior, y: Vector, *, draws: int = DRAWS, seed: int = 0) -> Evidence:
    """Importance sampling from a Student distribution with the mean and covariance of posterior draws (Geweke 1989).

    Args:
        density: likelihood and proper prior.
        y: ``(S, size)`` posterior draws, in its coordinates.
        draws: from the Student distribution.
        seed: of these.

    Example:
        >>> import annosim as an
        >>> data = an.PreferenceData(an.Items(n=2), [[0, 1]] * 3, [0, 0, 1])
        >>> found = an.sample_posterior(an.Annotator(an.Tabular(2), an.Luce()), data, an.priors.Dirichlet(1.0))
        >>> known = log_evidence(found.density, found.draws.y.reshape(-1, 1))
        >>> round(float(np.exp(known.value)), 2)  # of a Beta(2, 2) share: B(4, 3) / B(2, 2)
        0.1
    """
    size, rng = y.shape[1], np.random.default_rng(seed)
    centre = y.mean(0)
    root: Vector = np.linalg.cholesky(np.atleast_2d(np.cov(y.T)) + 1e-12 * np.eye(size)).astype(np.float64)
    drawn, proposal = spread_out(centre, root, FREEDOM, draws, rng)
    target = np.array([density(row)[0] for row in drawn])
    ratio = np.where(np.isfinite(target), target - proposal, -np.inf)
    top = float(ratio.max())
    weight = np.exp(ratio - top)
    error = float(weight.std(ddof=1) / weight.mean() / math.sqrt(draws))
    return Evidence(top + math.log(float(weight.mean())), error, smoothed(ratio)[1], allowed_k(draws))


def mean_index(population: Population, items: Items) -> torch.Tensor:
    """The index that annotators have on average, ``(n,)``; differentiable."""
    parts = [one.weight.double() @ one.index.double() for one in population.indexed(items)]
    return torch.stack(parts).sum(0)


def possible_best(density: LogPosterior, y: Vector, evidence: Evidence, alpha: float) -> tuple[int, ...]:
    """Items that are not excluded from being the best of their prompt by :func:`mean_index`, at error ``alpha``.

    The highest likelihood under which an item is best is exact where the likelihood is concave (one kind of annotator,
    Luce's rule); elsewhere the highest that is found from draws near by.

    Args:
        density: likelihood and proper prior.
        y: ``(S, size)`` posterior draws, where searches begin.
        evidence: from :func:`log_evidence`.
        alpha: probability that the best item is ever excluded, at most.
    """
    items = density.items
    groups = [items.members(p).numpy() for p in items.prompts.unique().tolist()]
    if not evidence.trusted:
        return tuple(range(items.n))
    bar = evidence.value - ERRORS * evidence.error + math.log(alpha)
    some = y[np.linspace(0, len(y) - 1, min(len(y), 200)).astype(int)]
    z = density.unconstrained_numbers(some)
    found = np.array([density.log_likelihood(row)[0] for row in z])
    index = np.stack([_index(density, row)[0] for row in z])
    spread = np.maximum(z.std(0), 1.0)
    left = []
    for group in groups:
        for item in group.tolist():
            others = group[group != item]
            gap = (index[:, [item]] - index[:, others]).min(1, initial=np.inf)
            near = np.argsort(-gap, kind="stable")[: 1 if density.likelihood.concave else STARTS]
            seen = bool((found[gap >= 0] > bar).any())
            if seen or any(_highest(density, item, others, start, spread) + SLACK > bar for start in z[near]):
                left.append(item)
    return tuple(sorted(left))


def _highest(
    density: LogPosterior, item: int, others: NDArray[np.int64], start: Vector, spread: Vector | None = None
) -> float:
    """The highest log-likelihood under which an item is at least as good as others; infinite where the search does not end.

    The search is in units of ``spread (P,)`` (1 by default; the draws' standard deviations where they are larger): weights
    of small features are large numbers, and no bound may cut off what is likely.
    """
    unit = np.ones(len(start)) if spread is None else spread
    first = start / unit
    reach = np.where(np.abs(first) > RANGE / 2, np.abs(first) + RANGE, RANGE)

    def minus(t: Vector) -> tuple[float, Vector]:
        value, slope = density.log_likelihood(unit * t)
        return -value, -slope * unit

    ahead = {
        "type": "ineq",
        "fun": lambda t: _index(density, unit * t)[0][item] - _index(density, unit * t)[0][others],
        "jac": lambda t: (_index(density, unit * t)[1][item] - _index(density, unit * t)[1][others]) * unit,
    }
    end: Any = minimize(
        minus,
        first,
        jac=True,
        method="SLSQP",
        bounds=list(zip(-reach, reach, strict=True)),
        constraints=[ahead] if len(others) else [],
        options={"maxiter": 500, "ftol": 1e-9},
    )
    return -float(end.fun) if end.success and np.isfinite(end.fun) else math.inf


def _index(density: LogPosterior, z: Vector) -> tuple[Vector, Vector]:
    """The mean index ``(n,)`` at unconstrained numbers, and its Jacobian ``(n, P)``."""
    model, items = density.model, density.items

    def look(row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        vector = density.unconstrained.inside(row)
        index = model.functional_call(vector, lambda p: mean_index(p, items))
        return index, index

    slope, index = torch.func.jacrev(look, has_aux=True)(torch.as_tensor(z))
    return index.detach().numpy(), slope.detach().numpy()
