"""Training by Adam: any population whose utilities are networks (or anything else that torch can differentiate).

One pass over the item set gives every indexed utility, which is then read by menu; all replicates and starts are
trained at once as one batched array program (``torch.func.vmap`` over stacked parameters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch

from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError
from annosim.learning.arguments import models_of
from annosim.learning.objectives import NLL, ForwardKL, Objective
from annosim.learning.solvers.settings import Adam, TrainingSolver
from annosim.learning.structure import check_own_parameters
from annosim.learning.training.batches import Rows, rows_of, shuffled_batches
from annosim.learning.training.fingerprint import of_items, of_model, of_regulariser, of_rows
from annosim.learning.training.gates import check_gate
from annosim.learning.training.losses import descend, population_losses
from annosim.learning.training.perturb import again, apart
from annosim.learning.training.placement import training_device
from annosim.learning.training.result import Training
from annosim.learning.training.runs import Interrupt, Keeper, Log, Meter, check_writable, progress_bar, save_bad_batch
from annosim.learning.training.stacked import Batched
from annosim.populations.base import Population
from annosim.random import torch_generator

__all__ = ["Run", "train"]

#: options that leave the path of a run as it is, so that it may resume under others
_NO_MATTER = ("checkpoint", "checkpoint_every", "log", "final", "progress", "warm_start")


def train(
    model: Population | Sequence[Population],
    data: PreferenceData,
    objective: Objective | None = None,
    regulariser: ForwardKL | None = None,
    options: TrainingSolver | None = None,
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
        options: an :class:`Adam`.
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
        >>> done = train(model, data, options=Adam(steps=20, lr=1e-2))
        >>> done.steps, done.stopped_by
        (20, 'schedule')
    """
    return Run(model, data, objective or NLL(), regulariser, options or Adam(), starts, seed, device).go()


