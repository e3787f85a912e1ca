"""Selectors that look at the source alone."""

from platform.scores.selectors.source.accuracy import SourceAccuracy
from platform.scores.selectors.source.miou import SourceMIoU

__all__ = ["SourceAccuracy", "SourceMIoU"]
