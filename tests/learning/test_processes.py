"""Training on two processes (gloo, CPU) is training on one: every loss to 1e-6, whatever the batches and the solver."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import annosim as an
from annosim.errors import ArgumentError, DeviceError, MissingDependencyError
from annosim.learning.training import processes
from annosim.learning.training.processes import Alone, processes_for

HERE = Path(__file__).parent


def program():
    spec = importlib.util.spec_from_file_location("two_processes", HERE / "two_processes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


two_processes = program()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def started(folder, rank, port):
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    env = {**os.environ, **{name: str(value) for name, value in own.items()}, "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(Path(an.__file__).parents[1]), env.get("PYTHONPATH", "")])
    command = [sys.executable, str(HERE / "two_processes.py"), str(folder)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What one process finds, and what each of two finds; the programs start once, which is most of their time."""
    pytest.importorskip("accelerate", reason="pip install annosim[hf]")
    alone, folder = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("two")
    settings = an.Adam(steps=9, lr=1e-2, batch=4, checkpoint=folder / "c", checkpoint_every=4)
    interrupt_after(settings, 5)
    shutil.copy(folder / "c", alone / "c")
    port = free_port()
    programs = [started(folder, rank, port) for rank in (0, 1)]
    one = {case: two_processes.trained(case, alone) for case in two_processes.CASES}
    told = [program.communicate(timeout=120)[0] for program in programs]
    assert all(program.returncode == 0 for program in programs), told[0][-2000:] + told[1][-2000:]
    return one, [np.load(folder / f"process{rank}.npz") for rank in (0, 1)]


def interrupt_after(settings, steps):
    """A run on one process that ends like one that was killed, after its last checkpoint."""
    run = processes_run(settings)
    before = type(run).one_step

    class Killed(Exception):
        pass

    def step(self):
        if self.step == steps:
            raise Killed
        return before(self)

    run.one_step = step.__get__(run)
    with pytest.raises(Killed):
        run.run()


def processes_run(settings):
    from annosim.learning.objectives import NLL
    from annosim.learning.training.run import TrainingRun

    model = two_processes.dpo(two_processes.language_model(1))
    return TrainingRun(model, two_processes.people(), NLL(), None, settings, 1, 0, None)


@pytest.mark.parametrize("case", two_processes.CASES)
def test_two_processes_give_the_losses_of_one(case, both):
    one, two = both
    losses, numbers = one[case]
    assert len(losses) > 5 and np.isfinite(losses).all() and np.isfinite(numbers).all()
    for found in two:
        assert np.abs(found[f"{case} losses"] - losses).max() < 1e-6
        assert np.abs(found[f"{case} numbers"] - numbers).max() < 1e-5
    for kind in ("losses", "numbers"):  # both processes hold the same bits
        assert np.array_equal(two[0][f"{case} {kind}"], two[1][f"{case} {kind}"])


def test_processes_that_begin_at_different_models_are_refused(both):
    for found in both[1]:
        assert "do not begin at the same model" in str(found["refused"])


def test_several_processes_without_accelerate_name_the_extra(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert type(processes_for(an.Adam(), None)) is Alone  # one process needs nothing
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(MissingDependencyError, match=r"annosim\[hf\]"):
        processes_for(an.Adam(), None)


@pytest.fixture
def launched(monkeypatch):
    """One process that a launcher started: accelerate's settings come from its variables."""
    accelerate = pytest.importorskip("accelerate", reason="pip install annosim[hf]")
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    yield monkeypatch
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)


def test_one_launched_process_trains_as_one_that_was_not(launched, tmp_path):
    found = two_processes.trained("batches", tmp_path)
    launched.delenv("ACCELERATE_MIXED_PRECISION")
    for mine, plain in zip(found, two_processes.trained("batches", tmp_path), strict=True):
        assert np.abs(mine - plain).max() < 1e-6


def test_precision_is_that_of_the_launcher(launched):
    launched.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert processes_for(an.Adam(), None).half(torch.device("cpu")) is torch.bfloat16
    with pytest.raises(ArgumentError, match="precision='float32', and accelerate is configured for bf16"):
        processes_for(an.Adam(precision="float32"), None)


@pytest.mark.parametrize(
    ("variable", "name"), [("ACCELERATE_USE_FSDP", "FSDP"), ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed")]
)
def test_a_model_in_parts_is_refused_by_name(launched, variable, name):
    launched.setenv(variable, "true")
    with pytest.raises(ArgumentError, match=f"holds the whole model .* configured for {name}; launch with --multi_gpu"):
        processes_for(an.Adam(), None)


def test_a_launcher_that_started_one_process_where_several_were_asked_for_is_spoken_of(launched):
    launched.setenv("MASTER_PORT", "29500")  # what accelerate launch --cpu --num_processes 2 leaves behind
    with pytest.warns(UserWarning, match="--cpu starts one process"):
        assert processes_for(an.Adam(), None).count == 1


def test_a_device_of_another_kind_is_refused(launched):
    with pytest.raises(DeviceError, match="accelerate placed this process on cpu"):
        processes_for(an.Adam(), "cuda").place("cuda", torch.nn.Linear(1, 1))


def test_a_penalty_of_what_is_shown_is_refused_on_several(monkeypatch):
    monkeypatch.setattr(Alone, "count", 2)
    model = an.Annotator(an.LogPolicy(two_processes.language_model(0)), an.Luce())
    kept = an.objectives.ForwardKL(an.LogPolicy(two_processes.language_model(1)), 1.0, shown=True)
    with pytest.raises(ArgumentError, match="ForwardKL"):
        an.fit(model, two_processes.people(), regulariser=kept, solver=an.Adam(steps=1))


def test_what_several_processes_say_is_said_once(monkeypatch, capsys):
    from annosim import cli
    from annosim.cli.launched import one_voice

    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("RANK", "1")
    with one_voice():
        print("nothing")
    assert capsys.readouterr().out == ""
    assert cli.main(["fit", "nowhere.csv"]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("annosim: process 1: ") and len(told.err.splitlines()) == 1


@pytest.mark.slow
def test_torchrun_trains_a_file(tmp_path):
    """The command of the page, on two processes: one report, one file, and the losses of a run on one."""
    pytest.importorskip("accelerate", reason="pip install annosim[hf]")
    rows = [{"x": float(i % 5), "y": float(i % 3)} for i in range(8)]
    (tmp_path / "net.toml").write_text(
        f"items = {{ kind = 'inline', features = {json.dumps([[r['x'], r['y']] for r in rows])} }}\n"
        "[[population.types]]\nutility = { kind = 'linear', weights = [1.0, -1.0] }\n"
        "[[model.types]]\nutility = { kind = 'network', widths = [4], dim = 2 }\n"
        "[design]\nannotators = 30\nquestions = 3\n",
        encoding="utf-8",
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(an.__file__).parents[1])}

    def call(*command):
        done = subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    call("annosim", "simulate", "net.toml", "--out", "votes", "--seed", "1")
    options = ["fit", "votes", "--model", "net.toml", "--steps", "20", "--lr", "0.01"]
    one = call("annosim", *options, "--save", "one.pt")
    launcher = ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    two = call(*launcher, "-m", "annosim", *options, "--save", "two.pt")
    assert two.count("trained for 20 of 20 steps") == 1 == one.count("trained for 20 of 20 steps")
    losses = [an.Fit.load(tmp_path / name).trace for name in ("one.pt", "two.pt")]
    assert np.allclose(*losses, rtol=1e-6, atol=1e-6)
    assert processes.started_by_launcher() is False
