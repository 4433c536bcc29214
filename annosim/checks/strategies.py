"""Hypothesis strategies for items, utilities, rules, annotators, populations, designs and preference data.

They are public: use them to property-test your own code. Sizes are small, numbers are short (multiples of 1/8), and
everything shrinks towards two items, utilities of zero and one annotator, so that a counterexample prints as a few
lines. ``hypothesis`` comes with the extra ``checks``.

Example:
    >>> from hypothesis import given, settings
    >>> from annosim.checks import strategies as st
    >>> @settings(max_examples=5, database=None)
    ... @given(st.preference_data(shape="identified"))
    ... def test_rows(data):
    ...     assert data.rows >= 2
    >>> test_rows()
"""

from __future__ import annotations

import itertools
from typing import Any, TypeVar, get_args

import numpy as np

from annosim.checks.shrinking import as_code, items_as_code
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import ArgumentError, told
from annosim.extras import needed
from annosim.feedback import KINDS, Feedback
from annosim.items import Items
from annosim.parameters import free
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.contaminated import Contaminated
from annosim.populations.gated import Gated
from annosim.populations.low_rank import LowRank
from annosim.populations.mixture import Mixture
from annosim.populations.random_coefficients import RandomCoefficients, Shape
from annosim.rules.base import Rule
from annosim.rules.bpref import BPref
from annosim.rules.cyclic import Cyclic
from annosim.rules.lexicographic import Lexicographic
from annosim.rules.luce import PBDE, Luce
from annosim.rules.perception import NoisyClusters, SeesClusters
from annosim.rules.probit import Thurstone
from annosim.rules.rankings import Deterministic, Mallows, ReversedPlackettLuce
from annosim.rules.ratings import GradedPairs, OrderedLogit, Thumbs
from annosim.rules.registry import ENTRIES
from annosim.rules.reports import RegretPreference, SeesObservation, Strategic
from annosim.rules.response_biases import AttributeBias, Lapse, PositionBias, Skip
from annosim.rules.scale import Scaled
from annosim.rules.sequence import Carryover, Drift, Fatigue
from annosim.rules.spam import Adversary, Looks, Spammer
from annosim.rules.stages import RepeatedSelection
from annosim.rules.ties import Davidson, JustNoticeable, RaoKupper
from annosim.utilities.base import Utility
from annosim.utilities.linear import Linear
from annosim.utilities.tabular import Tabular

with needed("checks"):
    import hypothesis
    from hypothesis import strategies as hs
    from hypothesis.vendor import pretty

T = TypeVar("T")


def _prints_as(code: Any) -> Any:
    """A printer for hypothesis, which shows counterexamples: text to paste instead of a dump of the fields."""
    return lambda value, printer, cycle: printer.text(code(value))


pretty.for_type_by_name("annosim.data.preferences", "PreferenceData", _prints_as(as_code))
pretty.for_type_by_name("annosim.items", "Items", _prints_as(items_as_code))

__all__ = [
    "annotators",
    "designs",
    "encoded_data",
    "examples",
    "feedbacks",
    "free_populations",
    "items",
    "numbers",
    "populations",
    "preference_data",
    "rankings",
    "rules",
    "tied_comparisons",
    "utilities",
    "weights",
]

SHAPES = ("identified", "unidentified", "degenerate", "any")


def numbers(low: float = -3.0, high: float = 3.0) -> hs.SearchStrategy[float]:
    """Multiples of 1/8 in ``[low, high]``, shrinking towards zero: short to print, exact in binary."""
    return hs.integers(int(np.ceil(low * 8)), int(np.floor(high * 8))).map(lambda i: i / 8)


def weights(k: int) -> hs.SearchStrategy[list[float]]:
    """``k`` positive probabilities that sum to one, shrinking towards equal ones."""
    return hs.lists(hs.integers(1, 9), min_size=k, max_size=k).map(lambda w: [v / sum(w) for v in w])


