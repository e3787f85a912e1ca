"""Entropy minimisation (Vu et al., ADVENT, CVPR 2019, arXiv 1811.12833).

With p(x) = softmax S(x) at the images' size and C the number of classes:

    min  CE(S(x_s), y_s) + lambda_ent * mean( H(p(x_t)) ),    H(p) = -sum_c p_c log p_c / log C  in [0, 1]

Departure: the level of the auxiliary classifier, published with weight 2e-4, is left out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from platform.methods.method import SEGMENTATION, Method
from platform.methods.step import Step
from platform.networks.hyperparameters import hyperparameter
from platform.networks.operations.upsampling import single_precision, upsample


@dataclass(frozen=True, kw_only=True)
class MinEnt(Method):
    """Make predictions on the target certain."""

    lambda_ent: float = hyperparameter(1e-3, at_least=0.0)
    """Weight of the entropy."""

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        logits = upsample(single_precision(step.target_prediction.logits), step.target.images.shape[-2:])
        return {SEGMENTATION: self.lambda_ent * step.term("shannon_entropy", entropy(logits).mean())}


def entropy(logits: Float[Tensor, "batch classes height width"]) -> Float[Tensor, "batch height width"]:
    """-sum_c p_c log p_c / log C of each pixel, in [0, 1]."""
    log_p = logits.log_softmax(dim=1)
    return -(log_p.exp() * log_p).sum(dim=1) / math.log(logits.shape[1])
