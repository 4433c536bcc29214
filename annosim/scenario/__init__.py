"""Scenarios: a population, a design, a model and data, written in one TOML file. Plain data, no code.

Every key is checked; an unknown one, or a value that is not allowed, is a :class:`~annosim.errors.ScenarioError` of one
line that names the key and says what to do.
"""

from annosim.scenario.populations import TASTES, UTILITIES
from annosim.scenario.reading import Scenario, load_scenario, read_scenario

__all__ = ["TASTES", "UTILITIES", "Scenario", "load_scenario", "read_scenario"]
