"""The figures of the explorer, in letters that the last row can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from annosim import plotting
from annosim.explore.exploration import NAMES, Exploration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_law", "draw_utilities"]


def draw_law(found: Exploration) -> Figure:
    """How often each answer is given, by the people and by the reward model that infinite data would give."""
    figure, grid = plotting.figure(width=5.2, height=max(3.4, 0.9 + 0.42 * len(found.answers)))
    axes, places = grid[0, 0], np.arange(len(found.answers))[::-1]
    axes.barh(places + 0.2, found.people_law, 0.38, label="people", color=plotting.colour(0))
    axes.barh(places - 0.2, found.learner_law, 0.38, label="one reward model", color=plotting.colour(1), hatch="//")
    axes.set_yticks(places, [f"{answer}   ({menu.replace(', ', ' ')})" for menu, answer in found.answers])
    axes.set_xlim(0.0, 1.0)
    plotting.label(axes, "probability given the menu", "")
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, 1.18), ncols=2, frameon=False)
    return figure


def draw_utilities(found: Exploration) -> Figure:
    """Utilities of the types, their mean, and what one reward model learns."""
    figure, grid = plotting.figure(width=5.2, height=3.4)
    axes, places = grid[0, 0], np.arange(len(NAMES))
    share = found.settings["weight"]
    rows = (
        (found.types[0], f"type 1 ({share:.0%})", 5, ""),
        (found.types[1], f"type 2 ({1 - share:.0%})", 2, ""),
        (found.mean, "mean of people", 0, ""),
        (found.learned, "one reward model", 1, "//"),
    )
    for i, (values, name, colour, hatch) in enumerate(rows):
        axes.bar(places + 0.2 * (i - 1.5), values, 0.19, label=name, color=plotting.colour(colour), hatch=hatch)
    axes.axhline(0.0, color="0.3", linewidth=0.8)
    axes.set_xticks(places, NAMES)
    plotting.label(axes, "", "utility (A is 0)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, 1.3), ncols=2, frameon=False)
    return figure
