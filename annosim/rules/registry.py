"""What exists, by the names that scenario files use: ``kind = "luce"``, with one line each.

``annosim simulate --list`` prints it; :func:`build_rule` and :func:`build_habit` turn a scenario's table into objects.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annosim.errors import ScenarioError

__all__ = ["ENTRIES", "GROUPS", "Entry", "build", "build_habit", "build_rule", "listing", "lookup"]

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

    def constructor(self) -> Any:
        """The class or function that makes it (imported on first use)."""
        module, name = self.target.split(":")
        value: Any = importlib.import_module(f"annosim.{module}")
        for part in name.split("."):
            value = getattr(value, part)
        return value

    def settings(self) -> list[str]:
        """Names of the settings that the constructor takes (a habit's wrapped rule is not one of them)."""
        names = list(inspect.signature(self.constructor()).parameters)
        return names[1:] if self.group == "habit" else names


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
        ("spammer", "rules.spam:Spammer", "looks at nothing: random, first, last or alternating"),
    ),
    *_entries(
        "habit",
        ("lapse", "rules.habits:Lapse", "with probability rate a uniform, flipped or first answer"),
        ("position_bias", "rules.habits:PositionBias", "a logit shift by display position"),
        ("attribute_bias", "rules.habits:AttributeBias", "a taste for an attribute beside the utility"),
        ("length_bias", "rules.habits:LengthBias", "a taste for length (items' column 'length')"),
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
        ("skip", "rules.habits:Skip", "with probability rate no answer (kept as missing, counted)"),
    ),
    *_entries(
        "population",
        ("annotator", "populations:Annotator", "one kind of person: a utility and a rule"),
        ("mixture", "populations:Mixture", "hidden types with weights"),
        ("random_coefficients", "tastes:RandomCoefficients", "mixed logit: normal, log-normal or any distribution"),
        ("low_rank", "tastes:LowRank", "tastes along a few directions of utility"),
        ("dirichlet", "tastes:DirichletTastes", "everyone blends K prototype rewards"),
        ("gated", "groups:Gated", "types whose probabilities depend on covariates (softmax gating)"),
        ("hierarchy", "groups:Hierarchy", "annotators within groups"),
        ("contaminated", "groups:Contaminated", "a share of spammers"),
    ),
    *_entries(
        "utility",
        ("tabular", "utilities:Tabular", "one number per item"),
        ("linear", "utilities:Linear", "weights on the features"),
        ("ideal_point", "utilities:IdealPoint", "minus the squared distance to one's ideal (Euclidean)"),
        ("network", "utilities:Network", "a neural network on the features"),
        ("indifferent", "groups:Indifferent", "wants nothing"),
    ),
    *_entries(
        "design",
        ("random_menus", "menus:random_menus", "menus drawn at random, as a list"),
        ("round_robin", "menus:round_robin", "every set of items once"),
        ("star", "menus:star", "one item against each of the others"),
        ("chain", "menus:chain", "each item against the next"),
        ("sparse_graph", "menus:sparse_graph", "random pairs that connect all items"),
        ("both_orders", "menus:both_orders", "every pair on both sides"),
        ("empirical_loads", "menus:empirical_loads", "unequal loads of annotators, drawn from data"),
    ),
]

#: group -> kind -> entry
ENTRIES: dict[str, dict[str, Entry]] = {g: {e.kind: e for e in _ALL if e.group == g} for g in GROUPS}


def lookup(group: str, kind: str) -> Entry:
    """The entry of a name, or a :class:`ScenarioError` that lists close names.

    Example:
        >>> lookup("rule", "luce").line.split(",")[0]
        'Bradley-Terry'
    """
    known = ENTRIES[group]
    name = str(kind).replace("-", "_").lower()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, 3) or list(known)
    raise ScenarioError(f"{group} kind = {kind!r} does not exist; there are: {', '.join(close)}")


def build(group: str, spec: Mapping[str, Any], *wrapped: Any) -> Any:
    """Make what a scenario's table says: ``{"kind": "luce", "temperature": 2.0}``.

    Raises:
        ScenarioError: no ``kind``, an unknown one, or a setting that the kind does not have.
        ArgumentError: a setting has a value that is not allowed.
    """
    settings = dict(spec)
    if "kind" not in settings:
        raise ScenarioError(f"{group}: the key 'kind' is missing; there are: {', '.join(ENTRIES[group])}")
    entry = lookup(group, settings.pop("kind"))
    known = entry.settings()
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ScenarioError(
            f"{group} {entry.kind!r} has no setting {unknown[0]!r}; it takes: {', '.join(known) or 'nothing'}"
        )
    try:
        return entry.constructor()(*wrapped, **settings)
    except TypeError as error:
        raise ScenarioError(f"{group} {entry.kind!r}: {error}; it takes: {', '.join(known) or 'nothing'}") from error


def build_rule(spec: Mapping[str, Any] | str, habits: Any = ()) -> Any:
    """A rule from its table (or bare name), wrapped by habits in the order in which they are listed (first innermost).

    Example:
        >>> type(build_rule({"kind": "luce"}, [{"kind": "lapse", "rate": 0.05}])).__name__
        'Lapse'
    """
    rule = build("rule", {"kind": spec} if isinstance(spec, str) else spec)
    for habit in habits:
        rule = build_habit(habit, rule)
    return rule


def build_habit(spec: Mapping[str, Any] | str, rule: Any) -> Any:
    """A habit around ``rule`` from its table (or bare name)."""
    return build("habit", {"kind": spec} if isinstance(spec, str) else spec, rule)


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
