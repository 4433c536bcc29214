"""Choices from pairs as one weighted graph, and functions of its preference logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from annosim.errors import NoProjectionError, NotIdentifiedError
from annosim.items import Items
from annosim.laws import Law, on_menus
from annosim.learning.objectives import NLL, Margin, Objective, SoftLabels
from annosim.learning.problem import Problem

__all__ = ["PairGraph", "graph_of", "is_pairs"]


@dataclass(frozen=True, eq=False)
class PairGraph:
    """Every ordered (winner, loser) with its weight, and the judges' share that agrees with the winner.

    Attributes:
        winner, loser: ``(E,)`` long.
        weight: ``(E,)`` float64, sums to one.
        agree: ``(E,)`` float64 or ``None``.
        n: number of items.
        itself: weight of pairs of an item with itself: they say nothing, and add a constant to the objective.
    """

    winner: torch.Tensor
    loser: torch.Tensor
    weight: torch.Tensor
    agree: torch.Tensor | None
    n: int
    itself: float = 0.0

    def check_connected(self, items: Items) -> None:
        """Raise when a prompt falls into pieces that were never compared: their levels are not identified."""
        size = (self.n, self.n)
        graph = coo_matrix((np.ones(len(self.winner)), (self.winner.numpy(), self.loser.numpy())), shape=size)
        count, label = connected_components(graph, directed=False)
        if count == items.num_prompts:
            return
        prompts = items.prompts.numpy()
        for prompt in np.unique(prompts):
            inside = np.flatnonzero(prompts == prompt)
            pieces = [inside[label[inside] == c] for c in np.unique(label[inside])]
            if len(pieces) > 1:
                small = min(pieces, key=len)
                names = [items.names[i] for i in small]
                raise NotIdentifiedError(
                    f"{len(pieces)} groups of items of prompt {prompt} were never compared with each other (one is "
                    f"{', '.join(names[:5])}); add comparisons between them, or drop them",
                    items=names,
                    components=[[items.names[i] for i in piece] for piece in pieces],
                )

    def laplacian(self, curvature: torch.Tensor) -> torch.Tensor:
        """``sum_e c_e (e_w - e_l)(e_w - e_l)'``, ``(n, n)``."""
        off = torch.zeros(self.n * self.n, dtype=torch.float64)
        off.index_add_(0, self.winner * self.n + self.loser, curvature)
        off = off.view(self.n, self.n)
        off = off + off.T
        return torch.diag(off.sum(-1)) - off

    def divergence(self, flow: torch.Tensor) -> torch.Tensor:
        """``sum_e f_e (e_w - e_l)``, ``(n,)``: the gradient of a function of the logits."""
        return (
            torch.zeros(self.n, dtype=torch.float64).index_add_(0, self.winner, flow).index_add_(0, self.loser, -flow)
        )


def is_pairs(problem: Problem) -> bool:
    """Whether the answers are choices from pairs, without ties and skips."""
    if problem.law is not None:
        law = problem.law
        return law.design.feedback.kind == "choice" and law.menu.shape[1] == 2 and len(law.space) == 2
    data = problem.data
    return data.feedback.kind == "choice" and data.menu_size == 2 and not data.has_ties and not bool(data.skipped.any())


def graph_of(problem: Problem) -> PairGraph:
    """The pairs of a problem: of a projection the exact law, otherwise the data.

    Raises:
        NoProjectionError: the answers are not choices from pairs.
    """
    objective = problem.objective or NLL()
    if problem.law is not None:
        first, second, win, lose, share = _from_law(problem, objective)
    else:
        first, second, win, lose, share = _from_data(problem, objective)
    keep_w, keep_l = win > 0, lose > 0
    winner = torch.cat([first[keep_w], second[keep_l]])
    loser = torch.cat([second[keep_w], first[keep_l]])
    weight = torch.cat([win[keep_w], lose[keep_l]])
    other = share if objective.of_choice or share is None else 1 - share
    agree = None if share is None else torch.cat([share[keep_w], other[keep_l]])
    proper = winner != loser
    weight = weight / weight.sum()
    graph = PairGraph(
        winner[proper],
        loser[proper],
        weight[proper],
        None if agree is None else agree[proper],
        problem.items.n,
        float(weight[~proper].sum()),
    )
    return graph if agree is not None else _merged(graph)


def _merged(graph: PairGraph) -> PairGraph:
    code, place = torch.unique(graph.winner * graph.n + graph.loser, return_inverse=True)
    if len(code) == len(graph.winner):
        return graph
    weight = torch.zeros(len(code), dtype=torch.float64).index_add_(0, place, graph.weight)
    return PairGraph(code // graph.n, code % graph.n, weight, None, graph.n, graph.itself)


def _from_law(problem: Problem, objective: Objective) -> tuple[Any, ...]:
    law: Law = problem.law  # type: ignore[assignment]
    if law.design.feedback.kind != "choice" or law.menu.shape[1] != 2 or len(law.space) != 2:
        raise NoProjectionError(
            f"{type(objective).__name__} needs choices from pairs without ties or skips; this design asks for "
            f"{law.design.feedback.kind} of {law.menu.shape[1]}; project with NLL"
        )
    if objective.of_choice:
        raise NoProjectionError(
            f"{type(objective).__name__} reads a column of recorded choices, and a law has none; fit it to data, or project a "
            "margin that is made of a judge's share"
        )
    p = law.expected_counts().detach() / law.mean_questions
    share: Any = None
    if isinstance(objective, Margin | SoftLabels) and objective.columns():
        if objective.judge is None:
            share = p[:, 0] / p.sum(-1)
        else:
            judged = on_menus(objective.judge, law.design, law.menu, law.menu_probability).given_menus.marginal()
            share = judged[:, 0].detach()
    if isinstance(objective, SoftLabels):  # the recorded answer plays no part
        p = p.sum(-1, keepdim=True) * torch.stack([share, 1 - share], -1)
    return law.menu[:, 0], law.menu[:, 1], p[:, 0], p[:, 1], share


def _from_data(problem: Problem, objective: Objective) -> tuple[Any, ...]:
    data = problem.data
    if data.feedback.kind != "choice" or data.menu_size != 2 or data.has_ties or bool(data.skipped.any()):
        raise NoProjectionError(
            f"{type(objective).__name__} needs choices from pairs without ties or skips; project with NLL, or fit with "
            "solver=an.Adam()"
        )
    from annosim.learning.objectives import columns_of

    menu = torch.as_tensor(np.asarray(data.menu), dtype=torch.long)
    answer = torch.as_tensor(np.asarray(data.answer), dtype=torch.long).reshape(len(menu), -1)[:, 0]
    weight = torch.as_tensor(np.asarray(data.row_weight), dtype=torch.float64)
    share: Any = next(iter(columns_of(objective, data.columns).values()), None)
    if isinstance(objective, SoftLabels):
        return menu[:, 0], menu[:, 1], weight * share, weight * (1 - share), share
    zero = torch.zeros_like(weight)
    return menu[:, 0], menu[:, 1], torch.where(answer == 0, weight, zero), torch.where(answer == 1, weight, zero), share
