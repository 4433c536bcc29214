"""The loss of a population's copies on rows of data: what a step of training lowers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from annosim.errors import TrainingError
from annosim.learning.objectives import ForwardKL, Objective
from annosim.learning.training.batches import Rows
from annosim.learning.training.gates import is_gated, log_gates
from annosim.learning.training.rule_parameters import StackedRule, row_losses
from annosim.learning.training.stacked import Component, StackedModel
from annosim.rules.base import Rule

__all__ = ["backward", "block_losses", "penalty", "population_losses"]


def population_losses(
    model: StackedModel, rows: Rows, objective: Objective, regulariser: ForwardKL | None = None
) -> torch.Tensor:
    """Mean objective of each copy of the model, ``(copies,)`` float64, differentiable in ``model.trainable``."""
    components, densities = model.components(model.shown_by(rows))
    gated = is_gated(model.base)
    if model.follows_luce and not gated and rows.pairs is not None:
        weight, copy, losses = _pair_losses(components, rows, objective)
    else:
        weight, n = rows.weight, rows.items.n
        copy = torch.arange(model.copies, device=rows.device).repeat_interleave(rows.blocks)
        losses = [block_losses(rule, index.reshape(-1), rows, objective, n) for rule, index, _ in components]
    total = losses[0]
    if len(losses) > 1:
        shares = torch.stack([share for _, _, share in components])
        log_share = log_gates(model, rows) if gated else shares.log().index_select(1, copy)
        total = _MixtureLoss.apply(log_share, *losses)
    out = _sum_by_copy(weight * total, copy, model.copies)
    if regulariser is not None:
        out = sum((penalty(regulariser, density, rows) for density in densities), out)
    return out


class _MixtureLoss(torch.autograd.Function):
    """``-log sum_k exp(log_share_k - loss_k)``, ``(rows,)``: its derivatives are the responsibilities, which the value
    has computed already. ``logsumexp`` of a stack gives the same after three times as many passes over the memory."""

    @staticmethod
    def forward(ctx: Any, log_share: torch.Tensor, *losses: torch.Tensor) -> torch.Tensor:
        joint = torch.stack(losses).neg_().add_(log_share)
        top = joint.amax(0)
        top.masked_fill_(top.isinf(), 0.0)  # no type can give the answer: minus infinity less itself is not a number
        total = joint.sub_(top).exp_().sum(0)
        ctx.save_for_backward(joint.div_(total))
        return -total.log_().add_(top)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, ...]:
        (responsibilities,) = ctx.saved_tensors
        each = responsibilities * slope
        return -each, *each.unbind()


def _pair_losses(
    components: Sequence[Component], rows: Rows, objective: Objective
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Weight, copy and, for each component, loss of every distinct pair, from the difference of two indices."""
    (winner, loser, copy), weight = rows.pairs  # type: ignore[misc]
    flat = [index.reshape(-1) for _, index, _ in components]
    gaps = [index.index_select(0, winner) - index.index_select(0, loser) for index in flat]
    return weight, copy, [objective.loss_of_logit(gap).double() for gap in gaps]


def _sum_by_copy(each: torch.Tensor, copy: torch.Tensor, copies: int) -> torch.Tensor:
    if copies == 1:
        return each.sum()[None]
    return torch.zeros(copies, dtype=torch.float64, device=each.device).index_add(0, copy, each)


def penalty(regulariser: ForwardKL, density: torch.Tensor, rows: Rows) -> torch.Tensor:
    """The regulariser of each copy's log density ``(copies, n)``, ``(copies,)``."""
    if not regulariser.shown:
        return regulariser(density, rows.items)
    copies, n = density.shape
    at, count = rows.places
    where, values = at // n, density.reshape(-1)[at].double()
    total = torch.zeros(copies, dtype=torch.float64, device=rows.device).index_add(0, where, values)
    return -regulariser.weight * total / count


def block_losses(
    rule: Rule | StackedRule, flat: torch.Tensor, rows: Rows, objective: Objective, n: int
) -> torch.Tensor:
    """Loss of each annotator's block of answers, ``(copies * blocks,)``; any rule, feedback and objective."""
    menu = rows.view.menu
    at = (menu.clamp_min(0) + (rows.replicate * n)[:, None]).reshape(-1)
    scores = flat.index_select(0, at).reshape(menu.shape)
    if rows.padded:
        scores = torch.where(menu >= 0, scores, -torch.inf)
    loss = row_losses(rule, scores, rows, objective).double()
    return loss if rows.single else torch.zeros_like(rows.weight).index_add(0, rows.block, loss)


def backward(loss: torch.Tensor, parameters: Sequence[torch.Tensor]) -> None:
    """Backpropagate losses ``(copies,)``; a run whose free numbers get none would be reported as trained.

    Raises:
        TrainingError: no parameter got a gradient.

    Example:
        >>> p = torch.ones(2, requires_grad=True)
        >>> backward(p.square(), [p])
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
