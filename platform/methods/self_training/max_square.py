"""Maximum squares (Chen, Xue and Cai, ICCV 2019, arXiv 1909.13589).

With p_n the probabilities of pixel n at the images' size, C the number of classes, N the pixels of an image, and N_c
those that are predicted as class c:

    min  CE(S(x_s), y_s) - lambda_max_square / C * mean over images of sum_n w_n sum_c p_nc^2
    w_n = 1 / (N_c^a N^(1 - a)),    c = argmax_c' p_nc',    a = class_balance

The gradient of a square grows with p, where that of the entropy explodes, so that easy pixels do not outweigh all
others; w_n gives rare classes more weight, and takes no gradient. At a = 0 all pixels weigh 1 / N: the plain loss.

Departures: scales are those of the published code, where the paper has 1/2 in the place of 1/C. Its plain loss is half
as large: that is a = 0 with half the weight. The published training begins from a source model, as
`Arm(MaxSquare).after("source only")` does. The guidance of an auxiliary classifier is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from platform.methods.method import SEGMENTATION, Method
from platform.methods.step import Step
from platform.networks.hyperparameters import hyperparameter
from platform.networks.operations.upsampling import single_precision, upsample


@dataclass(frozen=True, kw_only=True)
class MaxSquare(Method):
    """Make predictions on the target certain, without those that are certain already outweighing the others."""

    lambda_max_square: float = hyperparameter(0.1, at_least=0.0)
    """Weight of the squares."""
    class_balance: float = hyperparameter(0.2, at_least=0.0, at_most=1.0)
    """a: at 0 all pixels of an image weigh alike, at 1 all classes that are predicted in it."""

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        logits = upsample(single_precision(step.target_prediction.logits), step.target.images.shape[-2:])
        squares = max_square(logits, self.class_balance)
        return {SEGMENTATION: self.lambda_max_square * step.term("max_square", squares)}


def max_square(logits: Float[Tensor, "batch classes height width"], class_balance: float) -> Float[Tensor, ""]:
    """-1/C of the weighted sum of squared probabilities, in the mean over images; in [-1/C, 0) without balance."""
    p = logits.softmax(dim=1)
    weighted = balance(logits, class_balance) * p.square().sum(dim=1)
    return -weighted.sum() / (logits.shape[0] * logits.shape[1])


@torch.no_grad()
def balance(
    logits: Float[Tensor, "batch classes height width"], class_balance: float
) -> Float[Tensor, "batch height width"]:
    """1 / (N_c^a N^(1 - a)) of each pixel, with c the class that it is predicted as."""
    predicted = logits.max(dim=1).indices.flatten(1)
    # By comparison: a histogram waits for the device, or adds up in any order.
    is_of = predicted[:, None] == torch.arange(logits.shape[1], device=logits.device)[:, None]
    pixels = is_of.sum(dim=2).clamp(min=1).to(logits.dtype)
    weights: Tensor = 1 / (pixels**class_balance * predicted.shape[1] ** (1 - class_balance))
    return weights.gather(1, predicted).view(logits.shape[0], *logits.shape[2:])
