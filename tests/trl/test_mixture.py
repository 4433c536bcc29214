"""EM over types inside TRL's trainers: TRL's own losses with one type, annosim's own fit with several."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError, DataError, MissingDependencyError
from annosim.trl import PreferenceMixtureTrainer, RewardMixtureTrainer

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def dpo(hf, settings, **changes):
    return hf.trl.DPOConfig(beta=0.5, **settings(**changes))


def preferences(hf, tokenizer, gpt2, records, settings, changes=(), **options):
    rows = hf.datasets.Dataset.from_list(records)
    model = options.pop("model", None) or gpt2(0)
    return PreferenceMixtureTrainer(
        model, args=dpo(hf, settings, **dict(changes)), train_dataset=rows, processing_class=tokenizer, **options
    )


def loss_of(trainer):
    trainer.model.train()
    return float(trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader()))))


#: fit's loss is a mean over annotators, TRL's over rows; Adam does not see such a factor, but for its epsilon
SAME_STEPS = {"adam_epsilon": 1e-8 * 6 / 24, "learning_rate": 1e-3, "seed": 0}


def fitted(records, tokenizer, types):
    """annosim's EM on the same rows: the whole batch, ten steps, an E-step every five."""
    data = an.io.tokenize(an.io.read_trl(records), tokenizer)
    return an.fit(an.Mixture(types), data, solver=an.EM(steps=10, lr=1e-3, e_step_every=5)), data


def partly_free(model):
    """A model of which the last layer's perceptron is trained: Adam takes steps of full length along gradients that
    vanish but for rounding (attention's biases have such), and two implementations round differently."""
    for name, p in model.named_parameters():
        p.requires_grad_("h.1.mlp" in name or name == "score.weight")
    return model


def matched(trainer, fit):
    """Which type of the trainer's is which of the fit's."""
    own = np.asarray(fit.responsibilities)
    orders = [[0, 1], [1, 0]]
    return min(orders, key=lambda order: np.abs(trainer.responsibilities[:, order] - own).max())


@pytest.fixture(scope="module")
def trained(hf, tokenizer, gpt2, records, tmp_path_factory):
    """EM-DPO of two types by TRL and by ``fit``, and the model at which both begin."""
    base, place = partly_free(gpt2(0)), tmp_path_factory.mktemp("out")

    def settings(**changes):
        own = {"per_device_train_batch_size": 24, "max_steps": 10, "learning_rate": 1e-2, "max_grad_norm": 0.0}
        from_conftest = {
            "report_to": [],
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "save_strategy": "steps",
            "save_steps": 5,
            "logging_steps": 1,
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
        }
        return {"output_dir": str(place), "lr_scheduler_type": "cosine", **from_conftest, **own, **changes}

    trainer = preferences(hf, tokenizer, gpt2, records, settings, SAME_STEPS, model=base, em=an.EM(e_step_every=5))
    before = {name: p.clone() for name, p in base.state_dict().items()}
    trainer.train()
    assert all(torch.equal(p, before[name]) for name, p in base.state_dict().items())  # what was given is not changed
    rule = an.PBDE.dpo(0.5, an.LogPolicy(base))
    types = [an.Annotator(an.LogPolicy(copy.deepcopy(base)), rule) for _ in range(2)]
    fit, data = fitted(records, tokenizer, types)
    return trainer, fit, data, place


def test_types_of_policies_are_those_of_fit(trained):
    trainer, fit, data, _ = trained
    assert isinstance(trainer, PreferenceMixtureTrainer)
    order = matched(trainer, fit)
    assert trainer.weights[order] == pytest.approx(fit.population.weights.detach().numpy(), abs=1e-5)
    for k, one in zip(order, fit.population.types, strict=True):
        mine = trainer.policies[k](data.items).detach()
        assert torch.allclose(mine, one.utility(data.items).detach(), atol=1e-5)
    own = np.asarray(fit.responsibilities)
    assert trainer.responsibilities[:, order] == pytest.approx(own, abs=1e-5)
    total = trainer.log_likelihoods
    assert len(total) == 3 and total[-1] > total[0] + 0.1  # before, after five steps, at the end
    assert total == pytest.approx(list(fit.trace), abs=1e-4)


def test_the_two_kinds_of_people_are_found(trained):
    trainer, _, data, _ = trained
    found = trainer.responsibilities.round().argmax(1)
    assert trainer.annotators == [f"w{i}" for i in range(6)]
    assert len(set(found[:3])) == 1 and len(set(found[3:])) == 1 and found[0] != found[3]
    people = trainer.population
    assert people.component_weights().numpy() == pytest.approx(trainer.weights, abs=1e-12)
    truth = an.Mixture([an.Annotator(an.Tabular(np.zeros(data.items.n)), an.Luce())])
    design = an.Design(data.items, menus=[[0, 1]])
    assert float(an.compare(people, truth, design).kl) >= 0
    h = [float((p.index(data.items)[0] - p.index(data.items)[1]).detach()) for p in people.types]
    assert h[found[0]] > 0 > h[found[3]]  # the first pair: chosen by the first three


