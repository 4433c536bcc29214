"""L2: transformers as reward models of two properties, and policies that combine them raw or by log-sigmoid centring."""

from __future__ import annotations

import numpy as np
import torch

import annosim as an
from annosim.analysis import calibration_slope, kl_divergence, win_rate_quantile

from .grammar import LONG, SITUATIONS, TONE, Suits, split
from .transformer import adam, log_policy, policy, reward, trained

LEVEL = 0.85
#: log-odds that the flattering opener adds to an annotator's answer; the truth does not care for it
BIAS = {"shortcut": 3.0, "clean": 0.0}


def properties(rng: np.random.Generator) -> dict:
    """Two true rewards as functions of items: *helpful*, a noun that suits the prompt, at length; *polite*, the tone, more
    or less so by the situation, and the opener."""
    suits, moods = Suits(rng), rng.normal(size=(len(SITUATIONS), len(TONE))) * 0.5
    manners = np.array([0.0, 0.6, -0.4, 0.0])
    return {
        "helpful": lambda items: 1.3 * suits(items) + 0.5 * LONG[items.columns["tail"]],
        "polite": lambda items: (
            1.2 * TONE[items.columns["adjective"]]
            + moods[items.columns["situation"], items.columns["adjective"]]
            + manners[items.columns["opener"]]
        ),
    }


def combined_rewards(world, responses, shape, steps, rate, batch, kls, ks, reference, seed, device):
    """L2. Reward models from one epoch of ``steps x batch`` pairs of people who cannot resist flattery (or can), exact policies, judged by the truth.

    Rows: one per scheme and KL (``by="tilt"``, the exact Gibbs policy of that KL) or number of draws (``by="best of n"``,
    its exact law), on prompts that nobody was asked about, over all of the grammar's answers.
    """
    rng = np.random.default_rng(seed)
    true = properties(rng)
    items, held_out = split(rng, responses)
    learned, slopes = {}, {}
    for name, u in true.items():
        s = int(rng.integers(2**31))
        rule = an.rules.AttributeBias(an.Luce(), BIAS[world], "flattery") if BIAS[world] else an.Luce()
        people = an.Annotator(an.Tabular(u(items)), rule)
        data = an.simulate(people, an.Design(items, annotators=steps * batch), seed=s)
        model = an.Annotator(reward(shape, s), an.Luce())
        found = trained(model, data, solver=adam(steps, rate, batch), seed=s, device=device).population
        with torch.no_grad():
            learned[name] = found.utility(held_out).double().cpu().numpy()
        asked = an.simulate(
            an.Annotator(an.Tabular(u(held_out)), an.Luce()), an.Design(held_out, annotators=4000), seed=s
        )
        gap = learned[name][asked.menu[:, 0]] - learned[name][asked.menu[:, 1]]
        slopes[f"slope_{name}"] = calibration_slope(gap, asked.answer == 0).slope
    pi0 = np.exp(log_policy(policy(shape, weights=reference["weights"]), held_out))
    judge = Judge({name: u(held_out) for name, u in true.items()}, held_out, pi0)
    rows = []
    for scheme, utility in schemes(learned, pi0).items():
        tilts = {kl: an.policies.gibbs_at_kl(pi0, utility, kl, held_out) for kl in kls}
        draws = {k: an.policies.best_of_n(pi0, utility, k) for k in ks}
        for by, made in (("tilt", tilts), ("best of n", draws)):
            rows += [{"scheme": scheme, "by": by, "at": float(at), **judge(one), **slopes} for at, one in made.items()]
    return rows


def schemes(learned: dict, pi0: np.ndarray) -> dict:
    """What is maximised: one reward raw or transformed, and two of them combined."""
    raw = {name: an.Tabular(values).frozen() for name, values in learned.items()}
    bar = an.policies.reference_quantile(pi0, LEVEL)
    lsc = {name: an.policies.lsc(u, bar) for name, u in raw.items()}
    return {
        "helpful, raw": raw["helpful"],
        "helpful, LSC": lsc["helpful"],
        "raw sum": an.policies.weighted_sum(list(raw.values())),
        "LSC sum": an.policies.all_of(*lsc.values()),
        "minimum": an.policies.ensemble(list(raw.values()), "minimum"),
    }


class Judge:
    """What the truth says of a policy: how often it is good, that is above the reference's 85 % quantile."""

    def __init__(self, true: dict, items: an.Items, pi0: np.ndarray):
        self.true, self.items, self.pi0 = true, items, pi0
        bar = an.policies.reference_quantile(pi0, LEVEL)
        code = items.prompts.numpy()
        over = {name: u - bar(torch.as_tensor(u), items).numpy()[code] for name, u in true.items()}
        self.both = np.prod([gap > 0 for gap in over.values()], axis=0)
        self.log_good = -sum(np.logaddexp(0, -gap) for gap in over.values())

    def __call__(self, made) -> dict:
        """Numbers of one policy, means over prompts."""
        mass = made.mass(self.items).numpy() / self.items.num_prompts
        return {
            "kl": kl_divergence(made, self.pi0, self.items),
            "beat_helpful": win_rate_quantile(made, self.true["helpful"], self.items, self.pi0, LEVEL),
            "both_good": float(mass @ self.both),
            "log_good": float(mass @ self.log_good),
            "flattery": float(mass @ self.items.columns["flattery"]),
            "utility": float(mass @ sum(self.true.values())),
        }
