"""Reward models for hidden types by TRL's ``RewardTrainer``."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.rules.base import Rule
from annosim.rules.luce import Luce
from annosim.trl.mixture import MixtureTraining
from annosim.utilities.language_models import SequenceReward

__all__ = ["RewardMixtureTrainer"]


class RewardMixtureTrainer(MixtureTraining):
    """TRL's ``RewardTrainer`` for annotators who differ: a reward model for each hidden type, by EM.

    It takes what ``RewardTrainer`` takes, in the same order, and is one. Rows need a column that says who answered; a
    column ``margin`` is read as there. With ``types=1`` its loss is that trainer's. Needs the extra ``hf``.

    Args:
        model, arguments, keywords: of ``trl.RewardTrainer``.
        types, em, annotator, margin, soft_labels, adapters: as for
            :class:`~annosim.trl.PreferenceMixtureTrainer`. Adapters of either kind leave the reward head as it is, unless
            ``peft_config`` names it in ``modules_to_save``.

    Attributes:
        policies: after training, a list of :class:`annosim.SequenceReward`, on the CPU.
        population: the types with their weights, under Luce's rule.

    Raises:
        MissingDependencyError, ArgumentError, DataError, TrainingError: as there.

    Example:
        >>> trainer = RewardMixtureTrainer(  # doctest: +SKIP
        ...     classifier, trl.RewardConfig("out"), train_dataset=rows, processing_class=tokenizer, types=2)
    """

    engine = "RewardTrainer"

    def _default_margin(self, rows: Any) -> str | None:
        return "margin" if "margin" in getattr(rows, "column_names", ()) else None  # as the trainer reads it

    def _check_and_prepare(self, who: str, given: dict[str, Any]) -> None:
        if getattr(given.get("args"), "center_rewards_coefficient", None) is not None:
            raise ArgumentError(f"{who}: EM needs a likelihood; leave RewardConfig(center_rewards_coefficient=)")

    def _asked(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {name: inputs[name] for name in ("input_ids", "attention_mask")}

    def _score(self, model: nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        return model(**inputs, use_cache=False).logits[:, 0]

    def _gaps(self, scores: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
        chosen, rejected = scores.chunk(2, dim=1)
        return chosen - rejected

    def _rule(self) -> Rule:
        return Luce()

    def _utility(self, model: nn.Module) -> SequenceReward:
        return SequenceReward(model)
