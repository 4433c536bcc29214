"""Is one type of annotators enough, how many are there, and could these data tell?"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from annosim.data.counts import combine
from annosim.data.preferences import PreferenceData
from annosim.diagnosis.case import Case, number, plural, untied
from annosim.diagnosis.finding import Finding, not_asked, tail
from annosim.diagnosis.implied import Floats, Ints, first_of
from annosim.diagnosis.strengths import Strengths
from annosim.diagnosis.tastes import LARGEST, TasteSpread, taste_spread
from annosim.errors import AnnosimError
from annosim.identifiability.identification import identify
from annosim.learning.number_of_types import TypesChoice, choose_types
from annosim.learning.priors import Gaussian
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.mixture import Mixture
from annosim.random import CounterRNG, child_seed
from annosim.rules.luce import Luce
from annosim.utilities.tabular import Tabular

__all__ = ["number_of_types", "one_type"]

#: rows of which types are counted
MOST = 20_000
#: items up to which a twin of the types is searched everywhere; above, near them alone
SEARCHED = 30
#: items up to which two supposed types are asked about, where one is enough
ASKED = 60


def one_type(case: Case) -> Finding:
    r"""Do people differ in what they want: the dependence of an annotator's answers on each other.

    ``Q = sum_a (|sum_r s_r|^2 - sum_r |s_r|^2)`` with ``s_r`` the residual score of an answer (Rao's score statistic
    against random coefficients, as in ``heterogeneity_test``); the signs of whole answers are flipped for its null
    distribution, under which answers are independent whatever their variance. How much tastes differ is
    :func:`~annosim.diagnosis.tastes.taste_spread`. Ties are left out: given a winner, answers are Bradley-Terry ones under
    Davidson's rule, too.
    """
    name = "one type"
    if not case.named:
        return not_asked(name, f"{case.alone[0]}, so that types of annotators cannot be told.", case.alone[1])
    found = case.decided
    if found is None:
        return not_asked(
            name,
            "Every comparison is a tie, so that annotators differ about nothing."
            if case.all_tied
            else "No items have strengths that annotators could differ about.",
            "Collect answers that prefer one of two items, and connect the items.",
        )
    entries = _entries(found)
    spread = taste_spread(case) if int(np.bincount(entries.places).max()) > 1 else None
    if spread is None:
        return not_asked(
            name,
            "No annotator gave two answers about a common item, and this test compares what one annotator said at different "
            "times. Single answers from pairs show averages alone; rankings may tell types apart (see 'types').",
            "Ask every annotator two questions or more that share an item.",
        )
    observed, draws = _dependence(entries, case.seed)
    p = tail(observed, draws)
    size, value = _size(spread)
    differ = f"Tastes differ between annotators: the standard deviation of an item's utility is {size}."
    alike = f"One type of annotators is not rejected: the standard deviation of an item's utility between annotators is {size}."
    if spread.low > 0.0:
        alike += (
            " The interval, which stands alone, leaves out 0; among all tests of this page that is not rare enough."
        )
    whom = "" if spread.whole else f" of {plural(spread.annotators, 'annotator')} drawn at random"
    test = (
        f"score test against random tastes, {len(draws)} random signs; the interval inverts it for normal tastes, by "
        f"{spread.draws} simulations of the questions{whom} at each standard deviation"
    )
    return Finding(name, differ, value, spread.low, spread.high, test, p, change=_shown(spread), otherwise=alike)


def _size(spread: TasteSpread) -> tuple[str, float]:
    """The standard deviation with its interval in words, and its number."""
    if not np.isfinite(spread.value):
        return (
            f"above {number(spread.low)} logits (lower end of a 95 % interval; no upper end below {number(LARGEST)})",
            spread.low,
        )
    span = (
        f"{number(spread.low)} to {number(spread.high)}" if np.isfinite(spread.high) else f"above {number(spread.low)}"
    )
    part = "" if spread.whole else f", from {plural(spread.annotators, 'annotator')} drawn at random"
    return f"{number(spread.value)} logits (95 % interval {span}{part})", spread.value


def _shown(spread: TasteSpread) -> str:
    """What these data could show at all, and what would let them show more."""
    able = (
        f"These data would show a standard deviation of {number(spread.seen)} logits four times of five, in a test of this alone at 5 %"
        if np.isfinite(spread.seen)
        else f"These data would show no standard deviation up to {number(LARGEST)} logits four times of five"
    )
    return f"{able}; more answers of each annotator about the same items show smaller ones."


@dataclass(frozen=True, eq=False)
class _Entries:
    """What each answer says of each item: its residual score; annotators and answers numbered from 0.

    Attributes:
        who, item, value: annotator, item and score, an entry for each item of each answer.
        answer: number of the answer.
        places, owner: number of each entry's (annotator, item), and the annotator of each of these.
        weight: ``(people,)`` of the annotators.
    """

    who: Ints
    item: Ints
    value: Floats
    answer: Ints
    places: Ints
    owner: Ints
    weight: Floats


def _entries(found: Strengths) -> _Entries:
    c = found.core
    who = c.people[1]
    weight = np.ones(c.annotators)
    weight[who] = c.weight
    who, item = np.r_[who, who], np.r_[c.first, c.second]
    value, answer = np.r_[found.residual, -found.residual], np.r_[c.answers, c.answers]
    if not c.single:  # the scores of an answer about one item are one entry
        cell = combine([answer, item])
        at = first_of(cell)
        who, item, value, answer = who[at], item[at], np.bincount(cell, value), answer[at]
    places = combine([who, item])
    return _Entries(who, item, value, answer, places, who[first_of(places)], weight)


def _dependence(e: _Entries, seed: int) -> tuple[float, np.ndarray]:
    """Q, and Q under random signs of the answers."""
    of_place = e.weight[e.owner]
    own = float((e.weight[e.who] * e.value**2).sum())
    many = 399 if len(e.value) <= 100_000 else 199 if len(e.value) <= 400_000 else 39

    def statistic(values: np.ndarray) -> float:
        return float((of_place * np.bincount(e.places, values) ** 2).sum()) - own

    rows = int(e.answer.max()) + 1
    draws = np.empty(many)
    for k in range(many):
        u = CounterRNG(child_seed(seed, f"diagnosis/signs/{k}"), np.arange(rows)).uniform("bootstrap", 1)[:, 0]
        draws[k] = statistic(e.value * np.where(u < 0.5, -1.0, 1.0)[e.answer])
    return statistic(e.value), draws


def _identified(chosen: TypesChoice, data: PreferenceData, seed: int) -> str:
    """Whether these questions could tell the counted types apart at all, in words; ``""`` for one type."""
    return "" if chosen.best < 2 else " " + told_apart(chosen.fit.population, data, seed)


def told_apart(population: Population, data: PreferenceData, seed: int) -> str:
    """What ``an.identify`` says of types and the questions of the data, in words.

    Up to ``SEARCHED`` items a twin is searched everywhere; above, near the types alone (the rank of the law).

    Example:
        >>> import annosim as an
        >>> two = an.Mixture([an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, -1.0)], [0.6, 0.4])
        >>> votes = an.simulate(two, an.Design(an.Items(n=2), annotators=50, questions=2), seed=0)
        >>> told_apart(two, votes, 0)[:47]
        'These questions cannot tell such types apart: a'
    """
    n, types = data.items.n, len(population.components())
    if data.feedback.kind != "choice" and data.menu_size > 4:
        return (
            f"Whether rankings of {data.menu_size} tell such types apart was not computed (too many answers to list); "
            "an.identify with a design of shorter rankings, of which these are more, says it."
        )
    starts = 2 if n <= SEARCHED else 0
    try:
        found = identify(population, data, starts=starts, seed=seed, jobs=1)
    except AnnosimError as error:
        return f"Whether these questions tell such types apart is open: {str(error).split('. Remedies')[0]}."
    rank = f"rank {found.rank} of {found.num_parameters}"
    if found.twin is not None:
        return (
            f"These questions cannot tell such types apart: another population of {types} types, a twin, gives the same "
            f"answers to them ({rank}); it is {' '.join(repr(found.twin).split())[:200]}."
        )
    if found.verdict in ("identified", "locally_identified"):
        where = "" if found.verdict == "identified" else f", near these types: {rank}"
        sought = "no twin was found" if starts else f"no twin was searched elsewhere, among {n} items"
        return f"These questions can tell such types apart (an.identify{where}; {sought})."
    cannot = "cannot tell such types apart" if found.verdict == "not_identified" else "hardly tell such types apart"
    return f"These questions {cannot} (an.identify: {found.verdict.replace('_', ' ')}, {rank})."


def _two_types(case: Case) -> str:
    """Could two types that differ by about a logit be told, where the data show no difference: in words."""
    found, n = case.strengths, case.data.items.n
    if found is None or not case.named or case.data.feedback.kind == "rating" or case.data.menu_size > 12:
        return ""
    if n > ASKED:
        return f" Whether two types could be told is computed for up to {ASKED} items: an.identify(types, data)."
    data = untied(case.part(MOST))
    middle = np.nan_to_num(found.score)
    shift = np.array([(-1.0) ** i * (0.5 + 0.5 * ((7 * i) % 11) / 11.0) for i in range(n)])
    shift -= shift.mean()
    two = Mixture([Annotator(Tabular((middle + s * shift).tolist()), Luce()) for s in (0.7, -0.5)], [0.45, 0.55])
    return f" Two types about a logit apart: {lowered(told_apart(two, data, case.seed))}"


def lowered(sentence: str) -> str:
    """A sentence that continues another one.

    Example:
        >>> lowered("These questions can.")
        'these questions can.'
    """
    return sentence[:1].lower() + sentence[1:]


def number_of_types(case: Case, one: Finding) -> Finding:
    """How many types, by the Bayesian information criterion; asked only where one is not enough (``one`` says that)."""
    name = "types"
    if one.status != "alarm":
        why = "One type could not be asked about" if one.status == "not asked" else "One type was not rejected"
        return not_asked(name, f"{why}, so that types are not counted.{_two_types(case)}", "See 'one type'.")
    data = case.part(MOST)
    if data.feedback.kind == "rating" or data.menu_size > 12:
        return not_asked(
            name,
            "Types are counted for choices and rankings of a few items.",
            "Use an.choose_types with a model of your own.",
        )
    data = untied(data)
    n = data.items.n
    if n > 400:
        return not_asked(
            name,
            f"{plural(n, 'item')}: too many for a table per type.",
            "Use an.choose_types with an.Linear on features.",
        )

    def model(k: int) -> Mixture | Annotator:
        parts = [Annotator(Tabular(n), Luce()) for _ in range(k)]
        return parts[0] if k == 1 else Mixture(parts)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chosen = choose_types(model, data, ks=(1, 2, 3), folds=0, starts=3, seed=case.seed, prior=Gaussian(2.0))
    except AnnosimError as error:
        return not_asked(
            name,
            f"Types could not be counted: {str(error).split('. Remedies')[0]}.",
            "Use an.choose_types with a model of your own.",
        )
    rows = tuple((k, float(chosen.log_likelihood[i]), float(chosen.bic[i])) for i, k in enumerate(chosen.ks))
    shares = np.sort(chosen.fit.population.component_weights().detach().numpy())[::-1]
    shown = " and ".join(f"{100 * share:.0f} %" for share in shares)
    verdict = _identified(chosen, data, case.seed)
    sentence = f"By BIC, {plural(chosen.best, 'type')} of annotators" + (
        f", with shares of {shown} (a description: smooth tastes without groups get types, too).{verdict}"
        if chosen.best > 1
        else ": tastes differ, but not as a few types would."
    )
    change = "Annotators held out (an.choose_types(by='held_out')) are a second opinion; more answers of each annotator tell types apart better."
    return Finding(
        name,
        sentence,
        float(chosen.best),
        None,
        None,
        "BIC of 1, 2 and 3 types of tables, prior Gaussian(2)",
        change=change,
        status="notice",
        errs="not known: a criterion is no test; 'one type' is",
        head=("types", "log-likelihood", "BIC"),
        rows=rows,
    )