@hs.composite
def items(draw: hs.DrawFn, min_n: int = 2, max_n: int = 5, dim: int | None = None, prompts: bool = False) -> Items:
    """Item sets of ``min_n .. max_n`` items, with ``dim`` features when given, and several prompts when asked."""
    n = draw(hs.integers(min_n, max_n))
    features = None
    if dim:
        rows = hs.lists(numbers(), min_size=dim, max_size=dim)
        features = draw(hs.lists(rows, min_size=n, max_size=n))
    labels = None
    if prompts and n >= 2 * min_n and draw(hs.booleans()):
        cut = draw(hs.integers(min_n, n - min_n))
        labels = [0] * cut + [1] * (n - cut)
    return Items(features=features, prompts=labels, n=n)


@hs.composite
def utilities(draw: hs.DrawFn, over: Items) -> Utility:
    """Tabular utilities on ``over``, or linear ones when it has features."""
    if over.dim and draw(hs.booleans()):
        return Linear(draw(hs.lists(numbers(), min_size=over.dim, max_size=over.dim)))
    return Tabular(draw(hs.lists(numbers(), min_size=over.n, max_size=over.n)))


#: Numbers of parameters of rules: few, short, and the plain one first, so that counterexamples shrink to it.
_TEMPERATURES = hs.sampled_from([1.0, 0.5, 2.0])
_RATES = hs.sampled_from([0.0, 0.125, 0.25])


def _per_item(n: int) -> hs.SearchStrategy[list[float]]:
    return hs.lists(numbers(), min_size=n, max_size=n)


#: kind of the registry -> strategy, or function of the number of items that gives one
RULES: dict[str, Any] = {
    "luce": _TEMPERATURES.map(lambda t: Luce(temperature=t)),
    "spammer": hs.sampled_from(get_args(Looks)).map(Spammer),
    "davidson": hs.sampled_from([1.0, 0.5, 0.0]).map(lambda d: Davidson(delta=d)),
    "rao_kupper": hs.sampled_from([2.0, 1.5, 1.0]).map(lambda t: RaoKupper(theta=t)),
    "mallows": hs.sampled_from([0.5, 0.25, 1.0]).map(lambda phi: Mallows(phi=phi)),
    "reversed_plackett_luce": _TEMPERATURES.map(lambda t: ReversedPlackettLuce(temperature=t)),
    "deterministic": hs.sampled_from([0, 1]).map(lambda _: Deterministic()),  # draws once, as Luce does
    "bpref": hs.sampled_from([-1.0, 1.0, 4.0]).map(lambda beta: BPref(teacher_beta=beta)),
    "ordered_logit": _TEMPERATURES.map(lambda t: OrderedLogit(cuts=(-1.0, 1.0), temperature=t)),
    "thumbs": hs.sampled_from([0.0, 0.5]).map(lambda h: Thumbs(threshold=h)),
    "graded_pairs": hs.sampled_from([1.0, 0.5]).map(lambda c: GradedPairs(cuts=(c,))),
    "thurstone": hs.sampled_from([None, 0.5]).map(lambda sd: Thurstone(sd=sd)),
    "pbde": lambda n: hs.tuples(hs.sampled_from([1.0, 0.5]), _per_item(n)).map(lambda v: PBDE(f=v[0], g=v[1])),
    "lexicographic": lambda n: _per_item(n).map(lambda v: Lexicographic([v])),
}

