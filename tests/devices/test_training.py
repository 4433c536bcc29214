"""Every learner on a pretend device: the CPU's numbers, and results that come back to the CPU."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import annosim as an
from annosim.learning.solvers.settings import Adam
from annosim.learning.training.run import TrainingRun, train

STEPS = {"steps": 5, "lr": 1e-2}
GRID = an.Items.grid(-3.0, 3.0, 21)
POINTS = an.Items.normal(9, 2, seed=3)


def simulated(items, annotators=24, questions=1, **design):
    both = an.Mixture([an.Annotator(an.Linear(np.eye(items.dim)[0] * s), an.Luce()) for s in (2.0, -2.0)])
    return an.simulate(both, an.Design(items, annotators=annotators, questions=questions, **design), seed=0)


def net(seed=0, dim=1, **kwargs):
    return an.Network([5], dim=dim, seed=seed, dtype=torch.float64, **kwargs)


def density(seed=0, dim=1):
    return an.LogDensity(net(seed, dim))


def reference():
    return an.LogDensity(lambda x: -(x[:, 0] ** 2))


def fitted(model, data, device, settings=an.Adam, **options):
    """A fit; options of the solver are fields of its settings, the others arguments of the fit."""
    own = {name: options.pop(name) for name in list(options) if name in settings.__dataclass_fields__}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return an.fit(model(), data, device=device, solver=settings(**STEPS | own), **options)


def agree(far, model, data, tolerance=1e-6, **options):
    """The same run on both devices; returns the far one's result."""
    here = fitted(model, data, "cpu", **options)
    with far():
        there = fitted(model, data, "pretend", **options)
    same(here, there, data.items, tolerance)
    return there


def same(here, there, items, tolerance=1e-6):
    one, other = (found.training for found in (here, there))
    assert other.steps == one.steps and other.stopped_by == one.stopped_by
    assert (one.log.losses() - other.log.losses()).abs().max() < tolerance
    assert (one.loss - other.loss).abs().max() < tolerance
    assert (one.gradient_norm - other.gradient_norm).abs().max() < 100 * tolerance
    for a, b in zip(one.populations, other.populations, strict=True):
        assert all(part.device.type == "cpu" for part in (*b.parameters(), *b.buffers()))
        for u, v in zip(utilities(a, items), utilities(b, items), strict=True):
            assert (u - v).abs().max() < 100 * tolerance
    for tensor in (other.loss, other.gradient_norm, other.converged, other.last_change, other.log.losses()):
        assert tensor.device.type == "cpu"
    assert there.objective == pytest.approx(here.objective, abs=tolerance)


def utilities(population, items):
    """Each type's, centred: Adam makes steps of rounding where a parameter (a network's last bias) changes nothing."""
    with torch.no_grad():
        values = [leaf.utility(items) for leaf in population.components()]
    return [u - u.mean(0) for u in values]


def annotator(rule=an.Luce):
    return lambda: an.Annotator(net(), rule())


def dpo(reference=reference, objective=None):
    return lambda: an.Annotator(density(), an.PBDE.dpo(1.0, reference()))


