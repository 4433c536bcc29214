"""Figures: the twins first, then the slate that tells them apart, EM-DPO, regret, bounds, and real annotators."""

from __future__ import annotations

import numpy as np

from annosim import plotting
from annosim.study import t_interval

from .claims_em import WORDS, at, column, share, short
from .regret import SINGLE
from .twins import WITNESSES, pair_of_worlds


def twins_drawn(found):
    """Four pairs of worlds (filled: one, rings: the other; areas are shares of annotators, axes the two tastes) that no
    amount of single pairs tells apart; above each, the distance of their laws under single pairs, best of three, and
    two
    pairs by the same annotator."""
    fig, axes = plotting.figure(2, 2, width=9.6, height=8.6)
    for axis, name in zip(axes.ravel(), WITNESSES, strict=True):
        row = found.rows("witness", name=name, scale=1.0)[0]
        for index, world in enumerate(pair_of_worlds(name)):
            at = np.stack([t.utility.weights.detach().numpy() for t in world.types])
            size = 900 * world.weights.detach().numpy() * (1.0 if index == 0 else 1.5)
            colour = plotting.colour(index)
            axis.scatter(
                *at.T, s=size, color=colour if index == 0 else "none", edgecolors=colour, linewidths=2, alpha=0.8
            )
        axis.axhline(0, color="0.8", zorder=0)
        axis.axvline(0, color="0.8", zorder=0)
        axis.margins(0.3)
        words = f"pairs {row['pairs']:.0e}\nbest of three {row['best_of_three']:.2f}, two pairs {row['two_pairs']:.2f}"
        plotting.label(axis, "first taste", "second taste", f"{name}\n{words}")
    return fig


def where_they_come_apart(found):
    """Largest difference of an answer's probability between the two worlds over all best-of-three slates, against the
    scale
    of the tastes (under single pairs it is zero at every scale), and P(a) on the slate {a, b, b'} for tastes
    +-scale."""
    fig, axes = plotting.figure(1, 2, width=12.0, height=4.4)
    for index, name in enumerate(WITNESSES):
        rows = sorted(found.rows("witness", name=name), key=lambda r: r["scale"])
        plotting.line(axes[0, 0], [r["scale"] for r in rows], [r["slate_gap"] for r in rows], name, index, markers=True)
    plotting.label(axes[0, 0], "scale of the tastes", "largest difference, best of three")
    axes[0, 0].set_ylim(0, 0.45)
    plotting.legend(axes[0, 0])
    row = found.rows("curves")[0]
    plotting.line(axes[0, 1], row["scale"], row["probability"], "tastes ±scale, half each")
    plotting.line(axes[0, 1], row["scale"], np.full(len(row["scale"]), 1 / 3), "nobody prefers anything", 1)
    plotting.label(axes[0, 1], "scale of the tastes", "P(a) on the slate {a, b, b'}")
    plotting.legend(axes[0, 1])
    return fig


def dots(axis, at, estimates, label, number, count=3):
    """Estimates with their intervals, on a logarithmic axis, moved apart so that they do not hide each other."""
    value, low, high = (np.array([getattr(e, part) for e in estimates]) for part in ("value", "low", "high"))
    place = np.array(at) * 1.06 ** (number - (count - 1) / 2)
    axis.errorbar(
        place,
        value,
        [value - low, high - value],
        color=plotting.colour(number),
        label=label,
        marker="o",
        markersize=5,
        capsize=2.5,
        linewidth=1.3,
    )
    axis.set_xscale("log")
    axis.set_xticks(at, [str(x) for x in at])
    axis.minorticks_off()
    axis.set_xlim(min(at) / 1.5, max(at) * 1.5)


