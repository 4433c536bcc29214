"""Low-rank adapters: what is free, what is shared, and types of one language model that are told apart by EM."""

import copy
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

import annosim as an
from annosim.errors import ArgumentError


def language_model():
    return nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 9))


@pytest.fixture
def lm():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return language_model()


def test_a_copy_with_adapters_begins_as_the_network_and_only_they_are_free(lm):
    before = {name: p.clone() for name, p in lm.state_dict().items()}
    one = an.utilities.with_adapters(lm, rank=2)
    ids = torch.arange(9)[None]
    assert torch.equal(one(ids), lm(ids))
    free = {name for name, p in one.named_parameters() if p.requires_grad}
    assert free == {"1.down", "1.up", "3.down", "3.up"} == set(an.utilities.adapter_state(one))
    assert all(p.requires_grad for p in lm.parameters())  # the network that was given is as it was
    one(ids).square().sum().backward()
    with torch.no_grad():
        for p in one.parameters():
            if p.requires_grad:
                p -= 0.1 * p.grad
    assert not torch.equal(one(ids), lm(ids))
    assert all(torch.equal(before[name], p) for name, p in lm.state_dict().items())


def test_the_adapter_is_a_low_rank_change_of_the_weights():
    layer = nn.Linear(5, 4).double()
    net = an.utilities.with_adapters(nn.Sequential(layer), rank=2, scale=3.0)
    with torch.no_grad():
        net[0].up.normal_(generator=torch.Generator().manual_seed(0))
        x = torch.eye(5, dtype=torch.float64)
        change = (net(x) - layer(x)).T
        assert torch.allclose(change, 3.0 * net[0].up @ net[0].down)
        assert int(torch.linalg.matrix_rank(change)) == 2


def test_copies_share_the_trunk_and_copies_of_populations_do_too(lm):
    both = an.utilities.with_adapters(lm, rank=2, copies=2)
    where = [{p.data_ptr() for p in one.parameters() if not p.requires_grad} for one in both]
    assert where[0] == where[1] and len(where[0]) == 5
    assert not torch.equal(both[0][1].down, both[1][1].down)
    people = an.Mixture([an.Annotator(an.LogPolicy(one, begin=0), an.Luce()) for one in both])
    again = people.with_parameters(people.vector() + 1.0)
    assert {p.data_ptr() for p in again.parameters() if not p.requires_grad} == where[0]
    assert not ({p.data_ptr() for p in again.parameters() if p.requires_grad} & where[0])
    state = an.utilities.adapter_state(both[0])
    other = an.utilities.with_adapters(lm, rank=2, seed=5)
    other.load_state_dict(state, strict=False)
    assert torch.equal(other(torch.arange(9)[None]), both[0](torch.arange(9)[None]))
    assert sum(v.numel() for v in state.values()) < sum(p.numel() for p in lm.parameters())


def test_restarts_redraw_adapters_at_their_own_scale(lm):
    policy = an.LogPolicy(an.utilities.with_adapters(lm, rank=2), begin=0)
    redrawn = policy.like(seed=3)
    items = an.Items(tokens=[[1, 2], [3, 4]])
    assert torch.allclose(redrawn(items), policy(items))  # up is zero and stays so
    assert float(redrawn.model[1].down.detach().abs().max()) < 2.0


def test_refusals(lm):
    with pytest.raises(ArgumentError, match="rank=0"):
        an.utilities.with_adapters(lm, rank=0)
    with pytest.raises(ArgumentError, match="copies"):
        an.utilities.with_adapters(lm, rank=1, copies=0)
    with pytest.raises(ArgumentError, match="no dense layer has such a name; there are: 1, 3"):
        an.utilities.with_adapters(lm, rank=1, layers=["c_attn"])
    with pytest.raises(ArgumentError, match="torch.nn.Sequential"):
        an.utilities.with_adapters(nn.Linear(2, 1), rank=1)


# ---- one frozen trunk, a head per type -------------------------------------------------------------------------------


