from .annotator import Annotator as Annotator
from .mixture import Mixture as Mixture
from .base import Population as Population
from .dirichlet import DirichletTastes as DirichletTastes
from .low_rank import LowRank as LowRank
from .random_coefficients import RandomCoefficients as RandomCoefficients
from .random_tastes import RandomTastes as RandomTastes
from .contaminated import Contaminated as Contaminated
from .gated import Gated as Gated
from .hierarchical import Hierarchy as Hierarchy
from .judge_panels import JudgePanels as JudgePanels
from .judge_panels import effective_votes as effective_votes

__all__ = [
    "Annotator",
    "Contaminated",
    "DirichletTastes",
    "Gated",
    "Hierarchy",
    "JudgePanels",
    "LowRank",
    "Mixture",
    "Population",
    "RandomCoefficients",
    "RandomTastes",
    "effective_votes",
]
