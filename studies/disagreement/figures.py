"""Figures: the 2 x 2 first, then margins and judges, repeated answers, the real votes, and the closed forms."""

from __future__ import annotations

import numpy as np

from annosim import plotting
from annosim.study import t_interval

from .claims import METHODS, cell, column, debate_gain, gain, real_gain
from .synthetic import CELLS, JUDGES

LABELS = {"agreed": "agreed", "plural": "plural\n(tastes differ)", "paraphrase": "paraphrases", "both": "both"}


def _parts(estimates):
    return [[getattr(e, part) for e in estimates] for part in ("value", "low", "high")]


def when_judges_help(found):
    """Left: correlation with four held-out votes, of the forecasts of a reward model of single votes (after one temperature) and of
    the truth itself (the noise ceiling). Middle: ten judgements a pair by judges who are like the people, change of the Brier score in each kind of hard
    prompts (left of zero is better). Right: the same by judges of other kinds, change of the correlation where tastes differ
    (right of zero is better). 95 % intervals over replicates."""
    fig, axes = plotting.figure(1, 3, width=20.5, height=5.4, width_ratios=[0.9, 1, 1])
    _by_cell(axes[0, 0], found, ("single votes", "noise ceiling"))
    axes[0, 0].set_title("what single votes teach")
    methods = ("soft label", "M1 unsigned", "M2 signed", "M3 inside")
    for index, kind in enumerate(("plural", "paraphrase", "both")):
        estimates = _parts([gain(found, m, "brier", kind) for m in methods])
        plotting.intervals(axes[0, 1], methods, *estimates, index, zero=0.0, offset=0.2 * (index - 1), label=kind)
    plotting.label(axes[0, 1], "change in Brier score", "", "judges like the people")
    for index, method in enumerate(methods):
        estimates = _parts([gain(found, method, "pearson", "plural", judge) for judge in JUDGES])
        offset = 0.18 * (index - 1.5)
        plotting.intervals(axes[0, 2], list(JUDGES), *estimates, index, zero=0.0, offset=offset, label=method)
    plotting.label(axes[0, 2], "change in correlation, plural prompts", "", "kinds of judges")
    for axis in axes[0, 1:]:
        axis.locator_params(axis="x", nbins=5)
    plotting.legend(axes[0, 1], loc="best")
    plotting.legend(axes[0, 2], outside=True)
    return fig


def _by_cell(axis, found, series):
    """Bars of the correlation with held-out votes in each kind of prompts."""
    values = {
        "single votes": [cell(found, "pearson_share", k) for k in CELLS],
        "infinite data": [cell(found, "pearson_share", k, "infinite data") for k in CELLS],
        "noise ceiling": [cell(found, "ceiling_share", k) for k in CELLS],
    }
    table = [_parts([t_interval(v) for v in values[name]]) for name in series]
    plotting.bars(axis, list(LABELS.values()), *(np.array([t[i] for t in table]) for i in range(3)), list(series))
    plotting.label(axis, "responses", "correlation (Pearson)")
    plotting.legend(axis, loc="upper right")


def correlation_by_cell(found):
    """Correlation with the share of four held-out votes in each kind of prompts: forecasts of a reward model of single votes (after
    one temperature), the same with infinite data, and the noise ceiling (the true preference itself); 95 % intervals over
    replicates."""
    fig, axes = plotting.figure(width=8.4, height=4.6)
    _by_cell(axes[0, 0], found, ("single votes", "infinite data", "noise ceiling"))
    return fig


def what_margins_change(found):
    """Change against plain Bradley-Terry on the same votes, with ten faithful judgements per pair: correlation with the
    true preference (right is better) and Brier score after one temperature fitted on held-out votes (left is better); 95 %
    intervals over replicates."""
    fig, axes = plotting.figure(1, 2, width=12.5, height=5.0, sharey=True)
    for axis, name, words in zip(axes[0], ("pearson", "brier"), ("correlation", "Brier score"), strict=True):
        for index, kind in enumerate(("plural", "paraphrase", "both")):
            estimates = [gain(found, m, name, kind) for m in METHODS]
            plotting.intervals(
                axis, METHODS, *_parts(estimates), index, zero=0.0, offset=0.22 * (index - 1), label=kind
            )
        axis.locator_params(axis="x", nbins=5)
        plotting.label(axis, f"change in {words}", "")
    plotting.legend(axes[0, 1], outside=True)
    return fig


