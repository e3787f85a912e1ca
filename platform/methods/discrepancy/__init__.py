"""Methods that bring the statistics of both domains together."""

from platform.methods.discrepancy.adabn import AdaBN
from platform.methods.discrepancy.coral import CORAL

__all__ = ["CORAL", "AdaBN"]
