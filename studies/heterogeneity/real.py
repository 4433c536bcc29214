"""Real annotators: is one type enough, what do K types say, and what could be known of them at all?"""

from __future__ import annotations

import warnings

import numpy as np

import annosim as an
from annosim.analysis import agreement
from annosim.simulation import simulate_like
from annosim.study import MissingDataError, data_path

UKP, LLMFAO, SUSHI = "ukp_convincing_arguments/votes.csv.gz", "llmfao.csv", "preflib/sushi.soc"
COLUMNS = {"annotator": "worker", "left": "left", "right": "right", "winner": "winner"}
PRIOR = an.priors.Gaussian(3.0)  # debates and models have undefeated items


def missing(file, data=None):
    """A reason to skip a cell whose file is not here."""
    try:
        data_path(file, data)
    except MissingDataError as error:
        return True, str(error)
    return False, ""


def answers(file, topic, items, people, data):
    """One debate of UKP (``topic``) or all of LLMFAO, or ballots; with the ``items`` most voted on, and ``people``
    ballots drawn at random (0: all of them)."""
    path = data_path(file, data)
    if file not in (UKP, LLMFAO):
        return one_a_person(
            an.io.read_scottish(path) if file.startswith("scottish") else an.io.read_preflib(path), people
        )
    if file == UKP:
        found = an.io.read_ukp(path.parent)
        found = restricted(found, np.asarray(found.prompt) == topic)
    else:
        found = an.io.read_csv(path, **COLUMNS)
    votes = np.bincount(np.asarray(found.menu).reshape(-1), minlength=found.items.n)
    kept = np.argsort(-votes, kind="stable")[: items or None]
    return restricted(found, np.isin(np.asarray(found.menu), kept).all(1))


def one_a_person(data, count=0):
    """Every ballot by itself (files count equal ballots once, but a simulated electorate does not answer in unison), or
    ``count`` of them drawn at random."""
    ballots = np.repeat(np.arange(data.num_annotators), np.asarray(data.annotator_weight).astype(int))
    if count:
        ballots = np.random.Generator(np.random.Philox(1)).permutation(ballots)[:count]
    first = np.unique(data.annotator_ids, return_index=True)[1]
    return data.take(first[ballots]).with_(annotator=np.arange(len(ballots)), order=None, weight=None)


def restricted(data, keep_rows):
    """Some rows, with items and annotators renumbered."""
    part = data.take(np.flatnonzero(keep_rows))
    annotator = np.unique(np.asarray(part.annotator_ids), return_inverse=True)[1]
    items, menu = np.unique(np.asarray(part.menu), return_inverse=True)
    return an.PreferenceData(
        an.Items(names=[data.items.names[i] for i in items]),
        menu=menu.reshape(np.asarray(part.menu).shape),
        answer=part.answer,
        tied=part.tied,
        feedback=part.feedback,
        annotator=annotator,
    )


def one_type(data):
    """A table of utilities; votes may be ties (Rao and Kupper, the threshold estimated), ballots are rankings."""
    rule = an.Luce() if data.tied is None else an.rules.RaoKupper(an.free(1.5))
    return an.Annotator(an.Tabular(data.items.n), rule)


def size(data):
    """What the tables say of a data set."""
    return {"answers": data.rows, "annotators": float(np.asarray(data.annotator_weight).sum()), "items": data.items.n}


def one_or_two(file, topic, items, people, method, replicates, seed, data):
    """Is one type enough? ``score``: dependence within annotators. ``likelihood_ratio``: against two types. Both are
    judged by data simulated from the one-type fit for the same annotators and questions, and fitted again."""
    found = answers(file, topic, items, people, data)
    test = an.identifiability.heterogeneity_test(
        one_type(found), found, method=method, replicates=replicates, starts=1, seed=seed, prior=PRIOR
    )
    return {
        "statistic": test.statistic,
        "p": test.p_value,
        "as_extreme": round(test.p_value * (replicates + 1)) - 1,
        "fits": replicates,
        "simulated_95": test.evidence["simulated 95 %"],
        "simulated_mean": test.evidence["simulated mean"],
        **size(found),
    }


def one_type_twin(file, topic, items, people, twins, seed, data):
    """Whether votes simulated from the one-type fit reproduce the agreement between annotators and the tie rate: how many
    simulated data sets are as far from their mean as the real one."""
    found = answers(file, topic, items, people, data)
    fit = an.fit(one_type(found), found, prior=PRIOR)
    made = [simulate_like(fit.population, found, seed=seed + number) for number in range(twins)]
    agreed = np.array([agreement(one, replicates=0).between for one in made])
    ties = np.array([float(np.asarray(one.tied).any(-1).mean()) for one in made])
    agreed_here = agreement(found, replicates=0).between
    ties_here = float(np.asarray(found.tied).any(-1).mean())
    return {
        "agreement": agreed_here,
        "agreement_as_far": as_far(agreed, agreed_here),
        "ties_as_far": as_far(ties, ties_here),
        "twin_agreement": float(agreed.mean()),
        "twin_agreement_low": float(agreed.min()),
        "twin_agreement_high": float(agreed.max()),
        "ties": ties_here,
        "twin_ties": float(ties.mean()),
        "twin_ties_low": float(ties.min()),
        "twin_ties_high": float(ties.max()),
        "twins": twins,
        **size(found),
    }


def as_far(simulated, observed):
    """How many simulated numbers are at least as far from their mean as the observed one."""
    return int((np.abs(simulated - simulated.mean()) >= abs(observed - simulated.mean()) - 1e-12).sum())


def by_types(file, topic, items, people, most, folds, seed, data):
    """One to ``most`` types: BIC, likelihood of held-out annotators, and what ``identify`` says before fitting."""
    found = answers(file, topic, items, people, data)
    ballots = found.tied is None
    model = lambda k: an.Mixture([one_type(found) for _ in range(k)]) if k > 1 else one_type(found)  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a type too many may run to the boundary: its likelihood is still one
        chosen = an.choose_types(model, found, ks=range(1, most + 1), folds=folds, starts=2, seed=seed, prior=PRIOR)
    rows = []
    for i, k in enumerate(chosen.ks):
        before = before_fitting(found.items.n, k) if ballots else None
        rows.append(
            {
                "types": k,
                "log_likelihood": chosen.log_likelihood[i],
                "bic": chosen.bic[i],
                "held_out": chosen.held_out[i],
                "held_out_error": chosen.held_out_error[i],
                "best_bic": chosen.best,
                "best_held_out": chosen.ks[int(np.nanargmax(chosen.held_out))],
                "largest": float(chosen.fits[k].population.component_weights().detach().max()),
                "before": "" if before is None else before.verdict,
                "rank": None if before is None else before.rank,
                "of": None if before is None else before.num_parameters,
                **size(found),
            }
        )
    return rows


def before_fitting(n, k):
    """``identify`` at a generic mixture of ``k`` rankers of ``n`` items who name their first three in order: a margin
    of full rankings, so that full rank there is full rank of the rankings."""
    draw = np.random.Generator(np.random.Philox(3))
    generic = an.Mixture([an.Annotator(an.Tabular(draw.normal(size=n)), an.Luce()) for _ in range(k)])
    design = an.Design(an.Items(n=n), menus=[list(range(n))], feedback="top", depth=min(3, n - 1))
    return an.identify(generic, design, starts=0)
