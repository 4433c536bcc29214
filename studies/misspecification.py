"""The misspecification matrix: who answers against what is assumed, and how far from the truth one ends.

Rows are rules by which people answer, columns are what a learner assumes (a rule, or two types of people, and an
objective). The colour is the total variation between the learned density and the people's: with infinite data (the
optimum on the exact law, which is what ``an.project`` computes), and beside it with 2^15 pairs.

A row or a column of your own is one line in :data:`PEOPLE` or :data:`LEARNERS`::

    PEOPLE["lapses, 50 %"] = lambda: people(an.Lapse(an.Luce(), 0.5))

either here, or in a file of your own beside this one that says ``import misspecification as matrix``, adds its lines to
``matrix.PEOPLE``, and ends with ``STUDY = matrix.STUDY``; ``annosim study run FILE`` then runs it.

Learners with judges (soft labels, margins) are told the people's exact preference on every pair, so that theirs are not
2^15 answers but 2^15 shares. Two types are searched for from several random starts; a search that ends without a maximum is
not judged against infinite data, and the matrix is drawn from where it ended.
"""

from __future__ import annotations

import numpy as np
import torch

import annosim as an
from annosim import plotting
from annosim.study import (
    CONTROL,
    STUDY_ADDS,
    Cell,
    Preset,
    Statement,
    Study,
    at_least,
    at_most,
    binomial_interval,
    equal,
    every,
    inside,
    paper_says,
    provided,
    t_interval,
    true,
)

POINTS = 31
ITEMS = an.Items(
    features=np.linspace(-5, 5, POINTS)[:, None],
    weights=np.full(POINTS, 10 / (POINTS - 1)),
    clusters=np.arange(POINTS) // 2,
    columns={"length": 5 + np.arange(POINTS) % 7},
)
#: what one person wants: a density with two modes
TRUTH = an.utilities.DensityMixture(
    [an.utilities.truncated_normal(-2.0, 1.0), an.utilities.truncated_normal(2.0, 1.2)], [0.4, 0.6]
)
#: what two people want; the two rows of mixtures, of annotators and of their densities, are made of them
FIRST, SECOND, SHARES = an.utilities.truncated_normal(-2.5, 0.7), an.utilities.truncated_normal(2.5, 1.0), [0.4, 0.6]
BOTH = an.utilities.DensityMixture([FIRST, SECOND], SHARES)
PI0 = an.utilities.truncated_normal(0.0, 3.0)
#: a taste that runs in circles: every item gains against those up to a third of the way round from it
ROUND = np.array([[np.sin(2 * np.pi * (j - i) / POINTS) for j in range(POINTS)] for i in range(POINTS)])


def people(rule, density=TRUTH) -> an.Annotator:
    """An annotator with this density who answers by this rule."""
    return an.Annotator(density, rule)


#: who answers: a name and a population
PEOPLE = {
    "Luce": lambda: people(an.Luce()),
    "Luce, temperature 2": lambda: people(an.Luce(2.0)),
    "probit": lambda: people(an.Thurstone()),
    "DPO, beta 0.5": lambda: people(an.PBDE.dpo(0.5, PI0)),
    "geometric, alpha 2": lambda: people(an.PBDE.geometric(2.0, PI0)),
    "length-normalised": lambda: people(an.PBDE.length_normalised(8.0)),
    "lapses, 20 %": lambda: people(an.Lapse(an.Luce(), 0.2)),
    "position bias": lambda: people(an.PositionBias(an.Luce(), [0.7, 0.0])),
    "length bias": lambda: people(an.rules.LengthBias(an.Luce(), 0.3)),
    "ties (Rao-Kupper)": lambda: people(an.rules.RaoKupper(2.0)),
    "ties (Davidson)": lambda: people(an.Davidson(1.0)),
    "threshold": lambda: people(an.rules.JustNoticeable(an.Luce(), 0.5)),
    "intransitive": lambda: people(an.rules.Cyclic(an.Luce(), ROUND)),
    "paraphrase twins": lambda: people(an.rules.SeesClusters(an.Luce())),
    "noisy paraphrases": lambda: people(an.rules.NoisyClusters(an.Luce(), 0.1)),
    "10 % adversaries": lambda: an.Mixture([people(an.Luce()), people(an.rules.Adversary(an.Luce()))], [0.9, 0.1]),
    "10 % spammers": lambda: an.populations.Contaminated(people(an.Luce()), 0.1),
    "annotator mixture": lambda: an.Mixture([people(an.Luce(), FIRST), people(an.Luce(), SECOND)], SHARES),
    "density mixture": lambda: people(an.Luce(), BOTH),
}
#: the density that is to be learned, where it is not TRUTH
TARGETS = {"annotator mixture": BOTH, "density mixture": BOTH}