CASES = {
    "reward": (annotator(), {}),
    "minibatches": (annotator(), {"batch": 7}),
    "accumulate": (annotator(), {"batch": 7, "accumulate": 2}),
    "weight decay and warm-up": (annotator(), {"weight_decay": 0.1, "warmup": 3}),
    "starts": (annotator(), {"starts": 3}),
    "starts, minibatches": (annotator(), {"starts": 3, "batch": 7}),
    "held out": (annotator(), {"held_out": 0.3, "evaluate_every": 2, "patience": 1}),
    "no final pass": (annotator(), {"final": False}),
    "at rest": (annotator(), {"tolerance": 1.0, "steps": 120}),
    "lapse to estimate": (lambda: an.Annotator(net(), an.Lapse(an.Luce(), an.free(0.1))), {}),
    "temperature to estimate": (lambda: an.Annotator(net(), an.Luce(an.free(2.0))), {}),
    "DPO": (dpo(), {}),
    "DPO with a network as reference": (dpo(lambda: density(seed=5)), {}),
    "DPO with a linear reference": (dpo(lambda: an.LogDensity(an.Linear([0.3]))), {}),
    "DPO with a mixture as reference": (
        dpo(lambda: an.utilities.DensityMixture([an.utilities.truncated_normal(m, 1.0) for m in (-1.0, 1.0)])),
        {},
    ),
    "geometric": (lambda: an.Annotator(density(), an.PBDE.geometric(0.5, reference())), {}),
    "IPO": (dpo(), {"objective": an.objectives.IPO(0.3)}),
    "SLiC and forward KL": (
        dpo(),
        {"objective": an.objectives.SLiC(1.0), "regulariser": an.objectives.ForwardKL(reference(), 0.5)},
    ),
    "forward KL to a network": (
        dpo(),
        {"objective": an.objectives.SLiC(1.0), "regulariser": an.objectives.ForwardKL(density(3), 0.5)},
    ),
    "forward KL to a linear density": (
        dpo(),
        {
            "objective": an.objectives.SLiC(1.0),
            "regulariser": an.objectives.ForwardKL(an.LogDensity(an.Linear([0.3])), 0.5),
        },
    ),
    "forward KL to a mixture of densities": (
        dpo(),
        {
            "regulariser": an.objectives.ForwardKL(
                an.utilities.DensityMixture([an.utilities.truncated_normal(m, 1.0) for m in (-1.0, 1.0)]), 0.5
            )
        },
    ),
    "forward KL to a vector": (dpo(), {"regulariser": an.objectives.ForwardKL(np.full(21, 1 / 6.0), 0.5)}),
    "forward KL, draws": (
        dpo(),
        {"objective": an.objectives.SLiC(1.0), "regulariser": an.objectives.ForwardKL(reference(), 0.5, draws=9)},
    ),
    "forward KL, shown": (dpo(), {"regulariser": an.objectives.ForwardKL(reference(), 0.5, shown=True), "batch": 7}),
    "label smoothing": (annotator(), {"objective": an.objectives.NLL(label_smoothing=0.1)}),
    "two types": (lambda: an.Mixture([an.Annotator(net(k), an.Luce()) for k in range(2)]), {}),
    "two types, starts, minibatches": (
        lambda: an.Mixture([an.Annotator(net(k), an.Luce()) for k in range(2)]),
        {"starts": 2, "batch": 7},
    ),
    "density mixture": (
        lambda: an.Annotator(an.utilities.DensityMixture([density(0), density(1)]), an.PBDE.dpo(1.0, reference())),
        {},
    ),
    "ensemble": (lambda: an.Annotator(an.utilities.Ensemble([net(0), net(1)]), an.Thurstone()), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_gives_the_cpus_numbers(name, far):
    model, options = CASES[name]
    agree(far, model, simulated(GRID), **options)


COLUMNS = {
    "margin": {"objective": an.objectives.Margin("signed", "judged", 0.5)},
    "soft labels": {"objective": an.objectives.SoftLabels("judged"), "batch": 7},
}


@pytest.mark.parametrize("name", COLUMNS)
def test_objectives_that_read_columns(name, far):
    data = simulated(GRID)
    data = data.with_(columns={"judged": np.linspace(0.0, 1.0, data.rows)})
    agree(far, annotator(), data, **COLUMNS[name])


DESIGNS = {
    "menus of three": {"menu_size": 3, "questions": 2},
    "rankings": {"menu_size": 3, "feedback": "ranking", "questions": 2},
    "best-worst": {"menu_size": 4, "feedback": "best-worst", "questions": 2},
}


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("batch", [None, 7])
def test_other_answers(name, batch, far):
    agree(far, lambda: an.Annotator(net(dim=2), an.Luce()), simulated(POINTS, **DESIGNS[name]), batch=batch)


HEADS = {
    "mean and variance": lambda heads: an.Annotator(heads.column(0), an.rules.MeanVariance(heads.column(1))),
    "categorical": lambda heads: an.Annotator(an.utilities.ZeroUtility(), an.rules.CategoricalReward(heads)),
    "spreads in a table": lambda heads: an.Annotator(heads.column(0), an.rules.MeanVariance(an.free(np.zeros(9)))),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("options", [{}, {"batch": 7, "starts": 2}])
def test_heads(name, options, far):
    model = lambda: HEADS[name](an.utilities.Heads([4], dim=2, outputs=3, dtype=torch.float64))  # noqa: E731
    agree(far, model, simulated(POINTS), **options)


@pytest.mark.parametrize("options", [{}, {"batch": 7, "starts": 2}])
@pytest.mark.parametrize("plain", [True, False])
def test_replicates(options, plain, far):
    truth, design = an.Annotator(an.Linear([1.0, 0.0]), an.Luce()), an.Design(POINTS, annotators=20)
    data = an.simulate(truth, design, seed=0, replicates=2)
    model = an.Annotator(net(dim=2), an.Luce() if plain else an.Lapse(an.Luce(), an.free(0.1)))
    here = train(model, data, solver=Adam(**STEPS, batch=options.get("batch")), starts=options.get("starts", 1))
    with far():
        there = fitted(lambda: model, data, "pretend", **options)
    for r in range(2):
        best = min(here.loss.reshape(2, -1)[r])
        assert there[r].objective == pytest.approx(float(best), abs=1e-6)
        assert all(p.device.type == "cpu" for p in there[r].population.parameters())


GATED = {
    "adam": {},
    "adam, minibatches of copies": {"batch": 7, "starts": 2},
    "EM": {"settings": an.EM, "e_step_every": 2},
    "EM, minibatches": {"settings": an.EM, "e_step_every": 2, "batch": 7},
}


@pytest.mark.parametrize("name", GATED)
def test_shares_that_depend_on_who_answers(name, far):
    who = np.c_[np.ones(24), np.linspace(-1.0, 1.0, 24)]
    model = lambda: an.Gated([an.Annotator(net(k, 2), an.Luce()) for k in range(2)], covariates=who)  # noqa: E731
    there = agree(far, model, simulated(POINTS, questions=2), **GATED[name])
    assert there.population.gate.device.type == "cpu"


EMS = {
    "adam": {},
    "minibatches": {"batch": 7},
    "line search": {"m_step": "line-search"},
    "starts": {"starts": 2, "temperature": 2.0},
    "pooled": {"warm_start": "pooled", "perturbation": 0.1},
    "hard": {"hard": True},
    "held out": {"held_out": 0.3, "evaluate_every": 2, "patience": 1},
}


def two(dim=2):
    return an.Mixture([an.Annotator(net(k, dim), an.Luce()) for k in range(2)])


@pytest.mark.parametrize("name", EMS)
def test_em_over_networks(name, far):
    there = agree(far, two, simulated(POINTS, questions=4), settings=an.EM, e_step_every=2, **EMS[name])
    record = there.em.trace
    assert record.log_likelihood.device.type == "cpu" and record.share.device.type == "cpu"
    assert torch.as_tensor(there.responsibilities).device.type == "cpu"


@pytest.mark.parametrize("kind", ["types begin alike", "a type runs empty"])
def test_em_random_first_responsibilities_and_refills(kind, far):
    one = net(0, 2)
    alike = lambda: an.Mixture([an.Annotator(copy.deepcopy(one), an.Luce()) for _ in range(2)])  # noqa: E731
    shares = [0.999, 0.001]
    empty = lambda: an.Mixture([an.Annotator(net(k, 2), an.Luce()) for k in range(2)], shares)  # noqa: E731
    model = alike if kind == "types begin alike" else empty
    agree(far, model, simulated(POINTS, questions=2), settings=an.EM, e_step_every=2)


@pytest.mark.parametrize("settings", [an.Adam, an.EM])
@pytest.mark.parametrize("back", [False, True])
def test_checkpoints_resume(settings, back, far, tmp_path, monkeypatch):
    """A run on the device that was killed goes on there, or on the CPU."""
    data, options = (
        simulated(POINTS, questions=3),
        {"settings": settings, "batch": 7, "held_out": 0.2, "evaluate_every": 2},
    )
    whole = fitted(two, data, "cpu", **options)
    options |= {"checkpoint": tmp_path / "run.pt", "checkpoint_every": 2}
    before = TrainingRun.one_step

    def killed(self):
        if self.step == 4:
            raise KeyboardInterrupt
        return before(self)

    with far():
        monkeypatch.setattr(TrainingRun, "one_step", killed)
        with pytest.raises(KeyboardInterrupt):
            fitted(two, data, "pretend", **options)
        monkeypatch.setattr(TrainingRun, "one_step", before)
        if not back:
            same(whole, fitted(two, data, "pretend", **options), data.items)
    if back:
        same(whole, fitted(two, data, "cpu", **options), data.items)


# ---- language models ------------------------------------------------------------------------------------------------


class Causal(nn.Module):
    """A causal model with memory: logits from the running mean of embeddings."""

    def __init__(self, seed=0, vocabulary=12, width=6):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.table = nn.Embedding(vocabulary, width, _weight=torch.randn(vocabulary, width, generator=generator))
        self.dense = nn.Linear(width, width)
        self.out = nn.Linear(width, vocabulary, bias=False)
        with torch.no_grad():
            self.dense.weight.copy_(torch.randn(width, width, generator=generator))
            self.dense.bias.zero_()
        self.out.weight = self.table.weight  # tied, as language models are

    def forward(self, ids):
        x = self.table(ids)
        count = torch.arange(1, ids.shape[1] + 1, device=ids.device)[:, None]
        return self.out(torch.tanh(self.dense(x.cumsum(1) / count)))


def sentences():
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 12, (10, 7))
    tokens[np.arange(7) >= rng.integers(4, 8, 10)[:, None]] = -1
    return an.Items(tokens=tokens, columns={"prompt_length": np.full(10, 2)})


def told(questions=3):
    u = an.Annotator(an.Tabular(np.linspace(-1.0, 1.0, 10)), an.Luce())
    return an.simulate(u, an.Design(sentences(), annotators=20, questions=questions), seed=0)


def gpt2(seed=0, labels=0):
    transformers = pytest.importorskip("transformers", reason="pip install annosim[hf]")
    shape = {"vocab_size": 12, "n_positions": 16, "n_embd": 8, "n_layer": 2, "n_head": 2, "num_labels": max(labels, 1)}
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "initializer_range": 0.3}
    config = transformers.GPT2Config(**shape, **still, bos_token_id=0, eos_token_id=0, pad_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        kind = transformers.GPT2ForSequenceClassification if labels else transformers.GPT2LMHeadModel
        return kind(config)


def policies(make, beta=0.5):
    return lambda: an.Annotator(an.LogPolicy(make(0)), an.PBDE.dpo(beta, an.LogPolicy(make(1))))


def adapted():
    lms = an.utilities.with_adapters(Causal(0), rank=2, copies=2)
    return an.Mixture([an.Annotator(an.LogPolicy(lm), an.PBDE.dpo(0.5, an.LogPolicy(Causal(0)))) for lm in lms])


LANGUAGE = {
    "DPO": (policies(Causal), {}),
    "DPO, minibatches": (policies(Causal), {"batch": 6}),
    "DPO, starts": (policies(Causal), {"batch": 6, "starts": 2}),
    "GPT-2": (policies(gpt2), {"batch": 6}),
    "GPT-2, accumulated": (policies(gpt2), {"batch": 6, "accumulate": 2}),
    "forward KL over what is shown": (
        policies(Causal),
        {"batch": 6, "regulariser": an.objectives.ForwardKL(an.LogPolicy(Causal(1)), 0.1, shown=True)},
    ),
    "per token": (lambda: an.Annotator(an.LogPolicy(Causal(0), per_token=True), an.Luce()), {"batch": 6}),
    "first token predicted": (lambda: an.Annotator(an.LogPolicy(Causal(0), begin=0), an.Luce()), {"batch": 6}),
    "EM over adapters": (adapted, {"settings": an.EM, "e_step_every": 2, "batch": 6}),
    "reward": (lambda: an.Annotator(an.SequenceReward(gpt2(0, labels=1)), an.Luce()), {"batch": 6}),
    "reward with a spread": (
        lambda: (lambda r: an.Annotator(r.column(0), an.rules.MeanVariance(r.column(1))))(
            an.SequenceReward(gpt2(0, labels=2), outputs=2)
        ),
        {"batch": 6},
    ),
}


HEAVY = {"GPT-2, accumulated", "reward with a spread"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in HEAVY)) for n in LANGUAGE])
def test_language_models(name, far):
    model, options = LANGUAGE[name]
    agree(far, model, told(), tolerance=2e-6, lr=1e-3, **options)


