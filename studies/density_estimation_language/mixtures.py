"""E11-E13: what the short and the long annotator prefer, and what adapting *whole* to the answers of both does."""

from __future__ import annotations

import numpy as np
import torch

import annosim as an

from .decoder import log_probabilities, policy, say
from .sentences import NAMES

SCALE = 50.0  # the paper's factor of the length-normalised preference logit


def proposals(shape, pairs, models, seed, device) -> dict:
    """Both sentences of every pair, drawn from *whole*, and the log-probability that each of the three gives them."""
    shape = {**shape, "vocabulary": models["vocabulary"]}
    whole = policy(shape, weights=models["whole"]).model.to(device)
    tokens = say(whole, 2 * pairs, shape["length"], seed, device)
    log_p = {name: log_probabilities(models[name], shape, tokens, device) for name in NAMES}
    return {**log_p, "tokens": tokens.numpy().astype(np.int32), "length": (tokens >= 0).sum(1).numpy()}


def preferences(short, long, samples, proposals) -> list[dict]:
    """E11: mean preference for the first of two length classes, by each annotator, normalised by length or not."""
    size = torch.as_tensor(proposals["length"][:samples])
    classes = {"short": size <= short, "middle": (size > short) & (size < long), "long": size >= long}
    rows = []
    for name in NAMES:
        log_p = torch.as_tensor(proposals[name][:samples])
        for normalised in (True, False):
            s = SCALE * log_p / size if normalised else log_p
            for first, second in (("short", "middle"), ("middle", "long"), ("short", "long")):
                chance = torch.sigmoid(s[classes[first]][:, None] - s[classes[second]][None]).mean()
                rows.append(
                    {
                        "annotator": name,
                        "normalised": normalised,
                        "first": first,
                        "second": second,
                        "preference": float(chance),
                    }
                )
    return rows


def adapt(kind, shape, steps, batch, rate, beta, samples, models, proposals, seed, device) -> dict:
    """E12 and E13: answer the pairs, adapt *whole* to the answers, draw from it again.

    ``before`` and ``after`` are the cross-entropies of *whole* and of the adapted model, per pair, against the law of
    the answers; ``entropy`` is that law's own, which no model is below.
    """
    shape, tokens = {**shape, "vocabulary": models["vocabulary"]}, torch.as_tensor(proposals["tokens"]).long()
    size, rule = proposals["length"], an.PBDE.length_normalised(SCALE)
    items = an.Items(tokens=tokens, columns={"length": size})
    data = _answers(people(kind, proposals["short"], proposals["long"]), items, seed)
    # In half precision the logit of a pair, 50 times a difference of means, would be off by a few tenths on a GPU.
    found = an.fit(
        an.Annotator(policy(shape, weights=models["whole"]), rule),
        data.for_learner(),
        regulariser=an.objectives.ForwardKL(None, 2 * beta, shown=True),
        solver=an.Adam(steps=steps, batch=batch, lr=rate, precision="float32", final=False),
        seed=seed,
        device=device,
    )
    adapted = found.population.utility
    drawn = say(adapted.model.to(device), samples, shape["length"], seed + 1, device)
    after = log_probabilities(adapted.vector().cpu().numpy(), shape, tokens, device)
    count = lambda lengths: np.bincount(lengths, minlength=shape["length"] + 1)  # noqa: E731
    loss = {"before": proposals["whole"], "after": after}
    return {
        "count": count((drawn >= 0).sum(1).numpy()),
        "proposed": count(size),
        **{f"loss_{name}": _cross_entropy(kind, proposals, SCALE * log_p / size) for name, log_p in loss.items()},
        "entropy": _cross_entropy(kind, proposals, None),
    }


def people(kind: str, log_short: np.ndarray, log_long: np.ndarray) -> an.Population:
    """*Annotators*: each answer is the short or the long one's; *density*: one whose density is half of each."""
    rule = an.PBDE.length_normalised(SCALE)
    if kind == "annotators":
        return an.Mixture([an.Annotator(an.Tabular(log_p), rule) for log_p in (log_short, log_long)])
    return an.Annotator(an.Tabular(np.logaddexp(log_short, log_long) - np.log(2)), rule)


def _answers(truth: an.Population, items: an.Items, seed: int) -> an.PreferenceData:
    """Every pair once: by the one annotator, or by the two in turn."""
    leaves, pairs, parts = truth.components(), torch.arange(items.n).view(-1, 2), []
    for k, leaf in enumerate(leaves):
        asked = an.Design(items, menus=pairs[k :: len(leaves)], annotators=1, questions="all")
        parts.append(an.simulate(leaf, asked, seed=seed + k))
    return an.PreferenceData(items, *(np.concatenate([getattr(p, name) for p in parts]) for name in ("menu", "answer")))


def _cross_entropy(kind: str, proposals: dict, scores: np.ndarray | None) -> float:
    """Of a model with these scores against the law of the answers, mean over pairs; of the law itself without."""
    parts = [proposals[name] for name in ("short", "long")]
    parts = parts if kind == "annotators" else [np.logaddexp(*parts)]
    gap = lambda s: torch.as_tensor(s[0::2] - s[1::2])  # noqa: E731
    chance = torch.stack([torch.sigmoid(gap(SCALE * p / proposals["length"])) for p in parts]).mean(0)
    if scores is None:
        return float((torch.special.entr(chance) + torch.special.entr(1 - chance)).mean())
    return float(torch.nn.functional.binary_cross_entropy_with_logits(gap(scores), chance))
