"""Figures: the paper's win rate against KL first, then combinations, exact worlds, over-optimisation, training."""

from __future__ import annotations

import numpy as np

from annosim import plotting
from annosim.study import t_interval

from .claims import PLACES, aggregate, column, gain

NATS = "KL to the reference (nats per prompt)"


def _curve(found, group, world, scheme, name, key="at"):
    """Mean and interval over replicates at each KL (or k)."""
    rows = [r for r in found.rows(group, world=world) if r["scheme"] == scheme]
    xs = sorted({r[key] for r in rows})
    found_at = [t_interval(column(found, group, name, {"scheme": scheme, key: x}, world=world)) for x in xs]
    return np.array(xs), *(np.array([getattr(e, part) for e in found_at]) for part in ("value", "low", "high"))


def _change(found, world, better, worse, name, kls):
    """Paired difference at each KL in points, with its interval."""
    at = [gain(found, world, better, worse, name, kl) for kl in kls]
    return [[100 * getattr(e, part) for e in at] for part in ("value", "low", "high")]


def where_lsc_works(found):
    """LSC less its raw counterpart at equal KL, in percentage points, above zero: LSC is ahead. Left: one reward, responses above
    the 85 % quantile, where reward models carry a shortcut. Middle: the sum of two rewards, responses good in both, with and
    without a shortcut. Right: share of good responses of the worst-served of three hidden types, by what is maximised. 95 %
    intervals over replicates."""
    fig, axes = plotting.figure(1, 3, width=16.0, height=5.0)
    kls = found.settings["kls"]
    for index, one in enumerate(("helpful", "harmless")):
        value, *ends = _change(found, "shortcut", f"{one}, LSC", f"{one}, raw", f"beat_{one}", kls)
        plotting.line(axes[0, 0], kls, value, one, index, *ends, markers=True)
    for index, (world, words) in enumerate(PLACES.items()):
        value, *ends = _change(found, world, "LSC sum", "raw sum", "both_good", kls)
        plotting.line(axes[0, 1], kls, value, words, index, *ends, markers=True)
    _types(axes[0, 2], found, "worst")
    for axis in axes[0, :2]:
        axis.axhline(0.0, color="#555555", linewidth=1.2)
    plotting.label(axes[0, 0], NATS, "LSC less raw (points)", "one reward: beats the 85 % quantile")
    plotting.label(axes[0, 1], NATS, "LSC sum less raw sum (points)", "two rewards: good in both")
    plotting.label(axes[0, 2], NATS, "share of good responses", "the worst-served of three types")
    axes[0, 2].set_ylim(bottom=0)
    for axis in axes[0]:
        plotting.legend(axis, loc="upper left")
    return fig


def _types(axis, found, name):
    """One column of the policies over hidden types against KL."""
    kls = found.settings["kls"]
    for index, way in enumerate(("LSC sum", "mean utility", "minimum")):
        estimates = [t_interval(aggregate(found, name, way, kl)) for kl in kls]
        parts = [[getattr(e, part) for e in estimates] for part in ("value", "low", "high")]
        plotting.line(axis, kls, parts[0], way, index, *parts[1:], markers=True)


def win_rate_against_kl(found):
    """How often a policy's response beats the reference's 85 % quantile in the true reward, against the KL it costs;
    bands: 95 % intervals over replicates."""
    fig, axes = plotting.figure(1, 2, width=10.5, height=4.4, sharey=True)
    for axis, one in zip(axes[0], ("helpful", "harmless"), strict=True):
        for index, kind in enumerate(("raw", "LSC")):
            x, y, low, high = _curve(found, "frontier", "shortcut", f"{one}, {kind}", f"beat_{one}")
            plotting.line(axis, x, y, kind, index, low, high, markers=True)
        axis.axhline(0.15, color="#555555", linewidth=1.2)
        plotting.label(axis, NATS, "beats the 85 % quantile" if one == "helpful" else "", f"one reward: {one}")
    axes[0, 0].text(axes[0, 0].get_xlim()[1], 0.155, "reference ", ha="right", va="bottom", color="#555555")
    plotting.legend(axes[0, 0], loc="upper left")
    return fig


