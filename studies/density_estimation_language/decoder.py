"""A causal language model of ``transformers`` as a density over sentences: built here from a config, and drawn from."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

import annosim as an
from annosim.errors import MissingDependencyError

END, BEGIN, UNKNOWN = 0, 1, 2

#: sentences that are drawn at once, and that are scored at once
AT_ONCE = 2048
SCORED = 64


def policy(shape: dict, seed: int = 0, weights: np.ndarray | None = None) -> an.LogPolicy:
    """A GPT-2 with this shape as a density over sentences, with random weights or the given ones."""
    made = an.LogPolicy(_gpt2(shape, seed), begin=BEGIN, batch=SCORED)
    return made if weights is None else made.with_parameters(torch.as_tensor(weights))


def _gpt2(shape: dict, seed: int) -> nn.Module:
    """Nothing is downloaded: the config says all, and torch's generator, put back afterwards, gives the weights."""
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError as error:
        raise MissingDependencyError(
            'the language models of this study are models of transformers, which is not here: pip install -e ".[hf]"'
        ) from error
    spread = 0.02 * math.sqrt(768 / shape["width"])  # GPT-2's own, at its own width
    config = GPT2Config(
        vocab_size=shape["vocabulary"],
        n_positions=shape["length"],
        n_embd=shape["width"],
        n_layer=shape["layers"],
        n_head=shape["heads"],
        bos_token_id=BEGIN,
        eos_token_id=END,
        initializer_range=spread,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        return GPT2LMHeadModel(config)


def log_probabilities(weights: np.ndarray, shape: dict, tokens: torch.Tensor, device: str) -> np.ndarray:
    """Log-probability of every sentence, ``(n,)`` float64; sentences of like length are scored together: few pads."""
    order = torch.argsort((tokens >= 0).sum(1), stable=True)
    model = policy(shape, weights=weights).to(device)
    an.learning.faster(model, device)
    out = np.empty(len(tokens))
    with torch.no_grad():
        out[order.numpy()] = model(an.Items(tokens=tokens[order])).cpu().numpy()
    return out


def say(model: nn.Module, count: int, length: int, seed: int, device: str = "cpu") -> torch.Tensor:
    """``count`` sentences drawn from the model, ``(count, length)`` on the CPU, END included, -1 beyond it."""
    generator = torch.Generator(device=device).manual_seed(seed % 2**63)
    model = an.learning.faster(model, device)
    sizes = [min(AT_ONCE, count - done) for done in range(0, count, AT_ONCE)]
    return torch.cat([_say(model, size, length, generator).cpu() for size in sizes])


def _say(model: nn.Module, count: int, length: int, generator: torch.Generator) -> torch.Tensor:
    """With the cache of keys and values, from which sentences that have ended are dropped."""
    device = generator.device
    word = torch.full((count,), BEGIN, device=device)
    out = torch.full((count, length), -1, device=device)
    alive, cache = torch.arange(count, device=device), None
    with torch.no_grad():
        for t in range(length - 1):
            found = model(word[:, None], past_key_values=cache, use_cache=True)
            cache, logits = found.past_key_values, found.logits[:, -1].float()
            logits[:, BEGIN] = -torch.inf
            if t == 0:
                logits[:, END] = -torch.inf
            word = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
            out[alive, t] = word
            going = torch.nonzero(word != END)[:, 0]
            if len(going) == 0:
                return out
            if len(going) < len(alive):
                alive, word = alive[going], word[going]
                cache.batch_select_indices(going)
    out[alive, length - 1] = END
    return out
