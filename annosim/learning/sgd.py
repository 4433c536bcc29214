"""Training by Adam: any population whose utilities are networks (or anything else that torch can differentiate).

One pass over the item set gives every indexed utility, which is then read by menu; all replicates and starts are
trained at once as one batched array program (``torch.func.vmap`` over stacked parameters).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, DeviceError
from annosim.learning.batches import Rows, rows_of, shuffled_batches
from annosim.learning.objectives import NLL, ForwardKL, Objective
from annosim.learning.problem import Problem, Solution, is_nll, register
from annosim.learning.rule_numbers import row_losses
from annosim.learning.runs import Keeper, Log, progress_bar, save_bad_batch
from annosim.learning.stacked import Batched
from annosim.learning.structure import check_own_parameters, has_network
from annosim.parameters import check_value
from annosim.populations import Population
from annosim.random import child_seed
from annosim.rules.base import Rule
from annosim.rules.luce import Luce

__all__ = ["Adam", "Training", "train"]


@dataclass(frozen=True)
class Adam:
    """How a network is trained: Adam (AdamW with ``weight_decay``), linear warm-up, cosine to zero.

    Args:
        steps: optimiser steps.
        lr: peak learning rate.
        batch: annotators per step; ``None`` = all of them (full batch).
        warmup: steps of linear warm-up.
        weight_decay: decoupled (AdamW).
        accumulate: gradients of this many minibatches are averaged before a step.
        held_out: share of annotators kept aside; training stops when their loss has not fallen for ``patience``
            evaluations, and the best parameters are given back.
        patience: evaluations without improvement.
        evaluate_every: steps between evaluations on the held-out annotators.
        tolerance: the run ends, converged, when the largest gradient entry of the full-batch loss is below this.
        precision: ``"auto"`` (bf16 autocast of the networks on a GPU, float32 on a CPU), ``"float32"`` or
            ``"bfloat16"``; the loss itself is never in half precision.
        compile: pass the networks through ``torch.compile``.
        checkpoint: file that a killed run resumes from.
        checkpoint_every: steps between checkpoints.
        log: parquet file that gets the loss, the learning rate and the held-out loss of every step.
        final: evaluate loss and gradient on all training data at the end (one more pass); without it the last
            step's are reported.
        progress: show a bar (only on a terminal, only for runs over two seconds).

    Raises:
        ArgumentError: a number out of range.

    Example:
        >>> Adam(steps=100, lr=1e-3, warmup=10).rate(9), Adam(steps=100).rate(99) < 1e-7
        (0.001, True)
    """

    steps: int = 8192
    lr: float = 1e-4
    batch: int | None = None
    warmup: int = 0
    weight_decay: float = 0.0
    accumulate: int = 1
    held_out: float = 0.0
    patience: int = 10
    evaluate_every: int = 50
    tolerance: float = 1e-7
    precision: str = "auto"
    compile: bool = False
    checkpoint: str | Path | None = None
    checkpoint_every: int = 1000
    log: str | Path | None = None
    final: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        whole = {"steps": 1, "warmup": 0, "accumulate": 1, "patience": 1, "evaluate_every": 1, "checkpoint_every": 1}
        for name, least in whole.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ArgumentError(f"Adam({name}={value!r}): a whole number of at least {least}")
        if self.batch is not None and (not isinstance(self.batch, int) or self.batch < 1):
            raise ArgumentError(f"Adam(batch={self.batch!r}): a whole number of at least 1, or None for all")
        check_value("Adam(lr=)", self.lr, "positive")
        check_value("Adam(weight_decay=)", self.weight_decay, "nonnegative")
        check_value("Adam(tolerance=)", self.tolerance, "nonnegative")
        if not 0 <= self.held_out < 1:
            raise ArgumentError(f"Adam(held_out={self.held_out}): a share from 0 to below 1")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ArgumentError(f"Adam(precision={self.precision!r}): auto, float32 or bfloat16")

    def rate(self, step: int) -> float:
        """Learning rate of a step (0 first)."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True, eq=False)
class Training:
    """What a training run gives back; every array has a leading axis of replicates x starts.

    Attributes:
        populations: the trained populations.
        loss: ``(R,)`` mean objective at the end, regulariser included, on all training annotators.
        held_out_loss: ``(R,)`` or ``None``.
        gradient_norm: ``(R,)`` largest absolute entry of the full-batch gradient at the end.
        last_change: ``(R,)`` mean loss of the last fiftieth of the steps minus that of the fiftieth before.
        steps: steps taken.
        stopped_by: ``"schedule"``, ``"gradient"`` or ``"held out"``.
        converged: ``(R,)`` whether the gradient is below the tolerance.
        log: per-step records.
    """

    populations: list[Population]
    loss: torch.Tensor
    held_out_loss: torch.Tensor | None
    gradient_norm: torch.Tensor
    last_change: torch.Tensor
    steps: int
    stopped_by: str
    converged: torch.Tensor
    log: Log
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def unfinished(self) -> bool:
        """Whether the schedule ended while the loss still moved: worth a warning."""
        return self.stopped_by == "schedule" and bool((self.last_change.abs() > 1e-3 * (1 + self.loss.abs())).any())


