"""E10: sentences of Shakespeare as token ids, and three language models trained on them by maximum likelihood."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import torch
from torch import nn

import annosim as an
from annosim.errors import TrainingError
from annosim.study import data_path

from .decoder import BEGIN, END, UNKNOWN, policy

NAMES = ("whole", "short", "long")
GROUPS = 4  # passes that a minibatch, sorted by length, is cut into: pads are then few
CHECKS = 10  # evaluations on held-out sentences in a training run


def sentences(text: str, vocabulary: int, length: int) -> tuple[torch.Tensor, int]:
    """Sentences of at least two words as ids ``(n, length)``, each with END, -1 beyond; longer ones are left out.

    The second is how many ids there are: at most ``vocabulary``, fewer where the corpus has fewer words.
    """
    text = re.sub(r"^[A-Z][^\n:]*:\s*$", "", text, flags=re.MULTILINE).replace("\n", " ")
    words = [re.findall(r"[a-z']+", s.lower()) for s in re.split(r"(?<=[.!?])\s+", text)]
    words = [w for w in words if 2 <= len(w) < length]
    known = {w: i + 3 for i, (w, _) in enumerate(Counter(w for s in words for w in s).most_common(vocabulary - 3))}
    out = torch.full((len(words), length), -1)
    for row, s in enumerate(words):
        out[row, : len(s) + 1] = torch.tensor([known.get(w, UNKNOWN) for w in s] + [END])
    return out, len(known) + 3


def models(shape, short, long, steps, batch, rate, seed, device, data=None) -> dict:
    """E10: *whole* from scratch; *short* and *long* from its weights, on their parts of the corpus."""
    text = data_path("tinyshakespeare.txt", data).read_text(encoding="utf-8")
    rows, vocabulary = sentences(text, shape["vocabulary"], shape["length"])
    shape, size = {**shape, "vocabulary": vocabulary}, (rows >= 0).sum(1)
    found = {"vocabulary": vocabulary, "sentences": len(rows), "unknown": float((rows == UNKNOWN).sum() / size.sum())}
    how = {"batch": batch, "device": device}
    found |= _learn("whole", policy(shape, seed), rows, steps, rate=rate, seed=seed, **how)
    for name, part in (("short", rows[size <= short]), ("long", rows[size >= long])):
        begin = policy(shape, weights=found["whole"])
        found |= _learn(name, begin, part, steps // 2, rate=rate / 2, seed=seed + 1, **how)
    return {**found, "corpus": np.bincount(size, minlength=shape["length"] + 1)}


def _learn(name, made, rows, steps, batch, rate, seed, device) -> dict:
    """Train on sentences by maximum likelihood; what is kept did best on a twentieth of them that it never saw.

    Returns:
        The weights under ``name``; ``loss_name``, the mean loss per token of the last twentieth of the steps, and
        ``held_out_name``, that of the kept weights on the held-out sentences.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    rows = rows[torch.randperm(len(rows), generator=generator)]
    made = made.to(device)
    model, places = an.learning.faster(made.model, device), _Batches(rows, steps, batch, generator, device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    losses = torch.zeros(steps, device=device)  # read once, at the end: no step waits for the device
    best = (math.inf, made.vector())
    for step in range(steps):
        optimiser.zero_grad()
        for part, tokens in places.at(step):
            loss = _loss(model, part) / tokens
            loss.backward()
            losses[step] += loss.detach()
        optimiser.step()
        schedule.step()
        if (step + 1) % max(1, steps // CHECKS) == 0:
            held = places.held_out(model)
            if not math.isfinite(held):
                raise TrainingError(f"{name}: the held-out loss is {held} after step {step + 1}; lower rate={rate}")
            best = min(best, (held, made.vector()), key=lambda one: one[0])
    last = float(losses[-max(1, steps // 20) :].mean())
    weights = best[1].cpu().numpy().astype(np.float32)
    return {name: weights, f"loss_{name}": last, f"held_out_{name}": best[0]}


class _Batches:
    """Minibatches that lie on the device; their lengths are known beforehand, so that nothing is asked of it."""

    def __init__(self, rows: torch.Tensor, steps: int, batch: int, generator: torch.Generator, device: str):
        kept = max(1, len(rows) // 20)
        size = (rows[kept:] >= 0).sum(1)
        draws = torch.randint(len(size), (steps, batch), generator=generator)
        draws = draws.gather(1, size[draws].argsort(1))
        held = rows[:kept][(rows[:kept] >= 0).sum(1).argsort()]
        self.held = [part[:, : int((part >= 0).sum(1).max())].to(device) for part in held.split(batch)]
        self.rows, self.tokens = rows[kept:].to(device), size[draws].sum(1).tolist()
        parts = draws.chunk(GROUPS, 1)
        self.parts = [part.to(device) for part in parts]
        self.widths = [size[part].amax(1).tolist() for part in parts]

    def at(self, step: int):
        """Parts of this step's minibatch, each cut to its longest sentence, with the tokens of all of them."""
        for part, widths in zip(self.parts, self.widths, strict=True):
            yield self.rows[part[step], : widths[step]], self.tokens[step]

    def held_out(self, model: nn.Module) -> float:
        """Mean loss per token of the held-out sentences."""
        with torch.no_grad():
            return float(sum(_loss(model, part) for part in self.held) / sum((part >= 0).sum() for part in self.held))


def _loss(model: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Minus the log-likelihood of sentences ``(n, length)``."""
    before = torch.cat([torch.full_like(rows[:, :1], BEGIN), rows[:, :-1].clamp_min(0)], 1)
    logits = model(before, use_cache=False).logits.float()
    return nn.functional.cross_entropy(logits.flatten(0, 1), rows.flatten(), ignore_index=-1, reduction="sum")


def _rate(step: int, steps: int) -> float:
    """Share of the peak rate: a twentieth of the steps to warm up, then a cosine to zero."""
    return min(1.0, (step + 1) / max(1, steps // 20)) * 0.5 * (1 + math.cos(math.pi * step / steps))
