"""Rewards from simulated people, for TRL's trainers by reinforcement learning (GRPO, RLOO)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from annosim.constraints import check_whole_number
from annosim.data.writers.pairs import pair_outcomes
from annosim.designs.design import Design
from annosim.errors import ArgumentError, DataError
from annosim.items import Items
from annosim.policies.tilts import values_of
from annosim.populations.base import Population
from annosim.random import check_seed, child_seed
from annosim.simulation.draws import simulate
from annosim.utilities.base import Utility

__all__ = ["SimulatedReward", "reward_function"]

#: a text, or a conversation: messages with ``role`` and ``content``
Text: TypeAlias = str | Sequence[dict[str, str]]
Tokenize: TypeAlias = Callable[[str], Any]


def reward_function(
    population: Population | Utility,
    *,
    items: Items | None = None,
    features: Callable[[list[str], list[str]], ArrayLike] | None = None,
    tokenizer: Tokenize | None = None,
    answers: int | None = None,
    unknown: float | None = None,
    seed: int = 0,
) -> SimulatedReward:
    """A reward function for TRL's ``GRPOTrainer`` and ``RLOOTrainer`` from a population or a reward model of annosim.

    Without ``answers`` a completion's reward is its indexed utility, averaged over the types and tastes of the population
    by their weights. With ``answers=m`` it is the share of comparisons that it wins: m simulated annotators, drawn anew for
    every call, each compare it with every other completion of its prompt in the batch, with their rule's noise.

    What the population reads decides how a completion becomes an item: give one of ``items``, ``features``, ``tokenizer``.

    Args:
        population: any population, or a utility such as ``an.SequenceReward(model)``.
        items: with texts; a completion is the item whose text it is (outer white space aside). For tabular utilities.
        features: function of the prompts' and the completions' texts that gives ``(n, dim)`` features.
        tokenizer: of the prompts, for utilities that read tokens; TRL hands over those of the completions.
        answers: m, or ``None`` for no noise.
        unknown: reward of a completion that is no item; without it such a one is refused.
        seed: of the annotators and their answers; each call has its own address.

    Raises:
        ArgumentError: none or several of the three are given, or ``answers`` of a utility, which nobody answers by.
        DataError: (when called) a completion that is no item.

    Example:
        >>> import annosim as an
        >>> items = an.Items(texts=["yes", "no"])
        >>> people = an.Mixture([an.Annotator(an.Tabular([s, -s]), an.Luce()) for s in (1.0, -1.0)], [0.75, 0.25])
        >>> reward = reward_function(people, items=items)
        >>> reward(prompts=["is it?"] * 2, completions=["yes", " no"])
        [0.5, -0.5]
        >>> noisy = reward_function(people, items=items, answers=1000, seed=1)
        >>> [round(r, 1) for r in noisy(prompts=["is it?"] * 2, completions=["yes", "no"])]
        [0.7, 0.3]
    """
    given = [
        name
        for name, value in (("items", items), ("features", features), ("tokenizer", tokenizer))
        if value is not None
    ]
    if len(given) != 1:
        told = " and ".join(f"{name}=" for name in given) or "none"
        raise ArgumentError(f"reward_function: give one of items=, features= and tokenizer=; there is {told}")
    if not isinstance(population, Population | Utility):
        raise ArgumentError(f"reward_function({type(population).__name__}): give a population, or a utility")
    if answers is not None:
        check_whole_number("reward_function(answers=)", answers)
        if not isinstance(population, Population):
            raise ArgumentError(
                "reward_function(answers=): a utility has no answers; give an.Annotator(utility, an.Luce())"
            )
    if items is not None and items.texts is None:
        raise ArgumentError("reward_function(items=): they have no texts; give Items(texts=...)")
    return SimulatedReward(population, items, features, tokenizer, answers, unknown, check_seed(seed))


class SimulatedReward:
    """What :func:`reward_function` gives: a function of prompts and completions, as TRL calls it.

    Attributes:
        calls: how often it was called; the address of the next call's draws.

    Example:
        >>> import annosim as an
        >>> reward = reward_function(an.Linear([1.0]), features=lambda prompts, texts: [[len(t)] for t in texts])
        >>> reward(prompts=["", ""], completions=["a", "abc"]), reward.__name__
        ([1.0, 3.0], 'reward of Linear')
    """

    def __init__(
        self,
        population: Population | Utility,
        items: Items | None,
        features: Callable[[list[str], list[str]], ArrayLike] | None,
        tokenizer: Tokenize | None,
        answers: int | None,
        unknown: float | None,
        seed: int,
    ):
        self.population, self.items, self.features, self.tokenizer = population, items, features, tokenizer
        self.answers, self.unknown, self.seed, self.calls = answers, unknown, seed, 0
        self.__name__ = f"reward of {type(population).__name__}"  # TRL logs it
        texts = () if items is None or items.texts is None else items.texts
        self._ids = {text.strip(): i for i, text in reversed(list(enumerate(texts)))}

    def __call__(
        self,
        prompts: Sequence[Text],
        completions: Sequence[Text],
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: object,
    ) -> list[float]:
        """Rewards of the completions.

        Args:
            prompts, completions: texts or conversations, as many of each.
            completion_ids: tokens of the completions.
            columns: of the dataset; not read.

        Raises:
            DataError: a completion that is no item.
            ArgumentError: no tokens of the completions, for a utility that reads them.
        """
        items, ids = self._items(prompts, completions, completion_ids)
        address = child_seed(self.seed, f"call {self.calls} of process {os.environ.get('RANK', '0')}")
        self.calls += 1
        known = np.flatnonzero(ids >= 0)
        out = np.full(len(ids), np.nan if self.unknown is None else float(self.unknown))
        if len(known):
            if self.answers is None:
                out[known] = _utilities(self.population, items)[ids[known]]
            else:
                before = [_text(prompts[int(i)]) for i in known]
                groups = np.array([before.index(one) for one in before])
                out[known] = self._wins(items, ids[known], groups, address)
        return out.tolist()

    def _items(
        self, prompts: Sequence[Text], completions: Sequence[Text], completion_ids: Sequence[Sequence[int]] | None
    ) -> tuple[Items, NDArray[np.int64]]:
        """Items, and the completions' numbers among them; -1 for one that is no item."""
        texts = [_last(one) for one in completions]
        if self.items is not None:
            ids = np.array([self._ids.get(text.strip(), -1) for text in texts])
            if self.unknown is None and (ids < 0).any():
                text = texts[int((ids < 0).argmax())]
                raise DataError(
                    f"reward: {text[:40]!r} is no item's text; give unknown= (its reward), or features= or tokenizer="
                )
            return self.items, ids
        ids = np.arange(len(texts))
        if self.features is not None:
            return Items(features=np.asarray(self.features([_text(p) for p in prompts], texts))), ids
        if completion_ids is None:
            raise ArgumentError("reward: this utility reads tokens, and the call has no completion_ids=")
        before = [_tokens(self.tokenizer, prompt) for prompt in prompts]
        rows = [[*prompt, *own] for prompt, own in zip(before, completion_ids, strict=True)]
        return Items(tokens=rows, columns={"prompt_length": np.array([len(prompt) for prompt in before])}), ids

    def _wins(self, items: Items, ids: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
        """Share of comparisons that each completion wins; equal items tie, and one alone has a half."""
        assert isinstance(self.population, Population) and self.answers is not None
        wins, asked = np.zeros(len(ids)), np.zeros(len(ids))
        first, second = np.triu_indices(len(ids), 1)
        here = groups[first] == groups[second]
        first, second = first[here], second[here]
        swap = np.random.default_rng(seed % 2**63).random(len(first)) < 0.5  # neither is always shown first
        first, second = np.where(swap, second, first), np.where(swap, first, second)
        tie = ids[first] == ids[second]
        for side in (first, second):
            np.add.at(wins, side[tie], 0.5 * self.answers)
            np.add.at(asked, side, float(self.answers))
        first, second = first[~tie], second[~tie]
        if len(first):
            free = items.with_(prompts=None) if items.num_prompts > 1 else items
            design = Design(
                free, menus=np.stack([ids[first], ids[second]], 1), annotators=self.answers, questions="all"
            )
            data = simulate(self.population, design, seed=seed)
            outcome = pair_outcomes(data).reshape(self.answers, len(first))
            share = np.where(outcome > 1, 0.5, outcome)  # a tie or a skip, of rules that have them, is half a win
            np.add.at(wins, second, share.sum(0))
            np.add.at(wins, first, (1 - share).sum(0))
        return np.divide(wins, asked, out=np.full(len(ids), 0.5), where=asked > 0)


def _utilities(population: Population | Utility, items: Items) -> NDArray[np.float64]:
    """Of a utility, or the indexed utilities of a population averaged over types and tastes, ``(n,)``."""
    with torch.no_grad():
        if not isinstance(population, Population):
            return values_of(population, items).numpy()
        parts = population.indexed(items)
        total = sum((c.weight[:, None] * c.index.double()).sum(0) for c in parts)
        return np.asarray(total / sum(c.weight.sum() for c in parts))


def _text(prompt: Text) -> str:
    """A prompt as text: completions are compared within it."""
    return prompt if isinstance(prompt, str) else "\n".join(f"{m['role']}: {m['content']}" for m in prompt)


def _last(completion: Text) -> str:
    """A completion as text: what was said last."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])


def _tokens(tokenizer: Any, prompt: Text) -> list[int]:
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    made = tokenizer.apply_chat_template(prompt, tokenize=True, return_dict=True, add_generation_prompt=True)
    return list(made["input_ids"])
