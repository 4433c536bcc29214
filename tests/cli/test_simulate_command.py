"""annosim simulate: a summary, one file, or shards that resume."""

import pytest

import annosim as an
from annosim.cli import main
from annosim.io.shards import open_shards

SCENARIO = """
seed = 3
items = { kind = "normal", n = 6, dim = 2 }
population = { types = [ { utility = { kind = "linear", weights = [1.0, 0.0] } } ] }
design = { annotators = 50, questions = 2 }
"""


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(SCENARIO)
    return str(path)


def test_without_out_a_summary_is_printed(scenario, capsys):
    assert main(["simulate", scenario]) == 0
    assert "PreferenceData(100 rows" in capsys.readouterr().out


def test_one_file(scenario, tmp_path):
    out = tmp_path / "votes.parquet"
    assert main(["simulate", scenario, "--out", str(out), "--rows", "1e3", "--seed", "9"]) == 0
    data = an.io.read_parquet(out)
    assert data.rows == 1000 and data.settings["seed"] == 9


def test_one_csv_file_is_what_fit_reads(scenario, tmp_path, capsys):
    out = tmp_path / "votes.csv"
    assert main(["simulate", scenario, "--out", str(out)]) == 0
    data = an.io.read(out)
    assert data.rows == 100 and data.settings["format"] == "pairs" and data.num_annotators == 50
    three = tmp_path / "three.toml"
    three.write_text(SCENARIO.replace("annotators = 50", "menu_size = 3, feedback = 'ranking', annotators = 50"))
    assert main(["simulate", str(three), "--out", str(out)]) == 0
    assert an.io.read(out).feedback.kind == "ranking"
    capsys.readouterr()
    for ending in (".jsonl", ".parquet.gz", ".txt"):
        assert main(["simulate", scenario, "--out", str(tmp_path / f"votes{ending}")]) == 2
        assert "NAME.csv" in capsys.readouterr().err
    assert {file.name for file in tmp_path.iterdir()} == {"s.toml", "three.toml", "votes.csv"}


def test_shards_resume(scenario, tmp_path, capsys):
    out = tmp_path / "votes"
    command = ["simulate", scenario, "--out", str(out), "--rows", "1e3", "--shard-rows", "256"]
    assert main(command) == 0
    (out / "part-000001.parquet").unlink()
    assert main(command) == 0
    assert "were there from before" in capsys.readouterr().out
    assert open_shards(out).rows == 1000


def test_counts(scenario, capsys):
    assert main(["simulate", scenario, "--counts", "--rows", "1e9"]) == 0
    assert "1000000000 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rows", "1.5"],
        ["--rows", "many"],
        ["--seed", "-1"],
        ["--threads", "0"],
        ["--out", "s.toml/x", "--shard-rows", "0"],
    ],
)
def test_bad_input_is_one_line(scenario, arguments, capsys):
    assert main(["simulate", scenario, *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_list(capsys):
    assert main(["simulate", "--list"]) == 0
    assert "luce" in capsys.readouterr().out


def test_no_scenario(capsys):
    assert main(["simulate"]) == 2
    assert "scenario" in capsys.readouterr().err
