"""Draws from a log density: the normal approximation at the mode, and NUTS."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from annosim.errors import ArgumentError
from annosim.extras import library

__all__ = ["FREEDOM", "Draws", "allowed_k", "laplace", "nuts", "smoothed", "spread_out", "worth"]

Vector = NDArray[np.float64]
#: value and gradient of a log density
Density = Callable[[Vector], tuple[float, Vector]]

LOG_TWO_PI = math.log(2 * math.pi)
#: Pareto's k above which importance weights are not to be trusted, however many (Vehtari et al. 2024, JMLR 25:72)
PARETO_K = 0.7
#: degrees of freedom of Student distributions that draws for importance weights come from
FREEDOM = 8.0
#: draws from the normal approximation, at least
POOL = 1000
#: the largest weight, of their mean, up to which all are about level
LEVEL = 1.25
#: draws without which weights have no tail
FEWEST = 25
#: how far from the mode chains of NUTS begin, in standard deviations of the normal approximation
START_SPREAD = 1.5


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws in unconstrained coordinates.

    Attributes:
        y: ``(chains, draws, size)``.
        stats: ``(chains, draws)`` arrays by name.
        pareto_k: tail of the importance weights of the normal approximation; NaN of NUTS.
        allowed_k: Pareto's k up to which these weights are to be trusted.
        pool: draws ``(S, size)`` from the approximation, of which ``y`` are some; ``None`` of NUTS.
        pool_lp: log density of these, ``(S,)``.
        weight: their importance weights ``(S,)``, of sum one.
        chosen: which of them the draws are, ``(chains * draws,)``.
    """

    y: Vector
    stats: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    pareto_k: float = math.nan
    allowed_k: float = math.nan
    pool: Vector | None = None
    pool_lp: Vector | None = None
    weight: Vector | None = None
    chosen: NDArray[np.int64] | None = None


def mode(density: Density, start: Vector) -> tuple[Vector, Vector, Vector]:
    """The maximum ``(size,)``, the information there and a root of its inverse, both ``(size, size)``.

    L-BFGS, then Newton with the differences of gradients as Hessian.

    Raises:
        ArgumentError: the density has no maximum with a finite spread.

    Example:
        >>> where, information, _ = mode(lambda y: (-2.0 * float(y @ y), -4.0 * y), np.ones(1))
        >>> where.round(6).tolist(), information.round(6).tolist()
        ([0.0], [[4.0]])
    """

    def minus(y: Vector) -> tuple[float, Vector]:
        value, gradient = density(y)
        return -value, -gradient

    found: Any = minimize(minus, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "maxfun": 4000})
    y, information = found.x, np.eye(len(start))
    for _ in range(6):
        information = information_at(density, y)
        move = np.linalg.lstsq(information, density(y)[1], rcond=None)[0]
        if density(y + move)[0] < density(y)[0] or np.abs(move).max(initial=0.0) < 1e-9:
            break
        y = y + move
    values, vectors = np.linalg.eigh(information)
    if not np.isfinite(values).all() or values.min(initial=1.0) <= 0:
        raise ArgumentError(
            "sample_posterior(method='laplace'): the posterior is not curved downwards at its mode (two modes, or a "
            "hierarchy whose spread falls to zero); take method='nuts'"
        )
    return y, information, vectors / np.sqrt(values)


def information_at(density: Density, y: Vector, step: float = 1e-4) -> Vector:
    """Minus the Hessian by central differences of the gradient, ``(size, size)``."""
    rows = []
    for j in range(len(y)):
        move = np.zeros(len(y))
        move[j] = step
        rows.append((density(y - move)[1] - density(y + move)[1]) / (2 * step))
    out = np.stack(rows) if rows else np.zeros((0, 0))
    return 0.5 * (out + out.T)


