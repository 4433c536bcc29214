"""Models that live on a device are trained there, wherever their references lie; what did not follow is named."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import annosim as an
from annosim.errors import DeviceError

GRID = an.Items.grid(-3.0, 3.0, 21)
STEPS = {"steps": 5, "lr": 1e-2}
ADAM = an.Adam(**STEPS)


@pytest.fixture(scope="module")
def data():
    return an.simulate(an.Annotator(an.Linear([1.0]), an.Luce()), an.Design(GRID, annotators=24, questions=2), seed=0)


def net(seed=0):
    return an.Network([5], dim=1, seed=seed, dtype=torch.float64)


def one():
    return an.Annotator(an.LogDensity(net()), an.PBDE.dpo(1.0, an.LogDensity(net(7))))


def two():
    return an.Mixture([an.Annotator(net(k), an.Luce()) for k in range(2)])


def alike():
    first = net()
    return an.Mixture([an.Annotator(copy.deepcopy(first), an.Luce()) for _ in range(2)])


MODELS = {
    "one": (one, {}),
    "restarts": (one, {"starts": 2, "solver": an.Adam(**STEPS, batch=9)}),
    "objective": (one, {"objective": an.objectives.SLiC(1.0)}),
    "mixture": (two, {}),
    "mixture that begins alike": (alike, {}),
    "EM": (two, {"solver": an.EM(**STEPS, e_step_every=2)}),
    "EM, warm": (two, {"solver": an.EM(**STEPS, warm_start="pooled", perturbation=0.1)}),
    "EM, redrawn": (two, {"solver": an.EM(**STEPS), "starts": 2}),
}


def fitted(model, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return an.fit(model, data, **{"solver": ADAM} | options)


@pytest.mark.parametrize("name", MODELS)
def test_without_a_device_a_model_is_trained_where_it_lives(name, data, far):
    model, options = MODELS[name]
    here = fitted(model(), data, **options)
    with far():
        given = model().to("pretend")
        there = fitted(given, data, **options)
        assert all(p.device.type == "pretend" for p in given.parameters())  # the user's own stays where it was
    assert here.training.settings["device"] == "cpu"
    assert there.training.settings["device"] == "pretend:0"
    assert there.objective == pytest.approx(here.objective, abs=1e-6)
    assert all(p.device.type == "cpu" for p in (*there.population.parameters(), *there.population.buffers()))


@pytest.mark.parametrize("where", ["cpu", "pretend"])
@pytest.mark.parametrize("draws", [None, 9])
def test_the_regularisers_reference_may_lie_anywhere(where, draws, data, far):
    penalty = lambda place: an.objectives.ForwardKL(an.LogDensity(net(3)).to(place), 0.5, draws=draws)  # noqa: E731
    here = fitted(one(), data, regulariser=penalty("cpu"))
    with far():
        there = fitted(one(), data, regulariser=penalty(where), device="pretend")
    assert there.objective == pytest.approx(here.objective, abs=1e-6)


def test_a_checkpoint_of_a_model_that_lives_on_the_device(data, far, tmp_path):
    solver = an.Adam(**STEPS, checkpoint=tmp_path / "run.pt")
    options = {"solver": solver, "regulariser": an.objectives.ForwardKL(an.LogDensity(net(3)), 0.5)}
    with far():
        first = fitted(one().to("pretend"), data, **options)
        again = fitted(one().to("pretend"), data, **options)
    assert again.objective == first.objective


def test_a_model_on_two_devices_must_be_told_where_to_go(data, far):
    with far():
        model = two()
        model.types[0].to("pretend")
        with pytest.raises(DeviceError, match="networks lie on cpu and pretend:0; say where to train, device="):
            an.fit(model, data, solver=ADAM)
        fitted(model, data, device="pretend")
        fitted(model, data, device="cpu")


class Tiny(nn.Sequential):
    """A language model without memory."""

    def __init__(self, seed):
        super().__init__(nn.Embedding(9, 3), nn.Linear(3, 9))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator))


@pytest.mark.parametrize("solver", [an.EM, an.Adam])
def test_only_the_language_models_live_there(solver, far):
    """As users have them: a model on a GPU, in an annotator and a mixture whose own numbers are on the CPU."""
    tokens = np.random.default_rng(0).integers(0, 9, (12, 5))
    items = an.Items(tokens=tokens, columns={"prompt_length": np.full(12, 2)})

    def model(place):
        rule = an.PBDE.dpo(0.5, an.LogPolicy(Tiny(9)))
        types = [an.Annotator(an.LogPolicy(Tiny(k).to(place)), rule) for k in range(2)]
        return an.Mixture(types)

    truth = an.Annotator(an.Tabular(np.linspace(-1.0, 1.0, 12)), an.Luce())
    data = an.simulate(truth, an.Design(items, annotators=20, questions=3), seed=0)
    here = fitted(model("cpu"), data, solver=solver(**STEPS, batch=8))
    with far():
        there = fitted(model("pretend"), data, solver=solver(**STEPS, batch=8))
    assert there.training.settings["device"] == "pretend:0"
    assert there.objective == pytest.approx(here.objective, abs=1e-5)
    assert all(p.device.type == "cpu" for p in there.population.parameters())


def test_a_network_that_lives_there_has_a_law_and_gives_answers(far):
    people = an.Mixture([an.Annotator(net(k), an.PBDE.dpo(1.0, an.LogDensity(net(7)))) for k in range(2)])
    design = an.Design(GRID, annotators=20)
    law, data = an.law(people, design).probabilities, an.simulate(people, design, seed=0)
    with far():
        people.types[0].utility.to("pretend")
        assert np.abs(an.law(people, design).probabilities - law).max() < 1e-12
        assert np.array_equal(an.simulate(people, design, seed=0).answer, data.answer)
        people.to("pretend")
        assert np.abs(an.law(people, design).probabilities - law).max() < 1e-12
        assert people.vector().device.type == "cpu"


class LeftBehind(nn.Module):
    """A module with a plain tensor, which does not follow its parameters to a device."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
        self.shift = torch.linspace(0.0, 1.0, 21, dtype=torch.float64)

    def forward(self, x):
        return x[:, 0] * self.weight + self.shift