def good_in_both_against_kl(found):
    """Two rewards: probability that a response is good in both, in a world with a shortcut and unequal prompts, and in a
    clean one, where the LSC sum loses at a small KL and wins at a large one; bands: 95 % intervals."""
    fig, axes = plotting.figure(1, 2, width=12.6, height=4.6, sharey=True)
    schemes = ("LSC sum", "raw sum", "minimum", "weighted sum 3:1", "weighted sum 1:3")
    for axis, (world, title) in zip(axes[0], PLACES.items(), strict=True):
        for index, scheme in enumerate(schemes):
            x, y, low, high = _curve(found, "frontier", world, scheme, "both_good")
            plotting.line(axis, x, y, scheme, index, low, high, markers=True)
        plotting.label(axis, NATS, "good in both" if world == "shortcut" else "", title)
    plotting.legend(axes[0, 1], outside=True)
    return fig


def log_good_against_kl(found):
    """The quantity of the paper's own theory, E log P(good in every property), against the KL it costs: there the LSC sum
    wins at every KL, also where it makes fewer responses good in both."""
    fig, axes = plotting.figure(1, 2, width=12.6, height=4.6, sharey=True)
    for axis, (world, title) in zip(axes[0], PLACES.items(), strict=True):
        for index, scheme in enumerate(("LSC sum", "raw sum", "minimum")):
            x, y, low, high = _curve(found, "frontier", world, scheme, "log_good")
            plotting.line(axis, x, y, scheme, index, low, high, markers=True)
        plotting.label(axis, NATS, "E log P(good in both) (nats)" if world == "shortcut" else "", title)
    plotting.legend(axes[0, 1], outside=True)
    return fig


def over_hidden_types(found):
    """Three hidden types of annotators, one of whom cares three times as much as the others. How often a response is good
    (above the type's own 85 % quantile) for the worst-served type (left) and on average over types (right), by what is
    maximised; 95 % intervals over worlds."""
    fig, axes = plotting.figure(1, 2, width=12.6, height=4.6, sharey=True)
    for axis, name, words in zip(
        axes[0], ("worst", "average"), ("the worst-served type", "average over types"), strict=True
    ):
        _types(axis, found, name)
        plotting.label(axis, NATS, "share of good responses" if name == "worst" else "", words)
    axes[0, 0].set_ylim(bottom=0)
    plotting.legend(axes[0, 1], outside=True)
    return fig


def shortcut_and_spread(found):
    """What LSC is for: less mass on the shortcut (left), and win rates that differ less between prompts (right), at
    equal KL."""
    fig, axes = plotting.figure(1, 2, width=10.5, height=4.4)
    for index, kind in enumerate(("raw", "LSC")):
        for axis, name in zip(axes[0], ("shortcut", "spread_helpful"), strict=True):
            x, y, low, high = _curve(found, "frontier", "shortcut", f"helpful, {kind}", name)
            plotting.line(axis, x, y, kind, index, low, high, markers=True)
    plotting.label(axes[0, 0], NATS, "mass on the shortcut", "reward hacking")
    plotting.label(axes[0, 1], NATS, "s.d. of win rate over prompts", "uniformity")
    plotting.legend(axes[0, 0], loc="upper left")
    return fig


def exact_worlds(found):
    """Exact worlds. Left: mass of a rare response that is overrated, against its reward. Middle: where the KL is spent
    when prompts differ in spread. Right: best of 64 with two rewards, 95 % exact binomial intervals."""
    fig, axes = plotting.figure(1, 3, width=14.5, height=4.4)
    rows = [r for r in found.rows("shortcut") if r["gamma"] == 1.0]
    rows.sort(key=lambda r: r["reward"])
    x = [r["reward"] for r in rows]
    for index, name in enumerate(("raw", "lsc")):
        plotting.line(axes[0, 0], x, [r[name] for r in rows], {"raw": "raw", "lsc": "LSC"}[name], index, markers=True)
    plotting.line(axes[0, 0], x, [r["bound"] for r in rows], r"bound $\pi_0(A)/Z$", 6, linestyle=":")
    axes[0, 0].set_yscale("log")
    plotting.label(axes[0, 0], "reward of the shortcut (logits)", "its mass at $\\gamma$ = 1", "S2: amplification")
    plotting.legend(axes[0, 0], loc="upper left")
    spreads = found.rows("spread_of_prompts")
    names = [f"{s:g}" for s in spreads[0]["spreads"]]
    plotting.bars(axes[0, 1], names, [r["spent"] for r in spreads], series=["raw", "LSC"])
    plotting.label(axes[0, 1], "spread s of the prompt's rewards (logits)", "KL spent (nats)", "S3: mean KL 1")
    plotting.legend(axes[0, 1], loc="upper left")
    shares = found.rows("two_rewards")
    rhos = sorted({r["rho"] for r in shares})
    for index, name in enumerate(("raw sum", "lsc sum", "minimum")):
        y = [next(r["share"] for r in shares if r["rho"] == rho and r["score"] == name) for rho in rhos]
        plotting.line(axes[0, 2], rhos, y, name.replace("lsc", "LSC"), index, markers=True)
    plotting.label(axes[0, 2], "correlation of the rewards", "both beat q85", "S6: best of 64")
    plotting.legend(axes[0, 2], loc="best")
    return fig


