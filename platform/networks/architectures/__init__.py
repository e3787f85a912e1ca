"""Single networks: the shelf to which new ones are added."""

from platform.networks.architectures.bisenet import BiSeNet18, BiSeNet101
from platform.networks.architectures.deeplabv3 import DeepLabV3
from platform.networks.architectures.lraspp import LRASPP
from platform.networks.architectures.pidnet import PIDNetSmall

__all__ = ["LRASPP", "BiSeNet18", "BiSeNet101", "DeepLabV3", "PIDNetSmall"]
