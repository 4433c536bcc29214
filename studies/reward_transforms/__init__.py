"""Transforming and combining rewards: log-sigmoid centring against raw rewards, exactly and in a whole pipeline."""

from __future__ import annotations

import numpy as np
import pandas as pd

from annosim.study import Cell, Preset, Study, t_interval

from . import exact, fair, pipeline
from .claims import aggregate, exact_statements, gain, pipeline_statements
from .figures import FIGURES

#: both beat their 85 % quantile, best of 64 with two independent rewards
SHARES = {"raw sum": 0.574, "lsc sum": 0.679, "minimum": 0.763}


def cells(prompts, responses, pairs, few_pairs, replicates, kls, ks, draws, worlds, steps, members, gradients):
    """Exact worlds once; the pipeline with replicates."""
    yield from _exact_cells(draws, worlds)
    size = {"prompts": prompts, "responses": responses, "pairs": pairs}
    for world in ("shortcut", "clean"):
        common = {"replicates": replicates, "seed_name": f"world/{world}"}
        yield Cell(pipeline.frontier, {"world": world, **size, "kls": kls}, **common)
        yield Cell(pipeline.calibration, {"world": world, **size}, **common)
    common = {"replicates": replicates, "seed_name": "world/shortcut"}
    yield Cell(pipeline.best_of, {"world": "shortcut", **size, "ks": ks}, **common)
    yield Cell(pipeline.reference_values, {"world": "shortcut", **size, "kl": 1.0}, **common)
    path = {"kls": [0.02, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0], "ks": ks, "members": members}
    yield Cell(
        pipeline.overoptimisation, {"world": "harmful", **size, "pairs": few_pairs, **path}, replicates=replicates
    )
    yield Cell(fair.aggregate_types, {"prompts": 20, "responses": responses, "kls": kls}, replicates=2 * replicates)
    yield Cell(pipeline.softmax_gradient, {"gamma": 0.5, "steps": steps}, replicates=gradients)
    yield Cell(pipeline.token_gradient, {"gamma": 1.0, "steps": steps}, replicates=gradients)


def _exact_cells(draws, worlds):
    for gamma, reward in ((2.0, 10.0), *((1.0, r) for r in (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0))):
        yield Cell(exact.shortcut, {"gamma": gamma, "reward": reward})
    for gamma in (1.0, 2.0):
        yield Cell(exact.exponential_tail, {"gamma": gamma, "tops": [10, 20, 40, 80]})
    yield Cell(exact.spread_of_prompts, {"kl": 1.0, "spreads": [0.5, 1.0, 2.0, 4.0], "points": 20_001})
    for function in (exact.bounds_on_random_worlds, exact.best_of_k_invariance, exact.best_of_n_bounds):
        yield Cell(function, {"worlds": worlds})
    for rho in (-0.5, 0.0, 0.5):
        yield Cell(exact.two_rewards, {"k": 64, "rho": rho, "draws": draws})
    yield Cell(exact.cold_limit, {"gammas": [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5]})
    yield Cell(exact.normalisation_of_lsc)
    for strength in (0.0, 0.5, 1.0, 2.0):
        yield Cell(exact.dependence, {"strength": strength})


def claims(kls, ks, steps):
    """Statements S1 to S8, then the paper's claims."""
    yield from exact_statements(SHARES)
    yield from pipeline_statements(kls, ks, steps)


def finding(found, claims):
    """When LSC works, when not, and by how much."""
    kls = found.settings["kls"]
    kl, few, many = (1.0 if 1.0 in kls else kls[0]), min(kls), max(kls)
    single = gain(found, "shortcut", "helpful, LSC", "helpful, raw", "beat_helpful", kl)
    hacked = gain(found, "shortcut", "helpful, LSC", "helpful, raw", "shortcut", kl)
    both = {
        (w, k): gain(found, w, "LSC sum", "raw sum", "both_good", k).value for w in ("shortcut", "clean") for k in kls
    }
    log_good = [gain(found, "clean", "LSC sum", "raw sum", "log_good", k).value for k in kls]
    price = gain(found, "clean", "helpful, LSC", "helpful, raw", "utility_helpful", kl).value
    fair_at = [t_interval(aggregate(found, "worst", way, many)).value for way in ("LSC sum", "mean utility")]
    return (
        f"Where reward models carry a shortcut and prompts differ, LSC works: at KL {kl:g} it beats the 85 % quantile "
        f"{100 * single.value:.0f} points more often than the raw reward, gives the shortcut {-100 * hacked.value:.1f} points "
        f"less mass, and its sum makes {100 * both['shortcut', kl]:.1f} points more responses good in both rewards. Without "
        f"shortcut it loses to the raw sum at KL {few:g} ({100 * both['clean', few]:+.1f} points) and wins at KL {many:g} "
        f"({100 * both['clean', many]:+.1f}); in the quantity of its own theory, E log P(good in every property), it wins at every "
        f"KL (by {min(log_good):.2f} to {max(log_good):.2f} nats). Its price is {-price:.2f} logits of mean utility. Over hidden "
        f"types instead of properties it is fair: at KL {many:g} the worst-served type finds {fair_at[0]:.0%} of responses good, against "
        f"{fair_at[1]:.0%} under the mean utility."
    )


