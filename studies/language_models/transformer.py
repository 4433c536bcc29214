"""A tiny transformer as a policy and as a reward: layers of ``torch.nn``, nothing else is needed."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

import annosim as an

from .grammar import LENGTH, WORDS, corpus

QUIET = {"progress": False, "final": False, "precision": "float32"}


def adam(steps: int, rate: float, batch: int) -> an.Adam:
    """A tenth of the steps to warm up, then a cosine to zero."""
    return an.Adam(steps=steps, lr=rate, batch=batch, warmup=steps // 10, **QUIET)


def trained(model: an.Population, data: an.PreferenceData, **how) -> an.Fit:
    """``an.fit`` without its warning that a schedule ended before the gradient was small: what was learned is judged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return an.fit(model, data, **how)


class Decoder(nn.Module):
    """A causal transformer: ids ``(batch, length)`` to logits ``(batch, length, outputs)``."""

    def __init__(self, width: int, layers: int, heads: int, outputs: int):
        super().__init__()
        self.word, self.place = nn.Embedding(len(WORDS), width), nn.Embedding(LENGTH, width)
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, outputs)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """``(batch, length) -> (batch, length, outputs)``."""
        length = ids.shape[1]
        causal = nn.Transformer.generate_square_subsequent_mask(length, device=ids.device)
        h = self.word(ids) + self.place.weight[:length]
        return self.head(self.blocks(h, mask=causal, is_causal=True))


class Scorer(nn.Module):
    """The same with one number for a sequence, read at its last token."""

    def __init__(self, decoder: Decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        """Logits ``(batch, 1)`` of ids and mask ``(batch, length)``."""
        last = attention_mask.sum(1) - 1
        return SimpleNamespace(logits=self.decoder(input_ids)[torch.arange(len(last), device=last.device), last])


def decoder(shape: dict, seed: int, outputs: int = len(WORDS)) -> Decoder:
    """With random weights; torch's generator is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        return Decoder(**shape, outputs=outputs)


def policy(shape: dict, seed: int = 0, weights: np.ndarray | None = None) -> an.LogPolicy:
    """A transformer as a density over answers, with random weights or the given ones."""
    made = an.LogPolicy(decoder(shape, seed), batch=2048)
    return made if weights is None else made.with_parameters(torch.as_tensor(weights))


def reward(shape: dict, seed: int) -> an.SequenceReward:
    """A transformer as a reward, with random weights."""
    return an.SequenceReward(Scorer(decoder(shape, seed, 1)))


def reference(shape: dict, steps: int, batch: int, rate: float, seed: int, device: str = "cpu") -> dict:
    """The policy before any preference: trained on the grammar's sentences by maximum likelihood.

    Returns:
        ``weights``; ``nats``, minus the mean log-likelihood of fresh answers.
    """
    rng = np.random.default_rng(seed)
    made = policy(shape, seed).to(device)
    optimiser = torch.optim.AdamW(made.parameters(), lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    sentences = corpus(rng, 20_000)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = -made(sentences.subset(torch.as_tensor(rng.integers(sentences.n, size=batch)))).mean()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        nats = float(-made(corpus(rng, 4096)).double().mean())
    return {"weights": made.vector().detach().cpu().numpy().astype(np.float32), "nats": nats}


def log_policy(made: an.Utility, items: an.Items) -> np.ndarray:
    """Log-probability of every item among the listed answers to its prompt, ``(n,)`` float64."""
    with torch.no_grad():
        return normalised(made(items).double().cpu().numpy(), items)


def normalised(logits: np.ndarray, items: an.Items) -> np.ndarray:
    """Log-probabilities in proportion to ``exp(logits)`` within each prompt, ``(n,)``."""
    return an.LogDensity(an.Tabular(an.fixed(logits))).log_prob(items).detach().numpy()
