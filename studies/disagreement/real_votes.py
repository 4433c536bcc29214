"""UKPConvArg1: reward models of texts trained on one vote per pair, judged by the other votes on held-out arguments."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from scipy.stats import pearsonr, spearmanr

import annosim as an
from annosim.analysis import brier_score, calibration_error
from annosim.study import MissingDataError, data_path

from .synthetic import temperature

FOLDER = "ukp_convincing_arguments"


def tf_idf(texts, fitted_on, least=3):
    """Rows of unit length: (1 + log count) x log(N / documents), words and pairs of words of at least ``least`` of the
    ``fitted_on`` texts."""
    words = [re.findall(r"[a-z']+", text.lower()) for text in texts]
    terms = [w + [f"{a} {b}" for a, b in zip(w, w[1:], strict=False)] for w in words]
    documents = Counter(t for i in fitted_on for t in set(terms[i]))
    index = {t: j for j, t in enumerate(sorted(t for t, c in documents.items() if c >= least))}
    rare = np.log(len(fitted_on) / np.array([documents[t] for t in index]))
    rows, columns, values = [], [], []
    for i, own in enumerate(terms):
        for t, count in Counter(t for t in own if t in index).items():
            rows.append(i)
            columns.append(index[t])
            values.append((1 + np.log(count)) * rare[index[t]])
    table = csr_matrix((values, (rows, columns)), shape=(len(texts), len(index)))
    length = np.sqrt(np.asarray(table.multiply(table).sum(1)).ravel())
    return csr_matrix(table.multiply(1 / np.maximum(length, 1e-300)[:, None]))


def features(texts, fitted_on, dim):
    """TF-IDF reduced to its ``dim`` leading directions on the training texts, and the log of the number of words."""
    table = tf_idf(texts, fitted_on)
    start = np.random.default_rng(0).normal(size=min(table[fitted_on].shape))
    _, _, right = svds(table[fitted_on], k=dim, v0=start)
    reduced = table @ right.T
    length = np.log([1 + len(t.split()) for t in texts])[:, None]
    out = np.concatenate([reduced, length], 1)
    centre, spread = out[fitted_on].mean(0), out[fitted_on].std(0)
    return (out - centre) / np.where(spread > 0, spread, 1.0)


def no_data(data):
    """Skip a cell with the reason when the votes are not there."""
    try:
        data_path(f"{FOLDER}/votes.csv.gz", data)
        data_path(f"{FOLDER}/arguments.csv.gz", data)
    except MissingDataError as error:
        return True, str(error)
    return False, ""


def load(seed, data, dim, debate=None):
    """Items with features, and for every pair its votes, one of them set aside to learn from. Held out are a third of the
    arguments, or all of one debate (features and training never see it)."""
    votes = an.io.read_ukp(data_path(f"{FOLDER}/votes.csv.gz", data).parent)
    rng = np.random.default_rng(seed)
    if debate is None:
        held_out = rng.random(votes.items.n) < 0.35
    else:
        held_out = votes.items.prompts.numpy() == votes.items.prompts.unique().numpy()[debate]
    items = votes.items.with_(features=features(votes.items.texts, np.flatnonzero(~held_out), dim))
    return rng, items, held_out, pair_table(rng, votes)


def pair_table(rng, votes):
    """One row per pair (lower id first): the recorded vote (a random decided one), and share and number of the rest."""
    low, high = votes.menu.min(1), votes.menu.max(1)
    chosen = votes.menu[np.arange(votes.rows), votes.answer[:, 0]]
    tied = votes.tied[:, 0]
    credit = np.where(tied, 0.5, (chosen == low).astype(float))
    pairs, number = np.unique(np.stack([low, high], 1), axis=0, return_inverse=True)
    number = number.ravel()
    total, score = np.bincount(number), np.bincount(number, credit)
    shuffled = rng.permutation(np.flatnonzero(~tied))
    decided, first = np.unique(number[shuffled], return_index=True)
    recorded = credit[shuffled[first]]
    rest = total[decided] - 1
    keep = rest >= 2
    share = (score[decided] - recorded)[keep] / rest[keep]
    return {"pair": pairs[decided][keep], "vote": recorded[keep], "share": share, "votes": rest[keep]}


def rows_of(items, table, at, q):
    """Training data: the recorded vote of each pair, with the judges' share for the first displayed."""
    answer = np.where(table["vote"][at] == 1, 0, 1)
    return an.PreferenceData(items, menu=table["pair"][at], answer=answer, columns={"judged": q})


