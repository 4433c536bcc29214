"""Kullback-Leibler divergence of a projection from the truth's law, in nats per block of answers."""

from __future__ import annotations

import torch

from annosim.laws import Law
from annosim.populations.annotator import answers_are_independent
from annosim.populations.base import Population

__all__ = ["divergence_from"]


def divergence_from(law: Law, truth: Population, log_likelihood: float) -> float:
    """Cross-entropy, which is minus the expected log-likelihood, less the entropy of the truth.

    Args:
        law: the truth's.
        truth: the truth.
        log_likelihood: expected, per block, of the model.
    """
    if law.questions == 1 or answers_are_independent(truth):
        return _entropy_of_questions(law) - log_likelihood
    p = torch.as_tensor(law.probabilities)
    blocks = torch.as_tensor(law.outcomes, dtype=torch.long)[p > 0]
    given = law.given_menus.log_probability(blocks[..., 0], blocks[..., 1])
    return float((p[p > 0] * given).sum()) - log_likelihood


def _entropy_of_questions(law: Law) -> float:
    """``sum p log p`` over all questions of a block, menus given: they are drawn alike under both."""
    counts = (law.expected_counts() if len(law.table) == 1 else law.counts_by_place()).detach()
    given = counts / counts.sum(-1, keepdim=True).clamp_min(1e-300)
    return float(torch.special.xlogy(counts, given).sum())