def what_em_can_tell(found):
    """EM on antipodal types and on people without preferences: its mean error in the two worlds over their distance,
    against the number of annotators, with 95 % intervals over replicates. Under single pairs no method gets below one
    half (grey) with any number of annotators; one best-of-three answer each, or two pairs each, does."""
    worlds = found.settings["worlds"]
    fig, axes = plotting.figure(1, len(worlds), width=4.4 * len(worlds), height=4.2, sharey=True)
    for j, (kind, (annotators, _)) in enumerate(worlds.items()):
        axis = axes[0, j]
        for number, ((answers, q), words) in enumerate(WORDS.items()):
            estimates = [share(found, kind, answers, q, m) for m in annotators]
            dots(axis, annotators, estimates, f"{words} each", number)
        axis.axhline(0.5, color="0.6", zorder=0)
        axis.set_ylim(0, None)
        plotting.label(axis, "annotators", "error over distance" if not j else "", f"{kind} policies")
    plotting.legend(axes[0, -1], outside=True)
    return fig


def em_by_answers(found):
    """EM-DPO with two types, and k-means with DPO in each cluster, against answers per annotator: error of the rewards
    (cut at 2.5) and accuracy of the clustering, by kind of policy, with 95 % intervals over replicates."""
    grid = found.settings["em_grid"]
    columns = [(kind, tastes) for kind, (tastings, *_) in grid.items() for tastes in tastings]
    fig, axes = plotting.figure(2, len(columns), width=3.9 * len(columns) + 2.5, height=7.4, sharex="col")
    for j, (kind, tastes) in enumerate(columns):
        _, people, questions, _ = grid[kind]
        many = max(m for m in people if m * max(questions) <= 20_000)
        which = {"tastes": tastes, "kind": kind, "annotators": many}
        for i, (name, words) in enumerate((("error", "error of the rewards"), ("accuracy", "clustering accuracy"))):
            series = [(method, answers) for answers in ("pairs", "best of three") for method in ("em", "k-means")]
            for number, (method, answers) in enumerate(series):
                estimates = [
                    t_interval(column(found, name, method, answers=answers, questions=q, **which)) for q in questions
                ]
                dots(axes[i, j], questions, estimates, f"{'EM' if method == 'em' else method}, {answers}", number, 4)
            axes[i, j].set_ylim(*((0, 2.5) if name == "error" else (0.48, 1.02)))
            title = f"{kind}, {tastes} types\n{many} annotators" if not i else ""
            plotting.label(axes[i, j], "answers per annotator" if i else "", words if not j else "", title)
    plotting.legend(axes[0, -1], outside=True)
    return fig


def regret_of_policies(found):
    """The worst group's KL-regularised regret of one policy for all, general types, best of three, five answers per
    annotator; 95 % intervals over replicates."""
    grid = found.settings["em_grid"]
    fig, axes = plotting.figure(1, len(grid), width=4.6 * len(grid) + 2, height=4.2, sharey=True)
    for j, (kind, (_, people, _, _)) in enumerate(grid.items()):
        which = {"tastes": "general", "kind": kind, "answers": "best of three", "questions": 5}
        which["annotators"] = max(people)
        estimates = [t_interval(column(found, "worst_regret", m, **which)) for m in SINGLE]
        parts = [[getattr(e, part) for e in estimates] for part in ("value", "low", "high")]
        plotting.intervals(axes[0, j], SINGLE, *parts)
        plotting.label(axes[0, j], "worst group's regret", "", f"{kind} policies, {max(people)} annotators")
    return fig


def bounds_of_the_share(found):
    """Bounds on the share of annotators with beta > 0 over all distributions of tastes that have the law of the
    answers,
    against the number of items; the truth is .674."""
    fig, axes = plotting.figure(width=9.5, height=4.4)
    number = 0
    for answers in ("pairs", "best of three"):
        for q in (1, 2):
            rows = sorted(found.finished("shares", answers=answers, questions=q), key=lambda r: r["n"])
            if len(rows) > 1:
                x = [r["n"] for r in rows]
                words = f"{answers}, {'one answer' if q == 1 else 'two answers'}"
                plotting.line(axes[0, 0], x, [r["high"] for r in rows], words, number, markers=True)
                plotting.line(axes[0, 0], x, [r["low"] for r in rows], "", number, markers=True)
                number += 1
    axes[0, 0].axhline(0.674, color="0.3", linewidth=0.8)
    plotting.label(axes[0, 0], "items", "share with beta > 0")
    axes[0, 0].set_xticks(found.settings["items"])
    plotting.legend(axes[0, 0], outside=True)
    return fig


