from .annotator_agreement import Agreement as Agreement
from .annotator_agreement import agreement as agreement
from .agreement_tables import answer_labels as answer_labels
from .borda import borda_counts as borda_counts
from .borda import borda_scores as borda_scores
from .borda import pair_probabilities as pair_probabilities
from .calibration import CalibrationSlope as CalibrationSlope
from .calibration import IsotonicCalibration as IsotonicCalibration
from .calibration import TemperatureCalibration as TemperatureCalibration
from .calibration import brier_score as brier_score
from .calibration import calibration_curve as calibration_curve
from .calibration import calibration_error as calibration_error
from .calibration import calibration_slope as calibration_slope
from .calibration import isotonic_calibration as isotonic_calibration
from .calibration import log_loss as log_loss
from .calibration import temperature_calibration as temperature_calibration
from .clustering import adjusted_rand as adjusted_rand
from .clustering import assign as assign
from .clustering import clustering_accuracy as clustering_accuracy
from .clustering import contingency as contingency
from .comparison import Comparison as Comparison
from .comparisons import compare as compare
from .divergences import LawDivergence as LawDivergence
from .divergences import kl_divergence as kl_divergence
from .divergences import law_divergence as law_divergence
from .divergences import total_variation as total_variation
from .fairness import FairnessTable as FairnessTable
from .fairness import fairness_table as fairness_table
from .fairness import gini_index as gini_index
from .noise import error_rate as error_rate
from .noise import mean_entropy as mean_entropy
from .noise import with_entropy as with_entropy
from .noise import with_error_rate as with_error_rate
from .policies import PolicyScore as PolicyScore
from .policies import expected_utility as expected_utility
from .policies import score_policy as score_policy
from .policies import win_rate as win_rate
from .policies import win_rate_quantile as win_rate_quantile
from .comparisons import Comparisons as Comparisons

__all__ = [
    "Agreement",
    "CalibrationSlope",
    "Comparison",
    "Comparisons",
    "FairnessTable",
    "IsotonicCalibration",
    "LawDivergence",
    "PolicyScore",
    "TemperatureCalibration",
    "adjusted_rand",
    "agreement",
    "answer_labels",
    "assign",
    "borda_counts",
    "borda_scores",
    "brier_score",
    "calibration_curve",
    "calibration_error",
    "calibration_slope",
    "clustering_accuracy",
    "compare",
    "contingency",
    "error_rate",
    "expected_utility",
    "fairness_table",
    "gini_index",
    "isotonic_calibration",
    "kl_divergence",
    "law_divergence",
    "log_loss",
    "mean_entropy",
    "pair_probabilities",
    "score_policy",
    "temperature_calibration",
    "total_variation",
    "win_rate",
    "win_rate_quantile",
    "with_entropy",
    "with_error_rate",
]
