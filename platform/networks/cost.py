"""What a network costs: parameters and operations, counted from the modules themselves.

Two conventions, never mixed. `gflops` counts two operations per multiply-accumulate of every convolution and matrix
product, by torch's own FlopCounterMode. `original_gflops` counts as the original study's table does, with torchscan
0.1.1 (github.com/frgfm/torch-scan): multiplications and additions of every layer that it knows, each layer at its first
call only. Neither counts interpolation. Costs are counted on the meta device; a plan's estimates of `gflops` are
counted on a small image on the CPU. All figures are for one image of 512 x 1024 in evaluation.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from platform.networks.modes import evaluating
from platform.networks.network import Network

SIZE = (512, 1024)
"""Height and width, in pixels, of the image that every count is for."""
SMALLEST = (32, 64)
"""Height and width of the image that estimates are counted on: 32 pixels are one of most networks' deepest features.

Of PIDNet's they are half of one, which counts double here: 3 % of its operations.
"""

LAYERS = (_ConvNd, nn.Linear)
"""The kinds of layers that multiply matrices: nearly all operations of a network are theirs."""

Arguments = dict[int | str, Any]
"""The arguments of a call, by position or by name, with its shape in place of a tensor."""
Hook = Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], None]
"""A function of a module, of the arguments of its call by position and by name, and of what it gave."""


class Judgement(NamedTuple):
    """A call of a module, and what it is given there for one image."""

    module: nn.Module
    small: Arguments
    """Arguments for a small image, on which the module can be called in a moment."""
    full: Arguments
    """Arguments for an image of `SIZE`."""


class Judged(NamedTuple):
    """The operations of a judgement."""

    operations: int
    """2 per multiply-accumulate."""
    original: int
    """As torchscan 0.1.1 counts them."""


@dataclass(frozen=True)
class Cost:
    """Parameters and billions of operations; `deployed` is what prediction needs, the rest is only trained or dead.

    A discriminator is whatever is never deployed: discriminators, teachers, the network that a deployed teacher leaves.
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
    """The network as published, as torchscan 0.1.1 counts it; a layer that it does not know counts nothing."""
    original_discriminator_gflops: float
    """One judgement of what the method gives to it for one image, as torchscan 0.1.1 counts it."""
    step_gflops: float = 0.0
    """A training step for one image of each batch: every pass of the network and of all players, and what their layers
    take for each gradient, as much as forward; 2 per multiply-accumulate."""


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


def with_players(cost: Cost, players: Iterable[nn.Module], judgements: Sequence[Judged]) -> Cost:
    """The cost of a network and of the players that are trained beside it, and once each what they judge."""
    return replace(
        cost,
        discriminator_parameters=sum(map(parameters, players)),
        discriminator_gflops=sum(each.operations for each in judgements) / 1e9,
        original_discriminator_gflops=sum(each.original for each in judgements) / 1e9,
    )


def judged(judgement: Judgement) -> Judged:
    """What a judgement takes at full size."""
    player, (inputs, named) = copy.deepcopy(judgement.module).to("meta").eval(), _tensors(judgement.full, "meta")
    ours = multiply_add_operations(player, *inputs, **named)
    return Judged(ours, torchscan_operations(player, *inputs, **named))


def estimated_network_gflops(network: Network) -> float:
    """`deployed_gflops`, for plans that cannot wait for it: within 3 %, for LR-ASPP, which pools much, within 11 %.

    Counted on a small image and scaled by pixels: torch's counter and its meta device import the compiler of torch,
    which takes longer than all else that a plan does.
    """
    return layer_operations(network, torch.zeros(1, 3, *SMALLEST)) * math.prod(SIZE) / math.prod(SMALLEST) / 1e9


def estimated_gflops(judgement: Judgement) -> float:
    """What a judgement adds to `discriminator_gflops`: counted on a small image and scaled by its input.

    Within 3 % where nearly all operations are those of convolutions and linear layers on maps that grow with the image.
    """
    inputs, named = _tensors(judgement.small, "cpu")
    small, full = _numbers(judgement.small), _numbers(judgement.full)
    with evaluating(judgement.module):
        return layer_operations(judgement.module, *inputs, **named) * (full / small if small else 1) / 1e9


def called_parameters(module: nn.Module, *inputs: Any) -> int:
    """How many parameters belong to the modules that `module(*inputs)` calls."""
    called: set[nn.Module] = set()
    _call_watched(module, inputs, {}, module.modules(), lambda part, *_: called.add(part))
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


def layer_operations(module: nn.Module, *inputs: Any, **named: Any) -> int:
    """Operations of the convolutions, transposed ones too, and linear layers that `module(*inputs, **named)` calls.

    Two per multiply-accumulate, at every call. A layer of any other kind counts nothing.
    """
    operations = 0

    def count(layer: nn.Module, arguments: tuple[Any, ...], by_name: dict[str, Any], output: Tensor) -> None:
        nonlocal operations
        operations += 2 * multiply_accumulates(layer, arguments[0] if arguments else by_name["input"], output)

    layers = [layer for layer in module.modules() if isinstance(layer, LAYERS)]
    _call_watched(module, inputs, named, layers, count)
    return operations


def torchscan_operations(module: nn.Module, *inputs: Any, **named: Any) -> int:
    """Operations of `module(*inputs, **named)` in evaluation as torchscan 0.1.1 counts them.

    A module that is called again, like a residual block's ReLU or the discriminator's activation, counts once: the
    original study's 2.17 for the separable discriminator is 2.20 when every call counts. Counted are linear layers and
    the kinds of layers of this package's networks that torchscan knows. A layer of any other kind counts nothing.
    """
    counted: dict[nn.Module, int] = {}

    def count(leaf: nn.Module, arguments: tuple[Any, ...], by_name: dict[str, Any], output: Any) -> None:
        # torchscan does not see an input that is given by name.
        counted.setdefault(leaf, _torchscan_leaf(leaf, arguments[0], output) if arguments else 0)

    leaves = [leaf for leaf in module.modules() if next(leaf.children(), None) is None]
    _call_watched(module, inputs, named, leaves, count)
    return sum(counted.values())


def _call_watched(
    module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], watched: Iterable[nn.Module], hook: Hook
) -> None:
    """Call `module(*inputs, **named)` with a hook on these modules of it, which is called after each of their calls."""
    handles = [part.register_forward_hook(hook, with_kwargs=True) for part in watched]
    try:
        with torch.no_grad():
            module(*inputs, **named)
    finally:
        for handle in handles:
            handle.remove()


def multiply_accumulates(layer: nn.Module, x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> int:
    """Every weight takes part once for each place of the output, in a transposed convolution of the input.

    A gradient takes as many again, be it the one with respect to the input or the weights'. A layer of any kind that is
    not one of `LAYERS` counts nothing.
    """
    match layer:
        case _ConvTransposeNd():
            return x.numel() // layer.in_channels * layer.weight.numel()
        case _ConvNd():
            return y.numel() // layer.out_channels * layer.weight.numel()
        case nn.Linear():
            return y.numel() // layer.out_features * layer.weight.numel()
        case _:
            return 0


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
        case nn.AvgPool2d(kernel_size=int(side)):
            # Nor here. A division counts for each axis.
            return y.numel() * (side - 1 + 2)
        case nn.Dropout():
            # Also in evaluation.
            return x.numel() if leaf.p else 0
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