def real_types(found):
    """Real annotators by number of types, per annotator and less the value of one type: BIC, halved and with its sign
    turned (left), and the log-likelihood of annotators held out (right). Above zero, more types are better."""
    fig, axes = plotting.figure(1, 2, width=13.0, height=4.4)
    for index, source in enumerate(found.settings["sources"]):
        rows = sorted(found.finished("by_types", **at(source)), key=lambda r: r["types"])
        if rows:
            people, k = rows[0]["annotators"], [r["types"] for r in rows]
            by_bic = [(rows[0]["bic"] - r["bic"]) / (2 * people) for r in rows]
            held = [r["held_out"] - rows[0]["held_out"] for r in rows]
            for axis, gain in ((axes[0, 0], by_bic), (axes[0, 1], held)):
                plotting.line(axis, k, gain, short(source), index, markers=True)
    for axis, words in ((axes[0, 0], "-BIC / 2"), (axes[0, 1], "held-out log-likelihood")):
        axis.axhline(0, color="0.6", zorder=0)
        axis.set_xticks(range(1, found.settings["most_types"] + 1))
        plotting.label(axis, "types", f"gain in {words}")
    plotting.legend(axes[0, 1], outside=True)
    return fig


def _bars(axis, names, values, logarithmic=False):
    """Bars with their numbers above them."""
    axis.bar(range(len(names)), values, color=[plotting.colour(i) for i in range(len(names))])
    axis.set_xticks(range(len(names)), names)
    for place, value in enumerate(values):
        axis.annotate(
            f"{value:.3g}", (place, value), ha="center", va="bottom", xytext=(0, 2), textcoords="offset points"
        )
    if logarithmic:
        axis.set_yscale("log")
    axis.margins(y=0.15)


def told_apart_and_served(found):
    """The paper in three steps. Left: half the annotators have tastes b and half -b, or nobody prefers anything; distance
    of the laws of what one annotator answers, by what is asked (one pair each: none). Middle: EM's mean error in the two
    worlds over their distance against the number of annotators (below one half they are told apart). Right: two general
    types, five best-of-three answers each; the worst type's regret of one policy for all. 95 % intervals over data
    sets."""
    fig, axes = plotting.figure(1, 3, width=18.5, height=4.8)
    row = found.rows("witness", name="indifferent", scale=1.0)[0]
    ways = {
        "one\npair": "pairs",
        "best of\nthree": "best_of_three",
        "two\npairs": "two_pairs",
        "pair\nwith ties": "ties",
    }
    _bars(axes[0, 0], list(ways), [max(row[column], 0.0) if row[column] > 1e-12 else 0.0 for column in ways.values()])
    plotting.label(axes[0, 0], "asked of each annotator", "distance of the laws (total variation)", "identification")
    annotators, _ = found.settings["worlds"]["linear"]
    for number, ((answers, q), words) in enumerate(WORDS.items()):
        dots(
            axes[0, 1], annotators, [share(found, "linear", answers, q, m) for m in annotators], f"{words} each", number
        )
    axes[0, 1].axhline(0.5, color="0.6", zorder=0)
    axes[0, 1].set_ylim(0, 1.45 * axes[0, 1].get_ylim()[1])  # room for the legend above the lines
    plotting.label(axes[0, 1], "annotators", "EM's error over the worlds' distance", "EM-DPO, linear policies")
    plotting.legend(axes[0, 1], loc="upper right")
    people = max(found.settings["em_grid"]["linear"][1])
    which = {"tastes": "general", "kind": "linear", "answers": "best of three", "questions": 5, "annotators": people}
    estimates = [t_interval(column(found, "worst_regret", m, **which)) for m in SINGLE]
    plotting.intervals(
        axes[0, 2], SINGLE, *[[getattr(e, part) for e in estimates] for part in ("value", "low", "high")]
    )
    plotting.label(axes[0, 2], "worst type's regret (nats)", "", f"one policy for all, {people} annotators")
    return fig


