"""A training step at full size on tensors without numbers, and what it would ask of a GPU."""

import copy
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from platform.methods import upsampled_loss
from platform.methods.adversarial import judgement
from platform.methods.composition import Composition
from platform.methods.translation import lab
from platform.networks import discriminator
from platform.networks.operations import upsampling
from platform.shifts.shift import Images, LabelledImages, Oracle, Splits
from platform.training.cost.reads import operation
from platform.training.data import batches
from platform.training.data.transfer import Kind
from platform.training.device.arithmetic import Arithmetic
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun
from tests.support.tiny_splits import AFTER, CPU

SIZE = (512, 1024)
ON_A_GPU = Arithmetic(torch.bfloat16, torch.channels_last, torch.channels_last)
NO_KERNEL = {"aten::empty", "aten::empty_like", "aten::detach", "aten::new_empty", "aten::empty_strided", "aten::alias"}
NO_KERNEL |= {"aten::_unsafe_view", "aten::as_strided_", "aten::promote_types", "aten::lift_fresh"}
BY_INDEX = {"aten::gather", "aten::scatter_add_"}
CONVOLUTIONS = {"aten::convolution", "aten::convolution_backward"}


@dataclass
class Asked:
    """What a step asks of a device."""

    operations: Counter[str] = field(default_factory=Counter)
    kernels: int = 0
    """Operations that compute or copy: views and memory are none."""
    bytes: int = 0
    """What they read and write: each tensor once an operation, and twice what is changed in its place."""
    bytes_once: int = 0
    """The same with each tensor once, whatever happens to it."""
    flops: int = 0
    """Of convolutions, two per multiply-accumulate."""


class _Asking(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, asked: Asked) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._asked = asked

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = operation(func, args)
        self._asked.operations[name] += 1
        if not name.startswith("aten::") or name in NO_KERNEL or func.is_view:
            return result
        self._asked.kernels += 1
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        once, again = _traffic(func, args, tensors)
        self._asked.bytes += once + again
        self._asked.bytes_once += once
        if name in CONVOLUTIONS:
            flops = flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=result)
            # The registry takes every channel of a gradient for one of every other.
            self._asked.flops += flops // (args[-2] if name == "aten::convolution_backward" else 1)
        return result


def _traffic(func: Any, args: Any, tensors: list[Tensor]) -> tuple[int, int]:
    """The bytes of each tensor once, and those of what is changed in its place."""
    if func._schema.name in BY_INDEX:
        # Of what is looked up, or added to, one number for each index.
        return 3 * _bytes(args[2]), 0
    changed = [
        args[place] for place, argument in enumerate(func._schema.arguments[: len(args)]) if _is_changed(argument)
    ]
    again = sum(_bytes(leaf) for leaf in tree_leaves(changed) if isinstance(leaf, Tensor))
    return sum({id(tensor): _bytes(tensor) for tensor in tensors}.values()), again


def _is_changed(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _bytes(tensor: Tensor) -> int:
    """What is read of a tensor, dimensions that are expanded once."""
    sides = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(side for side, stride in sides if stride) * tensor.element_size()


class _NoNumbers:
    """What a step needs of the host, sent without any numbers in it."""

    def __init__(self, kinds: Mapping[str, Kind], device: torch.device) -> None:
        self._kinds = kinds

    def wait(self, slot: int) -> None:
        """Nothing is on its way."""

    def arrays(self, slot: int) -> dict[str, np.ndarray]:
        return {
            name: np.empty(kind.shape, torch.empty(0, dtype=kind.type).numpy().dtype)
            for name, kind in self._kinds.items()
        }

    def send(self, slot: int) -> dict[str, Tensor]:
        return {name: torch.empty(kind.shape, dtype=kind.type) for name, kind in self._kinds.items()}


def _lay_out(arithmetic: Arithmetic, module: nn.Module, device: torch.device) -> None:
    # `Module.to` would swap the parameters, of which those without numbers cannot be.
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=arithmetic.weights)


def full_size_splits(number: int) -> Splits:
    """Black images at full size, which take no memory until somebody reads them."""
    pixels = np.zeros((number, *SIZE, 3), np.uint8)
    images = Images(pixels, tuple(f"{position}.png" for position in range(number)))
    labelled = LabelledImages(images, np.zeros((number, *SIZE), np.uint8))
    return Splits(labelled, labelled, images, images, Oracle(labelled, labelled, labelled), labelled)


@contextmanager
def faking() -> Iterator[None]:
    """Tensors without numbers, computed as a GPU would; constants that are kept for good are made before."""
    for constant in (lab._to_xyz, lab._from_xyz, lab._white):
        constant(CPU)
    for big, small in ((512, 64), (64, 32), (64, 16)):
        for height, width in ((big, small), (2 * big, 2 * small)):
            for dtype in (torch.float32, torch.bfloat16):
                upsampling.weights(height, width, CPU, dtype)
            upsampling._is_exact(height, width, torch.bfloat16)
    with (
        patch.object(batches, "Transfer", _NoNumbers),
        patch.object(Arithmetic, "of", lambda device: ON_A_GPU),
        patch.object(Arithmetic, "place", _lay_out),
        patch.object(discriminator, "layout", lambda device: ON_A_GPU.images),
        patch.object(judgement, "layout", lambda device: ON_A_GPU.images),
        # The positions of images, which the CPU knows anyway.
        patch.object(FakeTensor, "tolist", lambda indices: [*range(len(indices))]),
        patch.object(upsampled_loss, "in_strips", lambda device: False),
        FakeTensorMode(allow_non_fake_inputs=True),
    ):
        yield


def asked_of_a_gpu(methods: Composition, recipe: Recipe) -> Asked:
    """What a step after the first asks of a GPU."""
    asked = Asked()
    with faking():
        number = max(AFTER.get(type(method), 0) for method in methods.methods)
        given = [recipe.network.build() for _ in range(number)]
        # Parameters without numbers cannot be copied.
        with patch.object(copy, "deepcopy", lambda network: recipe.network.build()):
            run = TrainingRun(methods, recipe, full_size_splits(recipe.batch), 1, 1000, CPU, given)
        run._take_step()
        with _Asking(asked):
            run._take_step()
    return asked
