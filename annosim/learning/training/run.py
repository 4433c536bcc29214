"""Training by Adam: any population whose utilities are networks (or anything else that torch can differentiate).

One pass over the item set gives every indexed utility, which is then read by menu; all replicates and starts are
trained at once as one batched array program (``torch.func.vmap`` over stacked parameters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import torch

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.learning import fingerprint
from annosim.learning.arguments import models_of
from annosim.learning.objectives import NLL, ForwardKL, Objective
from annosim.learning.solvers.settings import Adam, TrainingSolver
from annosim.learning.structure import check_own_parameters
from annosim.learning.training.batches import Rows, rows_of, shuffled_batches
from annosim.learning.training.checkpoints import CheckpointManager, SigintHandler, check_writable
from annosim.learning.training.gates import check_gate
from annosim.learning.training.losses import population_losses
from annosim.learning.training.processes import Share, processes_for
from annosim.learning.training.records import Throughput, TrainingLog, save_bad_batch
from annosim.learning.training.result import Training
from annosim.learning.training.stacked import StackedModel
from annosim.learning.training.starts import break_symmetry, restart_from
from annosim.populations.annotator import Annotator
from annosim.populations.base import Population
from annosim.progress import ProgressBar
from annosim.random import torch_generator
from annosim.utilities.base import Density

__all__ = ["TrainingRun", "train"]

#: options that leave the path of a run as it is, so that it may resume under others
NOT_IN_FINGERPRINT = ("checkpoint", "checkpoint_every", "log", "final", "progress", "warm_start")


def train(
    model: Population | Sequence[Population],
    data: PreferenceData,
    objective: Objective | None = None,
    regulariser: ForwardKL | None = None,
    solver: TrainingSolver | None = None,
    *,
    starts: int = 1,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Training:
    """Train a population on preference data (or on a law written as data) by Adam.

    Start 0 is the model as given, the others are redrawn at addresses of ``seed``; language models and reward heads,
    whose weights came from elsewhere, keep them up to noise of a hundredth. Replicates and starts are trained at once.

    Args:
        model: what is assumed; free parameters are trained under their constraints. One for all replicates, or R of
            them that differ in nothing but their free numbers: replicate r begins at the r-th.
        data: with or without a replicate axis R.
        objective: :class:`~annosim.learning.objectives.NLL` by default.
        regulariser: added to the objective; needs utilities that are densities.
        solver: an :class:`~annosim.Adam`.
        starts: S; results are ordered replicate by replicate, S entries each.
        seed: of redrawn starts and of the minibatch order.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...; by default where the model's networks lie, so that a
            language model that lives on a GPU is trained there. The trained populations come back on the CPU.

    Raises:
        TrainingError: the loss is not finite; the batch is saved and the message says where.
        ArgumentError: an objective that has no meaning for this model or these data.
        DeviceError: the device is not there, no device is named and the model's networks lie on several, or something
            of the model did not follow it to the device.

    Example:
        >>> import annosim as an
        >>> items = an.Items.grid(-1., 1., 21)
        >>> data = an.simulate(an.Annotator(an.Linear([2.]), an.Luce()), an.Design(items, annotators=200), seed=0)
        >>> model = an.Annotator(an.Network([8], dim=1), an.Luce())
        >>> done = train(model, data, solver=Adam(steps=20, lr=1e-2))
        >>> done.steps, done.stopped_by
        (20, 'schedule')
    """
    return TrainingRun(model, data, objective or NLL(), regulariser, solver or Adam(), starts, seed, device).run()


class TrainingRun:
    """One training run: its state between steps. The arguments are those of :func:`train`."""

    def __init__(
        self,
        model: Population | Sequence[Population],
        data: PreferenceData,
        objective: Objective,
        regulariser: ForwardKL | None,
        solver: TrainingSolver,
        starts: int,
        seed: int,
        device: str | torch.device | None,
    ):
        self.solver, self.objective, self.seed = solver, objective, seed
        self.processes = processes_for(solver, device)
        for path in (solver.log, solver.checkpoint) if self.processes.rank == 0 else ():
            check_writable(path)
        models = models_of("train", model, data)
        self.device = self.processes.place(device, models[0])
        _check_model(models[0], data, objective, regulariser)
        if self.processes.count > 1 and regulariser is not None and regulariser.shown:
            raise ArgumentError(
                "fit: ForwardKL(shown=True) is not divided over processes; train on one, or leave shown="
            )
        items = data.items.to(self.device)
        self.regulariser = regulariser and regulariser.on(items)
        self.model = StackedModel(
            self._all_models(models, data, starts), items, self.device, self.processes.half(self.device), solver.compile
        )
        self.processes.join(self.model.base, self.model.trainable)
        rows = rows_of(data, objective, items, starts, self.device)
        self.rows, self.held = _hold_out(rows, solver.held_out, seed)
        self.copies = self.model.copies
        fused: dict[str, Any] = {"fused": True} if self.device.type in ("cpu", "cuda") else {}
        kind = torch.optim.AdamW if solver.weight_decay else torch.optim.Adam
        self.optimiser = kind(self.model.trainable, lr=solver.lr, weight_decay=solver.weight_decay, **fused)
        self.log = TrainingLog()
        self.best: tuple[torch.Tensor, list[torch.Tensor]] | None = None
        self.stale = 0
        self.stopped = "schedule"  # or why the run ended before its schedule did: such a run is over when it resumes
        self.step = 0
        self.queue: list[torch.Tensor] = []
        self.epoch = 0

    def _all_models(self, models: list[Population], data: PreferenceData, starts: int) -> list[Population]:
        """The starts of every replicate, one replicate after another."""
        count = 1 if data.replicates is None else data.replicates
        if len(models) > 1:
            return [one for r in range(count) for one in self.initial_models(models[r], data[r], starts)]
        begin = self.initial_models(models[0], data, starts)
        return begin * count if len(begin) == starts else begin

    def initial_models(self, model: Population, data: PreferenceData, starts: int) -> list[Population]:
        """Where the starts begin: at the model as given, then at redraws (``starts``, or as many per replicate)."""
        model = break_symmetry(model, self.seed)
        return [model] + [restart_from(model, self.seed, s) for s in range(1, starts)]

    def losses(self, rows: Rows) -> torch.Tensor:
        """Mean objective of each copy, ``(copies,)`` float64: what is evaluated and reported."""
        return population_losses(self.model, rows, self.objective, self.regulariser)

    def step_losses(self, rows: Rows, blocks: torch.Tensor | None) -> torch.Tensor:
        """What one step descends, ``(copies,)``; ``blocks`` are the annotators of ``rows`` (``None``: all)."""
        penalty = self.regulariser and self.regulariser.at_step(rows.items, self.seed, self.step)
        return population_losses(self.model, rows, self.objective, penalty)

    def before_step(self) -> None:
        """Called before every step; EM takes its E-step here."""

    def run(self) -> Training:
        """Take the steps that are left, and give back what was found."""
        solver = self.solver
        first = self.processes.rank == 0
        checkpoints = CheckpointManager(solver.checkpoint, self.fingerprint() if solver.checkpoint else {})
        self.resume(self.processes.from_first(checkpoints.load) if solver.checkpoint else None)
        throughput = Throughput(self.device, self.step)
        show = None if solver.progress and first else False
        with (
            ProgressBar("training", solver.steps, self.step, show) as bar,
            SigintHandler(solver.checkpoint is not None) as handler,
        ):
            while self.step < solver.steps and self.stopped == "schedule":
                self.before_step()
                loss = self.one_step()
                self.step += 1
                bar.done = self.step
                bar.note(f"loss {loss:.5g}")
                throughput.sample(self.step)
                self.stopped = self.why_to_stop()
                due = self.stopped == "schedule" and self.step % solver.checkpoint_every == 0
                interrupted = self._any(handler.interrupted)
                if first and (due or interrupted):
                    checkpoints.save(self.state())
                if interrupted:
                    raise KeyboardInterrupt
        if first:
            checkpoints.save(self.state())
        done = self.finish()
        return replace(done, settings={**done.settings, "speed": throughput.record(self.step)})

    def _any(self, flag: bool) -> bool:
        """Whether it is so in some process: all end after the same step."""
        if self.processes.count == 1:
            return flag
        return bool(self.processes.total(torch.tensor(float(flag), device=self.device)) > 0)

    def why_to_stop(self) -> str:
        """``"gradient"`` or ``"held out"`` where the run ends before its schedule does."""
        if self.solver.tolerance and self.has_converged():
            return "gradient"
        if self.held is not None and self.evaluation_is_due() and self.early_stop():
            return "held out"
        return "schedule"

    def one_step(self) -> float:
        """Take one step; returns the mean of the copies' losses."""
        rate = self.solver.rate(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        parts = []
        for _ in range(self.solver.accumulate):
            own = self.processes.share(self.rows, self.next_blocks())
            loss = self.processes.descend(partial(self._share_of_step, own), self.model.trainable)
            parts.append((loss, own.rows))
        total = self.processes.total(torch.stack([loss for loss, _ in parts]))
        losses = total.cpu()  # the one wait for the device in a step
        for loss, (_, rows) in zip(losses, parts, strict=True):
            if not bool(torch.isfinite(loss).all()):
                save_bad_batch(self.solver.checkpoint, self.step, loss, rows, self.model.raw)
        self.optimiser.step()
        self.log.add(self.step, losses.sum(0), rate)
        return float(losses.sum(0).mean())

    def _share_of_step(self, own: Share) -> torch.Tensor:
        """This process's share of what a step descends, ``(copies,)``."""
        return self.step_losses(own.rows, own.blocks) * own.part

    def whole_losses(self, rows: Rows) -> torch.Tensor:
        """Mean objective of each copy on many rows, ``(copies,)`` without gradient, each process its share."""
        own = self.processes.share(rows)
        with torch.no_grad():
            return self.processes.total(self.losses(own.rows) * own.part)

    def next_blocks(self) -> torch.Tensor | None:
        """Annotators of the next minibatch (all their answers together), or ``None`` for all."""
        batch = self.solver.batch
        if batch is None or batch >= self.rows.blocks:
            return None
        if not self.queue:
            self.queue = shuffled_batches(self.rows.blocks, batch, self.seed, self.epoch)
            self.epoch += 1
        return self.queue.pop(0)  # on the CPU, where minibatches are put together

    def full_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and largest gradient entry of each copy on all training rows, both ``(copies,)``."""
        self.optimiser.zero_grad(set_to_none=True)
        own = self.processes.share(self.rows)
        loss = self.processes.descend(lambda: self.losses(own.rows) * own.part, self.model.trainable, step=False)
        return self.processes.total(loss), self.largest_gradient()

    def largest_gradient(self) -> torch.Tensor:
        """Largest absolute entry of each copy's gradient, ``(copies,)``."""
        grads = [p.grad.detach().abs().reshape(self.copies, -1) for p in self.model.trainable if p.grad is not None]
        return torch.stack([g.amax(-1).double() for g in grads]).amax(0)

    def last_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and largest gradient entry of the last step, both ``(copies,)``."""
        return self.log.losses()[-1].to(self.device), self.largest_gradient()

    def has_converged(self) -> bool:
        """Whether to stop, converged; asked after every step."""
        return self.step % 100 == 0 and self.gradient_small()

    def gradient_small(self) -> bool:
        """Full batch: the gradient of the step just taken decides; a minibatch's says nothing."""
        if self.solver.batch is not None and self.solver.batch < self.rows.blocks:
            return False
        grads = [p.grad.abs().amax() for p in self.model.trainable if p.grad is not None]
        return bool(torch.stack([g.double() for g in grads]).amax() < self.solver.tolerance)

    def evaluation_is_due(self) -> bool:
        """Whether the held-out annotators are looked at after this step: at the interval, and at the end."""
        return self.step % self.solver.evaluate_every == 0 or self.step == self.solver.steps

    def early_stop(self) -> bool:
        """Evaluate on the held-out annotators; keep each copy's best parameters."""
        loss = self.whole_losses(self.held)  # type: ignore[arg-type]
        self.log.held_out[self.step - 1] = loss.cpu()
        if self.best is None:
            self.best = (loss, [p.detach().clone() for p in self.model.trainable])
            return False
        better = loss < self.best[0]
        for kept, p in zip(self.best[1], self.model.trainable, strict=True):
            kept.copy_(torch.where(better.view(-1, *[1] * (p.ndim - 1)), p.detach(), kept))
        self.best = (torch.where(better, loss, self.best[0]), self.best[1])
        self.stale = 0 if bool(better.any()) else self.stale + 1
        return self.stale >= self.solver.patience

    def finish(self) -> Training:
        """What was found: the best parameters on the held-out annotators, where some were kept aside."""
        if self.best is not None:
            with torch.no_grad():
                for kept, p in zip(self.best[1], self.model.trainable, strict=True):
                    p.copy_(kept)
        stepped = any(p.grad is not None for p in self.model.trainable)  # not where a finished run is read again
        loss, norm = self.last_gradient() if stepped and not self.solver.final else self.full_gradient()
        held = None if self.held is None else self.whole_losses(self.held).cpu()
        if self.solver.log is not None and self.processes.rank == 0:
            self.log.write(self.solver.log)
        return Training(
            populations=self.model.populations(),
            loss=loss.cpu(),
            held_out_loss=held,
            gradient_norm=norm.cpu(),
            last_change=self.log.last_change(),
            steps=self.step,
            stopped_by=self.stopped,
            converged=norm.cpu() < self.solver.tolerance,
            log=self.log,
            settings={"solver": self.solver, "device": str(self.device), "seed": self.seed},
        )

    # ---- checkpoints -------------------------------------------------------------------------------------------

    def fingerprint(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be resumed."""
        items = self.model.items.to("cpu")
        own = {f.name: getattr(self.solver, f.name) for f in fields(self.solver) if f.name not in NOT_IN_FINGERPRINT}
        return {
            "shapes": [tuple(p.shape) for p in self.model.trainable],
            "rows": self.rows.fingerprint(),
            "items": fingerprint.of_items(items),
            "model": fingerprint.of_model(self.model.originals[0], items),
            "objective": repr(self.objective),
            "regulariser": fingerprint.of_regulariser(self.regulariser, items),
            "options": repr({**own, "seed": self.seed}),
        }

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "left": len(self.queue),
            "raw": [p.detach().cpu() for p in self.model.trainable],
            "optimiser": self.optimiser.state_dict(),
            "log": self.log.state(),
            "best": None if self.best is None else (self.best[0].cpu(), [p.cpu() for p in self.best[1]]),
            "stale": self.stale,
            "stopped": self.stopped,
        }

    def resume(self, state: dict[str, Any] | None) -> None:
        """Go on where a checkpoint ends; from the start without one."""
        if state is None:
            return
        with torch.no_grad():
            for p, kept in zip(self.model.trainable, state["raw"], strict=True):
                p.copy_(kept)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.epoch, self.stale, self.stopped = (state[k] for k in ("step", "epoch", "stale", "stopped"))
        self.log = TrainingLog.from_state(state["log"])
        if state["best"] is not None:
            self.best = (state["best"][0].to(self.device), [p.to(self.device) for p in state["best"][1]])
        if state["left"]:
            batches = shuffled_batches(
                self.rows.blocks, self.solver.batch or self.rows.blocks, self.seed, self.epoch - 1
            )
            self.queue = batches[-state["left"] :]


def _check_model(model: Population, data: PreferenceData, objective: Objective, regulariser: ForwardKL | None) -> None:
    components = model.components()
    if len(components) > 1:
        check_own_parameters(model, data.items)
    if not model.num_free():
        raise ArgumentError("train: nothing is free in this model; a network's parameters must require gradients")
    hidden = len(components) > 1 or not isinstance(components[0], Annotator)
    if hidden and not objective.likelihood:
        whom = f"a mixture of {len(components)} types" if len(components) > 1 else type(model).__name__
        raise ArgumentError(
            f"{objective!r} has no meaning on {whom}: only a likelihood can be averaged over hidden types or tastes; use "
            "objective=NLL(), or fit one annotator"
        )
    check_gate(model, data)
    for component in components:
        what = component.utility if isinstance(component, Annotator) else component
        if regulariser is not None and not isinstance(what, Density):
            raise ArgumentError(
                f"ForwardKL has no meaning for {type(what).__name__}, which is no density and could rise without "
                "end; make it one, an.LogDensity(utility), or use an.LogPolicy"
            )
        component.rule.check_kind(data.feedback)
        if component.rule.memory:
            raise ArgumentError(
                f"train: {type(component.rule).__name__} remembers earlier answers; Adam takes memoryless rules"
            )


def _hold_out(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows | None]:
    if share == 0:
        return rows, None
    order = torch.randperm(rows.blocks, generator=torch_generator(seed, "held out"))
    count = max(1, round(share * rows.blocks))
    if count >= rows.blocks:
        raise ArgumentError(f"Adam(held_out={share}): only {rows.blocks} annotators; none would be left to train on")
    kept, held = (rows.take_blocks(part.sort().values).normalised() for part in (order[count:], order[:count]))
    return kept, held
