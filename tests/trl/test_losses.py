"""TRL: its losses on the same weights and batch, its trainers on our records, and its models as our utilities.

TRL 1.16 smooths no labels in its ``sigmoid``. Conservative DPO (Mitchell 2023, ``-(1-e) log s(h) - e log s(-h)``) is
what its ``aot`` computes on a batch of one pair, where sorting does nothing; ``robust`` mixes the same terms.
"""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import DataError
from annosim.learning.training.batches import rows_of
from annosim.learning.training.losses import population_losses
from annosim.learning.training.stacked import StackedModel
from annosim.utilities.language_models import LogPolicy, SequenceReward

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def pairs():
    """Five pairs under two prompts, some of them answered for the second displayed; with ids and weights."""
    items = an.Items(texts=[" a b c", " d e", " f", " g h a b"], prompts=[0, 0, 1, 1])
    menu = [[0, 1], [1, 0], [2, 3], [3, 2], [0, 1]]
    return an.PreferenceData(
        items,
        menu,
        [0, 1, 0, 0, 0],
        annotator=[0, 0, 1, 1, 2],
        prompt=[0, 0, 1, 1, 0],
        prompt_names=["a b", "c d e"],
        columns={"source": ["x"] * 5},
    )


@pytest.fixture(scope="module")
def dpo_trainer(hf, gpt2, tokenizer, still):
    def make(folder, loss, beta, smoothing=0.0, **changes):
        settings = {**still, "per_device_train_batch_size": 5, "max_steps": 3, "learning_rate": 1e-2, **changes}
        options = hf.trl.DPOConfig(str(folder), beta=beta, loss_type=[loss], label_smoothing=smoothing, **settings)
        model, reference = gpt2(0), gpt2(1)
        rows = pairs().to_trl()
        trainer = hf.trl.DPOTrainer(model, reference, options, train_dataset=rows, processing_class=tokenizer)
        return trainer, model, reference

    return make


def our_loss(model, reference, tokenizer, objective, beta, per_token=False):
    data = an.io.tokenize(pairs(), tokenizer)
    policies = [LogPolicy(one, per_token=per_token) for one in (model, reference)]
    learner = an.Annotator(policies[0], an.PBDE.dpo(beta, policies[1]))
    batched = StackedModel([learner], data.items, torch.device("cpu"))
    one_each = data.with_(annotator=None)  # TRL's mean is over pairs
    return float(population_losses(batched, rows_of(one_each, objective, data.items), objective))


def their_loss(trainer, model):
    return float(trainer.compute_loss(model, next(iter(trainer.get_train_dataloader()))))


