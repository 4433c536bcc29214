"""Utilities that read tokens: language models as policies, reward heads, ensembles, heads with a spread.

Any torch module will do that maps token ids ``(batch, length)`` to logits; models of ``transformers`` do, and nothing
here imports that library. Build a model from a local config, or load one by path or name, and wrap it.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.items import Items, send
from annosim.utilities.adapters import copied, of_class
from annosim.utilities.base import Utility, check_dim, check_inputs, check_widths, perceptron

__all__ = ["Column", "Ensemble", "Heads", "LogPolicy", "SequenceReward", "last_hidden", "response_mask"]


def response_mask(items: Items) -> torch.Tensor:
    """``(n, length)`` bool: tokens of the response (not of the prompt, not pads).

    ``items.columns["prompt_length"]`` says how many tokens of each row belong to the prompt; none by default.

    Example:
        >>> response_mask(Items(tokens=[[5, 6, 7], [5, 8, -1]], columns={"prompt_length": [1, 1]})).tolist()
        [[False, True, True], [False, True, False]]
    """
    tokens = _tokens(items)
    place = torch.arange(tokens.shape[1], device=tokens.device)
    lengths = np.asarray(items.columns.get("prompt_length", np.zeros(items.n, dtype=np.int64)))
    if lengths.shape != (items.n,) or not np.issubdtype(lengths.dtype, np.integer):
        raise ArgumentError(f'the items\' column "prompt_length" has {lengths.dtype}; give whole numbers of tokens')
    begin = torch.as_tensor(lengths)
    return (tokens >= 0) & (place >= begin.to(tokens.device)[:, None])


class _Reader(Utility):
    """Holds a model that reads tokens, as it was given; it and its copies compute with the numbers that they hold."""

    #: an item's number depends on that item alone, so a minibatch needs only the items it shows
    local = True
    model: nn.Module

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A trainer may have put a ``forward`` of its own on the model, which would compute with the original's numbers
        (see :func:`annosim.utilities.adapters.copied`)."""
        other = memo[id(self)] = type(self).__new__(type(self))
        copied(self.model, memo)  # the copy is kept in the memo
        other.__dict__.update({name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()})
        return other


class LogPolicy(_Reader):
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
            raise ArgumentError(f"LogPolicy(batch={batch!r}): a whole number of at least 1")
        whole = isinstance(begin, int | np.integer) and not isinstance(begin, bool)
        if begin is not None and not (whole and begin >= 0):
            raise ArgumentError(
                f"LogPolicy(begin={begin!r}): the id of a token, at least 0, such as tokenizer.bos_token_id; or None"
            )
        self.model, self.begin, self.batch, self.per_token = model.eval(), begin, batch, per_token

    def forward(self, items: Items) -> torch.Tensor:
        """Log-probabilities of all items' responses, ``(n,)`` float32."""
        device = next((p.device for p in self.model.parameters()), items.device)
        items = items.home  # what must be looked at is looked at there; only what the model reads is sent
        tokens, mask = _tokens(items), response_mask(items)
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
        _check_vocabulary("LogPolicy", self.model, largest)
        length = tokens.shape[1] - trailing  # trailing pads cost nothing
        tokens, mask = send(tokens[:, :length], device), send(mask[:, :length], device)
        # logits before the first response token are not needed
        with _reading("LogPolicy", largest, length - 1):
            logits = token_logits(self.model, tokens[:, :-1].clamp_min(0), keep=length - begin).float()
        if largest >= logits.shape[-1]:
            raise ArgumentError(
                f"LogPolicy: token id {largest} among the items, and the model has {logits.shape[-1]} logits"
            )
        target, wanted = tokens[:, begin:].clamp_min(0), mask[:, begin:]
        chosen = logits.gather(-1, target[..., None])[..., 0] - logits.logsumexp(-1)
        total = torch.where(wanted, chosen, 0.0).sum(-1)
        return total / wanted.sum(-1) if self.per_token else total


class Column(Utility):
    """One output of a network with several, ``(n,)``: made by :meth:`Heads.column`.

    Example:
        >>> import annosim as an
        >>> an.utilities.Heads([4], dim=2, outputs=3).column(2)(Items.normal(5, 2)).shape
        torch.Size([5])
    """

    def __init__(self, source: Utility, number: int):
        super().__init__()
        self.source, self.number = source, int(number)
        self.local = bool(getattr(source, "local", False))

    def forward(self, items: Items) -> torch.Tensor:
        """That output for all items, ``(n,)``."""
        return self.source(items)[:, self.number]


class _ManyOutputs(Utility):
    """A module items -> ``(n, outputs)``."""

    outputs: int

    def column(self, number: int) -> Column:
        """One of the outputs as a utility; columns of one network share its weights."""
        if not 0 <= number < self.outputs:
            raise ArgumentError(f"{type(self).__name__}.column({number}): there are {self.outputs} outputs, from 0")
        return Column(self, number)


