"""Mistakes in a study are message before anything runs."""

from __future__ import annotations

import pytest

from annosim.errors import StudyError
from annosim.study import CONTROL, Cell, Preset, Statement, Study, true
from annosim.study.definition import call_by_name


def f(x=0, seed=0):
    return {"y": x}


def g(x):
    return {"z": x}


def h(seeds):
    return [{}]


def r(replicate):
    return False, ""


def ring():
    needs = {}
    first = Cell(g, name="first", needs=needs)
    needs["x"] = Cell(g, name="second", needs={"x": first})
    return first


def study(cells=lambda: [Cell(f)], claims=lambda: [], presets=None):
    return Study("s", "t", "p", {"quick": Preset(0.1)} if presets is None else presets, cells, claims)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: study(presets={}).plan(), "no presets"),
        (lambda: study().plan("paper"), "no preset 'paper'; choose one of quick"),
        (lambda: study(lambda: []).plan(), "no cells"),
        (lambda: study(lambda: [f]).plan(), "cells yielded function"),
        (lambda: study(lambda n: [Cell(f)]).plan(), "missing 1 required positional argument: 'n'"),
        (lambda: study(presets={"quick": Preset(1, {"n": 3})}).plan(), "unexpected keyword argument 'n'"),
        (lambda: study(lambda: [Cell(f, {"y": 1})]).plan(), "no function takes 'y'"),
        (lambda: study(lambda: [Cell(f, {"seed": 1})]).plan(), "'seed' is reserved"),
        (lambda: study(lambda: [Cell(f, replicates=0)]).plan(), "replicates=0"),
        (lambda: study(lambda: [Cell(f, replicates=True)]).plan(), "replicates=True"),
        (lambda: study(lambda: [Cell([])]).plan(), "no function"),
        (lambda: study(lambda: [Cell(f, name="a"), Cell(g, {"x": 1}, "a")]).plan(), "two cells have the name 'a'"),
        (lambda: study(lambda: [Cell(g, {"x": 1}, needs={"x": Cell(f)})]).plan(), "both a parameter and a needed cell"),
        (lambda: study(lambda: [Cell(g, needs={"x": Cell(f, replicates=3)}, replicates=2)]).plan(), "use 1 or 2"),
        (lambda: study(lambda: [Cell(g, needs={"x": f})]).plan(), "needs['x'] is a function; pass a Cell"),
        (
            lambda: study(lambda: [Cell(h, skip=f)]).plan(),
            "its skip takes 'seed', but is asked once for all replicates",
        ),
        (lambda: study(lambda: [Cell(h, skip=r)]).plan(), "its skip takes 'replicate', but is asked once for all"),
        (lambda: study(lambda: [Cell(f, skip=h)]).plan(), "its skip takes 'seeds', but is asked for each replicate"),
        (lambda: study(lambda: [ring()]).plan(), "needs itself, by way of its needs"),
        (lambda: study(claims=lambda n: []).statements(), "claims: <lambda> takes 'n', which nothing provides"),
        (lambda: study(claims=lambda: [1]).statements(), "claims yielded int"),
        (
            lambda: study(
                claims=lambda: [Statement("a", "", "", lambda o: true(True, ""), whose=CONTROL)] * 2
            ).statements(),
            "id 'a'",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_the_place(made, message):
    with pytest.raises(StudyError) as caught:
        made()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_needed_cell_comes_first_and_once():
    base = Cell(f, {"x": 2})
    users = [Cell(g, name=f"user {i}", needs={"x": base}) for i in range(2)]
    assert [c.title for c in study(lambda: [*users, base]).plan()] == ["f(x=2)", "user 0", "user 1"]


def two(x, y):
    return {"z": x + y}


def layers(width, depth):
    """Layers in which every cell needs all cells of the layer above: width ** depth paths."""
    above = [Cell(f, {"x": i}) for i in range(width)]
    for d in range(depth):
        function, names = (two, "xy") if width == 2 else (g, "x")
        needs = dict(zip(names, above, strict=True))
        above = [Cell(function, name=f"{d}/{i}", needs=needs) for i in range(width)]
    return above


@pytest.mark.parametrize(("width", "depth"), [(2, 14), (1, 3000)])
def test_a_plan_looks_at_each_cell_once_however_deep_the_layers(monkeypatch, width, depth):
    checked = []
    monkeypatch.setattr(Cell, "check", lambda cell: checked.append(cell.title))
    titles = [c.title for c in study(lambda: layers(width, depth)).plan()]
    assert len(titles) == len(checked) == width * (depth + 1) and titles[-1] == f"{depth - 1}/{width - 1}"
    place = {title: i for i, title in enumerate(titles)}
    assert all(place[f"{d}/0"] < place[f"{d + 1}/0"] for d in range(depth - 1))


def test_names_are_made_of_the_functions_and_parameters():
    assert Cell((f, g), {"x": 0.1 + 0.2}).title == "f + g(x=0.3)" and Cell((f, g)).group == "g"


@pytest.mark.parametrize(("minutes", "message"), [(0.05, "3 s"), (3, "3 min"), (90.5, "90.5 min"), (600, "10 h")])
def test_times_are_read_by_people(minutes, message):
    assert Preset(minutes).time == message and Preset(minutes, note="on one GPU").time == f"{message}, on one GPU"


def test_call_by_name_passes_everything_to_double_star():
    assert call_by_name(lambda **all_of_it: sorted(all_of_it), {"b": 1, "a": 2}, "here") == ["a", "b"]