#: response bias of the registry -> function of (rule, number of items) that gives a strategy
RESPONSE_BIASES: dict[str, Any] = {
    "lapse": lambda rule, n: _RATES.map(lambda r: Lapse(rule, rate=r)),
    "position_bias": lambda rule, n: numbers(-1, 1).map(lambda v: PositionBias(rule, shift=v)),
    "skip": lambda rule, n: _RATES.map(lambda r: Skip(rule, rate=r)),
    "scaled": lambda rule, n: hs.sampled_from([1.0, 2.0]).map(lambda v: Scaled(rule, factor=v)),
    "adversary": lambda rule, n: hs.just(None).map(lambda _: Adversary(rule)),
    "fatigue": lambda rule, n: _RATES.map(lambda r: Fatigue(rule, rate=r)),
    "carryover": lambda rule, n: numbers(-1, 1).map(lambda v: Carryover(rule, shift=v)),
    "just_noticeable": lambda rule, n: hs.sampled_from([0.5, 1.0]).map(lambda v: JustNoticeable(rule, jnd=v)),
    "sees_clusters": lambda rule, n: hs.just(None).map(lambda _: SeesClusters(rule)),
    "noisy_clusters": lambda rule, n: _RATES.map(lambda r: NoisyClusters(rule, error=r)),
    "sees_observation": lambda rule, n: _per_item(n).map(lambda v: SeesObservation(rule, v)),
    "regret_preference": lambda rule, n: hs.tuples(_per_item(n), _per_item(n)).map(
        lambda v: RegretPreference(rule, *v)
    ),
    "strategic": lambda rule, n: _per_item(n).map(lambda v: Strategic(rule, v, 0.5)),
    "attribute_bias": lambda rule, n: _per_item(n).map(lambda v: AttributeBias(rule, 0.5, v)),
    "drift": lambda rule, n: _per_item(n).map(lambda v: Drift(rule, 0.125, v)),
    "cyclic": lambda rule, n: hs.lists(numbers(-1, 1), min_size=n * (n - 1) // 2, max_size=n * (n - 1) // 2).map(
        lambda v: Cyclic(rule, v)
    ),
    "repeated_selection": lambda rule, n: hs.just(None).map(lambda _: RepeatedSelection(rule)),
}

#: Registered names that :func:`rules` does not draw, and why; a test holds the three tables against the registry.
NOT_DRAWN: dict[str, str] = {
    "dpo": "a PBDE with a reference density",
    "geometric": "a PBDE with a reference density",
    "length_normalised": "a PBDE with the items' column 'length'",
    "length_bias": "an attribute bias on the items' column 'length'",
    "myopic_discount": "needs items with a column 'steps'",
    "mean_variance": "needs one spread per item, and defines pairs alone",
    "categorical_reward": "needs one distribution per item, and defines pairs alone",
    "reliability": "belongs to named annotators: a law of a design has none",
    "covariates": "needs questions that have covariates",
}

_PAIRS_ONLY = {"rao_kupper", "bpref", "graded_pairs"}
_UNGRADED = frozenset({"choice", "ranking", "top", "best-worst"})


def _defines(kind: str) -> frozenset[str]:
    """Kinds of answers that every drawn instance of a registered rule defines."""
    made: Any = ENTRIES["rule"][kind].constructor()
    return _UNGRADED if kind == "spammer" else frozenset(made.kinds)


@hs.composite
def rules(
    draw: hs.DrawFn,
    feedback: str | None = None,
    n: int | None = None,
    menu_size: int = 3,
    biases: bool = True,
    exact: bool = True,
) -> Rule:
    """Registered choice rules that define a kind of answer, plain or with one response bias; they shrink towards ``Luce()``.

    Args:
        feedback: kind of answers; ``None`` for rules that define every kind without grades.
        n: number of items, for rules and biases that hold a number per item (without it they are left out).
        menu_size: largest menu; laws of pairs are drawn only for 2.
        biases: also rules with a response bias around them.
        exact: leave out rules whose probabilities come from quadrature (Thurstone), exact to about 1e-9 only.

    Example:
        >>> from hypothesis import find
        >>> find(rules("ranking"), lambda rule: True)
        Luce(temperature=1)
    """
    wanted = _UNGRADED if feedback is None else frozenset({feedback})
    drawn = {
        kind: make
        for kind, make in RULES.items()
        if wanted <= _defines(kind)
        and (menu_size == 2 or kind not in _PAIRS_ONLY)
        and (n is not None or not callable(make))
        and not (exact and kind == "thurstone")
    }
    make = drawn[draw(hs.sampled_from(list(drawn)))]
    rule = draw(make(n) if callable(make) else make)
    if not biases or not draw(hs.booleans()):
        return rule
    name = draw(hs.sampled_from([b for b in RESPONSE_BIASES if _may_wrap(b, rule, wanted, n, menu_size)]))
    wrapped = draw(RESPONSE_BIASES[name](rule, n))
    return wrapped if wanted <= wrapped.kinds else rule


