"""What surrounds a training run: checkpoints, Ctrl-C, logs, held-out annotators, batches that went wrong."""

import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError, FileReadError, TrainingError
from annosim.learning.solvers.settings import Adam
from annosim.learning.training.run import TrainingRun, train


def network(seed=0, dtype=torch.float32):
    return an.Annotator(an.Network([8, 8], dim=1, seed=seed, dtype=dtype), an.Luce())


KILLED = [
    {},
    {"batch": 100},
    {"batch": 70, "accumulate": 2, "held_out": 0.2, "evaluate_every": 4, "warmup": 5, "weight_decay": 0.1},
]


@pytest.mark.parametrize("settings", KILLED, ids=["full", "minibatches", "everything"])
def test_a_killed_run_resumes_and_ends_as_if_nothing_had_happened(world, tmp_path, monkeypatch, settings):
    items, truth, design = world
    data = an.simulate(truth, design, seed=4)
    whole = train(network(), data, solver=Adam(steps=40, lr=1e-2, **settings))
    options = Adam(steps=40, lr=1e-2, **settings, checkpoint=tmp_path / "run.pt", checkpoint_every=15)
    original = TrainingRun.one_step

    def killed(self):
        if self.step == 22:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(TrainingRun, "one_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(network(), data, solver=options)
    monkeypatch.setattr(TrainingRun, "one_step", original)
    resumed = train(network(), data, solver=options)
    assert torch.equal(resumed.populations[0].vector(), whole.populations[0].vector())
    assert torch.equal(resumed.log.losses(), whole.log.losses())
    with pytest.raises(ArgumentError, match="another run"):
        train(network(), data, solver=replace(options, steps=41))
    with pytest.raises(ArgumentError, match="same rows"):
        train(network(), an.simulate(truth, design, seed=5), solver=options)
    (tmp_path / "run.pt").write_bytes(b"nonsense")
    with pytest.raises(FileReadError, match=r"run\.pt"):
        train(network(), data, solver=options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.pt"]


@pytest.mark.parametrize("settings", KILLED, ids=["full", "minibatches", "everything"])
def test_ctrl_c_keeps_the_step_at_which_it_came(world, tmp_path, monkeypatch, settings):
    """Wherever in a step the signal comes, the step is finished, written, and never taken again."""
    items, truth, design = world
    data = an.simulate(truth, design, seed=4)
    whole = train(network(), data, solver=Adam(steps=40, lr=1e-2, **settings))
    options = Adam(steps=40, lr=1e-2, **settings, checkpoint=tmp_path / "run.pt", checkpoint_every=1000)
    original, seen = TrainingRun.one_step, []

    def struck(self):
        seen.append(self.step)
        if len(seen) == 18:
            signal.raise_signal(signal.SIGINT)
        return original(self)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        monkeypatch.setattr(TrainingRun, "one_step", struck)
        with pytest.raises(KeyboardInterrupt):
            train(network(), data, solver=options)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        resumed = train(network(), data, solver=options)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == list(range(40))
    assert torch.equal(resumed.populations[0].vector(), whole.populations[0].vector())
    assert torch.equal(resumed.log.losses(), whole.log.losses())


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 200, "lr": 5e-2, "held_out": 0.3, "evaluate_every": 2, "patience": 1},
        {"steps": 2000, "lr": 5e-2, "tolerance": 1e-2},
        {"steps": 3, "final": False},
    ],
    ids=["held out", "gradient", "schedule"],
)
def test_a_run_that_ended_is_over_when_it_is_run_again(world, tmp_path, settings):
    items, truth, design = world
    data = an.simulate(truth, design, seed=4)
    options = Adam(**settings, checkpoint=tmp_path / "run.pt")
    ended, again = (train(network(), data, solver=options) for _ in range(2))
    assert (again.steps, again.stopped_by) == (ended.steps, ended.stopped_by)
    assert ended.steps < settings["steps"] or ended.stopped_by == "schedule"
    assert torch.equal(again.populations[0].vector(), ended.populations[0].vector())


def test_no_other_run_resumes_from_a_checkpoint(world, tmp_path):
    items, truth, design = world
    data = an.simulate(truth, design, seed=4).with_(columns={"judged": np.full(600, 0.75)})
    near, far = (an.LogDensity(lambda x, c=c: -((x[:, 0] - c) ** 2)) for c in (0.0, 0.1))
    learned = an.LogDensity(an.Network([4], dim=1, seed=3))  # a reference with numbers of its own

    def run(rule=None, data=data, regulariser=None, seed=0):
        model = an.Annotator(an.LogDensity(an.Network([4], dim=1, seed=seed)), rule or an.PBDE.dpo(1.0, near))
        options = Adam(steps=2, checkpoint=tmp_path / "run.pt")
        return train(
            model, data, an.objectives.SoftLabels(), regulariser or an.objectives.ForwardKL(near, 0.5), options
        )

    whole = run()
    assert torch.equal(run(seed=1).populations[0].vector(), whole.populations[0].vector())  # it brings its own start
    others = {
        "model": [
            {"rule": rule}
            for rule in (
                an.PBDE.dpo(0.1, near),
                an.PBDE.dpo(1.0, far),
                an.PBDE.dpo(1.0, learned),
                an.Luce(),
                an.Luce(2.0),
            )
        ],
        "regulariser": [
            {"regulariser": an.objectives.ForwardKL(*one)} for one in ((near, 0.6), (far, 0.5), (learned, 0.5))
        ],
        "rows": [{"data": data.with_(columns={"judged": np.full(600, 0.25)})}],
        "items": [{"data": data.with_(items=items.with_(features=items.features * 2))}],
    }
    for name, changes in others.items():
        for change in changes:
            with pytest.raises(ArgumentError, match=f"same {name}"):
                run(**change)


