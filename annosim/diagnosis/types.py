"""Is one type of annotators enough, how many are there, and could these data tell?"""

from __future__ import annotations

import warnings

import numpy as np

from annosim.data.counts import combine
from annosim.data.preferences import PreferenceData
from annosim.diagnosis.case import Case, number, plural
from annosim.diagnosis.finding import Finding, not_asked, tail
from annosim.diagnosis.implied import Floats, Ints
from annosim.diagnosis.strengths import Strengths
from annosim.errors import AnnosimError
from annosim.identifiability.identification import identify
from annosim.learning.number_of_types import TypesChoice, choose_types
from annosim.learning.priors import Gaussian
from annosim.populations.annotator import Annotator
from annosim.populations.mixture import Mixture
from annosim.random import CounterRNG, child_seed
from annosim.rules.luce import Luce
from annosim.utilities.tabular import Tabular

__all__ = ["number_of_types", "one_type"]

#: rows of which types are counted, and items up to which their twin is looked for
MOST, FEW_ITEMS = 20_000, 8


def one_type(case: Case) -> Finding:
    r"""Do people differ in what they want: the dependence of an annotator's answers on each other.

    ``Q = sum_a (|sum_r s_r|^2 - sum_r |s_r|^2)`` with ``s_r`` the residual score of an answer (Rao's score statistic
    against random coefficients, as in ``heterogeneity_test``); the signs of whole answers are flipped for its null
    distribution, under which answers are independent whatever their variance. ``E Q = tau^2 M``, where tau is the
    standard deviation of tastes, in logits, and M is a sum over pairs of answers of one annotator.
    """
    name = "one type"
    if not case.named:
        return not_asked(
            name,
            "Nobody knows who answered, so that types of annotators cannot be told.",
            "Keep an annotator's id with every answer.",
        )
    found = case.strengths
    if found is None:
        return not_asked(
            name,
            "No items have strengths that annotators could differ about.",
            "Collect answers that connect the items.",
        )
    scale = float(_scale(found).sum())
    if scale <= 1e-9:
        return not_asked(
            name,
            "No annotator gave two answers about a common item: single answers show averages alone, and a mixture of "
            "types has a twin of one type with the same answers.",
            "Ask every annotator two questions or more that share an item.",
        )
    observed, draws = _dependence(found, case.seed)
    spread = float(draws.std(ddof=1))
    p = tail(observed, draws)
    tau = np.sqrt(max(observed / scale, 0.0))
    error = max(_error(found, observed / scale), spread / scale)
    low, high = _interval(observed / scale, error, p < 0.05)
    seen = np.sqrt(2.487 * spread / scale)
    size = f"{number(tau)} logits (95 % interval {number(low)} to {number(high)})"
    differ = f"Tastes differ between annotators by a standard deviation of about {size}."
    alike = f"One type of annotators is enough for these answers: the standard deviation of their tastes is {size}."
    change = f"These data would show a standard deviation of {number(seen)} logits four times of five; more answers per annotator show less."
    test = f"score test against random tastes, {len(draws)} random signs"
    return Finding(name, differ, float(tau), float(low), float(high), test, p, change=change, otherwise=alike)


def _interval(square: float, error: float, positive: bool) -> tuple[float, float]:
    """Of tau: on the scale of log tau^2 where it is known to be positive, else of tau^2, cut at zero."""
    if positive:
        reach = np.exp(1.96 * error / square)
        return float(np.sqrt(square / reach)), float(np.sqrt(square * reach))
    return tuple(float(np.sqrt(max(square + k * 1.96 * error, 0.0))) for k in (-1, 1))  # type: ignore[return-value]


def _entries(found: Strengths) -> tuple[Ints, Ints, Ints, Floats]:
    """Score entries: annotator, answer, item, value; annotators renumbered."""
    c = found.core
    who = np.unique(c.who, return_inverse=True)[1]
    answer = np.unique(c.answer, return_inverse=True)[1]
    return np.r_[who, who], np.r_[answer, answer], np.r_[c.first, c.second], np.r_[found.residual, -found.residual]


def _dependence(found: Strengths, seed: int) -> tuple[float, np.ndarray]:
    """Q, and Q under random signs of the answers."""
    who, answer, item, value = _entries(found)
    cell = combine([answer, item])
    entry = np.bincount(cell, value)
    first = np.unique(cell, return_index=True)[1]
    weight = np.r_[found.core.weight, found.core.weight][first]
    owner, row, item = who[first], answer[first], item[first]
    place = combine([owner, item])
    of_place = np.zeros(int(place.max()) + 1)
    of_place[place] = weight
    own = float((weight * entry**2).sum())
    many = 399 if len(entry) <= 100_000 else 199 if len(entry) <= 400_000 else 39

    def statistic(values: np.ndarray) -> float:
        return float((of_place * np.bincount(place, values) ** 2).sum()) - own

    rows = int(row.max()) + 1
    draws = np.empty(many)
    for k in range(many):
        u = CounterRNG(child_seed(seed, f"diagnosis/signs/{k}"), np.arange(rows)).uniform("bootstrap", 1)[:, 0]
        draws[k] = statistic(entry * np.where(u < 0.5, -1.0, 1.0)[row])
    return statistic(entry), draws


