"""A small language model: a decoder that is read in a minute, as a density over sentences."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import annosim as an

END, BEGIN, UNKNOWN = 0, 1, 2


class Block(nn.Module):
    """Attention, then a two-layer network, each on normalised inputs."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, w = x.shape
        q, k, v = self.mix(self.first(x)).view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(b, t, w))
        return x + self.feed(self.second(x))


class Decoder(nn.Module):
    """Token ids ``(batch, length)`` to logits ``(batch, length, vocabulary)``, or those of the last positions only."""

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, length: int, seed: int):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**63)
            self.embed = nn.Embedding(vocabulary, width)
            self.place = nn.Embedding(length + 1, width)
            self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
            self.last = nn.LayerNorm(width)
            for table in (self.embed, self.place):
                nn.init.normal_(table.weight, std=0.05)

    def forward(self, ids: torch.Tensor, logits_to_keep: int = 0) -> torch.Tensor:
        x = self.embed(ids) + self.place(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.last(x[:, -logits_to_keep:]) @ self.embed.weight.T


def policy(shape: dict, seed: int, weights: np.ndarray | None = None) -> an.LogPolicy:
    """A decoder as a density over sentences."""
    made = an.LogPolicy(Decoder(**shape, seed=seed), begin=BEGIN)
    return made if weights is None else made.with_parameters(torch.as_tensor(weights))


#: sentences that are drawn at once
AT_ONCE = 16384


def say(model: nn.Module, count: int, length: int, seed: int, device: str = "cpu") -> torch.Tensor:
    """``count`` sentences drawn from the model, ``(count, length)``, END included, -1 beyond it."""
    generator = torch.Generator(device=device).manual_seed(seed % 2**63)
    sizes = [min(AT_ONCE, count - done) for done in range(0, count, AT_ONCE)]
    return torch.cat([_say(model, size, length, generator, device) for size in sizes])


def _say(model: nn.Module, count: int, length: int, generator: torch.Generator, device: str) -> torch.Tensor:
    ids = torch.full((count, 1), BEGIN, device=device)
    done = torch.zeros(count, dtype=torch.bool, device=device)
    out = torch.full((count, length), -1, device=device)
    with torch.no_grad():
        for t in range(length):
            logits = model(ids, logits_to_keep=1)[:, -1].float()
            logits[:, BEGIN] = -torch.inf
            if t == 0:
                logits[:, END] = -torch.inf
            word = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
            word = torch.where(torch.full_like(done, t == length - 1), END, word)
            out[:, t] = torch.where(done, -1, word)
            done |= word == END
            ids = torch.cat([ids, word[:, None]], 1)
    return out.cpu()