def train(
    model: Population,
    data: PreferenceData,
    objective: Objective | None = None,
    regulariser: ForwardKL | None = None,
    options: Adam | None = None,
    *,
    starts: int = 1,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Training:
    """Train a population on preference data (or on a law written as data) by Adam.

    Start 0 is the model as given, the others are redrawn at addresses of ``seed``. Replicates and starts are trained at
    once.

    Args:
        model: what is assumed; free parameters are trained under their constraints.
        data: with or without a replicate axis R.
        objective: :class:`~annosim.learning.objectives.NLL` by default.
        regulariser: added to the objective; needs utilities that are densities.
        options: an :class:`Adam`.
        starts: S; results are ordered replicate by replicate, S entries each.
        seed: of redrawn starts and of the minibatch order.
        device: ``"cpu"``, ``"cuda"``; CUDA when there is one and the data are large enough, by default CPU.

    Raises:
        TrainingError: the loss is not finite; the batch is saved and the message says where.
        ArgumentError: an objective that has no meaning for this model or these data.
        DeviceError: the device is not there.

    Example:
        >>> import annosim as an
        >>> items = an.Items.grid(-1., 1., 21)
        >>> data = an.simulate(an.Annotator(an.Linear([2.]), an.Luce()), an.Design(items, annotators=200), seed=0)
        >>> model = an.Annotator(an.Network([8], dim=1), an.Luce())
        >>> done = train(model, data, options=Adam(steps=20, lr=1e-2))
        >>> done.steps, done.stopped_by
        (20, 'schedule')
    """
    return _Run(model, data, objective or NLL(), regulariser, options or Adam(), starts, seed, device).go()


class _Run:
    """One training run: its state between steps."""

    def __init__(self, model, data, objective, regulariser, options, starts, seed, device):
        self.options, self.objective, self.regulariser, self.seed = options, objective, regulariser, seed
        self.device = _device(device)
        _check_model(model, data, objective)
        items = data.items.to(self.device)
        begin = self.beginnings(model, data, starts)
        count = 1 if data.replicates is None else data.replicates
        begin = begin * count if len(begin) == starts else begin
        self.model = Batched(begin, items, self.device, _half(options, self.device), options.compile)
        rows = rows_of(data, objective, items, starts, self.device)
        self.rows, self.held = _hold_out(rows, options.held_out, seed)
        self.copies = self.model.copies
        fused: dict[str, Any] = {"fused": True} if self.device.type in ("cpu", "cuda") else {}
        kind = torch.optim.AdamW if options.weight_decay else torch.optim.Adam
        self.optimiser = kind(self.model.trainable, lr=options.lr, weight_decay=options.weight_decay, **fused)
        self.log = Log()
        self.best: tuple[torch.Tensor, list[torch.Tensor]] | None = None
        self.stale = 0
        self.step = 0
        self.queue: list[torch.Tensor] = []
        self.epoch = 0

    def beginnings(self, model: Population, data: PreferenceData, starts: int) -> list[Population]:
        """Where the starts begin: at the model as given, then at redraws (``starts``, or as many per replicate)."""
        return [model] + [model.like(child_seed(self.seed, f"start {s}")) for s in range(1, starts)]

    def losses(self, rows: Rows) -> torch.Tensor:
        """Mean objective of each copy, ``(copies,)`` float64: what is evaluated and reported."""
        return population_losses(self.model, rows, self.objective, self.regulariser)

    def step_losses(self, rows: Rows, blocks: torch.Tensor | None) -> torch.Tensor:
        """What one step descends, ``(copies,)``; ``blocks`` are the annotators of ``rows`` (``None``: all)."""
        return self.losses(rows)

    def before_step(self) -> None:
        """Called before every step; EM takes its E-step here."""

    def go(self) -> Training:
        options = self.options
        keeper = Keeper(options.checkpoint, self.fingerprint())
        self.resume(keeper.load(self.device))
        stopped = "schedule"
        with progress_bar("training", options.steps, options.progress) as advance:
            advance(self.step)
            while self.step < options.steps:
                self.before_step()
                loss = self.one_step()
                self.step += 1
                advance(1, loss)
                if options.tolerance and self.at_rest():
                    stopped = "gradient"
                    break
                if self.held is not None and self.step % options.evaluate_every == 0 and self.give_up():
                    stopped = "held out"
                    break
                if options.checkpoint and self.step % options.checkpoint_every == 0:
                    keeper.save(self.state())
        if options.checkpoint:
            keeper.save(self.state())
        return self.finish(stopped)

    def one_step(self) -> float:
        rate = self.options.rate(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros(self.copies, dtype=torch.float64, device=self.device)
        for _ in range(self.options.accumulate):
            blocks = self.next_blocks()
            rows = self.rows if blocks is None else self.rows.take_blocks(blocks)
            loss = self.step_losses(rows, blocks) / self.options.accumulate
            if not bool(torch.isfinite(loss).all()):
                save_bad_batch(self.options.checkpoint, self.step, loss, rows, self.model.raw)
            loss.sum().backward()
            total += loss.detach()
        self.optimiser.step()
        self.log.add(self.step, total, rate)
        return float(total.mean())

    def next_blocks(self) -> torch.Tensor | None:
        """Annotators of the next minibatch (all their answers together), or ``None`` for all."""
        batch = self.options.batch
        if batch is None or batch >= self.rows.blocks:
            return None
        if not self.queue:
            self.queue = shuffled_batches(self.rows.blocks, batch, self.seed, self.epoch)
            self.epoch += 1
        return self.queue.pop(0).to(self.device)

    def full_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and largest gradient entry of each copy on all training rows, both ``(copies,)``."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.losses(self.rows)
        loss.sum().backward()
        return loss.detach(), self._largest()

    def _largest(self) -> torch.Tensor:
        grads = [p.grad.detach().abs().reshape(self.copies, -1) for p in self.model.trainable if p.grad is not None]
        return torch.stack([g.amax(-1).double() for g in grads]).amax(0)

    def last_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and largest gradient entry of the last step, both ``(copies,)``."""
        return self.log.losses()[-1].to(self.device), self._largest()

    def at_rest(self) -> bool:
        """Whether to stop, converged; asked after every step."""
        return self.step % 100 == 0 and self.gradient_small()

    def gradient_small(self) -> bool:
        """Full batch: the gradient of the step just taken decides; a minibatch's says nothing."""
        if self.options.batch is not None and self.options.batch < self.rows.blocks:
            return False
        grads = [p.grad.abs().amax() for p in self.model.trainable if p.grad is not None]
        return bool(torch.stack([g.double() for g in grads]).amax() < self.options.tolerance)

    def give_up(self) -> bool:
        """Evaluate on the held-out annotators; keep each copy's best parameters."""
        with torch.no_grad():
            loss = self.losses(self.held)  # type: ignore[arg-type]
        self.log.held_out[self.step - 1] = loss.cpu()
        if self.best is None:
            self.best = (loss, [p.detach().clone() for p in self.model.trainable])
            return False
        better = loss < self.best[0]
        for kept, p in zip(self.best[1], self.model.trainable, strict=True):
            kept.copy_(torch.where(better.view(-1, *[1] * (p.ndim - 1)), p.detach(), kept))
        self.best = (torch.where(better, loss, self.best[0]), self.best[1])
        self.stale = 0 if bool(better.any()) else self.stale + 1
        return self.stale >= self.options.patience

    def finish(self, stopped: str) -> Training:
        if self.best is not None:
            with torch.no_grad():
                for kept, p in zip(self.best[1], self.model.trainable, strict=True):
                    p.copy_(kept)
        loss, norm = self.full_gradient() if self.options.final else self.last_gradient()
        held = None if self.held is None else self.losses(self.held).detach().cpu()
        if self.options.log is not None:
            self.log.write(self.options.log)
        return Training(
            populations=self.model.populations(),
            loss=loss.cpu(),
            held_out_loss=held,
            gradient_norm=norm.cpu(),
            last_change=self.log.last_change(),
            steps=self.step,
            stopped_by=stopped,
            converged=norm.cpu() < self.options.tolerance,
            log=self.log,
            settings={"solver": "adam", "device": str(self.device), "options": self.options, "seed": self.seed},
        )

    # ---- checkpoints -------------------------------------------------------------------------------------------

    def fingerprint(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be resumed."""
        return {
            "shapes": [tuple(p.shape) for p in self.model.trainable],
            "rows": int(len(self.rows.block)),
            "objective": repr(self.objective),
            "options": repr((self.options.steps, self.options.lr, self.options.batch, self.options.warmup, self.seed)),
        }

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "epoch": self.epoch,
            "left": len(self.queue),
            "raw": [p.detach().cpu() for p in self.model.trainable],
            "optimiser": self.optimiser.state_dict(),
            "log": self.log.state(),
            "best": None if self.best is None else (self.best[0].cpu(), [p.cpu() for p in self.best[1]]),
            "stale": self.stale,
        }

    def resume(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        with torch.no_grad():
            for p, kept in zip(self.model.trainable, state["raw"], strict=True):
                p.copy_(kept)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.epoch, self.stale = state["step"], state["epoch"], state["stale"]
        self.log = Log.from_state(state["log"])
        if state["best"] is not None:
            self.best = (state["best"][0].to(self.device), [p.to(self.device) for p in state["best"][1]])
        if state["left"]:
            batches = shuffled_batches(self.rows.blocks, self.options.batch, self.seed, self.epoch - 1)
            self.queue = batches[-state["left"] :]


def population_losses(
    model: Batched, rows: Rows, objective: Objective, regulariser: ForwardKL | None = None
) -> torch.Tensor:
    """Mean objective of each copy of the model, ``(copies,)`` float64, differentiable in ``model.trainable``."""
    components, densities = model.components(rows.shown if model.local else None)
    copies, n = model.copies, rows.view.items.n
    plain = all(isinstance(rule, Luce) for rule, _, _ in components) and rows.pairs is not None
    if plain:
        winner, loser, weight = rows.pairs  # type: ignore[misc]
        where = winner // n if copies > 1 else None
    else:
        weight = rows.weight
        where = torch.arange(copies, device=rows.device).repeat_interleave(rows.blocks) if copies > 1 else None
    joint, shares = [], []
    for rule, index, share in components:  # index (copies, n), share (copies,)
        flat = index.reshape(-1)
        if plain:
            loss = objective.loss_of_logit(flat.index_select(0, winner) - flat.index_select(0, loser)).double()
        else:
            loss = _block_losses(rule, flat, rows, objective, n)
        joint.append(loss)
        shares.append(share)
    total = joint[0]
    if len(joint) > 1:
        log_share = torch.stack(shares).log()
        log_share = log_share if where is None else log_share[:, where]
        total = -torch.logsumexp(log_share - torch.stack(joint), 0)
    each = weight * total
    if where is None:
        out = each.sum()[None]
    else:
        out = torch.zeros(copies, dtype=torch.float64, device=rows.device).index_add(0, where, each)
    if regulariser is not None:
        for density in densities:
            out = out + _penalty(regulariser, density, rows)
    return out


def _penalty(regulariser: ForwardKL, density: torch.Tensor, rows: Rows) -> torch.Tensor:
    """The regulariser of each copy's log density ``(copies, n)``, ``(copies,)``."""
    if not regulariser.shown:
        return regulariser(density, rows.view.items)
    copies, n = density.shape
    at = (rows.view.menu.clamp_min(0) + (rows.replicate * n)[:, None])[rows.view.menu >= 0]
    where, values = at // n, density.reshape(-1)[at].double()
    total = torch.zeros(copies, dtype=torch.float64, device=rows.device).index_add(0, where, values)
    return -regulariser.weight * total / torch.bincount(where, minlength=copies)


def _block_losses(rule: Rule, flat: torch.Tensor, rows: Rows, objective: Objective, n: int) -> torch.Tensor:
    """Loss of each annotator's block of answers, ``(copies * blocks,)``; any rule, feedback and objective."""
    menu = rows.view.menu
    at = (menu.clamp_min(0) + (rows.replicate * n)[:, None]).reshape(-1)
    scores = flat.index_select(0, at).reshape(menu.shape)
    if rows.padded:
        scores = torch.where(menu >= 0, scores, -torch.inf)
    loss = row_losses(rule, scores, rows, objective).double()
    return loss if rows.single else torch.zeros_like(rows.weight).index_add(0, rows.block, loss)


def _check_model(model: Population, data: PreferenceData, objective: Objective) -> None:
    leaves = model.leaves()
    if len(leaves) > 1:
        check_own_parameters(model, data.items)
    if not model.num_free():
        raise ArgumentError("train: nothing is free in this model; a network's parameters must require gradients")
    if len(leaves) > 1 and not objective.likelihood:
        raise ArgumentError(
            f"{objective!r} has no meaning on a mixture of {len(leaves)} types: only a likelihood can be averaged over "
            "hidden types; use objective=NLL(), or fit one annotator"
        )
    for leaf in leaves:
        leaf.rule.check_kind(data.feedback)
        if leaf.rule.memory:
            raise ArgumentError(
                f"train: {type(leaf.rule).__name__} remembers earlier answers; Adam takes memoryless rules"
            )


def _hold_out(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows | None]:
    if share == 0:
        return rows, None
    from annosim.random import torch_generator

    order = torch.randperm(rows.blocks, generator=torch_generator(seed, "held out")).to(rows.device)
    count = max(1, round(share * rows.blocks))
    if count >= rows.blocks:
        raise ArgumentError(f"Adam(held_out={share}): only {rows.blocks} annotators; none would be left to train on")
    return rows.take_blocks(order[count:].sort().values), rows.take_blocks(order[:count].sort().values)


def _device(device: Any) -> torch.device:
    try:
        made = torch.device(device or "cpu")
        torch.empty(1, device=made)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"device {device!r} is not available here ({str(error).splitlines()[0]}); use cpu") from error
    return made


def _half(options: Adam, device: torch.device) -> torch.dtype | None:
    if options.precision == "bfloat16" or (options.precision == "auto" and device.type == "cuda"):
        return torch.bfloat16
    return None


# ---- the row of the table of solvers ------------------------------------------------------------------------------


def _applies(problem: Problem) -> bool:
    if problem.prior is not None or any(leaf.rule.memory for leaf in problem.model.leaves()):
        return False
    return has_network(problem.model) or not is_nll(problem.objective)


def _solve(problem: Problem) -> Solution:
    return solution_of(train_problem(problem, problem.data), slice(None), problem)


def train_problem(problem: Problem, data: PreferenceData) -> Training:
    """Train a problem's model on data with or without replicates."""
    return train(
        problem.model,
        data,
        problem.objective,
        problem.regulariser,
        _options_of({"tolerance": problem.tolerance, **problem.options}),
        starts=problem.starts,
        seed=problem.seed,
        device=problem.device,
    )


def best_of_starts(done: Training, starts: int) -> np.ndarray:
    """Number of the best copy of each replicate: the lowest held-out loss, or loss, among its starts, ``(R,)``."""
    score = (done.loss if done.held_out_loss is None else done.held_out_loss).reshape(-1, starts)
    return score.argmin(-1).numpy() + starts * np.arange(len(score))


def solution_of(done: Training, copies: slice, problem: Problem) -> Solution:
    """The best of some copies of a training run (the starts of one replicate) as a solver's solution."""
    score = done.loss if done.held_out_loss is None else done.held_out_loss
    numbers = range(done.loss.numel())[copies]
    best = min(numbers, key=lambda r: float(score[r]))
    nll = is_nll(problem.objective) and problem.regulariser is None
    total = float(np.sum(problem.data.annotator_weight))
    notes = ["existence of the optimum is not decided for networks"] if has_network(problem.model) else []
    if done.held_out_loss is not None:
        notes.append(f"held-out loss per annotator: {float(done.held_out_loss[best]):.6g}")
    if done.unfinished:
        notes.append("the loss still moved when the schedule ended; raise steps= or lr=")
        warnings.warn(
            f"Adam's schedule ended after {done.steps} steps while the loss still moved (by "
            f"{float(done.last_change[best]):.2g} in its last fiftieth); raise steps= or lr=",
            stacklevel=4,
        )
    return Solution(
        population=done.populations[best],
        log_likelihood=-float(done.loss[best]) * total if nll and not done.settings["options"].held_out else None,
        objective=float(done.loss[best]),
        converged=bool(done.converged[best]),
        iterations=done.steps,
        stopped_by=done.stopped_by,
        gradient_norm=float(done.gradient_norm[best]),
        why=_why(problem),
        notes=notes,
        starts=[-float(done.loss[r]) * (total if nll else 1.0) for r in numbers],
        trace=-done.log.losses()[:, best].numpy() * (total if nll else 1.0),
        extra={"last_change": float(done.last_change[best]), "training": done},
    )


def _why(problem: Problem) -> str:
    """One line: why Adam."""
    if not has_network(problem.model):
        return "Adam: no exact solver for this objective"
    count = len(problem.model.leaves())
    if count == 1:
        return "Adam: a utility is a network"
    ids = problem.data.annotator
    once = ids is None or len(np.unique(ids)) == len(ids)
    told = ": nobody answers twice, so that EM would have no blocks to tell types by" if once else ""
    return f"Adam on the likelihood of a mixture of {count} networks{told}"


def _options_of(options: dict[str, Any]) -> Adam:
    known = {f.name for f in fields(Adam)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ArgumentError(f"fit({unknown[0]}=): Adam takes {', '.join(sorted(known))}")
    return Adam(**options)


register("adam", _applies, _solve)