def one(rule) -> an.Annotator:
    """One annotator, of whose density nothing is assumed."""
    return an.Annotator(an.LogDensity(an.Tabular(POINTS)), rule)


#: what a learner assumes: a model and an objective
LEARNERS = {
    "Luce": lambda: (one(an.Luce()), an.objectives.NLL()),
    "Luce, smoothed labels": lambda: (one(an.Luce()), an.objectives.NLL(label_smoothing=0.1)),
    "probit": lambda: (one(an.Thurstone()), an.objectives.NLL()),
    "DPO, beta 0.5": lambda: (one(an.PBDE.dpo(0.5, PI0)), an.objectives.NLL()),
    "geometric, alpha 2": lambda: (one(an.PBDE.geometric(2.0, PI0)), an.objectives.NLL()),
    "length-normalised": lambda: (one(an.PBDE.length_normalised(8.0)), an.objectives.NLL()),
    "lapses, 20 %": lambda: (one(an.Lapse(an.Luce(), 0.2)), an.objectives.NLL()),
    "position bias": lambda: (one(an.PositionBias(an.Luce(), [0.7, 0.0])), an.objectives.NLL()),
    "ties (Rao-Kupper)": lambda: (one(an.rules.RaoKupper(2.0)), an.objectives.NLL()),
    "ties (Davidson)": lambda: (one(an.Davidson(1.0)), an.objectives.NLL()),
    "paraphrase twins": lambda: (one(an.rules.SeesClusters(an.Luce())), an.objectives.NLL()),
    "IPO, tau 0.2": lambda: (one(an.PBDE.dpo(1.0, PI0)), an.objectives.IPO(0.2)),
    "SLiC, delta 1": lambda: (one(an.Luce()), an.objectives.SLiC(1.0)),
    "soft labels": lambda: (one(an.Luce()), an.objectives.SoftLabels()),
    "signed margin": lambda: (one(an.Luce()), an.objectives.Margin("signed", alpha=1.0)),
    "unsigned margin": lambda: (one(an.Luce()), an.objectives.Margin("unsigned", alpha=1.0)),
    "two types": lambda: (an.Mixture([one(an.Luce()) for _ in range(2)]).like(seed=1), an.objectives.NLL()),
}


#: steps of each start of the search for two types, whose likelihood has local optima
STEPS = 100


def well_specified() -> list[tuple[str, str]]:
    """People and learner of the same rule and objective, so that the truth is learned (twins say half of it)."""
    same = [(name, name) for name in PEOPLE if name in LEARNERS and name != "paraphrase twins"]
    return [*same, ("density mixture", "Luce")]


#: rules of the paper's own family, in which a preference is a function of one density; the others are this study's
PAPERS = ("Luce", "DPO, beta 0.5", "geometric, alpha 2", "length-normalised", "density mixture")


def _log_density(population: an.Population) -> torch.Tensor:
    """Log density ``(n,)`` of an annotator, or of all types of a mixture together."""
    with torch.no_grad():
        parts = torch.stack([leaf.utility(ITEMS).double() for leaf in population.components()])
        return torch.logsumexp(parts + population.component_weights().log()[:, None], 0)


def _far(log_p: torch.Tensor, log_q: torch.Tensor) -> dict[str, float]:
    """Total variation, and Kullback-Leibler divergence of the learned (second) density from the true one."""
    p = log_p.exp() * ITEMS.weights
    return {"tv": float(0.5 * (p - log_q.exp() * ITEMS.weights).abs().sum()), "kl": float((p * (log_p - log_q)).sum())}


def _design(pairs: int) -> an.Design:
    return an.Design(ITEMS, annotators=pairs, proposal=an.LogDensity(lambda x: 0 * x[:, 0]))


