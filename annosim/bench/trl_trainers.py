"""TRL's trainers on the pairs of ``annosim bench learn``, set up as a user would, with its logging and saving off."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

__all__ = ["trl_dpo", "trl_reward"]

PAIRS, LENGTH, PROMPT, VOCABULARY = 16, 64, 16, 512


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<eos>": 1, "<unk>": 2} | {f"w{i}": i for i in range(3, VOCABULARY)}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def _records(tokens: torch.Tensor, prompt: bool) -> Any:
    from datasets import Dataset

    text = lambda ids: " ".join(f"w{i}" for i in ids.tolist())  # noqa: E731
    rows = []
    for chosen, rejected in tokens:
        if prompt:
            rows.append(
                {
                    "prompt": text(chosen[:PROMPT]),
                    "chosen": text(chosen[PROMPT:-1]),
                    "rejected": text(rejected[PROMPT:-1]),
                }
            )
        else:
            rows.append({"chosen": text(chosen[:-1]), "rejected": text(rejected[:-1])})
    return Dataset.from_list(rows)


_SETTINGS: dict[str, Any] = {
    "per_device_train_batch_size": PAIRS,
    "report_to": [],
    "save_strategy": "no",
    "logging_strategy": "no",
    "bf16": False,
    "disable_tqdm": True,
    "learning_rate": 1e-4,
    "gradient_checkpointing": False,
    "dataloader_pin_memory": False,
}


def trl_dpo(base: Any, tokens: torch.Tensor, steps: int, beta: float, device: str) -> Callable[[], None]:
    """``DPOTrainer.train`` of a copy of ``base``, whose start is the reference, on ``(pairs, 2, length)`` tokens."""
    import trl

    with _silence():
        options = trl.DPOConfig(tempfile.mkdtemp(), beta=beta, max_steps=steps, use_cpu=device == "cpu", **_SETTINGS)
        data, words = _records(tokens, prompt=True), _tokenizer()
        models = copy.deepcopy(base), copy.deepcopy(base)
        trainer = trl.DPOTrainer(*models, options, train_dataset=data, processing_class=words)
    return lambda: _train(trainer)


def trl_reward(base: Any, tokens: torch.Tensor, steps: int, device: str) -> Callable[[], None]:
    """``RewardTrainer.train`` of a copy of ``base``."""
    import trl

    with _silence():
        options = trl.RewardConfig(tempfile.mkdtemp(), max_steps=steps, use_cpu=device == "cpu", **_SETTINGS)
        data, words = _records(tokens, prompt=False), _tokenizer()
        trainer = trl.RewardTrainer(copy.deepcopy(base), options, train_dataset=data, processing_class=words)
    return lambda: _train(trainer)


def _train(trainer: Any) -> None:
    with _silence():
        trainer.train()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """No progress bars, no logs below errors, no warnings of other packages' next versions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
    finally:
        logging.disable(before)
