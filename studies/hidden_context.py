"""Preferences with hidden context: what one reward learns from people who differ, and what it hides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

import annosim as an
from annosim import plotting
from annosim.analysis import borda_scores, expected_utility, pair_probabilities
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
    paper_says,
    true,
    worded,
)

PAPER = "Siththaranjan, Laidlaw, Hadfield-Menell 2312.08358"


# ---- worlds ---------------------------------------------------------------------------------------------------------


def random_people(rng, n, types, spread):
    """Types with normal utilities of different strength (some people care more), random shares."""
    strength = np.exp(spread * rng.normal(size=(types, 1)))
    utilities = strength * rng.normal(size=(types, n))
    weights = rng.dirichlet(np.full(types, 3.0))
    return an.Mixture([an.Annotator(an.Tabular(u), an.Luce()) for u in utilities], weights=weights), utilities, weights


def learned(people, design):
    """Bradley-Terry with infinite data: the projection, centred."""
    values = an.project(an.Annotator(an.Tabular(design.items.n), an.Luce()), people, design).population.utility.values
    return (values - values.mean()).detach().numpy()


def same_order(a, b, tolerance=1e-9):
    """Whether two score vectors order all pairs alike (pairs closer than ``tolerance`` are left out; where no other
    pair is left there is no order)."""
    first, second = np.subtract.outer(a, a), np.subtract.outer(b, b)
    clear = (np.abs(first) > tolerance) & (np.abs(second) > tolerance)
    return bool(clear.any() and (np.sign(first)[clear] == np.sign(second)[clear]).all())


def orders(seed, worlds, n, types):
    """How often the learned order is the Borda order, the order of mean utility, and the Condorcet winner on top."""
    rng = np.random.default_rng(seed)
    items = an.Items(n=n)
    counts = {"borda": 0, "mean_utility": 0, "one_type": 0, "condorcet": 0, "condorcet_exists": 0, "uneven_design": 0}
    for _ in range(worlds):
        people, utilities, weights = random_people(rng, n, types, 0.7)
        even = an.Design(items)
        u, borda = learned(people, even), borda_scores(people, items).detach().numpy()
        counts["borda"] += same_order(u, borda)
        counts["mean_utility"] += same_order(u, weights @ utilities)
        one = people.types[0]
        counts["one_type"] += same_order(learned(one, even), utilities[0])
        p = pair_probabilities(people, items).detach().numpy()
        beats_all = np.nanmin(np.where(np.isnan(p), 1.0, p), axis=1) > 0.5
        counts["condorcet_exists"] += bool(beats_all.any())
        counts["condorcet"] += bool(beats_all.any()) and int(u.argmax()) == int(beats_all.argmax())
        menus = [[i, j] for i in range(n) for j in range(i)]
        uneven = an.Design(items, menus=menus, menu_weights=rng.dirichlet(np.full(len(menus), 0.5)))
        counts["uneven_design"] += same_order(learned(people, uneven), u)
    return {**counts, "worlds": worlds}


# ---- the paper's example: u(a, z) = a below .8, 2 a z above, z a fair coin that nobody records -----------------


def example_people(n):
    """Items a in [0, 1]; above .8 half of the people get 2a and half get nothing."""
    a = np.linspace(0, 1, n)
    risky = a >= 0.8
    utilities = [np.where(risky, 2 * a * z, a) for z in (0.0, 1.0)]
    strength = 10.0  # logits per unit of utility: answers are nearly free of noise, as in the paper
    people = an.Mixture([an.Annotator(an.Tabular(strength * u), an.Luce()) for u in utilities], weights=[0.5, 0.5])
    return a, risky, np.array(utilities) * strength, people


def mean_and_variance(p, steps=4000):
    """Distributional preference learning: ``P(a > b) = Phi((m_a - m_b) / sqrt(v_a + v_b))`` fitted to pair
    probabilities by cross-entropy (L-BFGS); means centred, in units of the mean standard deviation."""
    n = len(p)
    off = ~torch.eye(n, dtype=torch.bool)
    mean = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    log_sd = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([mean, log_sd], max_iter=steps, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss():
        solver.zero_grad()
        variance = (2 * log_sd).exp()
        z = (mean[:, None] - mean) / (variance[:, None] + variance).sqrt()
        nll = -(p * torch.special.log_ndtr(z) + (1 - p) * torch.special.log_ndtr(-z))[off].mean()
        # scale and shift change no probability: a weak penalty picks one of them
        total = nll + 1e-4 * (log_sd.mean() ** 2 + mean.mean() ** 2)
        total.backward()
        return total

    solver.step(loss)
    unit = float(log_sd.detach().exp().mean())
    return ((mean - mean.mean()).detach() / unit).numpy(), (log_sd.detach().exp() / unit).numpy()


def example(n):
    """What Bradley-Terry and the mean-and-variance model learn, and what policies built on them give to each camp."""
    a, risky, utilities, people = example_people(n)
    items = an.Items(n=n)
    u = learned(people, an.Design(items))
    p = torch.nan_to_num(pair_probabilities(people, items).detach(), nan=0.5)
    mean, sd = mean_and_variance(p)
    pi0 = an.policies.ItemDensity(np.ones(n))
    rows = []
    risk_averse = mean - sd
    for name, score in (("Bradley-Terry", u), ("mean utility", utilities.mean(0)), ("mean - s.d.", risk_averse)):
        policy = an.policies.gibbs_at_kl(pi0, an.Tabular(score), 1.0, items)
        gained = expected_utility(policy, utilities, items)
        rows.append({"score": name, "worst": gained.min(), "mean": gained.mean()})
    found = {
        "a": a,
        "risky": risky.astype(float),
        "bradley_terry": u,
        "mean_utility": utilities.mean(0) - utilities.mean(),
        "dpl_mean": mean,
        "dpl_sd": sd,
        "borda": borda_scores(people, items).detach().numpy(),
    }
    best_safe = int(utilities.mean(0)[~risky].argmax())  # by its true utility: an order upside down must not pass
    found["learned_gap"] = float(u[~risky][best_safe] - u[risky].max())
    found["mean_gap"] = float(found["mean_utility"][~risky].max() - found["mean_utility"][risky].min())
    found["sd_ratio"] = float(sd[risky].mean() / sd[~risky].mean())
    return {**found, **{f"{r['score']}/{k}": float(r[k]) for r in rows for k in ("worst", "mean")}}


def finite_votes(seed, n, votes):
    """The same from single votes: Bradley-Terry's order of the safe best item and the risky ones."""
    a, risky, utilities, people = example_people(n)
    items = an.Items(n=n)
    data = an.simulate(people, an.Design(items, annotators=votes), seed=seed)
    u = (
        an.fit(an.Annotator(an.Tabular(n), an.Luce()), data, prior=an.priors.Gaussian(5.0))
        .population.utility(items)
        .detach()
    )
    gap = float(u[~risky][int(utilities.mean(0)[~risky].argmax())] - u[risky].max())
    return {"safe_above": float(gap > 0), "gap": gap}


