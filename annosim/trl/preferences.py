"""EM-DPO by TRL's ``DPOTrainer``."""

from __future__ import annotations

import copy
import os
from typing import Any

import torch
from torch import nn

from annosim.errors import ArgumentError
from annosim.extras import library
from annosim.rules.base import Rule
from annosim.rules.luce import PBDE
from annosim.trl.mixture import MixtureTraining, is_peft
from annosim.utilities.adapters import copied
from annosim.utilities.language_models import LogPolicy

__all__ = ["PreferenceMixtureTrainer"]

#: settings of ``DPOConfig`` under which a pair's loss is minus the log-probability of its answer
LIKELIHOOD: dict[str, object] = {
    "loss_type": ["sigmoid"],
    "loss_weights": None,
    "label_smoothing": 0.0,
    "f_divergence_type": "reverse_kl",
    "ld_alpha": None,
    "use_weighting": False,
    "sync_ref_model": False,
}


class PreferenceMixtureTrainer(MixtureTraining):
    r"""TRL's ``DPOTrainer`` for annotators who differ: a policy for each hidden type, by EM (EM-DPO).

    It takes what ``DPOTrainer`` takes, in the same order, and is one. Rows need a column that says who answered. With
    ``types=1`` and no margins or soft labels its loss is DPO's. Needs the extra ``hf``.

    The types begin alike, at the model that is given, which is the reference too (its log-probabilities are computed once,
    ``precompute_ref_log_probs``, unless a ``ref_model`` is given); random first responsibilities part them. Only the
    options ``e_step_every, temperature, anneal, hard`` of ``em`` are read: steps and batches are said to ``args``. All rows
    count alike: a column of weights is not read.

    Args:
        model, arguments, keywords: of ``trl.DPOTrainer``: ``ref_model, args, train_dataset, processing_class,
            peft_config, ...``. The model is copied. ``peft_config`` makes an adapter of ``peft`` for each type.
        types: K.
        em: an :class:`~annosim.EM`; an E-step every 20 optimiser steps by default.
        annotator: column with who answered.
        margin: column with a number m: the answer's probability is ``s(h - m)``, as in TRL's ``RewardTrainer``.
        soft_labels: column with the probability that the chosen response is the better one.
        adapters: rank of annosim's own low-rank adapters, one set for each type on a shared trunk.

    Attributes:
        policies: after training, a list of :class:`annosim.LogPolicy`, on the CPU.
        population: the types with their weights, under DPO's rule.
        weights, responsibilities, annotators, log_likelihoods: as found at the E-steps.

    Raises:
        MissingDependencyError: TRL is not installed; the extra is named.
        ArgumentError: a column or a setting that has no meaning here.
        DataError: a row without annotator, or a number out of range.
        TrainingError: the log-likelihood is not finite.

    Example:
        >>> trainer = PreferenceMixtureTrainer(  # doctest: +SKIP
        ...     "my-model", args=trl.DPOConfig("out"), train_dataset=rows, types=2, annotator="worker")
        >>> trainer.train()  # doctest: +SKIP
        >>> an.identify(trainer.population, design)  # doctest: +SKIP
    """

    engine = "DPOTrainer"
    beta: float

    def _check_and_prepare(self, who: str, given: dict[str, Any]) -> None:
        args = given.get("args")
        for name, wanted in LIKELIHOOD.items():
            value = getattr(args, name, wanted)
            if value != wanted:
                raise ArgumentError(
                    f"{who}: EM needs a likelihood, and DPOConfig({name}={value!r}) has none; leave it at {wanted!r} "
                    "(uncertain labels: soft_labels='column')"
                )
        if given.get("ref_model") is None:
            trl: Any = library("trl", "hf")
            args = trl.DPOConfig(f"{who}-output") if args is None else copy.copy(args)
            args.precompute_ref_log_probs = True  # one reference for all types; what would be its copy, moves
            given["args"] = args
            for name in ("train_dataset", "eval_dataset"):
                given[name] = _on_disk(given.get(name), os.path.join(args.output_dir, f"{name}.rows"))

    def _prepare_copy(self, model: nn.Module) -> None:
        library("trl.trainer.utils", "hf").add_fused_lm_head(model)

    def _asked(self, inputs: dict[str, Any]) -> dict[str, Any]:
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        return {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "labels": labels}

    def _score(self, model: nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        found = model(**inputs, use_cache=False, fused_lm_head=True)
        wanted = inputs["labels"].shape[1] - 1  # prompt-learning adapters put tokens of their own before
        return found.log_probs[:, -wanted:].sum(1)

    def _gaps(self, scores: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
        trainer: Any = self
        if "ref_chosen_logps" in inputs:
            reference = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        else:
            reference = trainer.compute_ref_log_probs(trainer.ref_model, inputs)
        chosen, rejected = scores.chunk(2, dim=1)
        return self.beta * ((chosen - reference[0]) - (rejected - reference[1]))

    def _keep(self, model: nn.Module) -> None:
        trainer: Any = self
        self._reference: Any = trainer.ref_model
        if trainer.ref_model is None:  # the types begin at it: a copy for the population, on the CPU
            own: Any = copied(model)
            self._reference = (own.unload() if is_peft(model) else own).to("cpu").eval()

    def _rule(self) -> Rule:
        trainer: Any = self
        return PBDE.dpo(self.beta, LogPolicy(trainer.accelerator.unwrap_model(self._reference)))

    def _utility(self, model: nn.Module) -> LogPolicy:
        return LogPolicy(model)


def _on_disk(rows: Any, folder: str) -> Any:
    """Rows that several processes may read the reference's log-probabilities of: TRL hands them over in a file beside
    the rows, and rows in memory have a folder of their own in each process."""
    state = library("accelerate", "hf").PartialState()
    datasets = library("datasets", "hf")
    if state.num_processes == 1 or not isinstance(rows, datasets.Dataset) or rows.cache_files:
        return rows
    if state.is_main_process:
        rows.save_to_disk(folder)
    state.wait_for_everyone()
    return datasets.load_from_disk(folder)
