"""B-Pref's irrational teachers against the objectives that reward models are trained with."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from scipy.stats import spearmanr

import annosim as an
from annosim import plotting
from annosim.errors import NotIdentifiedError, StudyError
from annosim.study import (
    BASELINE,
    CONTROL,
    STUDY_ADDS,
    Cell,
    Preset,
    Statement,
    Study,
    at_least,
    at_most,
    binomial_interval,
    difference,
    equal,
    every,
)

DIM, STEPS = 5, 10
#: B-Pref's settings (their table of teachers); the margin is the spread of returns here
TEACHERS = {
    "oracle": {},
    "stochastic": {"teacher_beta": 1.0},
    "mistake": {"teacher_eps_mistake": 0.1},
    "skip": {"teacher_eps_skip": 0.1},
    "equal": {"teacher_eps_equal": 0.1},
    "myopic": {"teacher_gamma": 0.9},
}


def make_teacher(name):
    """A rule with B-Pref's parameters."""
    return an.rules.BPref(**TEACHERS[name], margin=3.0)


def make_weights(rng):
    """Step rewards are linear in the features, with weights ``(steps, features)`` that drift during the episode, so
    that a myopic teacher sees another direction."""
    first, last = rng.normal(size=(2, DIM))
    path = np.linspace(0, 1, STEPS)[:, None]
    weights = (1 - path) * first + path * last
    scale = 3.0 / np.linalg.norm(weights.sum(0))
    weights *= scale
    return weights


def episodes(rng, weights, n):
    """Items with features and the column ``steps``."""
    x = rng.normal(size=(n, DIM))
    return an.Items(features=x, columns={"steps": x @ weights.T})


#: how objectives are shown, where their name in a cell does not say it all
SHOWN = {"likelihood": "likelihood, weak ridge"}


def objectives():
    """Name -> objective and prior. Answers of few pairs or of a perfect teacher have no likelihood maximum, so that the
    likelihood has a weak ridge (one pseudo-observation's worth)."""
    return {
        "likelihood": (None, an.priors.Gaussian(10.0)),
        "smoothed .1": (an.objectives.NLL(label_smoothing=0.1), None),
        "IPO": (an.objectives.IPO(0.5), None),
        "SLiC": (an.objectives.SLiC(1.0), None),
    }


def prepared(data):
    """As B-Pref does: skips are dropped, equal is half a win for each."""
    kept = data.take(~data.skipped)
    return kept.ties("half") if kept.has_ties else kept


def learn(seed, teacher, pairs):
    """Train with every objective on the same answers; judge on new episodes."""
    rng = np.random.default_rng(seed)
    weights = make_weights(rng)
    truth = weights.sum(0)
    train, test = episodes(rng, weights, 200), episodes(rng, weights, 400)
    people = an.Annotator(an.Linear(truth), make_teacher(teacher))
    data = an.simulate(people, an.Design(train, annotators=pairs), seed=seed)
    kept = prepared(data)
    returns = test.features.numpy() @ truth
    best = tilted(returns, returns, test)
    model = an.Annotator(an.Linear(DIM), an.Luce())
    exists = True
    try:
        an.fit(model, kept)
    except NotIdentifiedError:
        exists = False
    rows = []
    for name, (objective, prior) in objectives().items():
        found = fitted(model, kept, objective, prior)
        w = found.population.utility.weights.detach().numpy()
        rows.append(
            {"objective": name, "exists": float(exists), "used": len(kept), **judge(w, truth, test, returns, best)}
        )
    return rows


