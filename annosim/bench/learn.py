"""``annosim bench learn``: steps of DPO and of a reward model against a plain torch loop and TRL; replicates at once.

The language model is tiny and GPT-2-like (2 layers, width 128), with 16 pairs of 64 tokens a step (16 of them the
prompt), in one process. Each run takes as many steps over fresh pairs, reference log-probabilities included: TRL and
the plain loop evaluate the reference at every step, annosim once per item before the first.
"""

from __future__ import annotations

import copy
import importlib.util
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from annosim.bench import trl_trainers
from annosim.bench.measure import Benchmark, Implementation, Options
from annosim.bench.trl_trainers import LENGTH, PAIRS, PROMPT, VOCABULARY
from annosim.data.preferences import PreferenceData
from annosim.designs.design import Design
from annosim.items import Items
from annosim.learning.fitting import fit
from annosim.learning.objectives import NLL
from annosim.learning.solvers.settings import Adam
from annosim.learning.training.fast_layers import faster
from annosim.learning.training.run import TrainingRun
from annosim.populations.annotator import Annotator
from annosim.rules.luce import PBDE, Luce
from annosim.simulation.draws import simulate
from annosim.utilities.language_models import LogPolicy, SequenceReward
from annosim.utilities.linear import Linear
from annosim.utilities.networks import Network

__all__ = ["benchmarks"]

BETA, REPLICATES = 0.1, 64


def benchmarks(options: Options) -> list[Benchmark]:
    """The comparisons of this file."""
    steps = max(2, int(10 * options.size))
    lacking = [name for name in ("transformers", "trl", "datasets") if importlib.util.find_spec(name) is None]
    if lacking:
        why = f"pip install annosim[hf] ({', '.join(lacking)} missing)"
        language = [Benchmark("DPO, tiny GPT-2", "steps", [Implementation("annosim", lambda: None, steps, why)])]
    else:
        language = [_dpo(steps, options.device), _reward(steps, options.device)]
    few = max(1, int(REPLICATES * min(1.0, options.size)))
    return [*language, *(_replicates(batch, few, steps, options.device) for batch in (64, 512))]


# ---- language models ----------------------------------------------------------------------------------------------


def _model(labels: int = 0) -> Any:
    from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=2 * LENGTH,
        n_embd=128,
        n_layer=2,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=0,
        num_labels=max(labels, 1),
    )
    with torch.random.fork_rng():  # transformers initialises from the global generator: give it back as it was
        torch.default_generator.manual_seed(0)
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


def _dpo(steps: int, device: str) -> Benchmark:
    base = _model()
    implementations = _ours(lambda: _policy(base), steps, device)
    implementations.append(Implementation("plain loop", lambda: _plain_dpo(base, _tokens(steps), device), steps))
    trl = trl_trainers.trl_dpo(base, _tokens(steps), steps, BETA, device)
    implementations.append(Implementation("TRL DPOTrainer", trl, steps))
    title = "DPO, 2 layers, width 128, 16 pairs of 64 tokens a step"
    return Benchmark(title, "steps", implementations, {"TRL DPOTrainer": 1.8, "plain loop": 1.0})


def _reward(steps: int, device: str) -> Benchmark:
    base = _model(labels=1)
    implementations = _ours(lambda: Annotator(SequenceReward(copy.deepcopy(base)), Luce()), steps, device)
    implementations.append(Implementation("plain loop", lambda: _plain_reward(base, _tokens(steps), device), steps))
    trl = trl_trainers.trl_reward(base, _tokens(steps), steps, device)
    implementations.append(Implementation("TRL RewardTrainer", trl, steps))
    return Benchmark(
        "reward model, the same size", "steps", implementations, {"TRL RewardTrainer": 1.3, "plain loop": 1.0}
    )


def _policy(base: Any) -> Annotator:
    return Annotator(LogPolicy(copy.deepcopy(base)), PBDE.dpo(BETA, LogPolicy(base)))


def _ours(model: Callable[[], Annotator], steps: int, device: str) -> list[Implementation]:
    """``fit`` as users call it, and the same steps compiled (compilation is the uncounted first run)."""
    data = _data(steps)

    def ours() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit(model(), data, solver=Adam(steps=steps, lr=1e-4, batch=PAIRS, final=False), device=device)

    compiled = _Steps(lambda: _run(model(), data, PAIRS, device, True), steps, model())
    return [
        Implementation("annosim", ours, steps),
        Implementation("annosim, compile=True", compiled, steps, _no_compiler(device)),
    ]


def _no_compiler(device: str) -> str:
    """Why nothing can be compiled here; empty when it can."""
    able = device != "cpu" or any(shutil.which(name) for name in ("c++", "g++", "clang++"))
    return "" if able else "no C++ compiler: install g++ or clang++"


def _run(model: Annotator, data: PreferenceData, batch: int, device: str, compiled: bool) -> TrainingRun:
    solver = Adam(steps=10**6, lr=1e-4, batch=batch, compile=compiled, tolerance=0.0, progress=False)
    return TrainingRun(model, data, NLL(), None, solver, 1, 0, device)


class _Steps:
    """Steps of runs that were set up before (at the first call), the reference's passes over the items included."""

    def __init__(self, make: Callable[[], TrainingRun], steps: int, model: Annotator | None = None):
        self.make, self.steps, self.model = make, steps, model
        self.run: TrainingRun | None = None

    def __call__(self) -> None:
        self.run = self.run or self.make()
        rule = None if self.model is None else self.model.rule
        if isinstance(rule, PBDE):
            items = self.run.model.items
            with torch.no_grad():
                faster(copy.deepcopy(rule).to(self.run.device), self.run.device).coefficients(items)
        for _ in range(self.steps):
            self.run.one_step()
            self.run.step += 1


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


# ---- replicates ---------------------------------------------------------------------------------------------------


def _replicates(batch: int, replicates: int, steps: int, device: str) -> Benchmark:
    """Perceptrons on 1000 items of 8 features, each trained on data of its own: at once, and one after another."""
    items = Items.normal(1000, dim=8, seed=0)
    truth = Annotator(Linear(np.linspace(-1, 1, 8)), Luce())
    data = simulate(truth, Design(items, annotators=4 * batch), seed=0, replicates=replicates)
    model = Annotator(Network([64, 64], dim=8), Luce())
    units = steps * replicates
    alone = [_Steps(partial(_run, model, data[r], batch, device, False), steps) for r in range(replicates)]

    def one_after_another() -> None:
        for one in alone:
            one()

    return Benchmark(
        f"{replicates} perceptrons (64, 64), batches of {batch} pairs",
        "network steps",
        [
            Implementation("annosim, at once", _Steps(lambda: _run(model, data, batch, device, False), steps), units),
            Implementation(
                "at once, compile=True",
                _Steps(lambda: _run(model, data, batch, device, True), steps),
                units,
                _no_compiler(device),
            ),
            Implementation("one after another", one_after_another, units),
        ],
        {"one after another": 8.0 if batch == 64 else 2.6},
    )