@pytest.mark.parametrize("options", [{}, {"starts": 2}, {"solver": an.Adam(**STEPS, batch=5)}])
def test_a_tensor_that_stayed_on_the_cpu_is_said_so(options, data, far):
    model = an.Annotator(an.Network(LeftBehind()), an.Luce())
    fitted(model, data, **options)
    with far(), pytest.raises(DeviceError, match=r"LeftBehind\.shift.*register_buffer"):
        fitted(model, data, device="pretend", **options)


def test_a_reference_with_a_tensor_of_its_own_is_evaluated_where_it_can_be(data, far):
    shift = torch.linspace(0.0, 1.0, 21, dtype=torch.float64)
    plain = an.LogDensity(lambda x: -(x[:, 0] ** 2) + shift)
    make = lambda: an.Annotator(an.LogDensity(net()), an.PBDE.dpo(1.0, plain))  # noqa: E731
    here = fitted(make(), data, regulariser=an.objectives.ForwardKL(plain, 0.5))
    with far():
        there = fitted(make(), data, regulariser=an.objectives.ForwardKL(plain, 0.5), device="pretend")
    assert there.objective == pytest.approx(here.objective, abs=1e-6)


def test_adapters_share_one_trunk_on_the_device(far):
    trunk = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
    with far():
        types = an.utilities.with_adapters(trunk, rank=1, copies=3)
        both = an.Mixture([an.Annotator(an.LogPolicy(lm, begin=0), an.Luce()) for lm in types])
        from annosim.utilities.adapters import moved

        there = moved(copy.deepcopy(both), "pretend")
        trunks = {id(p) for p in there.parameters() if not p.requires_grad}
        assert len(trunks) == 3  # the embedding, a weight and a bias, once for all types
        assert all(p.device.type == "pretend" for p in there.parameters())


def test_items_on_the_device_know_what_they_were(far):
    items = an.Items(
        features=np.eye(4),
        tokens=[[1, 2], [3, -1], [4, 5], [6, 7]],
        texts=list("abcd"),
        prompts=[3, 3, 8, 8],
        columns={"length": np.array([1, 2, 3, 4])},
    )
    with far() as seen:
        there = items.to("pretend")
        assert not seen.waits
        part = there.subset(torch.tensor([3, 0]))
        assert part.features.device.type == part.prompts.device.type == "pretend"
        assert (part.names, part.texts, part.columns["length"].tolist()) == (("3", "0"), ("d", "a"), [4, 1])
        assert part.host.tokens.tolist() == [[6, 7], [1, 2]] and part.host.device.type == "cpu"
        assert (there.num_prompts, part.num_prompts, there.prompt_code.device.type) == (2, 2, "pretend")
        assert there.host is items and there.to("cpu").features.device.type == "cpu"
        again = an.Items(features=there.features, tokens=there.tokens, weights=there.weights)
        assert again.features.device.type == again.tokens.device.type == "cpu"
