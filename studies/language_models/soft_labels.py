"""L3: a transformer as reward model, trained on single votes with margins, soft labels or majorities of judges."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import pearsonr

import annosim as an
from annosim.analysis import brier_score, calibration_slope, pair_probabilities

from .grammar import ANSWERS, CHEERFUL, LONG, PROMPTS, TONE, Suits, make_items
from .transformer import adam, reward, trained

#: kinds of prompts: what their answers differ in
KINDS = ("agreed", "plural", "paraphrase")
SHARES = (0.7, 0.3)
JUDGES = 10
ALPHA = 1.0


def make_world(rng: np.random.Generator, responses: int, held_out: int = 12):
    """Items asked about and held out (other prompts), every prompt once of each kind, and the true rewards' function.

    *agreed*: answers differ in the noun, and all like a noun that suits the subject. *plural*: they differ in tone and
    length, about which the two types are of opposite minds, one way in three situations and the other way in the others.
    *paraphrase*: in openers and near synonyms, which hardly matter to anybody. So what all agree on and what they differ
    in are equally hard to read off a sentence: a word and one word of the prompt.
    """
    suits, order = Suits(rng), rng.permutation(len(PROMPTS))

    def items_of(prompts):
        chosen = [_answers(rng, kind, responses) for kind in KINDS for _ in prompts]
        made = make_items(np.tile(prompts, len(KINDS)), chosen)
        kind = np.repeat(KINDS, [sum(map(len, chosen[k * len(prompts) : (k + 1) * len(prompts)])) for k in range(3)])
        return made.with_(columns={**made.columns, "kind": kind})

    def rewards(items):
        c = items.columns
        warm, long = np.sign(TONE)[c["adjective"]], LONG[c["tail"]]
        manners = np.array([0.0, 0.12, -0.12, 0.0])[c["opener"]] + 0.08 * (np.abs(TONE)[c["adjective"]] - 0.85) / 0.15
        taste = np.where(np.isin(c["situation"], CHEERFUL), 1.0, -1.0) * (1.2 * warm + 0.8 * long)
        common = 2.0 * suits.subject[c["subject"], c["noun"]] + manners
        return np.stack([common + taste, common - taste])

    return items_of(order[held_out:]), items_of(order[:held_out]), rewards


def _answers(rng: np.random.Generator, kind: str, responses: int) -> np.ndarray:
    """Rows of :data:`ANSWERS` that differ in what the kind says, without flattery."""
    one = ANSWERS[rng.choice(np.flatnonzero(ANSWERS[:, 0] < 3))]
    free = {"agreed": (2,), "plural": (1, 3), "paraphrase": (0, 1)}[kind]
    alike = ANSWERS[:, 0] < 3
    for part in set(range(4)) - set(free):
        alike &= ANSWERS[:, part] == one[part]
    if kind == "paraphrase":
        alike &= np.sign(TONE)[ANSWERS[:, 1]] == np.sign(TONE)[one[1]]
    rows = np.flatnonzero(alike)
    return rng.choice(rows, min(responses, len(rows)), replace=False)


def objectives() -> dict:
    """Name -> objective; ``None`` is plain Bradley-Terry."""
    return {
        "none": None,
        "M1 unsigned": an.objectives.Margin("unsigned", alpha=ALPHA),
        "M2 signed": an.objectives.Margin("signed", alpha=ALPHA),
        "soft label": an.objectives.SoftLabels(),
        "majority": None,
    }


def soft_labels(judge, responses, shape, steps, rate, batch, seed, device):
    """L3. Every method on one epoch of ``steps x batch`` votes, with ten judgements per pair; ``judge`` is ``"faithful"`` (draws from the population) or ``"persona"`` (all
    judgements are draws of the minority's type). Rows: per method and kind of prompts (and all of them), on held-out prompts,
    ``pearson`` of the gap of rewards with the population's preference, and the ``brier`` score of the forecast after one
    temperature, fitted to one vote on each pair of the other half."""
    rng = np.random.default_rng(seed)
    items, held_out, rewards = make_world(rng, responses)
    people = _people(rewards(items))
    data = an.simulate(people, an.Design(items, annotators=steps * batch), seed=int(rng.integers(2**31)))
    believed = pair_probabilities(people if judge == "faithful" else people.types[1], items).numpy()
    q = rng.binomial(JUDGES, believed[data.menu[:, 0], data.menu[:, 1]]) / JUDGES
    pairs, p = _pairs(_people(rewards(held_out)), held_out)
    half = rng.permutation(len(pairs)) < len(pairs) // 2
    vote = (rng.random(len(p)) < p).astype(float)
    kind = held_out.columns["kind"][pairs[:, 0]]
    rows = []
    for method, objective in objectives().items():
        known = data.with_(columns={"judged": q}).for_learner()
        if method == "majority":
            known = known.with_(answer=np.where(q > 0.5, 0, np.where(q < 0.5, 1, data.answer)))
        model, solver = an.Annotator(reward(shape, seed), an.Luce()), adam(steps, rate, batch)
        fit = trained(model, known, objective=objective, solver=solver, seed=seed, device=device)
        with torch.no_grad():
            r = fit.population.utility(held_out).double().cpu().numpy()
        gap = r[pairs[:, 0]] - r[pairs[:, 1]]
        slope = calibration_slope(gap[half], vote[half]).slope
        forecast = 1 / (1 + np.exp(-slope * gap))
        for name in (*KINDS, "all"):
            at = ~half & ((kind == name) | (name == "all"))
            scores = {"pearson": pearsonr(gap[at], p[at]).statistic, "brier": brier_score(forecast[at], p[at])}
            rows.append({"method": method, "prompts_are": name, "slope": slope, **scores})
    return rows


def _people(rewards: np.ndarray) -> an.Mixture:
    return an.Mixture([an.Annotator(an.Tabular(u), an.Luce()) for u in rewards], weights=list(SHARES))


def _pairs(people: an.Mixture, items: an.Items) -> tuple[np.ndarray, np.ndarray]:
    """All pairs within prompts, ``(m, 2)``, and the share of people who prefer the first."""
    p = pair_probabilities(people, items).numpy()
    first, second = np.triu_indices(items.n, 1)
    inside = np.isfinite(p[first, second])
    pairs = np.stack([first[inside], second[inside]], 1)
    return pairs, p[pairs[:, 0], pairs[:, 1]]