# ---- the study -------------------------------------------------------------------------------------------------


def cells(worlds, replicates, n, votes):
    """Random worlds by number of types; the paper's example exactly and from votes."""
    for types in (2, 5, 10):
        yield Cell(orders, {"worlds": worlds, "n": 6, "types": types}, replicates=replicates)
    yield Cell(example, {"n": n})
    for count in votes:
        yield Cell(finite_votes, {"n": n, "votes": count}, replicates=4 * replicates)


def _share(found, name, of="worlds", **parameters):
    """Share of random worlds, of all replicates together, with its exact binomial interval."""
    top, bottom = (int(found.values("orders", c, **parameters).sum()) for c in (name, of))
    return binomial_interval(top, bottom)


def _always(found, name):
    """A theorem's order in every random world, or not: exact in each."""
    counts = [(_share(found, name, types=t), t) for t in (2, 5, 10)]
    return every(
        [true(share.value == 1.0, f"in every world of {t} types") for share, t in counts],
        "in every world of 2, 5 and 10 types",
        [f"{t} types, {share.n} worlds" for share, t in counts],
    )


def _worse_off(found, score):
    """Utility of the worse-off camp at KL 1 under the policy of a score, logits."""
    return found.get("example", f"{score}/worst")


def claims(votes):
    """Borda counts, and what follows from them."""
    yield Statement(
        "H1",
        "Bradley-Terry on all pairs equally often orders items by their Borda counts (share of random worlds)",
        f"{PAPER}, abstract",
        lambda f: _always(f, "borda"),
        whose=paper_says("abstract"),
        figure="how_often",
    )
    yield Statement(
        "H2",
        "without hidden context this is the order of utility",
        "this study",
        lambda f: _always(f, "one_type"),
        whose=CONTROL,
    )
    yield Statement(
        "H3",
        "with hidden context it mostly is not the order of mean utility (share of worlds where it is, 5 types)",
        f"this study; that they can differ is in the abstract of {PAPER}",
        lambda f: at_most(_share(f, "mean_utility", types=5), 0.5),
        whose=STUDY_ADDS,
        figure="how_often",
    )
    yield Statement(
        "H4",
        "the order depends on which pairs are asked how often: uneven pairs change it in at least a quarter of the worlds (share "
        "of worlds with the same order, 5 types)",
        "this study",
        lambda f: at_most(_share(f, "uneven_design", types=5), 0.75),
        whose=STUDY_ADDS,
        figure="how_often",
    )
    yield Statement(
        "H5",
        "where there is a Condorcet winner, another item is on top in at least one world of twenty (share of worlds with it on top, "
        "5 types)",
        "Borda 1781 and Condorcet 1785 for that they can differ; how often is this study's",
        lambda f: at_most(_share(f, "condorcet", of="condorcet_exists", types=5), 0.95),
        whose=STUDY_ADDS,
        figure="how_often",
    )
    yield Statement(
        "E1",
        "the example: the best safe item is learned to be better than every risky one (gap, logits)",
        f"{PAPER}, public code (the one-dimensional example)",
        lambda f: at_least(f.exact("example", "learned_gap"), 0.0),
        whose=paper_says("abstract and public code"),
        figure="hidden_context_example",
    )
    yield Statement(
        "E1.mean",
        "though every risky one has a higher mean utility (gap)",
        f"{PAPER}, public code (the one-dimensional example)",
        lambda f: at_most(f.exact("example", "mean_gap"), 0.0),
        whose=paper_says("abstract and public code"),
        figure="hidden_context_example",
    )
    yield Statement(
        "E2",
        "mean and variance show the hidden context: the s.d. of risky items against that of safe ones",
        f"{PAPER}, public code (the one-dimensional example)",
        lambda f: at_least(f.exact("example", "sd_ratio"), 2.0),
        whose=paper_says("abstract and public code"),
        figure="hidden_context_example",
    )
    yield Statement(
        "E3",
        "a risk-averse policy (mean - s.d.) serves the worse-off camp better than one of mean utility at KL 1",
        "this study",
        lambda f: at_least(_worse_off(f, "mean - s.d.") - _worse_off(f, "mean utility"), 0.0),
        whose=STUDY_ADDS,
        figure="hidden_context_example",
    )
    yield Statement(
        "E4",
        "but hardly better than one of Bradley-Terry's rewards, which avoid what half of the people lose by as well (utility of "
        "the worse-off camp, the one over the other)",
        "this study",
        lambda f: equal(_worse_off(f, "mean - s.d.") / _worse_off(f, "Bradley-Terry"), 1.0, 0.1),
        whose=STUDY_ADDS,
        figure="hidden_context_example",
    )
    yield Statement(
        "V1",
        f"from {max(votes)} single votes the best safe item is above every risky one (share of replicates)",
        "this study",
        lambda f: at_least(_safe_above(f, max(votes)), 0.9),
        whose=STUDY_ADDS,
        figure="hidden_context_example",
    )


