"""Utilities that read tokens: language models as policies and as rewards.

Any torch module will do that maps token ids ``(batch, length)`` to logits; models of ``transformers`` do, and nothing
here imports that library. Build a model from a local config, or load one by path or name, and wrap it.
"""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
import torch
from torch import nn

from annosim.errors import ArgumentError, told
from annosim.items import Items, send
from annosim.utilities.adapters import copied, of_class
from annosim.utilities.base import Utility
from annosim.utilities.heads import MultipleOutputs
from annosim.utilities.tokens import (
    check_vocabulary,
    embedding_errors,
    response_mask,
    text_config,
    token_logits,
    tokens_of,
)

__all__ = ["LogPolicy", "SequenceReward"]


class TokenUtility(Utility):
    """Holds a model that reads tokens, as it was given; it and its copies compute with the numbers that they hold."""

    #: an item's number depends on that item alone, so a minibatch needs only the items it shows
    local = True
    model: nn.Module

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """A trainer may have put a ``forward`` of its own on the model, which would compute with the original's numbers
        (see :func:`annosim.utilities.adapters.copied`)."""
        other = memo[id(self)] = type(self).__new__(type(self))
        copied(self.model, memo)  # the copy is kept in the memo
        other.__dict__.update({name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()})
        return other


class LogPolicy(TokenUtility):
    r"""``log pi(response | prompt) = sum_t log p(token_t | earlier tokens)``, a density over all sequences.

    With ``PBDE.dpo(beta, reference)`` this is DPO; the reference's log-probabilities are evaluated once per item.

    Args:
        model: a causal language model: ``model(ids)`` gives logits ``(batch, length, V)``, or an object with
            ``.logits`` (as models of ``transformers`` do). It is put into evaluation mode, so that a policy is one
            number per item: dropout is off, in training too (as in TRL's DPO).
        begin: id put before every sequence when items have no prompt, so that the first token is predicted too.
        batch: sequences per forward pass without gradients.
        per_token: divide by the number of response tokens.

    Raises:
        ArgumentError: the items have no tokens, a row has no response token, nothing predicts its first token, or an
            id is beyond the model's vocabulary.

    Example:
        >>> lm = torch.nn.Sequential(torch.nn.Embedding(5, 5))
        >>> policy = LogPolicy(lm, begin=0)
        >>> policy(Items(tokens=[[1, 2], [3, -1]])).shape
        torch.Size([2])
    """

    def __init__(self, model: nn.Module, begin: int | None = None, batch: int = 32, per_token: bool = False):
        super().__init__()
        if not isinstance(model, nn.Module):
            raise ArgumentError(f"LogPolicy({model!r}): give a causal language model, a torch.nn.Module")
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise ArgumentError(f"LogPolicy(batch={told(batch)}): a whole number of at least 1")
        whole = isinstance(begin, int | np.integer) and not isinstance(begin, bool)
        if begin is not None and not (whole and begin >= 0):
            raise ArgumentError(
                f"LogPolicy(begin={told(begin)}): the id of a token, at least 0, such as tokenizer.bos_token_id; or None"
            )
        self.model, self.begin, self.batch, self.per_token = model.eval(), begin, batch, per_token

    def forward(self, items: Items) -> torch.Tensor:
        """Log-probabilities of all items' responses, ``(n,)`` float32."""
        device = next((p.device for p in self.model.parameters()), items.device)
        items = items.host  # what must be looked at is looked at there; only what the model reads is sent
        tokens, mask = tokens_of(items), response_mask(items)
        if self.begin is not None:
            first = torch.full_like(tokens[:, :1], self.begin)
            tokens = torch.cat([first, tokens], 1)
            mask = torch.cat([torch.zeros_like(mask[:, :1]), mask], 1)
        if bool(mask[:, 0].any()) or not bool(mask.any(1).all()):
            row = int(torch.nonzero(mask[:, 0] | ~mask.any(1))[0])
            raise ArgumentError(
                f"LogPolicy: item {row} has no response, or nothing before its first token; give prompt_length of at "
                "least 1, or LogPolicy(begin=id)"
            )
        if torch.is_grad_enabled() or items.n <= self.batch:
            return self._score(tokens, mask, device)
        return torch.cat(
            [self._score(t, m, device) for t, m in zip(tokens.split(self.batch), mask.split(self.batch), strict=True)]
        )

    def log_prob(self, items: Items) -> torch.Tensor:
        """Same as calling it: a policy is a density."""
        return self(items)

    def _score(self, tokens: torch.Tensor, mask: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Of tokens and mask on the CPU, the log-probabilities where the model lives."""
        shown = mask.any(0).int()
        begin, trailing, largest = torch.stack([shown.argmax(), shown.flip(0).argmax(), tokens.max()]).tolist()
        check_vocabulary("LogPolicy", self.model, largest)
        length = tokens.shape[1] - trailing  # trailing pads cost nothing
        tokens, mask = send(tokens[:, :length], device), send(mask[:, :length], device)
        # logits before the first response token are not needed
        with embedding_errors("LogPolicy", largest, length - 1):
            logits = token_logits(self.model, tokens[:, :-1].clamp_min(0), keep=length - begin).float()
        if largest >= logits.shape[-1]:
            raise ArgumentError(
                f"LogPolicy: token id {largest} among the items, and the model has {logits.shape[-1]} logits"
            )
        target, wanted = tokens[:, begin:].clamp_min(0), mask[:, begin:]
        chosen = logits.gather(-1, target[..., None])[..., 0] - logits.logsumexp(-1)
        total = torch.where(wanted, chosen, 0.0).sum(-1)
        return total / wanted.sum(-1) if self.per_token else total


class SequenceReward(TokenUtility, MultipleOutputs):
    """A sequence-classification model as a reward: its single logit at the last token, ``(n,)``.

    Args:
        model: ``model(input_ids=, attention_mask=).logits`` of shape ``(batch, outputs)``; put into evaluation mode.
        pad: token id put where items have pads. Models of ``transformers`` find the last token as the last that is not
            their ``config.pad_token_id``, so that is the one taken by default (0 where a model has none).
        outputs: with more than one, ``(n, outputs)``: heads of a distributional reward (see :class:`Heads`).

    Raises:
        ArgumentError: another number of logits a sequence, an id beyond the vocabulary, or a pad that is not the
            model's own.

    Example:
        >>> from types import SimpleNamespace
        >>> class Last(nn.Module):
        ...     def forward(self, input_ids, attention_mask):
        ...         last = input_ids.gather(1, attention_mask.sum(1, keepdim=True) - 1)
        ...         return SimpleNamespace(logits=last.float())
        >>> SequenceReward(Last())(Items(tokens=[[1, 2], [3, -1]])).tolist()
        [2.0, 3.0]
    """

    def __init__(self, model: nn.Module, pad: int | None = None, outputs: int = 1):
        super().__init__()
        if not isinstance(model, nn.Module):
            raise ArgumentError(f"SequenceReward({model!r}): give a sequence classifier, a torch.nn.Module")
        self.model, self.pad, self.outputs = model.eval(), pad, int(outputs)
        self._pad_id()  # refuses what does not fit

    def forward(self, items: Items) -> torch.Tensor:
        """Rewards of all items, ``(n,)`` float32; with several outputs ``(n, outputs)``."""
        tokens = tokens_of(items.host)
        device = next((p.device for p in self.model.parameters()), items.device)
        largest = int(tokens.max())
        check_vocabulary("SequenceReward", self.model, largest)
        mask = send(tokens >= 0, device)
        ids = send(torch.where(tokens >= 0, tokens, self._pad_id()), device)
        try:
            with embedding_errors("SequenceReward", largest, tokens.shape[1]):
                logits = of_class(self.model)(input_ids=ids, attention_mask=mask.long()).logits
        except ValueError as error:
            if "padding token" not in str(error):
                raise
            raise ArgumentError(
                "SequenceReward: the model reads the last token that is no pad, and has no pad; set "
                "model.config.pad_token_id, such as to the tokenizer's"
            ) from error
        if logits.shape != (items.n, self.outputs):
            raise ArgumentError(
                f"SequenceReward: logits of shape {tuple(logits.shape)}; build the model with num_labels={self.outputs}"
            )
        return logits[:, 0].float() if self.outputs == 1 else logits.float()

    def _pad_id(self) -> int:
        own = getattr(text_config(self.model), "pad_token_id", None)
        if self.pad is not None and own is not None and int(self.pad) != own:
            raise ArgumentError(
                f"SequenceReward(pad={told(self.pad)}): the model looks for its own pad, {own}, and would read its reward "
                "at a pad; leave pad= out, or change model.config.pad_token_id"
            )
        return int(own if own is not None else self.pad or 0)
