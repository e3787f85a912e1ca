"""How a network is passed through, and left as it was: in evaluation, or without updating batch norm's statistics."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from jaxtyping import Float, Shaped
from torch import Tensor, nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Let batch norm, in training mode, normalise by the batch without updating its running statistics."""
    layers = [layer for layer in norms_of(network).values() if layer.track_running_stats]
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


def norms_of(network: nn.Module) -> dict[str, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d]:
    """The layers of batch norm, by name."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, NORMS)}


def statistics_of(network: nn.Module) -> dict[str, Shaped[Tensor, "..."]]:
    """A copy of batch norm's running statistics, as the network's state names them."""
    layers = {f"{name}." if name else "": layer for name, layer in norms_of(network).items()}
    return {prefix + name: value.clone() for prefix, layer in layers.items() for name, value in layer.named_buffers()}


def recalibrate(network: nn.Module, batches: Iterable[Float[Tensor, "batch 3 height width"]]) -> None:
    """Have batch norm's running statistics be their means over these batches of the target, each of two images or more.

    Every batch weighs as much, and the variance between batches is not counted.
    """
    for number, images in enumerate(batches):
        with averaging(network, number):
            network(images, domain="target")


@contextmanager
def averaging(network: nn.Module, number: int) -> Iterator[None]:
    """Have the next batch count in batch norm's running statistics as much as each of the `number` before it.

    Whatever else acts in training only, as dropout, rests.
    """
    layers = [*norms_of(network).values()]
    momenta = [layer.momentum for layer in layers]
    try:
        with evaluating(network):
            for layer in layers:
                layer.train()
                # By itself, with None, a layer counts batches on the device, and waits for the count.
                layer.momentum = 1 / (number + 1)
            yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
