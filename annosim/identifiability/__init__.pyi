from .families import any_tastes as any_tastes
from .families import types as types
from .functionals import mean_gap as mean_gap
from .functionals import share_preferring as share_preferring
from .heterogeneity import consistency_test as consistency_test
from .heterogeneity import goodness_of_fit as goodness_of_fit
from .heterogeneity import heterogeneity_test as heterogeneity_test
from .identification import identify as identify
from .report import IdentifiabilityReport as IdentifiabilityReport
from .weak import expected_profile as expected_profile
from .weak import weak_identification as weak_identification

__all__ = [
    "IdentifiabilityReport",
    "any_tastes",
    "consistency_test",
    "expected_profile",
    "goodness_of_fit",
    "heterogeneity_test",
    "identify",
    "mean_gap",
    "share_preferring",
    "types",
    "weak_identification",
]
