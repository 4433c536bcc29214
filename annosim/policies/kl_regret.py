"""The policy with the smallest worst KL-regularised regret: a log-linear pool, by an interior point of its dual."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from annosim.analysis.divergences import log_density, prompt_sums
from annosim.errors import ArgumentError, TrainingError
from annosim.items import Items
from annosim.policies.min_max import MinMaxSolution, items_of
from annosim.policies.pools import log_linear_pool
from annosim.policies.tilts import DensityLike, ItemDensity, as_density
from annosim.results import versions
from annosim.utilities.densities import LogDensity

__all__ = ["min_max_kl_regret"]


def min_max_kl_regret(
    policies: Sequence[DensityLike],
    items: Items | None = None,
    *,
    beta: float = 1.0,
    per_prompt: bool = False,
    tolerance: float = 1e-10,
) -> LogDensity:
    r"""The policy with the smallest worst KL-regularised regret: ``min_pi max_k beta E_x KL(pi(.|x) || pi_k(.|x))``.

    It is the log-linear pool ``prod_k pi_k^{w_k}`` with one w for all prompts that maximises
    ``-E_x log sum_y prod_k pi_k(y|x)^{w_k}`` (minimax duality: the inner problem is convex in pi, linear in w). With
    ``per_prompt=True`` every prompt has its own w: another problem, in which regret is bounded prompt by prompt.

    Args:
        policies: densities with common support.
        items: may be left out when policies are vectors or tabular.
        beta: positive; scales the regrets, not the policy.
        per_prompt: a w for each prompt.
        tolerance: of the duality gap (in units of beta) beyond which the solver refuses to answer.

    Returns:
        A density; ``policy.solution`` is the :class:`MinMaxSolution` (``weights`` are ``(prompts, K)`` per prompt).

    Raises:
        ArgumentError: beta not positive, or policies without common support in a prompt.
        TrainingError: the duality gap stays above the tolerance.

    Example:
        >>> policy = min_max_kl_regret([[.8, .2], [.2, .8]])
        >>> policy.solution.weights.round(6).tolist(), policy.mass(Items(n=2)).numpy().round(6).tolist()
        ([0.5, 0.5], [0.5, 0.5])
    """
    if not beta > 0:
        raise ArgumentError(f"min_max_kl_regret(beta={beta}): a number above 0")
    items = items_of(items, policies, ())
    densities = [as_density(p, "min_max_kl_regret(policies=)") for p in policies]
    logs = torch.stack([log_density(p, items) for p in densities]).numpy()
    mass = items.weights.numpy()
    blocks = [items.members(prompt).numpy() for prompt in items.prompts.unique().tolist()]
    groups = [blocks] if not per_prompt else [[block] for block in blocks]
    solved = [_pool_weights(logs, mass, group, tolerance) for group in groups]
    weights = np.stack([s[0] for s in solved])
    if per_prompt:
        pool = _pool_per_prompt(logs, weights, items)
    else:
        pool = log_linear_pool(densities, weights[0])
    regrets = beta * _mean_kl(pool, logs, items)
    value = float(np.mean([beta * s[1] for s in solved])) if per_prompt else float(regrets.max())
    pool.solution = MinMaxSolution(  # type: ignore[assignment]
        weights if per_prompt else weights[0],
        weights if per_prompt else weights[0],
        regrets,
        value,
        float(np.max([beta * s[2] for s in solved])),
        int(sum(s[3] for s in solved)),
        settings={"method": "dual interior point", "per_prompt": per_prompt, "beta": beta, **versions()},
    )
    return pool


class _Dual:
    """``f(w) = mean_x log sum_y m(y) prod_k pi_k(y)^{w_k}``, with gradient and Hessian; convex.

    Its gradient is ``E log pi_k`` under the pool of weights w, its Hessian the mean covariance of the ``log pi_k``.
    """

    def __init__(self, logs: np.ndarray, mass: np.ndarray, blocks: list[np.ndarray]):
        self.parts = []
        for block in blocks:
            keep = block[np.isfinite(logs[:, block]).all(0)]
            if not len(keep):
                raise ArgumentError("min_max_kl_regret: in some prompt no item has positive mass under every policy")
            self.parts.append((logs[:, keep], np.log(mass[keep])))

    def __call__(self, w: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        count = len(w)
        f, g, h = 0.0, np.zeros(count), np.zeros((count, count))
        for table, log_mass in self.parts:
            e = w @ table + log_mass
            top = e.max()
            p = np.exp(e - top)
            total = p.sum()
            p /= total
            mean = table @ p
            f += top + np.log(total)
            g += mean
            h += ((table - mean[:, None]) * p) @ (table - mean[:, None]).T
        return f / len(self.parts), g / len(self.parts), h / len(self.parts)


def _pool_weights(
    logs: np.ndarray, mass: np.ndarray, blocks: list[np.ndarray], tolerance: float
) -> tuple[np.ndarray, float, float, int]:
    """Weights, worst mean KL, duality gap and iterations for prompts that share one w.

    The dual is followed along the central path of its logarithmic barrier: at ``mu`` the duality gap is ``K mu``.

    Raises:
        TrainingError: the gap stays above the tolerance (policies that differ by many orders of magnitude).
    """
    count = len(logs)
    dual = _Dual(logs, mass, blocks)
    w, steps = np.full(count, 1 / count), 0
    for mu in np.geomspace(1.0, 1e-13, 27) if count > 1 else ():
        w, used = _centre(dual, w, mu)
        steps += used
    f, g, _ = dual(w)
    # KL(pool || pi_k) = E[sum_j w_j log pi_j] - f - E log pi_k, averaged over prompts
    regrets = w @ g - f - g
    gap = float(regrets.max() + f)
    if gap > max(tolerance, 1e-11 * abs(f)):
        raise TrainingError(
            f"min_max_kl_regret: duality gap {gap:.3g} above tolerance={tolerance:g}; pass a larger one"
        )
    return w, float(regrets.max()), max(gap, 0.0), steps


def _centre(dual: _Dual, w: np.ndarray, mu: float, limit: int = 50) -> tuple[np.ndarray, int]:
    """Newton's method for ``f(w) - mu sum log w`` on the simplex, in coordinates scaled by w.

    Far from the centre a step must lower the value. Near it the value's rounding hides what a step gains, but Newton's
    method converges quadratically: full steps are taken there for as long as the decrement falls.
    """
    count, last, best = len(w), np.inf, w
    for step in range(limit):
        f, g, h = dual(w)
        scaled = h * np.outer(w, w) + mu * np.eye(count)
        slope = w * g - mu
        system = np.block([[scaled, w[:, None]], [w[None, :], np.zeros((1, 1))]])
        move = np.linalg.solve(system, np.r_[-slope, 0.0])[:count]
        decrement = float(move @ scaled @ move) / mu
        near = decrement < 1e-3 and np.abs(move).max() < 0.5
        if decrement < 1e-28 or (near and decrement >= last):
            return (w if decrement < last else best), step
        if near:
            last, best = decrement, w
            w = _moved(w, move)
            continue
        value, size = f - mu * np.log(w).sum(), min(1.0, 0.99 / max(-move.min(), 1e-300))
        while size > 1e-8:
            trial = _moved(w, size * move)
            gain = value - dual(trial)[0] + mu * np.log(trial).sum()
            if gain >= -1e-4 * size * float(slope @ move) - 1e-16 * abs(value):
                break
            size /= 2
        else:
            return w, step  # below the rounding of the value
        w = trial
    return w, limit


def _moved(w: np.ndarray, move: np.ndarray) -> np.ndarray:
    trial = w * (1 + move)
    return trial / trial.sum()


def _pool_per_prompt(logs: np.ndarray, weights: np.ndarray, items: Items) -> LogDensity:
    code = items.prompt_code
    total = np.zeros(items.n)
    for k in range(len(logs)):
        w = weights[code.numpy(), k]
        total += np.where(w > 0, w * np.where(w > 0, logs[k], 0.0), 0.0)
    for prompt in items.prompts.unique().tolist():
        ids = items.members(prompt).numpy()
        total[ids] -= total[ids].max()
    return ItemDensity(np.exp(total))


def _mean_kl(pool: LogDensity, logs: np.ndarray, items: Items) -> np.ndarray:
    log_p = log_density(pool, items)
    mass = log_p.exp() * items.weights
    gap = torch.where(mass > 0, log_p - torch.as_tensor(logs), 0.0)
    return prompt_sums(mass * gap, items).mean(-1).numpy()
