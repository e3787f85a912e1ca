"""Methods that a discriminator teaches."""

from platform.methods.adversarial.advent import AdvEnt
from platform.methods.adversarial.class_conditional import ClassConditionalAdversarial
from platform.methods.adversarial.dann import DANN
from platform.methods.adversarial.multi_level import MultiLevelAdversarial
from platform.methods.adversarial.output_space import Adversarial

__all__ = ["DANN", "AdvEnt", "Adversarial", "ClassConditionalAdversarial", "MultiLevelAdversarial"]
