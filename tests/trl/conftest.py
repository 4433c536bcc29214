"""A tiny language model, its tokenizer, and rows of two kinds of people who disagree about everything."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

WORDS = ["<pad>", "<eos>", "<unk>", *"abcdefgh"]
SETTINGS = {
    "report_to": [],
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "save_strategy": "no",
    "logging_strategy": "no",
    "disable_tqdm": True,
    "disable_dropout": True,
    "dataloader_pin_memory": False,
}
PAIRS = [("a b", " a b c", " d e"), ("a b", " f", " g h"), ("c d e", " g h a b", " f f"), ("c d e", " a", " b c d")]


@pytest.fixture(scope="session")
def hf():
    names = ("datasets", "trl", "tokenizers", "transformers", "accelerate")
    return SimpleNamespace(**{name: pytest.importorskip(name, reason="pip install annosim[hf]") for name in names})


@pytest.fixture(scope="session")
def tokenizer(hf):
    """One token a word."""
    inner = hf.tokenizers.Tokenizer(
        hf.tokenizers.models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    split = hf.tokenizers.pre_tokenizers
    inner.pre_tokenizer = split.Sequence([split.WhitespaceSplit(), split.Split("<eos>", "isolated")])
    names = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    return hf.transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **names)


@pytest.fixture(scope="session")
def gpt2(hf):
    """Makes a GPT-2 of two layers and sixteen numbers a token; a classifier with so many labels."""

    def make(seed, labels=0):
        config = hf.transformers.GPT2Config(
            vocab_size=len(WORDS),
            n_positions=32,
            n_embd=16,
            n_layer=2,
            n_head=2,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            initializer_range=0.3,
            bos_token_id=1,
            eos_token_id=1,
            pad_token_id=0,
            num_labels=max(labels, 1),
        )
        kind = hf.transformers.GPT2ForSequenceClassification if labels else hf.transformers.GPT2LMHeadModel
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return kind(config)

    return make


@pytest.fixture(scope="session")
def still():
    """Settings of a configuration of TRL: on the CPU, nothing dropped out, written or shown."""
    return dict(SETTINGS)


@pytest.fixture(scope="session")
def records():
    """Four pairs each; the first half of six annotators chooses the one, the second half the other."""
    made = []
    for i in range(6):
        for prompt, one, other in PAIRS:
            chosen, rejected = (one, other) if i < 3 else (other, one)
            made.append({"prompt": prompt, "chosen": chosen, "rejected": rejected, "annotator": f"w{i}"})
    return made


@pytest.fixture
def settings(tmp_path):
    """Settings of a configuration of TRL: everybody's answers in one batch, ten steps, no clipping."""

    def make(**changes):
        own = {"per_device_train_batch_size": 24, "max_steps": 10, "learning_rate": 1e-2, "max_grad_norm": 0.0}
        return {"output_dir": str(tmp_path), "lr_scheduler_type": "cosine", **SETTINGS, **own, **changes}

    return make
