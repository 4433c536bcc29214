"""How far apart, how well, for whom: divergences, calibration, agreement, regret, win rates, clustering scores."""

from annosim.analysis.agreement import Agreement, agreement, answer_labels
from annosim.analysis.borda import borda_counts, borda_scores, pair_probabilities
from annosim.analysis.calibration import (
    CalibrationSlope,
    brier_score,
    calibration_curve,
    calibration_error,
    calibration_slope,
    log_loss,
)
from annosim.analysis.clustering import adjusted_rand, assign, clustering_accuracy, contingency
from annosim.analysis.comparison import Comparison, compare
from annosim.analysis.coordinates import align_types, centred_index, parameter_distance
from annosim.analysis.divergences import LawDivergence, kl_divergence, law_divergence, total_variation
from annosim.analysis.policies import PolicyScore, expected_utility, score_policy, win_rate, win_rate_quantile
from annosim.analysis.replicates import Comparisons

__all__ = [
    "Agreement",
    "CalibrationSlope",
    "Comparison",
    "Comparisons",
    "LawDivergence",
    "PolicyScore",
    "adjusted_rand",
    "agreement",
    "align_types",
    "answer_labels",
    "assign",
    "borda_counts",
    "borda_scores",
    "brier_score",
    "calibration_curve",
    "calibration_error",
    "calibration_slope",
    "centred_index",
    "clustering_accuracy",
    "compare",
    "contingency",
    "expected_utility",
    "kl_divergence",
    "law_divergence",
    "log_loss",
    "pair_probabilities",
    "parameter_distance",
    "score_policy",
    "total_variation",
    "win_rate",
    "win_rate_quantile",
]