def test_heads_on_a_frozen_trunk_are_linear_types_on_its_hidden_states():
    """A network's EM on reward heads ends where exact EM on the cached hidden states does."""
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=16,
        n_positions=16,
        n_embd=4,
        n_layer=1,
        n_head=1,
        num_labels=1,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rewards = transformers.GPT2ForSequenceClassification(config).eval().double()
    rng = np.random.default_rng(1)
    tokens = rng.integers(2, 16, (10, 4))
    tokens[3, 2:] = -1
    items = an.Items(tokens=tokens)
    hidden = items.with_(features=an.utilities.last_hidden(rewards, items))
    plain = an.Linear(rewards.score.weight[0].detach().numpy())
    assert torch.allclose(an.SequenceReward(rewards)(items).double(), plain(hidden), atol=1e-6)

    truth = an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in ([1.0, 0, 0, 0], [-1.0, 1, 0, 0])], [0.5, 0.5])
    data = an.simulate(truth, an.Design(hidden, menu_size=3, annotators=60, questions=8), seed=0)
    start = 0.3 * rng.normal(size=(2, 4))
    exact = an.fit(an.Mixture([an.Annotator(an.Linear(w), an.Luce()) for w in start]), data)
    rewards.requires_grad_(False)
    types = []
    for w in start:
        one = copy.deepcopy(rewards)
        one.score.weight.data.copy_(torch.as_tensor(w))
        one.score.weight.requires_grad_(True)
        types.append(an.Annotator(an.SequenceReward(one), an.Luce()))
    found = an.fit(an.Mixture(types), data, solver=an.EM(m_step="line-search", steps=150, e_step_every=5))
    assert found.em.n_decreases == 0
    assert found.log_likelihood == pytest.approx(exact.log_likelihood, abs=1e-3)


# ---- EM-DPO on a tiny GPT-2 ------------------------------------------------------------------------------------------

N = 12
DESIGN_OF = {"menu_size": 3, "annotators": 60, "questions": 4}


def gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=16,
        n_positions=16,
        n_embd=32,
        n_layer=2,
        n_head=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.GPT2LMHeadModel(config)


@pytest.fixture(scope="module")
def world():
    """A dozen responses to one prompt, two opposed types, four answers each."""
    lm = gpt2()
    rng = np.random.default_rng(0)
    tokens = np.concatenate([np.tile([1, 2], (N, 1)), rng.integers(3, 16, (N, 4))], 1)
    items = an.Items(tokens=tokens, columns={"prompt_length": np.full(N, 2)})
    u = np.linspace(-2, 2, N)
    truth = an.Mixture([an.Annotator(an.Tabular(s * u), an.Luce()) for s in (1.0, -1.0)], [0.6, 0.4])
    design = an.Design(items, **DESIGN_OF)
    return lm, truth, design, an.simulate(truth, design, seed=0)


@pytest.mark.parametrize("kind", ["copies", "adapters"])
def test_em_dpo_tells_two_opposed_types_of_a_tiny_gpt2(world, kind, tmp_path):
    lm, truth, design, data = world
    models = (
        [copy.deepcopy(lm), copy.deepcopy(lm)] if kind == "copies" else an.utilities.with_adapters(lm, rank=4, copies=2)
    )
    rule = an.PBDE.dpo(1.0, an.LogPolicy(lm))
    model = an.Mixture([an.Annotator(an.LogPolicy(one), rule) for one in models])
    rate = {"copies": 3e-3, "adapters": 1e-2}[kind]
    found = an.fit(model, data, solver=an.EM(steps=60, lr=rate, e_step_every=10, batch=30))
    assert found.solver == "em"
    score = an.compare(found, truth, design)
    assert score.adjusted_rand > 0.6
    assert score.weight_error is None or np.abs(score.weight_error).max() < 0.15
    pooled = an.fit(model.types[0], data, solver=an.Adam(steps=60, lr=rate))
    assert found.log_likelihood > pooled.log_likelihood + 20
    if kind == "adapters":
        frozen = [p for one in found.population.types for p in one.utility.parameters() if not p.requires_grad]
        assert all(torch.equal(p, q) for p, q in zip(frozen, [*lm.parameters()] * 2, strict=True))
        path = found.save(tmp_path / "fit.pt")
        again = an.Fit.load(path)
        assert torch.equal(again.responsibilities, found.responsibilities)
        with zipfile.ZipFile(path) as parts:  # both types and all their copies hold one trunk, the references another
            large = [part for part in parts.infolist() if part.file_size == 4 * 32 * 128]
        assert len(large) == 2 * sum(p.numel() == 32 * 128 for p in lm.parameters())


def test_one_name_of_a_layer_is_a_list_of_it(lm):
    free = [
        [n for n, p in an.utilities.with_adapters(lm, layers=one).named_parameters() if p.requires_grad]
        for one in ("1", ["1"])
    ]
    assert free[0] == free[1] == ["1.down", "1.up"]
    for bad in (3, [3], [None]):
        with pytest.raises(ArgumentError, match="a list of names"):
            an.utilities.with_adapters(lm, layers=bad)
