"""L1: annotators of two or three hidden types, and policies trained for them: EM-DPO, one DPO, k-means and a DPO each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.cluster.vq import kmeans2

import annosim as an
from annosim.analysis import adjusted_rand, assign, clustering_accuracy, kl_divergence, win_rate

from .grammar import CHEERFUL, LONG, PROMPT_LENGTH, TONE, WORDS, Suits, split
from .transformer import QUIET, adam, log_policy, normalised, policy, trained

BETA = 1.0
SHARES = {2: (0.6, 0.4), 3: (0.45, 0.35, 0.2)}
MENU = {"pairs": 2, "best of three": 3}
#: ways to make one policy of those that EM found, and one that never asked for types
SINGLE = ("pooled DPO", "uniform mixture", "largest type's own", "min-max regret")


def tastes(kind: str, types: int, suits: Suits, items: an.Items) -> np.ndarray:
    """True rewards ``(types, n)``: all want nouns that suit the prompt; they are of opposite minds about tone and length.

    ``plain``: the first want warm and long answers, the second cold and short ones, the third (if there is one) polite
    openers. ``turning``: warm at a feast, a wedding, a voyage and cold elsewhere, or the other way round, so that no
    word is anybody's favourite.
    """
    c = items.columns
    tone, long, polite = TONE[c["adjective"]], LONG[c["tail"]], np.array([0.0, 1.0, -1.0, 0.0])[c["opener"]]
    turn = np.where(np.isin(c["situation"], CHEERFUL), 1.0, -1.0) if kind == "turning" else 1.0
    taste = turn * (1.6 * tone + 0.8 * long)
    return 0.7 * suits(items) + np.stack([taste, -taste, 2.0 * polite])[:types]


def hidden_types(kind, types, answers, questions, responses, shape, steps, rate, batch, reference, seed, device):
    """L1. All methods on one epoch of ``steps x batch`` answers, ``questions`` from each annotator; judged on prompts that nobody was asked about.

    Rows: one per method, with the share of annotators assigned rightly (beside that of an oracle who knows the true
    rewards), and what its policies are worth to the types: ``regret``, ``beta KL(pi_k || best policy of type k)`` for
    the policy matched to each type, in nats per prompt; ``win``, how often it beats the reference in type k's eyes; and
    one row for each way of making one policy of EM's, with the regret of the worst type.
    """
    rng = np.random.default_rng(seed)
    suits = Suits(rng)
    items, held_out = split(rng, responses)
    truth = an.Mixture(
        [an.Annotator(an.Tabular(u), an.Luce()) for u in tastes(kind, types, suits, items)], weights=list(SHARES[types])
    )
    design = an.Design(items, menu_size=MENU[answers], annotators=steps * batch // questions, questions=questions)
    data = an.simulate(truth, design, seed=int(rng.integers(2**31)))
    learn = Learner(data.for_learner(), shape, reference["weights"], steps, rate, batch, seed, device)
    judge = Judge(
        tastes(kind, types, suits, held_out),
        held_out,
        log_policy(policy(shape, weights=reference["weights"]), held_out),
    )
    hidden, weights = np.asarray(data.truth["type"]), np.asarray(SHARES[types])
    own = [an.Tabular(u) for u in tastes(kind, types, suits, items)]
    oracle = (np.log(weights) + log_likelihoods(data, [u(items).detach().numpy() for u in own])).argmax(1)

    pooled = learn.dpo()
    em = learn.em(types, pooled)
    clusters = k_means(data, types, seed)
    found = {
        "oracle": ([learn.dpo(hidden == k) for k in range(types)], oracle),
        "EM-DPO": (em.population.types, np.asarray(em.responsibilities).argmax(1)),
        "k-means": ([learn.dpo(clusters == k) for k in range(types)], clusters),
        "one DPO": ([pooled] * types, None),
    }
    rows = []
    for name, (policies, label) in found.items():
        row = {"method": name, **judge.matched([log_policy(one.utility, held_out) for one in policies])}
        if label is not None:
            row |= {"assigned": clustering_accuracy(hidden, label), "rand": adjusted_rand(hidden, label)}
        rows.append(row)
    learned = [log_policy(one.utility, held_out) for one in em.population.types]
    share = em.population.weights.detach().numpy()
    return rows + judge.single(learned, share, log_policy(pooled.utility, held_out))


class Learner:
    """Policies of one shape trained on one data set, all from the same reference."""

    def __init__(
        self, data: an.PreferenceData, shape: dict, weights, steps: int, rate: float, batch: int, seed, device
    ):
        self.data, self.shape, self.weights, self.seed, self.device = data, shape, weights, seed, device
        per = data.rows // data.num_annotators
        self.adam = adam(steps, rate, max(1, batch // per))
        self.rule = an.PBDE.dpo(BETA, policy(shape, weights=weights))

    def blank(self) -> an.Annotator:
        """The reference itself, to be trained."""
        return an.Annotator(policy(self.shape, weights=self.weights), self.rule)

    def dpo(self, members: np.ndarray | None = None) -> an.Annotator:
        """DPO on the answers of all, or of some annotators ``(annotators,)`` bool; the reference where there are none."""
        rows = np.arange(self.data.rows) if members is None else np.flatnonzero(members[self.data.annotator_ids])
        if not len(rows):
            return self.blank()
        data = self.data.take(rows).compact()
        return trained(self.blank(), data, solver=self.adam, seed=self.seed, device=self.device).population

    def em(self, types: int, pooled: an.Annotator) -> an.Fit:
        """EM-DPO from the pooled policy with noise, a tenth of each tensor's root mean square.

        Where everybody answers once, the mixture's likelihood is maximised directly. Two epochs: in one the types hardly part.
        """
        rng = np.random.default_rng(self.seed)
        free = pooled.free_parameters()
        starts = [
            pooled.with_parameters(
                {
                    name: p + 0.1 * p.square().mean().sqrt() * torch.as_tensor(rng.normal(size=p.shape), dtype=p.dtype)
                    for name, p in free.items()
                }
            )
            for _ in range(types)
        ]
        a = replace(self.adam, steps=2 * self.adam.steps)
        schedule = {"steps": a.steps, "lr": a.lr, "batch": a.batch, "warmup": a.warmup, **QUIET}
        several = self.data.num_annotators < self.data.rows
        solver = an.EM(e_step_every=10, **schedule) if several else a
        return trained(an.Mixture(starts), self.data, solver=solver, seed=self.seed, device=self.device)


class Judge:
    """True rewards ``(types, n)`` on held-out items, and the policies that would be best for each type."""

    def __init__(self, rewards: np.ndarray, items: an.Items, reference: np.ndarray):
        self.rewards, self.items, self.reference = rewards, items, reference
        self.best = [np.exp(normalised(reference + u / BETA, items)) for u in rewards]

    def regrets(self, log_p: np.ndarray) -> np.ndarray:
        """KL-regularised regret of one policy for each type, ``(types,)``."""
        return np.array([BETA * kl_divergence(np.exp(log_p), one, self.items) for one in self.best])

    def matched(self, learned: list[np.ndarray]) -> dict:
        """What each type gets from the policy that is matched to it (least total regret)."""
        table = np.stack([self.regrets(one) for one in learned], 1)
        mine = assign(table)
        regret = table[np.arange(len(mine)), mine]
        against = np.exp(self.reference)
        wins = [win_rate(np.exp(learned[m]), u, self.items, against) for m, u in zip(mine, self.rewards, strict=True)]
        return {
            "regret": float(regret.mean()),
            "worst_regret": float(regret.max()),
            "win": float(np.mean(wins)),
            "worst_win": min(wins),
        }

    def single(self, learned: list[np.ndarray], share: np.ndarray, pooled: np.ndarray) -> list[dict]:
        """Regret of the worst type, and the mean over types, under every single policy."""
        masses = [np.exp(one) for one in learned]
        made = {
            "pooled DPO": np.exp(pooled),
            "uniform mixture": an.policies.linear_pool(masses),
            "largest type's own": masses[int(share.argmax())],
            "min-max regret": an.policies.min_max_kl_regret(masses, self.items, beta=BETA, tolerance=1e-8),
        }
        rows = []
        for name in SINGLE:
            regret = np.array([BETA * kl_divergence(made[name], one, self.items) for one in self.best])
            rows.append({"method": name, "regret": float(regret.mean()), "worst_regret": float(regret.max())})
        return rows


def log_likelihoods(data: an.PreferenceData, rewards: list[np.ndarray]) -> np.ndarray:
    """Log-probability of every annotator's answers under each reward and Luce's rule, ``(annotators, K)``."""
    out = []
    for u in rewards:
        scores = torch.as_tensor(u)[torch.as_tensor(data.menu)].log_softmax(-1).numpy()
        row = scores[np.arange(data.rows), np.asarray(data.answer).reshape(-1)]
        out.append(np.bincount(data.annotator_ids, weights=row, minlength=data.num_annotators))
    return np.stack(out, 1)


def k_means(data: an.PreferenceData, types: int, seed: int) -> np.ndarray:
    """Clusters of annotators ``(annotators,)`` by the words of what they chose less the mean of what they were shown."""
    tokens = data.items.tokens[:, PROMPT_LENGTH:]
    words = torch.nn.functional.one_hot(tokens.clamp_min(0), len(WORDS)) * (tokens >= 0)[..., None]
    bag = words.sum(1).double().numpy()
    bag[:, 0] = (tokens >= 0).sum(1)  # END is in every answer: its place holds the length
    shown = bag[np.asarray(data.menu)]
    chosen = shown[np.arange(data.rows), np.asarray(data.answer).reshape(-1)]
    profile = np.zeros((data.num_annotators, bag.shape[1]))
    np.add.at(profile, data.annotator_ids, chosen - shown.mean(1))
    best, label = np.inf, np.zeros(len(profile), dtype=int)
    for start in range(10):
        rng = np.random.default_rng([seed % 2**32, start])
        centre, found = kmeans2(profile, types, minit="++", seed=rng)
        cost = float(((profile - centre[found]) ** 2).sum())
        if cost < best:
            best, label = cost, found
    return label