LOSSES = {
    "sigmoid": (an.objectives.NLL(), 0.3, False),
    "hinge": (an.objectives.SLiC(1.0), 0.7, False),
    "ipo": (an.objectives.IPO(0.2), 0.2, True),  # TRL divides log-ratios by the length; its beta is IPO's tau
    "sigmoid_norm": (an.objectives.NLL(), 0.3, True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_losses_equal_those_of_trl_on_the_same_weights_and_batch(name, dpo_trainer, tokenizer, tmp_path):
    objective, beta, per_token = LOSSES[name]
    trainer, model, reference = dpo_trainer(tmp_path, name, beta)
    ours = our_loss(model, reference, tokenizer, objective, 1.0 if name == "ipo" else beta, per_token)
    assert ours == pytest.approx(their_loss(trainer, model), abs=1e-5)


@pytest.mark.slow
def test_label_smoothing_is_conservative_dpo_as_in_trl(dpo_trainer, tokenizer, tmp_path):
    """Equal to TRL's aot pair by pair, to the published formula, and to TRL's robust loss where that is its mix."""
    e, beta = 0.2, 0.3
    trainer, model, reference = dpo_trainer(tmp_path, "aot", beta, e, per_device_train_batch_size=1)
    theirs = [float(trainer.compute_loss(model, batch).detach()) for batch in trainer.get_train_dataloader()]
    assert len(theirs) == 5
    ours = our_loss(model, reference, tokenizer, an.objectives.NLL(label_smoothing=e), beta)
    assert ours == pytest.approx(np.mean(theirs), abs=1e-5)

    data = an.io.tokenize(pairs(), tokenizer)
    with torch.no_grad():
        ratio = (LogPolicy(model)(data.items) - LogPolicy(reference)(data.items)).double()
    position = torch.as_tensor(np.array(data.answer)).long().reshape(-1, 1)
    menu = torch.as_tensor(np.array(data.menu)).long()
    h = beta * (ratio[menu.gather(1, position)] - ratio[menu.gather(1, 1 - position)])
    agree, differ = (-torch.nn.functional.logsigmoid(s * h).mean() for s in (1, -1))
    assert ours == pytest.approx(float((1 - e) * agree + e * differ), abs=1e-6)

    robust, *_ = dpo_trainer(tmp_path, "robust", beta, e)
    mix = float(((1 - e) * agree - e * differ) / (1 - 2 * e))
    assert mix == pytest.approx(their_loss(robust, model), abs=1e-5)


def test_our_records_feed_trls_dpo_and_its_policy_comes_back(dpo_trainer, tokenizer, tmp_path):
    trainer, model, reference = dpo_trainer(tmp_path, "sigmoid", 0.3)
    data = an.io.tokenize(pairs(), tokenizer)
    before = our_loss(model, reference, tokenizer, an.objectives.NLL(), 0.3)
    trainer.train()
    assert trainer.state.global_step == 3
    assert (
        our_loss(model, reference, tokenizer, an.objectives.NLL(), 0.3) < before - 0.01
    )  # it learned, and we see what
    truth = an.Annotator(an.Tabular([1.0, 0.0, 0.5, 0.5]), an.Luce())
    design = an.Design(data.items, menus=[[0, 1], [2, 3]])
    learned = an.Annotator(LogPolicy(model.eval()), an.PBDE.dpo(0.3, LogPolicy(reference)))
    found = an.compare(learned, truth, design)
    index = learned.index(data.items).detach().double()
    p = torch.sigmoid(index[[0, 2]] - index[[1, 3]])
    q = torch.sigmoid(torch.tensor([1.0, 0.0], dtype=torch.float64))
    kl = (q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()).mean()
    assert float(found.kl) == pytest.approx(float(kl), abs=1e-5)


@pytest.fixture(scope="module")
def touched(gpt2, dpo_trainer, tokenizer, tmp_path_factory):
    """A model as DPOTrainer leaves it, with a forward of its own; a model of the same weights; and the reference."""
    trainer, model, reference = dpo_trainer(tmp_path_factory.mktemp("touched"), "sigmoid", 0.3)
    trainer.train()
    model.zero_grad(set_to_none=True)
    assert "forward" in model.__dict__
    plain = gpt2(0)
    plain.load_state_dict(model.state_dict())
    data = an.io.tokenize(pairs(), tokenizer)
    data = data.with_(answer=1 - np.asarray(data.answer))  # the opposite of what it has learned: much to learn
    return SimpleNamespace(model=model, plain=plain, reference=reference, data=data)


def alone(base, reference):
    return an.Annotator(LogPolicy(base), an.PBDE.dpo(0.3, LogPolicy(reference)))


def adapted(base, reference):
    return alone(an.utilities.with_adapters(base, rank=2, seed=3), reference)


def two_types(base, reference):
    rule = an.PBDE.dpo(0.3, LogPolicy(reference))
    return an.Mixture(
        [an.Annotator(LogPolicy(one), rule) for one in an.utilities.with_adapters(base, rank=2, copies=2)]
    )


@pytest.mark.parametrize("population", [alone, adapted, two_types])
def test_a_model_that_trl_touched_is_refitted_as_an_untouched_one(population, touched):
    before = {name: value.clone() for name, value in touched.model.state_dict().items()}
    losses = []
    for base in (touched.model, touched.plain):
        fit = an.fit(population(base, touched.reference), touched.data, solver=an.Adam(steps=15, lr=2e-2))
        losses.append(fit.training.log.losses()[:, 0])
    assert losses[1][-1] < losses[1][0] - 0.02
    assert torch.allclose(losses[0], losses[1], atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in touched.model.state_dict().items())
    assert all(p.grad is None for p in touched.model.parameters())
    assert "forward" in touched.model.__dict__  # what is the user's stays as it is


def test_copies_of_a_model_that_trl_touched_have_numbers_of_their_own(touched):
    items = touched.data.items
    policy = LogPolicy(touched.model)
    twin, own = copy.deepcopy(policy), LogPolicy(copy.deepcopy(touched.model))
    frozen = an.PBDE.dpo(0.3, policy)
    with torch.no_grad():
        true = LogPolicy(touched.plain)(items)
        assert torch.equal(policy(items), true)
        kept = frozen.index(torch.zeros(items.n), items)
        for changed in (twin, own):
            for p in changed.parameters():
                p.mul_(1.5)
        assert torch.equal(policy(items), true)
        assert torch.equal(twin(items), own(items)) and not torch.allclose(twin(items), true)
        for p in touched.model.parameters():
            p.mul_(1.5)
        try:
            assert torch.equal(policy(items), own(items))  # it evaluates the model that it was given
            assert torch.equal(frozen.index(torch.zeros(items.n), items), kept)
        finally:
            touched.model.load_state_dict(touched.plain.state_dict())


def test_our_records_feed_trls_reward_trainer_and_its_reward_comes_back(hf, gpt2, still, tokenizer, tmp_path):
    model = gpt2(0, labels=1)
    options = hf.trl.RewardConfig(
        str(tmp_path), per_device_train_batch_size=5, max_steps=5, learning_rate=1e-2, **still
    )
    trainer = hf.trl.RewardTrainer(model, options, train_dataset=pairs().to_trl(), processing_class=tokenizer)
    data = an.io.tokenize(pairs(), tokenizer).with_(annotator=None)
    objective = an.objectives.NLL()

    def ours():
        learner = an.Annotator(SequenceReward(copy.deepcopy(model).eval()), an.Luce())
        batched = StackedModel([learner], data.items, torch.device("cpu"))
        return float(population_losses(batched, rows_of(data, objective, data.items), objective))

    before = ours()
    assert before == pytest.approx(their_loss(trainer, model), abs=1e-5)
    trainer.train()
    assert trainer.state.global_step == 5
    assert ours() < before - 0.01
    learned = an.Annotator(SequenceReward(model.eval()), an.Luce())
    found = an.compare(learned, an.Annotator(an.Tabular([1.0, 0.0, 0.5, 0.5]), an.Luce()), an.Design(data.items))
    assert float(found.kl) >= 0


def test_our_tokens_are_those_of_trl(dpo_trainer, tokenizer, tmp_path):
    trainer, *_ = dpo_trainer(tmp_path, "sigmoid", 0.3)
    data = an.io.tokenize(pairs(), tokenizer)
    rows = list(trainer.train_dataset)
    for row, menu, answer in zip(rows, np.asarray(data.menu), np.asarray(data.answer).ravel(), strict=True):
        for name, item in (("chosen_ids", menu[answer]), ("rejected_ids", menu[1 - answer])):
            ids = data.items.tokens[item]
            assert ids[ids >= 0].tolist() == row["prompt_ids"] + row[name]
            assert int(data.items.columns["prompt_length"][item]) == len(row["prompt_ids"])


def test_an_item_under_two_prompts_has_no_tokens():
    items = an.Items(texts=["a", "b"])
    data = an.PreferenceData(items, [[0, 1], [0, 1]], [0, 1], prompt=[0, 1], prompt_names=["x", "y"])
    with pytest.raises(DataError, match="two prompts"):
        an.io.tokenize(data, lambda text: {"input_ids": [1]})