def size_and_bias_of_judges(found):
    """Brier score (after one temperature) over all prompts against the number of judgements per pair, for judges who are like the population
    and for judges with a taste for style; bands: 95 % intervals over replicates. (Infinity is the exact share.)"""
    fig, axes = plotting.figure(1, 2, width=12.5, height=4.6, sharey=True)
    counts = [*sorted(n for n in found.settings["judges"] if n > 0), 0]
    at = np.arange(len(counts))
    for axis, judge in zip(axes[0], ("faithful", "biased by style"), strict=True):
        for index, method in enumerate(("none", "M1 unsigned", "M2 signed", "M3 inside", "soft label", "majority")):
            where = {"method": method, "prompts_are": "all"}
            estimates = [t_interval(column(found, "margins", "brier", where, judge=judge, judges=n)) for n in counts]
            value, low, high = _parts(estimates)
            plotting.line(axis, at, value, method, index, low, high, markers=True)
        axis.set_xticks(at, [str(n) if n else "∞" for n in counts])
        axis.set_yscale("log")
        plotting.label(axis, "judgements per pair", "Brier score" if judge == "faithful" else "", f"{judge} judges")
    plotting.legend(axes[0, 1], outside=True)
    return fig


def kinds_of_judges(found):
    """Ten judgements per pair by judges of five kinds. Left: correlation with the true preference where tastes differ, change
    against plain Bradley-Terry (right is better). Right: Brier score over all prompts after one temperature (left is
    better). 95 % intervals over replicates."""
    fig, axes = plotting.figure(1, 2, width=14.0, height=5.6, sharey=True)
    methods = ("soft label", "M1 unsigned", "M2 signed", "M3 inside")
    panels = (("pearson", "plural", "correlation, plural prompts"), ("brier", "all", "Brier score, all prompts"))
    for axis, (name, kind, words) in zip(axes[0], panels, strict=True):
        for index, method in enumerate(methods):
            estimates = [gain(found, method, name, kind, judge) for judge in JUDGES]
            offset = 0.18 * (index - 1.5)
            plotting.intervals(axis, list(JUDGES), *_parts(estimates), index, zero=0.0, offset=offset, label=method)
        axis.locator_params(axis="x", nbins=5)
        plotting.label(axis, f"change in {words}", "")
    plotting.legend(axes[0, 1], outside=True)
    return fig


def paraphrase_twins(found):
    """Raters who cannot tell paraphrases apart, and raters of two minds about them, against the share of paraphrases among the
    pairs asked. Left: what the one reward that both lead to costs the people (regret of its policy, nats). Middle: the
    error of its weights for content from 2,000 answers. Right: annotators with two answers each until the two kinds of
    raters are told apart with odds of 20 to 1 (one answer each: never). 95 % intervals over sets of responses."""
    fig, axes = plotting.figure(1, 3, width=16.5, height=4.6)
    shares = found.settings["shares"]

    def curve(axis, name, label, index, at):
        parts = _parts([found.estimate("paraphrase_twins", name, share=s) for s in at])
        plotting.line(axis, at, parts[0], label, index, *parts[1:], markers=True)

    curve(axes[0, 0], "cost_two_minds", "of two minds", 0, shares)
    curve(axes[0, 0], "cost_cannot_tell", "cannot tell", 1, shares)
    curve(axes[0, 1], "finite_error", "", 0, shares)
    curve(axes[0, 2], "annotators_needed", "", 0, [s for s in shares if s > 0])
    axes[0, 2].set_yscale("log")
    words = ("regret of one reward's policy (nats)", "error of the content's weights", "annotators, two answers each")
    for axis, text in zip(axes[0], words, strict=True):
        plotting.label(axis, "share of paraphrases among pairs", text)
    axes[0, 1].set_ylim(0, None)
    plotting.legend(axes[0, 0])
    return fig


