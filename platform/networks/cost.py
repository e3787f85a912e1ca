"""What a network costs: parameters and operations, counted from the modules themselves on the meta device.

Two conventions, never mixed. `gflops` counts two operations per multiply-accumulate of every convolution, by torch's
own FlopCounterMode. `original_gflops` counts as the original study's table does, with torchscan 0.1.1
(github.com/frgfm/torch-scan): multiplications and additions of every module, each module at its first call only.
Neither counts interpolation. All figures are for one image of 512 x 1024 in evaluation.
"""

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from platform.networks.network import Network

SIZE = (512, 1024)
"""Height and width, in pixels, of the image that every count is for."""
SMALLEST = (32, 64)
"""Height and width of the image that estimates are counted on: 32 pixels are one of the deepest features."""


Arguments = dict[int | str, Any]
"""The arguments of a call, by position or by name, with its shape in place of a tensor."""


class Judgement(NamedTuple):
    """A call of a module, and what it is given there for one image."""

    module: nn.Module
    small: Arguments
    """For a small image, on which the module can be called in a moment."""
    full: Arguments
    """For an image of `SIZE`."""


@dataclass(frozen=True)
class Cost:
    """Parameters and billions of operations; `deployed` is what prediction needs, the rest is only trained or dead.

    A discriminator is any player that a method trains beside the network.
    """

    parameters: int
    """The network as published, with its auxiliary classifiers, and a BiSeNet with ResNet-18's, which nothing uses."""
    deployed_parameters: int
    """The modules that a prediction calls."""
    discriminator_parameters: int
    """Never deployed; 0 for a method without a discriminator, as are its operations."""
    gflops: float
    """The network as published; a BiSeNet classifies after upsampling; 2 per multiply-accumulate."""
    deployed_gflops: float
    """The network as run here; a BiSeNet classifies before upsampling; 2 per multiply-accumulate."""
    discriminator_gflops: float
    """One judgement of what the method gives to it for one image; 2 per multiply-accumulate."""
    original_gflops: float
    """The network as published, as torchscan 0.1.1 counts it."""
    original_discriminator_gflops: float
    """One judgement of what the method gives to it for one image, as torchscan 0.1.1 counts it."""


def network_cost(network: Network) -> Cost:
    """The cost of a network in evaluation that lies on the meta device, without any discriminator."""
    images = torch.empty(1, 3, *SIZE, device="meta")
    published = network.published()
    return Cost(
        parameters=parameters(published),
        deployed_parameters=called_parameters(network, images),
        discriminator_parameters=0,
        gflops=multiply_add_operations(published, images) / 1e9,
        deployed_gflops=multiply_add_operations(network, images) / 1e9,
        discriminator_gflops=0.0,
        original_gflops=torchscan_operations(published, images) / 1e9,
        original_discriminator_gflops=0.0,
    )


def with_players(cost: Cost, players: Iterable[nn.Module], judgements: Iterable[Judgement]) -> Cost:
    """The cost of a network and of the players that are trained beside it, each judgement counted once."""
    ours = original = 0
    for module, _, full in judgements:
        player, (inputs, named) = copy.deepcopy(module).to("meta"), _tensors(full, "meta")
        ours += multiply_add_operations(player, *inputs, **named)
        original += torchscan_operations(player, *inputs, **named)
    return replace(
        cost,
        discriminator_parameters=sum(map(parameters, players)),
        discriminator_gflops=ours / 1e9,
        original_discriminator_gflops=original / 1e9,
    )


def estimated_network_gflops(network: Network) -> float:
    """`deployed_gflops` within 3 %, for plans that cannot wait for it.

    Counted on a small image and scaled by pixels: torch's counter and its meta device import the compiler of torch,
    which takes longer than all else that a plan does.
    """
    return torchscan_operations(network, torch.zeros(1, 3, *SMALLEST)) * math.prod(SIZE) / math.prod(SMALLEST) / 1e9


def estimated_gflops(judgement: Judgement) -> float:
    """What a judgement adds to `discriminator_gflops`, within 3 %: counted on a small image and scaled by its input."""
    inputs, named = _tensors(judgement.small, "cpu")
    small, full = _numbers(judgement.small), _numbers(judgement.full)
    return torchscan_operations(judgement.module, *inputs, **named) * (full / small if small else 1) / 1e9


def called_parameters(module: nn.Module, *inputs: Any) -> int:
    """How many parameters belong to the modules that `module(*inputs)` calls."""
    called: set[nn.Module] = set()
    handles = [part.register_forward_hook(lambda part, *_: called.add(part)) for part in module.modules()]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return sum(parameter.numel() for part in called for parameter in part.parameters(recurse=False))


def parameters(module: nn.Module) -> int:
    """How many parameters a module holds."""
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_add_operations(module: nn.Module, *inputs: Any, **named: Any) -> int:
    """Operations of `module(*inputs, **named)`, two per multiply-accumulate, by torch's FlopCounterMode."""
    # It imports the compiler of torch, which plans do without.
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs, **named)
    operations: int = counter.get_total_flops()
    return operations


def torchscan_operations(module: nn.Module, *inputs: Any, **named: Any) -> int:
    """Operations of `module(*inputs, **named)` in evaluation as torchscan 0.1.1 counts them.

    A module that is called again, like a residual block's ReLU or the discriminator's activation, counts once: the
    original study's 2.17 for the separable discriminator is 2.20 when every call counts. A module of a kind that
    neither the original study's networks have nor a linear layer is counts nothing.
    """
    counted: dict[nn.Module, int] = {}

    def count(leaf: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        # A module whose input is given by name is none that torchscan knows.
        counted.setdefault(leaf, _torchscan_leaf(leaf, arguments[0], output) if arguments else 0)

    leaves = [leaf for leaf in module.modules() if next(leaf.children(), None) is None]
    handles = [leaf.register_forward_hook(count) for leaf in leaves]
    try:
        with torch.no_grad():
            module(*inputs, **named)
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
        case nn.Linear():
            return y.numel() * (2 * leaf.in_features - 1 + (leaf.bias is not None))
        case _:
            # As torchscan does, with a warning, for a module that it does not know.
            return 0


def _numbers(arguments: Arguments) -> int:
    """How many numbers the tensors among the arguments hold."""
    return sum(value.numel() for value in arguments.values() if isinstance(value, torch.Size))


def _tensors(arguments: Arguments, device: str) -> tuple[list[Any], dict[str, Any]]:
    """The arguments by position and by name, with tensors of zeros for shapes."""
    made = {
        key: torch.zeros(value, device=device) if isinstance(value, torch.Size) else value
        for key, value in arguments.items()
    }
    return [made[key] for key in made if isinstance(key, int)], {
        key: value for key, value in made.items() if isinstance(key, str)
    }
