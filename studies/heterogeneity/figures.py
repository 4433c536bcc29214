"""Figures: the twins first, then the slate that tells them apart, EM-DPO, regret, bounds, and real annotators."""

from __future__ import annotations

import numpy as np

from annosim import plotting
from annosim.study import t_interval

from .claims import column
from .twins import WITNESSES, pair_of_worlds

METHODS = ("pooled DPO", "uniform mixture", "largest group's own", "MaxMin", "min-max regret")


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
    plotting.legend(axes[0, 0])
    row = found.rows("curves")[0]
    plotting.line(axes[0, 1], row["scale"], row["probability"], "tastes ±scale, half each")
    plotting.line(axes[0, 1], row["scale"], np.full(len(row["scale"]), 1 / 3), "nobody prefers anything", 1)
    plotting.label(axes[0, 1], "scale of the tastes", "P(a) on the slate {a, b, b'}")
    plotting.legend(axes[0, 1])
    return fig


def em_by_answers(found):
    """EM-DPO with two types against answers per annotator: error of the rewards and accuracy of the clustering; bands:
    95 % intervals over replicates."""
    settings = found.settings
    many, questions = max(settings["annotators"]), sorted(settings["questions"])
    fig, axes = plotting.figure(2, 2, width=11.5, height=8.2, sharex=True)
    for j, tastes in enumerate(("antipodal", "general")):
        for i, name in enumerate(("error", "accuracy")):
            number = 0
            for answers in ("pairs", "best of three"):
                for method in ("em", "k-means"):
                    estimates = [t_interval(column(found, name, method, tastes=tastes, kind="linear", answers=answers,
                                                   questions=q, annotators=many)) for q in questions]  # fmt: skip
                    parts = [[getattr(e, part) for e in estimates] for part in ("value", "low", "high")]
                    plotting.line(axes[i, j], questions, parts[0], f"{method}, {answers}", number, parts[1], parts[2],
                                  markers=True)  # fmt: skip
                    number += 1
            words = "error of the rewards" if name == "error" else "clustering accuracy"
            plotting.label(axes[i, j], "answers per annotator" if i else "", words, f"{tastes} types" if not i else "")
    plotting.legend(axes[0, 1], outside=True)
    return fig


def regret_of_policies(found):
    """The worst group's KL-regularised regret of one policy for all, general types, best of three, five answers per
    annotator; 95 % intervals over replicates."""
    fig, axes = plotting.figure(width=8.0, height=4.2)
    many = max(found.settings["annotators"])
    estimates = [t_interval(column(found, "worst_regret", m, tastes="general", kind="linear", answers="best of three",
                                   questions=5, annotators=many)) for m in METHODS]  # fmt: skip
    parts = [[getattr(e, part) for e in estimates] for part in ("value", "low", "high")]
    plotting.intervals(axes[0, 0], METHODS, *parts)
    plotting.label(axes[0, 0], "worst group's regret", "")
    return fig


def bounds_of_the_share(found):
    """Bounds on the share of annotators with beta > 0 over all distributions of tastes that have the law of the
    answers,
    against the number of items; the truth is .674."""
    fig, axes = plotting.figure(width=8.0, height=4.4)
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
    plotting.legend(axes[0, 0])
    return fig


def real_types(found):
    """Mixtures of Plackett-Luce types on real rankings: BIC per annotator, less that of one type."""
    fig, axes = plotting.figure(width=7.0, height=4.2)
    for index, file in enumerate(found.settings["ballots"]):
        rows = sorted(found.finished("by_types", file=file), key=lambda r: r["types"])
        if rows:
            gain = [(r["bic"] - rows[0]["bic"]) / r["blocks"] for r in rows]
            plotting.line(axes[0, 0], [r["types"] for r in rows], gain, file.split("/")[-1], index, markers=True)
    plotting.label(axes[0, 0], "types", "BIC per annotator, less that of one type")
    plotting.legend(axes[0, 0])
    return fig


FIGURES = [twins_drawn, where_they_come_apart, em_by_answers, regret_of_policies, bounds_of_the_share, real_types]
