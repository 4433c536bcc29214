"""From what was learned to what is deployed: functions that return densities, and transforms of rewards."""

from annosim.policies.ensembles import ensemble, weighted_sum
from annosim.policies.gradient import (
    PolicyGradient,
    TokenEnergy,
    all_sequences,
    kl_regularised_objective,
    policy_gradient,
)
from annosim.policies.kl_regret import min_max_kl_regret
from annosim.policies.min_max import MinMaxSolution, loss_matrix, matrix_game, min_max_regret
from annosim.policies.pools import linear_pool, log_linear_pool
from annosim.policies.references import canned, reference_mean, reference_median, reference_quantile
from annosim.policies.selection import best_of_n, best_of_n_kl_bound, best_of_n_win_rate_bound, sample_best_of_n
from annosim.policies.tilts import ItemDensity, gibbs, gibbs_at_kl, gibbs_path, log_partition
from annosim.policies.transforms import GoodProbability, all_of, any_of, dependence_error, lsc, none_of

__all__ = [
    "GoodProbability",
    "ItemDensity",
    "MinMaxSolution",
    "PolicyGradient",
    "TokenEnergy",
    "all_of",
    "all_sequences",
    "any_of",
    "best_of_n",
    "best_of_n_kl_bound",
    "best_of_n_win_rate_bound",
    "canned",
    "dependence_error",
    "ensemble",
    "gibbs",
    "gibbs_at_kl",
    "gibbs_path",
    "kl_regularised_objective",
    "linear_pool",
    "log_linear_pool",
    "log_partition",
    "loss_matrix",
    "lsc",
    "matrix_game",
    "min_max_kl_regret",
    "min_max_regret",
    "none_of",
    "policy_gradient",
    "reference_mean",
    "reference_median",
    "reference_quantile",
    "sample_best_of_n",
    "weighted_sum",
]
