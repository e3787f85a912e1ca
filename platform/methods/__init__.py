"""The methods of adaptation, each a frozen dataclass of its hyperparameters."""

from platform.methods.adversarial import Adversarial
from platform.methods.fda import FDA
from platform.methods.method import Method
from platform.methods.source_only import SourceOnly
from platform.methods.target_supervised import TargetSupervised

__all__ = ["Adversarial", "FDA", "Method", "SourceOnly", "TargetSupervised"]
