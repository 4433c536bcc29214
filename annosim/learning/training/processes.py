"""The processes that train one model together: one alone, or those that ``accelerate launch`` or ``torchrun`` started.

Every process holds the whole model and all rows, and computes on its share of each batch's annotators. Losses are weighted
sums over annotators, so that those of the shares add up to the loss of the batch, and so do their gradients, whatever the
number of processes: it changes rounding, and nothing else. What is drawn is drawn at addresses of the seed, the same in
every process. Device, autocast, accumulation and the reduction of gradients (DDP) are those of ``accelerate``; checkpoints
stay one file, written by the first process, so that a run resumes under another number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from annosim.errors import ArgumentError, DeviceError, MissingDependencyError, warn
from annosim.extras import library
from annosim.learning.solvers.settings import TrainingSolver
from annosim.learning.training.batches import Rows
from annosim.learning.training.losses import backward
from annosim.learning.training.placement import training_device

__all__ = ["Alone", "Launched", "Share", "processes_for", "started_by_launcher"]

T = TypeVar("T")

#: variables by which ``accelerate launch`` says that no process is to hold the whole model
_SHARDED = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
}


class Share(NamedTuple):
    """What a process computes of a batch.

    Attributes:
        rows: of its annotators.
        blocks: their numbers, on the CPU; ``None`` for all there are.
        part: their share of the batch, by which the mean loss of ``rows`` is multiplied.
    """

    rows: Rows
    blocks: torch.Tensor | None
    part: float


def started_by_launcher() -> bool:
    """Whether ``accelerate launch`` or ``torchrun`` started this process.

    Example:
        >>> started_by_launcher()
        False
    """
    return "LOCAL_RANK" in os.environ or "ACCELERATE_MIXED_PRECISION" in os.environ


def processes_for(solver: TrainingSolver, device: object) -> Alone:
    """The processes of this run.

    Raises:
        MissingDependencyError: a launcher started several, and ``accelerate`` is not installed.
        ArgumentError: ``accelerate`` was configured for something that this loop does not do.
    """
    if not started_by_launcher():
        return Alone(solver)
    _refuse_sharding({name for variable, name in _SHARDED.items() if os.environ.get(variable, "").lower() == "true"})
    try:
        accelerate = library("accelerate", "hf")
    except MissingDependencyError:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return Alone(solver)
        raise
    made = Launched(solver, device, accelerate)
    if made.count == 1 and "MASTER_PORT" in os.environ and "LOCAL_RANK" not in os.environ:
        warn(
            "accelerate launch --cpu starts one process, whatever --num_processes says; write --multi_gpu in its place "
            "(also on CPUs), or torchrun"
        )
    return made


def _refuse_sharding(configured: Collection[str]) -> None:
    """Refuse a model in parts. On CPUs ``accelerate`` would leave such a setting aside without a word."""
    for name in configured:
        raise ArgumentError(
            f"fit: every process holds the whole model (DDP), and accelerate is configured for {name}; launch with "
            "--multi_gpu, and train adapters where a model is large"
        )


class Alone:
    """One process, which computes everything.

    Args:
        solver: says how many minibatches make a step, and the precision.

    Attributes:
        rank: number of this process, from 0; process 0 writes files and shows progress.
        count: how many there are.
    """

    rank, count = 0, 1

    def __init__(self, solver: TrainingSolver):
        self.solver = solver

    def place(self, device: Any, model: nn.Module) -> torch.device:
        """Where this process trains."""
        return training_device(device, model)

    def half(self, device: torch.device) -> torch.dtype | None:
        """Autocast dtype of the networks' pass, or ``None``."""
        wanted = self.solver.precision
        return torch.bfloat16 if wanted == "bfloat16" or (wanted == "auto" and device.type == "cuda") else None

    def join(self, model: nn.Module, trainable: Sequence[torch.Tensor]) -> None:
        """Begin together: at the same numbers."""

    def share(self, rows: Rows, blocks: torch.Tensor | None = None) -> Share:
        """This process's part of the annotators ``blocks`` of ``rows`` (``None``: of all)."""
        return Share(rows if blocks is None else rows.take_blocks(blocks), blocks, 1.0)

    def descend(
        self, function: Callable[[], torch.Tensor], trainable: Sequence[torch.Tensor], step: bool = True
    ) -> torch.Tensor:
        """Losses ``(copies,)`` of this process's share, backpropagated; gradients become those of all shares.

        Args:
            function: the losses.
            trainable: whose gradients are wanted.
            step: it is one of the minibatches of a step, whose mean is taken.
        """
        loss = function() / (self.solver.accumulate if step else 1)
        backward(loss, trainable)
        return loss.detach()

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """Sum over the processes of a tensor without gradient, the same in all."""
        return value

    def from_first(self, read: Callable[[], T]) -> T:
        """What process 0 reads, in all."""
        return read()