def laplace(density: Density, start: Vector, draws: int, chains: int, seed: int) -> Draws:
    """Draws from the normal approximation at the mode, drawn again by their smoothed importance weights.

    The weights correct what the approximation has wrong, as long as Pareto's k allows it (Rubin 1987; Vehtari et al. 2024,
    JMLR 25:72). Where they leave less than half of the draws, a Student distribution with the weighted mean and covariance
    takes its place, twice at most (Cappe et al. 2004, J. Comput. Graph. Stat. 13:907); the best of them counts.
    """
    where, _, root = mode(density, start)
    rng, count = np.random.default_rng(seed), chains * draws
    pool, freedom, found = max(count, POOL), math.inf, []
    for _ in range(3):
        y, proposal = spread_out(where, root, freedom, pool, rng)
        target = np.array([density(row)[0] for row in y])
        log_weight, k = smoothed(np.where(np.isfinite(target), target - proposal, -np.inf))
        weight = np.exp(log_weight - np.logaddexp.reduce(log_weight))
        effective = float(1.0 / (weight @ weight))
        found.append((effective, y, target, weight, k))
        if not effective < 0.5 * pool:
            break
        where, freedom = weight @ y, FREEDOM
        away = (y - where) * np.sqrt(weight)[:, None]
        root = np.linalg.cholesky(away.T @ away + 1e-6 * root @ root.T)
    _, y, target, weight, k = max(found, key=lambda one: one[0])
    chosen, shape = _systematic(weight, count, rng), (chains, draws)
    lp = target[chosen].reshape(shape)
    return Draws(y[chosen].reshape(*shape, -1), {"lp": lp}, k, allowed_k(pool), y, target, weight, chosen)


def spread_out(
    centre: Vector, root: Vector, freedom: float, count: int, rng: np.random.Generator
) -> tuple[Vector, Vector]:
    """Draws ``(count, size)`` of a Student distribution around ``centre``, and its log density there; normal at infinite freedom.

    Example:
        >>> y, density = spread_out(np.zeros(1), np.eye(1), math.inf, 3, np.random.default_rng(0))
        >>> bool(np.allclose(density, -0.5 * y[:, 0] ** 2 - 0.5 * LOG_TWO_PI))
        True
    """
    size = len(centre)
    z = rng.standard_normal((count, size))
    volume = float(np.linalg.slogdet(root)[1])
    if math.isinf(freedom):
        return centre + z @ root.T, -0.5 * (z**2).sum(1) - 0.5 * size * LOG_TWO_PI - volume
    z *= np.sqrt(freedom / rng.chisquare(freedom, (count, 1)))
    constant = math.lgamma((freedom + size) / 2) - math.lgamma(freedom / 2) - 0.5 * size * math.log(freedom * math.pi)
    log_density = constant - 0.5 * (freedom + size) * np.log1p((z**2).sum(1) / freedom) - volume
    return centre + z @ root.T, log_density


