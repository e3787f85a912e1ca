"""Adaptation by source images in the target's style."""

from platform.methods.translation.fda import FDA

__all__ = ["FDA"]
