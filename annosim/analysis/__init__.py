"""How far apart, how well, for whom: divergences, calibration, agreement, regret, win rates, clustering scores."""

from annosim.analysis.clustering import adjusted_rand, assign, clustering_accuracy, contingency
from annosim.analysis.comparison import Comparison, compare
from annosim.analysis.coordinates import align_types, centred_index, parameter_distance
from annosim.analysis.divergences import LawDistance, kl_divergence, law_distance, total_variation

__all__ = [
    "Comparison",
    "LawDistance",
    "adjusted_rand",
    "align_types",
    "assign",
    "centred_index",
    "clustering_accuracy",
    "compare",
    "contingency",
    "kl_divergence",
    "law_distance",
    "parameter_distance",
    "total_variation",
]