def _systematic(weight: Vector, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``count`` places in proportion to weights, in a random order: each the whole or next number of its expected times."""
    at = np.searchsorted(np.cumsum(weight), (np.arange(count) + rng.random()) / count)
    return np.asarray(rng.permutation(np.minimum(at, len(weight) - 1)))


def worth(numbers: Vector, weight: Vector, count: int) -> Vector:
    """How many independent draws the mean of ``count`` draws is worth that were drawn again by weights, ``(P,)``; ``count`` at most.

    ``sum w (x - m)^2 / sum (w^2 + f (1 - f) / count^2) (x - m)^2``: the variance of a self-normalised estimate is that of
    large weights far from the mean (Owen 2013, section 9.2), which ``1 / sum w^2`` does not see; ``f``, what ``count w``
    leaves beyond a whole number, is whether a draw comes once more.

    Args:
        numbers: ``(S, P)`` of all draws.
        weight: ``(S,)`` of sum one.
        count: how many were drawn again.

    Example:
        >>> x = np.linspace(-1, 1, 100)[:, None]
        >>> level = np.full(100, 0.01)
        >>> worth(x, level, 100).round().tolist(), worth(x, level, 50).round().tolist()
        ([100.0], [50.0])
    """
    away = (numbers - weight @ numbers) ** 2
    part = (count * weight) % 1.0
    error = (weight**2 + part * (1 - part) / count**2) @ away
    spread = weight @ away
    return np.minimum(np.divide(spread, error, out=np.full(len(spread), float(count)), where=error > 0), count)


def allowed_k(draws: int) -> float:
    """Pareto's k up to which so many importance weights are to be trusted (Vehtari et al. 2024, section 3.2.4).

    Example:
        >>> round(allowed_k(100), 2), round(allowed_k(4000), 2)
        (0.5, 0.7)
    """
    return min(PARETO_K, 1.0 - 1.0 / math.log10(max(draws, 11)))


def smoothed(log_ratio: Vector) -> tuple[Vector, float]:
    """Pareto-smoothed importance weights ``(S,)``, as logarithms, and Pareto's k: of a tail so heavy that moments above
    ``1 / k`` are infinite (Vehtari et al. 2024, JMLR 25:72).

    Args:
        log_ratio: log density of the target less that of the proposal, at draws from the proposal.

    Example:
        >>> u = (np.arange(2000) + 0.5) / 2000
        >>> 0.4 < smoothed(-0.5 * np.log(u))[1] < 0.6, smoothed(0.5 * np.log(u))[1] < 0
        (True, True)
    """
    stats = library("arviz_stats.base", "bayes").array_stats
    raw = log_ratio - np.logaddexp.reduce(log_ratio)
    if len(log_ratio) < FEWEST:
        return raw, math.nan
    if raw.max() < math.log(LEVEL / len(raw)):  # no tail: a step in such weights would pass for a heavy one
        return raw, 0.0
    try:
        with np.errstate(all="ignore"):  # weights of which one has everything: k is then NaN, and not to be trusted
            weights, k = stats.psislw(-log_ratio)  # which takes what leave-one-out has: minus the logarithm of a weight
    except ValueError:  # a tail of equal weights
        level = bool(np.ptp(log_ratio) < 1e-9)
        return np.full(len(log_ratio), -math.log(len(log_ratio))), 0.0 if level else math.nan
    return np.asarray(weights, dtype=np.float64), float(np.asarray(k))


def nuts(density: Density, start: Vector, draws: int, tune: int, chains: int, seed: int, cores: int) -> Draws:
    """The No-U-Turn sampler (Hoffman and Gelman 2014) of nutpie; chains begin around the mode."""
    nutpie, pyfunc = library("nutpie", "bayes"), library("nutpie.compiled_pyfunc", "bayes")
    pyarrow = library("pyarrow", "bayes")
    try:
        where, _, root = mode(density, start)
    except ArgumentError:
        where, root = start, 0.3 * np.eye(len(start))
    size = len(where)

    def first(seed: Any) -> Vector:
        z = np.random.default_rng(np.abs(np.frombuffer(np.asarray(seed).tobytes(), np.uint8)).astype(int))
        return where + START_SPREAD * root @ z.standard_normal(size)

    model = pyfunc.from_pyfunc(
        size,
        lambda: copy.deepcopy(density),  # a chain is a thread, and torch swaps parameters inside the module
        lambda *_: lambda y: {"y": y},
        [np.dtype("float64")],
        [(size,)],
        ["y"],
        make_initial_point_fn=first,
    )
    settings = {"draws": draws, "tune": tune, "chains": chains, "cores": cores, "seed": seed}
    try:
        trace = nutpie.sample(model, **settings, progress_bar=False, save_warmup=False, return_raw_trace=True)
    except RuntimeError as error:
        said = str(error).split("\n")[0]
        raise ArgumentError(
            f"sample_posterior(method='nuts'): no chain could begin ({said}); a tighter prior="
        ) from None
    found, said = trace.get_arrow_trace()
    y, stats = [], []
    for batch, beside in zip(found, said, strict=True):
        column, table = pyarrow.record_batch(batch).column("y"), pyarrow.record_batch(beside)
        y.append(np.asarray(column.values).reshape(-1, size)[-draws:])
        stats.append({name: np.asarray(table.column(name))[-draws:] for name in STATS})
    names = {"logp": "lp", "n_steps": "n_steps", "depth": "tree_depth", "mean_tree_accept": "acceptance_rate"}
    together = {names.get(name, name): np.stack([one[name] for one in stats]) for name in STATS}
    return Draws(np.stack(y), together)


#: what is kept of nutpie's own columns
STATS = ("diverging", "logp", "n_steps", "depth", "energy", "step_size", "mean_tree_accept")
