"""What language models read: tokens, the mask of the response, logits and hidden states."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.items import Items
from annosim.utilities.adapters import of_class

__all__ = ["last_hidden", "response_mask", "token_logits"]


def response_mask(items: Items) -> torch.Tensor:
    """``(n, length)`` bool: tokens of the response (not of the prompt, not pads).

    ``items.columns["prompt_length"]`` says how many tokens of each row belong to the prompt; none by default.

    Example:
        >>> response_mask(Items(tokens=[[5, 6, 7], [5, 8, -1]], columns={"prompt_length": [1, 1]})).tolist()
        [[False, True, True], [False, True, False]]
    """
    tokens = tokens_of(items)
    place = torch.arange(tokens.shape[1], device=tokens.device)
    lengths = np.asarray(items.columns.get("prompt_length", np.zeros(items.n, dtype=np.int64)))
    if lengths.shape != (items.n,) or not np.issubdtype(lengths.dtype, np.integer):
        raise ArgumentError(f'the items\' column "prompt_length" has {lengths.dtype}; give whole numbers of tokens')
    begin = torch.as_tensor(lengths)
    return (tokens >= 0) & (place >= begin.to(tokens.device)[:, None])


def last_hidden(model: nn.Module, items: Items, batch: int = 32) -> torch.Tensor:
    """What a frozen trunk says of each item: its last hidden state at the item's last token, ``(n, width)`` float64.

    With ``items.with_(features=last_hidden(model, items))`` a head per type is ``an.Linear(width)`` or a small
    :class:`annosim.Network`: the trunk is evaluated once, and mixtures of linear heads are fitted by exact EM.

    Args:
        model: a model of ``transformers``; or any module from ids ``(batch, length)`` to ``(batch, length, width)``.
        items: with tokens; pads stand at the end.
        batch: sequences per pass, without gradients.

    Raises:
        ArgumentError: the items have no tokens.

    Example:
        >>> trunk = torch.nn.Embedding(5, 3)
        >>> items = Items(tokens=[[1, 2], [3, -1]])
        >>> bool((last_hidden(trunk, items)[1] == trunk.weight[3]).all())
        True
    """
    tokens, model = tokens_of(items), of_class(model)
    device = next((p.device for p in model.parameters()), tokens.device)
    known = inspect.signature(model.forward).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())
    out = []
    with torch.no_grad():
        for ids in tokens.to(device).split(batch):
            mask = ids >= 0
            wanted = {"attention_mask": mask.long(), "output_hidden_states": True, "use_cache": False}
            given = wanted if takes_any else {name: v for name, v in wanted.items() if name in known}
            found: Any = model(ids.clamp_min(0), **given)
            hidden = found if isinstance(found, torch.Tensor) else found.hidden_states[-1]
            out.append(hidden[torch.arange(len(ids), device=device), mask.sum(1) - 1])
    return torch.cat(out).double().cpu()


def token_logits(model: nn.Module, ids: torch.Tensor, keep: int) -> torch.Tensor:
    """The last ``keep`` places' logits ``(batch, keep, V)`` of a causal language model.

    Models of ``transformers`` are asked for these places only, and for no cache.

    Example:
        >>> token_logits(nn.Embedding(5, 5), torch.zeros(2, 4, dtype=torch.long), keep=3).shape
        torch.Size([2, 3, 5])
    """
    model = of_class(model)
    known = inspect.signature(model.forward).parameters
    wanted = {"logits_to_keep": keep, "use_cache": False}
    found: Any = model(ids, **{name: value for name, value in wanted.items() if name in known})
    return (found.logits if hasattr(found, "logits") else found)[:, -keep:]


def text_config(model: nn.Module) -> Any:
    """The configuration of a model of ``transformers`` (of its text part), or ``None``."""
    config: Any = getattr(model, "config", None)
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def check_vocabulary(who: str, model: nn.Module, largest: int) -> None:
    """Refuse ids that the model has no embedding of (a GPU would only say so after it is too late)."""
    size = getattr(text_config(model), "vocab_size", None)
    if isinstance(size, int) and largest >= size:
        raise ArgumentError(
            f"{who}: token id {largest} among the items, and the model's vocabulary has {size}; use the model's own "
            "tokenizer, or model.resize_token_embeddings"
        )


@contextlib.contextmanager
def embedding_errors(who: str, largest: int, length: int) -> Iterator[None]:
    """Turn an embedding's IndexError into a message that names the id or the length."""
    try:
        yield
    except IndexError as error:
        raise ArgumentError(
            f"{who}: the model has no embedding for something in the items' tokens, whose largest id is {largest} and "
            f"whose longest sequence is {length}; look at its vocabulary and its number of positions"
        ) from error


def tokens_of(items: Items) -> torch.Tensor:
    if items.tokens is None or items.tokens.ndim != 2:
        raise ArgumentError(
            "the items have no tokens; give Items(tokens=(n, length) ids, -1 pads), or make them of texts with "
            "an.io.tokenize(data, tokenizer)"
        )
    return items.tokens