class Run:
    """One training run: its state between steps."""

    def __init__(self, model, data, objective, regulariser, options, starts, seed, device):
        self.options, self.objective, self.seed = options, objective, seed
        for path in (options.log, options.checkpoint):
            check_writable(path)
        own = models_of("train", model, data)
        self.device = training_device(device, own[0])
        _check_model(own[0], data, objective, regulariser)
        items = data.items.to(self.device)
        self.regulariser = regulariser and regulariser.on(items)
        count = 1 if data.replicates is None else data.replicates
        if len(own) == 1:
            begin = self.beginnings(own[0], data, starts)
            begin = begin * count if len(begin) == starts else begin
        else:
            begin = [one for r in range(count) for one in self.beginnings(own[r], data[r], starts)]
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
        self.stopped = "schedule"  # or why the run ended before its schedule did: such a run is over when it resumes
        self.step = 0
        self.queue: list[torch.Tensor] = []
        self.epoch = 0

    def beginnings(self, model: Population, data: PreferenceData, starts: int) -> list[Population]:
        """Where the starts begin: at the model as given, then at redraws (``starts``, or as many per replicate)."""
        model = apart(model, self.seed)
        return [model] + [again(model, self.seed, s) for s in range(1, starts)]

    def losses(self, rows: Rows) -> torch.Tensor:
        """Mean objective of each copy, ``(copies,)`` float64: what is evaluated and reported."""
        return population_losses(self.model, rows, self.objective, self.regulariser)

    def step_losses(self, rows: Rows, blocks: torch.Tensor | None) -> torch.Tensor:
        """What one step descends, ``(copies,)``; ``blocks`` are the annotators of ``rows`` (``None``: all)."""
        penalty = self.regulariser and self.regulariser.at_step(rows.items, self.seed, self.step)
        return population_losses(self.model, rows, self.objective, penalty)

    def before_step(self) -> None:
        """Called before every step; EM takes its E-step here."""

    def go(self) -> Training:
        options = self.options
        keeper = Keeper(options.checkpoint, self.fingerprint() if options.checkpoint else {})
        self.resume(keeper.load(self.device))
        meter = Meter(self.device, self.step)
        bar = progress_bar("training", options.steps, options.progress)
        with bar as advance, Interrupt(options.checkpoint is not None) as interrupt:
            advance(self.step)
            while self.step < options.steps and self.stopped == "schedule":
                self.before_step()
                loss = self.one_step()
                self.step += 1
                advance(1, loss)
                meter.look(self.step)
                if options.tolerance and self.at_rest():
                    self.stopped = "gradient"
                elif self.held is not None and self.due() and self.give_up():
                    self.stopped = "held out"
                elif options.checkpoint and self.step % options.checkpoint_every == 0:
                    keeper.save(self.state())
                if interrupt.came:
                    keeper.save(self.state())
                    raise KeyboardInterrupt
        if options.checkpoint:
            keeper.save(self.state())
        done = self.finish(self.stopped)
        return replace(done, settings={**done.settings, "speed": meter.record(self.step)})

    def one_step(self) -> float:
        rate = self.options.rate(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        parts = []
        for _ in range(self.options.accumulate):
            blocks = self.next_blocks()
            rows = self.rows if blocks is None else self.rows.take_blocks(blocks)
            loss = self.step_losses(rows, blocks) / self.options.accumulate
            descend(loss, self.model.trainable)
            parts.append((loss.detach(), rows))
        losses = torch.stack([loss for loss, _ in parts]).cpu()  # the one wait for the device in a step
        for loss, (_, rows) in zip(losses, parts, strict=True):
            if not bool(torch.isfinite(loss).all()):
                save_bad_batch(self.options.checkpoint, self.step, loss, rows, self.model.raw)
        self.optimiser.step()
        self.log.add(self.step, losses.sum(0), rate)
        return float(losses.sum(0).mean())

    def next_blocks(self) -> torch.Tensor | None:
        """Annotators of the next minibatch (all their answers together), or ``None`` for all."""
        batch = self.options.batch
        if batch is None or batch >= self.rows.blocks:
            return None
        if not self.queue:
            self.queue = shuffled_batches(self.rows.blocks, batch, self.seed, self.epoch)
            self.epoch += 1
        return self.queue.pop(0)  # on the CPU, where minibatches are put together

    def full_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and largest gradient entry of each copy on all training rows, both ``(copies,)``."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.losses(self.rows)
        descend(loss, self.model.trainable)
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

    def due(self) -> bool:
        """Whether the held-out annotators are looked at after this step: at the interval, and at the end."""
        return self.step % self.options.evaluate_every == 0 or self.step == self.options.steps

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
        stepped = any(p.grad is not None for p in self.model.trainable)  # not where a finished run is read again
        loss, norm = self.last_gradient() if stepped and not self.options.final else self.full_gradient()
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
            settings={"solver": self.options, "device": str(self.device), "seed": self.seed},
        )

    # ---- checkpoints -------------------------------------------------------------------------------------------

    def fingerprint(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be resumed."""
        items = self.model.items.to("cpu")
        options = {f.name: getattr(self.options, f.name) for f in fields(self.options) if f.name not in _NO_MATTER}
        return {
            "shapes": [tuple(p.shape) for p in self.model.trainable],
            "rows": of_rows(self.rows),
            "items": of_items(items),
            "model": of_model(self.model.originals[0], items),
            "objective": repr(self.objective),
            "regulariser": of_regulariser(self.regulariser, items),
            "options": repr({**options, "seed": self.seed}),
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
            "stopped": self.stopped,
        }

    def resume(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        with torch.no_grad():
            for p, kept in zip(self.model.trainable, state["raw"], strict=True):
                p.copy_(kept)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.epoch, self.stale, self.stopped = (state[k] for k in ("step", "epoch", "stale", "stopped"))
        self.log = Log.from_state(state["log"])
        if state["best"] is not None:
            self.best = (state["best"][0].to(self.device), [p.to(self.device) for p in state["best"][1]])
        if state["left"]:
            batches = shuffled_batches(self.rows.blocks, self.options.batch, self.seed, self.epoch - 1)
            self.queue = batches[-state["left"] :]


def _check_model(model: Population, data: PreferenceData, objective: Objective, regulariser: ForwardKL | None) -> None:
    leaves = model.components()
    if len(leaves) > 1:
        check_own_parameters(model, data.items)
    if not model.num_free():
        raise ArgumentError("train: nothing is free in this model; a network's parameters must require gradients")
    if len(leaves) > 1 and not objective.likelihood:
        raise ArgumentError(
            f"{objective!r} has no meaning on a mixture of {len(leaves)} types: only a likelihood can be averaged over "
            "hidden types; use objective=NLL(), or fit one annotator"
        )
    check_gate(model, data)
    for leaf in leaves:
        utility = getattr(leaf, "utility", None)
        if regulariser is not None and not callable(getattr(utility, "log_prob", None)):
            raise ArgumentError(
                f"ForwardKL has no meaning for {type(utility).__name__}, which is no density and could rise without "
                "end; make it one, an.LogDensity(utility), or use an.LogPolicy"
            )
        leaf.rule.check_kind(data.feedback)
        if leaf.rule.memory:
            raise ArgumentError(
                f"train: {type(leaf.rule).__name__} remembers earlier answers; Adam takes memoryless rules"
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


def _half(options: TrainingSolver, device: torch.device) -> torch.dtype | None:
    if options.precision == "bfloat16" or (options.precision == "auto" and device.type == "cuda"):
        return torch.bfloat16
    return None
