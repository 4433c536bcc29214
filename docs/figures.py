"""The drawings of the site's pages: ``python docs/figures.py`` writes ``docs/images/*.svg``, which are kept in the repository.

Every curve is computed by the library from the model that its page names; nothing is drawn by hand but boxes and arrows.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

import annosim as an
from annosim.files import atomic_path
from annosim.plotting import COLOURS

IMAGES = Path(__file__).parent / "images"
ROOT = Path(__file__).parents[1]
BLUE, ORANGE, GREEN, PINK = COLOURS[:4]
GREY, PALE = "#555555", "#dddddd"
#: Text stays text and ids do not change from run to run, so that a drawing only differs where it was changed.
RC = {"svg.fonttype": "none", "svg.hashsalt": "annosim", "font.size": 11, "font.family": "sans-serif",
      "axes.spines.top": False, "axes.spines.right": False}  # fmt: skip


def save(fig: Figure, name: str) -> None:
    with atomic_path(IMAGES / f"{name}.svg") as path:
        fig.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight", facecolor="white")


def blank(ax: Axes, width: float, height: float) -> Axes:
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.axis("off")
    return ax


def disc(ax: Axes, x: float, y: float, text: str, on: bool = False, note: str = "") -> None:
    ax.add_patch(Circle((x, y), 0.36, facecolor=BLUE if on else "white", edgecolor=BLUE if on else GREY, lw=1.6))
    ax.text(x, y, text, ha="center", va="center", color="white" if on else "black", fontsize=13)
    if note:
        ax.text(x, y - 0.62, note, ha="center", va="center", color=GREY, fontsize=9)


def kinds_of_data() -> None:
    """Every kind of answer about the menu A, B, C, D (or A, B)."""
    kinds = [
        ("pair", "AB", {"A": "chosen"}, "A is better than B"),
        ("pair with ties", "AB", {"A": "=", "B": "="}, "A and B are equally good"),
        ("choice", "ABCD", {"C": "chosen"}, "C is the best of four"),
        ("best-worst", "ABCD", {"C": "best", "B": "worst"}, "C is the best, B the worst"),
        ("ranking", "ABCD", {"C": "1", "A": "2", "D": "3", "B": "4"}, "C before A before D before B"),
        ("top 2", "ABCD", {"C": "1", "A": "2"}, "C, then A, then one of the rest"),
        ("rating", "A", {"A": "4 of 5"}, "a grade for one item"),
        ("graded pair", "AB", {"A": "much better"}, "A is much better than B"),
    ]
    fig = Figure(figsize=(10, 5.6))
    axes = fig.subplots(4, 2).ravel()
    for ax, (name, menu, answer, words) in zip(axes, kinds, strict=True):
        blank(ax, 8.6, 1.9)
        ax.text(0.0, 1.72, name, fontsize=12, fontweight="bold", va="center")
        ax.text(8.4, 1.72, words, fontsize=10, color=GREY, va="center", ha="right")
        for place, item in enumerate(menu):
            said = answer.get(item, "")
            disc(ax, 0.6 + 1.5 * place, 0.95, item, bool(said) and said not in ("worst", "="), said)
    fig.subplots_adjust(hspace=0.25, wspace=0.08)
    save(fig, "kinds_of_data")


def box(ax: Axes, x: float, y: float, w: float, h: float, text: str, colour: str = GREY, bold: bool = False) -> None:
    style = "round,pad=0.02,rounding_size=0.12"
    ax.add_patch(FancyBboxPatch((x, y), w, h, boxstyle=style, facecolor="white", edgecolor=colour, lw=1.8))
    weight = "bold" if bold else "normal"
    ax.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=11, fontweight=weight)


def arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = GREY, both: bool = False
) -> None:
    kind = "<|-|>" if both else "-|>"
    ax.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": kind, "color": colour, "lw": 1.6})


def data_law() -> None:
    """Population and design fix the law; the verbs around it."""
    fig = Figure(figsize=(10, 4.2))
    ax = blank(fig.subplots(), 15, 6.2)
    box(ax, 0.1, 3.9, 3.6, 1.2, "population\nwho answers", BLUE, True)
    box(ax, 0.1, 1.1, 3.6, 1.2, "design\nwhat they are asked", BLUE, True)
    box(ax, 5.3, 2.3, 3.6, 1.6, "the data law\nP(data)", ORANGE, True)
    box(ax, 11.2, 2.5, 3.6, 1.2, "data", BLUE, True)
    arrow(ax, (3.75, 4.4), (5.3, 3.5))
    arrow(ax, (3.75, 1.8), (5.3, 2.7))
    arrow(ax, (8.95, 3.4), (11.15, 3.4))
    arrow(ax, (11.15, 2.8), (8.95, 2.8))
    ax.text(10.05, 3.72, "simulate", ha="center", style="italic")
    ax.text(10.05, 2.3, "fit", ha="center", style="italic")
    ax.text(7.1, 4.35, "law: written out\nproject: fitted to itself", ha="center", style="italic", linespacing=1.4)
    ax.text(
        7.1, 1.15, "identify: can it be inverted?\nplan: at what cost?", ha="center", style="italic", linespacing=1.4
    )
    ax.text(1.9, 5.5, "compare: how far are two of them apart?", ha="center", style="italic", fontsize=10)
    save(fig, "data_law")


def best_of_three(population: an.Population) -> float:
    """P(a) where a lies one unit away from b and b', which are alike."""
    design = an.Design(an.Items(features=[[1.0], [0.0], [0.0]]), menus=[[0, 1, 2]])
    return float(an.law(population, design).probabilities[0])


