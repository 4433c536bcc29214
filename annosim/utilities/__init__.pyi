from .adapters import adapter_state as adapter_state
from .adapters import with_adapters as with_adapters
from .base import DensityMixture as DensityMixture
from .base import IdealPoint as IdealPoint
from .base import Linear as Linear
from .base import LogDensity as LogDensity
from .base import Network as Network
from .base import Tabular as Tabular
from .base import Utility as Utility
from .base import ZeroUtility as ZeroUtility
from .base import truncated_normal as truncated_normal
from .language_models import Ensemble as Ensemble
from .language_models import Heads as Heads
from .language_models import LogPolicy as LogPolicy
from .language_models import SequenceReward as SequenceReward
from .language_models import last_hidden as last_hidden

__all__ = [
    "DensityMixture",
    "Ensemble",
    "Heads",
    "IdealPoint",
    "Linear",
    "LogDensity",
    "LogPolicy",
    "Network",
    "SequenceReward",
    "Tabular",
    "Utility",
    "ZeroUtility",
    "adapter_state",
    "last_hidden",
    "truncated_normal",
    "with_adapters",
]