def dependence_errors(found):
    """log P(good in both) minus the sum of log-probabilities, when annotators share a leniency: the sum of two LSC
    rewards is too pessimistic by this much."""
    rows = found.rows("dependence")
    table = pd.DataFrame(rows)[["strength", "reward", "error"]]
    table.columns = ["s.d. of the common leniency (logits)", "reward (logits)", "error (nats)"]
    return table


def overoptimisation_forms(found):
    """Least squares fits of d (alpha - beta d) and d (alpha - beta log d), d = sqrt(KL), to the mean truth along both
    paths of one reward model: root mean squared error in logits (2210.10760 fits the first to best of n and the second
    to reinforcement learning)."""
    rows = [r for r in found.rows("overoptimisation") if r["score"] == "one model" and r["d"] > 0]
    out = []
    for method in ("Gibbs", "best of n"):
        mine = [r for r in rows if r["method"] == method]
        at = sorted({r["at"] for r in mine})
        d = np.array([np.mean([r["d"] for r in mine if r["at"] == a]) for a in at])
        gold = np.array([np.mean([r["gold"] for r in mine if r["at"] == a]) for a in at])
        for form, second in (("d (alpha - beta d)", -d * d), ("d (alpha - beta log d)", -d * np.log(d))):
            table = np.stack([d, second], 1)
            (alpha, beta), *_ = np.linalg.lstsq(table, gold, rcond=None)
            error = float(np.sqrt(np.mean((table @ [alpha, beta] - gold) ** 2)))
            out.append({"path": method, "form": form, "alpha": alpha, "beta": beta, "error (logits)": error})
    return pd.DataFrame(out)


def frontier_table(found):
    """Means over replicates at every KL: win rates against the 85 % quantile, good in both, mass on the shortcut."""
    frame = found.frame("frontier")
    names = ["beat_helpful", "beat_harmless", "both_good", "shortcut", "utility_helpful", "spread_helpful"]
    return frame.groupby(["world", "scheme", "at"])[names].mean().reset_index().replace(np.nan, None)


_QUICK = {
    "prompts": 40,
    "responses": 64,
    "pairs": 2000,
    "few_pairs": 300,
    "replicates": 8,
    "kls": [0.25, 0.5, 1.0, 2.0, 3.0],
    "ks": [1, 4, 16, 64],
    "draws": 200_000,
    "worlds": 100,
    "steps": 1000,
    "members": 4,
    "gradients": 2,
}
_PAPER = _QUICK | {
    "prompts": 200,
    "pairs": 10_000,
    "replicates": 40,
    "kls": [0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0],
    "ks": [1, 2, 4, 8, 16, 32, 64, 128],
    "draws": 2_000_000,
    "worlds": 1000,
    "steps": 3000,
    "members": 5,
    "gradients": 8,
}

STUDY = Study(
    name="reward_transforms",
    title="Transforming and combining rewards",
    paper="Wang, Nagpal, Berant, Eisenstein, D'Amour, Koyejo, Veitch: Transforming and Combining Rewards for Aligning "
    "Large Language Models (2402.00742, ICML 2024)",
    presets={"quick": Preset(0.75, _QUICK, decisive=False), "paper": Preset(10, _PAPER)},
    cells=cells,
    claims=claims,
    figures=FIGURES,
    tables=[frontier_table, overoptimisation_forms, dependence_errors],
    finding=finding,
)