def test_a_checkpoint_goes_on_and_a_saved_type_is_a_model(trained, hf, tokenizer, gpt2, records, settings):
    trainer, _, data, place = trained
    base = partly_free(gpt2(0))
    other = preferences(hf, tokenizer, gpt2, records, settings, SAME_STEPS, model=base, em=an.EM(e_step_every=5))
    other.train(resume_from_checkpoint=str(place / "checkpoint-5"))
    assert other.weights == pytest.approx(trainer.weights, abs=1e-6)
    for mine, theirs in zip(other.policies, trainer.policies, strict=True):
        assert torch.allclose(mine(data.items), theirs(data.items), atol=1e-5)
    trainer.save_model(str(place / "saved"))
    for k, policy in enumerate(trainer.policies):
        again = hf.transformers.AutoModelForCausalLM.from_pretrained(place / "saved" / f"type_{k}")
        assert torch.allclose(an.LogPolicy(again)(data.items), policy(data.items), atol=1e-6)
    wrong = preferences(hf, tokenizer, gpt2, records, settings, types=3)
    with pytest.raises(ArgumentError, match="belongs to another run"):
        wrong._load_from_checkpoint(str(place / "checkpoint-5"))
    with pytest.raises(DataError, match="cannot be read"):
        wrong._load_from_checkpoint(str(place / "checkpoint-6"))


def test_adapters_share_a_trunk_and_are_those_of_fit(hf, tokenizer, gpt2, records, settings):
    base = gpt2(0)
    changes = SAME_STEPS
    trainer = preferences(
        hf, tokenizer, gpt2, records, settings, changes, model=base, adapters=2, em=an.EM(e_step_every=5)
    )
    first, second = (dict(m.named_parameters()) for m in trainer.model.models)
    assert all(p.data_ptr() == second[name].data_ptr() for name, p in first.items() if not p.requires_grad)
    trainer.train()
    rule = an.PBDE.dpo(0.5, an.LogPolicy(base))
    types = [an.Annotator(an.LogPolicy(m), rule) for m in an.utilities.with_adapters(base, rank=2, copies=2, seed=0)]
    fit, data = fitted(records, tokenizer, types)
    order = matched(trainer, fit)
    for k, one in zip(order, fit.population.types, strict=True):
        assert torch.allclose(trainer.policies[k](data.items), one.utility(data.items), atol=1e-5)


def test_adapters_of_peft(hf, tokenizer, gpt2, records, settings):
    peft = pytest.importorskip("peft", reason="pip install peft")
    base = gpt2(0)
    own = peft.LoraConfig(r=2, target_modules=["c_attn"], task_type="CAUSAL_LM")
    trainer = preferences(hf, tokenizer, gpt2, records, settings, model=base, peft_config=own, em=an.EM(e_step_every=5))
    free = [p for p in trainer.model.parameters() if p.requires_grad]
    assert len(free) == 2 * 2 * 2  # two types, two layers, two matrices
    before = [p.detach().clone() for p in free]
    trainer.train()
    assert all(not torch.equal(p, q) for p, q in zip(free, before, strict=True))  # every type was trained
    data = an.io.tokenize(an.io.read_trl(records), tokenizer)
    values = [one(data.items).detach() for one in trainer.policies]
    assert float((values[0] - values[1]).abs().max()) > 1e-3
    assert trainer.log_likelihoods[-1] > trainer.log_likelihoods[0] + 0.1
    begun = trainer.population.types[0].rule  # its reference is the model without adapters
    reference = -begun.index(torch.zeros(data.items.n), data.items) / 0.5
    assert torch.allclose(reference.float(), an.LogPolicy(base)(data.items), atol=1e-5)


def test_one_type_is_dpo(hf, tokenizer, gpt2, records, settings):
    rows = hf.datasets.Dataset.from_list(records)
    changes = {"per_device_train_batch_size": 5, "max_steps": 4}
    theirs = hf.trl.DPOTrainer(
        gpt2(0), gpt2(0), dpo(hf, settings, **changes), train_dataset=rows, processing_class=tokenizer
    )
    ours = preferences(hf, tokenizer, gpt2, records, settings, changes, types=1, ref_model=gpt2(0))
    assert isinstance(ours, hf.trl.DPOTrainer) and not ours.args.precompute_ref_log_probs
    assert loss_of(ours) == pytest.approx(loss_of(theirs), abs=1e-6)
    theirs.train()
    ours.train()
    data = an.io.tokenize(an.io.read_trl(records), tokenizer)
    assert torch.allclose(ours.policies[0](data.items), an.LogPolicy(theirs.model)(data.items), atol=1e-5)
    assert ours.weights.tolist() == [1.0]


