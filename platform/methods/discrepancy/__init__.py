"""Methods that bring the statistics of both domains together."""

from platform.methods.discrepancy.coral import CORAL

__all__ = ["CORAL"]
