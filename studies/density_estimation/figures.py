"""Figures of the toy experiments: densities as in the paper, heat maps of preferences."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_opening

from annosim import plotting

from . import world
from .claims import near


def _panel(axes, found, experiment, value, title):
    cell = found.rows("exact", experiment=experiment, value=value)[0]
    plotting.density(axes, cell["x"], cell["star"], "p*", index=0, fill=True)
    plotting.density(axes, cell["x"], cell["reference"], "pi0", index=6, linestyle=":")
    plotting.density(axes, cell["x"], cell["projected"], "infinite data", index=2, linestyle="--")
    fitted = experiment in found.settings["networks"]
    rows = found.rows("network", experiment=experiment, value=value) if fitted else []
    for number, row in enumerate(rows):
        axes.plot(
            row["x"],
            row["learned"],
            color=plotting.colour(1),
            alpha=0.7,
            linewidth=1.4,
            label="network, 2^15 pairs" if number == 0 else None,
        )
    for side in ("left", "right"):
        axes.plot(cell[f"{side}_at"], cell[f"{side}_peak"], "v", color="black", markersize=6)
        shift = (-8, 4) if side == "left" else (8, 4)
        axes.annotate(
            f"{cell[f'{side}_peak']:.3f}",
            (cell[f"{side}_at"], cell[f"{side}_peak"]),
            xytext=shift,
            textcoords="offset points",
            ha="right" if side == "left" else "left",
            fontsize=11,
        )
    axes.set_xlim(-10, 10)
    axes.set_ylim(0, 0.8)
    plotting.label(axes, "x", "density", title)


def _row(found, experiment, titles):
    values = world.SETTINGS[experiment]
    fig, axes = plotting.figure(1, len(values), width=4.9 * len(values) if len(values) > 1 else 7.5, height=4.0)
    for ax, value, title in zip(axes[0], values, titles, strict=True):
        _panel(ax, found, experiment, value, title)
    plotting.legend(axes[0, -1], loc="upper right")
    return fig


def dpo(found):
    """E2. DPO fitted to a Luce annotator learns pi0 p*^(1/beta) / Z. Triangles: its peaks."""
    return _row(found, "E2", [f"E2: DPO, beta = {v:g}" for v in world.SETTINGS["E2"]])


def reward(found):
    """E1. A reward model of a Luce annotator: exp(reward) / Z is the implicit preference density. The reward itself is
    log p* up to one constant where the data are (white), and anything in the tails (grey)."""
    fig, axes = plotting.figure(1, 2, width=13, height=4.2)
    _panel(axes[0, 0], found, "E1", 0.0, "E1: reward model, exp(r) / Z")
    plotting.legend(axes[0, 0], loc="upper right")
    ax, rows = axes[0, 1], found.rows("network", experiment="E1", value=0.0)
    items = world.grid(len(rows[0]["x"]))
    x, star = rows[0]["x"], world.p_star()(items).detach().numpy()
    seen = np.exp(star) * world.reference()(items).exp().numpy() > 1e-4
    plotting.density(ax, x, star, "log p*", index=0)
    for number, row in enumerate(rows):
        shifted = row["reward"] - (row["reward"] - star)[seen].mean()
        ax.plot(
            x,
            shifted,
            color=plotting.colour(1),
            alpha=0.8,
            linewidth=1.4,
            label="reward, shifted" if number == 0 else None,
        )
    ax.fill_between(x, -40, 5, where=~seen, color="#888888", alpha=0.15, linewidth=0, step="mid")
    ax.set_ylim(-40, 5)
    ax.set_xlim(-10, 10)
    plotting.label(ax, "x", "log density", "E1: the reward itself")
    plotting.legend(ax, loc="lower center")
    return fig


def proposals(found):
    """E6. One Luce annotator, infinite data: IPO's optimum moves with the proposal, those of the likelihood do not."""
    cell = found.rows("proposals")[0]
    fig, axes = plotting.figure(1, 3, width=14, height=3.8)
    for ax, name, title in zip(
        axes[0], ("luce", "dpo", "ipo"), ("Luce", "DPO, beta = 4", "IPO, tau = 0.5"), strict=True
    ):
        plotting.density(ax, cell["x"], cell[f"{name}_here"], "pairs from pi0", index=0, fill=True)
        plotting.density(ax, cell["x"], cell[f"{name}_elsewhere"], "pairs from N(3, 2)", index=1, linestyle="--")
        ax.set_xlim(-10, 10)
        ax.set_ylim(0, 1.1 * max(cell[f"{name}_here"].max(), cell[f"{name}_elsewhere"].max()))
        plotting.label(ax, "x", "density", f"{title}: TV {cell[f'tv_{name}']:.2g}")
    plotting.legend(axes[0, 0], loc="upper right")
    return fig