def infinite(who: str, starts: int) -> list[dict]:
    """One kind of people against every learner, with infinite data: the exact law as weighted answers."""
    truth, design = PEOPLE[who](), _design(1)
    return _row(who, truth, design, an.law(truth, design).as_data(marginal=True), starts)


def finite(who: str, pairs: int, starts: int, seed: int) -> list[dict]:
    """The same with so many answered pairs."""
    truth, design = PEOPLE[who](), _design(pairs)
    return _row(who, truth, design, an.simulate(truth, design, seed=seed).for_learner(), starts)


def _row(who: str, truth, design, data, starts: int) -> list[dict]:
    target = TARGETS.get(who, TRUTH)(ITEMS).detach()
    facts = (truth, target, data, design, starts)
    return [{"learner": name, **_learn(*make(), *facts)} for name, make in LEARNERS.items()]


def _search(starts: int) -> dict:
    return {"solver": an.Newton(hessian="expected", max_iterations=STEPS), "starts": starts}


def _learn(model, objective, truth, target, data, design, starts) -> dict:
    try:
        rule = model.components()[0].rule
        prepared = data if rule.ties or not data.has_ties else data.ties("half")  # who knows no ties halves them
        if objective.columns():
            shares = {objective.column: _shares(truth, prepared, design)}  # the judges are the people themselves
            prepared = prepared.with_(columns={**prepared.columns, **shares})
        how = _search(starts) if len(model.components()) > 1 else {}
        learned = an.fit(model, prepared, objective=objective, **how)
        status = "converged" if learned.converged else learned.stopped_by
        return {**_far(target, _log_density(learned.population)), "status": status}
    except an.errors.NotIdentifiedError as error:  # an answer: this loss has no optimum here. Other errors end the cell
        return {"tv": float("nan"), "kl": float("nan"), "status": f"{type(error).__name__}: {error}"}


def from_truth(pairs: int, starts: int, seed: int) -> dict:
    """Two types on the annotator mixture's answers, started at the truth: what a search from elsewhere could find."""
    truth, design = PEOPLE["annotator mixture"](), _design(pairs)
    data = an.simulate(truth, design, seed=seed).for_learner()
    far = [density(ITEMS).detach().clamp_min(-40.0).numpy() for density in (FIRST, SECOND)]
    start = an.Mixture([an.Annotator(an.LogDensity(an.Tabular(values)), an.Luce()) for values in far], SHARES)
    near = an.fit(start, data, solver=an.Newton(hessian="expected", max_iterations=2 * STEPS))
    model, _ = LEARNERS["two types"]()
    found = an.fit(model, data, **_search(starts))
    return {
        **_far(BOTH(ITEMS).detach(), _log_density(near.population)),
        "higher": near.log_likelihood - found.log_likelihood,
    }


def _shares(truth, data, design) -> np.ndarray:
    """The judges' share for the first displayed: the people's own preference, ties split."""
    # replacement: both draws of a pair may be one item
    shown = design.with_(menus=data.menu, proposal=None, menu_weights=None, replacement=True)
    table = an.law(truth, shown).given_menus
    p, space = table.marginal().detach(), table.space
    first = torch.as_tensor(space.answer[:, 0] == 0, dtype=torch.float64)
    if space.tied is not None:
        first = torch.where(torch.as_tensor(space.tied[:, 0]), 0.5, first)
    return (p @ first).clamp(0, 1).numpy()


# ---- statements, figure, table -----------------------------------------------------------------------------------


def _values(found, who, learner, level="infinite", what="tv"):
    """Total variation of one entry of the matrix, one number per replicate."""
    return [r[what] for r in found.rows(level, who=who) if r["learner"] == learner]


def _exact(found, who, learner):
    return _values(found, who, learner)[0]


def _status(found, who, learner):
    return _values(found, who, learner, what="status")[0]


def _at_most(found, who, learner, bound):
    """Judge the total variation at the optimum on infinite data. A search that ended without a maximum says nothing of
    the optimum."""
    ended = _status(found, who, learner)
    return provided(
        true(ended == "converged", f"converged, and not stopped by {ended}"),
        at_most(_exact(found, who, learner), bound),
        "a search that ends at a maximum",
    )


