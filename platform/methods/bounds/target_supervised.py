"""Target supervised: the upper bound of every comparison, trained on labels that adaptation does not have."""

from dataclasses import dataclass
from typing import ClassVar

from platform.methods.method import Method


@dataclass(frozen=True, kw_only=True)
class TargetSupervised(Method):
    """min CE(S(x_t), y_t): the same training as source only, on the labels of all that is adapted to."""

    reads: ClassVar[frozenset[str]] = frozenset({"oracle"})
