"""Networks that a scenario names: several heads, language models and reward models by path or name, ensembles.

A checkpoint is loaded once for a population, however many types begin at it; with ``adapters`` they share its numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from annosim.errors import ArgumentError, FileReadError, ScenarioError
from annosim.extras import library
from annosim.random import child_seed
from annosim.scenario.tables import build
from annosim.utilities.adapters import frozen_copy, with_adapters
from annosim.utilities.base import Utility
from annosim.utilities.heads import Heads
from annosim.utilities.language_models import LogPolicy, SequenceReward

__all__ = [
    "READS_TOKENS",
    "Checkpoint",
    "heads",
    "load_tokenizer",
    "log_policy",
    "names_in",
    "opened",
    "sequence_reward",
]

#: kinds of utilities that read tokens, each with a key ``model``
READS_TOKENS = ("log_policy", "sequence_reward")


class Checkpoint:
    """A model of ``transformers``, by the path of its folder or its name on the hub; loaded when it is needed, once.

    Args:
        name: as the scenario gives it; a path counts from the scenario's folder.
        folder: that folder.
    """

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, folder
        self._held: dict[int | None, nn.Module] = {}
        self._trunks: dict[int | None, nn.Module] = {}
        self._uses = 0

    def module(self, outputs: int | None, adapters: Any = None, seed: int = 0) -> nn.Module:
        """A model of one's own: a causal language model (``outputs=None``), or a classifier with so many outputs."""
        first = outputs not in self._held
        if first:
            self._held[outputs] = self._load(outputs, seed)
        whole = self._held[outputs]
        self._uses += 1
        if adapters is None:
            return whole if first else copy.deepcopy(whole)
        spec = {"rank": adapters} if isinstance(adapters, int) else adapters
        if not isinstance(spec, Mapping):
            raise ScenarioError(f"adapters: {adapters!r}; give a rank such as 8, or a table such as {{ rank = 8 }}")
        trunk = self._trunks.setdefault(outputs, frozen_copy(whole))
        own = child_seed(seed, f"adapters of use {self._uses - 1}")
        return build({"adapters": _adapters}, {"kind": "adapters", "seed": own, **spec}, "adapters", trunk)

    def _load(self, outputs: int | None, seed: int) -> nn.Module:
        transformers = library("transformers", "hf")
        where = located(self.name, self.folder)
        kind = "AutoModelForCausalLM" if outputs is None else "AutoModelForSequenceClassification"
        more = {} if outputs is None else {"num_labels": outputs}
        with torch.random.fork_rng(devices=[]):  # a reward head that the checkpoint lacks is drawn at an address
            torch.manual_seed(child_seed(seed, "reward head") % 2**63)
            try:
                loaded = getattr(transformers, kind).from_pretrained(where, **more)
            except (OSError, ValueError, ImportError) as error:
                raise FileReadError(f"model {self.name!r} cannot be loaded ({_line(error)})") from None
        return loaded.float()


def _adapters(
    trunk: nn.Module, rank: int = 8, layers: list[str] | None = None, scale: float = 1.0, seed: int = 0
) -> Any:
    return with_adapters(trunk, rank, layers=layers, scale=scale, seed=seed)


def located(name: str, folder: Path) -> str:
    """The folder of a model, or its name on the hub.

    Raises:
        FileReadError: it is written as a path, and there is no such folder.
    """
    if (folder / name).is_dir():
        return str(folder / name)
    if (folder / name).exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise FileReadError(f"model {name!r}: there is no such folder; give one with config.json and the weights")
    return name


def load_tokenizer(name: str, folder: Path) -> Any:
    """The tokenizer of a model.

    Raises:
        FileReadError: it cannot be loaded.
        MissingDependencyError: transformers is not installed.
    """
    try:
        return library("transformers", "hf").AutoTokenizer.from_pretrained(located(name, folder))
    except (OSError, ValueError, ImportError) as error:
        raise FileReadError(f"tokenizer {name!r} cannot be loaded ({_line(error)})") from None


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")


def opened(spec: Any, checkpoints: dict[str, Checkpoint], folder: Path) -> Any:
    """A table in which the names of models are checkpoints, each name one of them wherever it stands."""
    if isinstance(spec, list):
        return [opened(part, checkpoints, folder) for part in spec]
    if not isinstance(spec, dict):
        return spec
    out = {key: opened(value, checkpoints, folder) for key, value in spec.items()}
    if spec.get("kind") in READS_TOKENS and isinstance(spec.get("model"), str):
        out["model"] = checkpoints.setdefault(spec["model"], Checkpoint(spec["model"], folder))
    return out


def names_in(spec: Any) -> list[str]:
    """Names of the models in a table, in the order in which they stand.

    Example:
        >>> names_in({"types": [{"utility": {"kind": "log_policy", "model": "mine"}}]})
        ['mine']
    """
    if isinstance(spec, list):
        return [name for part in spec for name in names_in(part)]
    if not isinstance(spec, dict):
        return []
    own = [spec["model"]] if spec.get("kind") in READS_TOKENS and isinstance(spec.get("model"), str) else []
    return own + [name for part in spec.values() for name in names_in(part)]


# ---- constructors: keyword arguments are the keys of a table --------------------------------------------------------


def heads(widths: list[int], dim: int, outputs: int = 2, seed: int = 0, column: int | None = None) -> Utility:
    """A network with several outputs, or one of its columns."""
    return _column(Heads(widths, dim=dim, outputs=outputs, seed=seed), column)


def log_policy(
    model: Checkpoint,
    begin: int | None = None,
    batch: int = 32,
    per_token: bool = False,
    adapters: Any = None,
    seed: int = 0,
) -> LogPolicy:
    """A causal language model as a policy."""
    return LogPolicy(_checkpoint(model).module(None, adapters, seed), begin, batch, per_token)


def sequence_reward(
    model: Checkpoint,
    outputs: int = 1,
    pad: int | None = None,
    adapters: Any = None,
    seed: int = 0,
    column: int | None = None,
) -> Utility:
    """A sequence classifier as a reward; one beginning at a language model gets a head drawn at the seed."""
    return _column(SequenceReward(_checkpoint(model).module(outputs, adapters, seed), pad, outputs), column)


def _column(source: Any, number: int | None) -> Utility:
    return source if number is None else source.column(number)


def _checkpoint(model: Any) -> Checkpoint:
    if not isinstance(model, Checkpoint):
        raise ScenarioError(f"model: {model!r}; give the folder of a model of transformers, or its name on the hub")
    return model


def read_some(utility: Utility, items: Any) -> None:
    """See whether a utility can read these items: all of them, or of token sequences the first two.

    Raises:
        AnnosimError: what the utility says, or that it has several columns and none was named.
    """
    reads_tokens = any(isinstance(part, LogPolicy | SequenceReward) for part in utility.modules())
    if reads_tokens and items.tokens is None:
        raise ArgumentError(
            "the items have no tokens; leave the table [items] out, so that the data's own texts are taken, or give "
            "items.tokens"
        )
    some = items.subset(torch.arange(min(2, items.n))) if reads_tokens else items
    with torch.no_grad():
        shape = tuple(utility(some).shape)
    if shape != (some.n,):
        raise ArgumentError(f"{shape[-1]} outputs, and a utility is one number per item; say which with column = 0")
