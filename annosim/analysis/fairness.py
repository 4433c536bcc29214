"""Who is served by a policy: worst, mean, Gini index and envy for any number of types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annosim.analysis.divergences import kl_divergence
from annosim.analysis.policies import expected_utility
from annosim.arrays import Numbers
from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.populations.base import Population
from annosim.results import Result
from annosim.utilities.base import Density

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FairnessTable", "fairness_table", "gini_index"]


def gini_index(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Inequality of nonnegative numbers: half the mean absolute difference of two of them over their mean (0: all equal).

    Args:
        values: ``(types,)`` nonnegative, for example regrets.
        weights: shares of the types; equal by default.

    Raises:
        ArgumentError: a negative number.

    Example:
        >>> gini_index([1.0, 1.0]), gini_index([0.0, 1.0])
        (0.0, 0.5)
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.full(len(x), 1 / len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    if x.ndim != 1 or w.shape != x.shape or not bool((x >= 0).all()):
        raise ArgumentError("gini_index: nonnegative numbers, one per type, and as many weights")
    w, mean = w / w.sum(), float(w @ x / w.sum())
    if mean == 0:
        return 0.0
    return float(w @ np.abs(x[:, None] - x) @ w / (2 * mean))


@dataclass(frozen=True, eq=False, repr=False)
class FairnessTable(Result):
    """What each policy costs each type.

    Attributes:
        policies: names.
        regret: ``(policies, types)``, divergence from the type's own best policy in nats (times beta).
        utility: ``(policies, types)``, expected utility.
        weights: shares of the types.

    Example:
        >>> import annosim as an
        >>> own = [[0.9, 0.1], [0.1, 0.9]]
        >>> found = an.analysis.fairness_table({"even": [0.5, 0.5]}, own, [[1.0, 0.0], [0.0, 1.0]], an.Items(n=2))
        >>> isinstance(found, FairnessTable), found.regret.shape
        (True, (1, 2))
    """

    policies: tuple[str, ...]
    regret: NDArray[np.float64]
    utility: NDArray[np.float64]
    weights: NDArray[np.float64]

    def to_frame(self) -> pd.DataFrame:
        """One row per policy: worst and mean regret, Gini index of the regrets, envy, and the regret of each type. Envy: how
        much regret the worst-off type would be spared in the place of the best-off one."""
        import pandas as pd

        columns = {
            "policy": self.policies,
            "worst": self.regret.max(1),
            "mean": self.regret @ self.weights,
            "gini": [gini_index(row, self.weights) for row in self.regret],
            "envy": np.ptp(self.regret, axis=1),
        }
        types = {f"type {k}": self.regret[:, k] for k in range(self.regret.shape[1])}
        return pd.DataFrame(columns | types)

    def _lines(self) -> list[tuple[str, object]]:
        return [(name, f"worst regret {row.max():.4g}") for name, row in zip(self.policies, self.regret, strict=True)]


def fairness_table(
    policies: Mapping[str, Density | Numbers],
    own: Sequence[Density | Numbers],
    utilities: Population | Numbers,
    items: Items,
    *,
    weights: ArrayLike | None = None,
    beta: float = 1.0,
) -> FairnessTable:
    """Policies compared by whom they serve, for any number of types.

    Args:
        policies: name -> density, or its vector on the items.
        own: each type's own best policy; the regret of type k is ``beta KL(policy || own[k])``.
        utilities: a ``(types, n)`` table, or a population (its types' utilities).
        items: on which they are evaluated.
        weights: shares of the types; equal by default.
        beta: of the KL regularisation.

    Raises:
        ArgumentError: no policies, or another number of weights than of types.

    Example:
        >>> own = [[.9, .1], [.1, .9]]
        >>> table = fairness_table({"even": [.5, .5], "first's": own[0]}, own, [[1., 0.], [0., 1.]], Items(n=2))
        >>> table.to_frame().round(3)[["policy", "worst", "mean", "envy"]].to_numpy().tolist()
        [['even', 0.511, 0.511, 0.0], ["first's", 1.758, 0.879, 1.758]]
    """
    share = np.full(len(own), 1 / len(own)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not policies or share.shape != (len(own),):
        raise ArgumentError(
            f"fairness_table: {len(policies)} policies, {share.size} weights; give at least one, and {len(own)}"
        )
    regret = [[beta * kl_divergence(policy, best, items) for best in own] for policy in policies.values()]
    utility = [expected_utility(policy, utilities, items) for policy in policies.values()]
    return FairnessTable(
        tuple(policies), np.array(regret), np.array(utility), share / share.sum(), settings={"beta": beta}
    )
