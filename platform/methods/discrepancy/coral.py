"""Correlation alignment of features (Sun and Saenko, Deep CORAL, ECCV workshops 2016, arXiv 1607.01719).

With f(x) the features that the final classifier sees, d their channels, and Cov their covariance over all places of the
batch:

    min  CE(S(x_s), y_s) + lambda_coral / (4 d^2) * || Cov(f(x_s)) - Cov(f(x_t)) ||_F^2

Departures: every place of the features is a sample (published: every image). The paper names no weight but one by which
both losses end alike; the authors' logs have 1e-4 to 0.8, by the pair of domains, and the default of 1 is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from platform.methods.method import SEGMENTATION, Method
from platform.methods.step import Step
from platform.networks.hyperparameters import hyperparameter
from platform.networks.operations.upsampling import single_precision


@dataclass(frozen=True, kw_only=True)
class CORAL(Method):
    """Give the features of both domains the same covariance."""

    lambda_coral: float = hyperparameter(1.0, at_least=0.0)
    """Weight of the distance between the covariances."""

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        distance = coral(step.prediction.features, step.target_prediction.features)
        return {SEGMENTATION: self.lambda_coral * step.term("coral", distance)}


def coral(
    source: Float[Tensor, "batch channels rows columns"], target: Float[Tensor, "batch channels rows columns"]
) -> Float[Tensor, ""]:
    """|| Cov(source) - Cov(target) ||_F^2 / (4 d^2)."""
    return (covariance(source) - covariance(target)).square().sum() / (4 * source.shape[1] ** 2)


def covariance(features: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "channels channels"]:
    """The covariance of channels over images and places, in no half precision, which overflows at 65504."""
    with torch.autocast(features.device.type, enabled=False):
        samples = single_precision(features).movedim(1, 0).flatten(1)
        centred = samples - samples.mean(dim=1, keepdim=True)
        return centred @ centred.mT / (samples.shape[1] - 1)