def best_of_k(found):
    """Best of k with combined reward models, by its exact law: good in both against k; bands: 95 % intervals over
    replicates."""
    fig, axes = plotting.figure()
    for index, scheme in enumerate(("LSC sum", "raw sum", "minimum")):
        x, y, low, high = _curve(found, "best_of", "shortcut", scheme, "both_good", "k")
        plotting.line(axes[0, 0], x, y, scheme, index, low, high, markers=True)
    axes[0, 0].set_xscale("log", base=2)
    axes[0, 0].set_xticks(x, [f"{v:g}" for v in x])
    plotting.label(axes[0, 0], "k (draws)", "good in both")
    plotting.legend(axes[0, 0], loc="upper left")
    return fig


def overoptimisation(found):
    """Truth (solid) and proxy (dashed) along the Gibbs path of one reward model, and the truth along ensembles' paths;
    all members share the shortcut, so that no ensemble can see it."""
    fig, axes = plotting.figure(1, 2, width=11.5, height=4.4)
    rows = [r for r in found.rows("overoptimisation") if r["method"] == "Gibbs"]
    at = sorted({r["at"] for r in rows})

    def curve(score, name):
        picked = [[r[name] for r in rows if r["score"] == score and r["at"] == a] for a in at]
        found_at = [t_interval(p) for p in picked]
        return [np.array([getattr(e, part) for e in found_at]) for part in ("value", "low", "high")]

    d = np.sqrt(at)
    for index, (name, style) in enumerate((("gold", "-"), ("proxy", "--"))):
        y, low, high = curve("one model", name)
        plotting.line(axes[0, 0], d, y, {"gold": "truth", "proxy": "proxy"}[name], index, low, high, linestyle=style)
    for index, score in enumerate(("one model", "ensemble mean", "ensemble minimum", "mean - variance")):
        plotting.line(axes[0, 1], d, curve(score, "gold")[0], score, index, markers=True)
    for axis, title in zip(axes[0], ("one reward model", "truth under ensembles of reward models"), strict=True):
        plotting.label(axis, r"$d = \sqrt{\mathrm{KL}}$ (nats$^{1/2}$)", "gain in utility (logits)", title)
        plotting.legend(axis, loc="best")
    return fig


def reference_values(found):
    """The reference value and the scale of the reward model matter: how often the 85 % quantile is beaten at KL 1; 95 %
    intervals over replicates."""
    fig, axes = plotting.figure(width=7.4, height=4.2)
    rows = found.rows("reference_values")
    names = list(dict.fromkeys(r["variant"] for r in rows))
    estimates = [t_interval(column(found, "reference_values", "beat_helpful", {"variant": n})) for n in names]
    parts = [[getattr(e, part) for e in estimates] for part in ("value", "low", "high")]
    plotting.intervals(axes[0, 0], names, *parts)
    plotting.label(axes[0, 0], "beats the 85 % quantile of the true reward", "")
    return fig


def policy_gradient(found):
    """Policy gradient against the exact optimum: distance of the objective from its maximum during training."""
    fig, axes = plotting.figure()
    steps = found.settings["steps"]
    curves = [(f"softmax, {r['reward']}", r) for r in found.rows("softmax_gradient") if r["replicate"] == 0]
    curves += [("tokens, raw", r) for r in found.rows("token_gradient") if r["replicate"] == 0]
    for index, (name, row) in enumerate(curves):
        gap = np.maximum(row["optimum"] - row["trace"], 1e-12)  # drawn on a log axis
        plotting.line(axes[0, 0], np.linspace(0, steps, len(gap)), gap, name, index)
    axes[0, 0].set_yscale("log")
    plotting.label(axes[0, 0], "gradient steps", "optimum minus objective (nats)")
    plotting.legend(axes[0, 0], loc="best")
    return fig


FIGURES = [
    where_lsc_works,
    win_rate_against_kl,
    good_in_both_against_kl,
    log_good_against_kl,
    over_hidden_types,
    shortcut_and_spread,
    exact_worlds,
    best_of_k,
    overoptimisation,
    reference_values,
    policy_gradient,
]
