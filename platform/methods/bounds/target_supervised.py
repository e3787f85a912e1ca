"""Target supervised: the upper bound of every comparison, trained on labels that adaptation does not have."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from platform.methods.bounds.source_only import SourceOnly


@dataclass(frozen=True, kw_only=True)
class TargetSupervised(SourceOnly):
    """min CE(S(x_t), y_t): the same training as source only, on the labelled adapt split of the target."""

    labelled: ClassVar[Literal["source", "target"]] = "target"
