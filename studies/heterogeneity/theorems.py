"""The known theorems, each with its numerical experiment."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import multivariate_normal

import annosim as an
from annosim.identifiability import theorems


def _tables(draw, n, k, weights=None):
    return an.Mixture([an.Annotator(an.Tabular(draw.normal(size=n)), an.Luce()) for _ in range(k)], weights=weights)


def _slates(n, sizes, **more):
    from itertools import combinations

    most = max(sizes)
    menus = [list(c) + [-1] * (most - s) for s in sizes for c in combinations(range(n), s)]
    return an.Design(an.Items(n=n), menus=menus, **more)


DESIGNS = {
    "rankings": lambda n: an.Design(an.Items(n=n), menu_size=n, feedback="ranking"),
    "pairs": lambda n: an.Design(an.Items(n=n)),
    "slates of two and three": lambda n: _slates(n, (2, 3)),
    "choices over up to four": lambda n: _slates(n, (2, 3, 4)),
    "ranked top three": lambda n: an.Design(an.Items(n=n), menu_size=n, feedback="top", depth=3),
    "ranked top two and pairs": lambda n: _slates(n, (2, n), feedback="top", depth=2),
    "favourite and pairs": lambda n: _slates(n, (2, n)),
    "best of three": lambda n: an.Design(an.Items(n=n), menu_size=3),
}


def mixtures(kinds, n, answers, uniform, populations, starts, seed):
    """Random mixtures of Plackett-Luce models: share with full rank, and share with a twin."""
    draw = np.random.Generator(np.random.Philox(seed))
    full, twins, distance = 0, 0, 0.0
    for number in range(populations):
        weights = an.fixed(np.full(kinds, 1 / kinds)) if uniform else draw.dirichlet(np.full(kinds, 4.0))
        people = _tables(draw, n, kinds, weights)
        report = an.identify(people, DESIGNS[answers](n), starts=starts, seed=number)
        full += report.rank == report.num_parameters
        twins += report.twin is not None
        distance = max(distance, report.law_distance or 0.0)
    return {"full_rank": full / populations, "twins": twins / populations, "largest_distance": distance}


#: kinds, items, answers of explicit twins
COLLISIONS = ((2, 3, "rankings"), (3, 5, "rankings"), (2, 4, "favourite and pairs"))


def collision(kinds, n, answers):
    """Two different mixtures of k Plackett-Luce types with the same law of answers: of rankings of m <= 2k - 1 items
    (Zhao, Piech, Xia), of favourites of all and pairs for k = 2 (Zhao, Xia: l1 + l2 = 3 <= 2k - 1).

    Types in which one item has odds e and all others share the rest: the law depends only on the place of that item,
    which has few values, so 2k of them have a linear relation; with k positive and k negative coefficients it is a
    twin.
    """
    odds = np.geomspace(0.05, 20.0, 2 * kinds)
    types = [an.Annotator(an.Tabular(np.r_[np.log(e), np.zeros(n - 1)]), an.Luce()) for e in odds]
    design = DESIGNS[answers](n)
    laws = np.stack([an.law(t, design).probabilities for t in types])
    _, s, vt = np.linalg.svd(laws.T, full_matrices=False)  # many answers, few types
    relation = vt[-1]
    rank = int((s > 1e-12 * s[0]).sum())
    plus, minus = np.flatnonzero(relation > 0), np.flatnonzero(relation < 0)
    if rank == 2 * kinds or len(plus) != kinds:
        return {"law_distance": np.nan, "apart": np.nan, "relation": rank}
    mix = lambda at: an.Mixture([types[i] for i in at], np.abs(relation[at]) / np.abs(relation[at]).sum())  # noqa: E731
    apart = float(np.abs(np.log(odds[plus])[:, None] - np.log(odds[minus])[None]).min())
    return {
        "law_distance": an.information.law_distance(mix(plus), mix(minus), design),
        "apart": apart,
        "relation": rank,
    }


def probit(rho):
    """Best of three under a correlated probit with zero means: the formula against the trivariate normal orthant."""
    # u1 - u2 and u1 - u3 with unit variances and correlation rho: P(both positive)
    orthant = multivariate_normal.cdf([0.0, 0.0], cov=[[1.0, rho], [rho, 1.0]])
    return {"orthant": float(orthant), "formula": theorems.probit_best_of_three(rho), "pair": 0.5}


def ford(games, items, replicates, seed):
    """Random tournaments: the maximum-likelihood estimate exists iff the win graph is strongly connected."""
    draw = np.random.Generator(np.random.Philox(seed))
    agree, connected = 0, 0
    for _ in range(replicates):
        pairs = np.stack([draw.permutation(items)[:2] for _ in range(games)])
        wins = np.zeros((items, items))
        np.add.at(wins, (pairs[:, 0], pairs[:, 1]), 1)
        data = an.PreferenceData(an.Items(n=items), menu=pairs, answer=np.zeros(games, dtype=int))
        try:
            an.fit(an.Annotator(an.Tabular(items), an.Luce()), data)
            exists = True
        except an.errors.NotIdentifiedError:
            exists = False
        said = theorems.win_graph(wins)
        agree += exists == said
        connected += said
    return {"agree": agree / replicates, "connected": connected / replicates}


def questions_needed(kinds, populations, starts, seed):
    """One pair asked q times: q = 2K - 1 identifies K types, q = 2K - 2 does not."""
    draw = np.random.Generator(np.random.Philox(seed))
    out = {}
    for q in (2 * kinds - 2, 2 * kinds - 1):
        full = 0
        for _ in range(populations):
            gaps = np.sort(draw.normal(size=kinds) * 1.5) + 0.7 * np.arange(kinds)
            people = an.Mixture(
                [an.Annotator(an.Tabular([0.0, g]), an.Luce()) for g in gaps], draw.dirichlet(np.full(kinds, 4.0))
            )
            report = an.identify(people, an.Design(an.Items(n=2), questions=q), starts=starts)
            full += report.rank == report.num_parameters
        out["enough" if q == 2 * kinds - 1 else "one_less"] = full / populations
    return out


def calibration(rewards, annotators, seed):
    """k i.i.d. rewards from the annotators themselves: mean squared calibration error on a pair, and the bound
    1/(4k).
    """
    draw = np.random.Generator(np.random.Philox(seed))
    share = draw.random(annotators)
    error = (draw.binomial(rewards, share) / rewards - share) ** 2
    worst = draw.binomial(rewards, 0.5, size=annotators) / rewards - 0.5
    return {
        "error": float(error.mean()),
        "worst": float((worst**2).mean()),
        "worst_error": float((worst**2).std() / np.sqrt(annotators)),
        "bound": 1 / (4 * rewards),
    }


def distortion(b):
    """The bound of Goelz, Haghtalab and Yang in two forms."""
    return {"bound": theorems.maximal_lottery_distortion(b), "other": b / 2 * (1 + math.exp(-b)) / (1 - math.exp(-b))}
