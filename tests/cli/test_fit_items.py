"""``annosim fit``: the items of the file among those of the scenario, matched by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import annosim as an
from annosim import cli
from annosim.cli.inputs import read_inputs
from annosim.scenario import load_scenario

NAMES = ["milk", "tea", "water", "juice", "wine"]  # the order of the scenario
SHOWN = ["juice", "milk", "wine", "tea"]  # that of the file: nobody saw water
FEATURES = [[0.1, -1.0], [0.4, 0.5], [3.0, 3.0], [-0.8, 0.2], [1.1, 0.9]]
ALL = (
    f"[items]\nkind = 'inline'\nnames = {NAMES}\nfeatures = {FEATURES}\nprompts = [0, 0, 1, 0, 0]\n"
    "clusters = [7, 1, 2, 7, 4]\nweights = [1.0, 4.0, 9.0, 0.5, 2.0]\ntokens = [[1], [2, 3], [4], [5], [6, 7, 8]]\n"
    "prompt_length = [1, 1, 1, 1, 2]\n"
)
ONE = "[[model.types]]\nutility = { kind = 'network', widths = [4], dim = 2, seed = 1 }\n"
DPO = (
    "[[model.types]]\nutility = { kind = 'log_density', energy = { kind = 'network', widths = [4], dim = 2, seed = 1 }}"
    "\nrule = { kind = 'dpo', beta = 0.5, reference = { kind = 'log_density', energy = { kind = 'network', "
    "widths = [4], dim = 2, seed = 2 } } }\n[fit]\nsteps = 20\nlr = 0.02\n"
)
MENU = np.array([[0, 1], [2, 3], [3, 0], [1, 2], [0, 2], [3, 1]] * 3)
ANSWER = np.array([0, 1, 0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0])


def answers(menu=MENU, **more):
    return an.PreferenceData(an.Items(names=SHOWN, **more), menu, ANSWER, annotator=np.arange(18) % 3)


def read(folder: Path, data: an.PreferenceData, scenario: str) -> an.PreferenceData:
    data.to_parquet(folder / "votes.parquet")
    (folder / "m.toml").write_text(scenario, encoding="utf-8")
    files = (folder / "votes.parquet", folder / "m.toml")
    return read_inputs(*files, "parquet", {}, None, [], None, None, None).answers


def shown(data: an.PreferenceData) -> list[tuple[str, ...]]:
    return [tuple(data.items.names[i] for i in row) for row in data.menu]


def test_every_column_of_the_scenarios_items_is_kept_and_the_questions_name_the_same(tmp_path):
    own = answers()
    found = read(tmp_path, own, ALL + ONE)
    told = load_scenario(tmp_path / "m.toml").items
    for name in ("names", "features", "prompts", "clusters", "weights", "tokens"):
        assert np.array_equal(np.asarray(getattr(found.items, name)), np.asarray(getattr(told, name))), name
    assert list(found.items.columns["prompt_length"]) == [1, 1, 1, 1, 2]
    assert shown(found) == shown(own) and np.array_equal(found.answer, own.answer)
    assert np.array_equal(found.items.features[found.menu[:, 0]], [FEATURES[NAMES.index(a)] for a, _ in shown(own)])


def test_texts_of_the_file_stand_with_their_items(tmp_path):
    own = answers(texts=[f"a glass of {name}" for name in SHOWN])
    found = read(tmp_path, own, ALL + ONE)
    assert found.items.texts == tuple(f"a glass of {name}" if name in SHOWN else name for name in NAMES)
    some = ALL.replace(", 'water'", "").replace(", [3.0, 3.0]", "")  # the same items in another order
    for old, new in (("0, 0, 1, 0, 0", "0, 0, 0, 0"), ("7, 1, 2, 7, 4", "7, 1, 7, 4"), (" 9.0,", ""), (" [4],", "")):
        some = some.replace(old, new)
    found = read(tmp_path, own, some.replace("[1, 1, 1, 1, 2]", "[1, 1, 1, 2]") + ONE)
    assert found.items.texts == tuple(f"a glass of {name}" for name in NAMES if name in SHOWN)


def test_pads_of_a_menu_stay_pads(tmp_path):
    menu = np.column_stack([MENU, np.where(np.arange(18) % 2, -1, (MENU.sum(1) + 1) % 4)])
    menu[:, 2] = np.where((menu[:, 2] == menu[:, 0]) | (menu[:, 2] == menu[:, 1]), -1, menu[:, 2])
    own = answers(menu)
    found = read(tmp_path, own, ALL + ONE)
    assert 0 < (menu < 0).sum() < 18 and np.array_equal(found.menu < 0, menu < 0)
    there = menu >= 0
    assert [NAMES[i] for i in found.menu[there]] == [SHOWN[i] for i in menu[there]]


def test_a_density_is_normalised_over_the_items_that_nobody_saw(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scenario = ALL.replace("prompts = [0, 0, 1, 0, 0]", "prompts = [0, 0, 0, 0, 0]") + DPO
    read(tmp_path, answers(), scenario)
    command = ["fit", "votes.parquet", "--format", "parquet", "--model", "m.toml"]
    assert cli.main([*command, "--save", "fit.pt", "--out", "s.csv"]) == 0
    found = an.Fit.load(tmp_path / "fit.pt")
    told = load_scenario(tmp_path / "m.toml")
    menu = np.array([[NAMES.index(SHOWN[i]) for i in row] for row in MENU])
    same = an.PreferenceData(told.items, menu, ANSWER, annotator=np.arange(18) % 3)
    direct = an.fit(told.model, same, solver=an.Adam(steps=20, lr=0.02))
    assert np.array_equal(found.population.vector().detach(), direct.population.vector().detach())
    mass = found.population.utility(found.problem.items).detach().double().exp() * told.items.weights
    assert mass.shape == (5,) and float(mass.sum()) == pytest.approx(1, abs=1e-6)
    assert list(pd.read_csv("s.csv")["item"]) == NAMES


def test_scores_are_centred_within_each_prompt(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scenario = ALL.replace("prompts = [0, 0, 1, 0, 0]", "prompts = [5, 3, 3, 3, 5]") + ONE
    own = answers([[1, 2], [0, 3]] * 9)  # milk and wine; juice and tea
    read(tmp_path, own, scenario)
    command = ["fit", "votes.parquet", "--format", "parquet", "--model", "m.toml", "--steps", "5", "--lr", "0.05"]
    assert cli.main([*command, "--save", "fit.pt", "--out", "s.csv"]) == 0
    table = pd.read_csv("s.csv")
    assert sorted(table.groupby("prompt").size()) == [2, 3]
    assert np.allclose(table.groupby("prompt")["score"].mean(), 0, atol=1e-12)
    found = an.Fit.load(tmp_path / "fit.pt")
    index = found.population.utility(found.problem.items).detach().double().numpy()
    first, second = (index[[0, 4]].mean(), index[1:4].mean())
    assert abs(first - second) > 1e-3  # centred over all, the means would not be zero
    assert np.allclose(table["score"], index - np.array([first, second, second, second, first]), atol=1e-9)


def test_a_table_of_numbers_says_which_item_was_never_compared(tmp_path, capsys):
    free = "[[model.types]]\nutility = { kind = 'tabular', values = { free = [0.0, 0.0, 0.0, 0.0, 0.0] } }\n"
    read(tmp_path, answers(), f"[items]\nkind = 'inline'\nnames = {NAMES}\n" + free)
    command = ["fit", str(tmp_path / "votes.parquet"), "--format", "parquet", "--model", str(tmp_path / "m.toml")]
    capsys.readouterr()
    assert cli.main(command) == 3
    assert "never compared: 'water'" in capsys.readouterr().err
    assert cli.main([*command, "--prior", "gaussian=1"]) == 0


@pytest.mark.parametrize(
    ("own", "scenario", "words"),
    [
        (answers(), ALL.replace("'wine'", "'beer'") + ONE, "item 'wine' is not among the scenario's [items]"),
        (
            answers(),
            ALL.replace("[0, 0, 1, 0, 0]", "[0, 0, 0, 2, 0]") + ONE,
            "answer 0 is about 'juice' of prompt 2 and 'milk' of prompt 0; a question stays inside one prompt",
        ),
        (
            answers([[0, 3], [1, 2]] * 9, prompts=[1, 0, 0, 1]),
            ALL.replace("[0, 0, 1, 0, 0]", "[0, 0, 0, 0, 0]") + ONE,
            "its items belong to 2 prompts, the scenario's [items] to one; give prompts there",
        ),
    ],
)
def test_items_that_do_not_fit_are_one_line(tmp_path, own, scenario, words):
    with pytest.raises(an.errors.ArgumentError) as caught:
        read(tmp_path, own, scenario)
    assert words in str(caught.value) and "votes.parquet" in str(caught.value) and "\n" not in str(caught.value)