def _may_wrap(bias: str, rule: Rule, wanted: frozenset[str], n: int | None, menu_size: int) -> bool:
    """Whether a response bias around ``rule`` defines what is wanted."""
    if bias in _PER_ITEM_RESPONSE_BIASES and n is None:
        return False
    if bias == "repeated_selection":
        return wanted == {"ranking"} and "choice" in rule.kinds and not rule.ties
    if bias == "just_noticeable":
        return wanted <= {"choice"}
    return not (wanted & {"rating"}) or bias in ("lapse", "skip", "scaled", "fatigue")


_PER_ITEM_RESPONSE_BIASES = {"attribute_bias", "drift", "cyclic"}


@hs.composite
def annotators(draw: hs.DrawFn, over: Items, feedback: str | None = None, menu_size: int = 3) -> Annotator:
    """One kind of annotator on ``over``: a utility, and a rule that defines ``feedback`` (every ungraded kind)."""
    return Annotator(draw(utilities(over)), draw(rules(feedback, over.n, menu_size)))


@hs.composite
def populations(
    draw: hs.DrawFn, over: Items, kind: str = "any", max_types: int = 3, feedback: str | None = None, menu_size: int = 3
) -> Population:
    """Populations on ``over``: ``kind`` is ``"annotator"``, ``"mixture"`` or ``"any"``; rules as in :func:`rules`."""
    if kind not in ("annotator", "mixture", "any"):
        raise ArgumentError(f"populations(kind={told(kind)}): annotator, mixture or any")
    k = 1 if kind == "annotator" else draw(hs.integers(2 if kind == "mixture" else 1, max_types))
    if k == 1:
        return draw(annotators(over, feedback, menu_size))
    return Mixture([draw(annotators(over, feedback, menu_size)) for _ in range(k)], draw(weights(k)))


#: rule with free numbers of its own -> (kind of answers, a function of a wrapped rate that makes it)
_FREE_RULES: dict[str, tuple[Feedback, Any]] = {
    "luce": (Feedback("choice"), lambda v: Luce(free(1.0 + v))),
    "lapse": (Feedback("choice"), lambda v: Lapse(Luce(), free(0.1 + v / 8))),
    "position": (Feedback("choice"), lambda v: PositionBias(Luce(), free(0.25 + v))),
    "davidson": (Feedback("choice"), lambda v: Davidson(free(0.5 + v))),
    "scaled": (Feedback("choice"), lambda v: Scaled(Lapse(Luce(), 0.1), free(1.0 + v))),
    "thurstone": (Feedback("choice"), lambda v: Thurstone(free(1.0 + v))),
    "ratings": (Feedback("rating", grades=3), lambda v: OrderedLogit([-1.0, 1.0 + v])),
    "ratings, free cuts": (Feedback("rating", grades=3), lambda v: OrderedLogit(free([-1.0, 1.0 + v]))),
    "graded": (Feedback("rating", grades=4), lambda v: GradedPairs(free([1.0 + v]))),
}

#: populations of :func:`free_populations`
FREE_KINDS = (
    "annotator",
    "mixture",
    "nested",
    "contaminated",
    "gated",
    "random coefficients",
    "log-normal",
    "low rank",
)