def what_twins_cost(found):
    """Left: unequal antipodes (A: tastes b and -b, shares .7 and .3) and their twin (B: tastes b and none, shares .4 and .6)
    have one law of single pairs; the worst type's regret of the min-max policy of the right world and of the other.
    Right: annotators until their answers are expected to favour the right world by 20 to 1 (equal antipodes against
    people without preferences). Responses of the figures above."""
    fig, axes = plotting.figure(1, 2, width=13.0, height=4.6)
    rows = [r for r in found.rows("fairness_of_twins", name="unequal antipodes") if r["set"] == 0]
    names = [
        "A is right,\npolicy of A",
        "A is right,\npolicy of B",
        "B is right,\npolicy of B",
        "B is right,\npolicy of A",
    ]
    values = [r[which] for r in sorted(rows, key=lambda r: r["truth"]) for which in ("right_world", "twin_world")]
    _bars(axes[0, 0], names, values)
    plotting.label(axes[0, 0], "", "worst type's regret (nats)", "what the ambiguity costs a fair policy")
    needed = {r["way"]: r["annotators"] for r in found.rows("answers_needed") if r["set"] == 0}
    _bars(axes[0, 1], [way.replace(" ", "\n", 1) for way in needed], list(needed.values()))
    plotting.label(axes[0, 1], "asked of each annotator", "annotators for odds of 20", "what it costs to end it")
    return fig


def mean_direction(found):
    """Half of the annotators have tastes m + d, half m - d. Angle between the direction that is learned and that of the mean
    taste m, against the number of answers (right end: infinite data): the likelihood stays off, the fewest wrongly
    ordered answers find it, more slowly. 95 % intervals over sets of responses."""
    fig, axes = plotting.figure(width=8.4, height=4.6)
    rows = found.rows("mean_direction")
    counts = [*sorted({r["answers"] for r in rows if r["answers"]}), 0]
    for index, loss in enumerate(("likelihood", "sign loss")):
        estimates = [t_interval([r["angle"] for r in rows if r["answers"] == n and r["loss"] == loss]) for n in counts]
        parts = [[max(0.0, getattr(e, part)) for e in estimates] for part in ("value", "low", "high")]
        plotting.line(axes[0, 0], range(len(counts)), parts[0], loss, index, *parts[1:], markers=True)
    axes[0, 0].set_xticks(range(len(counts)), [f"{n:,}" if n else "infinite" for n in counts])
    axes[0, 0].set_ylim(0, None)
    plotting.label(axes[0, 0], "answers", "angle to the mean taste (degrees)")
    plotting.legend(axes[0, 0])
    return fig


def similar_types(found):
    """All types but one are alike: the worst type's regret of the uniform mixture of their policies and of the min-max
    policy, exact; 95 % intervals over random worlds."""
    fig, axes = plotting.figure(width=7.4, height=4.4)
    table = []
    for way in ("uniform", "min-max"):
        estimates = [t_interval(found.values("similar_types", way, types=k)) for k in (2, 3, 4)]
        table.append([[getattr(e, part) for e in estimates] for part in ("value", "low", "high")])
    series = ["uniform mixture", "min-max policy"]
    plotting.bars(
        axes[0, 0], ["2 types", "3 types", "4 types"], *(np.array([t[i] for t in table]) for i in range(3)), series
    )
    plotting.label(axes[0, 0], "", "worst type's regret (nats)")
    plotting.legend(axes[0, 0], loc="upper left")
    return fig


FIGURES = [
    told_apart_and_served,
    twins_drawn,
    what_em_can_tell,
    where_they_come_apart,
    what_twins_cost,
    em_by_answers,
    regret_of_policies,
    similar_types,
    mean_direction,
    bounds_of_the_share,
    real_types,
]