HALF = {
    "reward": (lambda: an.Annotator(an.Network([5], dim=1), an.Luce()), GRID, {}),
    "minibatches of copies": (lambda: an.Annotator(an.Network([5], dim=1), an.Luce()), GRID, {"batch": 7, "starts": 2}),
    "DPO": (lambda: an.Annotator(an.LogDensity(an.Network([5], dim=1)), an.PBDE.dpo(1.0, reference())), GRID, {}),
    "policy": (policies(Causal), sentences(), {"batch": 6}),
    "EM": (
        lambda: an.Mixture([an.Annotator(an.Network([5], dim=1, seed=k), an.Luce()) for k in range(2)]),
        GRID,
        {"settings": an.EM, "e_step_every": 2},
    ),
}


@pytest.mark.parametrize("name", HALF)
def test_half_precision_of_the_products_and_of_nothing_else(name, far):
    model, items, options = HALF[name]
    data = told() if items.tokens is not None else simulated(items, questions=2)
    options |= {"lr": 1e-3}
    exact = fitted(model, data, "cpu", **options).training.log.losses()
    here = fitted(model, data, "cpu", precision="bfloat16", **options).training.log.losses()
    with far():
        there = fitted(model, data, "pretend", precision="bfloat16", **options)
    found = there.training.log.losses()
    assert found.dtype == torch.float64 and torch.equal(found, found.float().double()) is False
    assert (found - exact).abs().max() > 1e-7  # it was half precision
    assert (found - here).abs().max() < 2e-2 * (1 + exact.abs().max())
    assert {p.dtype for p in there.population.parameters() if p.requires_grad} <= {torch.float32, torch.float64}


def test_a_trunk_on_the_device_gives_features_on_the_cpu(far):
    lm, items = nn.Sequential(nn.Embedding(12, 4), nn.Linear(4, 4)), sentences()
    here = an.utilities.last_hidden(lm, items)
    with far():
        there = an.utilities.last_hidden(copy.deepcopy(lm).to("pretend"), items)
    assert there.device.type == "cpu" and (here - there).abs().max() < 1e-6
