"""Distillation of another row's network, pixel by pixel (Liu et al., CVPR 2019, arXiv 1903.04197).

A small network S learns what a larger one T, which was adapted before and stays as it is, predicts on the target. With
logits z, and softened probabilities q = softmax(z / t) (Hinton, Vinyals and Dean, 2015, arXiv 1503.02531):

    min  CE(S(x_s), y_s) + lambda_distillation * t^2 * mean over pixels of KL( q of T(x_t) || q of S(x_t) ),
    KL(q || r) = sum_c q_c log(q_c / r_c)

t^2 gives gradients the same size at all temperatures. T predicts in evaluation, and S keeps the weights that it was
initialised with. As published, pixels are places of the logits, of the finer ones where the two networks differ.

Departures: images are the target's alone, since the source has labels (published: labelled images of one domain). The
distillation of pairs of pixels and of whole maps is left out. The published code adds up the images of a batch, where
the paper and this take their mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from platform.methods.method import SEGMENTATION, Method, Player
from platform.methods.step import Step
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Network
from platform.networks.operations.upsampling import single_precision, upsample

TEACHER = "distilled network"


@dataclass(frozen=True, kw_only=True)
class Distillation(Method):
    """Learn what another row's network predicts on the target: `Arm(Distillation).after("a larger network")`."""

    lambda_distillation: float = hyperparameter(10.0, at_least=0.0)
    """Weight of the divergence from the other network's probabilities."""
    temperature_of_distillation: float = hyperparameter(1.0, above=0.0)
    """t: the higher, the more the probabilities of unlikely classes count."""

    def start(self, network: Network, given: Sequence[Network]) -> None:
        if len(given) != 1:
            raise ValueError(
                f"Distillation learns from the network of one row, got {len(given)} rows; write "
                'Arm(Distillation).after("a row"), which may be one of MajorityVote after several'
            )

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {TEACHER: Player(given[0])}

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        with torch.no_grad():
            taught = step.modules[TEACHER](step.target.images, domain="target").logits
        divergence = softened_divergence(taught, step.target_prediction.logits, self.temperature_of_distillation)
        return {SEGMENTATION: self.lambda_distillation * step.term("distillation", divergence)}


def softened_divergence(
    teacher: Float[Tensor, "batch classes _ _"], student: Float[Tensor, "batch classes _ _"], temperature: float
) -> Float[Tensor, ""]:
    """t^2 KL(softmax(teacher / t) || softmax(student / t)), in the mean over the places of the finer logits."""
    finer = tuple(map(max, teacher.shape[-2:], student.shape[-2:]))
    log_q, log_r = (
        (upsample(single_precision(logits), finer) / temperature).log_softmax(dim=1) for logits in (teacher, student)
    )
    return temperature**2 * (log_q.exp() * (log_q - log_r)).sum(dim=1).mean()