def pair(population: an.Population, x: float) -> float:
    design = an.Design(an.Items(features=[[x], [0.0]]), menus=[[0, 1]])
    return float(an.law(population, design).probabilities[0])


def camps(s: float, weight: float = 0.5, other: float | None = None) -> an.Mixture:
    """Two types in one dimension."""
    tastes = (s, -s if other is None else other)
    return an.Mixture([an.Annotator(an.Linear([b]), an.Luce()) for b in tastes], [weight, 1 - weight])


def twins() -> None:
    """Two camps and people without preferences: the same on every pair, different on best of three."""
    fig = Figure(figsize=(10, 3))
    left, middle, right = fig.subplots(1, 3)
    left.vlines([-2, 2], 0, 0.5, color=BLUE, lw=5, label="two camps")
    left.vlines([0], 0, 1, color=ORANGE, lw=5, label="no preference")
    left.set(xlim=(-3.2, 3.2), ylim=(0, 1.25), xlabel="taste β", ylabel="share of people", title="two populations")
    left.legend(frameon=False, loc="upper left", fontsize=9)
    x = np.linspace(-3, 3, 41)
    middle.plot(x, [pair(camps(2.0), t) for t in x], color=BLUE, lw=4, label="two camps")
    middle.plot(
        x,
        [pair(an.Annotator(an.Linear([0.0]), an.Luce()), t) for t in x],
        "--",
        color=ORANGE,
        lw=2,
        label="no preference",
    )
    middle.set(
        ylim=(0, 1),
        xlabel="difference of the two items",
        ylabel="P(first is chosen)",
        title="one pair each: no difference",
    )
    s = np.linspace(0, 4, 41)
    right.plot(s, [best_of_three(camps(t)) for t in s], color=BLUE, lw=3)
    right.axhline(1 / 3, color=ORANGE, ls="--", lw=2)
    right.set(
        ylim=(0.3, 0.5),
        xlabel="strength s of the camps",
        ylabel="P(a), a against b and its copy",
        title="one best of three: a difference",
    )
    fig.tight_layout(w_pad=2)
    save(fig, "twins")


def divergence(truth: an.Population, other: an.Population, design: an.Design) -> float:
    """Nats per annotator by which the other law is worse."""
    p, q = an.law(truth, design).probabilities, an.law(other, design).probabilities
    return float((p * np.log(p / q)).sum())


