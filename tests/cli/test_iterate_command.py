"""``annosim iterate``: the rounds of the library's own function, its files, and bad input in one line."""

import numpy as np
import pandas as pd
import pytest

import annosim as an
from annosim.cli import main

SCENARIO = """
seed = 3
items = { kind = "inline", n = 3 }
[[population.types]]
weight = 0.6
utility = { kind = "tabular", values = [0.0, 2.0, -1.0] }
[[population.types]]
weight = 0.4
utility = { kind = "tabular", values = [0.0, -2.0, 1.0] }
[iterate]
rounds = 3
"""


def run(folder, lines, *options):
    file = folder / "scenario.toml"
    file.write_text(SCENARIO + lines, encoding="utf-8")
    return main(["iterate", str(file), *options])


@pytest.mark.parametrize(
    ("lines", "arguments"),
    [
        ("start = [0.2, 0.3, 0.5]\nreference = 'fixed'\nbeta = 0.5", {"reference": "fixed", "beta": 0.5}),
        ("answers = 50\nprior = 2.0\nkeep = true\nmixing = 0.5", {"answers": 50, "keep": True, "mixing": 0.5}),
        ("best_of = 3\nmenu_size = 3", {"menu_size": 3}),
    ],
)
def test_a_scenarios_rounds_are_those_of_the_library(lines, arguments, tmp_path, capsys):
    assert run(tmp_path, lines, "--out", str(tmp_path / "rounds.csv"), "--html", str(tmp_path / "page.html")) == 0
    kinds = [an.Annotator(an.Tabular(v), an.Luce()) for v in ([0.0, 2.0, -1.0], [0.0, -2.0, 1.0])]
    start = an.LogDensity(an.Tabular(np.log([0.2, 0.3, 0.5] if "start" in lines else np.ones(3))))
    if "best_of" in lines:
        arguments |= {"improve": lambda before, reward: an.policies.best_of_n(before, reward, 3)}
    if "prior" in lines:
        arguments |= {"prior": an.priors.Gaussian(2.0)}
    expected = an.iterate(an.Mixture(kinds, [0.6, 0.4]), start, an.Items(n=3), 3, seed=3, **arguments)
    written = pd.read_csv(tmp_path / "rounds.csv")
    assert written["mass"].to_numpy() == pytest.approx(expected.mass.ravel(), abs=1e-12)
    assert "KL to the start" in capsys.readouterr().out
    assert "After 3 rounds" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("start = [1.0, 2.0]", "iterate.start: 3 positive probabilities"),
        ("start = [1.0, 2.0, 0.0]", "iterate.start: 3 positive probabilities"),
        ("rouns = 2", "did you mean 'rounds'"),
        ("mixing = 2.0", "iterate.mixing"),
        ("answers = 2", "estimate does not exist"),
    ],
)
def test_bad_input_is_one_line(lines, says, tmp_path, capsys):
    assert run(tmp_path, lines, "--out", str(tmp_path / "rounds.csv")) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("annosim: ") and says in told
    assert not (tmp_path / "rounds.csv").exists()


def test_named_items_have_their_names_in_the_table_and_other_formats_are_refused(tmp_path, capsys):
    file = tmp_path / "named.toml"
    file.write_text(SCENARIO.replace("n = 3", 'names = ["tea", "milk", "juice"]'), encoding="utf-8")
    assert main(["iterate", str(file), "--out", str(tmp_path / "rounds.csv")]) == 0
    assert "juice" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "rounds.csv")["item"].tolist() == ["tea", "milk", "juice"] * 4
    for option, name in (("--out", "r.xlsx"), ("--html", "r.pdf")):
        assert main(["iterate", str(file), option, str(tmp_path / name)]) == 2
        assert f"{name}: not written; give a name that ends in ." in capsys.readouterr().err