class _Called(nn.Module):
    """Holds the trained numbers, for DDP to see; its pass is whatever function it is handed."""

    def __init__(self, trainable: Sequence[torch.Tensor]):
        super().__init__()
        self.numbers = nn.ParameterList(trainable)

    def forward(self, function: Callable[[], torch.Tensor]) -> torch.Tensor:
        return function()


class Launched(Alone):
    """Processes that a launcher started, joined by ``accelerate``.

    Args:
        solver: as for :class:`Alone`.
        device: as the user named it; ``accelerate`` chooses among the devices of its type.
        accelerate: the library.

    Raises:
        ArgumentError: FSDP, DeepSpeed or a precision that this loop has not.
    """

    def __init__(self, solver: TrainingSolver, device: object, accelerate: Any):
        super().__init__(solver)
        cpu = str(device) == "cpu" or not torch.accelerator.is_available()
        plugin = accelerate.utils.GradientAccumulationPlugin(num_steps=solver.accumulate, sync_with_dataloader=False)
        # the weights of types get no gradient: EM sets them in closed form
        unused = accelerate.DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = accelerate.Accelerator(
            cpu=cpu, gradient_accumulation_plugin=plugin, kwargs_handlers=[unused], step_scheduler_with_optimizer=False
        )
        self.rank, self.count = self.accelerator.process_index, self.accelerator.num_processes
        self._check(accelerate.DistributedType)
        self._whole: dict[int, tuple[Rows, Share]] = {}

    def _check(self, kinds: Any) -> None:
        kind, precision = self.accelerator.distributed_type, self.accelerator.mixed_precision
        _refuse_sharding({kind.value} if kind in (kinds.FSDP, kinds.DEEPSPEED, kinds.MEGATRON_LM) else ())
        if precision not in ("no", "bf16") or (precision == "bf16" and self.solver.precision == "float32"):
            raise ArgumentError(
                f"fit: precision={self.solver.precision!r}, and accelerate is configured for {precision}; "
                "launch with --mixed_precision no (or bf16)"
            )

    def place(self, device: Any, model: nn.Module) -> torch.device:
        found = self.accelerator.device
        if device is not None and torch.device(device).type != found.type:
            raise DeviceError(f"fit(device={str(device)!r}): accelerate placed this process on {found}; leave it out")
        return training_device(str(found), model)

    def half(self, device: torch.device) -> torch.dtype | None:
        wanted = self.solver.precision == "bfloat16" or self.accelerator.mixed_precision == "bf16"
        return torch.bfloat16 if wanted else None

    def join(self, model: nn.Module, trainable: Sequence[torch.Tensor]) -> None:
        numbers = [p.detach().double() for p in (*model.parameters(), *model.buffers()) if p.is_floating_point()]
        size = torch.stack([p.abs().sum().cpu() for p in numbers]) if numbers else torch.zeros(1, dtype=torch.float64)
        own = torch.stack([size.sum(), (size * torch.arange(1, len(size) + 1)).sum()]).to(self.accelerator.device)
        all_ = self.accelerator.gather(own).reshape(-1, 2)
        if not bool((all_ == all_[0]).all()):
            raise ArgumentError(
                "fit: the processes do not begin at the same model; build it from a file, or after torch.manual_seed(...)"
            )
        self.module = self.accelerator.prepare_model(_Called(trainable))

    def share(self, rows: Rows, blocks: torch.Tensor | None = None) -> Share:
        if blocks is None and id(rows) in self._whole:  # full batches pick the same rows in every step
            return self._whole[id(rows)][1]
        asked = torch.arange(rows.blocks) if blocks is None else blocks
        if len(asked) < self.count:  # too few to be divided: each takes them all, and counts for its part
            made = Share(rows.take_blocks(asked), asked, 1 / self.count)
        else:
            own = asked.tensor_split(self.count)[self.rank]
            made = Share(rows.take_blocks(own), own, len(own) / len(asked))
        if blocks is None:
            self._whole[id(rows)] = rows, made  # holds the rows, so that no others get their id
        return made

    def descend(
        self, function: Callable[[], torch.Tensor], trainable: Sequence[torch.Tensor], step: bool = True
    ) -> torch.Tensor:
        if not step:
            loss = self.module(function)
            (loss.sum() * self.count).backward()  # DDP takes the mean over processes
            return loss.detach()
        with self.accelerator.accumulate(self.module):
            loss = self.module(function)
            self.accelerator.backward(loss.sum() * self.count)
        return loss.detach() / self.solver.accumulate

    def total(self, value: torch.Tensor) -> torch.Tensor:
        return self.accelerator.reduce(value.contiguous(), "sum")

    def from_first(self, read: Callable[[], T]) -> T:
        from accelerate.utils import broadcast_object_list

        held = [read() if self.rank == 0 else None]
        return broadcast_object_list(held)[0]
