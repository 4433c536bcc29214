from .ensembles import ensemble as ensemble
from .ensembles import weighted_sum as weighted_sum
from .gradient import PolicyGradient as PolicyGradient
from .gradient import TokenEnergy as TokenEnergy
from .gradient import all_sequences as all_sequences
from .gradient import kl_regularised_objective as kl_regularised_objective
from .gradient import policy_gradient as policy_gradient
from .iteration import Iteration as Iteration
from .iteration import iterate as iterate
from .kl_regret import min_max_kl_regret as min_max_kl_regret
from .min_max import MinMaxSolution as MinMaxSolution
from .min_max import expected_rewards as expected_rewards
from .min_max import loss_matrix as loss_matrix
from .min_max import matrix_game as matrix_game
from .min_max import min_max_regret as min_max_regret
from .online_gradient import SampledPolicyGradient as SampledPolicyGradient
from .online_gradient import sampled_policy_gradient as sampled_policy_gradient
from .pools import linear_pool as linear_pool
from .pools import log_linear_pool as log_linear_pool
from .references import fixed_response_reference as fixed_response_reference
from .references import reference_mean as reference_mean
from .references import reference_median as reference_median
from .references import reference_quantile as reference_quantile
from .sampled_responses import effective_samples as effective_samples
from .sampled_responses import rollouts as rollouts
from .selection import best_of_n as best_of_n
from .selection import best_of_n_kl_bound as best_of_n_kl_bound
from .selection import best_of_n_win_rate_bound as best_of_n_win_rate_bound
from .selection import sample_best_of_n as sample_best_of_n
from .tilts import ItemDensity as ItemDensity
from .tilts import gibbs as gibbs
from .tilts import gibbs_at_kl as gibbs_at_kl
from .tilts import gibbs_path as gibbs_path
from .tilts import log_partition as log_partition
from .transforms import GoodProbability as GoodProbability
from .transforms import all_of as all_of
from .transforms import any_of as any_of
from .transforms import dependence_error as dependence_error
from .transforms import lsc as lsc
from .transforms import none_of as none_of

__all__ = [
    "GoodProbability",
    "ItemDensity",
    "Iteration",
    "MinMaxSolution",
    "PolicyGradient",
    "SampledPolicyGradient",
    "TokenEnergy",
    "all_of",
    "all_sequences",
    "any_of",
    "best_of_n",
    "best_of_n_kl_bound",
    "best_of_n_win_rate_bound",
    "dependence_error",
    "effective_samples",
    "ensemble",
    "expected_rewards",
    "fixed_response_reference",
    "gibbs",
    "gibbs_at_kl",
    "gibbs_path",
    "iterate",
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
    "rollouts",
    "sample_best_of_n",
    "sampled_policy_gradient",
    "weighted_sum",
]
