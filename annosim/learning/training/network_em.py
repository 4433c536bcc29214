"""EM over networks: mixtures whose types are networks, on annotators who answer several questions (EM-DPO).

Chidambaram, Seetharaman and Syrgkanis (2405.15065): annotator i has hidden type k with responsibility
``gamma_ik ~ weight_k prod_j P_k(answer_ij)``. The E-step is one pass over all annotators without gradients, at a fixed
interval; between two of them the responsibilities are held, the weights are their means, and the networks minimise
``- sum_i sum_k gamma_ik sum_j log P_k(answer_ij)`` by Adam on minibatches of annotators, or by a line search on all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.items import send
from annosim.learning.objectives import NLL, ForwardKL, Objective
from annosim.learning.solvers.settings import EM
from annosim.learning.training.batches import Rows
from annosim.learning.training.em_trace import EMTrace
from annosim.learning.training.gates import gate_step, is_gated, log_gates
from annosim.learning.training.line_search import LineSearch
from annosim.learning.training.losses import block_losses
from annosim.learning.training.losses import penalty as penalty_of
from annosim.learning.training.records import save_bad_batch
from annosim.learning.training.result import Training
from annosim.learning.training.run import TrainingRun
from annosim.learning.training.warm_starts import first_responsibilities, initial_models, split_responsibilities
from annosim.populations.base import Population
from annosim.random import torch_generator

__all__ = ["EMRun", "train_em"]

#: a type with fewer annotators than this (the sum of its responsibilities) is empty, and refilled this often
EMPTY, REFILLS = 0.5, 3


def train_em(
    model: Population | Sequence[Population],
    data: PreferenceData,
    solver: EM | None = None,
    regulariser: ForwardKL | None = None,
    *,
    starts: int = 1,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Training:
    """Train a mixture of networks by EM; all replicates and starts at once.

    Args:
        model: a mixture of annotators, each with networks of its own; or one such mixture for each replicate.
        data: with annotator ids, with or without a replicate axis.
        solver: an :class:`~annosim.EM`.
        regulariser: added to the objective; needs utilities that are densities.
        starts, seed, device: as in :func:`annosim.learning.training.run.train`.

    Returns:
        a :class:`~annosim.learning.training.result.Training` whose ``em`` is the trace of the E-steps.

    Raises:
        ArgumentError: no annotator ids, or types that have all their parameters in common.

    Example:
        >>> import annosim as an
        >>> items = an.Items.normal(6, 2, seed=0)
        >>> both = an.Mixture([an.Annotator(an.Linear([s, 0.0]), an.Luce()) for s in (2.0, -2.0)])
        >>> data = an.simulate(both, an.Design(items, annotators=40, questions=5), seed=0)
        >>> model = an.Mixture([an.Annotator(an.Network([4], dim=2, seed=k), an.Luce()) for k in range(2)])
        >>> done = train_em(model, data, EM(steps=40, lr=1e-2))
        >>> done.em.log_likelihood.shape  # at 0, 20 and 40 steps
        torch.Size([3, 1])
    """
    if data.annotator is None:
        raise ArgumentError(
            "EM over networks needs annotator ids: the answers of one person tell the types apart; give annotator=, or "
            "use solver=an.Adam(), which climbs the mixture's likelihood directly"
        )
    return EMRun(model, data, NLL(), regulariser, solver or EM(), starts, seed, device).run()


class EMRun(TrainingRun):
    """A training run whose steps lower the expected loss under held responsibilities."""

    solver: EM

    def __init__(
        self,
        model: Population | Sequence[Population],
        data: PreferenceData,
        objective: Objective,
        regulariser: ForwardKL | None,
        solver: EM,
        starts: int,
        seed: int,
        device: str | torch.device | None,
    ):
        self.starts = starts
        super().__init__(model, data, objective, regulariser, solver, starts, seed, device)
        self.types = len(self.model.originals[0].types)
        self.trace = EMTrace(self.types)
        self.responsibilities: torch.Tensor | None = None  # (types, copies, annotators)
        self.likelihood_gradient: torch.Tensor | None = (
            None  # largest gradient entry of the likelihood at the last E-step
        )
        self.weight_gap = torch.zeros(self.copies, dtype=torch.float64, device=self.device)
        self.refills = torch.zeros((self.copies, self.types), dtype=torch.long)
        self.gated = is_gated(self.model.base)
        networks = [p for name, p in self.model.raw.items() if name not in ("weights", "gate")]
        self.search = LineSearch(networks, processes=self.processes) if solver.m_step == "line-search" else None

    def initial_models(self, model: Population, data: PreferenceData, starts: int) -> list[Population]:
        made, self.random_first = initial_models(model, data, self.solver, starts, self.seed, self.device)  # type: ignore[arg-type]
        return made

    # ---- losses --------------------------------------------------------------------------------------------------

    def log_weights(self) -> torch.Tensor:
        """Logs of the types' weights, ``(copies, types)``: finite wherever a weight's logarithm is, be it tiny."""
        raw = self.model.raw.get("weights")
        if raw is not None:
            return torch.log_softmax(raw, -1)
        return self.model.base.weights.log().expand(self.copies, -1)

    def log_shares(self, rows: Rows) -> torch.Tensor:
        """Logs of each annotator's shares of the types, ``(types, copies * blocks)``."""
        if self.gated:
            return log_gates(self.model, rows)
        return self.log_weights().T.repeat_interleave(rows.blocks, 1)

    def type_losses(self, rows: Rows, step: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Minus each type's log-probability of each annotator's answers ``(types, copies * blocks)``, and penalties
        ``(copies,)``; ``step`` where the regulariser draws anew at every step."""
        components, densities = self.model.components(self.model.shown_by(rows))
        n = rows.items.n
        losses = [block_losses(rule, index.reshape(-1), rows, self.objective, n) for rule, index, _ in components]
        penalty = torch.zeros(self.copies, dtype=torch.float64, device=self.device)
        if self.regulariser is not None:
            held = self.regulariser if step is None else self.regulariser.at_step(rows.items, self.seed, step)
            penalty = sum((penalty_of(held, density, rows) for density in densities), penalty)
        return torch.stack(losses), penalty

    def per_copy(self, each: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Weighted sum over the annotators of each copy, ``(copies * blocks,) -> (copies,)``."""
        return (rows.weight * each).view(self.copies, rows.blocks).sum(-1)

    def losses(self, rows: Rows) -> torch.Tensor:
        """Minus the mixture's mean log-likelihood, ``(copies,)``."""
        each, penalty = self.type_losses(rows)
        total = torch.logsumexp(self.log_shares(rows) - each, 0)
        return penalty - self.per_copy(total, rows)

    def step_losses(self, rows: Rows, blocks: torch.Tensor | None) -> torch.Tensor:
        """The expected loss under the held responsibilities, ``(copies,)``."""
        gamma: torch.Tensor = self.responsibilities  # type: ignore[assignment]
        gamma = gamma if blocks is None else gamma[:, :, send(blocks, self.device)]
        each, penalty = self.type_losses(rows, None if self.search is not None else self.step)
        return penalty + self.per_copy((gamma.reshape(self.types, -1) * each).sum(0), rows)

    # ---- E-step --------------------------------------------------------------------------------------------------

    def before_step(self) -> None:
        if self.step % self.solver.e_step_every == 0:
            self.e_step(self.solver.temperature_at(self.step))

    @torch.no_grad()
    def e_step(self, temperature: float, refill: bool = True) -> None:
        """A pass over all annotators: record the log-likelihood, hold new responsibilities, set the weights."""
        each, penalty = self.all_type_losses()
        joint = self.log_shares(self.rows) - each
        value = self.per_copy(torch.logsumexp(joint, 0), self.rows) - penalty
        if not bool(torch.isfinite(value).all()):
            save_bad_batch(self.solver.checkpoint, self.step, -value, self.rows, self.model.raw)
        self.trace.add(self.step, value, temperature)
        log_gamma = torch.log_softmax(joint / temperature, 0).view(self.types, self.copies, -1)
        if self.step == 0:
            log_gamma = self.first_responsibilities(log_gamma, each)
        if self.solver.hard:
            best = torch.nn.functional.one_hot(log_gamma.argmax(0), self.types)
            log_gamma = best.movedim(-1, 0).double().log()
        log_gamma = self.refill_empty(log_gamma) if refill else log_gamma
        self.responsibilities = log_gamma.exp()
        self.set_weights(log_gamma)
        if self.search is not None:
            self.search.reset()

    def all_type_losses(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What :meth:`type_losses` gives for all rows, each process having computed those of its annotators."""
        own = self.processes.share(self.rows)
        if own.blocks is None:
            return self.type_losses(self.rows)
        each, penalty = self.type_losses(own.rows)
        out = torch.zeros((self.types, self.copies, self.rows.blocks), dtype=each.dtype, device=self.device)
        scale = 1.0 if len(own.blocks) < self.rows.blocks else own.part  # few annotators: every process had them all
        out[:, :, send(own.blocks, self.device)] = scale * each.view(self.types, self.copies, -1)
        return self.processes.total(out).view(self.types, -1), penalty

    def first_responsibilities(self, log_gamma: torch.Tensor, each: torch.Tensor) -> torch.Tensor:
        """Random first responsibilities where they are asked for, or where the types begin alike."""
        gap = (each.amax(0) - each.amin(0)).view(self.copies, -1).amax(-1)
        alike = gap <= 1e-6 * (1 + each.abs().amax())
        for copy in range(self.copies):
            start = copy % self.starts
            if self.types > 1 and (bool(alike[copy]) or self.random_first[start]):
                drawn = first_responsibilities(self.types, self.rows.blocks, self.seed, start)
                log_gamma[:, copy] = drawn.to(self.device)
                self.trace.random_first.append(copy)
        return log_gamma

    def set_weights(self, log_gamma: torch.Tensor) -> None:
        """The exact M-step of the weights: means of the responsibilities, in logs, so that none becomes zero; of a gate
        the regression of the responsibilities on who one is."""
        log_w = self.rows.weight.log().view(1, self.copies, -1)
        log_weight = torch.logsumexp(log_w + log_gamma, -1).T  # (copies, types)
        self.trace.share = log_weight.exp().cpu()
        if self.gated:
            self.weight_gap = gate_step(self.model, self.rows, log_gamma)
        if "weights" not in self.model.raw:
            return
        self.weight_gap = (log_weight.exp() - self.log_weights().exp()).abs().amax(-1)
        # a hard type may have nobody at all; the smallest number's logarithm stands for that of zero
        nobody = math.log(torch.finfo(torch.float64).tiny)
        self.model.raw["weights"].copy_(torch.where(log_weight > nobody, log_weight, nobody))

    def refill_empty(self, log_gamma: torch.Tensor) -> torch.Tensor:
        """Give an empty type part of the heaviest one's annotators and a copy of its networks, a few times at most."""
        weight = self.rows.weight.view(1, self.copies, -1)
        count = (weight * log_gamma.exp()).sum(-1).T * self.rows.blocks  # (copies, types)
        for copy, kind in torch.nonzero((count < EMPTY).cpu()).tolist():
            if self.types == 1 or self.step == 0:
                continue
            full = int(self.refills[copy, kind]) >= REFILLS
            self.trace.empty(self.step, copy, kind, float(count[copy, kind]), refilled=not full)
            if full:
                continue
            heaviest = int(count[copy].argmax())
            generator = torch_generator(self.seed, f"refill {self.step} {copy % self.starts} {kind}")
            log_gamma[:, copy] = split_responsibilities(log_gamma[:, copy], kind, heaviest, generator)
            self.copy_type(copy, heaviest, kind)
            self.refills[copy, kind] += 1
        return log_gamma

    def copy_type(self, copy: int, source: int, target: int) -> None:
        """One type's networks become another's (where they have the same parts), without the optimiser's memory."""
        for name, p in self.model.raw.items():
            if not name.startswith(f"types.{target}."):
                continue
            other = self.model.raw.get(name.replace(f"types.{target}.", f"types.{source}.", 1))
            if other is not None and other.shape == p.shape:
                p[copy] = other[copy]
            for value in self.optimiser.state.get(p, {}).values():
                if isinstance(value, torch.Tensor) and value.shape == p.shape:
                    value[copy] = 0

    # ---- steps ---------------------------------------------------------------------------------------------------

    def one_step(self) -> float:
        after_e_step = self.step % self.solver.e_step_every == 0
        if self.search is not None:
            return self.searched_step(after_e_step)
        loss = super().one_step()
        whole = self.solver.batch is None or self.solver.batch >= self.rows.blocks
        if after_e_step and whole:
            self.likelihood_gradient = torch.maximum(self.largest_gradient(), self.weight_gap)
        return loss

    def searched_step(self, after_e_step: bool) -> float:
        """One iteration of the line search; an M-step that has arrived ends before its time."""
        search: LineSearch = self.search  # type: ignore[assignment]
        closure = partial(self._share_of_step, self.processes.share(self.rows))
        if after_e_step:
            search.here = search.evaluate(closure)
            self.likelihood_gradient = torch.maximum(search.here[1].abs().amax(-1), self.weight_gap)
        loss, gradient = search.step(closure)
        self.log.add(self.step, loss, math.nan)
        if not search.moved or bool((gradient < self.solver.tolerance).all()):
            left = -(self.step + 1) % self.solver.e_step_every
            if after_e_step and not search.moved and self.trace.stalled():  # rounding: nothing will move any more
                left = self.solver.steps
            self.step = min(self.step + left, self.solver.steps - 1)
        return float(loss.mean())

    def has_converged(self) -> bool:
        """The likelihood's own gradient, known right after an E-step at temperature one, decides."""
        gradient, self.likelihood_gradient = self.likelihood_gradient, None
        cold = self.solver.temperature_at(self.step) == 1.0 and self.step > 1
        return gradient is not None and cold and bool((gradient < self.solver.tolerance).all())

    def last_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.whole_losses(self.rows), self.largest_gradient()

    def finish(self) -> Training:
        if self.best is None:
            self.e_step(1.0, refill=False)
        done = super().finish()
        return replace(done, last_change=-self.trace.last_change(), em=self.trace)

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        gamma = None if self.responsibilities is None else self.responsibilities.cpu()
        search = None if self.search is None else self.search.state()
        own = {"gamma": gamma, "refills": self.refills, "record": self.trace.state(), "search": search}
        return {**super().state(), "em": own}

    def resume(self, state: dict[str, Any] | None) -> None:
        super().resume(state)
        if state is not None:
            gamma = state["em"]["gamma"]
            self.responsibilities = None if gamma is None else gamma.to(self.device)
            self.refills = state["em"]["refills"]
            self.trace = EMTrace.from_state(state["em"]["record"])
            if self.search is not None:
                self.search.resume(state["em"]["search"])