def methods(alpha):
    """Name -> objective and judge."""
    return {
        "none": (None, "others"),
        "constant": (an.objectives.Margin("constant", alpha=alpha), "others"),
        "M1 unsigned": (an.objectives.Margin("unsigned", alpha=alpha), "others"),
        "M2 signed": (an.objectives.Margin("signed", alpha=alpha), "others"),
        "M3 inside": (an.objectives.Margin("inside", alpha=alpha), "others"),
        "soft label": (an.objectives.SoftLabels(), "others"),
        "majority": (None, "others"),
        "M2 signed, judged by a model": (an.objectives.Margin("signed", alpha=alpha), "model"),
        "M3 inside, judged by a model": (an.objectives.Margin("inside", alpha=alpha), "model"),
    }


def judged_by_model(items, table, at, dim, rng):
    """A simulated judge: a reward model of half of the votes, asked about every pair (its forecast is q)."""
    half = at[rng.permutation(len(at))[: len(at) // 2]]
    data = rows_of(items, table, half, np.full(len(half), 0.5))
    r = an.fit(an.Annotator(an.Linear(dim + 1), an.Luce()), data, prior=an.priors.Gaussian(0.3)).population.utility(
        items
    )
    r = r.detach().numpy()
    gap = r[table["pair"][at, 0]] - r[table["pair"][at, 1]]
    return 1 / (1 + np.exp(-gap))


def fit_model(kind, items, data, objective, dim, steps, seed):
    """A linear model (exact) or a small network (Adam with weight decay) on the features of the texts."""
    if kind == "linear":
        model = an.Annotator(an.Linear(dim + 1), an.Luce())
        return an.fit(model, data, objective=objective).population.utility
    model = an.Annotator(an.Network([16], dim=dim + 1, seed=seed), an.Luce())
    solver = an.Adam(steps=steps, lr=3e-3, batch=1024, weight_decay=0.3, progress=False)
    return an.fit(model, data, objective=objective, seed=seed, solver=solver).population.utility


def held_out_scores(seed, data, kind, dim, alpha, steps, names, debate=None):
    """Every method once: correlation, Brier score and calibration of held-out pairs against the remaining votes. Brier and
    calibration error are those of sigmoid(d) after one temperature, fitted to the recorded votes of the held-out pairs;
    raw ones beside them."""
    rng, items, held_out, table = load(seed, data, dim, debate)
    out = held_out[table["pair"]]
    at, test = np.flatnonzero(~out.any(1)), np.flatnonzero(out.all(1))
    judge = judged_by_model(items, table, at, dim, rng)
    side = rng.random(len(test)) < 0.5  # pairs in random order: correlations do not depend on who was first
    sign = np.where(side, 1.0, -1.0)
    share = np.where(side, table["share"][test], 1 - table["share"][test])
    vote = np.where(side, table["vote"][test], 1 - table["vote"][test])
    rows = []
    for name, (objective, who) in methods(alpha).items():
        if name not in names:
            continue
        q = table["share"][at] if who == "others" else judge
        rows_in = rows_of(items, table, at, q)
        if name == "majority":
            rows_in = rows_in.with_(answer=np.where(q > 0.5, 0, np.where(q < 0.5, 1, rows_in.answer)))
        r = fit_model(kind, items, rows_in, objective, dim, steps, seed % 2**31)(items).detach().double().numpy()
        d = sign * (r[table["pair"][test, 0]] - r[table["pair"][test, 1]])
        forecast, raw = 1 / (1 + np.exp(-temperature(d, vote) * d)), 1 / (1 + np.exp(-d))
        rows.append(
            {
                "method": name,
                "pearson": pearsonr(d, share).statistic,
                "spearman": spearmanr(d, share).statistic,
                "pearson_sigmoid": pearsonr(raw, share).statistic,
                "brier": brier_score(forecast, share),
                "ece": calibration_error(forecast, share),
                "raw_brier": brier_score(raw, share),
                "raw_ece": calibration_error(raw, share),
                "one_vote": pearsonr(vote, share).statistic,
                "train_pairs": len(at),
                "test_pairs": len(test),
            }
        )
    return rows


def other_debates(seed, data, debate, dim, alpha, names):
    """The same with one debate left out: what is learned from the others' texts, of another topic."""
    return held_out_scores(seed, data, "linear", dim, alpha, 0, names, debate)