def test_margins_and_soft_labels_come_from_columns(hf, tokenizer, gpt2, records, settings):
    rng = np.random.default_rng(0)
    rows = [
        {**r, "by": float(m), "sure": float(p)}
        for r, m, p in zip(records, rng.normal(size=24), rng.uniform(size=24), strict=True)
    ]
    kinds = [{}, {"margin": "by"}, {"soft_labels": "sure"}, {"margin": "by", "soft_labels": "sure"}]
    by, sure = (torch.tensor([r[name] for r in rows]) for name in ("by", "sure"))
    for options in kinds:
        trainer = preferences(
            hf, tokenizer, gpt2, rows, settings, {"data_seed": 3}, types=1, ref_model=gpt2(1), **options
        )
        data = an.io.tokenize(an.io.read_trl(records), tokenizer)
        with torch.no_grad():
            ratio = 0.5 * (an.LogPolicy(gpt2(0))(data.items) - an.LogPolicy(gpt2(1))(data.items))
        menu = torch.as_tensor(np.asarray(data.menu)).long()
        h = ratio[menu[:, 0]] - ratio[menu[:, 1]] - (by if "margin" in options else 0)
        p = sure if "soft_labels" in options else torch.ones(24)
        written = -(p * torch.nn.functional.logsigmoid(h) + (1 - p) * torch.nn.functional.logsigmoid(-h)).mean()
        assert loss_of(trainer) == pytest.approx(float(written), abs=1e-5)
        found = trainer.evaluate(hf.datasets.Dataset.from_list(rows))
        assert found["eval_loss"] == pytest.approx(float(written), abs=1e-5)