@hs.composite
def free_populations(draw: hs.DrawFn, over: Items, kind: str = "any") -> tuple[Population, Feedback]:
    """A population of any kind with free numbers of any kind on items with features, and the answers that it gives.

    Args:
        over: items with two features or more.
        kind: one of :data:`FREE_KINDS`, or ``"any"``.
    """
    kind = draw(hs.sampled_from(FREE_KINDS)) if kind == "any" else kind
    feedback, make = _FREE_RULES[draw(hs.sampled_from(list(_FREE_RULES)))]
    small = numbers(0.0, 1.0)

    def one() -> Annotator:
        values = draw(hs.lists(numbers(-2.0, 2.0), min_size=over.n, max_size=over.n, unique=True))
        utility = Tabular(values) if draw(hs.booleans()) else Linear(values[: over.dim])
        return Annotator(utility, make(draw(small)))

    if kind == "annotator":
        return one(), feedback
    if kind == "mixture":
        return Mixture([one(), one()], draw(weights(2))), feedback
    if kind == "nested":
        return Mixture([Mixture([one(), one()], draw(weights(2))), one()], draw(weights(2))), feedback
    if kind == "contaminated":
        return Contaminated(one(), 0.125 + draw(small) / 2, Spammer("random")), feedback
    if kind == "gated":
        who = [[1.0, v] for v in draw(hs.lists(numbers(), min_size=3, max_size=5))]
        return Gated([one(), one()], covariates=who, gate=[[draw(small)], [0.5]]), feedback
    mean = draw(hs.lists(numbers(-1.0, 1.0), min_size=over.n, max_size=over.n))
    if kind == "low rank":
        loadings = draw(
            hs.lists(hs.lists(numbers(0.125, 1.0), min_size=2, max_size=2), min_size=over.n, max_size=over.n)
        )
        return LowRank(mean, loadings, make(draw(small)), points=8), feedback
    spread = draw(hs.lists(numbers(0.25, 1.0), min_size=over.dim, max_size=over.dim))
    shape: Shape = "lognormal" if kind == "log-normal" else "normal"
    return RandomCoefficients(mean[: over.dim], spread, make(draw(small)), distribution=shape, points=8), feedback


def examples(strategy: hs.SearchStrategy[T], count: int, seed: int) -> list[T]:
    """``count`` values of a strategy, the same ones for a seed: to be looped over where ``@given`` does not fit.

    Example:
        >>> len(examples(items(), 4, seed=0))
        4
    """
    found: list[T] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def collect(value: T) -> None:
        found.append(value)

    while len(found) < count:
        collect()
    return found[:count]


@hs.composite
def feedbacks(draw: hs.DrawFn, menu_size: int) -> Feedback:
    """Feedback kinds without grades, for menus of ``menu_size``."""
    kind = draw(hs.sampled_from(["choice", "ranking", "top", "best-worst"]))
    return Feedback(kind, depth=draw(hs.integers(1, menu_size)) if kind == "top" else None)


@hs.composite
def designs(
    draw: hs.DrawFn, over: Items | None = None, feedback: Feedback | None = None, max_questions: int = 2
) -> Design:
    """Small designs: drawn menus or a fixed list, any feedback kind, few annotators."""
    over = draw(items()) if over is None else over
    smallest = int(over.prompts.unique(return_counts=True)[1].min())
    k = draw(hs.integers(2, min(3, smallest)))
    kind = draw(feedbacks(k)) if feedback is None else feedback
    kind = Feedback("top", depth=k) if kind.kind == "top" else kind
    common: dict[str, Any] = {
        "feedback": kind,
        "annotators": draw(hs.integers(1, 6)),
        "questions": draw(hs.integers(1, max_questions)),
    }
    if over.num_prompts == 1 and draw(hs.booleans()):
        menus = draw(
            hs.lists(
                hs.sampled_from(list(itertools.permutations(range(over.n), k))), min_size=1, max_size=4, unique=True
            )
        )
        return Design(over, menus=menus, **common)
    return Design(over, menu_size=k, **common)


