from .base import Rule as Rule
from .bpref import BPref as BPref
from .covariates import Covariates as Covariates
from .cyclic import Cyclic as Cyclic
from .distributional import CategoricalReward as CategoricalReward
from .distributional import MeanVariance as MeanVariance
from .lexicographic import Lexicographic as Lexicographic
from .luce import Luce as Luce
from .luce import PBDE as PBDE
from .perception import NoisyClusters as NoisyClusters
from .perception import SeesClusters as SeesClusters
from .perception import paraphrase_twins as paraphrase_twins
from .probit import Thurstone as Thurstone
from .rankings import Deterministic as Deterministic
from .rankings import Mallows as Mallows
from .rankings import ReversedPlackettLuce as ReversedPlackettLuce
from .ratings import GradedPairs as GradedPairs
from .ratings import OrderedLogit as OrderedLogit
from .ratings import Thumbs as Thumbs
from .reliability import Reliability as Reliability
from .reports import RegretPreference as RegretPreference
from .reports import SeesObservation as SeesObservation
from .reports import Strategic as Strategic
from .response_biases import AttributeBias as AttributeBias
from .response_biases import Lapse as Lapse
from .response_biases import LengthBias as LengthBias
from .response_biases import PositionBias as PositionBias
from .response_biases import ResponseBias as ResponseBias
from .response_biases import Skip as Skip
from .scale import Scaled as Scaled
from .sequence import Carryover as Carryover
from .sequence import Drift as Drift
from .sequence import Fatigue as Fatigue
from .sequence import MyopicDiscount as MyopicDiscount
from .spam import Adversary as Adversary
from .spam import Spammer as Spammer
from .stages import RepeatedSelection as RepeatedSelection
from .ties import Davidson as Davidson
from .ties import JustNoticeable as JustNoticeable
from .ties import RaoKupper as RaoKupper

__all__ = [
    "Adversary",
    "AttributeBias",
    "BPref",
    "Carryover",
    "CategoricalReward",
    "Covariates",
    "Cyclic",
    "Davidson",
    "Deterministic",
    "Drift",
    "Fatigue",
    "GradedPairs",
    "JustNoticeable",
    "Lapse",
    "LengthBias",
    "Lexicographic",
    "Luce",
    "Mallows",
    "MeanVariance",
    "MyopicDiscount",
    "NoisyClusters",
    "OrderedLogit",
    "PBDE",
    "PositionBias",
    "RaoKupper",
    "RegretPreference",
    "Reliability",
    "RepeatedSelection",
    "ResponseBias",
    "ReversedPlackettLuce",
    "Rule",
    "Scaled",
    "SeesClusters",
    "SeesObservation",
    "Skip",
    "Spammer",
    "Strategic",
    "Thumbs",
    "Thurstone",
    "paraphrase_twins",
]
