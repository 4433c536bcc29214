"""``annosim identify`` and ``annosim plan``: exit codes, pages, and one line for bad input."""

from __future__ import annotations

import pytest

from annosim.cli import main

SCENARIO = """
seed = 1
[items]
kind = "normal"
n = 6
dim = 2
seed = 0
[[population.types]]
weight = {weight}
utility = {{ kind = "linear", weights = [1.0, 0.3] }}
rule = {{ kind = "luce" }}
[[population.types]]
weight = {rest}
utility = {{ kind = "linear", weights = [{second}] }}
rule = {{ kind = "luce" }}
[design]
menu_size = {size}
[plan]
precision = 0.1
target = "weights"
compare = [{compare}]
"""


def scenario(folder, weight=0.5, second="-1.0, -0.3", size=2, compare="{ menu_size = 3 }, { menu_size = 2 }"):
    path = folder / "scenario.toml"
    path.write_text(
        SCENARIO.format(weight=weight, rest=round(1 - weight, 3), second=second, size=size, compare=compare)
    )
    return path


@pytest.mark.parametrize(
    "settings, code",
    [({}, 3), ({"weight": 0.7}, 4), ({"second": "0.0, 0.0"}, 3), ({"size": 3}, 0), ({"second": "-0.4, 0.9"}, 0)],
)
def test_a_script_can_ask_by_exit_code(tmp_path, capsys, settings, code):
    page = tmp_path / "report.html"
    command = ["identify", str(scenario(tmp_path, **settings)), "--starts", "1", "--html", str(page)]
    assert main(command) == code
    assert "rank of the law" in capsys.readouterr().out
    assert page.read_text().startswith("<!doctype html>") and not list(tmp_path.glob("*.part"))


def test_a_plan_is_printed_and_drawn(tmp_path, capsys):
    page = tmp_path / "plan.html"
    command = ["plan", str(scenario(tmp_path)), "--starts", "0", "--check", "3", "--html", str(page)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "3 simulated" in shown and "promised" in page.read_text()
    assert "cheapest" in shown and "inf" in shown
    assert "data:image/png" in page.read_text()
    assert main(["plan", str(scenario(tmp_path, compare="{ menu_size = 2 }")), "--starts", "0"]) == 3
    for wrong in ("0", "1"):
        assert main(["plan", str(scenario(tmp_path)), "--check", wrong]) == 2
        assert "greater than or equal to 2" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["identify", "plan"])
def test_bad_input_is_one_line_and_exit_code_two(tmp_path, capsys, command):
    path = tmp_path / "bad.toml"
    path.write_text("[items]\nkind = 'normal'\nn = 3\ndim = 1\nwrong_key = 1\n")
    for bad in (path, tmp_path / "missing.toml"):
        assert main([command, str(bad)]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1 and "Traceback" not in message
    path.write_text("[items]\nkind = 'normal'\nn = 3\ndim = 1\n")
    assert main([command, str(path)]) == 2
    assert "[population]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "among, said",
    [
        ("{ types = 2 }", "among 2 types"),
        ("{ types = 3 }", "at least"),
        ("{ any_tastes = { low = -1, high = 1, points = 3 } }", "any tastes on 9 points"),
        ("{ any_tastes = [[1.0, 0.3], [0.0, 1.0]] }", "any tastes on 2 points"),
    ],
)
def test_a_plan_among_other_annotators(tmp_path, capsys, among, said):
    path = scenario(tmp_path, compare="{ menu_size = 3 }")
    path.write_text(path.read_text().replace('"weights"', f'"mean utility"\namong = {among}'))
    assert main(["plan", str(path), "--starts", "0"]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "among, said",
    [
        ("{ types = 0 }", "plan.among: types(0)"),
        ("{ typs = 2 }", "did you mean 'types'"),
        ("{}", "plan.among: give one"),
        ("{ any_tastes = [1.0] }", "plan.among.any_tastes[0]: 1.0; give 2 numbers, one per feature"),
        ("{ any_tastes = { low = -1, high = 1, points = 200 } }", "any_tastes.points: 200^2 tastes"),
        ("{ any_tastes = { low = -1, high = 1, poins = 2 } }", "plan.among.any_tastes.points: missing"),
    ],
)
def test_wrong_families_are_one_line(tmp_path, capsys, among, said):
    path = scenario(tmp_path)
    path.write_text(path.read_text() + f"among = {among}\n")
    assert main(["plan", str(path)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_an_unknown_target_names_its_key(tmp_path, capsys):
    path = scenario(tmp_path)
    path.write_text(path.read_text().replace('target = "weights"', 'target = "wieghts"'))
    assert main(["plan", str(path)]) == 2
    error = capsys.readouterr().err
    assert "scenario.toml: plan.target: " in error and "weights, utilities" in error and error.count("\n") == 1


@pytest.mark.parametrize("command", ["identify", "plan"])
def test_fewer_than_no_starts_are_refused(tmp_path, capsys, command):
    assert main([command, str(scenario(tmp_path)), "--starts", "-2"]) == 2
    assert "--starts" in capsys.readouterr().err
