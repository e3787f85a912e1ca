"""Source only: the lower bound of every comparison. No target image is trained on."""

from dataclasses import dataclass
from typing import ClassVar

from platform.methods.method import Method


@dataclass(frozen=True, kw_only=True)
class SourceOnly(Method):
    """min CE(S(x_s), y_s)."""

    reads: ClassVar[frozenset[str]] = frozenset({"source"})