def four_shapes() -> None:
    """The expected loss along one direction: identified, not identified, singular, and a twin."""
    items = an.Items(features=[[0.0, 0.0], [1.0, 0.0], [0.3, 1.0], [-0.8, 0.6]])
    pairs, threes = an.Design(items, menu_size=2), an.Design(items, menu_size=3)
    table = an.Annotator(an.Tabular([0.0, 1.0, 0.3, -0.8]), an.Luce())

    def linear(w: float) -> an.Annotator:
        return an.Annotator(an.Linear([w, 0.0]), an.Luce())

    def shifted(c: float) -> an.Annotator:
        return an.Annotator(an.Tabular([c, 1.0 + c, 0.3 + c, -0.8 + c]), an.Luce())

    def two(s: float) -> an.Mixture:
        return an.Mixture([an.Annotator(an.Linear([b, 0.0]), an.Luce()) for b in (s, -s)])

    def towards_twin(t: float) -> an.Mixture:
        kinds = [an.Annotator(an.Linear([b, 0.0]), an.Luce()) for b in (2.0, -2.0 * (1 - t))]
        return an.Mixture(kinds, [0.7 - 0.3 * t, 0.3 + 0.3 * t])

    shapes = [
        (
            "identified",
            "weight of a feature",
            np.linspace(0, 2, 41),
            lambda w: divergence(linear(1.0), linear(w), pairs),
        ),
        (
            "not identified",
            "level of all utilities",
            np.linspace(-1, 1, 41),
            lambda c: divergence(table, shifted(c), pairs),
        ),
        ("singular", "distance of two camps", np.linspace(-1, 1, 41), lambda s: divergence(two(0.0), two(s), threes)),
        (
            "a twin",
            "from one to the other",
            np.linspace(-0.25, 1.25, 61),
            lambda t: divergence(towards_twin(0.0), towards_twin(t), pairs),
        ),
    ]
    fig = Figure(figsize=(9, 2.6))
    for ax, (title, where, grid, loss) in zip(fig.subplots(1, 4), shapes, strict=True):
        values = np.array([loss(t) for t in grid])
        top = max(values.max(), 0.01)
        ax.plot(grid, values, color=BLUE, lw=3)
        ax.set(title=title, xlabel=where, ylim=(-0.08 * top, top))
        ax.set_xticks([])
        ax.set_yticks([0], ["0"])
        ax.xaxis.label.set_size(10)
    fig.axes[0].set_ylabel("loss (nats)")
    fig.tight_layout()
    save(fig, "four_shapes")


def normalisation() -> None:
    """Three tables of utilities that give the same answers."""
    fig = Figure(figsize=(10, 2.7))
    utilities = np.array([0.0, 1.0, 0.3, -0.8])
    tables = [utilities, utilities + 1.5, utilities - utilities.mean()]
    names = ["item A at zero", "all raised by 1.5", "mean zero: what annosim reports"]
    for ax, table, name in zip(fig.subplots(1, 3, sharey=True), tables, names, strict=True):
        law = an.law(an.Annotator(an.Tabular(table), an.Luce()), an.Design(an.Items(n=4), menus=[[0, 1, 2, 3]]))
        ax.bar(list("ABCD"), table, color=BLUE, width=0.6)
        ax.axhline(0, color=GREY, lw=0.8)
        for place, share in enumerate(np.asarray(law.probabilities)):
            ax.text(place, max(table[place], 0) + 0.12, f"{share:.2f}", ha="center", fontsize=9, color=ORANGE)
        ax.set(title=name, ylim=(-1.3, 3.1))
    fig.axes[0].set_ylabel("utility")
    fig.tight_layout()
    save(fig, "normalisation")


def one_reward() -> None:
    """What one Bradley-Terry model makes of two annotators who want different things, from infinite data."""
    x = np.linspace(-6, 7, 131)
    items = an.Items(features=x[:, None])
    wanted = [np.exp(-0.5 * ((x - m) / s) ** 2) / s for m, s in ((-2.5, 0.5), (2.5, 1.0))]
    people = an.Mixture([an.Annotator(an.Tabular(np.log(p)), an.Luce()) for p in wanted], [0.4, 0.6])
    learned = an.project(an.Annotator(an.Tabular(len(x)), an.Luce()), people, an.Design(items, menu_size=2))
    density = np.exp(learned.population.utility(items).detach().numpy())
    fig = Figure(figsize=(8, 2.8))
    ax = fig.subplots()
    for p, share in zip(wanted, (0.4, 0.6), strict=True):
        ax.fill_between(x, share * p / np.trapezoid(p, x), color=PALE, label="the two annotators, by their shares")
    ax.plot(x, density / np.trapezoid(density, x), color=ORANGE, lw=3, label="one Bradley-Terry model")
    ax.set(xlabel="response", ylabel="density", ylim=(0, None))
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[1:], labels[1:], frameon=False)
    save(fig, "one_reward")


def rooms() -> None:
    """The order of rooms of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = [
        layer.replace("(", "").replace(")", "") for layer in project["tool"]["importlinter"]["contracts"][0]["layers"]
    ]
    fig = Figure(figsize=(8, 0.42 * len(layers)))
    ax = blank(fig.subplots(), 16, 0.84 * len(layers))
    for number, layer in enumerate(reversed(layers)):
        words = "  ·  ".join(name.strip() for name in layer.split(":"))
        box(ax, 0.2, 0.84 * number + 0.1, 15.6, 0.6, words.replace("annotators  ·  ", "annotators  ·  "), BLUE)
    save(fig, "rooms")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with mpl.rc_context(RC):
        for draw in (kinds_of_data, data_law, twins, four_shapes, normalisation, one_reward, rooms):
            draw()


if __name__ == "__main__":
    main()