def _error(found: Strengths, square: float) -> float:
    """Standard error of tau^2 = sum_a Q_a / sum_a M_a, annotators as units (a ratio of sums, linearised)."""
    who, answer, item, value = _entries(found)
    own = np.bincount(combine([who, item]), value) ** 2
    owner = who[np.unique(combine([who, item]), return_index=True)[1]]
    each = np.bincount(combine([answer, item]), value) ** 2
    giver = who[np.unique(combine([answer, item]), return_index=True)[1]]
    scale = _scale(found)
    weight = np.zeros(len(scale))
    weight[who] = np.r_[found.core.weight, found.core.weight]
    q = weight * (np.bincount(owner, own) - np.bincount(giver, each))
    copies = np.maximum(weight, 1e-12)  # an annotator of weight w is w people
    return float(np.sqrt(((q - square * scale) ** 2 / copies).sum()) / scale.sum())


def _scale(found: Strengths) -> np.ndarray:
    """M of each annotator: the sum over pairs of their answers of the product of the information matrices."""
    c, v = found.core, found.variance
    who = np.unique(c.who, return_inverse=True)[1]
    answer = np.unique(c.answer, return_inverse=True)[1]
    low, high = np.minimum(c.first, c.second), np.maximum(c.first, c.second)
    people = int(who.max()) + 1
    weight = np.ones(people)
    weight[who] = c.weight

    def squared(block: np.ndarray) -> np.ndarray:
        """By annotator, the sum over blocks of the squared Frobenius norm of their Laplacian."""
        pair = combine([block, low, high])
        first = np.unique(pair, return_index=True)[1]
        off = np.bincount(who[first], 2.0 * np.bincount(pair, v) ** 2, people)
        item = combine([np.r_[block, block], np.r_[c.first, c.second]])
        first = np.unique(item, return_index=True)[1]
        return off + np.bincount(np.r_[who, who][first], np.bincount(item, np.r_[v, v]) ** 2, people)

    return weight * (squared(who) - squared(answer))


def _untied(data: PreferenceData) -> PreferenceData:
    """Answers that a table under Luce's rule can give: no skips, choices without ties, tied rankings as halves."""
    keep = ~np.asarray(data.skipped)
    if data.has_ties and data.feedback.kind == "choice":
        keep &= ~np.asarray(data.tied).any(1)
    return data.take(keep).ties("half").compact() if keep.any() else data


def _identified(chosen: TypesChoice, data: PreferenceData, seed: int) -> str:
    """Whether these questions could tell such types apart at all, in words; where the items are few enough to ask."""
    if chosen.best < 2 or data.items.n > FEW_ITEMS or data.menu_size > 3:
        return ""
    try:
        found = identify(chosen.fit.population, data, starts=2, seed=seed, jobs=1)
    except AnnosimError:
        return ""
    if found.twin is not None:
        return (
            f" But another population of {chosen.best} types, a twin, gives the same answers to these questions: {found.twin!r}"[
                :300
            ]
            + "."
        )
    said = {"identified": "can", "locally_identified": "can", "not_identified": "cannot"}.get(found.verdict)
    return (
        f" These questions {said} tell such types apart (an.identify: {found.verdict.replace('_', ' ')})."
        if said
        else ""
    )


def number_of_types(case: Case, differ: bool) -> Finding:
    """How many types, by the Bayesian information criterion; asked only where one is not enough."""
    name = "types"
    if not differ:
        return not_asked(
            name,
            "One type was not rejected, or could not be asked about, so that types are not counted.",
            "See 'one type'.",
        )
    data = case.part(MOST)
    if data.feedback.kind == "rating" or data.menu_size > 12:
        return not_asked(
            name,
            "Types are counted for choices and rankings of a few items.",
            "Use an.choose_types with a model of your own.",
        )
    data = _untied(data)
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
        f", with shares of {shown}.{verdict}" if chosen.best > 1 else ": tastes differ, but not as a few types would."
    )
    change = "an.identify(fit) says whether the types have a twin; annotators held out (an.choose_types(by='held_out')) are a second opinion."
    return Finding(
        name,
        sentence,
        float(chosen.best),
        None,
        None,
        "BIC of 1, 2 and 3 types of tables, prior Gaussian(2)",
        change=change,
        status="notice",
        head=("types", "log-likelihood", "BIC"),
        rows=rows,
    )
