"""Language models as utilities: masks, caching, minibatches that touch only what they show."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import annosim as an
from annosim.errors import ArgumentError
from annosim.learning.solvers.settings import Adam
from annosim.learning.training.batches import rows_of
from annosim.learning.training.losses import population_losses
from annosim.learning.training.run import train
from annosim.learning.training.stacked import StackedModel
from annosim.utilities.tokens import response_mask


class Tiny(nn.Module):
    """A causal model with memory: logits from the running mean of embeddings."""

    def __init__(self, vocabulary=12, width=8, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(torch.randn(vocabulary, width, generator=generator))
        self.out = nn.Parameter(torch.randn(width, vocabulary, generator=generator))
        self.seen: list[int] = []

    def forward(self, ids):
        self.seen.append(len(ids))
        x = self.table[ids]
        count = torch.arange(1, ids.shape[1] + 1)[:, None]
        return (x.cumsum(1) / count) @ self.out


@pytest.fixture
def items():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 12, (10, 7))
    tokens[np.arange(7) >= rng.integers(4, 8, 10)[:, None]] = -1
    return an.Items(tokens=tokens, columns={"prompt_length": np.full(10, 2)})


def test_log_policy_adds_the_log_probabilities_of_the_response(items):
    lm = Tiny()
    found = an.LogPolicy(lm)(items)
    mask = response_mask(items)
    for row in range(items.n):
        ids = items.tokens[row][items.tokens[row] >= 0]
        log_p = lm(ids[None])[0].log_softmax(-1)
        expected = sum(float(log_p[t - 1, ids[t]].detach()) for t in range(len(ids)) if mask[row, t])
        assert float(found[row].detach()) == pytest.approx(expected, abs=1e-5)
    with torch.no_grad():
        assert torch.allclose(an.LogPolicy(lm, batch=3)(items), found, atol=1e-5)
        per_token = an.LogPolicy(lm, per_token=True)(items)
    assert torch.allclose(per_token, found / mask.sum(1), atol=1e-5)


def test_a_policy_is_one_number_per_item_though_its_model_has_dropout(items):
    noisy = nn.Sequential(nn.Embedding(12, 8), nn.Dropout(0.5), nn.Linear(8, 12)).train()
    policy = an.LogPolicy(noisy)
    assert torch.equal(policy(items), policy(items))


@pytest.mark.parametrize(
    "kind", [lambda net: an.Network(net), lambda net: an.utilities.Heads(net, outputs=1).column(0)]
)
def test_a_network_with_dropout_is_one_number_per_item_and_leaves_the_global_generator_alone(kind):
    noisy = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    model, items = an.Annotator(kind(noisy), an.Luce()), an.Items.normal(6, 2)
    data = an.simulate(an.Annotator(an.Linear([1.0, 0.0]), an.Luce()), an.Design(items, annotators=20), seed=0)
    before = torch.get_rng_state()
    one, two = (train(model, data, solver=Adam(steps=3)).populations[0] for _ in range(2))
    assert torch.equal(one.vector(), two.vector())
    assert torch.equal(before, torch.get_rng_state())


def test_without_a_prompt_a_first_token_is_needed(items):
    bare = an.Items(tokens=items.tokens)
    with pytest.raises(ArgumentError, match="begin"):
        an.LogPolicy(Tiny())(bare)
    assert an.LogPolicy(Tiny(), begin=0)(bare).shape == (10,)
    with pytest.raises(ArgumentError, match="no tokens"):
        an.LogPolicy(Tiny(), begin=0)(an.Items(n=3))


def test_a_minibatch_runs_the_network_on_the_items_it_shows_and_the_reference_once(items):
    truth = an.Annotator(an.Tabular(np.arange(10) / 3), an.Luce())
    data = an.simulate(truth, an.Design(items, annotators=40), seed=0)
    reference = Tiny(seed=1)
    model = an.Annotator(an.LogPolicy(Tiny(seed=1)), an.PBDE.dpo(0.5, an.LogPolicy(reference)))
    batched = StackedModel([model], items, torch.device("cpu"))
    rows = rows_of(data, an.objectives.NLL(), items).take_blocks(torch.arange(3))
    batched.base.utility.model.seen.clear()
    some = population_losses(batched, rows, an.objectives.NLL())
    assert batched.base.utility.model.seen == [len(rows.shown)]
    assert len(rows.shown) <= 6
    assert float(some) == pytest.approx(np.log(2), abs=1e-5)  # the model is the reference, so every logit is zero
    done = train(model, data, solver=Adam(steps=30, lr=1e-2, batch=8))
    assert float(done.loss) < np.log(2)


def test_restarts_stay_near_the_weights_that_a_language_model_came_with(items):
    data = an.simulate(an.Annotator(an.Tabular(10), an.Luce()), an.Design(items, annotators=20), seed=0)
    model = an.Annotator(an.LogPolicy(Tiny()), an.PBDE.dpo(0.5, an.LogPolicy(Tiny())))
    done = train(model, data, solver=Adam(steps=1, lr=1e-9), starts=2)
    gaps = [float((one.vector() - model.vector()).square().mean().sqrt()) for one in done.populations]
    assert gaps[0] < 1e-6 < 5e-3 < gaps[1] < 2e-2
    adapted = an.Annotator(
        an.LogPolicy(an.utilities.with_adapters(nn.Sequential(nn.Embedding(12, 8), nn.Linear(8, 12)))), an.Luce()
    )
    again = train(adapted, data, solver=Adam(steps=1, lr=1e-9), starts=2).populations[1]
    assert float((again.vector() - adapted.vector()).abs().max()) > 0.1


def test_items_shown_stand_for_draws_of_the_reference(items):
    model = an.Annotator(an.LogPolicy(Tiny(seed=1)), an.Luce())
    batched = StackedModel([model], items, torch.device("cpu"))
    data = an.PreferenceData(items, [[0, 1], [2, 3]], [0, 1])
    rows = rows_of(data, an.objectives.NLL(), items)
    plain = population_losses(batched, rows, an.objectives.NLL())
    both = population_losses(batched, rows, an.objectives.NLL(), an.objectives.ForwardKL(None, 0.5, shown=True))
    log_p = model.utility(items).detach()[:4].double()
    assert float(both - plain) == pytest.approx(-0.5 * float(log_p.mean()), abs=1e-6)


def test_two_policies_are_told_apart_by_annotators_who_answer_often(items):
    people = an.Mixture([an.Annotator(an.Tabular(s * np.arange(10.0)), an.Luce()) for s in (1.0, -1.0)], [0.6, 0.4])
    data = an.simulate(people, an.Design(items, annotators=60, questions=8), seed=0)
    reference = an.LogPolicy(Tiny(seed=5))
    types = [an.Annotator(an.LogPolicy(Tiny(seed=s)), an.PBDE.dpo(1.0, reference)) for s in (1, 2)]
    found = an.fit(an.Mixture(types), data.for_learner(), solver=an.EM(steps=300, lr=3e-2))
    single = an.fit(types[0], data.for_learner(), solver=an.Adam(steps=300, lr=3e-2))
    assert found.log_likelihood > single.log_likelihood + 20


class Classifier(nn.Module):
    """Reads its score where models of transformers do: at the last token that is not its own pad."""

    def __init__(self, pad):
        super().__init__()
        self.score = nn.Parameter(torch.arange(12.0))
        self.config = SimpleNamespace(pad_token_id=pad, vocab_size=12)

    def forward(self, input_ids, attention_mask):
        if self.config.pad_token_id is None:
            raise ValueError("Cannot handle batch sizes > 1 if no padding token is defined.")
        place = torch.arange(input_ids.shape[1]) * (input_ids != self.config.pad_token_id)
        last = input_ids.gather(1, place.argmax(1, keepdim=True))
        return SimpleNamespace(logits=self.score[last])


def test_a_reward_is_read_at_the_last_token_whatever_the_models_pad():
    items = an.Items(tokens=[[1, 2, 3], [4], [5, 6]])
    for pad in (0, 11):
        assert an.SequenceReward(Classifier(pad))(items).tolist() == [3.0, 4.0, 6.0]
    with pytest.raises(ArgumentError, match="its own pad, 11"):
        an.SequenceReward(Classifier(11), pad=0)
    with pytest.raises(ArgumentError, match="set model.config.pad_token_id"):
        an.SequenceReward(Classifier(None))(items)


def test_what_does_not_fit_a_network_is_said_in_one_line(items):
    class Known(Tiny):
        config = SimpleNamespace(vocab_size=6)

    for call, words in (
        (lambda: an.LogPolicy(Known())(items), "vocabulary has 6"),
        (lambda: an.LogPolicy(nn.Embedding(5, 5))(items), "largest id is 11"),
        (lambda: an.LogPolicy(nn.Embedding(5, 5), begin=0)(an.Items(tokens=[[1, 7]])), "7 .* 5 logits"),
        (lambda: an.LogPolicy(None), "causal language model"),
        (lambda: an.LogPolicy(Tiny(), batch=0), "batch=0"),
        (lambda: an.SequenceReward(Classifier(0))(an.Items(tokens=[[12]])), "token id 12"),
        (lambda: response_mask(an.Items(tokens=[[1, 2]], columns={"prompt_length": ["1"]})), "prompt_length"),
        (lambda: an.Network([4], dim=3)(an.Items.normal(5, 2)), "2 features and the network reads 3"),
        (lambda: an.utilities.Heads([4], dim=3)(an.Items.normal(5, 2)), "2 features and the network reads 3"),
        (lambda: an.Network([4.5], dim=2), "whole numbers"),
        (lambda: an.Network([4], dim="2"), "dim='2'"),
        (lambda: an.utilities.Ensemble([3]), "at least one utility"),
        (lambda: an.utilities.with_adapters(3), "torch.nn.Module"),
    ):
        with pytest.raises(ArgumentError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("begin", ["<s>", -1, 1.5, True])
def test_a_beginning_that_is_no_token_is_refused(begin):
    with pytest.raises(ArgumentError, match="the id of a token, at least 0"):
        an.LogPolicy(nn.Embedding(5, 5), begin=begin)


def test_a_beginning_may_be_a_number_of_numpy():
    lm, items = nn.Embedding(5, 5), an.Items(tokens=[[1, 2], [3, -1]])
    assert torch.equal(an.LogPolicy(lm, begin=np.int64(3))(items), an.LogPolicy(lm, begin=3)(items))


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_the_last_hidden_state_is_that_of_the_last_token_and_zero_is_a_token(batch):
    """A network whose states are running sums: rows alone, without pads, against rows together."""

    class Sums(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(torch.arange(12.0).reshape(6, 2) ** 2 + 1)

        def forward(self, ids):
            return self.table[ids].cumsum(1)

    rows = [[3, 0, 0], [0, 2], [5], [0], [1, 0, 4], [2, 2]]
    found = an.utilities.last_hidden(Sums(), an.Items(tokens=rows), batch=batch)
    expected = torch.cat([an.utilities.last_hidden(Sums(), an.Items(tokens=[row])) for row in rows])
    sums = torch.stack([Sums().table[row].sum(0) for row in rows]).detach().double()
    assert torch.equal(found, sums) and torch.equal(expected, sums)


def test_the_sign_of_a_network_turns_its_utility_round():
    items = an.Items.normal(5, 3, seed=0)
    up, down = (an.utilities.Network([4], dim=3, seed=1, sign=sign)(items) for sign in (1.0, -1.0))
    assert torch.equal(up, -down) and bool((up != 0).all())
