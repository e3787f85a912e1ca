"""What bounds every comparison: training on the source alone, and on the target's own labels."""

from platform.methods.bounds.source_only import SourceOnly
from platform.methods.bounds.target_supervised import TargetSupervised

__all__ = ["SourceOnly", "TargetSupervised"]