def fitted(model, data, objective, prior):
    """A fit that is good to six digits (SLiC's interior point may stop a little above the solver's own tolerance)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = an.fit(model, data, objective=objective, prior=prior)
    if not found.converged and found.gradient_norm > 1e-6:
        raise StudyError(f"{objective} did not converge: gradient norm {found.gradient_norm:.2g}")
    return found


def tilted(score, returns, test):
    """The mean return where all episodes are tilted by a score to a KL of 1."""
    pi0 = an.policies.ItemDensity(np.ones(test.n))
    return an.policies.gibbs_at_kl(pi0, an.Tabular(score), 1.0, test).mass(test).numpy() @ returns


def judge(w, truth, test, returns, best):
    """Rank correlation with the return, angle to the truth, and the return lost by best of 400 and by a tilt at KL
    1 (``best`` is that of the returns themselves)."""
    score = test.features.numpy() @ w
    return {
        "spearman": spearmanr(score, returns).statistic,
        "cosine": float(w @ truth / np.linalg.norm(w) / np.linalg.norm(truth)),
        "regret": float(returns.max() - returns[score.argmax()]),
        "tilt_regret": float(best - tilted(score, returns, test)),
        "length": float(np.linalg.norm(w)),
    }


def infinite(seed, teacher):
    """The direction that infinite data lead to, exactly (teachers without ties and skips)."""
    rng = np.random.default_rng(seed)
    weights = make_weights(rng)
    truth = weights.sum(0)
    items = episodes(rng, weights, 80)
    people = an.Annotator(an.Linear(truth), make_teacher(teacher))
    model = an.Annotator(an.Linear(DIM), an.Luce())
    found = an.project(model, people, an.Design(items)).population.utility.weights.detach()
    w = torch.as_tensor(truth)
    return {"cosine": float(found @ w / found.norm() / w.norm())}


def cells(pairs, replicates, replicates_of_few):
    """Every teacher, every number of pairs, the same episodes and seeds; the fewest pairs, where objectives are compared and
    noise is largest, with replicates of their own."""
    for teacher in TEACHERS:
        for count in pairs:
            times = replicates_of_few if count == min(pairs) else replicates
            yield Cell(learn, {"teacher": teacher, "pairs": count}, replicates=times, seed_name="teachers")
    for teacher in ("stochastic", "mistake"):
        yield Cell(infinite, {"teacher": teacher}, replicates=replicates, seed_name="teachers")


def column(found, name, teacher, objective, pairs):
    """One score per replicate."""
    rows = found.rows("learn", teacher=teacher, pairs=pairs)
    return np.array([r[name] for r in rows if r["objective"] == objective], dtype=float)


def loss(found, teacher, pairs, objective="likelihood"):
    """Rank correlation lost against the oracle, paired."""
    return difference(
        column(found, "spearman", "oracle", objective, pairs), column(found, "spearman", teacher, objective, pairs)
    )


def claims(pairs):
    """B-Pref's findings, for reward learning alone (no agent is trained here)."""
    few, many = min(pairs), max(pairs)
    others = ("stochastic", "skip", "equal", "myopic")
    yield Statement(
        "T0",
        f"the answers of a teacher without noise are separable, so that the likelihood without a ridge has no maximum (share of "
        f"data sets where there is one, {many} pairs)",
        "Albert and Anderson 1984",
        lambda f: at_most(_how_often(column(f, "exists", "oracle", "likelihood", many)), 0.5),
        "in less than half of the data sets (exact binomial interval)",
        whose=CONTROL,
    )
    for teacher in ("stochastic", "mistake", "myopic"):
        yield Statement(
            f"T1.{teacher}",
            f"the {teacher} teacher costs rank correlation against the oracle ({few} pairs)",
            "this study, on the teachers of B-Pref",
            lambda f, t=teacher: at_least(loss(f, t, few), 0.0),
            whose=STUDY_ADDS,
            figure="teachers_and_objectives",
        )
    for teacher in ("skip", "equal"):
        yield Statement(
            f"T2.{teacher}",
            f"the {teacher} teacher costs less than .01 of rank correlation ({few} pairs)",
            "this study, on the teachers of B-Pref",
            lambda f, t=teacher: at_most(loss(f, t, few), 0.01),
            whose=STUDY_ADDS,
            figure="teachers_and_objectives",
        )
    yield Statement(
        "T3",
        f"mistakes are the most harmful of all ({few} pairs): they cost more than every other teacher",
        "this study, on the teachers of B-Pref",
        lambda f: every(
            [at_least(_more(f, "mistake", t, few), 0.0) for t in others], labels=[f"than {t}" for t in others]
        ),
        whose=STUDY_ADDS,
        figure="teachers_and_objectives",
    )
    yield Statement(
        "T4",
        f"more answers cure mistakes ({many} pairs: less than .005 is lost)",
        "this study",
        lambda f: at_most(loss(f, "mistake", many), 0.005),
        whose=STUDY_ADDS,
        figure="more_pairs",
    )
    yield Statement(
        "T5",
        f"but not myopia, which points elsewhere ({many} pairs: at least .01 is lost)",
        "this study",
        lambda f: at_least(loss(f, "myopic", many), 0.01),
        whose=STUDY_ADDS,
        figure="more_pairs",
    )
    yield Statement(
        "T6",
        "with infinite data symmetric mistakes and noise keep the direction (cosine; normal features)",
        "Brillinger 1982; Ruud 1983",
        lambda f: every(
            [equal(_limit(f, t), 1.0, 0.01) for t in ("stochastic", "mistake")], labels=("stochastic", "mistake")
        ),
        whose=CONTROL,
    )
    for objective in ("smoothed .1", "IPO", "SLiC"):
        yield Statement(
            f"T7.{objective.split()[0]}",
            f"under mistakes {objective} ranks better than the likelihood with a weak ridge ({few} pairs)",
            "robust objectives (Mitchell 2023; Azar et al. 2310.12036; Zhao et al. 2305.10425)",
            lambda f, o=objective: at_least(_objective_gain(f, o, "mistake", few), 0.0),
            whose=BASELINE,
            figure="teachers_and_objectives",
        )


