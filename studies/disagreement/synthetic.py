"""The 2 x 2 of plurality and indistinguishability, with the truth known: what single votes teach, what judges add."""

from __future__ import annotations

import numpy as np
from scipy.stats import pearsonr, spearmanr

import annosim as an
from annosim.analysis import brier_score, calibration_error, calibration_slope, pair_probabilities

#: cell -> (scale of what all agree on, scale of what tastes differ in)
CELLS = {"agreed": (1.4, 0.0), "plural": (0.35, 2.0), "paraphrase": (0.12, 0.0), "both": (0.12, 0.25)}
COMMON, TASTE, NOISE = 3, 3, 18
TYPES = 6


def make_people(rng):
    """Six types that share the weights of the common features and differ in taste; nobody wants the noise features."""
    shared = rng.normal(size=COMMON)
    shared *= 1.3 / np.linalg.norm(shared)
    taste = rng.normal(size=(TYPES // 2, TASTE))
    taste /= np.linalg.norm(taste, axis=1, keepdims=True)
    tastes = np.concatenate([taste, -taste])
    weights = rng.dirichlet(np.full(TYPES, 20.0))
    kinds = [an.Annotator(an.Linear(np.r_[shared, t, np.zeros(NOISE)]), an.Luce()) for t in tastes]
    return an.Mixture(kinds, weights=weights)


def make_items(rng, prompts, responses):
    """Prompts of four kinds in equal numbers; the noise features (length, style) vary everywhere."""
    names = [name for name in CELLS for _ in range(prompts)]
    blocks = []
    for name in names:
        common, taste = CELLS[name]
        x = rng.normal(size=(responses, COMMON + TASTE + NOISE))
        x[:, :COMMON] *= common
        x[:, COMMON : COMMON + TASTE] *= taste
        blocks.append(x)
    prompt = np.repeat(np.arange(len(names)), responses)
    cell = np.repeat(np.array(names), responses)
    return an.Items(features=np.concatenate(blocks), prompts=prompt, columns={"cell": cell})


#: kinds of judges, and what becomes of the population's preference in their hands
JUDGES = {
    "faithful": "judgements drawn like the population's votes",
    "one persona": "all judgements are those of one type",
    "over-confident": "the population's log-odds, three times as large",
    "correlated panel": "judgements of one panel agree with each other more than the population does",
    "biased by style": "the population's, with a taste for one style",
}
#: correlation of any two judgements of one panel; ten are then worth 10 / (1 + 9 x .5) = 1.8 independent ones
TOGETHER = 0.5


def _believed(people: an.Mixture, kind: str, items: an.Items) -> np.ndarray:
    """``P(row > column)`` in the eyes of a judge, ``(n, n)``."""
    if kind == "one persona":
        return pair_probabilities(people.types[0], items).numpy()
    if kind == "biased by style":
        tastes = [an.Annotator(t.utility, an.rules.AttributeBias(an.Luce(), 1.0, COMMON + TASTE)) for t in people.types]
        return pair_probabilities(an.Mixture(tastes, weights=people.weights.detach().numpy()), items).numpy()
    p = pair_probabilities(people, items).numpy()
    if kind == "over-confident":
        with np.errstate(divide="ignore"):
            p = 1 / (1 + np.exp(-3 * np.log(p / (1 - p))))
    return p


def share_of_judges(rng, people, kind, data, count):
    """Share of ``count`` judgements for the first displayed (``count=0``: of infinitely many)."""
    p = _believed(people, kind, data.items)[data.menu[:, 0], data.menu[:, 1]]
    if count == 0:
        return p
    if kind == "correlated panel":  # what a panel agrees on varies around p, so that its members are correlated
        spread = (1 - TOGETHER) / TOGETHER
        p = rng.beta(np.clip(p, 1e-9, 1 - 1e-9) * spread, np.clip(1 - p, 1e-9, 1 - 1e-9) * spread)
    return rng.binomial(count, p) / count


def relabelled(data, q):
    """The majority of the judges instead of the recorded vote (the vote where they are divided)."""
    return data.with_(answer=np.where(q > 0.5, 0, np.where(q < 0.5, 1, data.answer)))


def objectives(alpha):
    """Name -> objective; None is plain Bradley-Terry."""
    return {
        "none": None,
        "constant": an.objectives.Margin("constant", alpha=alpha),
        "M1 unsigned": an.objectives.Margin("unsigned", alpha=alpha),
        "M2 signed": an.objectives.Margin("signed", alpha=alpha),
        "M3 inside": an.objectives.Margin("inside", alpha=alpha),
        "soft label": an.objectives.SoftLabels(),
        "majority": None,
    }


def train(data, q, method, alpha):
    """A linear reward model of all features, fitted to single votes with one of the methods."""
    rows = relabelled(data, q) if method == "majority" else data
    model = an.Annotator(an.Linear(COMMON + TASTE + NOISE), an.Luce())
    # relabelled votes can be separable (a majority of infinitely many judges contradicts itself never)
    prior = an.priors.Gaussian(10.0) if method == "majority" else None
    judged = rows.with_(columns={"judged": q})
    return an.fit(model, judged, objective=objectives(alpha)[method], prior=prior).population.utility


def scores(d, p, share, factor=1.0):
    """Correlations of the gap d and of sigmoid(d) with the preference p; of the forecast sigmoid(d times ``factor``), the one
    temperature that held-out votes ask for, with the share of held-out votes, and of the truth itself (the noise ceiling,
    which is of probabilities and not of gaps); errors of the forecast, and raw."""
    forecast, raw = 1 / (1 + np.exp(-factor * d)), 1 / (1 + np.exp(-d))
    return {
        "pearson": pearsonr(d, p).statistic,
        "spearman": spearmanr(d, p).statistic,
        "pearson_sigmoid": pearsonr(raw, p).statistic,
        "gap_share": pearsonr(d, share).statistic,
        "pearson_share": pearsonr(forecast, share).statistic,
        "ceiling_share": pearsonr(p, share).statistic,
        "brier": brier_score(forecast, p),
        "ece": calibration_error(forecast, p),
        "raw_brier": brier_score(raw, p),
        "raw_ece": calibration_error(raw, p),
        "spread_p": float(np.std(p)),
    }


def temperature(d, vote):
    """The factor that makes gaps forecasts, fitted to held-out votes (1 / temperature)."""
    try:
        return calibration_slope(d, vote).slope
    except an.errors.NotIdentifiedError:  # the votes follow the gaps without exception: no finite factor
        return 1.0


def oriented(rng, items, pairs):
    """Held-out pairs of every prompt in random order."""
    menus = []
    for prompt in items.prompts.unique().tolist():
        ids = items.members(prompt).numpy()
        menus += [rng.choice(ids, 2, replace=False) for _ in range(pairs)]
    return np.array(menus)


def world(seed, votes, prompts, responses, votes_held_out):
    """People, training votes, and held-out pairs on other prompts with their true and observed preferences."""
    rng = np.random.default_rng(seed)
    people = make_people(rng)
    train_items, test_items = (make_items(rng, prompts, responses) for _ in range(2))
    data = an.simulate(people, an.Design(train_items, annotators=votes), seed=int(rng.integers(2**31)))
    menu = oriented(rng, test_items, 30)
    p = pair_probabilities(people, test_items)[menu[:, 0], menu[:, 1]].numpy()
    share = rng.binomial(votes_held_out, p) / votes_held_out
    cell = test_items.columns["cell"][menu[:, 0]]
    return rng, people, data, test_items, menu, p, share, cell


def held_out_votes(rng, people, items):
    """Pairs of the test prompts other than the scored ones, with one vote each: what a temperature is fitted to."""
    menu = oriented(rng, items, 30)
    p = pair_probabilities(people, items)[menu[:, 0], menu[:, 1]].numpy()
    return menu, (rng.random(len(p)) < p).astype(float)


def gaps(utility, items, menu):
    """d = r(A) - r(B) of each pair."""
    r = utility(items).detach().numpy()
    return r[menu[:, 0]] - r[menu[:, 1]]


def single_votes(seed, votes, prompts, responses, votes_held_out):
    """The 2 x 2: a reward model of single votes, beside the infinite-data one, in every cell. The temperature of each is fitted
    to votes on other pairs."""
    rng, people, data, items, menu, p, share, cell = world(seed, votes, prompts, responses, votes_held_out)
    learned = train(data, np.full(data.rows, 0.5), "none", 0.0)
    model = an.Annotator(an.Linear(COMMON + TASTE + NOISE), an.Luce())
    limit = an.project(model, people, an.Design(data.items)).population.utility
    asked, vote = held_out_votes(rng, people, items)
    rows = []
    for model_name, u in (("votes", learned), ("infinite data", limit)):
        d, factor = gaps(u, items, menu), temperature(gaps(u, items, asked), vote)
        for name in CELLS:
            at = cell == name
            rows.append({"prompts_are": name, "model": model_name, **scores(d[at], p[at], share[at], factor)})
    return rows


def margins(seed, votes, prompts, responses, votes_held_out, judge, judges, alpha):
    """Every method with one kind of judge and one number of judgements per pair (0: infinitely many)."""
    rng, people, data, items, menu, p, share, cell = world(seed, votes, prompts, responses, votes_held_out)
    q = share_of_judges(rng, people, judge, data, judges)
    asked, vote = held_out_votes(rng, people, items)
    rows = []
    for method in objectives(alpha):
        reward = train(data, q, method, alpha)
        d, factor = gaps(reward, items, menu), temperature(gaps(reward, items, asked), vote)
        for name in (*CELLS, "all"):
            at = cell == name if name != "all" else np.ones(len(cell), bool)
            rows.append(
                {"method": method, "prompts_are": name, "factor": factor, **scores(d[at], p[at], share[at], factor)}
            )
    return rows
