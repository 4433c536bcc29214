"""What exists, by the names that scenario files use: ``kind = "luce"``, with one line each.

``annosim simulate --list`` prints it; :mod:`annosim.scenario` turns a scenario's tables into these objects.
Populations and designs are listed under their Python names: a scenario has tables of its own for them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["ENTRIES", "GROUPS", "Entry", "listing"]

#: the groups, in the order in which they are listed
GROUPS = ("rule", "habit", "population", "utility", "design")


@dataclass(frozen=True)
class Entry:
    """One thing that exists.

    Attributes:
        kind: its name in scenario files.
        group: ``"rule"``, ``"habit"``, ``"population"``, ``"utility"`` or ``"design"``.
        line: what it is, in one line.
        target: ``"module:name"`` or ``"module:Class.method"`` of its constructor, below ``annosim``.
    """

    kind: str
    group: str
    line: str
    target: str

    def constructor(self) -> Callable[..., object]:
        """The class or function that makes it (imported on first use)."""
        module, name = self.target.split(":")
        value: Any = importlib.import_module(f"annosim.{module}")
        for part in name.split("."):
            value = getattr(value, part)
        return value


def _entries(group: str, *rows: tuple[str, str, str]) -> list[Entry]:
    return [Entry(kind, group, line, target) for kind, target, line in rows]


_ALL = [
    *_entries(
        "rule",
        ("luce", "rules.luce:Luce", "Bradley-Terry, multinomial logit, Plackett-Luce, maxdiff; temperature"),
        ("pbde", "rules.luce:PBDE", "Luce on f log p + g: numbers or one value per item"),
        ("dpo", "rules.luce:PBDE.dpo", "PBDE of DPO: beta (log p - log reference)"),
        ("geometric", "rules.luce:PBDE.geometric", "PBDE whose optimum is a geometric average with a reference"),
        ("length_normalised", "rules.luce:PBDE.length_normalised", "PBDE of per-token log-probability"),
        ("rao_kupper", "rules.ties:RaoKupper", "pairs with ties below a threshold log theta"),
        ("davidson", "rules.ties:Davidson", "ties of any order, any menu size, rankings with ties; delta"),
        ("thurstone", "rules.probit:Thurstone", "probit: best after normal noise, independent or correlated"),
        ("mallows", "rules.rankings:Mallows", "Kendall distance to the true order; phi, or normalised dispersion"),
        ("reversed_plackett_luce", "rules.rankings:ReversedPlackettLuce", "rankings built from the worst up"),
        ("deterministic", "rules.rankings:Deterministic", "no noise; equals by a coin"),
        ("lexicographic", "rules.lexicographic:Lexicographic", "one attribute after the other, no trade-offs"),
        ("ordered_logit", "rules.ratings:OrderedLogit", "Likert grades by cuts of the utility"),
        ("thumbs", "rules.ratings:Thumbs", "thumbs up or down"),
        ("graded_pairs", "rules.ratings:GradedPairs", "pairs graded slightly or much better"),
        ("bpref", "rules.bpref:BPref", "B-Pref's irrational teachers, under their own parameter names"),
        ("mean_variance", "rules.distributional:MeanVariance", "pairs: normal rewards with a variance per item"),
        ("categorical_reward", "rules.distributional:CategoricalReward", "pairs: each item a distribution over levels"),
        ("spammer", "rules.spam:Spammer", "looks at nothing: random, first, last or alternating"),
    ),
    *_entries(
        "habit",
        ("lapse", "rules.response_biases:Lapse", "with probability rate a uniform, flipped or first answer"),
        ("position_bias", "rules.response_biases:PositionBias", "a logit shift by display position"),
        ("attribute_bias", "rules.response_biases:AttributeBias", "a taste for an attribute beside the utility"),
        ("length_bias", "rules.response_biases:LengthBias", "a taste for length (items' column 'length')"),
        (
            "covariates",
            "rules.covariates:Covariates",
            "what an alternative shows in this question alone: length, price, home",
        ),
        ("just_noticeable", "rules.ties:JustNoticeable", "differences below jnd are not seen (a guess, or a tie)"),
        ("repeated_selection", "rules.stages:RepeatedSelection", "a ranking by repeated choice from those left"),
        ("cyclic", "rules.cyclic:Cyclic", "intransitive: a skew-symmetric term beside the scores"),
        ("sees_clusters", "rules.perception:SeesClusters", "paraphrases look alike"),
        ("noisy_clusters", "rules.perception:NoisyClusters", "sees clusters, sometimes the wrong one"),
        ("myopic_discount", "rules.sequence:MyopicDiscount", "late steps of an episode count more (column 'steps')"),
        ("fatigue", "rules.sequence:Fatigue", "noise grows along the annotator's sequence"),
        ("drift", "rules.sequence:Drift", "tastes move along the annotator's sequence"),
        ("carryover", "rules.sequence:Carryover", "the side of the previous answer again (memory)"),
        ("scaled", "rules.scale:Scaled", "an inverse temperature for any rule"),
        ("adversary", "rules.spam:Adversary", "answers as if all utilities had the opposite sign"),
        ("reliability", "rules.reliability:Reliability", "each annotator guesses with a share of their own"),
        (
            "sees_observation",
            "rules.reports:SeesObservation",
            "items that look alike are worth their mean (hidden parts)",
        ),
        (
            "regret_preference",
            "rules.reports:RegretPreference",
            "segments by regret: values of their start and end states",
        ),
        ("strategic", "rules.reports:Strategic", "exaggerates against what the others are expected to want"),
        ("skip", "rules.response_biases:Skip", "with probability rate no answer (kept as missing, counted)"),
    ),
    *_entries(
        "population",
        ("Annotator", "populations.annotator:Annotator", "one kind of person: a utility and a rule"),
        ("Mixture", "populations.mixture:Mixture", "hidden types with weights"),
        (
            "RandomCoefficients",
            "populations.random_coefficients:RandomCoefficients",
            "mixed logit: normal, log-normal or any distribution",
        ),
        ("LowRank", "populations.low_rank:LowRank", "tastes along a few directions of utility"),
        ("DirichletTastes", "populations.dirichlet:DirichletTastes", "everyone blends K prototype rewards"),
        ("Gated", "populations.gated:Gated", "types whose probabilities depend on covariates (softmax gating)"),
        ("Hierarchy", "populations.hierarchical:Hierarchy", "annotators within groups"),
        ("JudgePanels", "populations.judge_panels:JudgePanels", "panels of judges who err together"),
        ("Contaminated", "populations.contaminated:Contaminated", "a share of spammers"),
    ),
    *_entries(
        "utility",
        ("tabular", "utilities.tabular:Tabular", "one number per item"),
        ("linear", "utilities.linear:Linear", "weights on the features"),
        ("ideal_point", "utilities.linear:IdealPoint", "minus the squared distance to one's ideal (Euclidean)"),
        ("network", "utilities.networks:Network", "a neural network on the features"),
        ("heads", "utilities.heads:Heads", "a network with several outputs; column says which is the utility"),
        ("ensemble", "utilities.ensembles:Ensemble", "the mean of several utilities"),
        (
            "log_policy",
            "utilities.language_models:LogPolicy",
            "a causal language model, by path or name; adapters = 8 freezes it",
        ),
        ("sequence_reward", "utilities.language_models:SequenceReward", "a sequence classifier, by path or name"),
        (
            "random_linear",
            "populations.random_coefficients:RandomCoefficients",
            "weights on the features, drawn once per annotator",
        ),
        (
            "low_rank",
            "populations.low_rank:LowRank",
            "mean utilities plus loadings times each annotator's own coordinates",
        ),
        (
            "judge_panels",
            "populations.judge_panels:JudgePanels",
            "mean utilities plus what the judges of one panel (an annotator) share",
        ),
        (
            "dirichlet",
            "populations.dirichlet:DirichletTastes",
            "each annotator's own blend of prototypes (tables of utilities)",
        ),
        (
            "hierarchy",
            "populations.hierarchical:Hierarchy",
            "weights on the features: a group's means, its members spread around them",
        ),
        ("log_density", "utilities.densities:LogDensity", "log of a density over the items"),
        ("density_mixture", "utilities.densities:DensityMixture", "log of a mixture of densities"),
        ("truncated_normal", "utilities.densities:truncated_normal", "log of a normal density on an interval"),
        (
            "indifferent",
            "utilities.tabular:ZeroUtility",
            "zero for every item: a rule that reads no utility, or spammers",
        ),
    ),
    *_entries(
        "design",
        ("menus.random_menus", "designs.menus:random_menus", "menus drawn at random, as a list"),
        ("menus.round_robin", "designs.menus:round_robin", "every set of items once"),
        ("menus.star", "designs.menus:star", "one item against each of the others"),
        ("menus.chain", "designs.menus:chain", "each item against the next"),
        ("menus.sparse_graph", "designs.menus:sparse_graph", "random pairs that connect all items"),
        ("menus.both_orders", "designs.menus:both_orders", "every pair on both sides"),
        ("menus.empirical_loads", "designs.menus:empirical_loads", "unequal loads of annotators, drawn from data"),
    ),
]

#: group -> kind -> entry
ENTRIES: dict[str, dict[str, Entry]] = {g: {e.kind: e for e in _ALL if e.group == g} for g in GROUPS}


def listing() -> str:
    """Everything that exists, one line each, by group.

    Example:
        >>> listing().splitlines()[0]
        'rules'
    """
    plural = {"utility": "utilities"}
    blocks = []
    for group in GROUPS:
        rows = ENTRIES[group]
        if rows:
            width = max(map(len, rows))
            lines = [f"  {entry.kind:<{width}}  {entry.line}" for entry in rows.values()]
            blocks.append("\n".join([plural.get(group, f"{group}s"), *lines]))
    return "\n\n".join(blocks)