@hs.composite
def preference_data(
    draw: hs.DrawFn, shape: str = "any", feedback: str = "choice", max_n: int = 5, max_rows: int = 12
) -> PreferenceData:
    """Preference data.

    Args:
        shape: ``"identified"`` (the graph of wins is strongly connected: every item beats the next one around a cycle,
            so Luce's maximum-likelihood estimate exists), ``"unidentified"`` (item 0 never loses: it does not),
            ``"degenerate"`` (one row, or nothing but skips), or ``"any"``.
        feedback: ``choice``, ``ranking``, ``top``, ``best-worst`` or ``rating``; every shape exists for each.
        max_n: most items.
        max_rows: most free rows beyond those that the shape needs.

    Example:
        >>> from hypothesis import find
        >>> from annosim.checks.shrinking import as_code
        >>> as_code(find(preference_data(shape="identified"), lambda data: True))
        "PreferenceData(Items(n=2), menu=[[0, 1], [1, 0]], answer=[0, 0], feedback='choice')"
    """
    if shape not in SHAPES:
        raise ArgumentError(f"preference_data(shape={told(shape)}): {', '.join(SHAPES)}")
    if feedback not in KINDS:
        raise ArgumentError(f"preference_data(feedback={told(feedback)}): {', '.join(KINDS)}")
    over = draw(items(max_n=max_n))
    k = 2 if feedback in ("choice", "rating") else min(3, over.n)
    menus: list[tuple[int, ...]] = []
    orders: list[tuple[int, ...]] = []
    if shape == "degenerate":
        menus, orders = [tuple(range(k))], [tuple(range(k))]
    elif shape == "identified":  # a cycle of wins through all items, each menu filled up with later items
        for i in range(over.n):
            menus.append(tuple((i + j) % over.n for j in range(k)))
            orders.append(tuple(range(k)))
    free_rows = hs.permutations(range(over.n)).map(lambda p: tuple(p[:k]))
    many = draw(hs.integers(0 if menus else 1, 0 if shape == "degenerate" else max_rows))
    for _ in range(many):
        menu = draw(free_rows)
        order = tuple(draw(hs.permutations(range(k))))
        if shape == "unidentified" and 0 in menu:  # item 0 always comes first
            first = menu.index(0)
            order = (first, *[p for p in order if p != first])
        menus.append(menu)
        orders.append(order)
    answer = _encoded(orders, feedback, k)
    if shape == "degenerate" and draw(hs.booleans()):
        answer = np.full_like(answer, -1)
    per = draw(hs.integers(1, 3))
    kind = Feedback(feedback, grades=max(k, 2)) if feedback == "rating" else feedback
    kind = Feedback("top", depth=k) if feedback == "top" else kind
    return PreferenceData(
        over, menus, answer, feedback=kind, annotator=np.arange(len(menus)) // per if per > 1 else None
    )


def _encoded(orders: list[tuple[int, ...]], feedback: str, k: int) -> np.ndarray:
    """Answers of a kind that say what the orders (display positions, best first) say."""
    order = np.array(orders)
    if feedback == "choice":
        return order[:, 0]
    if feedback == "best-worst":
        return order[:, [0, -1]]
    return k - 1 - np.argsort(order, axis=1) if feedback == "rating" else order


def rankings(max_n: int = 5, shape: str = "any") -> hs.SearchStrategy[PreferenceData]:
    """Full rankings of menus of up to three."""
    return preference_data(shape=shape, feedback="ranking", max_n=max_n)


@hs.composite
def tied_comparisons(draw: hs.DrawFn, max_n: int = 5, max_rows: int = 12) -> PreferenceData:
    """Pairs of which some are tied."""
    over = draw(items(max_n=max_n))
    rows = draw(hs.integers(1, max_rows))
    menus = [tuple(draw(hs.permutations(range(over.n)))[:2]) for _ in range(rows)]
    outcome = draw(hs.lists(hs.sampled_from([0, 1, 2]), min_size=rows, max_size=rows))
    answer = [[0, 1] if o == 2 else [o, -1] for o in outcome]
    return PreferenceData(over, menus, answer, feedback="choice", tied=[[o == 2] for o in outcome])


