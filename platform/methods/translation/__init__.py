"""Methods that give the source the looks of the target."""

from platform.methods.translation.fda import FDA
from platform.methods.translation.histogram import HistogramMatching
from platform.methods.translation.lab import LabTransfer
from platform.methods.translation.translated_images import TranslatedImages

__all__ = ["FDA", "HistogramMatching", "LabTransfer", "TranslatedImages"]
