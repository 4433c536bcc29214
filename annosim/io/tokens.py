"""Texts become tokens, as TRL makes them: prompt and response, then the end of the sequence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, DataError

__all__ = ["Tokenizer", "tokenize"]


class Tokenizer(Protocol):
    """What :func:`tokenize` asks of a tokenizer of ``transformers``."""

    eos_token: str | None

    def __call__(self, text: str, /) -> Mapping[str, Sequence[int]]: ...


def tokenize(data: PreferenceData, tokenizer: Tokenizer) -> PreferenceData:
    """The same data whose items carry the tokens of their texts: what :class:`~annosim.LogPolicy` reads.

    An item's sequence is ``prompt + response + end``, as in TRL's trainers; how many tokens belong to the prompt (the
    longest common beginning with the prompt tokenized alone) goes to ``items.columns["prompt_length"]``. Conversations
    go through the tokenizer's chat template.

    Args:
        data: with ``items.texts`` (responses) and, where there are prompts, ``prompt_names``.
        tokenizer: of ``transformers``: ``tokenizer(text)["input_ids"]``, ``.eos_token``, ``.apply_chat_template``.

    Returns:
        data with ``items.tokens (n, length)``, -1 pads.

    Raises:
        DataError: the items have no texts, or an item is shown under two prompts.
        ArgumentError: no tokenizer, or it gives no ids for an item.

    Example:
        >>> import annosim as an
        >>> class Letters:
        ...     eos_token = "."
        ...     def __call__(self, text):
        ...         return {"input_ids": [ord(c) for c in text]}
        >>> data = an.PreferenceData(an.Items(texts=["4", "no"]), [[0, 1]], [0], prompt=[0], prompt_names=["2?"])
        >>> items = tokenize(data, Letters()).items
        >>> items.tokens.tolist(), items.columns["prompt_length"].tolist()
        ([[50, 63, 52, 46, -1], [50, 63, 110, 111, 46]], [2, 2])
    """
    if not callable(tokenizer):
        raise ArgumentError(f"tokenize(tokenizer={tokenizer!r}): give a tokenizer of transformers")
    if data.items.texts is None:
        raise DataError("tokenize: the items have no texts; give Items(texts=...)")
    kept = data.settings.get("messages", ())
    messages = kept if isinstance(kept, list | tuple) else ()
    prompts = _prompt_of_items(data)
    rows, lengths = [], []
    for item, (prompt, text) in enumerate(zip(prompts, data.items.texts, strict=True)):
        begin, whole = _ids(tokenizer, prompt, str(text), "prompt" in messages, "response" in messages)
        if not whole:
            raise ArgumentError(f"tokenize: the tokenizer gives no ids for item {item} ({str(text)[:40]!r})")
        rows.append(whole)
        lengths.append(_common(begin, whole))
    tokens = np.full((len(rows), max(map(len, rows))), -1, dtype=np.int64)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = ids
    columns = {**data.items.columns, "prompt_length": np.array(lengths)}
    return data.with_(items=data.items.with_(tokens=tokens, columns=columns))


def _prompt_of_items(data: PreferenceData) -> list[str]:
    """The prompt of each item: of the questions that show it, else its own number's."""
    if data.prompt_names is None:
        return [""] * data.items.n
    code = np.asarray(data.items.prompts.cpu().numpy()).copy()
    if data.prompt is not None:
        menu = np.asarray(data.menu)
        asked = np.broadcast_to(np.asarray(data.prompt)[..., None], menu.shape)
        code[menu[menu >= 0]] = asked[menu >= 0]
        twice = (menu >= 0) & (code[np.maximum(menu, 0)] != asked)
        if twice.any():
            raise DataError(
                f"tokenize: item {menu[twice][0]} is shown under two prompts, and its tokens hold one; give each "
                "(prompt, response) an item of its own, as an.io.read_trl does"
            )
    return [str(data.prompt_names[c]) for c in code]


def _ids(
    tokenizer: Tokenizer, prompt: str, text: str, prompt_is_messages: bool, response_is_messages: bool
) -> tuple[list[int], list[int]]:
    """Ids of the prompt alone, and of prompt, response and end."""
    if response_is_messages:
        before: list[dict[str, object]] = (
            json.loads(prompt) if prompt_is_messages else ([{"role": "user", "content": prompt}] if prompt else [])
        )
        first = _chat(tokenizer, before, add_generation_prompt=True) if before else []
        return first, _chat(tokenizer, before + json.loads(text))
    end = tokenizer.eos_token or ""
    whole = prompt + text if text.endswith(end) else prompt + text + end
    return (list(tokenizer(prompt)["input_ids"]) if prompt else []), list(tokenizer(whole)["input_ids"])


def _chat(tokenizer: Tokenizer, messages: list[dict[str, object]], add_generation_prompt: bool = False) -> list[int]:
    apply = getattr(tokenizer, "apply_chat_template")  # noqa: B009  (only conversations need it)
    made = apply(messages, tokenize=True, return_dict=True, add_generation_prompt=add_generation_prompt)
    return list(made["input_ids"])


def _common(a: list[int], b: list[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
