"""Several types of one model inside one module, as a trainer wants it: one pass gives the numbers of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.utilities.adapters import LowRank, copied, merged, with_adapters

__all__ = ["PeftTypes", "Scorer", "Types"]

#: the numbers ``(sequences,)`` that one type gives a batch
Scorer: TypeAlias = Callable[[nn.Module, dict[str, Any]], torch.Tensor]


class Types(nn.Module):
    """K models, each whole or with adapters on a trunk that they share.

    Args:
        models: one for each type.
        score: what a pass computes of each.
    """

    def __init__(self, models: Sequence[nn.Module], score: Scorer):
        super().__init__()
        self.models, self.score = nn.ModuleList(models), score
        self.config: Any = models[0].config

    @classmethod
    def of(cls, model: nn.Module, count: int, adapters: int | None, seed: int, score: Scorer) -> Types:
        """``count`` copies of a model, alike; or as many low-rank adapters of it."""
        if adapters is not None:
            return cls(with_adapters(copied(model), adapters, copies=count, seed=seed), score)
        return cls([copied(model) for _ in range(count)], score)

    def forward(self, **inputs: Any) -> torch.Tensor:
        """``(types, sequences)``."""
        return torch.stack([self.score(one, inputs) for one in self.models])

    def plain(self, number: int) -> nn.Module:
        """A copy of one type as a model of the library it came from, adapters added to what they adapt."""
        one = self.models[number]
        adapted = any(isinstance(part, LowRank) for part in one.modules())
        out = merged(one) if adapted else copied(one)
        return out.requires_grad_(True)

    def free_state(self) -> dict[str, torch.Tensor]:
        """The numbers that are trained, for a checkpoint."""
        return {name: p.detach().cpu() for name, p in self.named_parameters() if p.requires_grad}

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Of every type (the trainer asks for it)."""
        for one in self._wholes():
            one.activation_checkpointing_enable(**options)

    def gradient_checkpointing_enable(self, *options: Any, **named: Any) -> None:
        """As :meth:`activation_checkpointing_enable`, under its older name."""
        for one in self._wholes():
            one.gradient_checkpointing_enable(*options, **named)

    def gradient_checkpointing_disable(self) -> None:
        """Of every type."""
        for one in self._wholes():
            one.gradient_checkpointing_disable()

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether some type recomputes what it does not keep."""
        return any(one.is_gradient_checkpointing for one in self._wholes())

    def _wholes(self) -> list[Any]:
        return list(self.models)


class PeftTypes(Types):
    """K adapters of ``peft`` on one model.

    Args:
        model: a ``peft.PeftModel``; its adapter becomes that of the first type.
        count: K; the others are made by the same configuration.
        score: what a pass computes of each.
    """

    def __init__(self, model: Any, count: int, score: Scorer):
        nn.Module.__init__(self)
        self.whole, self.score, self.config = model, score, model.config
        first = model.active_adapter
        if not isinstance(first, str):
            raise ArgumentError("PreferenceMixtureTrainer(peft_config=): one adapter is made into one for each type")
        self.names = [first, *(f"type_{k}" for k in range(1, count))]
        for name in self.names[1:]:
            model.add_adapter(name, model.peft_config[first])
        before = {id(p) for p in model.parameters() if p.requires_grad}
        self._free: list[nn.Parameter] = []
        for name in self.names:
            model.set_adapter(name)
            self._free += [p for p in model.parameters() if p.requires_grad and not any(p is q for q in self._free)]
        assert before <= {id(p) for p in self._free}
        self._free_again()

    def _free_again(self) -> None:
        """An adapter that is set is the only one left free, and a gradient that comes back later would be lost."""
        for p in self._free:
            p.requires_grad_(True)

    def forward(self, **inputs: Any) -> torch.Tensor:
        out = []
        for name in self.names:
            self.whole.set_adapter(name)
            self._free_again()
            out.append(self.score(self.whole, inputs))
        return torch.stack(out)

    def plain(self, number: int) -> nn.Module:
        own = copied(self.whole)
        own.set_adapter(self.names[number])
        return own.merge_and_unload().requires_grad_(True)

    def _wholes(self) -> list[Any]:
        return [self.whole]