def _how_often(values):
    return binomial_interval(int(np.sum(values)), len(values))


def _limit(found, teacher):
    return found.estimate("infinite", "cosine", teacher=teacher)


def _more(found, first, second, pairs):
    return difference(*[column(found, "spearman", t, "likelihood", pairs) for t in (second, first)])


def _objective_gain(found, objective, teacher, pairs):
    return difference(*[column(found, "spearman", teacher, o, pairs) for o in (objective, "likelihood")])


def teachers_and_objectives(found):
    """Left: rank correlation of the learned reward with the return of new episodes, every teacher with every objective, few
    pairs; means over replicates. Right: rank correlation lost against a perfect teacher, by number of pairs (likelihood with a
    weak ridge); bands: 95 % intervals over replicates."""
    few = min(found.settings["pairs"])
    table = [[column(found, "spearman", t, o, few).mean() for o in objectives()] for t in TEACHERS]
    fig, axes = plotting.figure(1, 2, width=15.5, height=5.2, width_ratios=[1, 1.05])
    bar = f"rank correlation ({few} pairs)"
    low = float(np.floor(20 * np.min(table)) / 20)  # where the data are: nobody ranks worse
    names = [SHOWN.get(o, o).replace(", ", ",\n") for o in objectives()]
    plotting.heatmap(axes[0, 0], table, list(TEACHERS), names, bar=bar, low=low, high=1.0, annotate=".3f")
    plotting.label(axes[0, 0], "objective", "teacher", f"{few} pairs")
    _lost_by_pairs(axes[0, 1], found)
    axes[0, 1].set_title("more pairs")
    return fig


def _lost_by_pairs(axis, found):
    pairs = sorted(found.settings["pairs"])
    for index, teacher in enumerate(t for t in TEACHERS if t != "oracle"):
        estimates = [loss(found, teacher, n) for n in pairs]
        value, low, high = ([getattr(e, part) for e in estimates] for part in ("value", "low", "high"))
        plotting.line(axis, pairs, value, teacher, index, low, high, markers=True)
    axis.set_xscale("log")
    axis.set_xticks(pairs, [str(n) for n in pairs])
    axis.minorticks_off()
    axis.axhline(0.0, color="#555555", linewidth=1.2)
    plotting.label(axis, "pairs asked", "rank correlation lost")
    plotting.legend(axis, outside=True)


