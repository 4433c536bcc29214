"""L-BFGS with a backtracking line search, for several copies of a model at once: no copy's loss ever rises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from annosim.learning.solvers.settings import EM
from annosim.learning.training.processes import Alone

__all__ = ["LineSearch"]

#: sufficient decrease (Armijo), and how often a step is halved before a copy stays where it is
_ARMIJO, _HALVINGS = 1e-4, 20


class LineSearch:
    """Descends ``copies`` independent losses; each copy has its own curvature pairs and step length.

    Nocedal and Wright (2006, algorithms 7.4 and 3.1). A step that does not lower a copy's loss is not taken, so that an
    M-step by this search never lowers the likelihood.

    Args:
        parameters: leaf tensors, each ``(copies, *shape)``; those without a gradient stay as they are.
        memory: curvature pairs that are kept.
        processes: over which the losses are divided, each computing its share; one by default.

    Example:
        >>> x = torch.tensor([[3.0, 1.0], [-2.0, 5.0]], dtype=torch.float64, requires_grad=True)
        >>> search = LineSearch([x])
        >>> for _ in range(20):
        ...     loss, gradient = search.step(lambda: ((x - 2.0) ** 2 * torch.tensor([1, 9])).sum(-1))
        >>> x.detach().round(decimals=6).tolist()
        [[2.0, 2.0], [2.0, 2.0]]
    """

    def __init__(self, parameters: list[torch.Tensor], memory: int = 10, processes: Alone | None = None):
        self.parameters, self.memory = parameters, memory
        self.processes = Alone(EM(m_step="line-search")) if processes is None else processes
        self.reset()

    def reset(self) -> None:
        """Forget the curvature: the loss has become another function."""
        self.pairs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self.scale: torch.Tensor | None = None
        self.here: tuple[torch.Tensor, torch.Tensor] | None = None
        self.moved = True  # whether the last step moved any copy

    def state(self) -> dict[str, Any]:
        """For a checkpoint: what the next step depends on besides the parameters."""
        cpu = lambda parts: None if parts is None else tuple(part.cpu() for part in parts)  # noqa: E731
        scale = None if self.scale is None else self.scale.cpu()
        return {
            "pairs": [cpu(pair) for pair in self.pairs],
            "scale": scale,
            "here": cpu(self.here),
            "moved": self.moved,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        device = self.parameters[0].device
        there = lambda parts: None if parts is None else tuple(part.to(device) for part in parts)  # noqa: E731
        self.pairs, self.here = [there(pair) for pair in state["pairs"]], there(state["here"])  # type: ignore[misc]
        self.scale = None if state["scale"] is None else state["scale"].to(device)
        self.moved = state["moved"]

    def step(self, closure: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """One iteration of every copy.

        Args:
            closure: the losses ``(copies,)`` at the present parameters (this process's share of them), differentiable.

        Returns:
            losses after the step, and the largest gradient entry of each copy after it, both ``(copies,)`` float64.
        """
        loss, gradient = self.evaluate(closure) if self.here is None else self.here
        direction, slope = self.direction(gradient)
        begin = self.vector()
        length = self.first_length(gradient)
        with torch.no_grad():
            for _ in range(_HALVINGS):
                self.put(begin + length[:, None] * direction)
                trial = self.processes.total(closure()).double()
                failed = ~(trial <= loss + _ARMIJO * length * slope)  # a loss that is not finite has failed too
                if not bool(failed.any()):
                    break
                length = torch.where(failed, 0.5 * length, length)
            else:
                length = torch.where(failed, 0.0, length)
                self.put(begin + length[:, None] * direction)
        self.moved = bool((length > 0).any())
        self.here = self.evaluate(closure)
        self.remember(self.vector() - begin, self.here[1] - gradient)
        return self.here[0], self.here[1].abs().amax(-1)

    def direction(self, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Descent direction ``(copies, P)`` by the two-loop recursion, and the loss's slope along it ``(copies,)``."""
        q, alphas = gradient.clone(), []
        for s, y, rho in reversed(self.pairs):
            alpha = rho * (s * q).sum(-1)
            q = q - alpha[:, None] * y
            alphas.append(alpha)
        if self.scale is not None:
            q = q * self.scale[:, None]
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q = q + (alpha - rho * (y * q).sum(-1))[:, None] * s
        slope = -(gradient * q).sum(-1)
        uphill = ~(slope < 0)
        direction = torch.where(uphill[:, None], -gradient, -q)
        return direction, torch.where(uphill, -gradient.square().sum(-1), slope)

    def first_length(self, gradient: torch.Tensor) -> torch.Tensor:
        """Newton's length once there is curvature; before, a step of length one at most."""
        if self.pairs:
            return torch.ones(len(gradient), dtype=torch.float64, device=gradient.device)
        return 1.0 / gradient.norm(dim=-1).clamp_min(1.0)

    def remember(self, s: torch.Tensor, y: torch.Tensor) -> None:
        """Keep a curvature pair; a copy without positive curvature keeps a pair that does nothing."""
        sy, yy = (s * y).sum(-1), y.square().sum(-1)
        good = sy > 1e-12 * s.norm(dim=-1) * y.norm(dim=-1)
        if not bool(good.any()):
            return
        rho = torch.where(good, 1.0 / torch.where(good, sy, 1.0), 0.0)
        scale = torch.where(good, sy / torch.where(good, yy, 1.0), 1.0 if self.scale is None else self.scale)
        self.pairs, self.scale = [*self.pairs, (s, y, rho)][-self.memory :], scale

    def evaluate(self, closure: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses ``(copies,)`` and gradients ``(copies, P)``, float64."""
        for p in self.parameters:
            p.grad = None
        loss = self.processes.total(self.processes.descend(closure, self.parameters, step=False))
        flat = [
            (torch.zeros_like(p) if p.grad is None else p.grad).double().reshape(len(p), -1) for p in self.parameters
        ]
        return loss.double(), torch.cat(flat, 1)

    def vector(self) -> torch.Tensor:
        """The parameters, ``(copies, P)`` float64."""
        return torch.cat([p.detach().double().reshape(len(p), -1) for p in self.parameters], 1)

    def put(self, vector: torch.Tensor) -> None:
        """Set the parameters, in their own precision."""
        start = 0
        with torch.no_grad():
            for p in self.parameters:
                size = p[0].numel()
                p.copy_(vector[:, start : start + size].reshape(p.shape))
                start += size
