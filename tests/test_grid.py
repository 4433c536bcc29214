"""Every rule, kind of feedback and verb: an answer, or a refusal in one line. ``docs/grid.md`` says which."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path

import pytest

import annosim as an
from annosim.feedback import KINDS

_spec = importlib.util.spec_from_file_location("grid_page", Path(__file__).with_name("grid_page.py"))
grid = importlib.util.module_from_spec(_spec)
sys.modules["grid_page"] = grid  # its dataclasses look their module up
_spec.loader.exec_module(grid)

TEXT = grid.PAGE.read_text(encoding="utf-8")
CELLS = grid.read_page(TEXT)


def test_every_public_rule_has_its_rows():
    public = {name for name in an.rules.__all__ if inspect.isclass(getattr(an.rules, name))} - {"Rule", "ResponseBias"}
    assert {rule.partition(",")[0].partition(" of ")[0] for rule in grid.RULES} == public
    assert set(CELLS) == {(rule, kind, verb) for rule in grid.RULES for kind in KINDS for verb in grid.VERBS}


def test_the_page_says_what_its_cells_say():
    cells = [grid.Cell(*place, refusal) for place, refusal in CELLS.items()]
    assert grid.page(cells) == TEXT


def test_nothing_is_refused_by_half():
    """Who can be simulated has a law and can be compared; who cannot is refused by all (``check_rule`` asks its own menus:
    pairs where larger ones have no law)."""
    for rule in grid.RULES:
        for kind in KINDS:
            refused = {verb: bool(CELLS[rule, kind, verb]) for verb in grid.VERBS}
            assert len({refused[verb] for verb in ("simulate", "law", "compare")}) == 1, (rule, kind)
            assert not refused["law"] or all(refused[verb] for verb in grid.VERBS if verb != "check_rule"), (rule, kind)
            assert len({refused[verb] for verb in ("fit", "errors", "save", "report")}) == 1, (rule, kind)


@pytest.mark.parametrize("rule", grid.RULES)
def test_one_kind_of_feedback_of_each_rule(rule):
    """A kind that the rule answers, another one from rule to rule; every verb does what the page says."""
    answered = [kind for kind in KINDS if not CELLS[rule, kind, "law"]]
    _hold(rule, [answered[list(grid.RULES).index(rule) % len(answered)]])


@pytest.mark.slow
@pytest.mark.parametrize("rule", grid.RULES)
def test_all_kinds_of_feedback(rule):
    _hold(rule, KINDS)


def _hold(rule, kinds):
    for cell in grid.ask_all([rule], kinds):
        said = CELLS[rule, cell.kind, cell.verb]
        assert grid.in_general(cell.refusal) == said, (cell.kind, cell.verb)
