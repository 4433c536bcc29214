"""Figures of the three parts, and their tables."""

from __future__ import annotations

import numpy as np

from annosim import plotting
from annosim.study import t_interval

from .claims import combined, judged, typed
from .hidden_types import SINGLE
from .soft_labels import KINDS, objectives

ASSIGNING = ("oracle", "EM-DPO", "k-means")
SERVING = ("oracle", "EM-DPO", "k-means", "one DPO")
NATS = "KL to the reference (nats per prompt)"


def _parts(estimates):
    return [np.array([getattr(e, part) for e in estimates]) for part in ("value", "low", "high")]


def _columns(found):
    """The designs with pairs: title, and the questions asked of each annotator."""
    out = {}
    for kind, types, answers, questions in found.settings["designs"]:
        if answers == "pairs":
            words = f"{types} types" if kind == "plain" else f"{types} types,\ntastes turn with the prompt"
            out.setdefault((kind, types, words), []).append(questions)
    return out


def _groups(axis, found, name, methods, kind, types, questions):
    """Bars of the methods, a group for every number of questions."""
    estimates = [
        [t_interval(typed(found, name, m, kind=kind, types=types, questions=q)) for m in methods]
        for q in sorted(questions)
    ]
    names = [f"{q} each" for q in sorted(questions)]
    value, low, high = (np.array(part).T for part in zip(*map(_parts, estimates), strict=True))
    plotting.bars(axis, names, value, low, high, series=methods)


def hidden_types(found):
    """L1. Annotators of hidden types who answer so many pairs each, the same number of answers in all. Above: share of
    annotators assigned to the right type (oracle: by the true rewards). Below: how far the policy for a type is from the
    best one for it, on prompts that nobody was asked about (oracle: a DPO per true type). 95 % intervals over replicates."""
    columns = _columns(found)
    ratios = [1 + len(questions) for questions in columns.values()]
    fig, axes = plotting.figure(2, len(columns), width=15, height=8, sharey="row", width_ratios=ratios)
    for number, ((kind, types, title), questions) in enumerate(columns.items()):
        _groups(axes[0, number], found, "assigned", ASSIGNING, kind, types, questions)
        _groups(axes[1, number], found, "regret", SERVING, kind, types, questions)
        plotting.label(axes[0, number], "", "" if number else "assigned rightly", title)
        plotting.label(axes[1, number], "pairs from an annotator", "" if number else "regret of a type (nats)")
    axes[0, 0].set_ylim(0, 1)
    for row in (0, 1):
        plotting.legend(axes[row, -1], outside=True)
    return fig


def one_policy(found):
    """L1. One policy for all types: regret of the type that is served worst, 95 % intervals over replicates."""
    columns = _columns(found)
    ratios = [1 + len(questions) for questions in columns.values()]
    fig, axes = plotting.figure(1, len(columns), width=15, height=4.4, sharey=True, width_ratios=ratios)
    for number, ((kind, types, title), questions) in enumerate(columns.items()):
        _groups(axes[0, number], found, "worst_regret", SINGLE, kind, types, questions)
        plotting.label(axes[0, number], "pairs from an annotator", "" if number else "worst regret (nats)", title)
    plotting.legend(axes[0, -1], outside=True)
    return fig


def combined_rewards(found):
    """L2. Reward models of people who are flattered (left) or not (right), exact policies. Above: answers good in both true
    rewards. Below: mass of the flattering opener, which the truth does not care for. Bands: 95 % intervals."""
    fig, axes = plotting.figure(2, 2, width=12.6, height=8, sharey="row")
    kls = sorted(found.settings["kls"])
    for number, (world, title) in enumerate(
        {"shortcut": "people who are flattered", "clean": "people who are not"}.items()
    ):
        for row, name in enumerate(("both_good", "flattery")):
            for index, scheme in enumerate(("LSC sum", "raw sum", "minimum", "helpful, LSC", "helpful, raw")):
                value, low, high = _parts([t_interval(combined(found, world, scheme, name, kl)) for kl in kls])
                plotting.line(axes[row, number], kls, value, scheme, index, low, high, markers=True)
        plotting.label(axes[0, number], "", "" if number else "good in both", title)
        plotting.label(axes[1, number], NATS, "" if number else "mass of the flattering opener")
    plotting.legend(axes[0, 1], outside=True)
    return fig


def soft_labels(found):
    """L3. Reward models of single votes, each pair with ten judgements: faithful ones (left), or all of one persona of the
    minority (right). Above: correlation of the gap of rewards with the share of people who prefer the first. Below: Brier
    score after one temperature, over all prompts. 95 % intervals over replicates."""
    fig, axes = plotting.figure(2, 2, width=13, height=8, sharey="row")
    methods = list(objectives())
    for number, (judge, title) in enumerate({"faithful": "faithful judges", "persona": "one persona"}.items()):
        rows = [[t_interval(judged(found, judge, m, "pearson", kind)) for m in methods] for kind in KINDS]
        value, low, high = (np.array(part).T for part in zip(*map(_parts, rows), strict=True))
        plotting.bars(axes[0, number], KINDS, value, low, high, series=methods)
        value, low, high = _parts([t_interval(judged(found, judge, m, "brier")) for m in methods])
        plotting.bars(axes[1, number], [m.replace(" ", "\n") for m in methods], value, low, high)
        plotting.label(axes[0, number], "", "" if number else "correlation", title)
        plotting.label(axes[1, number], "", "" if number else "Brier score")
    plotting.legend(axes[0, 1], outside=True)
    return fig


def types_table(found):
    """L1, means over replicates: share assigned, regret (nats per prompt) and win rate against the reference in the eyes of
    the types, mean over types and for the worst."""
    frame = found.frame("hidden_types")
    keys = ["kind", "types", "answers", "questions", "method"]
    names = ["assigned", "rand", "regret", "worst_regret", "win", "worst_win"]
    return frame.groupby(keys, sort=False)[names].mean().reset_index().replace(np.nan, None)


def combined_table(found):
    """L2, means over replicates at every KL and number of draws."""
    names = ["kl", "beat_helpful", "both_good", "log_good", "flattery", "utility"]
    return (
        found.frame("combined_rewards").groupby(["world", "by", "at", "scheme"], sort=False)[names].mean().reset_index()
    )


def labels_table(found):
    """L3, means over replicates."""
    names = ["pearson", "brier", "slope"]
    return (
        found.frame("soft_labels").groupby(["judge", "prompts_are", "method"], sort=False)[names].mean().reset_index()
    )