def _safe_above(found, votes):
    above = found.values("finite_votes", "safe_above", votes=votes)
    return binomial_interval(int(above.sum()), len(above))


def hidden_context_example(found):
    """The paper's example: above a = .8 half of the people gain 2a and half nothing, and nobody records which. Left:
    Bradley-Terry with infinite data against the mean utility. Right: distributional preference learning shows where
    people differ."""
    row = found.rows("example")[0]
    fig, axes = plotting.figure(1, 2, width=11.5, height=4.4)
    a = row["a"]
    plotting.line(axes[0, 0], a, row["mean_utility"], "mean utility", 0)
    plotting.line(axes[0, 0], a, row["bradley_terry"], "Bradley-Terry", 1, markers=True)
    plotting.label(axes[0, 0], "item a", "utility (logits, centred)", "one reward")
    mean, sd = row["dpl_mean"], row["dpl_sd"]
    plotting.line(axes[0, 1], a, mean, "mean, and one s.d.", 2, mean - sd, mean + sd)
    plotting.label(axes[0, 1], "item a", "utility (mean s.d.s, centred)", "a distribution")
    for axis in axes[0]:
        axis.axvline(0.8, color="#555555", linewidth=1.2)
        plotting.legend(axis, loc="upper left")
    return fig


def how_often(found):
    """Random worlds of six items: how often the order learned with infinite data agrees with others; 95 % intervals
    over replicates of worlds."""
    fig, axes = plotting.figure(width=9.2, height=4.6)
    names = {"borda": "Borda", "mean_utility": "mean utility", "uneven_design": "itself, uneven pairs"}
    estimates = {t: [_share(found, n, types=t) for n in names] for t in (2, 5, 10)}
    for t in estimates:
        estimates[t].append(_share(found, "condorcet", of="condorcet_exists", types=t))
    parts = [
        np.array([[getattr(e, part) for e in row] for row in estimates.values()]) for part in ("value", "low", "high")
    ]
    groups = [*names.values(), "Condorcet winner on top"]
    plotting.bars(axes[0, 0], groups, *parts, [f"{t} types" for t in estimates])
    axes[0, 0].set_ylim(0, 1.3)
    plotting.label(axes[0, 0], "compared with", "share of worlds")
    plotting.legend(axes[0, 0], loc="upper right", ncols=3)
    return fig


