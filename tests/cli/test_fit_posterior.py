"""`annosim fit --posterior`: the table, the prior in use, exit codes, and what does not go together."""

import pandas as pd
import pytest

from annosim.cli import main

pytestmark = pytest.mark.bayes


@pytest.fixture
def votes(tmp_path):
    rows = ["worker,left,right,winner"]
    rows += [f"w{i % 4},tea,milk,{'left' if i % 3 else 'right'}" for i in range(24)]
    rows += [f"w{i % 4},milk,juice,{'left' if i % 2 else 'right'}" for i in range(12)]
    path = tmp_path / "votes.csv"
    path.write_text("\n".join(rows) + "\n")
    return str(path)


READ = ["--format", "pairs", "--annotator", "worker", "--left", "left", "--right", "right", "--winner", "winner"]


def test_a_table_with_the_prior_in_use(votes, tmp_path, capsys):
    assert main(["fit", votes, *READ, "--posterior", "--out", str(tmp_path / "table.csv")]) == 0
    said = capsys.readouterr().out
    assert "prior: gaussian=2" in said and "the data moved this" in said and "may be trusted" in said
    assert set(pd.read_csv(tmp_path / "table.csv")["item"]) == {"tea", "milk", "juice"}


def test_a_prior_of_ones_own(votes, capsys):
    assert main(["fit", votes, *READ, "--posterior", "--prior", "gaussian=0.5"]) == 0
    assert "Gaussian(sd=0.5)" in capsys.readouterr().out


@pytest.mark.parametrize("more", [("--se", "hessian"), ("--solver", "newton"), ("--save", "fit.pt")])
def test_what_means_nothing_is_refused(votes, more, capsys):
    assert main(["fit", votes, *READ, "--posterior", *more]) == 2
    assert f"{more[0]}: means nothing with --posterior" in capsys.readouterr().err
