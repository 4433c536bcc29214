r"""One policy for several groups: min-max regret, as a matrix game of policies and in its KL-regularised form.

Conventions (see also Chidambaram et al. 2405.15065 and 2510.15716):

* *Mixtures.* The deployed policy answers with policy j with probability ``w_j``. Group k's loss from policy j is
  ``L_kj = E_{pi_k} r_k - E_{pi_j} r_k`` (``against="own"``), which is negative when another group's policy serves k
  better than its own, or ``max_i E_{pi_i} r_k - E_{pi_j} r_k`` (``against="best"``), which never is. Expectations are
  averaged over prompts, and one w serves them all.
* *KL-regularised.* Group k values a policy at ``J_k(pi) = E_pi r_k - beta KL(pi || ref)``, whose maximum is ``pi_k``;
  its regret is ``beta KL(pi || pi_k)`` exactly, whatever r_k is. The worst regret is least at a log-linear pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linprog

from annosim.analysis.divergences import log_density
from annosim.arrays import Numbers
from annosim.errors import ArgumentError, TrainingError, told
from annosim.items import Items
from annosim.policies.pools import linear_pool
from annosim.policies.tilts import DensityLike, UtilityLike, values_of
from annosim.results import Result, versions
from annosim.utilities.densities import LogDensity
from annosim.utilities.tabular import Tabular

__all__ = ["MinMaxSolution", "expected_rewards", "loss_matrix", "matrix_game", "min_max_regret"]


@dataclass(frozen=True, eq=False, repr=False)
class MinMaxSolution(Result):
    """How a min-max policy was found.

    Attributes:
        weights: ``(J,)`` weights of the policies.
        adversary: ``(K,)`` weights of the groups in the worst case (the dual solution).
        regrets: ``(K,)`` regret of each group.
        value: the largest of them.
        gap: value minus the dual bound: how far the value can be from optimal at most.
        iterations: of the solver.
        losses: ``(K, J)`` the game, or ``None``.

    Example:
        >>> import annosim as an
        >>> float(an.policies.min_max_regret([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 3.0]]).solution.adversary.sum())
        1.0
    """

    weights: np.ndarray
    adversary: np.ndarray
    regrets: np.ndarray
    value: float
    gap: float
    iterations: int
    losses: np.ndarray | None = None

    def _lines(self) -> list[tuple[str, object]]:
        return [
            ("weights", np.array2string(self.weights, precision=4)),
            ("regrets", np.array2string(self.regrets, precision=4)),
            ("worst regret", self.value),
            ("duality gap", f"{self.gap:.3g}"),
            ("method", self.settings.get("method")),
        ]


def matrix_game(losses: Numbers, method: str = "lp", iterations: int = 20_000) -> MinMaxSolution:
    r"""``min_w max_k (L w)_k`` over the simplex, with the adversary's mixed strategy and the duality gap.

    Args:
        losses: ``(K, J)`` loss of group k under policy j.
        method: ``"lp"`` (exact linear program, HiGHS) or ``"mwu"``: multiplicative weights on both sides, average
            iterates, step ``sqrt(8 log(n) / T) / range``, gap at most ``range (sqrt(log J / 2T) + sqrt(log K / 2T))``.
        iterations: T of ``"mwu"``.

    Raises:
        ArgumentError: losses not a finite table, or an unknown method.

    Example:
        >>> matrix_game([[1.0, -1.0], [-1.0, 1.0]]).weights.tolist()
        [0.5, 0.5]
    """
    table = np.asarray(losses, dtype=np.float64)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise ArgumentError(f"matrix_game(losses=): shape {table.shape}; give a finite (groups, policies) table")
    if method == "lp":
        weights, adversary, count = _linear_program(table)
    elif method == "mwu":
        weights, adversary, count = _multiplicative_weights(table, iterations)
    else:
        raise ArgumentError(f"matrix_game(method={told(method)}): 'lp' or 'mwu'")
    regrets = table @ weights
    gap = float(regrets.max() - (adversary @ table).min())
    settings = {"method": method, **versions()}
    return MinMaxSolution(weights, adversary, regrets, float(regrets.max()), gap, count, table, settings=settings)


def _linear_program(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    groups, policies = table.shape
    found = linprog(
        np.r_[np.zeros(policies), 1.0],
        A_ub=np.c_[table, -np.ones(groups)],
        b_ub=np.zeros(groups),
        A_eq=np.r_[np.ones(policies), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * policies + [(None, None)],
        method="highs",
    )
    if not found.success:  # a finite game always has a value: only a solver failure leads here
        raise TrainingError(f"the linear program of the game failed: {found.message}")
    weights = np.clip(found.x[:-1], 0, None)  # HiGHS may return -1e-17
    adversary = np.clip(-found.ineqlin.marginals, 0, None)
    return weights / weights.sum(), adversary / adversary.sum(), int(found.nit)


def _multiplicative_weights(table: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray, int]:
    if iterations < 1:
        raise ArgumentError(f"matrix_game(iterations={iterations}): at least 1")
    groups, policies = table.shape
    spread = float(np.ptp(table)) or 1.0
    step_w = np.sqrt(8 * np.log(policies) / iterations) / spread
    step_a = np.sqrt(8 * np.log(groups) / iterations) / spread
    log_w, log_a = np.zeros(policies), np.zeros(groups)
    sum_w, sum_a = np.zeros(policies), np.zeros(groups)
    for _ in range(iterations):
        w = np.exp(log_w - log_w.max())
        a = np.exp(log_a - log_a.max())
        w, a = w / w.sum(), a / a.sum()
        sum_w += w
        sum_a += a
        log_w -= step_w * (a @ table)
        log_a += step_a * (table @ w)
    return sum_w / iterations, sum_a / iterations, iterations


def loss_matrix(
    policies: Sequence[DensityLike], rewards: Sequence[UtilityLike], items: Items, against: str = "own"
) -> np.ndarray:
    """``L_kj``: what group k loses under policy j, mean over prompts, ``(K, J)``.

    Args:
        policies: J densities; with ``against="own"`` the k-th is group k's own, so J >= K.
        rewards: K utilities, or vectors on the items.
        items: on which both are evaluated.
        against: ``"own"`` or ``"best"`` (see the conventions of this module).

    Raises:
        ArgumentError: fewer policies than groups with ``against="own"``, or an unknown convention.

    Example:
        >>> loss_matrix([[1., 0.], [0., 1.]], [[1., 0.], [0., 3.]], Items(n=2)).tolist()
        [[0.0, 1.0], [3.0, 0.0]]
    """
    value = expected_rewards(policies, rewards, items)
    if against == "best":
        return value.max(1, keepdims=True) - value
    if against != "own":
        raise ArgumentError(f"min_max_regret(against={told(against)}): 'own' or 'best'")
    if len(policies) < len(rewards):
        raise ArgumentError(
            f"min_max_regret: {len(policies)} policies for {len(rewards)} groups; against='own' needs group k's own "
            "policy in place k, against='best' does not"
        )
    return np.diag(value[:, : len(value)])[:, None] - value


def expected_rewards(policies: Sequence[DensityLike], rewards: Sequence[UtilityLike], items: Items) -> np.ndarray:
    """``E_x E_{pi_j(.|x)} r_k``, ``(K, J)``, prompts with equal weight.

    Example:
        >>> expected_rewards([[0.5, 0.5], [1.0, 0.0]], [[0.0, 2.0]], Items(n=2)).tolist()
        [[1.0, 0.0]]
    """
    r = torch.stack([values_of(reward, items, "rewards") for reward in rewards])
    mass = torch.stack([(log_density(p, items) + items.log_weights).exp() for p in policies])
    return (r @ mass.T / items.num_prompts).numpy()


def min_max_regret(
    policies: Sequence[DensityLike],
    rewards: Sequence[UtilityLike],
    items: Items | None = None,
    *,
    against: str = "own",
    method: str = "lp",
    iterations: int = 20_000,
) -> LogDensity:
    """The mixture of policies with the smallest worst regret over groups.

    Args:
        policies: densities, group k's own in place k.
        rewards: the groups' utilities (or vectors on the items).
        items: may be left out when policies are vectors or tabular.
        against: regret against each group's ``"own"`` policy (may be negative) or the ``"best"`` of all (never is).
        method, iterations: see :func:`matrix_game`.

    Returns:
        A density; ``policy.solution`` is the :class:`MinMaxSolution`.

    Raises:
        ArgumentError: see :func:`loss_matrix`.

    Example:
        >>> policy = min_max_regret([[1., 0.], [0., 1.]], [[1., 0.], [0., 3.]])
        >>> policy.solution.weights.tolist(), policy.solution.value
        ([0.25, 0.75], 0.75)
    """
    items = items_of(items, policies, rewards)
    found = matrix_game(loss_matrix(policies, rewards, items, against), method, iterations)
    found.settings["against"] = against
    policy = linear_pool(policies, found.weights)
    policy.solution = found  # type: ignore[assignment]
    return policy


def items_of(items: Items | None, policies: Sequence[DensityLike], rewards: Sequence[UtilityLike]) -> Items:
    """The item set, or the one that vectors and tabular policies imply."""
    if items is not None:
        return items
    if not len(policies):
        raise ArgumentError("min_max_regret(policies=): needs at least one policy")
    for one in [*policies, *rewards]:
        inner = getattr(one, "energy", one)
        values = inner.values if isinstance(inner, Tabular) else getattr(inner, "values", inner)
        if isinstance(values, torch.Tensor | np.ndarray | list | tuple):
            return Items(n=len(values))
    raise ArgumentError("min_max_regret(items=): needed, because no policy is a vector on the items; pass items=")
