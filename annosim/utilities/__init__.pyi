from .adapters import adapter_state as adapter_state
from .adapters import with_adapters as with_adapters
from .densities import DensityMixture as DensityMixture
from .linear import IdealPoint as IdealPoint
from .linear import Linear as Linear
from .densities import LogDensity as LogDensity
from .networks import Network as Network
from .tabular import Tabular as Tabular
from .base import Utility as Utility
from .tabular import ZeroUtility as ZeroUtility
from .densities import truncated_normal as truncated_normal
from .ensembles import Ensemble as Ensemble
from .heads import Heads as Heads
from .language_models import LogPolicy as LogPolicy
from .language_models import SequenceReward as SequenceReward
from .sums import OnFeatures as OnFeatures
from .sums import Sum as Sum
from .tokens import last_hidden as last_hidden

__all__ = [
    "DensityMixture",
    "Ensemble",
    "Heads",
    "IdealPoint",
    "Linear",
    "LogDensity",
    "LogPolicy",
    "Network",
    "OnFeatures",
    "SequenceReward",
    "Sum",
    "Tabular",
    "Utility",
    "ZeroUtility",
    "adapter_state",
    "last_hidden",
    "truncated_normal",
    "with_adapters",
]
