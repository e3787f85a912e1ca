"""Modules watched while a method takes a step: who is called, and that its losses change nothing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from platform.networks.network import Network


class Asked(list[Network]):
    """The networks that an arm begins from, and whether anybody asked for one."""

    asked = False

    def __getitem__(self, position: Any) -> Any:
        self.asked = True
        return super().__getitem__(position)

    def __iter__(self) -> Iterator[Network]:
        self.asked = True
        return super().__iter__()


Note = Callable[[str, str, tuple[Any, ...], dict[str, Any]], None]
"""What is told of a call: the module's name, the name of the part of it that is called, and the arguments."""


@contextmanager
def calls_noted(modules: Mapping[str, nn.Module], note: Note) -> Iterator[None]:
    """Note each call of a module, or of a part of one, which none of these modules makes itself."""
    inside = 0

    def enter(name: str, part: str, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        nonlocal inside
        inside += 1
        if inside == 1:
            note(name, part, inputs, named)

    def leave(*_: Any) -> None:
        nonlocal inside
        inside -= 1

    handles = []
    for name, module in modules.items():
        for part, called in module.named_modules():
            handles.append(called.register_forward_pre_hook(partial(enter, name, part), with_kwargs=True))
            handles.append(called.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def unchanged(methods: str, modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """Raise ValueError where weights, or buffers, are other ones at the end.

    A layer in training mode may change its own buffers, as batch norm does.
    """
    before = _tensors(modules)
    yield
    for name, (tensor, version) in _tensors(modules).items():
        if name in before and (before[name][0] is not tensor or before[name][1] != version):
            raise ValueError(
                f"{methods}.losses must change nothing, since it is called twice a step where batches are halved, got "
                f"another {name}; change it in `update`"
            )


def _tensors(modules: Mapping[str, nn.Module]) -> dict[str, tuple[Tensor | None, int]]:
    """Weights and buffers by name, and how often each was written to."""
    tensors: dict[str, Tensor | None] = {}
    for name, module in modules.items():
        tensors |= module.named_parameters(prefix=name)
        for part, layer in module.named_modules(prefix=name):
            if not layer.training:
                tensors |= {f"{part}.{own}": buffer for own, buffer in layer._buffers.items()}
    return {name: (tensor, 0 if tensor is None else tensor._version) for name, tensor in tensors.items()}