def texts(min_size: int = 0, max_size: int = 6) -> hs.SearchStrategy[str]:
    """Text of any script, with commas, quotes and spaces, without control characters."""
    return hs.text(hs.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=min_size, max_size=max_size)


@hs.composite
def encoded_data(
    draw: hs.DrawFn,
    kind: str | None = None,
    ties: bool = True,
    skips: bool = True,
    pads: bool = True,
    max_n: int = 5,
    max_rows: int = 6,
) -> PreferenceData:
    """Everything that the encoding can hold: any kind, padded menus, ties, skips, names, weights and named columns.

    Args:
        kind: feedback kind; any by default.
        ties: answers may be tied (kinds that have ties).
        skips: answers may be missing.
        pads: menus may be shorter than others.
        max_n: most items.
        max_rows: most rows.
    """
    kind = kind or draw(hs.sampled_from(KINDS))
    n = draw(hs.integers(2, max_n))
    names = draw(hs.lists(texts(1), min_size=n, max_size=n, unique=True))
    k = draw(hs.integers(2, min(4, n)))
    rows = draw(hs.integers(1, max_rows))
    least = {"top": draw(hs.integers(1, k)), "best-worst": 2}.get(kind, 1)
    feedback = Feedback(kind, least if kind == "top" else None, 3 if kind == "rating" else None)
    may_tie = ties and kind in ("choice", "ranking", "top") and draw(hs.booleans())
    menu = np.full((rows, k), -1)
    answer = np.full((rows, feedback.width(k, may_tie)), -1)
    tied = np.zeros((rows, k - 1), dtype=bool)
    for r in range(rows):
        size = draw(hs.integers(least, k)) if pads else k
        menu[r, :size] = draw(hs.permutations(range(n)))[:size]
        space = feedback.answers(size, may_tie, skips)
        pick = draw(hs.integers(0, len(space) - 1))
        answer[r, : space.answer.shape[1]] = space.answer[pick]
        if space.tied is not None:
            tied[r, : size - 1] = space.tied[pick]
    given: dict[str, Any] = {}
    if draw(hs.booleans()):
        people = draw(hs.integers(1, 3))
        given["annotator"] = draw(hs.lists(hs.integers(0, people - 1), min_size=rows, max_size=rows))
        if draw(hs.booleans()):
            given["annotator_names"] = draw(hs.lists(texts(1), min_size=people, max_size=people, unique=True))
        if draw(hs.booleans()):
            given["order"] = draw(hs.lists(hs.integers(0, 9), min_size=rows, max_size=rows))
    if draw(hs.booleans()):
        given["prompt"] = draw(hs.lists(hs.integers(0, 1), min_size=rows, max_size=rows))
        if draw(hs.booleans()):
            given["prompt_names"] = draw(hs.lists(texts(1), min_size=2, max_size=2, unique=True))
    if draw(hs.booleans()):
        each = np.array(draw(hs.lists(numbers(0.0, 4.0), min_size=max(rows, 3), max_size=max(rows, 3))))
        given["weight"] = each[given.get("annotator", np.arange(rows))]
    if draw(hs.booleans()):
        margin = draw(hs.lists(numbers(), min_size=rows, max_size=rows))
        note = draw(hs.lists(texts(), min_size=rows, max_size=rows))
        given["columns"] = {"margin": np.array(margin), "note": np.array(note, dtype=object)}
    plain = kind == "choice" and not may_tie
    return PreferenceData(
        Items(names=names), menu, answer[:, 0] if plain else answer, feedback, tied if may_tie else None, **given
    )
