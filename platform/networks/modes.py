"""How a network is passed through, and left as it was: in evaluation, or without updating batch norm's statistics."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from jaxtyping import Float
from torch import Tensor, nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Let batch norm, in training mode, normalise by the batch without updating its running statistics."""
    layers = [layer for layer in network.modules() if isinstance(layer, NORMS) and layer.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Have a module, and all within it, in evaluation mode; then each as it was."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def recalibrate(network: nn.Module, batches: Iterable[Float[Tensor, "batch 3 height width"]]) -> None:
    """Have batch norm's running statistics be their means over these batches of the target, each of two images or more.

    The variance between batches is not counted. Whatever else acts in training only, as dropout, rests.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, NORMS)]
    momenta = [layer.momentum for layer in layers]
    with evaluating(network):
        for layer in layers:
            layer.train()
        for number, images in enumerate(batches):
            for layer in layers:
                layer.momentum = 1 / (number + 1)
            network(images, domain="target")
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