def policies_table(found):
    """The example at KL 1: utility of the worse-off camp and on average, for policies made of each score (logits)."""
    row = found.rows("example")[0]
    names = ("Bradley-Terry", "mean utility", "mean - s.d.")
    return pd.DataFrame([{"score": n, "worst camp": row[f"{n}/worst"], "mean": row[f"{n}/mean"]} for n in names])


def finding(found, claims):
    """When one reward says what people want, when not, and by how much, in the words that the verdicts allow."""
    agree = _share(found, "mean_utility", types=5)
    often = f"{agree.value:.0%} of random worlds with five hidden types [{agree.low:.0%}, {agree.high:.0%}]"
    gap, ratio = found.get("example", "learned_gap"), found.get("example", "sd_ratio")
    worst = {n: f"{_worse_off(found, n):.1f}" for n in ("Bradley-Terry", "mean utility", "mean - s.d.")}
    return " ".join(
        [
            worded(
                claims,
                ["H1", "H2"],
                "Bradley-Terry always learns the Borda order, which is the order of utility when all people want the same,",
                "Bradley-Terry does not always learn the Borda order, or this is not the order of utility when all want the same,",
            ),
            worded(
                claims,
                "H3",
                f"and that of mean utility in only {often}.",
                f"and that of mean utility in {often}, more often than not.",
                f"and that of mean utility in {often}.",
            ),
            worded(
                claims,
                ["E1", "E1.mean"],
                f"In the paper's example items with a higher mean fall {gap:.1f} logits below a safe one;",
                f"In the paper's example items with a higher mean do not fall below a safe one (gap {gap:.1f} logits);",
            ),
            worded(
                claims,
                "E2",
                f"a learned mean and variance show it ({ratio:.1f} times the standard deviation).",
                f"a learned mean and variance do not show it ({ratio:.1f} times the standard deviation).",
            ),
            worded(
                claims,
                "E3",
                f"A policy of mean less s.d. gives the worse-off camp {worst['mean - s.d.']} logits at KL 1, one of mean utility "
                f"{worst['mean utility']};",
                f"A policy of mean less s.d. gives the worse-off camp {worst['mean - s.d.']} logits at KL 1, no more than one of mean "
                f"utility ({worst['mean utility']});",
            ),
            worded(
                claims,
                "E4",
                f"Bradley-Terry's own {worst['Bradley-Terry']} are practically as good.",
                f"Bradley-Terry's own {worst['Bradley-Terry']} are not as good.",
            ),
        ]
    )


STUDY = Study(
    name="hidden_context",
    title="One reward from people who differ: Borda counts and hidden context",
    paper="Siththaranjan, Laidlaw, Hadfield-Menell: Distributional Preference Learning: Understanding and "
    "Accounting for "
    "Hidden Context in RLHF (2312.08358, ICLR 2024)",
    presets={
        "quick": Preset(0.25, {"worlds": 20, "replicates": 4, "n": 21, "votes": [500, 4000]}, decisive=False),
        "paper": Preset(5, {"worlds": 200, "replicates": 20, "n": 51, "votes": [500, 4000, 32_000]}),
    },
    cells=cells,
    claims=claims,
    figures=[hidden_context_example, how_often],
    tables=[policies_table],
    finding=finding,
)
