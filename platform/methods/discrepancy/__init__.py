"""Methods that bring the statistics of both domains together."""

from platform.methods.discrepancy.adabn import AdaBN
from platform.methods.discrepancy.batch_norm_moments import BatchNormMoments
from platform.methods.discrepancy.coral import CORAL
from platform.methods.discrepancy.mmd import MMD

__all__ = ["CORAL", "MMD", "AdaBN", "BatchNormMoments"]