def dpo_annotator(found):
    """E3. The same rule on both sides: a DPO annotator is recovered by DPO."""
    return _row(found, "E3", ["E3: DPO annotator, DPO learner, beta = 4"])


def geometric(found):
    """E4. Geometric averages pi0^(1 - alpha) p*^alpha / Z."""
    return _row(found, "E4", [f"E4: geometric, alpha = {v:g}" for v in world.SETTINGS["E4"]])


def ipo(found):
    """E6. IPO learns pi0 exp(E P(x > x') / tau) / Z, which depends on the proposal even for a Luce annotator."""
    return _row(found, "E6", [f"E6: IPO, tau = {v:g}" for v in world.SETTINGS["E6"]])


def slic_densities(found):
    """E5. SLiC's exact optimum is a staircase in steps of the margin; the forward KL term smooths it."""
    fig, axes = plotting.figure(1, 2, width=13, height=4.6, sharey=True)
    for ax, weight in zip(axes[0], (0.0, 1.0), strict=True):
        rows = found.rows("slic_exact", weight=weight)
        items = world.grid(len(rows[0]["x"]))
        plotting.density(ax, rows[0]["x"], world.p_star()(items).detach().exp(), "p*", index=0, fill=True)
        for number, row in enumerate(rows):
            ax.step(
                row["x"],
                row["projected"],
                where="mid",
                color=plotting.colour(number + 1),
                linewidth=1.8,
                label=f"delta = {row['delta']:g}",
            )
        for row in found.rows("slic_network", delta=1.0, weight=weight):
            ax.plot(row["x"], row["learned"], color="black", alpha=0.6, linewidth=1.2)
        ax.plot([], [], color="black", alpha=0.6, linewidth=1.2, label="network, delta = 1")
        ax.set_xlim(-10, 10)
        ax.set_ylim(0, 1.4)
        plotting.label(ax, "x", "density", "E5: no regulariser" if weight == 0 else "E5: forward KL, weight 1")
    plotting.legend(axes[0, 1], loc="upper right")
    return fig


def one_model(found):
    """E7. One model of two annotators has one mode, at 1.5, and none where 40 % of the answers come from."""
    cell = found.rows("one_model_exact")[0]
    items = world.grid(len(cell["x"]))
    fig, axes = plotting.figure(width=8, height=4.6)
    ax = axes[0, 0]
    plotting.density(ax, cell["x"], world.left()(items).exp() * 0.4, "0.4 x annotator 1", index=0, fill=True)
    plotting.density(ax, cell["x"], world.right()(items).exp() * 0.6, "0.6 x annotator 2", index=4, fill=True)
    plotting.density(ax, cell["x"], cell["projected"], "one model, infinite data", index=2, linestyle="--")
    for number, row in enumerate(found.rows("one_model_network")):
        ax.plot(
            row["x"],
            row["learned"],
            color=plotting.colour(1),
            alpha=0.7,
            linewidth=1.4,
            label="network, 2^15 pairs" if number == 0 else None,
        )
    top = cell["projected"].max()
    ax.plot(cell["mode_at"], top, "v", color="black", markersize=7)
    ax.annotate(
        f"mode at {cell['mode_at']:.2f}",
        (cell["mode_at"], top),
        xytext=(-75, 45),
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": "#555555"},
    )
    ax.set_xlim(-10, 10)
    plotting.label(ax, "x", "density", "E7: two annotators, one model")
    return plotting.legend(ax, loc="upper right").get_figure()


