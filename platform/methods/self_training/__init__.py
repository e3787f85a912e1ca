"""Methods that learn from the network's own predictions on the target, and what makes such training stable."""

from platform.methods.self_training.cbst import CBST
from platform.methods.self_training.dacs import DACS
from platform.methods.self_training.distillation import Distillation
from platform.methods.self_training.max_square import MaxSquare
from platform.methods.self_training.minent import MinEnt
from platform.methods.self_training.multi_band_transfer import MultiBandTransfer
from platform.methods.self_training.pseudo_labels import PseudoLabels
from platform.methods.self_training.rare_classes import RareClassSampling

__all__ = [
    "CBST",
    "DACS",
    "Distillation",
    "MaxSquare",
    "MinEnt",
    "MultiBandTransfer",
    "PseudoLabels",
    "RareClassSampling",
]
