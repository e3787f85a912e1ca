"""Source only: the lower bound of every comparison. No target image is seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from platform.methods.method import SEGMENTATION, Method, Step


@dataclass(frozen=True, kw_only=True)
class SourceOnly(Method):
    """min CE(S(x_s), y_s)."""

    sees_target: ClassVar[bool] = False

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        return {SEGMENTATION: step.cross_entropy(step.segment(step.source.images))}
