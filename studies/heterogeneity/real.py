"""Real annotators: is one type enough, what do K types say, and what could be known of them at all?"""

from __future__ import annotations

import warnings

import numpy as np

import annosim as an
from annosim.analysis import agreement
from annosim.study import MissingDataError, data_path

LLMFAO = {"annotator": "worker", "left": "left", "right": "right", "winner": "winner"}
PRIOR = 1.0  # pseudo-comparisons: debates and models have undefeated items


def missing(file, data=None):
    """A reason to skip a cell whose file is not here."""
    try:
        data_path(file, data)
    except MissingDataError as error:
        return True, str(error)
    return False, ""


def restricted(data, keep_rows):
    """Some rows, with items and annotators renumbered."""
    part = data.take(np.flatnonzero(keep_rows))
    ids, annotator = np.unique(np.asarray(part.annotator_ids), return_inverse=True)
    items, menu = np.unique(np.asarray(part.menu), return_inverse=True)
    menu = menu.reshape(np.asarray(part.menu).shape)
    names = [data.items.names[i] for i in items]
    return an.PreferenceData(
        an.Items(names=names),
        menu=menu,
        answer=part.answer,
        tied=part.tied,
        feedback=part.feedback,
        annotator=annotator,
    )


def votes(file, topic, data):
    """Pairs with ties: one debate of UKP, or all of LLMFAO."""
    if file == "llmfao.csv":
        found = an.read_csv(data_path(file, data), **LLMFAO)
        return restricted(found, np.ones(found.rows, dtype=bool))
    found = an.read_ukp(data_path(file, data).parent)
    return restricted(found, np.asarray(found.prompt) == topic)


def one_type(items):
    """A table of utilities, answered with ties (Rao and Kupper, the threshold estimated)."""
    return an.Annotator(an.Tabular(items.n), an.RaoKupper(an.free(1.5)))


def test_votes(file, topic, replicates, seed, data):
    """The score test of one type, and whether its simulated twin reproduces agreement and tie rate."""
    found = votes(file, topic, data)
    prior = an.Gaussian(3.0)
    test = an.heterogeneity_test(one_type(found.items), found, replicates=replicates, seed=seed, prior=prior)
    fit = an.fit(one_type(found.items), found, prior=prior)
    from annosim.simulate import simulate_like

    observed, tied = agreement(found).between, float(np.asarray(found.tied).any(-1).mean())
    twins = [simulate_like(fit.population, found, seed=s) for s in range(20)]
    agreed = np.array([agreement(t).between for t in twins])
    ties = np.array([float(np.asarray(t.tied).any(-1).mean()) for t in twins])
    return {
        "statistic": test.statistic, "p": test.p_value, "simulated_95": test.evidence["simulated 95 %"],
        "agreement": observed, "twin_agreement": float(agreed.mean()), "twin_low": float(agreed.min()),
        "twin_high": float(agreed.max()), "ties": tied, "twin_ties": float(ties.mean()), "rows": found.rows,
        "annotators": found.num_annotators, "items": found.items.n,
    }  # fmt: skip


def ballots(file, data):
    """Full or partial rankings."""
    path = data_path(file, data)
    return an.read_scottish(path) if file.startswith("scottish") else an.read_preflib(path)


def by_types(file, most, starts, annotators, seed, data):
    """Mixtures of Plackett-Luce types: BIC of every K, and what ``identify`` says of each before fitting."""
    found = ballots(file, data)
    rows = []
    n = found.items.n
    draw = np.random.Generator(np.random.Philox(3))
    for k in range(1, most + 1):
        generic = an.Mixture([an.Annotator(an.Tabular(draw.normal(size=n)), an.Luce()) for _ in range(k)])
        verdict = _before(generic, found, n)
        model = generic if k > 1 else an.Annotator(an.Tabular(n), an.Luce())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = an.fit(model, found, starts=starts if k > 1 else 1, seed=seed)
        size = k * (n - 1) + k - 1
        blocks = float(np.asarray(found.annotator_weight).sum())
        rows.append({
            "types": k, "log_likelihood": fit.log_likelihood, "bic": size * np.log(blocks) - 2 * fit.log_likelihood,
            "rank": verdict.rank, "of": verdict.num_parameters, "before": verdict.verdict, "blocks": blocks,
            "largest": float(fit.population.leaf_weights().detach().max()),
        })  # fmt: skip
    return rows


def _before(population, found, n):
    """``identify`` at a generic mixture under top-3 answers over all the items (a margin of full rankings, so a full
    rank
    there is a full rank of the rankings), or under the ballots' own lengths where they are shorter."""
    depth = min(3, n - 1)
    design = an.Design(an.Items(n=n), menus=[list(range(n))], feedback="top", depth=depth)
    return an.identify(population, design, starts=0)
