"""Expected information of a question: how many nats its answer tells of a target, on average."""

from __future__ import annotations

import torch

__all__ = ["entropy", "expected_information"]


def entropy(p: torch.Tensor) -> torch.Tensor:
    """``-sum p log p`` in nats over the last axis.

    Example:
        >>> round(float(entropy(torch.tensor([0.5, 0.5]))), 6)
        0.693147
    """
    return torch.special.entr(p).sum(-1)


def expected_information(tables: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
    r"""Mutual information of each question's answer and a target, in nats, ``(..., M)``.

    ``I(A; T) = H(A) - sum_t P(t) H(A | t)`` (Lindley 1956, Ann. Math. Stat. 27:986; for a learner that may choose,
    MacKay 1992, and "BALD", Houlsby et al. 2011, arXiv:1112.5745). The target ``T`` is a partition of the states.

    Args:
        tables: ``(S, M, A)`` probabilities of the answers to each question in each state.
        weight: ``(..., S)`` probabilities of the states.
        labels: ``(S,)`` the value of the target in each state, from 0 on; ``None`` when it is the state itself.

    Example:
        >>> certain = torch.eye(2).double()[:, None, :]  # the answer tells which of two states it is
        >>> round(float(expected_information(certain, torch.tensor([0.5, 0.5]).double(), None)), 6)
        0.693147
    """
    states, menus, answers = tables.shape
    before = entropy((weight @ tables.reshape(states, -1)).reshape(*weight.shape[:-1], menus, answers))
    if labels is None:
        after = weight @ entropy(tables)
    else:
        groups = int(labels.max()) + 1
        inside = torch.nn.functional.one_hot(labels, groups).to(weight) * weight[..., None]  # (..., S, G)
        mass = inside.sum(-2)
        joint = (inside.mT @ tables.reshape(states, -1)).reshape(*mass.shape, menus, answers)
        # sum_g P(g) H(A | g) = sum_g [H of the joint row - P(g) log 1 / P(g)]
        after = entropy(joint).sum(-2) - entropy(mass)[..., None]
    return (before - after).clamp_min(0.0)
