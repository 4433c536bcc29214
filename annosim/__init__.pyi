from . import (
    analysis as analysis,
    checks as checks,
    coordinates as coordinates,
    data as data,
    designs as designs,
    diagnosis as diagnosis,
    errors as errors,
    execution as execution,
    identifiability as identifiability,
    information as information,
    io as io,
    learning as learning,
    parameters as parameters,
    planning as planning,
    plotting as plotting,
    policies as policies,
    populations as populations,
    rules as rules,
    sampling as sampling,
    simulation as simulation,
    study as study,
    trl as trl,
    utilities as utilities,
)
from .analysis.comparison import Comparison as Comparison
from .analysis.comparisons import compare as compare
from .data.preferences import PreferenceData as PreferenceData
from .designs.design import Design as Design
from .diagnosis.diagnosis import Diagnosis as Diagnosis
from .diagnosis.diagnosis import diagnose as diagnose
from .execution.current import cluster as cluster
from .feedback import Feedback as Feedback
from .identifiability.families import any_tastes as any_tastes
from .identifiability.families import types as types
from .identifiability.identification import identify as identify
from .identifiability.report import IdentifiabilityReport as IdentifiabilityReport
from .items import Items as Items
from .laws import Law as Law
from .laws import law as law
from .learning.fitting import fit as fit
from .learning.number_of_types import choose_types as choose_types
from .learning.projection import project as project
from .learning.result import Fit as Fit
from .learning.solvers.settings import Adam as Adam
from .learning.solvers.settings import EM as EM
from .learning.solvers.settings import LBFGS as LBFGS
from .learning.solvers.settings import Newton as Newton
from .parameters import fixed as fixed
from .parameters import free as free
from .planning.cost import Cost as Cost
from .planning.planner import plan as plan
from .planning.result import Plan as Plan
from .policies.iteration import iterate as iterate
from .populations.annotator import Annotator as Annotator
from .populations.mixture import Mixture as Mixture
from .populations.base import Population as Population
from .populations.random_coefficients import RandomCoefficients as RandomCoefficients
from .populations.gated import Gated as Gated
from .rules.base import Rule as Rule
from .rules.luce import Luce as Luce
from .rules.luce import PBDE as PBDE
from .rules.probit import Thurstone as Thurstone
from .rules.response_biases import Lapse as Lapse
from .rules.response_biases import PositionBias as PositionBias
from .rules.ties import Davidson as Davidson
from .sampling.posterior import sample_posterior as sample_posterior
from .sampling.result import PosteriorSample as PosteriorSample
from .simulation.draws import simulate as simulate
from .utilities.linear import Linear as Linear
from .utilities.densities import LogDensity as LogDensity
from .utilities.networks import Network as Network
from .utilities.tabular import Tabular as Tabular
from .utilities.base import Utility as Utility
from .utilities.language_models import LogPolicy as LogPolicy
from .utilities.language_models import SequenceReward as SequenceReward
from .learning import objectives as objectives
from .learning import priors as priors

__version__: str

__all__ = [
    "Adam",
    "Annotator",
    "Comparison",
    "Cost",
    "Davidson",
    "Design",
    "Diagnosis",
    "EM",
    "Feedback",
    "Fit",
    "Gated",
    "IdentifiabilityReport",
    "Items",
    "LBFGS",
    "Lapse",
    "Law",
    "Linear",
    "LogDensity",
    "LogPolicy",
    "Luce",
    "Mixture",
    "Network",
    "Newton",
    "PBDE",
    "Plan",
    "Population",
    "PositionBias",
    "PosteriorSample",
    "PreferenceData",
    "RandomCoefficients",
    "Rule",
    "SequenceReward",
    "Tabular",
    "Thurstone",
    "Utility",
    "analysis",
    "any_tastes",
    "checks",
    "choose_types",
    "cluster",
    "compare",
    "coordinates",
    "data",
    "designs",
    "diagnose",
    "diagnosis",
    "errors",
    "execution",
    "fit",
    "fixed",
    "free",
    "identifiability",
    "identify",
    "information",
    "io",
    "iterate",
    "law",
    "learning",
    "objectives",
    "parameters",
    "plan",
    "planning",
    "plotting",
    "policies",
    "populations",
    "priors",
    "project",
    "rules",
    "sample_posterior",
    "sampling",
    "simulate",
    "simulation",
    "study",
    "trl",
    "types",
    "utilities",
]
