"""E10-E13 with transformers: three language models, what they prefer, and what adapting to their answers does."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import torch

import annosim as an
from annosim.study import data_path

from .decoder import END, UNKNOWN, policy, say

SCALE = 50.0  # the paper's factor of the length-normalised preference logit
NAMES = ("whole", "short", "long")


def sentences(text: str, vocabulary: int, length: int) -> torch.Tensor:
    """Sentences of at least two words as ids, ``(n, length)``, each with END, cut off those that are longer."""
    text = re.sub(r"^[A-Z][^\n:]*:\s*$", "", text, flags=re.MULTILINE).replace("\n", " ")
    words = [re.findall(r"[a-z']+", s.lower()) for s in re.split(r"(?<=[.!?])\s+", text)]
    words = [w for w in words if 2 <= len(w) < length]
    known = {w: i + 3 for i, (w, _) in enumerate(Counter(w for s in words for w in s).most_common(vocabulary - 3))}
    out = torch.full((len(words), length), -1)
    for row, s in enumerate(words):
        out[row, : len(s) + 1] = torch.tensor([known.get(w, UNKNOWN) for w in s] + [END])
    return out


def _learn(model, rows: torch.Tensor, steps: int, batch: int, rate: float, seed: int, device: str) -> float:
    """Train on sentences by maximum likelihood; the mean loss per token of the last twentieth of the steps."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    model.to(device)
    tail = []
    for _ in range(steps):
        part = rows[torch.randint(len(rows), (batch,), generator=generator)].to(device)
        optimiser.zero_grad()
        loss = -model(an.Items(tokens=part.cpu())).sum() / (part >= 0).sum()
        loss.backward()
        optimiser.step()
        schedule.step()
        tail.append(float(loss.detach()))
    model.to("cpu")
    return float(np.mean(tail[-max(1, steps // 20) :]))


def models(shape, short, long, steps, batch, rate, seed, device, data=None) -> dict:
    """E10: *whole* from scratch; *short* and *long* from its weights, on their parts of the corpus."""
    rows = sentences(data_path("tinyshakespeare.txt", data).read_text(), shape["vocabulary"], shape["length"])
    size = (rows >= 0).sum(1)
    whole = policy(shape, seed)
    losses = {"loss_whole": _learn(whole, rows, steps, batch, rate, seed, device)}
    found = {"whole": whole}
    for name, part in (("short", rows[size <= short]), ("long", rows[size >= long])):
        found[name] = policy(shape, seed, whole.vector().numpy())
        losses[f"loss_{name}"] = _learn(found[name], part, steps // 2, batch, rate / 2, seed + 1, device)
    return {
        **{name: one.vector().numpy().astype(np.float32) for name, one in found.items()},
        **losses,
        "corpus": np.bincount(size, minlength=shape["length"] + 1),
        "sentences": len(rows),
    }


def _proposals(models: dict, shape: dict, count: int, seed: int, device: str) -> an.Items:
    whole = policy(shape, 0, models["whole"]).model.to(device)
    tokens = say(whole, count, shape["length"], seed, device)
    return an.Items(tokens=tokens, columns={"length": (tokens >= 0).sum(1).numpy()})


def _densities(models: dict, shape: dict, items: an.Items, device: str) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return {name: policy(shape, 0, models[name]).to(device)(items).cpu().double() for name in NAMES}


def preferences(shape, short, long, samples, models, seed, device) -> list[dict]:
    """E11: mean preference for the first of two length classes, by each annotator, normalised by length or not."""
    items = _proposals(models, shape, samples, seed, device)
    size = torch.as_tensor(items.columns["length"])
    classes = {"short": size <= short, "middle": (size > short) & (size < long), "long": size >= long}
    rows = []
    for name, log_p in _densities(models, shape, items, device).items():
        for normalised in (True, False):
            s = SCALE * log_p / size if normalised else log_p
            for first, second in (("short", "middle"), ("middle", "long"), ("short", "long")):
                chance = torch.sigmoid(s[classes[first]][:, None] - s[classes[second]][None]).mean()
                rows.append({"annotator": name, "normalised": normalised, "first": first, "second": second,
                             "preference": float(chance)})  # fmt: skip
    return rows


def adapt(kind, shape, pairs, steps, batch, rate, beta, samples, models, seed, device) -> dict:
    """E12 and E13: answer pairs drawn from *whole*, adapt *whole* to the answers, draw from it again."""
    items = _proposals(models, shape, 2 * pairs, seed, device)
    log_p, size = _densities(models, shape, items, device), items.columns["length"]
    rule = an.PBDE.length_normalised(SCALE)
    both = [an.Annotator(an.Tabular(log_p[name].numpy()), rule) for name in ("short", "long")]
    blend = torch.logsumexp(torch.stack([log_p["short"], log_p["long"]]), 0) - np.log(2)
    truth = an.Mixture(both) if kind == "annotators" else an.Annotator(an.Tabular(blend.numpy()), rule)
    menus = torch.arange(2 * pairs).view(-1, 2)
    data = an.simulate(truth, an.Design(items, menus=menus, annotators=pairs), seed=seed)
    found = an.fit(
        an.Annotator(policy(shape, 0, models["whole"]), rule), data.for_learner(),
        regulariser=an.ForwardKL(None, 2 * beta, shown=True), steps=steps, batch=batch, lr=rate, seed=seed,
        device=device,
    )  # fmt: skip
    adapted = found.population.utility.model.to(device)
    drawn = say(adapted, samples, shape["length"], seed + 1, device)
    count = np.bincount((drawn >= 0).sum(1).numpy(), minlength=shape["length"] + 1)
    return {"count": count, "before": np.bincount(size, minlength=shape["length"] + 1), "loss": found.objective}
