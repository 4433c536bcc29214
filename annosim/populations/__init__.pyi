from .base import Annotator as Annotator
from .base import Mixture as Mixture
from .base import Population as Population
from .random_coefficients import DirichletTastes as DirichletTastes
from .random_coefficients import LowRank as LowRank
from .random_coefficients import RandomCoefficients as RandomCoefficients
from .random_coefficients import RandomTastes as RandomTastes
from .structured import Contaminated as Contaminated
from .structured import Gated as Gated
from .structured import Hierarchy as Hierarchy

__all__ = [
    "Annotator",
    "Contaminated",
    "DirichletTastes",
    "Gated",
    "Hierarchy",
    "LowRank",
    "Mixture",
    "Population",
    "RandomCoefficients",
    "RandomTastes",
]
