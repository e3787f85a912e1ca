"""Batch norm that does not count its batches: a kernel less for each layer and pass."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class BatchNorm2d(nn.BatchNorm2d):
    """PyTorch's own, with the same state; `num_batches_tracked`, which a fixed momentum never reads, stays as it is."""

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """(x - mean) / sqrt(variance + eps) * weight + bias, in training by the batch's mean and variance."""
        if not (self.training and self.track_running_stats and self.momentum is not None):
            return super().forward(x)
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
        )


def without_count(network: nn.Module) -> None:
    """Have the norms of a network that others built count no batches."""
    for layer in network.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = BatchNorm2d
