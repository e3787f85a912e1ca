"""Single networks: the shelf to which new ones are added."""

from platform.networks.architectures.bisenet import BiSeNet18
from platform.networks.architectures.lraspp import LRASPP

__all__ = ["LRASPP", "BiSeNet18"]
