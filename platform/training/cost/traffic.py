"""What a step asks of a GPU: kernels, bytes that they read and write, and bytes that its backward pass keeps.

A step of the network itself is taken on the CPU, on images of two sizes, and every operation is looked at: what grows
with the images is extrapolated, and what weights take is not. Fused optimisers read and write five numbers a parameter.
"""

import copy
import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from platform.methods.composition import Composition, modules_of
from platform.networks.cost import SMALLEST
from platform.networks.network import Domain, Network, Prediction
from platform.training.cost.gradients import Walks
from platform.training.cost.reads import READS, operation
from platform.training.cost.tried import (
    BATCH,
    IMAGES,
    NUMBERS,
    Acting,
    acting_of,
    network_of,
    on_smallest,
    own_mistakes,
    players_of,
    take,
)
from platform.training.given import Given
from platform.training.recipe import Recipe

NUMBER_BYTES = 2
"""Of a number in half precision, in which the networks are computed; losses are in float32, and count too little."""
PARAMETER_BYTES = 4 * 5
"""A weight, its gradient and what its optimiser keeps, some of them read and written."""
NO_KERNEL = {"aten::empty", "aten::empty_like", "aten::detach", "aten::new_empty", "aten::empty_strided", "aten::alias"}
NO_KERNEL |= {"aten::_unsafe_view"}
"""Operations that compute nothing, beside views."""


@dataclass(frozen=True)
class Traffic:
    """What a step asks of a GPU."""

    kernels: float
    bytes: float
    """Read and written."""
    kept: float
    """Bytes that are kept for the backward pass."""
    parameters: int
    """Of all players."""
    is_repeated: bool
    """Whether it can be recorded once and repeated: no method asks the CPU for anything, or reads a number.

    Whether that pays depends on the GPU.
    """


def traffic_of(methods: Composition, recipe: Recipe, given: tuple[Given, ...], size: tuple[int, int]) -> Traffic:
    """What a step at an image size (height, width) asks of a GPU. Raises Uncounted."""
    acting = acting_of(methods, recipe, given)
    scale, small, larger, is_repeated = _tried(acting)
    of_small = BATCH * scale**2 * math.prod(SMALLEST)
    doublings = (recipe.batch * math.prod(size) / of_small - 1) / 3
    modules = modules_of(network_of(acting.bare), players_of(acting)).values()
    parameters = sum(parameter.numel() for module in modules for parameter in module.parameters())

    def grown(before: float, after: float) -> float:
        return before + (after - before) * doublings

    return Traffic(
        kernels=larger.kernels,
        bytes=grown(small.bytes, larger.bytes) + PARAMETER_BYTES * parameters,
        kept=grown(small.kept, larger.kept),
        parameters=parameters,
        is_repeated=is_repeated,
    )


@functools.lru_cache(maxsize=256)
def _tried(acting: Acting) -> tuple[int, "_Seen", "_Seen", bool]:
    """A step on the smallest images that all players take, and one on images twice as large.

    Before them how many times the smallest those are, and after them whether such a step can be recorded.
    """

    def both(scale: int) -> tuple[_Seen, _Seen]:
        return _seen(acting, scale), _seen(acting, 2 * scale)

    with own_mistakes(acting), torch.random.fork_rng(devices=[]):
        scale, (small, larger) = on_smallest(IMAGES[:-1], both)
        return scale, small, larger, _is_repeated(acting, scale)


def _is_repeated(acting: Acting, scale: int) -> bool:
    try:
        return not _seen(acting, scale, number=None).reads
    # Whatever cannot be recorded raises something.
    except Exception:
        return False


def _seen(acting: Acting, scale: int, number: int | None = NUMBERS[-1]) -> "_Seen":
    seen, network = _Seen(), copy.deepcopy(network_of(acting.bare)).train()
    segment = _Passing(network, (SMALLEST[0] * scale, SMALLEST[1] * scale))
    players = players_of(acting)
    # What the first step makes for good, as the matrices of an interpolation, is no other's.
    take(acting.methods, players, network, segment, NUMBERS[0])
    with seen.looking():
        take(acting.methods, players, network, segment, number)
    return seen


@dataclass
class _Passing:
    """Passes of the network itself."""

    network: Network
    size: tuple[int, int]
    """Height and width of a whole image."""
    leaf: Float[Tensor, ""] = field(default_factory=lambda: torch.zeros((), requires_grad=True))
    walks: Walks = field(default_factory=Walks)

    def __call__(self, images: Float[Tensor, "batch 3 height width"], domain: Domain) -> Prediction:
        prediction: Prediction = self.network(images, domain=domain, auxiliary=True)
        return prediction

    labelled = __call__


@dataclass
class _Seen:
    """What was seen of a step."""

    kernels: int = 0
    reads: int = 0
    """How often the CPU asked for a number, or a size."""
    bytes: int = 0
    kept: int = 0
    _held: dict[int, Tensor] = field(default_factory=dict)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """See all operations, and what is kept for the backward pass, each piece of memory once."""
        with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda tensor: tensor), _Looking(self):
            yield
        self._held.clear()

    def _keep(self, tensor: Tensor) -> Tensor:
        memory = tensor.untyped_storage()
        is_weight = tensor.is_leaf and tensor.requires_grad
        # Held until the step is taken, so that no other piece gets its address.
        if not is_weight and self._held.setdefault(memory.data_ptr(), tensor) is tensor:
            self.kept += NUMBER_BYTES * memory.nbytes() // tensor.element_size()
        return tensor


class _Looking(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees each operation as it is taken."""

    def __init__(self, seen: _Seen) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen = seen

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Else it imports the compiler of torch, which takes longer than all else that a plan does.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = operation(func, args)
        self._seen.reads += name in READS
        if not name.startswith("aten::") or name in NO_KERNEL or func.is_view:
            return result
        self._seen.kernels += 1
        tensors = {id(leaf): leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)}
        self._seen.bytes += sum(map(_bytes, tensors.values()))
        return result


def _bytes(tensor: Tensor) -> int:
    """What is read of a tensor, or written to it, dimensions that are expanded once."""
    sides = zip(tensor.shape, tensor.stride(), strict=True)
    return NUMBER_BYTES * math.prod(side for side, stride in sides if stride)