def test_every_step_is_in_the_log(world, tmp_path):
    items, truth, design = world
    data = an.simulate(truth, design, seed=4)
    options = Adam(steps=12, lr=1e-2, warmup=4, held_out=0.2, evaluate_every=3, log=tmp_path / "log.parquet")
    done = train(network(), data, solver=options)
    log = pd.read_parquet(tmp_path / "log.parquet")
    assert list(log["step"]) == list(range(12))
    assert np.allclose(log["loss"], done.log.losses()[:, 0])
    assert np.allclose(log["learning_rate"], [options.rate(s) for s in range(12)])
    assert log["held_out"].notna().sum() == 4


def test_early_stopping_gives_back_the_best_parameters(world):
    items, truth, design = world
    noise = an.simulate(an.Annotator(an.Tabular(31), an.Luce()), an.Design(items, annotators=60), seed=0)
    wide = an.Annotator(an.Network([64, 64], dim=1), an.Luce())
    done = train(wide, noise, solver=Adam(steps=2000, lr=3e-2, held_out=0.5, patience=3, evaluate_every=10))
    assert done.stopped_by == "held out"
    assert done.steps < 2000
    best = min(float(v) for v in done.log.held_out.values())
    assert float(done.held_out_loss) == pytest.approx(best, rel=1e-6)


def test_a_loss_that_is_not_finite_stops_and_saves_the_batch(world, tmp_path):
    items, truth, design = world
    model = network()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    options = Adam(steps=5, checkpoint=tmp_path / "run.pt")
    with pytest.raises(TrainingError, match="not finite at step 0"):
        train(model, an.simulate(truth, design, seed=0), solver=options)
    saved = torch.load(tmp_path / "bad-batch-step-0.pt", weights_only=True)
    assert saved["menu"].shape == (600, 2)


def test_files_that_cannot_be_written_are_refused_before_the_first_step(world, tmp_path):
    items, truth, design = world
    (tmp_path / "file").touch()
    for name in ("log", "checkpoint"):
        with pytest.raises(ArgumentError, match="cannot be written"):
            train(network(), an.simulate(truth, design, seed=4), solver=Adam(**{name: tmp_path / "file" / "run"}))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_batch_of_more_than_all_is_all_and_the_speed_is_recorded(world):
    items, truth, design = world
    data = an.simulate(truth, design, seed=0)
    all_of_them, more = (train(network(), data, solver=Adam(steps=3, lr=1e-2, batch=b)) for b in (None, 10**6))
    assert torch.equal(all_of_them.log.losses(), more.log.losses())
    assert more.settings["speed"]["steps_per_second"] > 0


def test_held_out_annotators_are_looked_at_at_the_end_and_an_early_end_is_no_failure(world, recwarn):
    items, truth, design = world
    data = an.simulate(truth, design, seed=4)
    short = an.fit(network(), data, solver=an.Adam(steps=7, lr=1e-2, held_out=0.2))  # fewer steps than the interval
    assert list(short.training.log.held_out) == [6]
    early = an.fit(network(), data, solver=an.Adam(steps=400, lr=5e-2, held_out=0.3, evaluate_every=2, patience=1))
    assert early.stopped_by == "held out" and not [w for w in recwarn if "did not converge" in str(w.message)]


def test_the_held_out_loss_is_the_weighted_mean_over_those_held_out(world):
    from annosim.random import torch_generator

    items, truth, design = world
    data = an.simulate(truth, an.Design(items, annotators=50), seed=4)
    data = data.with_(weight=np.linspace(0.1, 3.0, 50))
    done = train(network(dtype=torch.float64), data, solver=Adam(steps=4, held_out=0.2, evaluate_every=4), seed=3)
    held = torch.randperm(50, generator=torch_generator(3, "held out"))[:10].numpy()
    u = done.populations[0].index(items).detach().numpy()
    score = u[data.menu[held]]
    chosen = score[np.arange(10), data.answer.reshape(50, -1)[held, 0]]
    loss = np.average(np.logaddexp.reduce(score, 1) - chosen, weights=data.weight[held])
    assert float(done.held_out_loss[0]) == pytest.approx(loss, abs=1e-9)
