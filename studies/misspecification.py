"""The misspecification matrix: who answers against what is assumed, and how far from the truth one ends.

Rows are rules by which people answer, columns are what a learner assumes (a rule and an objective). The colour is the
total variation between the learned density and the people's: with infinite data (the optimum on the exact law), and
beside it with 2^15 pairs. The truth has two modes, so Luce is also the *density mixture* that stands against the
*annotator mixture*. A row or a column of your own is one line in :data:`PEOPLE` or :data:`LEARNERS`.
"""

from __future__ import annotations

import numpy as np
import torch

import annosim as an
from annosim import plotting
from annosim.study import Cell, Preset, Statement, Study, at_least, at_most, every, inside, true

POINTS = 31
ITEMS = an.Items(
    features=np.linspace(-5, 5, POINTS)[:, None],
    weights=np.full(POINTS, 10 / (POINTS - 1)),
    clusters=np.arange(POINTS) // 2,
    columns={"length": 5 + np.arange(POINTS) % 7},
)
LEFT, RIGHT = an.truncated_normal(-2.0, 1.0), an.truncated_normal(2.0, 1.2)
TRUTH = an.DensityMixture([LEFT, RIGHT], [0.4, 0.6])
PI0 = an.truncated_normal(0.0, 3.0)


def luce_on(density) -> an.Annotator:
    """A Luce annotator with this density."""
    return an.Annotator(density, an.Luce())


def people(rule) -> an.Annotator:
    """An annotator with the true density who answers by this rule."""
    return an.Annotator(TRUTH, rule)


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
    "length bias": lambda: people(an.LengthBias(an.Luce(), 0.3)),
    "ties (Rao-Kupper)": lambda: people(an.RaoKupper(2.0)),
    "threshold": lambda: people(an.JustNoticeable(an.Luce(), 0.5)),
    "paraphrase twins": lambda: people(an.SeesClusters(an.Luce())),
    "10 % adversaries": lambda: an.Mixture([people(an.Luce()), people(an.Adversary(an.Luce()))], [0.9, 0.1]),
    "annotator mixture": lambda: an.Mixture([luce_on(LEFT), luce_on(RIGHT)], [0.4, 0.6]),
}
#: what a learner assumes: a rule and an objective
LEARNERS = {
    "Luce": lambda: (an.Luce(), an.NLL()),
    "Luce, smoothed labels": lambda: (an.Luce(), an.NLL(label_smoothing=0.1)),
    "probit": lambda: (an.Thurstone(), an.NLL()),
    "DPO, beta 0.5": lambda: (an.PBDE.dpo(0.5, PI0), an.NLL()),
    "geometric, alpha 2": lambda: (an.PBDE.geometric(2.0, PI0), an.NLL()),
    "length-normalised": lambda: (an.PBDE.length_normalised(8.0), an.NLL()),
    "lapses, 20 %": lambda: (an.Lapse(an.Luce(), 0.2), an.NLL()),
    "position bias": lambda: (an.PositionBias(an.Luce(), [0.7, 0.0]), an.NLL()),
    "ties (Rao-Kupper)": lambda: (an.RaoKupper(2.0), an.NLL()),
    "IPO, tau 0.2": lambda: (an.PBDE.dpo(1.0, PI0), an.IPO(0.2)),
    "SLiC, delta 1": lambda: (an.Luce(), an.SLiC(1.0)),
    "signed margin": lambda: (an.Luce(), an.Margin("signed", alpha=1.0)),
}
#: pairs in which rule and objective are the same on both sides, so that the truth is learned
WELL_SPECIFIED = [name for name in PEOPLE if name in LEARNERS]


def _density(population: an.Population) -> torch.Tensor:
    with torch.no_grad():
        return population.leaves()[0].utility(ITEMS).double()


def _target(truth: an.Population) -> torch.Tensor:
    return TRUTH(ITEMS).detach()


def _distance(log_p: torch.Tensor, log_q: torch.Tensor) -> float:
    return float(0.5 * ((log_p.exp() - log_q.exp()).abs() * ITEMS.weights).sum())


def _prepared(data: an.PreferenceData, rule, objective) -> an.PreferenceData:
    """Ties become half wins for a learner who does not know ties; the margin's judges are the share of the truth."""
    return data if rule.ties or not data.has_ties else data.ties("half")


def row(who: str, pairs: int, seed: int) -> list[dict]:
    """One kind of people against every learner, with infinite and with finite data."""
    truth = PEOPLE[who]()
    design = an.Design(ITEMS, annotators=pairs, proposal=an.LogDensity(lambda x: 0 * x[:, 0]))
    exact = an.law(truth, design).as_data(marginal=True)
    drawn = an.simulate(truth, design, seed=seed).for_learner()
    rows = []
    for name, make in LEARNERS.items():
        rule, objective = make()
        found = {"learner": name}
        for level, data in (("infinite", exact), ("finite", drawn)):
            found |= _learn(rule, objective, truth, data, level, design)
        rows.append(found)
    return rows


