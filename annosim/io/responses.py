"""Responses to prompts as items: the distinct (prompt, response) pairs, so that menus stay inside a prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annosim.io.tables import Coded, factorize
from annosim.items import Items

__all__ = ["Texts", "response_items"]

Texts = NDArray[np.object_]


def response_items(prompt: Texts, responses: Sequence[Texts]) -> tuple[NDArray[np.int64], Items, Coded]:
    """Ids ``(rows, responses)``, the items (distinct prompt and response), and the prompts."""
    context, width = factorize(prompt), len(responses)
    texts = factorize(np.stack(responses, 1).ravel())
    key = np.repeat(context.codes, width) * len(texts.names) + texts.codes
    ids, distinct = factorize(key)
    number = distinct.astype(np.int64)
    items = Items(texts=texts.names[number % len(texts.names)], prompts=number // len(texts.names))
    return ids.reshape(-1, width), items, context
