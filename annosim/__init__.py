"""annosim: a laboratory for preference learning. This file holds the public names, and nothing else."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

# name -> module; imported on first use, so that `import annosim` and the command line start fast
_NAMES: dict[str, str] = {
    # nouns
    "Items": "items",
    "Feedback": "feedback",
    "free": "parameters",
    "fixed": "parameters",
    "Utility": "utilities",
    "Tabular": "utilities",
    "Linear": "utilities",
    "IdealPoint": "utilities",
    "LogDensity": "utilities",
    "DensityMixture": "utilities",
    "Network": "utilities",
    "LogPolicy": "networks",
    "SequenceReward": "networks",
    "Ensemble": "networks",
    "Heads": "networks",
    "last_hidden": "networks",
    "with_adapters": "adapters",
    "adapter_state": "adapters",
    "truncated_normal": "utilities",
    "Population": "populations",
    "Annotator": "populations",
    "Mixture": "populations",
    "RandomTastes": "tastes",
    "Contaminated": "groups",
    "Gated": "groups",
    "Hierarchy": "groups",
    "Indifferent": "groups",
    "RandomCoefficients": "tastes",
    "LowRank": "tastes",
    "DirichletTastes": "tastes",
    "Design": "designs",
    # rules
    "Rule": "rules.base",
    "Luce": "rules.luce",
    "PBDE": "rules.luce",
    "RaoKupper": "rules.ties",
    "Davidson": "rules.ties",
    "Thurstone": "rules.probit",
    "Mallows": "rules.rankings",
    "ReversedPlackettLuce": "rules.rankings",
    "Deterministic": "rules.rankings",
    "RepeatedSelection": "rules.stages",
    "Lexicographic": "rules.lexicographic",
    "OrderedLogit": "rules.ratings",
    "Thumbs": "rules.ratings",
    "GradedPairs": "rules.ratings",
    "BPref": "rules.bpref",
    "MeanVariance": "rules.distributional",
    "CategoricalReward": "rules.distributional",
    # habits
    "JustNoticeable": "rules.ties",
    "Fatigue": "rules.sequence",
    "Drift": "rules.sequence",
    "Carryover": "rules.sequence",
    "MyopicDiscount": "rules.sequence",
    "Cyclic": "rules.cyclic",
    "SeesClusters": "rules.perception",
    "NoisyClusters": "rules.perception",
    "paraphrase_twins": "rules.perception",
    "Scaled": "rules.scale",
    "with_error_rate": "rules.scale",
    "with_entropy": "rules.scale",
    "error_rate": "rules.scale",
    "mean_entropy": "rules.scale",
    "Habit": "rules.habits",
    "Lapse": "rules.habits",
    "PositionBias": "rules.habits",
    "AttributeBias": "rules.habits",
    "LengthBias": "rules.habits",
    "Skip": "rules.habits",
    "Reliability": "rules.reliability",
    "Spammer": "rules.spam",
    "Adversary": "rules.spam",
    # data
    "PreferenceData": "data.preferences",
    "read_csv": "data.pairs",
    "read_preflib": "data.preflib",
    "read_parquet": "data.shards",
    "read_scottish": "data.scottish",
    "read_arena": "data.arena",
    "read_crowdkit": "data.crowdkit",
    "read_evalica": "data.evalica",
    "read_trl": "data.trl",
    "read_kto": "data.trl",
    "read_ukp": "data.ukp",
    "read_long": "data.long",
    "from_choix": "data.choix",
    "to_choix": "data.choix",
    "tokenized": "data.tokens",
    "open_shards": "data.shards",
    "ShardWriter": "data.shards",
    "concat": "data.shards",
    "stack": "data.shards",
    # verbs
    "law": "law",
    "Law": "law",
    "simulate": "simulate",
    "simulate_like": "simulate",
    "faster": "learning.training.fast_layers",
    "fit": "learning.fit",
    "project": "learning.project",
    "choose_types": "learning.mixtures.number_of_types",
    "TypesChoice": "learning.mixtures.number_of_types",
    "Fit": "learning.result",
    "Gaussian": "learning.priors",
    "Dirichlet": "learning.priors",
    "Ridge": "learning.priors",
    # analysis
    "compare": "analysis.comparison",
    "Comparison": "analysis.comparison",
    "total_variation": "analysis.divergences",
    "kl_divergence": "analysis.divergences",
    "score_policy": "analysis.policies",
    "win_rate": "analysis.policies",
    "agreement": "analysis.agreement",
    "borda_scores": "analysis.borda",
    # policies and transforms
    "gibbs": "policies.tilts",
    "gibbs_at_kl": "policies.tilts",
    "gibbs_path": "policies.tilts",
    "ItemDensity": "policies.tilts",
    "best_of_n": "policies.selection",
    "log_linear_pool": "policies.pools",
    "linear_pool": "policies.pools",
    "min_max_regret": "policies.min_max",
    "min_max_kl_regret": "policies.kl_regret",
    "policy_gradient": "policies.gradient",
    "lsc": "policies.transforms",
    "all_of": "policies.transforms",
    "any_of": "policies.transforms",
    "none_of": "policies.transforms",
    "reference_quantile": "policies.references",
    "reference_mean": "policies.references",
    "reference_median": "policies.references",
    "canned": "policies.references",
    "ensemble": "policies.ensembles",
    "weighted_sum": "policies.ensembles",
    # objectives and training
    "NLL": "learning.objectives",
    "IPO": "learning.objectives",
    "SLiC": "learning.objectives",
    "Margin": "learning.objectives",
    "SoftLabels": "learning.objectives",
    "ForwardKL": "learning.objectives",
    "Adam": "learning.training.adam",
    "EM": "learning.training.em_options",
    "identify": "identify.verb",
    "IdentifiabilityReport": "identify.report",
    "types": "identify.families",
    "heterogeneity_test": "identify.heterogeneity",
    "goodness_of_fit": "identify.heterogeneity",
    "consistency_test": "identify.heterogeneity",
    "weak_identification": "identify.weak",
    "expected_profile": "identify.weak",
    "plan": "plan.verb",
    "Plan": "plan.result",
    "Cost": "plan.cost",
    "policy_value": "plan.targets",
    "d_optimal": "plan.optimal",
    "fisher_information": "information",
    "law_distance": "information",
    "any_tastes": "identify.families",
    "share_preferring": "identify.functionals",
    "mean_gap": "identify.functionals",
    # errors
    "AnnosimError": "errors",
    "NotIdentifiedError": "errors",
    "TooLargeError": "errors",
    "NoProjectionError": "errors",
}

__all__ = sorted(_NAMES)
__version__ = "0.1.0"


#: rooms that are reached as attributes: an.checks.check_estimator, an.plotting.figure
_ROOMS = ("analysis", "checks", "data", "menus", "plotting", "policies", "rules", "study")


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # importing annosim.law would bind the module over the verb an.law; the public name wins
        if not (isinstance(value, ModuleType) and name in _NAMES):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(f"annosim.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return importlib.import_module(f"annosim.{name}")
    raise AttributeError(f"module 'annosim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from annosim.data.preferences import PreferenceData as PreferenceData
