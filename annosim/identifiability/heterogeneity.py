"""Tests on data: is one type enough, does the model fit, and is disagreement noise, paraphrase or plurality?"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annosim.data.asked import distinct_covariates, distinct_menus
from annosim.data.counts import expand
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.errors import AnnosimError, ArgumentError, DataError, told
from annosim.laws import on_menus
from annosim.learning.fitting import fit
from annosim.learning.priors import Prior
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population, gather
from annosim.populations.mixture import Mixture
from annosim.random import child_seed, uniform53
from annosim.results import Result, versions
from annosim.simulation.draws import simulate_like

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TestResult", "consistency_test", "goodness_of_fit", "heterogeneity_test", "within_annotator_score"]


@dataclass(frozen=True, eq=False, repr=False)
class TestResult(Result):
    """A test by simulation.

    Attributes:
        name: what was tested.
        statistic: at the data.
        p_value: ``(1 + #{simulated >= observed}) / (1 + replicates)``: valid at every level. Of :func:`consistency_test`,
            whose statistic is often tied, the rank among equal ones is drawn.
        simulated: ``(replicates,)`` statistics under the null hypothesis.
        evidence: further numbers, by name.
    """

    name: str
    statistic: float
    p_value: float
    simulated: np.ndarray
    evidence: dict[str, Any] = field(default_factory=dict)

    __test__ = False  # pytest: not a test class

    def _title(self) -> str:
        return self.name

    def to_frame(self) -> pd.DataFrame:
        """One row (pandas): the test, its statistic, its p-value and the further numbers."""
        import pandas as pd

        row = {"test": self.name, "statistic": self.statistic, "p_value": self.p_value, **self.evidence}
        return pd.DataFrame([row])

    def _lines(self):
        lines = [("statistic", self.statistic), ("p-value", f"{self.p_value:.4g} ({len(self.simulated)} simulations)")]
        return lines + [(name, value) for name, value in self.evidence.items()]


def heterogeneity_test(
    model: Annotator,
    data: PreferenceData,
    *,
    types: int = 2,
    method: str = "score",
    replicates: int = 99,
    starts: int = 3,
    seed: int = 0,
    prior: Prior | None = None,
) -> TestResult:
    r"""Is one type enough? The null hypothesis is the one-type fit; its data are simulated for the same questions.

    ``method="score"``: the within-annotator dependence of the residual scores,
    ``sum_a (|sum_r s_r|^2 - sum_r |s_r|^2)`` with ``s_r`` the derivative of row r's log-likelihood in the indices of
    the items shown: Rao's score statistic against random coefficients. It needs annotators with at least two answers,
    and no mixture is fitted. ``method="likelihood_ratio"``: twice the gain of ``types`` types over one. Both are judged
    by a parametric bootstrap of the one-type fit, refitted each time (the likelihood ratio has no chi-square law:
    weights are on their boundary).

    True null hypotheses are rejected about as often as it says: of 300 data sets of 15 annotators with three answers each under
    a table of three (score, 19 simulations each) 3.3, 9, 21 and 49 % at levels of 5, 10, 20 and 50 % (standard errors 1.3, 1.7,
    2.3, 2.9; 2026-11-30).

    Args:
        model: the one-type model.
        data: the answers.
        types: of the alternative (likelihood ratio only).
        method: ``"score"`` or ``"likelihood_ratio"``.
        replicates: simulated data sets.
        starts: restarts of every mixture fit.
        seed: of the simulations.
        prior: for both fits, when the maximum does not exist.

    Raises:
        ArgumentError: no annotator has two answers (score), an unknown method, or weights that are not whole numbers
            (a block of weight w is simulated as w annotators).

    Example:
        >>> import annosim as an
        >>> items = an.Items.normal(5, 2, seed=0)
        >>> two = an.Mixture([an.Annotator(an.Linear(b), an.Luce()) for b in ([2., 0.], [-2., 1.])])
        >>> data = an.simulate(two, an.Design(items, annotators=150, questions=4), seed=0)
        >>> heterogeneity_test(an.Annotator(an.Linear(2), an.Luce()), data, replicates=39).p_value
        0.025
    """
    _check("heterogeneity_test", data, replicates=replicates, types=types, starts=starts)
    data = _voters("heterogeneity_test", data)
    if method not in ("score", "likelihood_ratio"):
        raise ArgumentError(f"heterogeneity_test(method={told(method)}): score or likelihood_ratio")
    if method == "score" and np.bincount(np.asarray(data.annotator_ids)).max() < 2:
        raise ArgumentError(
            "heterogeneity_test: every annotator has one answer, so nothing is seen within annotators; use "
            'method="likelihood_ratio", and ask identify() first whether the design identifies types at all'
        )
    one = fit(model, data, prior=prior)
    settings = {"method": method, "replicates": replicates, "types": types, "seed": seed, **versions()}

    def statistic(sample: PreferenceData, single: Any) -> float:
        if method == "score":
            return within_annotator_score(single.population, sample)
        return 2 * (_best_mixture(model, sample, types, starts, seed, prior) - single.log_likelihood)

    observed = statistic(data, one)
    simulated = []
    for number in range(replicates):
        sample = simulate_like(one.population, data, seed=child_seed(seed, f"heterogeneity/{number}"))
        try:
            simulated.append(statistic(sample, _quiet_fit(model, sample, prior=prior)))
        except AnnosimError:  # the estimate of a simulated data set does not exist: count it against rejection
            simulated.append(np.inf)
    draws = np.array(simulated)
    p = (1 + int((draws >= observed).sum())) / (1 + replicates)
    evidence = {
        "annotators": data.num_annotators,
        "answers": data.rows,
        "simulated mean": float(np.mean(draws[np.isfinite(draws)])) if np.isfinite(draws).any() else float("nan"),
        "simulated 95 %": float(np.quantile(draws, 0.95, method="higher")),
    }
    name = f"one type against {types}" if method == "likelihood_ratio" else "independence within annotators"
    return TestResult(name, float(observed), p, draws, evidence, settings=settings)


def _check(where: str, data: Any, **counts: Any) -> None:
    """Raise unless these are data, and whole numbers of at least 1."""
    if not isinstance(data, PreferenceData):
        raise ArgumentError(
            f"{where}(data={told(data)}): give an.PreferenceData, as an.simulate or an.io.read_csv return it"
        )
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ArgumentError(f"{where}({name}={value!r}): a whole number of at least 1")


def _voters(where: str, data: PreferenceData) -> PreferenceData:
    """Data with one block per annotator: under the null hypothesis a block of weight w is w people who answer apart."""
    if data.weight is None:
        return data
    try:
        return expand(data)
    except DataError as error:
        if data.settings.get("ties") == "half":
            raise ArgumentError(
                f"{where}: half wins are answers that nobody gave, so no data can be simulated like them; give the data "
                "with their ties and a rule that has ties, such as an.Davidson(delta=an.free(1.0)), or leave the tied "
                "rows out (data.take)"
            ) from None
        raise ArgumentError(f"{where}: {error}") from None


def _quiet_fit(model: Population, data: PreferenceData, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bootstrap fit that stops early only makes the test conservative
        return fit(model, data, **more)


def _best_mixture(model: Annotator, data: PreferenceData, types: int, starts: int, seed: int, prior: Any) -> float:
    import copy

    mixture = Mixture([copy.deepcopy(model) for _ in range(types)]).like(seed=child_seed(seed, "heterogeneity/start"))
    return float(_quiet_fit(mixture, data, starts=starts, seed=seed, prior=prior).log_likelihood)


def within_annotator_score(population: Population, data: PreferenceData) -> float:
    """``sum_a (|sum_r s_r|^2 - sum_r |s_r|^2)`` over annotators a and their rows r, scores in the items' indices.

    Annotators count by their weight.

    Example:
        >>> import annosim as an
        >>> coin = an.Annotator(an.Tabular([0., 0.]), an.Luce())
        >>> data = an.PreferenceData(an.Items(n=2), menu=[[0, 1]] * 2, answer=[0, 0], annotator=[0, 0])
        >>> within_annotator_score(coin, data)  # both scores are (.5, -.5): 2 - 1
        1.0
    """
    components = population.components()
    if len(components) != 1 or not isinstance(components[0], Annotator):
        raise ArgumentError("within_annotator_score: a population of one type")
    component, view = components[0], data.view()
    scores = gather(component.index(data.items).detach().double(), view.menu).requires_grad_(True)
    log_p = component.rule.log_prob(scores, data.answers(), view)
    (slope,) = torch.autograd.grad(log_p.sum(), scores)
    shown: np.ndarray = torch.where(view.menu >= 0, slope, torch.zeros_like(slope)).numpy()
    n = data.items.n
    code = np.asarray(data.annotator_ids, dtype=np.int64)[:, None] * n + np.maximum(np.asarray(data.menu), 0)
    cells, where = np.unique(code, return_inverse=True)
    total = np.bincount(where.reshape(-1), weights=shown.reshape(-1), minlength=len(cells))
    of_cell = data.annotator_weight[cells // n]
    return float((of_cell * total**2).sum() - (data.row_weight[:, None] * shown**2).sum())


def goodness_of_fit(
    model: Population,
    data: PreferenceData,
    *,
    replicates: int = 99,
    seed: int = 0,
    starts: int = 1,
    prior: Prior | None = None,
) -> TestResult:
    """Does the model fit the counts? Pearson's statistic over (question, answer), by a parametric bootstrap with
    refits.

    Questions are menus as they were displayed, so that an effect of the position is seen, too. Counts see only the
    margins of single answers: see :func:`heterogeneity_test` for what goes on within annotators.

    True null hypotheses are rejected about as often as it says: of 300 data sets of 60 answers to three pairs under a table of
    three (19 simulations each) 4.7, 11, 21 and 46 % at levels of 5, 10, 20 and 50 % (standard errors 1.3, 1.7, 2.3, 2.9;
    2026-11-30).

    Raises:
        ArgumentError: not data, no simulations, or weights that are not whole numbers.

    Example:
        >>> import annosim as an
        >>> people = an.Annotator(an.Tabular([0., 1., 2.]), an.Luce())
        >>> data = an.simulate(people, an.Design(an.Items(n=3), annotators=300), seed=0)
        >>> goodness_of_fit(people, data, replicates=39).p_value > .05
        True
    """
    _check("goodness_of_fit", data, replicates=replicates, starts=starts)
    data = _voters("goodness_of_fit", data)
    fitted = fit(model, data, starts=starts, seed=seed, prior=prior)
    observed = _pearson(fitted.population, data)
    draws = []
    for number in range(replicates):
        sample = simulate_like(fitted.population, data, seed=child_seed(seed, f"fit/{number}"))
        try:
            again = _quiet_fit(fitted.population, sample, starts=1, seed=seed, prior=prior)
            draws.append(_pearson(again.population, sample))
        except AnnosimError:
            draws.append(np.inf)
    simulated = np.array(draws)
    p = (1 + int((simulated >= observed).sum())) / (1 + replicates)
    return TestResult("counts of answers", observed, p, simulated, {"questions": len(np.unique(_questions(data)))})


def _questions(data: PreferenceData) -> np.ndarray:
    """Number of each row's menu, as displayed."""
    return distinct_menus(data)[1]


def _pearson(population: Population, data: PreferenceData) -> float:
    """``sum (observed - expected)^2 / expected`` over questions and answers."""
    menu, which = distinct_menus(data)
    shown = distinct_covariates(data)
    design = Design(data.items, menus=menu, feedback=data.feedback, replacement=True, covariates=shown)
    with torch.no_grad():
        one = on_menus(population, design, *design.listed)
        p = (one.weight[:, None, None] * one.question(0).exp()).sum(0).numpy()
    space = np.asarray(one.space.answer).reshape(len(one.space), -1)
    given = np.asarray(data.answer).reshape(data.rows, -1)
    tied = one.space.tied
    seen = np.zeros_like(p)
    for a in range(len(space)):
        hit = (given == space[a]).all(-1) if given.shape[1] == space.shape[1] else given[:, 0] == space[a, 0]
        if tied is not None:
            own = np.zeros((data.rows, tied.shape[1]), bool) if data.tied is None else np.asarray(data.tied)
            hit &= (own == tied[a]).all(-1)
        seen[:, a] = np.bincount(which[hit], minlength=len(menu))
    expected = p * seen.sum(-1, keepdims=True)
    live = expected > 0
    return float((((seen - expected) ** 2)[live] / expected[live]).sum())


def consistency_test(data: PreferenceData, *, replicates: int = 999, seed: int = 0) -> TestResult:
    """Paraphrase or plurality: do annotators agree with themselves more than with each other?

    Questions are pairs of paraphrase clusters (``items.clusters``), so that the same question may come back in other
    words. If people only differ by noise, an annotator agrees with themselves as often as with others; if there are
    different people, more often. The null is simulated by shuffling, within each question, which annotator gave which
    answer. Few answers have few shuffles, so that many statistics are equal; the observed one is put among its equals at
    random (Hemerik and Goeman 2018, TEST 27), which makes the test exact: at every level as many true null hypotheses
    are rejected as it says. ``evidence["equal"]`` is the share of simulations that are tied with the data; where all of
    them are, nothing can be seen, and the p-value is 1.

    Args:
        data: pairs with annotator ids; some annotator must have answered the same question twice.

    Raises:
        ArgumentError: not pairs, nobody answered a question twice, or weights that are not whole numbers.

    Example:
        >>> import annosim as an
        >>> items = an.Items(n=4, clusters=[0, 0, 1, 1])
        >>> split = an.Mixture([an.Annotator(an.Tabular([s, s, 0., 0.]), an.Luce()) for s in (3., -3.)])
        >>> data = an.simulate(split, an.Design(items, annotators=60, questions=4), seed=0)
        >>> consistency_test(data, replicates=99).p_value
        0.01
    """
    _check("consistency_test", data, replicates=replicates)
    data = _voters("consistency_test", data)
    question, label, annotator = _cluster_votes(data)
    if len(question) == 0:
        raise ArgumentError("consistency_test: no pair shows items of two clusters")
    by, twice = _agreement(question, label, annotator)
    if not np.isfinite(by["within"]):
        raise ArgumentError("consistency_test: nobody answered the same question (pair of clusters) twice")
    observed = by["within"] - by["between"]
    order = np.argsort(question, kind="stable")
    draws = []
    for number in range(replicates):
        u = uniform53(child_seed(seed, f"consistency/{number}"), "bootstrap", np.arange(len(question)), 0)
        shuffled = label.copy()
        shuffled[order] = label[np.lexsort((u, question))]
        found, _ = _agreement(question, shuffled, annotator)
        draws.append(found["within"] - found["between"])
    simulated = np.array(draws)
    equal = np.abs(simulated - observed) <= 1e-12
    place = uniform53(child_seed(seed, "consistency/place"), "bootstrap", np.zeros(1, np.int64), 0)[0]
    p = (1 + int((simulated > observed + 1e-12).sum()) + int(place * (1 + equal.sum()))) / (1 + replicates)
    evidence = {**by, "repeated": twice, "equal": float(equal.mean())}
    p = 1.0 if equal.all() else p
    return TestResult("agreement within against between annotators", observed, p, simulated, evidence)


def _cluster_votes(data: PreferenceData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Question, answer (the cluster of the winner is the smaller one) and annotator of untied pairs across clusters."""
    if data.feedback.kind != "choice" or data.menu_size != 2 or data.replicates is not None:
        raise ArgumentError("consistency_test: needs pairs, without replicates")
    cluster = data.items.clusters.numpy()[np.asarray(data.menu)]
    answer = np.asarray(data.answer).reshape(data.rows, -1)[:, 0]
    keep = (cluster[:, 0] != cluster[:, 1]) & (answer >= 0)
    if data.tied is not None:
        keep &= ~np.asarray(data.tied)[:, 0]
    cluster, answer = cluster[keep], answer[keep]
    low = cluster.min(1)
    winner = np.where(answer == 0, cluster[:, 0], cluster[:, 1])
    question = np.unique(np.sort(cluster, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    return question, (winner == low).astype(np.int64), np.asarray(data.annotator_ids)[keep]


def _agreement(question: np.ndarray, label: np.ndarray, annotator: np.ndarray) -> tuple[dict[str, float], int]:
    """Share of agreeing pairs of answers to the same question: by one annotator, and by two."""
    total, agree = _pairs_of(question, label)
    both = question * (int(annotator.max()) + 1) + annotator
    inside, same = _pairs_of(both, label)
    within = same / inside if inside else float("nan")
    between = (agree - same) / (total - inside) if total > inside else float("nan")
    return {"within": within, "between": between}, int(inside)


def _pairs_of(group: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    _, code = np.unique(group, return_inverse=True)
    count = np.bincount(code.reshape(-1)).astype(float)
    ones = np.bincount(code.reshape(-1), weights=label)
    zeros = count - ones
    return float((count * (count - 1) / 2).sum()), float((ones * (ones - 1) / 2 + zeros * (zeros - 1) / 2).sum())
