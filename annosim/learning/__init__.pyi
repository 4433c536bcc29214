from . import objectives as objectives
from . import priors as priors
from .fitting import fit as fit
from .number_of_types import TypesChoice as TypesChoice
from .number_of_types import choose_types as choose_types
from .projection import project as project
from .result import Fit as Fit
from .training.adam import Adam as Adam
from .training.em_options import EM as EM
from .training.fast_layers import faster as faster

__all__ = ["Adam", "EM", "Fit", "TypesChoice", "choose_types", "faster", "fit", "objectives", "priors", "project"]
