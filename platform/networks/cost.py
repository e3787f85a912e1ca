"""What a network costs: parameters and operations, counted from the modules themselves on the meta device.

Two conventions, never mixed. `gflops` counts two operations per multiply-accumulate of every convolution, by torch's
own FlopCounterMode. `original_gflops` counts as the original study's table does, with torchscan 0.1.1
(github.com/frgfm/torch-scan): multiplications and additions of every module, each module at its first call only.
Neither counts interpolation. All figures are for one image of 512 x 1024 in evaluation.
"""

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from platform.networks.bisenet import BiSeNet, upsample
from platform.networks.discriminator import Discriminator
from platform.shifts.labels import NUM_CLASSES

SIZE = (512, 1024)
"""Height and width, in pixels, of the image that every count is for."""
SMALLEST = (32, 64)
"""Of the image that `estimate` runs: 32 pixels are one of the deepest features."""
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Cost:
    """Parameters and billions of operations; `deployed` is what prediction needs, the rest is only trained or dead."""

    parameters: int
    """The network as published: with ResNet-18's ImageNet classifier, which nothing uses, and auxiliary classifiers."""
    deployed_parameters: int
    """Without either."""
    discriminator_parameters: int
    """Never deployed; 0 for a method without a discriminator, as are its operations."""
    gflops: float
    """The network as published, which classifies after upsampling; 2 per multiply-accumulate."""
    deployed_gflops: float
    """The network as run here, which classifies before upsampling; 2 per multiply-accumulate."""
    discriminator_gflops: float
    """On probabilities upsampled to the image; 2 per multiply-accumulate."""
    original_gflops: float
    """The network as published, as torchscan 0.1.1 counts it."""
    original_discriminator_gflops: float
    """On probabilities upsampled to the image, as torchscan 0.1.1 counts it."""


class PublishedOrder(nn.Module):
    """BiSeNet as published: the final 1x1 convolution after the upsampling, on 64 times the pixels."""

    def __init__(self, network: BiSeNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits of shape (batch, classes, height, width) for images of shape (batch, 3, height, width)."""
        size = (images.shape[-2], images.shape[-1])
        logits: Tensor = self.network.classifier(upsample(self.network.features(images).fused, size))
        return logits


@functools.cache
def cost(network_width: float, discriminator: tuple[int, bool] | None) -> Cost:
    """The cost of a BiSeNet of a width and of the discriminator (width, separable) it is trained against, if any."""
    with torch.device("meta"):
        network = BiSeNet(width=network_width).eval()
        published = PublishedOrder(network)
        unused = nn.Linear(network.context_path.channels, IMAGENET_CLASSES)
        adversary = nn.Identity() if discriminator is None else Discriminator(NUM_CLASSES, *discriminator)
        images = torch.empty(1, 3, *SIZE)
        probabilities = torch.empty(1, NUM_CLASSES, *SIZE)
    return Cost(
        parameters=parameters(network) + parameters(unused),
        deployed_parameters=parameters(network) - parameters(network.auxiliary_classifiers),
        discriminator_parameters=parameters(adversary),
        gflops=multiply_add_operations(published, images) / 1e9,
        deployed_gflops=multiply_add_operations(network, images) / 1e9,
        discriminator_gflops=multiply_add_operations(adversary, probabilities) / 1e9,
        original_gflops=torchscan_operations(published, images) / 1e9,
        original_discriminator_gflops=torchscan_operations(adversary, probabilities) / 1e9,
    )


@functools.cache
def estimate(network_width: float, discriminator: tuple[int, bool] | None) -> tuple[float, float]:
    """`deployed_gflops` and `discriminator_gflops` of `cost` within 3 %, for plans that cannot wait for them.

    Counted on a small image and scaled by pixels: torch's counter and its meta device import the compiler of torch,
    which takes longer than all else that a plan does.
    """
    with torch.random.fork_rng(devices=[]):
        network = BiSeNet(width=network_width).eval()
        adversary = nn.Identity() if discriminator is None else Discriminator(NUM_CLASSES, *discriminator)
    scale = math.prod(SIZE) / math.prod(SMALLEST) / 1e9
    return (
        scale * torchscan_operations(network, torch.zeros(1, 3, *SMALLEST)),
        scale * torchscan_operations(adversary, torch.zeros(1, NUM_CLASSES, *SMALLEST)),
    )


def parameters(module: nn.Module) -> int:
    """How many parameters a module holds."""
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_add_operations(module: nn.Module, x: Tensor) -> int:
    """Operations of `module(x)`, two per multiply-accumulate, by torch's FlopCounterMode."""
    # It imports the compiler of torch, which plans do without.
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(x)
    operations: int = counter.get_total_flops()
    return operations


def torchscan_operations(module: nn.Module, x: Tensor) -> int:
    """Operations of `module(x)` in evaluation as torchscan 0.1.1 counts them.

    A module that is called again, like a residual block's ReLU or the discriminator's activation, counts once: the
    original study's 2.17 for the separable discriminator is 2.20 when every call counts.
    """
    counted: dict[nn.Module, int] = {}

    def count(leaf: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        counted.setdefault(leaf, _torchscan_leaf(leaf, arguments[0], output))

    leaves = [leaf for leaf in module.modules() if next(leaf.children(), None) is None]
    handles = [leaf.register_forward_hook(count) for leaf in leaves]
    try:
        with torch.no_grad():
            module(x)
    finally:
        for handle in handles:
            handle.remove()
    return sum(counted.values())


def _torchscan_leaf(leaf: nn.Module, x: Tensor, y: Tensor) -> int:
    match leaf:
        case nn.Conv2d():
            window, inputs = math.prod(leaf.kernel_size), leaf.in_channels // leaf.groups
            bias = 0 if leaf.bias is None else 1
            return y.numel() * (inputs * (2 * window - 1) + inputs - 1 + bias)
        case nn.BatchNorm2d():
            return 4 * x.numel() + 2 * leaf.num_features
        case nn.ReLU():
            return x.numel()
        case nn.LeakyReLU() | nn.Sigmoid():
            return 4 * x.numel()
        case nn.MaxPool2d(kernel_size=int(side)):
            # torchscan does not square an integer kernel size.
            return y.numel() * (side - 1)
        case nn.AdaptiveAvgPool2d(output_size=1):
            return y.numel() * (x.shape[-2] * x.shape[-1] + 1)
        case nn.Identity():
            return 0
        case _:
            raise NotImplementedError(f"torchscan's count of {type(leaf).__name__} is not written down here")
