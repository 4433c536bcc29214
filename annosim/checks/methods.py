"""The three methods of a rule held against each other: ``sample`` against ``table``, ``table`` against ``log_prob``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from annosim.arrays import Numbers
from annosim.checks.statistics import CellTest, compare_counts
from annosim.feedback import AnswerSpace, Feedback
from annosim.items import Items
from annosim.populations.base import gather
from annosim.random import CounterRNG
from annosim.rules.base import Answer, Rule, View
from annosim.rules.covariates import standard_covariates

__all__ = ["answer_numbers", "compare_sample_and_table", "count_answers", "make_view", "table_probabilities"]


def make_view(
    items: Items,
    menu: Numbers,
    feedback: Feedback,
    order: Numbers = 0,
    previous: Numbers | None = None,
    ties: bool = False,
    covariates: Sequence[str] = (),
) -> View:
    """A view of questions with menus ``(rows, k)``, at places ``order`` of the sequence.

    Args:
        previous: ``(rows, width)`` previous answers; none yet (-1) by default.
        ties: whether ``previous`` has the width of answers with ties.
        covariates: names of covariates, whose numbers are standard normal, of each place of each question.

    Example:
        >>> make_view(Items(n=3), [[0, 1], [1, 2]], Feedback("choice")).k
        2
    """
    menu = torch.as_tensor(np.asarray(menu), dtype=torch.long)
    rows = len(menu)
    if previous is None:
        previous = np.full((rows, feedback.width(menu.shape[-1], ties)), -1)
    return View(
        items=items,
        menu=menu,
        feedback=feedback,
        order=torch.as_tensor(np.broadcast_to(order, rows).copy(), dtype=torch.long),
        previous=torch.as_tensor(np.asarray(previous), dtype=torch.long),
        annotator=torch.zeros(rows, dtype=torch.long),
        prompt=torch.zeros(rows, dtype=torch.long),
        covariates=standard_covariates(covariates, rows, menu.shape[-1]),
    )


def table_probabilities(rule: Rule, u: torch.Tensor, view: View) -> tuple[torch.Tensor, AnswerSpace]:
    """Exact probabilities ``(..., rows, answers)`` for utilities ``u (..., n)``, and the answers."""
    space = rule.space(view)
    scores = gather(rule.index(u, view.items), view.menu)
    return rule.table(scores, view, space).exp(), space


def answer_numbers(answer: Answer, space: AnswerSpace) -> np.ndarray:
    """Number of each answer within ``space``, ``(rows,)``; -1 for an answer that is not in it."""
    rows = np.asarray(space.answer, dtype=np.int64)
    given = answer.position.numpy()
    if given.shape[-1] < rows.shape[-1]:
        fill = np.full((len(given), rows.shape[-1] - given.shape[-1]), -1)
        given = np.concatenate([given, fill], -1)
    if space.tied is not None:
        rows = np.concatenate([rows, np.asarray(space.tied, dtype=np.int64)], -1)
        tied = np.zeros((len(given), space.tied.shape[1])) if answer.tied is None else answer.tied.numpy()
        given = np.concatenate([given, tied.astype(np.int64)], -1)
    code = {tuple(r): i for i, r in enumerate(rows.tolist())}
    distinct, which = np.unique(given, axis=0, return_inverse=True)
    number = np.array([code.get(tuple(r), -1) for r in distinct.tolist()])
    return number[which.reshape(-1)]


def count_answers(rule: Rule, u: torch.Tensor, view: View, draws: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts of ``draws`` sampled answers to each question of ``view`` and their exact probabilities.

    Returns:
        counts ``(rows, answers)``, probabilities ``(rows, answers)``.

    Raises:
        ValueError: the rule drew an answer that is outside its own space.
    """
    probability, space = table_probabilities(rule, u, view)
    rows = len(view.menu)
    copies = torch.arange(rows).repeat_interleave(draws)
    many = view.rows(copies)
    scores = gather(rule.index(u, view.items), many.menu)
    with torch.no_grad():
        given = rule.sample(scores, many, CounterRNG(seed, np.arange(rows * draws)))
    number = answer_numbers(given, space)
    if (number < 0).any():
        bad = int(np.flatnonzero(number < 0)[0])
        raise ValueError(f"{type(rule).__name__} drew an answer outside its space: {given.position[bad].tolist()}")
    flat = np.bincount(np.repeat(np.arange(rows), draws) * len(space) + number, minlength=rows * len(space))
    return flat.reshape(rows, len(space)), probability.detach().double().numpy()


def compare_sample_and_table(rule: Rule, u: torch.Tensor, view: View, draws: int = 20_000, seed: int = 0) -> CellTest:
    """Hold ``sample`` against ``table``: exact binomial test of every cell, Bonferroni over all of them.

    Under a correct rule the returned p-value is super-uniform: rejecting below ``a`` is wrong with probability at most
    ``a``.

    Example:
        >>> import annosim as an
        >>> view = make_view(Items(n=2), [[0, 1]], Feedback("choice"))
        >>> compare_sample_and_table(an.Luce(), torch.tensor([0.0, 1.0]), view, draws=1000).p_value > 1e-9
        True
    """
    counts, probability = count_answers(rule, u, view, draws, seed)
    return compare_counts(counts, probability / probability.sum(-1, keepdims=True))