#: people whom a learner of plain Bradley-Terry is said to miss
_WRONG = ("DPO, beta 0.5", "geometric, alpha 2", "length-normalised", "annotator mixture")


def claims():
    """One rule on both sides learns the truth, two rules do not."""
    papers = [pair for pair in well_specified() if pair[0] in PAPERS]
    for name, text, pairs, source, whose in (
        (
            "diagonal",
            f"the same rule on both sides learns the truth from infinite data ({len(papers)} pairs of the paper's family)",
            papers,
            "Dumoulin et al. 2311.14115, abstract",
            paper_says("abstract"),
        ),
        (
            "diagonal-more",
            "and so do rules outside the paper's family (probit, lapses, position bias, ties)",
            [pair for pair in well_specified() if pair not in papers],
            "this study",
            STUDY_ADDS,
        ),
    ):
        yield Statement(
            name,
            text,
            source,
            lambda found, pairs=pairs: every([_at_most(found, *pair, 1e-4) for pair in pairs], "at most 1e-4"),
            whose=whose,
            figure="matrix",
        )
    yield Statement(
        "diagonal-finite",
        "and comes near it from 2^15 pairs",
        "this study",
        lambda found: every(
            [at_most(_mean(_values(found, *pair, "finite")), 0.1) for pair in well_specified()], "at most 0.1"
        ),
        whose=STUDY_ADDS,
        figure="matrix_finite",
    )
    yield Statement(
        "two-types",
        "two types learn the annotator mixture from infinite data without knowing who answered",
        "Dumoulin et al. 2311.14115, notebook",
        lambda found: _at_most(found, "annotator mixture", "two types", 1e-4),
        whose=paper_says("abstract and public notebook"),
        figure="matrix",
    )
    yield Statement(
        "two-types-finite",
        "and come near it from 2^15 pairs in most data sets: the search from random starts ends within .1, at a maximum or without "
        "one (share of the data sets)",
        "this study",
        lambda found: at_least(_near(found), 0.5),
        whose=STUDY_ADDS,
        figure="matrix_finite",
    )
    yield Statement(
        "two-types-search",
        "what is lost is lost in the search: started at the truth they end near it",
        "this study",
        lambda found: at_most(t_interval(found.values("from_truth", "tv")), 0.1),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "two-types-ridge",
        "and the likelihood hardly tells the two ends apart: on average over data sets they differ by less than a nat",
        "this study",
        lambda found: equal(t_interval(found.values("from_truth", "higher")), 0.0, within=1.0),
        whose=STUDY_ADDS,
    )
    yield Statement(
        "wrong-rule",
        "infinite data do not help a learner with the wrong rule",
        "Dumoulin et al. 2311.14115, abstract",
        lambda found: every(
            [at_least(_exact(found, who, "Luce"), 0.05) for who in _WRONG],
            "Luce on these people: at least 0.05",
            _WRONG,
        ),
        whose=paper_says("abstract"),
        figure="matrix",
    )
    yield Statement(
        "position",
        "ignoring position bias costs little, yet not nothing, when sides are drawn at random",
        "this study",
        lambda found: inside(_exact(found, "position bias", "Luce"), 1e-3, 0.05),
        whose=STUDY_ADDS,
        figure="matrix",
    )
    yield Statement(
        "mixtures",
        "two annotators and one annotator with their average density are different laws: a learner of one "
        "density captures the second and not the first",
        "Dumoulin et al. 2311.14115, notebook",
        lambda found: every(
            [
                at_most(_exact(found, "density mixture", "Luce"), 1e-4),
                *[
                    at_least(r["tv"], 0.05)
                    for r in found.rows("infinite", who="annotator mixture")
                    if r["learner"] != "two types" and np.isfinite(r["tv"])
                ],
            ],
            "density mixture: Luce at most 1e-4; annotator mixture: every learner of one density at least 0.05",
        ),
        whose=paper_says("abstract and public notebook"),
        figure="matrix",
    )
    yield Statement(
        "complete",
        "every pair of people and learner has a number, or no optimum",
        "this study",
        lambda found: true(
            all(
                np.isfinite(r["tv"]) or "NotIdentifiedError" in r["status"]
                for r in found.rows("infinite") + found.rows("finite")
            ),
            "a number, or a loss without an optimum",
        ),
        whose=CONTROL,
    )


