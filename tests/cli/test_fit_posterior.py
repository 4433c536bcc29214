"""`annosim fit --posterior`: the table, the prior in use, exit codes, and what does not go together."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from annosim.cli import app

for name in ("nutpie", "arviz_stats", "xarray"):
    pytest.importorskip(name, reason="the extra bayes")


@pytest.fixture
def votes(tmp_path):
    rows = ["worker,left,right,winner"]
    rows += [f"w{i % 4},tea,milk,{'left' if i % 3 else 'right'}" for i in range(24)]
    rows += [f"w{i % 4},milk,juice,{'left' if i % 2 else 'right'}" for i in range(12)]
    path = tmp_path / "votes.csv"
    path.write_text("\n".join(rows) + "\n")
    return str(path)


READ = ["--format", "pairs", "--annotator", "worker", "--left", "left", "--right", "right", "--winner", "winner"]


def ask(votes, *more):
    return CliRunner().invoke(app, ["fit", votes, *READ, *more])


def test_a_table_with_the_prior_in_use(votes, tmp_path):
    found = ask(votes, "--posterior", "--out", str(tmp_path / "table.csv"))
    assert found.exit_code == 0, found.output
    assert (
        "prior: gaussian=2" in found.output
        and "the data moved this" in found.output
        and "may be trusted" in found.output
    )
    table = pd.read_csv(tmp_path / "table.csv")
    assert set(table["item"]) == {"tea", "milk", "juice"}


def test_a_prior_of_ones_own(votes):
    found = ask(votes, "--posterior", "--prior", "gaussian=0.5")
    assert found.exit_code == 0 and "Gaussian(sd=0.5)" in found.output


@pytest.mark.parametrize("more", [("--se", "hessian"), ("--solver", "newton"), ("--save", "fit.pt")])
def test_what_means_nothing_is_refused(votes, more):
    found = ask(votes, "--posterior", *more)
    assert found.exit_code == 2 and f"{more[0]}: means nothing with --posterior" in found.output
