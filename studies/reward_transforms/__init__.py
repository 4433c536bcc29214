"""Transforming and combining rewards: log-sigmoid centring against raw rewards, exactly and in a whole pipeline."""

from __future__ import annotations

import numpy as np
import pandas as pd

from annosim.study import Cell, Preset, Study, t_interval

from . import exact, fair, pipeline
from .claims import aggregate, exact_statements, gain, over_path, pipeline_statements, types_over_path
from .fair import SET_UP
from .figures import FIGURES

#: probability that both beat their 85 % quantile, best of 64 with two independent N(0, 1) rewards: of ``64 F(s)^63``
#: integrated over the good pairs, where F is the law of the score s of one response
SHARES = {"raw sum": 0.57641, "lsc sum": 0.67983, "minimum": 1 - (1 - 0.15**2) ** 64}


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
    for types in (3, 2):
        world = {"prompts": 20, "responses": responses, "kls": kls, "types": types}
        yield Cell(fair.aggregate_types, world, replicates=2 * replicates)
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
    """When LSC works, when not, and by how much, in the words of the verdicts."""
    verdict = {claim.id: claim.verdict for claim in claims}
    kls = found.settings["kls"]
    few, many = min(kls), max(kls)

    def points(world, better, worse, name):
        """The mean over the path in points, and its two ends."""
        mean = over_path(found, world, better, worse, name, kls).value
        ends = (gain(found, world, better, worse, name, kl).value for kl in (few, many))
        return f"{100 * mean:+.1f} points ({', '.join(f'{100 * e:+.1f} at KL {k:g}' for e, k in zip(ends, (few, many), strict=True))})"

    def word(id):
        return {"supported": "is ahead", "contradicted": "is behind"}.get(
            verdict[id], "is neither ahead nor behind for sure"
        )

    single = ("helpful, LSC", "helpful, raw")
    sums = ("LSC sum", "raw sum", "both_good")
    log_good = [gain(found, "clean", "LSC sum", "raw sum", "log_good", kl).value for kl in kls]
    price = gain(found, "clean", *single, "utility_helpful", kls[len(kls) // 2]).value
    worst = [t_interval(aggregate(found, "worst", way, many)).value for way in ("LSC sum", "mean utility", "minimum")]
    two = [t_interval(aggregate(found, "worst", way, many, types=2)).value for way in ("minimum", "LSC sum")]
    leads = "leads at every KL" if verdict["P2.log_good.clean"] == "supported" else "does not lead at every KL"
    clean = {kl: 100 * gain(found, "clean", *sums, kl).value for kl in kls}
    lowest, ahead = min(clean, key=clean.get), [kl for kl in kls if clean[kl] > 0]
    crossed = all(verdict.get(f"P2.crossover.{end}") == "supported" for end in ("low", "high"))
    behind = f"costs up to {-clean[lowest]:.1f} points (at KL {lowest:g})" if clean[lowest] < 0 else "costs nothing"
    pays = f"pays {clean[many]:+.1f} at KL {many:g}" if clean[many] > 0 else f"does not pay at KL {many:g} either"
    from_there = f", from KL {min(ahead):g} on" if crossed and ahead else ""
    path_of_types, at_few = (types_over_path(found, "worst", "LSC sum", "mean utility", at) for at in (kls, [few]))
    more = {"supported": "finds more good responses than", "contradicted": "finds fewer good responses than"}
    types = [more.get(verdict[id], "is not told apart from that") for id in ("E.worst", "E.minimum")]
    return (
        f"Where reward models carry a shortcut and prompts differ, LSC {word('P1.helpful.shortcut')}, on average over equal KL of "
        f"{few:g} to {many:g}: it beats the 85 % quantile of the helpful reward by {points('shortcut', *single, 'beat_helpful')} "
        f"against the raw reward, with {points('shortcut', *single, 'shortcut')} of mass on the shortcut; its sum of two rewards "
        f"{word('P2.raw_sum.shortcut')} in responses good in both, {points('shortcut', *sums)}. In a world without a shortcut "
        f"and with equal prompts the LSC sum {behind} and {pays}{from_there}. In the quantity of its own theory, E log P(good in every "
        f"property), it {leads} there ({min(log_good):+.2f} to {max(log_good):+.2f} nats). One LSC reward instead of one raw reward "
        f"costs {-price:.2f} logits of mean utility at KL {kls[len(kls) // 2]:g}. Over three hidden types ({SET_UP}) its "
        f"worst-served type {types[0]} under the mean utility ({worst[0]:.0%} against {worst[1]:.0%} at KL {many:g}; over the path "
        f"{100 * path_of_types.value:+.1f} points, at KL {few:g} {100 * at_few.value:+.1f}), and {types[1]} under the minimum over types "
        f"({worst[2]:.0%}); with the first two of these types alone the minimum {_OF_TWO[verdict['E.two']]} ({two[0]:.0%} against "
        f"{two[1]:.0%})."
    )


_OF_TWO = {
    "supported": "serves the worst better",
    "contradicted": "does not serve the worst better either",
    "inconclusive": "and the LSC sum are not told apart",
    "not judged": "and the LSC sum are not told apart here",
}


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
