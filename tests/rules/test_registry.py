"""The registry lists what exists, and nothing else."""

from __future__ import annotations

import pytest

import annosim as an
from annosim.rules.base import Rule
from annosim.rules.registry import ENTRIES, listing
from annosim.rules.response_biases import ResponseBias
from annosim.scenario import TASTES, UTILITIES


@pytest.mark.parametrize("entry", [e for group in ENTRIES.values() for e in group.values()], ids=lambda e: e.kind)
def test_every_entry_can_be_made_and_is_documented(entry):
    made = entry.constructor()
    assert made.__doc__ and len(entry.line) < 90 and "\n" not in entry.line


def test_every_public_rule_and_habit_is_listed():
    listed = {e.constructor() for group in ("rule", "habit") for e in ENTRIES[group].values()}
    public = {getattr(an, name) for name in an.__all__}
    rules = {x for x in public if isinstance(x, type) and issubclass(x, Rule)} - {Rule, ResponseBias}
    assert rules <= listed


def test_listed_utilities_are_those_of_scenarios():
    assert set(ENTRIES["utility"]) == set(UTILITIES) | set(TASTES)


def test_listing_has_one_line_each():
    lines = [line for line in listing().splitlines() if line.startswith("  ")]
    assert len(lines) == sum(len(group) for group in ENTRIES.values())
