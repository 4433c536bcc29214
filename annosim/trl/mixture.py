r"""EM over types of annotators inside a trainer of TRL.

Annotator i has hidden type k with responsibility ``gamma_ik ~ weight_k prod_j P_k(answer_ij)``, from all of her answers
together. At an interval of steps a pass over the rows renews the responsibilities and the weights; in between each row's
loss is ``sum_k gamma_ik loss_k`` (EM-DPO: Chidambaram, Seetharaman and Syrgkanis, 2405.15065). Tokens, batches, the
optimiser, its schedule, devices, precision, accumulation, logs and checkpoints are the trainer's.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from annosim.errors import ArgumentError, DataError, TrainingError, told
from annosim.extras import library
from annosim.learning.saving import save_object
from annosim.learning.solvers.settings import EM
from annosim.learning.training.warm_starts import first_responsibilities
from annosim.parameters import fixed
from annosim.populations.annotator import Annotator
from annosim.populations.mixture import Mixture
from annosim.rules.base import Rule
from annosim.trl.columns import CODE, MARGIN, SOFT, Columns, row_losses
from annosim.trl.parents import with_parent
from annosim.trl.types import PeftTypes, Types
from annosim.utilities.adapters import copied
from annosim.utilities.language_models import LogPolicy, SequenceReward

__all__ = ["MixtureTraining", "is_peft"]

#: of :class:`~annosim.EM`, what is read here; the rest is said to the trainer
READ = ("e_step_every", "temperature", "anneal", "hard")
#: free numbers and responsibilities, in the folder of a checkpoint
STATE = "types.pt"


class MixtureTraining:
    """What the two trainers have in common; the trainer of TRL that it extends stands behind it.

    Attributes:
        annotators: names of the annotators, in the order of the responsibilities.
        weights: ``(K,)`` shares of the types, at the last E-step.
        responsibilities: ``(annotators, K)``, at the last E-step.
        log_likelihoods: of all answers, at each E-step.
    """

    #: name of the class of TRL
    engine = ""
    annotators: list[str]
    weights: NDArray[np.float64]
    responsibilities: NDArray[np.float64]
    log_likelihoods: list[float]

    def __new__(cls, *arguments: object, **keywords: object) -> MixtureTraining:
        own: Any = cls
        made: MixtureTraining = object.__new__(with_parent(own, cls.engine))
        return made

    def __init__(
        self,
        model: nn.Module | str,
        *arguments: object,
        types: int = 2,
        em: EM | None = None,
        annotator: str = "annotator",
        margin: str | None = None,
        soft_labels: str | None = None,
        adapters: int | None = None,
        **keywords: object,
    ) -> None:
        who = type(self).__name__
        trainer: Any = getattr(library("trl", "hf"), self.engine)
        bound = inspect.signature(trainer.__init__).bind(self, model, *arguments, **keywords).arguments
        given: dict[str, Any] = {name: value for name, value in bound.items() if name != "self"}
        if isinstance(types, bool) or not isinstance(types, int) or types < 1:
            raise ArgumentError(f"{who}(types={told(types)}): a whole number of at least 1")
        if adapters is not None and given.get("peft_config") is not None:
            raise ArgumentError(f"{who}: adapters= (annosim's) or peft_config= (peft's), not both")
        if given.get("train_dataset") is None:
            raise ArgumentError(f"{who}(train_dataset=): needs rows, a datasets.Dataset")
        self.em = _settings(who, EM() if em is None else em)
        named, margin = margin, self._default_margin(given["train_dataset"]) if margin is None else margin
        self.columns = Columns.of(who, given["train_dataset"], annotator, margin, soft_labels)
        self.columns.evaluated_without = margin if named is None else None
        held = given.get("eval_dataset")
        for rows in held.values() if isinstance(held, dict) else () if held is None else (held,):
            self.columns.numbered(rows)  # refused before a model is loaded
        self._check_and_prepare(who, given)
        if isinstance(model, nn.Module):
            given["model"] = copied(model)
        parent: Any = super()
        parent.__init__(**given)
        self._adopt(types, adapters)

    # ---- what the two trainers say of themselves ---------------------------------------------------------------------

    def _check_and_prepare(self, who: str, given: dict[str, Any]) -> None:
        """Refuse settings of the trainer that have no meaning here."""

    def _default_margin(self, rows: Any) -> str | None:
        """The column of margins where none is named."""
        return None

    def _score(self, model: nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        """The numbers of one type's model, ``(2 rows,)``: chosen, then rejected."""
        raise NotImplementedError

    def _gaps(self, scores: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
        """By how much each type prefers the chosen response, ``(types, rows)`` logits."""
        raise NotImplementedError

    def _rule(self) -> Rule:
        """The rule of every type."""
        raise NotImplementedError

    def _keep(self, model: nn.Module) -> None:
        """What is kept of the model as it begins."""

    def _utility(self, model: nn.Module) -> LogPolicy | SequenceReward:
        """A trained model as a utility."""
        raise NotImplementedError

    def _prepare_copy(self, model: nn.Module) -> None:
        """What the trainer does to a model before it trains it, for a further copy."""

    # ---- the types ---------------------------------------------------------------------------------------------------

    def _adopt(self, count: int, adapters: int | None) -> None:
        """Put the types in the place of the trainer's one model."""
        trainer: Any = self
        distributed = library("accelerate", "hf").DistributedType
        if trainer.accelerator.distributed_type in (distributed.FSDP, distributed.DEEPSPEED):
            raise ArgumentError(
                f"{type(self).__name__}: every process holds all types (DDP); FSDP and DeepSpeed do not fit"
            )
        one = trainer.model
        self._keep(one)
        if is_peft(one):
            made: Types = PeftTypes(one, count, self._score)
        else:
            made = Types.of(one, count, adapters, trainer.args.seed, self._score)
            for model in made.models:
                self._prepare_copy(model)
        trainer.model = trainer.model_wrapped = made
        trainer.train_dataset = self.columns.coded(trainer.train_dataset)
        if trainer.eval_dataset is not None:
            held, number = trainer.eval_dataset, self.columns.numbered
            trainer.eval_dataset = {k: number(v) for k, v in held.items()} if isinstance(held, dict) else number(held)
        trainer.data_collator = self.columns.collator(trainer.data_collator)
        self.annotators = self.columns.annotators
        self.weights = np.full(count, 1 / count)
        self.responsibilities = np.full((len(self.annotators), count), 1 / count)
        self.log_likelihoods = []
        self._gamma: torch.Tensor | None = None
        self._held_since = -1
        self._loader: Any = None

    @property
    def policies(self) -> list[LogPolicy | SequenceReward]:
        """The types' trained models: ``an.LogPolicy`` (of rewards, ``an.SequenceReward``), on the CPU."""
        trainer: Any = self
        types: Types = trainer.accelerator.unwrap_model(trainer.model)
        return [self._utility(types.plain(k).to("cpu")) for k in range(len(self.weights))]

    @property
    def population(self) -> Mixture:
        """The types as a population with the weights found, for ``an.compare``, ``an.identify`` and ``an.simulate``."""
        rule = self._rule()
        return Mixture([Annotator(one, rule) for one in self.policies], fixed(self.weights))

    # ---- EM ----------------------------------------------------------------------------------------------------------

    def e_step(self, temperature: float = 1.0) -> None:
        """A pass over all rows without gradients, divided over the processes: new responsibilities and weights."""
        trainer: Any = self
        types: Types = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        was_training = types.training
        types.eval()
        each = torch.zeros((len(self.weights), len(self.annotators)), dtype=torch.float64)
        with torch.no_grad(), trainer.accelerator.autocast():
            for inputs in self._all_rows():
                code, loss = self._losses(types, inputs)
                code, loss = trainer.accelerator.gather_for_metrics((code, loss.T.contiguous()))
                each.index_add_(1, code.cpu(), loss.T.double().cpu())
        types.train(was_training)
        joint = torch.as_tensor(self.weights).log()[:, None] - each
        value = float(torch.logsumexp(joint, 0).sum())
        if not np.isfinite(value):
            raise TrainingError(
                f"{type(self).__name__}: the log-likelihood is {value} at step {trainer.state.global_step}; lower learning_rate"
            )
        self.log_likelihoods.append(value)
        log_gamma = torch.log_softmax(joint / temperature, 0)
        if self._gamma is None and trainer.state.global_step == 0 and _alike(each):
            log_gamma = first_responsibilities(len(self.weights), len(self.annotators), trainer.args.seed, 0)
        if self.em.hard:
            log_gamma = nn.functional.one_hot(log_gamma.argmax(0), len(log_gamma)).T.double().log()
        self._each = each
        self._hold(log_gamma.exp())

    def _hold(self, gamma: torch.Tensor) -> None:
        trainer: Any = self
        self._gamma, self._held_since = gamma.to(trainer.args.device), trainer.state.global_step
        # a type that nobody has keeps a weight above zero, or no answer could bring it back
        weight = gamma.mean(1).clamp_min(torch.finfo(torch.float64).tiny)
        self.weights, self.responsibilities = (weight / weight.sum()).numpy(), gamma.T.numpy()

    def _all_rows(self) -> Any:
        """All rows in batches, those of this process."""
        trainer: Any = self
        if self._loader is None:
            size = trainer.args.per_device_eval_batch_size
            loader = torch.utils.data.DataLoader(
                trainer.train_dataset, batch_size=size, collate_fn=trainer.data_collator, shuffle=False
            )
            self._loader = trainer.accelerator.prepare_data_loader(loader, device_placement=True)
        return self._loader

    def _losses(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Numbers of the rows' annotators (``None`` where they have none), and each type's loss ``(types, rows)``."""
        inputs = dict(inputs)
        code, margin, soft = self.columns.taken(inputs)
        return code, row_losses(self._gaps(model(**self._asked(inputs)), inputs), margin, soft)

    def _asked(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the models read."""
        return inputs

    def _set_signature_columns_if_needed(self) -> None:
        trainer: Any = self
        parent: Any = super()
        parent._set_signature_columns_if_needed()
        trainer._signature_columns += [one for one in (CODE, MARGIN, SOFT) if one not in trainer._signature_columns]

    # ---- the trainer's loop ------------------------------------------------------------------------------------------

    def training_step(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """An E-step where one is due, then the trainer's step."""
        trainer: Any = self
        step = trainer.state.global_step
        if self._gamma is None or (step % self.em.e_step_every == 0 and self._held_since != step):
            settings = dataclasses.replace(self.em, steps=max(trainer.state.max_steps, 1))
            self.e_step(settings.temperature_at(step))
        parent: Any = super()
        return parent.training_step(model, inputs, num_items_in_batch)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, Outputs]:
        """Mean over rows of ``sum_k gamma_ik loss_k``; in evaluation of minus the log of the row's probability."""
        trainer: Any = self
        code, each = self._losses(model, inputs)
        mode = "train" if model.training else "eval"
        if model.training and self._gamma is not None and code is not None:
            total = (self._gamma[:, code].to(each.dtype) * each).sum(0)
        else:
            log_weight = torch.as_tensor(self.weights, dtype=each.dtype, device=each.device).log()
            total = -torch.logsumexp(log_weight[:, None] - each, 0)
        loss = total.mean()
        for k, weight in enumerate(self.weights):
            trainer._metrics[mode][f"types/{k}"].append(float(weight))
        if self.log_likelihoods:
            trainer._metrics[mode]["log_likelihood"].append(self.log_likelihoods[-1])
        if not return_outputs:
            return loss
        return loss, Outputs(each.T)

    def get_eval_dataloader(self, eval_dataset: object = None) -> object:
        """The trainer's, of rows with their margins and soft labels."""
        parent: Any = super()
        known = eval_dataset is None or isinstance(eval_dataset, str)
        return parent.get_eval_dataloader(eval_dataset if known else self.columns.numbered(eval_dataset))

    def train(self, *arguments: object, **keywords: object) -> object:
        """The trainer's ``train``, and an E-step after it."""
        parent: Any = super()
        done = parent.train(*arguments, **keywords)
        self.e_step()
        if not self.em.hard:  # those of the weights that are reported, as a fit's are
            joint = torch.as_tensor(self.weights).log()[:, None] - self._each
            self.responsibilities = torch.softmax(joint, 0).T.numpy()
        return done

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Every type to a folder of its own, ``type_0``, ...: ``from_pretrained`` reads them."""
        trainer: Any = self
        folder = trainer.args.output_dir if output_dir is None else output_dir
        if not trainer.args.should_save:
            return
        os.makedirs(folder, exist_ok=True)
        if _internal_call:  # a checkpoint: what is needed to go on
            types: Types = trainer.accelerator.unwrap_model(trainer.model)
            save_object(
                {"free": types.free_state(), "gamma": self._gamma, "annotators": self.annotators},
                os.path.join(folder, STATE),
            )
            return
        for k, one in enumerate(self.policies):
            own: Any = one.model
            own.save_pretrained(os.path.join(folder, f"type_{k}"))
            if trainer.processing_class is not None:
                trainer.processing_class.save_pretrained(os.path.join(folder, f"type_{k}"))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        trainer: Any = self
        path = os.path.join(resume_from_checkpoint, STATE)
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}); give a checkpoint of this trainer") from None
        types: Any = trainer.accelerator.unwrap_model(trainer.model)
        if state["annotators"] != self.annotators or state["free"].keys() != types.free_state().keys():
            raise ArgumentError(f"{path} belongs to another run; give a checkpoint of these rows and as many types")
        types.load_state_dict(state["free"], strict=False)
        if state["gamma"] is not None:
            self._hold(state["gamma"].double())

    def _load_best_model(self) -> None:
        trainer: Any = self
        self._load_from_checkpoint(trainer.state.best_model_checkpoint)


class Outputs(dict[str, torch.Tensor]):
    """What a trainer reads of a pass in evaluation: one asks for the attribute, the other for the entries."""

    def __init__(self, logits: torch.Tensor):
        super().__init__(logits=logits)
        self.logits = logits


def _settings(who: str, em: EM) -> EM:
    if not isinstance(em, EM):
        raise ArgumentError(f"{who}(em={told(em)}): an.EM(e_step_every=...)")
    default = EM()
    for one in dataclasses.fields(em):
        if one.name not in READ and getattr(em, one.name) != getattr(default, one.name):
            raise ArgumentError(
                f"{who}(em=EM({one.name}=...)): that is said to the trainer's args; here: {', '.join(READ)}"
            )
    return em


def _alike(each: torch.Tensor) -> bool:
    """Whether several types give all answers the same probabilities: they begin alike."""
    gap = (each.amax(0) - each.amin(0)).amax()
    return len(each) > 1 and bool(gap <= 1e-6 * (1 + each.abs().amax()))


def is_peft(model: nn.Module) -> bool:
    """Whether a model is one of ``peft``, which it then has imported."""
    peft = sys.modules.get("peft")
    return peft is not None and isinstance(model, peft.PeftModel)