def _near(found):
    """How often the search for two types ends within .1; a mean would mix searches that arrive with those that do not."""
    far = _values(found, "annotator mixture", "two types", "finite")
    return binomial_interval(int(np.sum(np.array(far) <= 0.1)), len(far))


def _mean(values):
    """Mean over data sets with its interval; one data set has an interval without ends and decides nothing."""
    return t_interval(values)


#: rows and columns of the matrix by kind; what is in none of them (a row of one's own) comes last
ROWS = {
    "scores": ("Luce", "Luce, temperature 2", "probit", "DPO, beta 0.5", "geometric, alpha 2", "length-normalised"),
    "biases": ("lapses, 20 %", "position bias", "length bias", "ties (Rao-Kupper)", "ties (Davidson)", "threshold"),
    "no order": ("intransitive", "paraphrase twins", "noisy paraphrases"),
    "several people": ("10 % adversaries", "10 % spammers", "density mixture", "annotator mixture"),
}
COLUMNS = {
    "rules": (
        "Luce",
        "probit",
        "DPO, beta 0.5",
        "geometric, alpha 2",
        "length-normalised",
        "lapses, 20 %",
        "position bias",
        "ties (Rao-Kupper)",
        "ties (Davidson)",
        "paraphrase twins",
    ),
    "losses": (
        "Luce, smoothed labels",
        "soft labels",
        "signed margin",
        "unsigned margin",
        "IPO, tau 0.2",
        "SLiC, delta 1",
    ),
    "two": ("two types",),
}


def _arranged(groups, known, size):
    """Names by group, within a group from the smallest to the largest mean; and where groups end."""
    rest = [name for name in known if not any(name in group for group in groups.values())]
    order, ends = [], []
    for group in [*groups.values(), rest]:
        order += sorted((name for name in group if name in known), key=size)
        ends.append(len(order))
    return order, sorted({end for end in ends if 0 < end < len(order)})


def _heat(found, level, title):
    values = {
        (who, learner): float(np.mean(_values(found, who, learner, level))) for who in PEOPLE for learner in LEARNERS
    }
    # the order is that of the infinite data in both figures, so that they can be laid beside each other
    exact = {pair: _exact(found, *pair) for pair in values}
    rows, row_ends = _arranged(ROWS, list(PEOPLE), lambda w: np.nanmean([exact[w, x] for x in LEARNERS]))
    columns, column_ends = _arranged(COLUMNS, list(LEARNERS), lambda x: np.nanmean([exact[w, x] for w in PEOPLE]))
    fig, axes = plotting.figure(width=15.5, height=10.5)
    ax = axes[0, 0]
    table = np.array([[values[who, learner] for learner in columns] for who in rows])
    plotting.heatmap(ax, table, rows, columns, bar="total variation", low=0.0, high=0.5, annotate=".3f")
    for end in row_ends:
        ax.axhline(end - 0.5, color="white", linewidth=5)
    for end in column_ends:
        ax.axvline(end - 0.5, color="white", linewidth=5)
    plotting.label(ax, "what the learner assumes", "who answers", title)
    return fig


def matrix(found):
    """Total variation between the learned density and the people's with infinite data. Rows: who answers (scores,
    response biases, answers without an order, several people); columns: what the learner assumes (rules, losses, two
    types); both sorted by their mean within a group. Blank: the loss has no optimum of this rule. Two types: where the
    search ended (the table says whether at a maximum)."""
    return _heat(found, "infinite", "infinite data")


def matrix_finite(found):
    """The same from 2^15 pairs, mean over data sets, in the same order. Soft labels and margins are told the exact
    preference on each pair."""
    return _heat(found, "finite", "2^15 pairs")