def other_debates(found):
    """UKPConvArg1, one of 32 debates left out at a time, linear model: change against plain Bradley-Terry on the other
    debates' votes, margins from the other annotators; means over draws of the votes learned from, 95 % intervals over
    debates."""
    fig, axes = plotting.figure(1, 2, width=12.5, height=4.0, sharey=True)
    methods = METHODS[:5]
    for axis, name, words in zip(axes[0], ("pearson", "brier"), ("correlation", "Brier score"), strict=True):
        plotting.intervals(axis, methods, *_parts([debate_gain(found, m, name) for m in methods]), zero=0.0)
        axis.locator_params(axis="x", nbins=5)
        plotting.label(axis, f"change in {words}", "")
    return fig


def repeated_answers(found):
    """Agreement of annotators with themselves on one pair asked four times (paraphrases of equal worth, and a
    difference below the just noticeable one, are two ways of not telling it apart): with sides swapped at random it
    tells tastes from noise; without, a position bias looks like taste. 95 % intervals over replicates."""
    fig, axes = plotting.figure(width=8.4, height=4.4)
    people = ("plural", "paraphrases", "below the j.n.d.", "position bias")
    table = []
    for swap in (True, False):
        table.append(
            _parts([t_interval(column(found, "repeated_answers", "within", {"people": p}, swap=swap)) for p in people])
        )
    series = ["sides swapped", "sides fixed"]
    plotting.bars(axes[0, 0], people, *(np.array([t[i] for t in table]) for i in range(3)), series)
    axes[0, 0].axhline(0.5, color="#555555", linewidth=1.2)
    axes[0, 0].set_ylim(0, 1.18)
    plotting.label(axes[0, 0], "people", "agreement with oneself")
    plotting.legend(axes[0, 0], loc="upper right", ncols=2)
    return fig


def real_votes(found):
    """UKPConvArg1, held-out arguments, judged by the remaining votes: change against plain Bradley-Terry on one vote
    per pair, margins from the other annotators; 95 % corrected intervals over random splits."""
    fig, axes = plotting.figure(1, 2, width=12.5, height=4.6, sharey=True)
    methods = METHODS[:5]
    for axis, name, words in zip(axes[0], ("pearson", "brier"), ("correlation", "Brier score"), strict=True):
        for index, kind in enumerate(found.settings["models"]):
            estimates = [real_gain(found, m, name, kind) for m in methods]
            plotting.intervals(axis, methods, *_parts(estimates), index, zero=0.0, offset=0.2 * index - 0.1, label=kind)
        axis.locator_params(axis="x", nbins=5)
        plotting.label(axis, f"change in {words}", "")
    plotting.legend(axes[0, 1], outside=True)
    return fig


def closed_forms(found):
    """The optimum on one pair against the population's preference, margins of size alpha = 1: closed forms (lines) and
    projections (marks)."""
    fig, axes = plotting.figure(width=7.6, height=4.6)
    rows = [r for r in found.rows("one_pair") if r["m"] == round(abs(2 * r["p"] - 1), 10)]
    for index, name in enumerate(("none", "M1 unsigned", "M2 signed", "M3 inside")):
        mine = sorted((r["p"], r["gap"], r["closed_form"]) for r in rows if r["objective"] == name)
        p, gap, closed = np.array(mine).T
        plotting.line(axes[0, 0], p, closed, name, index)
        axes[0, 0].plot(p, gap, "o", color=plotting.colour(index), markersize=5)
    plotting.label(axes[0, 0], "share p that prefers A", "optimal gap d (logits)")
    plotting.legend(axes[0, 0], loc="upper left")
    return fig


FIGURES = [
    when_judges_help,
    correlation_by_cell,
    what_margins_change,
    kinds_of_judges,
    size_and_bias_of_judges,
    real_votes,
    other_debates,
    paraphrase_twins,
    repeated_answers,
    closed_forms,
]