def more_pairs(found):
    """Rank correlation lost against a perfect teacher, by number of pairs (likelihood with a weak ridge): more answers cure
    noise and mistakes, not myopia; bands: 95 % intervals over replicates."""
    fig, axes = plotting.figure(width=8.0, height=4.4)
    _lost_by_pairs(axes[0, 0], found)
    return fig


def scores_table(found):
    """Means over replicates: rank correlation, cosine to the true weights, return lost by the favourite episode and by
    a tilt at KL 1, and the answers that could be used."""
    names = ["spearman", "cosine", "regret", "tilt_regret", "used"]
    return found.frame("learn").groupby(["pairs", "teacher", "objective"], sort=False)[names].mean().reset_index()


def finding(found, claims):
    """Which irrational teachers hurt, which do not, and what more answers cure, in the words of the verdicts."""
    few, many = min(found.settings["pairs"]), max(found.settings["pairs"])
    verdict = {claim.id: claim.verdict for claim in claims}
    said = {
        "skip": "who skip",
        "equal": "who call pairs equal",
        "mistake": "who are wrong ten times in a hundred",
        "stochastic": "with logistic noise",
        "myopic": "who are myopic",
    }
    effect = {"unhurt by": [], "hurt by": [], "not surely hurt by": []}
    for teacher, words in said.items():
        mild = teacher in ("skip", "equal")
        judged = verdict[f"T{2 if mild else 1}.{teacher}"]
        yes, no = ("unhurt by", "hurt by") if mild else ("hurt by", "unhurt by")
        heading = {"supported": yes, "contradicted": no}.get(judged, "not surely hurt by")
        effect[heading].append(f"{words} ({loss(found, teacher, few).value:+.3f})")
    hurt = ", ".join(f"{heading} teachers {', '.join(some)}" for heading, some in effect.items() if some)
    cured, stays = (loss(found, teacher, many).value for teacher in ("mistake", "myopic"))
    mistakes = "cured" if verdict["T4"] == "supported" else "not surely cured"
    myopia = "is not, because it points elsewhere" if verdict["T5"] == "supported" else "may be, too"
    better = [o for o in objectives() if verdict.get(f"T7.{o.split()[0]}") == "supported"]
    by = ", ".join(f"{o} {_objective_gain(found, o, 'mistake', few).value:+.3f}" for o in better)
    robust = f"rank better than the likelihood: {by}" if better else "are not told apart from the likelihood"
    perfect = (
        " Answers without noise have no likelihood maximum at all: the ridge decides."
        if verdict["T0"] == "supported"
        else ""
    )
    return (
        f"With {few} pairs learning is {hurt}, in rank correlation lost against a perfect teacher. With {many} pairs mistakes are "
        f"{mistakes} ({cured:.3f}), and myopia {myopia} ({stays:.3f}). Under mistakes objectives called robust "
        f"{robust} ({few} pairs, weak ridge).{perfect}"
    )


STUDY = Study(
    name="teachers",
    title="Irrational teachers and the objectives that learn from them",
    paper="Lee, Smith, Dragan, Abbeel: B-Pref: Benchmarking Preference-Based Reinforcement Learning "
    "(2111.03026, NeurIPS "
    "2021 datasets and benchmarks); here the reward alone, no agent is trained",
    presets={
        "quick": Preset(0.4, {"pairs": [100, 300, 1000], "replicates": 12, "replicates_of_few": 12}, decisive=False),
        "paper": Preset(
            7, {"pairs": [50, 100, 200, 500, 1000, 5000, 20_000], "replicates": 50, "replicates_of_few": 400}
        ),
    },
    cells=cells,
    claims=claims,
    figures=[teachers_and_objectives, more_pairs],
    tables=[scores_table],
    finding=finding,
)
