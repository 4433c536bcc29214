"""Lengths before and after adaptation, and preferences between length classes."""

from __future__ import annotations

import numpy as np

from annosim import plotting

from . import surrogate
from .sentences import NAMES


def lengths(found):
    """Lengths before and after adaptation: exact surrogate (above), transformers (below; cut off at the last bar)."""
    fig, axes = plotting.figure(2, 2, width=12, height=8)
    for column, kind in enumerate(("density", "annotators")):
        title = _TITLES[kind]
        _surrogate(axes[0, column], found, kind, "soft", 4.0)
        ax, rows = axes[1, column], found.rows("adapt", kind=kind)
        before = np.sum([r["before"] for r in rows], 0)
        after = np.sum([r["count"] for r in rows], 0)
        x = np.arange(len(after))
        ax.bar(x, after / after.sum(), color=plotting.colour(1), label=f"adapted, {after.sum()} sentences")
        plotting.line(ax, x, before / before.sum(), "whole", 6, linestyle=":")
        plotting.label(ax, "length (tokens, END included)", "share of sentences", f"transformers, {title}")
        plotting.legend(ax)
    return fig


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
    """E11. Mean preference for the first of two length classes: without normalisation everybody prefers the shorter."""
    fig, axes = plotting.figure(1, 2, width=13, height=4.4, sharey=True)
    for ax, normalised in zip(axes[0], (False, True), strict=True):
        rows = [r for r in found.rows("preferences") if r["normalised"] == normalised]
        pairs = list(dict.fromkeys(f"{r['first']} > {r['second']}" for r in rows))
        values = [[r["preference"] for r in rows if r["annotator"] == name] for name in NAMES]
        plotting.bars(ax, pairs, values, series=NAMES)
        ax.axhline(0.5, color="#555555", linewidth=1.2)
        plotting.label(ax, "", "mean preference", "log-probability per token" if normalised else "log-probability")
    plotting.legend(axes[0, 1], loc="upper left")
    return fig
