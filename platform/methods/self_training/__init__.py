"""Methods that learn from the network's own predictions on the target, and what makes such training stable."""

from platform.methods.self_training.dacs import DACS
from platform.methods.self_training.minent import MinEnt
from platform.methods.self_training.rare_classes import RareClassSampling

__all__ = ["DACS", "MinEnt", "RareClassSampling"]
