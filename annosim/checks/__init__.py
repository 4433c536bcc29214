"""Checks: laws that any estimator of preferences must obey, run on yours, with the evidence.

>>> from annosim.checks import check_estimator
"""

from annosim.checks.annotators import check_population, check_rule
from annosim.checks.estimator import TAGS, Estimator, as_estimator
from annosim.checks.registry import CHECKS
from annosim.checks.result import CheckReport, CheckResult
from annosim.checks.run import check_estimator, checks_for, parametrize_with_checks

__all__ = [
    "CHECKS",
    "TAGS",
    "CheckReport",
    "CheckResult",
    "Estimator",
    "as_estimator",
    "check_estimator",
    "check_population",
    "check_rule",
    "checks_for",
    "parametrize_with_checks",
]
