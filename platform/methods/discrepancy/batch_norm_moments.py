"""Matching of batch norm's statistics (Li et al., Demystifying Neural Style Transfer, IJCAI 2017, arXiv 1701.01036).

With mu_c(x) and sigma_c(x) the mean and the deviation of channel c of what enters a layer of batch norm, or the final
classifier, over a batch and its places, and C the number of channels of all such layers:

    min  CE(S(x_s), y_s) + lambda_moments / C * sum_c ( (mu_c(x_t) - mu_c(x_s))^2 + (sigma_c(x_t) - sigma_c(x_s))^2 )

The source's moments are constants, as there the style's, and as those that a trained network keeps of its source
(Ishii and Sugiyama, arXiv 2101.10842). A gradient of both would also make all weights before a layer smaller, which
brings any moments together and changes no prediction.

Departures: the published code changes an image, and here the network learns; it counts every layer alike, and here
every channel, those of the final features among them. sigma^2 has 1e-5 added, as in batch norm. The default weight is
ours: of 1 and 10, the one that brings the moments together on small images; no accuracy has chosen it. Moments are seen
in passes of this method's own, which no other shares: of the source without gradients, and counted in no running
statistic, and of the target as any other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from platform.methods.discrepancy.adabn import norms_for
from platform.methods.method import SEGMENTATION, Method
from platform.methods.step import Step
from platform.networks.hyperparameters import hyperparameter
from platform.networks.modes import statistics_kept
from platform.networks.network import Domain
from platform.networks.operations.upsampling import single_precision

EPSILON = 1e-5
"""Added to variances, without which a deviation of 0 would have no gradient."""


@dataclass(frozen=True, kw_only=True)
class BatchNormMoments(Method):
    """Have the target enter each layer of batch norm, and the classifier, with the source's means and deviations."""

    lambda_moments: float = hyperparameter(10.0, at_least=0.0)
    """Weight of the distance between the moments."""

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        norms = norms_for(self, step.network)
        with torch.no_grad(), statistics_kept(step.network):
            of_source = moments(step, norms, step.source.images, "source")
        of_target = moments(step, norms, step.target.images, "target")
        distance = (of_target - of_source).square().sum(dim=0).mean()
        return {SEGMENTATION: self.lambda_moments * step.term("moments", distance)}


def moments(
    step: Step, norms: Sequence[nn.Module], images: Float[Tensor, "batch 3 height width"], domain: Domain
) -> Float[Tensor, "2 channels"]:
    """Means and deviations of what enters the norms in a pass, and of the features, which come last, in float32."""
    seen: list[tuple[Tensor, Tensor]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(variances_and_means(inputs[0])))
        for layer in norms
    ]
    try:
        prediction = step.segment(images, domain)
    finally:
        for hook in hooks:
            hook.remove()
    variances, means = map(torch.cat, zip(*seen, variances_and_means(prediction.features), strict=True))
    return torch.stack([means, (variances + EPSILON).sqrt()])


def variances_and_means(
    x: Float[Tensor, "batch channels ..."],
) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]]:
    """Those of each channel over images and places, as batch norm takes them."""
    variances, means = torch.var_mean(single_precision(x), [0, *range(2, x.ndim)], correction=0)
    return variances, means
