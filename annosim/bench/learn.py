"""``annosim bench learn``: steps of DPO and of a reward model, by annosim, a plain torch loop, and TRL.

The same tiny GPT-2-style model (2 layers, width 128) and the same 16 pairs of 64 tokens a step, in one process. Each
run takes as many steps over fresh pairs, reference log-probabilities included: TRL and the plain loop evaluate the
reference at every step, annosim once per item before the first.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import logging
import tempfile
from typing import Any

import numpy as np
import torch

from annosim.bench.measure import Contender, Contest, Options
from annosim.data.preferences import PreferenceData
from annosim.items import Items
from annosim.learning.fit import fit
from annosim.networks import LogPolicy, SequenceReward
from annosim.populations import Annotator
from annosim.rules.luce import PBDE, Luce

__all__ = ["contests"]

PAIRS, LENGTH, PROMPT, VOCABULARY, BETA = 16, 64, 16, 512, 0.1


def contests(options: Options) -> list[Contest]:
    """The contests of this benchmark."""
    steps = max(2, int(10 * options.size))
    lacking = [name for name in ("transformers", "trl", "datasets") if importlib.util.find_spec(name) is None]
    if lacking:
        why = f"pip install annosim[hf] ({', '.join(lacking)} missing)"
        return [Contest("DPO, tiny GPT-2", "steps", [Contender("annosim", lambda: None, steps, why)])]
    return [_dpo(steps, options.device), _reward(steps, options.device)]


def _model(labels: int = 0) -> Any:
    from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=2 * LENGTH, n_embd=128, n_layer=2, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, bos_token_id=1, eos_token_id=1, pad_token_id=0, num_labels=max(labels, 1),
    )  # fmt: skip
    with torch.random.fork_rng():  # transformers initialises from the global generator: give it back as it was
        torch.random.default_generator.manual_seed(0)
        return GPT2ForSequenceClassification(config) if labels else GPT2LMHeadModel(config)


def _tokens(steps: int) -> torch.Tensor:
    """``(pairs, 2, LENGTH)`` ids: the same prompt on both sides, then the responses."""
    rng = np.random.default_rng(0)
    ids = rng.integers(3, VOCABULARY, (PAIRS * steps, 2, LENGTH))
    ids[:, 1, :PROMPT] = ids[:, 0, :PROMPT]
    return torch.as_tensor(ids)


def _data(steps: int) -> PreferenceData:
    ids = _tokens(steps).reshape(-1, LENGTH)
    items = Items(tokens=ids.numpy(), columns={"prompt_length": np.full(len(ids), PROMPT)})
    menu = np.arange(len(ids)).reshape(-1, 2)
    return PreferenceData(items, menu, np.zeros(len(menu)))


def _dpo(steps: int, device: str) -> Contest:
    data, base = _data(steps), _model()

    def ours() -> Any:
        rule = PBDE.dpo(BETA, LogPolicy(base))
        return _quiet(lambda: fit(
            Annotator(LogPolicy(copy.deepcopy(base)), rule), data, steps=steps, lr=1e-4, batch=PAIRS,
            device=device, final=False,
        ))  # fmt: skip

    plain = Contender("plain loop", lambda: _plain_dpo(base, _tokens(steps), device), steps)
    trl = Contender("TRL DPOTrainer", _trl_dpo(base, _tokens(steps), steps, device), steps)
    return Contest("DPO, 2 layers, width 128, 16 pairs of 64 tokens a step", "steps",
                   [Contender("annosim", ours, steps), plain, trl],
                   {"TRL DPOTrainer": 1.8, "plain loop": 1.0})  # fmt: skip


def _reward(steps: int, device: str) -> Contest:
    data, base = _data(steps), _model(labels=1)

    def ours() -> Any:
        return _quiet(lambda: fit(
            Annotator(SequenceReward(copy.deepcopy(base)), Luce()), data, steps=steps, lr=1e-4, batch=PAIRS,
            device=device, final=False,
        ))  # fmt: skip

    plain = Contender("plain loop", lambda: _plain_reward(base, _tokens(steps), device), steps)
    trl = Contender("TRL RewardTrainer", _trl_reward(base, _tokens(steps), steps, device), steps)
    return Contest("reward model, the same size", "steps",
                   [Contender("annosim", ours, steps), plain, trl],
                   {"TRL RewardTrainer": 1.3, "plain loop": 1.0})  # fmt: skip


def _quiet(run: Any) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run()


def _plain_dpo(base: Any, tokens: torch.Tensor, device: str) -> None:
    model, reference = copy.deepcopy(base).to(device), copy.deepcopy(base).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def score(lm: Any, ids: torch.Tensor) -> torch.Tensor:
        log_p = lm(input_ids=ids[:, :-1]).logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        return log_p[:, PROMPT - 1 :].sum(-1)

    for part in tokens.split(PAIRS):
        ids = part.transpose(0, 1).reshape(-1, LENGTH).to(device)
        with torch.no_grad():
            anchor = score(reference, ids)
        chosen, rejected = (score(model, ids) - anchor).chunk(2)
        loss = -torch.nn.functional.logsigmoid(BETA * (chosen - rejected)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _plain_reward(base: Any, tokens: torch.Tensor, device: str) -> None:
    model = copy.deepcopy(base).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    for part in tokens.split(PAIRS):
        ids = part.transpose(0, 1).reshape(-1, LENGTH).to(device)
        chosen, rejected = model(input_ids=ids).logits[:, 0].chunk(2)
        loss = -torch.nn.functional.logsigmoid(chosen - rejected).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


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
    "per_device_train_batch_size": PAIRS, "report_to": [], "save_strategy": "no", "logging_strategy": "no",
    "bf16": False,
    "disable_tqdm": True, "learning_rate": 1e-4, "gradient_checkpointing": False, "dataloader_pin_memory": False,
}  # fmt: skip


def _trl_dpo(base: Any, tokens: torch.Tensor, steps: int, device: str) -> Any:
    import trl

    logging.disable(logging.WARNING)
    options = trl.DPOConfig(
        output_dir=tempfile.mkdtemp(), beta=BETA, max_steps=steps, use_cpu=device == "cpu", **_SETTINGS
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        data, words = _records(tokens, prompt=True), _tokenizer()
        trainers = [
            trl.DPOTrainer(
                copy.deepcopy(base), copy.deepcopy(base), options, train_dataset=data, processing_class=words
            )
        ]
    return lambda: _silently(trainers[0])


def _trl_reward(base: Any, tokens: torch.Tensor, steps: int, device: str) -> Any:
    import trl

    options = trl.RewardConfig(output_dir=tempfile.mkdtemp(), max_steps=steps, use_cpu=device == "cpu", **_SETTINGS)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        data, words = _records(tokens, prompt=False), _tokenizer()
        trainer = trl.RewardTrainer(copy.deepcopy(base), options, train_dataset=data, processing_class=words)
    return lambda: _silently(trainer)


def _silently(trainer: Any) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        trainer.train()
