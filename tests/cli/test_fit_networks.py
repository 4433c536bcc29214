"""``annosim fit`` with networks: every option of training reaches ``an.fit``, and mistakes are one line."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

import annosim as an
from annosim import cli
from annosim.cli.training import OPTIONS
from annosim.scenario.training import FitTable

COLUMNS = "--format pairs --annotator worker --left left --right right --winner winner".split()
ITEMS = "[items]\nkind = 'normal'\nn = 6\ndim = 2\n"
NETWORK = "utility = { kind = 'network', widths = [4], dim = 2, seed = %d }\n"
ONE = ITEMS + "[[model.types]]\n" + NETWORK % 0
TWO = ONE + "[[model.types]]\n" + NETWORK % 1
DENSITY = ITEMS + (
    "[[model.types]]\nutility = { kind = 'log_density', energy = { kind = 'network', widths = [4], dim = 2 } }\n"
    "rule = { kind = 'dpo', beta = 0.5, reference = 'start' }\n"
)


@pytest.fixture
def fit(tmp_path, monkeypatch, capsys):
    """Run the command in a folder with votes and models; returns (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    truth = an.Mixture([an.Annotator(an.Linear([s, 0.5]), an.Luce()) for s in (2.0, -2.0)])
    data = an.simulate(truth, an.Design(an.Items.normal(6, 2), annotators=12, questions=6), seed=0)
    rows = [
        f"w{w},{i},{j},{['left', 'right'][a]},{0.3 + 0.05 * (w % 9)}"
        for w, (i, j), a in zip(data.annotator, data.menu, data.answer, strict=True)
    ]
    (tmp_path / "votes.csv").write_text("\n".join(["worker,left,right,winner,judged", *rows]), encoding="utf-8")
    for name, text in (("one", ONE), ("two", TWO), ("density", DENSITY)):
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")

    def run(model, *more):
        code = cli.main(["fit", "votes.csv", *COLUMNS, "--model", f"{model}.toml", *map(str, more)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def settings_of(tmp_path):
    kept = an.Fit.load(tmp_path / "fit.pt").settings
    return kept | {f.name: getattr(kept["solver"], f.name) for f in fields(kept["solver"])}


def test_every_option_of_every_solver_is_an_option_of_the_command_and_a_key_of_the_table(capsys):
    solvers = (an.Newton, an.LBFGS, an.learning.SimulatedLikelihood, an.Adam, an.EM)
    plain = {"objective", "regulariser", "prior", "solver", "starts", "seed", "device"}
    assert set(OPTIONS) == {f.name for one in solvers for f in fields(one)} | plain == set(FitTable.model_fields)
    assert cli.main(["fit", "--help"]) == 0
    told = capsys.readouterr().out
    assert [name for name in OPTIONS if f"--{name.replace('_', '-')} " not in told] == []


def test_numbers_reach_the_trainer_under_their_python_names(fit, tmp_path):
    given = {
        "steps": 6,
        "lr": 0.01,
        "batch": 5,
        "warmup": 2,
        "weight_decay": 0.1,
        "accumulate": 2,
        "held_out": 0.25,
        "patience": 3,
        "evaluate_every": 2,
        "precision": "float32",
        "checkpoint_every": 3,
        "starts": 2,
        "seed": 7,
    }
    more = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    files = ["--log", "log.parquet", "--checkpoint", "run.pt", "--save", "fit.pt", "--out", "scores.csv"]
    code, out, _ = fit("one", *more, *files, "--no-progress", "--device", "cpu")
    assert code == 0 and "trained for 6 of 6 steps on cpu" in out and "held-out loss per annotator" in out
    kept = settings_of(tmp_path)
    assert {name: kept[name] for name in given} == given and kept["progress"] is False
    assert len(pd.read_parquet(tmp_path / "log.parquet")) == 6 and (tmp_path / "run.pt").exists()
    scores = pd.read_csv(tmp_path / "scores.csv")
    found = an.Fit.load(tmp_path / "fit.pt")
    u = found.population.utility(found.problem.items).detach().double().numpy()
    assert np.allclose(scores["score"], u - u.mean(), atol=1e-6)
    assert not [p.name for p in tmp_path.iterdir() if p.suffix in (".part", ".tmp", ".partial")]


def test_a_run_that_was_stopped_resumes(fit, tmp_path):
    more = ("--lr", 0.01, "--batch", 5, "--steps", 8)
    assert fit("one", *more, "--save", "whole.pt")[0] == 0
    assert fit("one", *more, "--checkpoint", "run.pt", "--log", "log.parquet")[0] == 0
    assert fit("one", *more, "--checkpoint", "run.pt", "--save", "again.pt")[0] == 0
    whole, again = (an.Fit.load(tmp_path / f"{name}.pt").population.vector() for name in ("whole", "again"))
    assert np.array_equal(whole.detach().numpy(), again.detach().numpy())
    code, _, error = fit("one", "--lr", 0.02, "--batch", 5, "--steps", 8, "--checkpoint", "run.pt")
    assert code == 2 and "belongs to another run" in error


def test_a_mixture_is_trained_by_em(fit, tmp_path):
    more = (
        "--steps 8 --lr 0.05 --e-step-every 2 --temperature 2 --anneal 0.5 --warm-start pooled --warm-steps 3".split()
    )
    files = ("--responsibilities", "who.csv", "--save", "fit.pt")
    code, out, _ = fit("two", *more, *files, "--perturbation", 0.1, "--hard")
    assert code == 0 and "type 0, weight" in out and "type 1, weight" in out and "solver          em" in out
    kept = settings_of(tmp_path)
    assert (kept["e_step_every"], kept["hard"], kept["warm_start"]) == (2, True, "pooled")
    who = pd.read_csv(tmp_path / "who.csv")
    assert sorted(who["annotator"]) == sorted(f"w{i}" for i in range(12))
    assert np.allclose(who[["type_0", "type_1"]].sum(axis=1), 1)
    code, _, _ = fit("two", "--steps", 2, "--warm-start", "fit.pt", "--m-step", "line-search")
    assert code == 0


@pytest.mark.parametrize(
    ("model", "text", "expected"),
    [
        ("one", "nll,label_smoothing=0.1", an.objectives.NLL(0.1)),
        ("one", "ipo=0.5", an.objectives.IPO(0.5)),
        ("one", "slic=0.5", an.objectives.SLiC(0.5)),
        ("one", "margin=unsigned,alpha=0.5", an.objectives.Margin("unsigned", "judged", 0.5)),
        ("one", "soft_labels=judged", an.objectives.SoftLabels("judged")),
        ("density", "slic", an.objectives.SLiC()),
    ],
)
def test_objectives(fit, tmp_path, model, text, expected):
    pull = ("--regulariser", "forward_kl=0.2") if model == "density" else ()
    assert fit(model, "--steps", 2, "--objective", text, *pull, "--save", "fit.pt")[0] == 0
    kept = settings_of(tmp_path)
    assert kept["objective"] == repr(expected) and bool(pull) == (kept["regulariser"] is not None)


def test_another_objective_has_no_standard_errors_of_the_likelihood(fit, tmp_path, capsys):
    command = ["fit", "votes.csv", *COLUMNS, "--objective", "ipo=0.5"]
    assert cli.main([*command, "--out", "scores.csv", "--save", "fit.pt"]) == 0
    assert "standard errors" not in capsys.readouterr().out
    found = an.Fit.load(tmp_path / "fit.pt")
    assert np.allclose(pd.read_csv(tmp_path / "scores.csv")["score"], found.population.utility.values.tolist())
    with pytest.raises(an.errors.ArgumentError, match="IPO.*fit.bootstrap"):
        found.standard_errors()
    assert found.bootstrap(3).shape == (3, 6)
    assert cli.main([*command, "--se", "hessian"]) == 2
    assert "--se hessian: there are none under another objective" in capsys.readouterr().err


def test_options_stand_over_the_table_fit(fit, tmp_path):
    table = "[fit]\nsteps = 5\nlr = 0.01\nlog = 'log.parquet'\nobjective = { kind = 'ipo', tau = 0.5 }\n"
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "own.toml").write_text(ONE + table, encoding="utf-8")
    assert fit("inner/own", "--steps", 3, "--save", "fit.pt")[0] == 0
    kept = settings_of(tmp_path)
    assert (kept["steps"], kept["lr"], kept["objective"]) == (3, 0.01, "IPO(tau=0.5)")
    assert len(pd.read_parquet(tmp_path / "inner" / "log.parquet")) == 3  # paths count from the file


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        ("one", "--steps 0", "--steps 0: a whole number of at least 1"),
        ("one", "--lr -1", "--lr: -1.0; give a finite number above 0"),
        ("one", "--steps 3 --warmup 9", "--warmup 9: more than steps=3"),
        ("one", "--precision fp8", "--precision 'fp8': auto, float32 or bfloat16"),
        ("one", "--device banana", "--device 'banana': such as 'cpu' or 'cuda'"),
        ("one", "--patience 3", "--patience: nothing is held out"),
        ("one", "--checkpoint-every 3", "--checkpoint-every: no checkpoint is written"),
        ("one", "--objective dpo", "--objective: DPO is a type's rule"),
        ("one", "--objective ipoo=1", "did you mean 'ipo'?"),
        ("one", "--objective ipo=-1", "--objective: IPO(tau=): -1"),
        ("one", "--objective ipo,tu=1", "--objective.tu: unknown key; allowed are tau"),
        ("one", "--objective margin=signd", "one of unsigned, signed, inside, constant"),
        ("one", "--steps 2 --objective margin=signed,column=nope", "no column 'nope'"),
        ("one", "--regulariser forward_kl=1", "'start' is the utility as it begins, and Network is no density"),
        ("one", "--e-step-every 5", "--e-step-every: solver 'adam' has no such option"),
        ("one", "--prior gaussian=1", "an.Adam(weight_decay=) instead of a prior="),
        ("one", "--max-iterations 9", "--max-iterations: no solver takes this and 'steps'"),
        ("one", "--se hessian", "--se hessian: a network's weights have no standard errors"),
        ("one", "--responsibilities who.csv", "--responsibilities: there is one type"),
        ("one", "--export folder", "--export: the model has no language model"),
        ("one", "--types 2", "--types: the scenario's model says its types"),
        ("one", "--tokenizer mine", "--tokenizer: no model here reads tokens"),
        ("one", "--ties davidson", "--ties davidson: the scenario's model says its rule"),
        ("one", "--out .", ". is a directory"),
        ("two", "--objective ipo=1", "has no meaning on a mixture of 2 types"),
        ("two", "--temperature 0.5", "--temperature: 0.5; give a finite number of at least 1"),
        ("two", "--m-step line-search --batch 4", "--batch: a line search takes no such thing"),
        ("two", "--warm-start nowhere.pt", "--warm-start: 'pooled' or a file written by --save"),
        ("two", "--anneal 0.5", "--anneal: there is no annealing"),
    ],
)
def test_each_mistake_is_one_line_and_leaves_nothing(fit, tmp_path, model, more, words):
    before = set(tmp_path.iterdir())
    code, _, error = fit(model, *more.split(), *(() if "--steps" in more else ("--steps", 2)))
    assert code == 2 and words in error and error.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("--out o.csv --save o.csv", "--out and --save both name o.csv; give each a file of its own"),
        ("--out o.csv --responsibilities ./o.csv", "--out and --responsibilities both name o.csv"),
        ("--log l.parquet --checkpoint inner/../l.parquet", "--checkpoint and --log both name inner/../l.parquet"),
        ("--save run.pt --checkpoint run.pt", "--save and --checkpoint both name run.pt"),
        ("--out s.csv --log s.csv", "--out and --log both name s.csv"),
        ("--save mine.pt", "--save and own.toml: fit.checkpoint both name mine.pt"),
        ("--out new/s.csv --save new", "--out new/s.csv lies inside --save new, which is written too"),
        ("--out votes.csv", "--out votes.csv: DATA votes.csv is read; give another file to write"),
        ("--log own.toml", "--log own.toml: --model own.toml is read"),
        ("--warm-start f.pt --save f.pt", "--save f.pt: --warm-start f.pt is read"),
    ],
)
def test_outputs_do_not_replace_each_other_or_what_is_read(fit, tmp_path, more, words):
    (tmp_path / "own.toml").write_text(TWO + "[fit]\ncheckpoint = 'mine.pt'\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    code, _, error = fit("own", "--steps", 2, *more.split())
    assert code == 2 and words in error and error.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_data_that_a_scenario_names_are_not_replaced(fit, tmp_path, capsys):
    columns = "columns = { annotator = 'worker', left = 'left', right = 'right', winner = 'winner' }\n"
    (tmp_path / "own.toml").write_text(ONE + "[data]\npath = 'votes.csv'\n" + columns, encoding="utf-8")
    before = (tmp_path / "votes.csv").read_bytes()
    assert cli.main(["fit", "own.toml", "--steps", "2", "--out", "votes.csv"]) == 2
    assert "--out votes.csv: own.toml: data.path votes.csv is read" in capsys.readouterr().err
    assert (tmp_path / "votes.csv").read_bytes() == before
    assert cli.main(["fit", "own.toml", "--steps", "2", "--out", "s.csv"]) == 0


def test_numbers_of_single_items_belong_to_the_items_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "votes.csv").write_text("left,right,winner\nmilk,tea,left\ntea,milk,left\nmilk,tea,right\n")
    (tmp_path / "m.toml").write_text(
        "items = { kind = 'inline', names = ['tea', 'milk'] }\n"  # the file shows milk first
        "[[model.types]]\nutility = { kind = 'tabular', values = [0.0, 0.0] }\n"
        "rule = { kind = 'pbde', g = [5.0, 0.0] }\n"
    )
    words = "--format pairs --left left --right right --winner winner --model m.toml --save fit.pt".split()
    assert cli.main(["fit", "votes.csv", *words]) == 0
    values = an.Fit.load(tmp_path / "fit.pt").population.utility.values.tolist()
    assert values[0] - values[1] == pytest.approx(np.log(2) - 5, abs=1e-6)
