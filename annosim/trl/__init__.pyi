from .preferences import PreferenceMixtureTrainer as PreferenceMixtureTrainer
from .rewards import RewardMixtureTrainer as RewardMixtureTrainer
from .simulated import SimulatedReward as SimulatedReward
from .simulated import reward_function as reward_function

__all__ = ["PreferenceMixtureTrainer", "RewardMixtureTrainer", "SimulatedReward", "reward_function"]