def _learn(rule, objective, truth, data, level, design) -> dict:
    model = an.Annotator(an.LogDensity(an.Tabular(POINTS)), rule)
    try:
        prepared = _prepared(data, rule, objective)
        if isinstance(objective, an.Margin):
            share = _shares(truth, prepared, design)
            prepared = prepared.with_(columns={**prepared.columns, objective.column: share})
        learned = an.fit(model, prepared, objective=objective, max_iterations=300)
        distance = _distance(_density(learned.population), _target(truth))
        return {level: distance, f"{level}_status": "converged" if learned.converged else learned.stopped_by}
    except an.AnnosimError as error:  # one learner that cannot learn this is a cell with a reason, not a dead row
        return {level: float("nan"), f"{level}_status": f"{type(error).__name__}: {error}"}


def _shares(truth, data, design) -> np.ndarray:
    """The judges' share for the first displayed: the people's own preference, ties split."""
    table = an.law(truth, design.with_(menus=data.menu, proposal=None, menu_weights=None)).given_menus
    p, space = table.marginal().detach(), table.space
    first = torch.as_tensor(space.answer[:, 0] == 0, dtype=torch.float64)
    if space.tied is not None:
        first = torch.where(torch.as_tensor(space.tied[:, 0]), 0.5, first)
    return (p @ first).clamp(0, 1).numpy()


# ---- statements, figure, table -----------------------------------------------------------------------------------


def _value(found, who, learner, level="infinite"):
    return next(r[level] for r in found.rows("row", who=who) if r["learner"] == learner)


def claims():
    """Theorem 2 on the diagonal, theorem 3 off it."""
    yield Statement(
        "diagonal", "the same rule on both sides learns the truth from infinite data",
        "Dumoulin et al. 2311.14115, theorem 2",
        lambda found: every([at_most(_value(found, name, name), 1e-4) for name in WELL_SPECIFIED], "at most 1e-4"),
    )  # fmt: skip
    yield Statement(
        "diagonal-finite", "and comes near it from 2^15 pairs", "this study",
        lambda found: every([at_most(_value(found, n, n, "finite"), 0.1) for n in WELL_SPECIFIED], "at most 0.1"),
    )  # fmt: skip
    yield Statement(
        "wrong-rule", "infinite data do not help a learner with the wrong rule",
        "Dumoulin et al. 2311.14115, theorem 3",
        lambda found: every(
            [at_least(_value(found, who, "Luce"), 0.05)
             for who in ("DPO, beta 0.5", "geometric, alpha 2", "length-normalised", "annotator mixture")],
            "Luce on these people: at least 0.05",
        ),
    )  # fmt: skip
    yield Statement(
        "position", "ignoring position bias costs little, yet not nothing, when sides are drawn at random",
        "this study", lambda found: inside(_value(found, "position bias", "Luce"), 1e-3, 0.05),
    )  # fmt: skip
    yield Statement(
        "mixture", "no learner with one density captures two annotators", "Dumoulin et al. 2311.14115, section 5.3",
        lambda found: at_least(min(r["infinite"] for r in found.rows("row", who="annotator mixture")), 0.05),
    )  # fmt: skip
    yield Statement(
        "complete", "every pair of people and learner has a number or a reason", "this study",
        lambda found: true(all(np.isfinite(r["infinite"]) or r["infinite_status"] for r in found.rows("row")), "all"),
    )  # fmt: skip


def matrix(found):
    """Total variation between the learned and the true density: infinite data, and 2^15 pairs. Blank: none exists."""
    fig, axes = plotting.figure(1, 2, width=19, height=8.5, sharey=True)
    for ax, level, title in zip(axes[0], ("infinite", "finite"), ("infinite data", "2^15 pairs"), strict=True):
        table = [[_value(found, who, learner, level) for learner in LEARNERS] for who in PEOPLE]
        plotting.heatmap(ax, np.array(table), list(PEOPLE), list(LEARNERS), bar="total variation", low=0.0, high=0.6,
                         annotate=".2f")  # fmt: skip
        plotting.label(ax, "what the learner assumes", "who answers" if level == "infinite" else "", title)
    return fig


def table(found):
    """Every pair, the worst first."""
    rows = found.frame("row")[["who", "learner", "infinite", "finite", "infinite_status", "finite_status"]]
    return rows.sort_values("infinite", ascending=False).reset_index(drop=True)


def cells(pairs):
    """One cell for each kind of people."""
    return [Cell(row, {"who": who, "pairs": pairs}, name=who, seed_name="pairs") for who in PEOPLE]


STUDY = Study(
    name="misspecification",
    title="What is learned when people answer by one rule and the learner assumes another",
    paper="Dumoulin et al. 2311.14115 (theorems 2 and 3), extended to every rule of the library",
    presets={"quick": Preset(1, {"pairs": 2**15}), "paper": Preset(2, {"pairs": 2**17})},
    cells=cells,
    claims=claims,
    figures=[matrix],
    tables=[table],
)