def finding(found, claims):
    """When the truth is learned, when not, and by how much, in the words of the verdicts."""
    verdict = {claim.id: claim.verdict for claim in claims}
    same = [_exact(found, *pair) for pair in well_specified()]
    sets = [_mean(_values(found, *pair, "finite")) for pair in well_specified()]
    finite = [mean.value for mean in sets]
    luce = {who: _exact(found, who, "Luce") for who in PEOPLE if who not in ("Luce", "density mixture")}
    worst, best = max(luce, key=luce.get), min(luce, key=luce.get)
    right = all(verdict[name] == "supported" for name in ("diagonal", "diagonal-more"))
    over = f"mean of {sets[0].n} data sets" if sets[0].n > 1 else "one data set each, which decides nothing"
    ignored = ", ".join(f"{who} {luce[who]:.2f}" for who in ("lapses, 20 %", "length bias", "DPO, beta 0.5"))
    return (
        f"A learner who assumes the rule by which people answer {'finds' if right else 'does not always find'} their "
        f"density: total variation at most {max(same):.0e} from infinite data and {min(finite):.2f} to {max(finite):.2f} from "
        f"2^15 pairs ({over}). One who assumes plain Bradley-Terry {_DOES_NOT[verdict['wrong-rule']]}, however many the answers: off "
        f"by {luce[best]:.3f} ({best}) to {luce[worst]:.2f} ({worst}); {ignored}. {_of_two(found, verdict)}"
    )


_DOES_NOT = {
    "supported": "does not",
    "contradicted": "sometimes does",
    "inconclusive": "may not",
    "not judged": "may not",
}


def _of_two(found, verdict):
    """What one density and two types learn of two annotators."""
    who, two = "annotator mixture", _exact(found, "annotator mixture", "two types")
    singles = [r["tv"] for r in found.rows("infinite", who=who) if r["learner"] != "two types" and np.isfinite(r["tv"])]
    single = f"Of two annotators a single density stays {min(singles):.2f} or more away, whatever is assumed"
    if verdict["two-types"] == "supported":
        types = f"two types find both ({two:.0e} from infinite data)"
    elif _status(found, who, "two types") != "converged":
        types = f"the search for two types found no maximum from infinite data (it ended at {two:.2f}), so nothing is said of them"
    else:
        types = f"two types do not find them either ({two:.2f} from infinite data)"
    ends = np.array(_values(found, who, "two types", "finite"))
    near = ends[ends <= 0.1]
    often = "" if verdict["two-types-finite"] == "supported" else ", which does not decide how often it does"
    arrives = f"the search from 2^15 pairs comes within .1 in {len(near)} of {len(ends)} data sets{often}"
    if len(near) < len(ends):
        arrives += f" and ends {ends.max():.2f} away at worst"
    return f"{single}; {types}; {arrives}."


def table(found):
    """Every pair of people and learner, the worst first; a click on a head sorts by it. tv: total variation; kl:
    divergence of the learned density from the true one."""
    import pandas as pd

    rows = []
    for who in PEOPLE:
        for learner in LEARNERS:
            entry = {"who answers": who, "what is assumed": learner}
            for level in ("infinite", "finite"):
                entry |= {
                    f"tv {level}": float(np.mean(_values(found, who, learner, level))),
                    f"kl {level}": float(np.mean(_values(found, who, learner, level, "kl"))),
                    f"{level}": _values(found, who, learner, level, "status")[0],
                }
            rows.append(entry)
    return pd.DataFrame(rows).sort_values("tv infinite", ascending=False).reset_index(drop=True)


def cells(pairs, replicates, starts, ends):
    """Two cells for each kind of people, and what the search for two types could have found."""
    search = {"pairs": pairs, "starts": starts}
    # most searches end within a nat of the end from the truth and a few lose ten: the mean needs many data sets (``ends``)
    yield Cell(from_truth, search, name="two types from the truth", replicates=ends, seed_name="answers")
    for who in PEOPLE:
        yield Cell(infinite, {"who": who, "starts": starts}, name=f"{who}, infinite data")
        yield Cell(
            finite,
            {"who": who, "pairs": pairs, "starts": starts},
            name=f"{who}, {pairs} pairs",
            replicates=replicates,
            seed_name="answers",
        )


STUDY = Study(
    name="misspecification",
    title="What is learned when people answer by one rule and the learner assumes another",
    paper="Dumoulin et al. 2311.14115, extended to every rule of the library",
    presets={
        "quick": Preset(1, {"pairs": 2**15, "replicates": 1, "starts": 6, "ends": 4}, decisive=False),
        "paper": Preset(8, {"pairs": 2**15, "replicates": 10, "starts": 40, "ends": 320}),
    },
    cells=cells,
    claims=claims,
    figures=[matrix, matrix_finite],
    finding=finding,
    tables=[table],
)
