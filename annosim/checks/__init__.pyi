from .annotators import check_population as check_population
from .annotators import check_rule as check_rule
from .estimator import Estimator as Estimator
from .estimator import TAGS as TAGS
from .estimator import as_estimator as as_estimator
from .posterior import PosteriorCheck as PosteriorCheck
from .posterior import check_posterior as check_posterior
from .result import CheckReport as CheckReport
from .result import CheckResult as CheckResult
from .run import CHECKS as CHECKS
from .run import check_estimator as check_estimator
from .run import checks_for as checks_for
from .run import parametrize_with_checks as parametrize_with_checks

__all__ = [
    "CHECKS",
    "CheckReport",
    "CheckResult",
    "Estimator",
    "PosteriorCheck",
    "TAGS",
    "as_estimator",
    "check_estimator",
    "check_population",
    "check_posterior",
    "check_rule",
    "checks_for",
    "parametrize_with_checks",
]
