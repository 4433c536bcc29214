"""What a new user copies from the README runs, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import annosim as an
from annosim import cli

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The first block of the README in this language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)[0]


def test_ten_lines_of_python():
    names: dict = {}
    exec(compile(block("python"), "README.md", "exec"), names)
    assert names["fit"].converged and names["data"].rows == 10_000
    assert names["score"].total_variation < 0.1 and names["report"].verdict == "locally_identified"


def test_hidden_types_of_a_language_model():
    pytest.importorskip("transformers")
    names: dict = {}
    (text,) = [one for one in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "with_adapters" in one]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(text, "README.md", "exec"), names)
    assert names["fit"].solver == "em" and names["score"].adjusted_rand > 0.8


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["simulate"], "10000 rows"),
        (["identify", "--starts", "2"], "5 of 5 knowable parameters"),
        (["plan", "--starts", "0"], "cheapest"),
    ],
)
def test_the_scenario_is_read_by_the_commands(words, told, tmp_path, capsys):
    path = tmp_path / "SCENARIO.toml"
    path.write_text(block("toml"), encoding="utf-8")
    assert cli.main([words[0], str(path), *words[1:]]) == 0
    assert told in capsys.readouterr().out


def test_every_command_of_the_table_exists():
    commands = re.findall(r"`annosim (\w+)", README)
    assert set(commands) == set(cli.GROUPS) and an.__doc__
