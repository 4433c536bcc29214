"""The loss of a population's copies on rows of data: what a step of training descends."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from annosim.errors import TrainingError
from annosim.learning.objectives import ForwardKL, Objective
from annosim.learning.training.batches import Rows
from annosim.learning.training.gates import is_gated, log_gates
from annosim.learning.training.rule_numbers import row_losses
from annosim.learning.training.stacked import Batched
from annosim.rules.base import Rule
from annosim.rules.luce import Luce

__all__ = ["block_losses", "descend", "penalty", "population_losses"]


def population_losses(
    model: Batched, rows: Rows, objective: Objective, regulariser: ForwardKL | None = None
) -> torch.Tensor:
    """Mean objective of each copy of the model, ``(copies,)`` float64, differentiable in ``model.trainable``."""
    components, densities = model.components(model.shown_by(rows))
    copies, n = model.copies, rows.items.n
    gated = is_gated(model.base)
    plain = not gated and all(isinstance(rule, Luce) for rule, _, _ in components) and rows.pairs is not None
    if plain:
        winner, loser, weight, replicate = rows.pairs  # type: ignore[misc]
        where = replicate if copies > 1 else None
    else:
        weight = rows.weight
        where = torch.arange(copies, device=rows.device).repeat_interleave(rows.blocks) if copies > 1 else None
    joint, shares = [], []
    for rule, index, share in components:  # index (copies, n), share (copies,)
        flat = index.reshape(-1)
        if plain:
            loss = objective.loss_of_logit(flat.index_select(0, winner) - flat.index_select(0, loser)).double()
        else:
            loss = block_losses(rule, flat, rows, objective, n)
        joint.append(loss)
        shares.append(share)
    total = joint[0]
    if len(joint) > 1:
        if gated:
            log_share = log_gates(model, rows)
        else:
            log_share = torch.stack(shares).log()
            log_share = log_share if where is None else log_share.index_select(1, where)
        total = -torch.logsumexp(log_share - torch.stack(joint), 0)
    each = weight * total
    if where is None:
        out = each.sum()[None]
    else:
        out = torch.zeros(copies, dtype=torch.float64, device=rows.device).index_add(0, where, each)
    if regulariser is not None:
        for density in densities:
            out = out + penalty(regulariser, density, rows)
    return out


def penalty(regulariser: ForwardKL, density: torch.Tensor, rows: Rows) -> torch.Tensor:
    """The regulariser of each copy's log density ``(copies, n)``, ``(copies,)``."""
    if not regulariser.shown:
        return regulariser(density, rows.items)
    copies, n = density.shape
    at, count = rows.places
    where, values = at // n, density.reshape(-1)[at].double()
    total = torch.zeros(copies, dtype=torch.float64, device=rows.device).index_add(0, where, values)
    return -regulariser.weight * total / count


def block_losses(rule: Rule, flat: torch.Tensor, rows: Rows, objective: Objective, n: int) -> torch.Tensor:
    """Loss of each annotator's block of answers, ``(copies * blocks,)``; any rule, feedback and objective."""
    menu = rows.view.menu
    at = (menu.clamp_min(0) + (rows.replicate * n)[:, None]).reshape(-1)
    scores = flat.index_select(0, at).reshape(menu.shape)
    if rows.padded:
        scores = torch.where(menu >= 0, scores, -torch.inf)
    loss = row_losses(rule, scores, rows, objective).double()
    return loss if rows.single else torch.zeros_like(rows.weight).index_add(0, rows.block, loss)


def descend(loss: torch.Tensor, parameters: Sequence[torch.Tensor]) -> None:
    """The gradients of losses ``(copies,)``; a run whose free numbers get none would be reported as trained.

    Raises:
        TrainingError: no parameter got a gradient.

    Example:
        >>> p = torch.ones(2, requires_grad=True)
        >>> descend(p.square(), [p])
        >>> p.grad.tolist()
        [2.0, 2.0]
    """
    if loss.requires_grad:
        loss.sum().backward()
    if all(p.grad is None for p in parameters):
        raise TrainingError(
            "train: no free number of the model gets a gradient, so nothing would be trained; look for detach(), "
            "torch.no_grad(), or a forward that was put on the module itself and reads another module's weights"
        )
