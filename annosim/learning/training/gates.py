"""Types of networks whose shares depend on who answers (:class:`annosim.Gated`): the shares, and their exact M-step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.learning.solvers.functions import Function
from annosim.learning.solvers.maximise import maximise
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.populations.gated import Gated

if TYPE_CHECKING:
    from annosim.learning.training.batches import Rows
    from annosim.learning.training.stacked import StackedModel

__all__ = ["check_gate", "gate_step", "is_gated", "log_gates"]

#: Newton steps of one M-step of the gate; separated covariates move it for ever, a little at each
NEWTON_STEPS = 50
#: largest entry of the gradient at which one ends
GATE_TOLERANCE = 1e-12

Vector = NDArray[np.float64]


def is_gated(model: Population) -> bool:
    """Whether each annotator has shares of their own, of types that are plain annotators."""
    return isinstance(model, Gated) and all(isinstance(one, Annotator) for one in model.types)


def check_gate(model: Population, data: PreferenceData) -> None:
    """Refuse shares that training cannot give to each annotator.

    Raises:
        ArgumentError: nested groups, or data that do not say who answered.
    """
    if model.annotator_weights([0]) is None:
        return
    if not is_gated(model):
        raise ArgumentError(
            "train: the shares of types depend on who answers, and networks are trained for an an.Gated of plain "
            "annotators; put each utility and rule into an an.Annotator of its own"
        )
    if data.annotator is None:
        raise ArgumentError(
            "train: the shares of Gated depend on who answers, and the data have no annotator ids; give annotator=, or "
            "use an.Mixture"
        )


def log_gates(model: StackedModel, rows: Rows) -> torch.Tensor:
    """Logs of every annotator's shares, ``(types, copies * blocks)`` float64, differentiable in the gate."""
    scores = _covariates(model, rows) @ _gate(model)
    full = torch.cat([scores, torch.zeros_like(scores[..., :1])], -1)
    return torch.log_softmax(full, -1).reshape(-1, full.shape[-1]).T


def _covariates(model: StackedModel, rows: Rows) -> torch.Tensor:
    """Of every block, ``(copies, blocks, c)``."""
    known: torch.Tensor = model.base.covariates
    return known[rows.people % len(known)].view(model.copies, rows.blocks, -1)


def _gate(model: StackedModel) -> torch.Tensor:
    raw = model.raw.get("gate")
    return model.base.gate.expand(model.copies, -1, -1) if raw is None else raw


@torch.no_grad()
def gate_step(model: StackedModel, rows: Rows, log_gamma: torch.Tensor) -> torch.Tensor:
    """The M-step of a free gate under responsibilities ``(types, copies, blocks)`` in logs; in place.

    Returns:
        ``(copies,)`` largest entry of the gradient before the step, which is that of the likelihood itself where the
        responsibilities are the gate's own; zeros where the gate is fixed.
    """
    gap = torch.zeros(model.copies, dtype=torch.float64, device=rows.device)
    if "gate" not in model.raw:
        return gap
    # a few small products, looked at after each: on a GPU they would be waits and nothing else
    x, weight, gate = (
        t.cpu() for t in (_covariates(model, rows), rows.weight.view(model.copies, -1), model.raw["gate"])
    )
    share = log_gamma.cpu().exp()
    for r in range(model.copies):
        made, largest = fit_gate(gate[r], x[r], share[:, r].T, weight[r])
        model.raw["gate"][r], gap[r] = made.to(rows.device), largest.to(rows.device)
    return gap


def fit_gate(
    gate: torch.Tensor, x: torch.Tensor, share: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Multinomial regression of shares ``(blocks, K)`` on ``x (blocks, c)`` by Newton's method, never downhill.

    Maximises ``sum_b weight_b sum_k share_bk log softmax([x_b' gate, 0])_k``, concave in ``gate (c, K - 1)``; along
    collinear covariates the step is the shortest.

    Returns:
        the gate, and the largest entry of the gradient at the start.
    """
    size = gate.numel()

    def derivatives(flat: Vector) -> tuple[float, Vector, Vector]:
        value, p = _likelihood(torch.as_tensor(flat).view_as(gate), x, share, weight)
        gradient = x.T @ (weight[:, None] * (share - p)[:, :-1])  # (c, K - 1)
        inner = torch.diag_embed(p[:, :-1]) - p[:, :-1, None] * p[:, None, :-1]
        information = torch.einsum("b,bi,bkl,bj->ikjl", weight, x, inner, x).reshape(size, size)
        return float(value), gradient.reshape(-1).numpy(), information.numpy()

    null, start = _collinear(x, gate.shape[1]), gate.reshape(-1).numpy()
    function = Function(derivatives, np.ones(size), null, longest=np.inf)  # covariates have any unit
    begin = np.abs(derivatives(start)[1]).max(initial=0.0)
    found = maximise(function, start, GATE_TOLERANCE, NEWTON_STEPS)
    return torch.as_tensor(found.point).view_as(gate), torch.as_tensor(begin)


def _collinear(x: torch.Tensor, columns: int) -> Vector | None:
    """Directions of the gate ``(c * columns, G)`` that change no share: combinations of covariates that are zero."""
    _, values, rows = torch.linalg.svd(x, full_matrices=True)
    rank = int((values > 1e-10 * values.max()).sum())
    null = rows[rank:].T.numpy()
    return np.kron(null, np.eye(columns)) if null.shape[1] else None


def _likelihood(
    gate: torch.Tensor, x: torch.Tensor, share: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Value, and the probabilities ``(blocks, K)``."""
    scores = x @ gate
    log_p = torch.log_softmax(torch.cat([scores, torch.zeros_like(scores[:, :1])], -1), -1)
    each = torch.where(share > 0, share * log_p, 0.0).sum(-1)
    return (weight * each).sum(), log_p.exp()
