"""Lengths before and after adaptation, and preferences between length classes."""

from __future__ import annotations

import numpy as np

from annosim import plotting

from . import surrogate
from .sentences import NAMES


def lengths(found):
    """Lengths after adaptation to one annotator whose density is half short, half long (density mixture), and to the
    answers of a short and a long annotator (annotator mixture): exactly on lengths alone (left), and said by transformers
    (right; thin lines: replicates; grey: the bins of lengths that are compared). The first has two modes, the second
    one."""
    fig, axes = plotting.figure(1, 2, width=13.5, height=4.8)
    ax, top = axes[0, 0], 0.0
    for index, kind in enumerate(_TITLES):
        row = found.rows("lengths_only", kind=kind, design="soft", parameter=4.0)[0]
        if not index:
            plotting.density(ax, row["x"], row["whole"], "whole (before)", index=6, linestyle=":")
        shown = row["modes_at"].strip("[]").replace(", ", " and ")
        plotting.density(ax, row["x"], row["learned"], f"{_TITLES[kind]}: {shown}", index=index)
        top = max(top, row["learned"].max())
    ax.set_ylim(0, 1.3 * top)
    plotting.label(ax, "length (tokens)", "probability", "exact, borders of 4 tokens; modes")
    plotting.legend(ax)
    _transformers(axes[0, 1], found)
    return fig


def _transformers(ax, found):
    for low, high in found.settings["bins"]:
        ax.axvspan(low - 0.5, high + 0.5, color="#dddddd", zorder=0)
    before = np.array(found.all("adapt", "proposed", kind="density"))
    x = np.arange(before.shape[1])
    plotting.line(ax, x, before.sum(0) / before.sum(), "whole (before)", 6, linestyle=":")
    for index, kind in enumerate(_TITLES):
        after = np.array(found.all("adapt", "count", kind=kind))
        plotting.line(ax, x, after.sum(0) / after.sum(), _TITLES[kind], index)
        for one in after if len(after) > 1 else ():
            ax.plot(x, one / one.sum(), color=plotting.colour(index), linewidth=0.7, alpha=0.7)
    ax.set_ylim(0, None)
    plotting.label(ax, "length (tokens, END included)", "share of sentences", "transformers")
    plotting.legend(ax)


_TITLES = {"density": "density mixture", "annotators": "annotator mixture"}


def _surrogate(ax, found, kind, design, parameter):
    row = found.rows("lengths_only", kind=kind, design=design, parameter=parameter)[0]
    plotting.density(ax, row["x"], row["whole"], "whole", index=6, linestyle=":")
    plotting.density(ax, row["x"], row["blend"], "half short, half long", index=0, fill=True)
    plotting.density(ax, row["x"], row["learned"], "learned", index=1)
    shown = row["modes_at"].strip("[]")
    what = f"{'mode' if row['modes'] == 1 else 'modes'} at {shown}"
    plotting.label(ax, "length (tokens)", "probability", f"exact, {design} {parameter:g}, {_TITLES[kind]}: {what}")
    ax.set_ylim(0, 1.15 * max(row["learned"].max(), row["blend"].max()))
    plotting.legend(ax)


def what_decides(found):
    """E12, exact. Whether the annotator mixture has one mode depends on the annotators. Peaked: normal lengths around
    10 and 44; one mode, but far below both. Cut: at most 20 tokens, and more than 30; two modes. Soft: borders of 4
    tokens, so that both judge every length; one mode, and two for the density mixture, as in the paper."""
    shown = {"peaked": 0.25, "cut": 0.01, "soft": 4.0}
    fig, axes = plotting.figure(2, 3, width=19, height=8)
    for row, kind in enumerate(_TITLES):
        for column, (design, parameter) in enumerate(shown.items()):
            _surrogate(axes[row, column], found, kind, design, parameter)
    return fig


def surrogates(found):
    """E12, exact: modes of what is learned, for every kind of annotators. Overlap: of the two annotators' densities."""
    import pandas as pd

    rows = []
    for design, parameters in surrogate.DESIGNS.items():
        for parameter in parameters:
            one, two = (found.rows("lengths_only", kind=k, design=design, parameter=parameter)[0] for k in _TITLES)
            rows.append((design, parameter, two["overlap"], two["own_modes"], one["modes_at"], two["modes_at"]))
    names = ["design", "parameter", "overlap", "annotators' modes", "density mixture", "annotator mixture"]
    return pd.DataFrame(rows, columns=names)


def preferred(found):
    """E11. Mean preference for the first of two length classes (mean over replicates): without normalisation everybody
    prefers the shorter."""
    fig, axes = plotting.figure(1, 2, width=13, height=4.4, sharey=True)
    for ax, normalised in zip(axes[0], (False, True), strict=True):
        rows = [r for r in found.rows("preferences") if r["normalised"] == normalised]
        pairs = list(dict.fromkeys((r["first"], r["second"]) for r in rows))
        values = [[_mean_preference(rows, name, *pair) for pair in pairs] for name in NAMES]
        plotting.bars(ax, [" > ".join(pair) for pair in pairs], values, series=NAMES)
        ax.axhline(0.5, color="#555555", linewidth=1.2)
        plotting.label(ax, "", "mean preference", "log-probability per token" if normalised else "log-probability")
    plotting.legend(axes[0, 1], loc="upper left")
    return fig


def _mean_preference(rows, *asked):
    return np.mean([r["preference"] for r in rows if (r["annotator"], r["first"], r["second"]) == asked])


def trained(found):
    """E10 and E13. Nats per token on held-out sentences, and nats per pair, before and after adaptation, above the
    entropy of the answers (of two annotators, no single score can reach it)."""
    import pandas as pd

    rows = []
    for base in found.rows("models"):
        r = base["replicate"]
        row = {"replicate": r, **{f"{name}, per token": base[f"held_out_{name}"] for name in NAMES}}
        for kind, title in _TITLES.items():
            one = next(one for one in found.rows("adapt", kind=kind) if one["replicate"] == r)
            row |= {f"{title}, {when}": one[f"loss_{when}"] - one["entropy"] for when in ("before", "after")}
        rows.append(row)
    return pd.DataFrame(rows)