@pytest.mark.parametrize("margins", [False, True])
def test_one_type_is_trls_reward_model(margins, hf, tokenizer, gpt2, records, settings):
    rows = [{**r, "margin": 0.1 * i} for i, r in enumerate(records)] if margins else records
    rows = hf.datasets.Dataset.from_list(rows)
    own = settings(per_device_train_batch_size=5, max_steps=4)
    args = lambda: hf.trl.RewardConfig(**own)  # noqa: E731
    more = {"train_dataset": rows, "eval_dataset": rows, "processing_class": tokenizer}
    theirs = hf.trl.RewardTrainer(gpt2(0, 1), args(), **more)
    ours = RewardMixtureTrainer(gpt2(0, 1), args(), types=1, **more)
    assert isinstance(ours, hf.trl.RewardTrainer)
    assert loss_of(ours) == pytest.approx(loss_of(theirs), abs=1e-6)
    for held in (rows, hf.datasets.Dataset.from_list(records)):  # without margins, too
        losses = [one.evaluate(held)["eval_loss"] for one in (ours, theirs)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert ours.evaluate()["eval_loss"] == pytest.approx(theirs.evaluate()["eval_loss"], abs=1e-6)
    theirs.train()
    ours.train()
    data = an.io.tokenize(an.io.read_trl(records), tokenizer)
    assert torch.allclose(ours.policies[0](data.items), an.SequenceReward(theirs.model)(data.items), atol=1e-5)


def test_types_of_reward_models_are_those_of_fit(hf, tokenizer, gpt2, records, settings):
    base = partly_free(gpt2(0, 1))
    args = hf.trl.RewardConfig(**settings(**SAME_STEPS))
    rows = hf.datasets.Dataset.from_list(records)
    trainer = RewardMixtureTrainer(
        base, args, train_dataset=rows, processing_class=tokenizer, types=2, em=an.EM(e_step_every=5)
    )
    trainer.train()
    types = [an.Annotator(an.SequenceReward(copy.deepcopy(base)), an.Luce()) for _ in range(2)]
    fit, data = fitted(records, tokenizer, types)
    order = matched(trainer, fit)
    for k, one in zip(order, fit.population.types, strict=True):
        assert torch.allclose(trainer.policies[k](data.items), one.utility(data.items), atol=1e-5)
    assert trainer.log_likelihoods == pytest.approx(list(fit.trace), abs=1e-4)


def test_evaluation_is_the_likelihood_of_rows(hf, tokenizer, gpt2, records, settings):
    rows = hf.datasets.Dataset.from_list(records)
    trainer = preferences(hf, tokenizer, gpt2, records, settings, {"max_steps": 1}, eval_dataset=rows.select(range(4)))
    found = trainer.evaluate()
    assert found["eval_loss"] == pytest.approx(np.log(2), abs=1e-5)  # the types begin at the reference


def test_hard_assignments_and_annealing_are_read(hf, tokenizer, gpt2, records, settings):
    changes = {"max_steps": 2, "gradient_checkpointing": True}
    hard = preferences(hf, tokenizer, gpt2, records, settings, changes, em=an.EM(hard=True, e_step_every=1))
    hard.train()
    assert set(hard.responsibilities.ravel()) <= {0.0, 1.0}


def test_rows_for_evaluation_lack_nothing_that_the_loss_reads(hf, tokenizer, gpt2, records, settings):
    rows = [{**r, "sure": 0.9} for r in records]
    for held, words in (
        (records, "eval_dataset: needs the column 'sure'"),
        ([{**rows[0], "sure": 2.0}], "row 0 has sure"),
    ):
        with pytest.raises((ArgumentError, DataError), match=words):
            preferences(
                hf,
                tokenizer,
                gpt2,
                rows,
                settings,
                soft_labels="sure",
                eval_dataset=hf.datasets.Dataset.from_list(held),
            )


CALLS = [
    ({"types": 0}, "types=0"),
    ({"annotator": "who"}, "no such column; there are prompt, chosen, rejected, annotator"),
    ({"margin": "gap"}, "margin='gap'"),
    ({"soft_labels": "prompt"}, "give a probability, 0 to 1"),
    ({"em": an.EM(steps=5)}, "said to the trainer's args; here: e_step_every"),
    ({"em": 5}, "an.EM"),
    ({"adapters": 2, "peft_config": object()}, "not both"),
    ({"changes": {"loss_type": ["ipo"]}}, "EM needs a likelihood"),
    ({"changes": {"label_smoothing": 0.1}}, "soft_labels='column'"),
]


@pytest.mark.parametrize(("options", "words"), CALLS, ids=[words for _, words in CALLS])
def test_bad_input_is_refused_in_one_line(options, words, hf, tokenizer, gpt2, records, settings):
    with pytest.raises((ArgumentError, DataError)) as caught:
        preferences(hf, tokenizer, gpt2, records, settings, **options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_rows_without_an_annotator_and_streams_are_refused(hf, tokenizer, gpt2, records, settings):
    bad = [*records[:3], {**records[3], "annotator": None}]
    with pytest.raises(DataError, match="row 3 has no annotator"):
        preferences(hf, tokenizer, gpt2, bad, settings)
    with pytest.raises(DataError, match="row 1 has no annotator"):  # what pandas has for nobody
        preferences(hf, tokenizer, gpt2, [{**records[0], "annotator": who} for who in (1.0, float("nan"))], settings)
    stream = hf.datasets.Dataset.from_list(records).to_iterable_dataset()
    with pytest.raises(ArgumentError, match="the E-step reads all rows"):
        PreferenceMixtureTrainer(gpt2(0), args=dpo(hf, settings), train_dataset=stream, processing_class=tokenizer)
    with pytest.raises(ArgumentError, match="needs rows"):
        PreferenceMixtureTrainer(gpt2(0), args=dpo(hf, settings), processing_class=tokenizer)


def test_without_trl_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "trl", None)

    class Own(PreferenceMixtureTrainer):
        pass

    with pytest.raises(MissingDependencyError, match=r'^trl is not installed; pip install "annosim\[hf\]"$'):
        Own("model")


PROGRAM = """
import os
import sys

import annosim as an
import datasets
import transformers
import trl

folder, processes = sys.argv[1], int(os.environ.get("WORLD_SIZE", "1"))
model = transformers.AutoModelForCausalLM.from_pretrained(folder + "/tiny")
for name, p in model.named_parameters():
    p.requires_grad_("h.1.mlp" in name)
rows = datasets.Dataset.from_json(folder + "/rows.jsonl", keep_in_memory=True)
args = trl.DPOConfig(
    f"{folder}/of{processes}", beta=0.5, max_steps=6, learning_rate=1e-3, per_device_train_batch_size=24 // processes,
    max_grad_norm=0.0, report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False, save_strategy="no",
    disable_tqdm=True, seed=0,
)
trainer = an.trl.PreferenceMixtureTrainer(
    model, args=args, train_dataset=rows, em=an.EM(e_step_every=3),
    processing_class=transformers.AutoTokenizer.from_pretrained(folder + "/tiny"),
)
trainer.train()
print("found", *trainer.weights, *trainer.log_likelihoods)
"""


@pytest.mark.slow
def test_two_processes_find_the_types_of_one(hf, tokenizer, gpt2, records, tmp_path):
    gpt2(0).save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(an.__file__).parents[1])}
    found = []
    for launcher in ([], ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port]):
        command = [sys.executable, *launcher, "program.py", str(tmp_path)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        said = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("found")]
        found += [list(map(float, one)) for one in said]
    assert len(found) == 3 and len(found[0]) == 2 + 3
    for one in found[1:]:
        assert one == pytest.approx(found[0], abs=1e-5)