class Heads(_ManyOutputs):
    """A network from item features to several numbers: the heads of a distributional reward.

    ``heads.column(0)`` and ``heads.column(1)`` are utilities with shared weights, for the mean and the spread of
    :class:`annosim.rules.MeanVariance`; all columns are the logits of :class:`annosim.rules.CategoricalReward`.

    Args:
        module: any ``torch.nn.Module`` that maps ``(n, dim)`` to ``(n, outputs)``, put into evaluation mode; or the
            hidden widths of a tanh multilayer perceptron (then ``dim`` is needed).
        dim: number of input features (only with widths).
        outputs: B.
        seed: initialisation (only with widths).
        dtype: of the weights made here.

    Raises:
        ArgumentError: the items have no features, or the module has another number of outputs.

    Example:
        >>> import annosim as an
        >>> both = Heads([8], dim=2, outputs=2)
        >>> people = an.Annotator(both.column(0), an.rules.MeanVariance(both.column(1)))
        >>> an.simulate(people, an.Design(Items.normal(5, 2), annotators=10), seed=0).rows
        10
    """

    def __init__(
        self,
        module: nn.Module | Sequence[int],
        dim: int | None = None,
        outputs: int = 2,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        if not isinstance(module, nn.Module):
            module = perceptron([check_dim("Heads", dim), *check_widths("Heads", module), outputs], seed, dtype)
        self.module, self.outputs = module.eval(), int(outputs)

    def forward(self, items: Items) -> torch.Tensor:
        """All outputs for all items, ``(n, outputs)``."""
        if items.features is None:
            raise ArgumentError("Heads: the items have no features; give Items(features=...)")
        first = next(self.module.parameters(), None)
        x = items.features if first is None else items.features.to(device=first.device, dtype=first.dtype)
        check_inputs("Heads", self.module, x)
        out = self.module(x)
        if out.shape != (items.n, self.outputs):
            raise ArgumentError(f"Heads: output of shape {tuple(out.shape)}, expected ({items.n}, {self.outputs})")
        return out


class SequenceReward(_Reader, _ManyOutputs):
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
        tokens = _tokens(items.home)
        device = next((p.device for p in self.model.parameters()), items.device)
        largest = int(tokens.max())
        _check_vocabulary("SequenceReward", self.model, largest)
        mask = send(tokens >= 0, device)
        ids = send(torch.where(tokens >= 0, tokens, self._pad_id()), device)
        try:
            with _reading("SequenceReward", largest, tokens.shape[1]):
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
        own = getattr(_config(self.model), "pad_token_id", None)
        if self.pad is not None and own is not None and int(self.pad) != own:
            raise ArgumentError(
                f"SequenceReward(pad={self.pad!r}): the model looks for its own pad, {own}, and would read its reward "
                "at a pad; leave pad= out, or change model.config.pad_token_id"
            )
        return int(own if own is not None else self.pad or 0)


class Ensemble(Utility):
    """The mean of several utilities, and their spread.

    Args:
        members: utilities.

    Example:
        >>> import annosim as an
        >>> both = Ensemble([an.Tabular([0.0, 2.0]), an.Tabular([1.0, 1.0])])
        >>> both(Items(n=2)).tolist(), both.spread(Items(n=2)).round(decimals=4).tolist()
        ([0.5, 1.5], [0.7071, 0.7071])
    """

    def __init__(self, members: Sequence[Utility]):
        super().__init__()
        if not members or not all(isinstance(member, Utility) for member in members):
            raise ArgumentError("Ensemble(members): a list of at least one utility")
        self.members = nn.ModuleList(members)
        self.local = all(getattr(m, "local", False) for m in members)

    def forward(self, items: Items) -> torch.Tensor:
        """Mean over members, ``(n,)``."""
        return torch.stack([member(items) for member in self.members]).mean(0)

    def spread(self, items: Items) -> torch.Tensor:
        """Standard deviation over members after centring each (its level says nothing), ``(n,)``."""
        with torch.no_grad():
            values = torch.stack([member(items) for member in self.members])
        return (values - values.mean(-1, keepdim=True)).std(0)


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
    tokens, model = _tokens(items), of_class(model)
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


def _config(model: nn.Module) -> Any:
    """The configuration of a model of ``transformers`` (of its text part), or ``None``."""
    config: Any = getattr(model, "config", None)
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def _check_vocabulary(who: str, model: nn.Module, largest: int) -> None:
    """Refuse ids that the model has no embedding of (a GPU would only say so after it is too late)."""
    size = getattr(_config(model), "vocab_size", None)
    if isinstance(size, int) and largest >= size:
        raise ArgumentError(
            f"{who}: token id {largest} among the items, and the model's vocabulary has {size}; use the model's own "
            "tokenizer, or model.resize_token_embeddings"
        )


@contextlib.contextmanager
def _reading(who: str, largest: int, length: int) -> Iterator[None]:
    """What an embedding says of an id or a place that it does not have, in words that help."""
    try:
        yield
    except IndexError as error:
        raise ArgumentError(
            f"{who}: the model has no embedding for something in the items' tokens, whose largest id is {largest} and "
            f"whose longest sequence is {length}; look at its vocabulary and its number of positions"
        ) from error


def _tokens(items: Items) -> torch.Tensor:
    if items.tokens is None or items.tokens.ndim != 2:
        raise ArgumentError(
            "the items have no tokens; give Items(tokens=(n, length) ids, -1 pads), or make them of texts with "
            "an.io.tokenize(data, tokenizer)"
        )
    return items.tokens