def two_models(found):
    """E8. Two models and their shares, fitted to anonymous answers: exact (left), networks on 2^15 pairs (right)."""
    fig, axes = plotting.figure(1, 2, width=12, height=4.4, sharey=True)
    cell = found.rows("two_models_exact")[0]
    items = world.grid(len(cell["x"]))
    for ax in axes[0]:
        plotting.density(ax, cell["x"], world.left()(items).exp(), "annotator 1", index=0, fill=True)
        plotting.density(ax, cell["x"], world.right()(items).exp(), "annotator 2", index=4, fill=True)
        ax.set_xlim(-6, 8)
    ax = axes[0, 0]
    plotting.density(ax, cell["x"], cell["left"], "type 1", index=1, linestyle="--")
    plotting.density(ax, cell["x"], cell["right"], "type 2", index=2, linestyle="--")
    plotting.label(ax, "x", "density", f"infinite data: share of type 1 = {cell['weight_left']:.3f}")
    ax = axes[0, 1]
    rows = found.rows("two_models_network")
    for number, row in enumerate(rows):
        for side, index in (("left", 1), ("right", 2)):
            name = f"type {index}, network" if number == 0 else None
            ax.plot(row["x"], row[side], color=plotting.colour(index), alpha=0.7, linewidth=1.4, label=name)
    shares = [row["weight_left"] for row in rows]
    plotting.label(ax, "x", "", f"2^15 pairs, {len(rows)} seeds: share {min(shares):.3f} to {max(shares):.3f}")
    for ax in axes[0]:
        plotting.legend(ax, loc="upper right")
    return fig


def heat_maps(found):
    """E9. P(row > column), the paper's four panels. Two annotators: plateaus at 0.4 and 0.6 (outlined: within 1e-3),
    where each prefers another item and both are sure. Neither one annotator with the density mixture nor one fitted
    reward has them; a model of two types does (infinite data)."""
    cell = found.rows("plateaus")[0]
    fig, axes = plotting.figure(2, 2, width=10.5, height=9)
    panels = {
        "mixture": "two annotators",
        "density": "one annotator, density mixture",
        "model": "one reward fitted to two annotators",
        "two_types": "two types fitted to two annotators",
    }
    for ax, (name, title) in zip(axes.ravel(), panels.items(), strict=True):
        values = np.asarray(cell[name], dtype=float)
        extent = (-10, 10, -10, 10)
        plotting.heatmap(ax, values, extent=extent, bar="P(A > B)", low=0.0, high=1.0, centre=0.5)
        if cell[f"plateau_{name}"][1] > 0.1:  # elsewhere a preference of .4 is passed, not rested on
            x = np.linspace(-10, 10, len(values))
            flat = np.minimum(np.abs(values - 0.4), np.abs(values - 0.6)) < 1e-3
            flat = binary_opening(flat, np.ones((5, 5)))  # lines along which .4 is only crossed are no plateau
            ax.contour(x, x, flat.astype(float), levels=[0.5], colors="black", linewidths=1.2)
        share = cell[f"plateau_{name}"][1]
        plotting.label(ax, "B", "A", f"{title}\n{100 * share:.1f} % of the pairs on a plateau")
    return fig


def online_rounds(found):
    """E14. Online DPO of two annotators, exact: every round draws pairs from the policy that the last one left; round 0 is pi0.
    Left: mass left of zero, where the annotator with 40 % of the answers has all of theirs (thin: from 8,192 fresh pairs a
    round). Middle: mass within three standard deviations of that annotator's peak. Grey: the .4 that would be due. Right: the
    policies with a moving reference."""
    fig, axes = plotting.figure(1, 3, width=18.5, height=4.6)
    cases = (
        ("fixed", 0.0, "reference fixed"),
        ("moving", 0.0, "reference moving"),
        ("moving", 0.5, "moving, half from pi0"),
    )
    for index, (reference, mixing, name) in enumerate(cases):
        left = found.get("online", "left", reference=reference, mixing=mixing)
        rounds = np.arange(len(left))
        plotting.line(axes[0, 0], rounds, left, name, index, markers=True)
        plotting.line(axes[0, 1], rounds, near(found, reference, mixing), name, index, markers=True)
        for row in found.rows("online_finite", reference=reference) if not mixing else ():
            axes[0, 0].plot(
                np.arange(len(row["left"])), row["left"], color=plotting.colour(index), linewidth=0.8, alpha=0.6
            )
    for axis, words in ((axes[0, 0], "left of zero"), (axes[0, 1], "near the narrow annotator")):
        axis.axhline(0.4, color="0.6", zorder=0)
        axis.set_ylim(0, 0.55)
        plotting.label(axis, "round", "mass", words)
    plotting.legend(axes[0, 1], loc="upper right")
    cell = found.rows("online", reference="moving", mixing=0.0)[0]
    for index, number in enumerate((1, 3, 6, 12)):
        plotting.density(axes[0, 2], cell["x"], cell["density"][number], f"round {number}", index)
    axes[0, 2].set_ylim(0, 1.08 * float(np.max(cell["density"])))
    axes[0, 2].set_xlim(-6, 6)
    plotting.label(axes[0, 2], "x", "density", "policies, reference moving")
    plotting.legend(axes[0, 2])
    return fig
