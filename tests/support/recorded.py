"""Operations recorded and repeated as a CUDA graph does, on the CPU: on the same memory, without any Python."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from platform.training.cost.reads import READS, operation
from platform.training.device.recorder import Observed
from tests.support.operations import operations_of

T = TypeVar("T")


class _Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.before: list[tuple[Tensor, Tensor]] = []
        self._own: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if operation(func, args) in READS:
            raise RuntimeError("operation not permitted when stream is capturing")
        changed = [
            (kwargs.get(argument.name) if place >= len(args) else args[place])
            for place, argument in enumerate(func._schema.arguments)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        if func._schema.name == "aten::native_batch_norm":
            # Its running statistics, of which its schema says nothing.
            changed += args[3:5]
        for tensor in tree_leaves(changed):
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in self._own:
                self.before.append((tensor, tensor.clone()))
        result = func(*args, **kwargs)
        new = [] if func.is_view else [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        taken = {id(leaf) for leaf in tree_leaves((args, kwargs))}
        made = [tensor for tensor in new if id(tensor) not in taken]
        self._own |= {tensor.untyped_storage().data_ptr() for tensor in made}
        if not func.is_view:
            self.operations.append((func, args, kwargs, made))
        return result


class Emulated:
    """A recorder whose recordings hold each operation with its memory, and carry out nothing while they are made."""

    def __init__(self, whole: float = 1.0, damaged: bool = False) -> None:
        self.whole, self._damaged = whole, damaged
        self.recorded = self.launched = 0

    def observe(self, action: Callable[[], T]) -> Observed[T]:
        """What an action gives, as if it had been launched in a second."""
        taken: list[T] = []
        operations = operations_of(lambda: taken.append(action()))
        return Observed(taken[0], 1.0, self.whole, waits=bool(operations.keys() & READS))

    def record(self, action: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Record what an action does, which is undone."""
        recording = _Recording()
        try:
            with recording:
                given = action()
        finally:
            with torch.no_grad():
                for tensor, before in reversed(recording.before):
                    tensor.copy_(before)
        lost = "aten::_fused_adam_" if self._damaged else ""
        operations = [each for each in recording.operations if each[0]._schema.name != lost]
        self.recorded += 1

        @torch.no_grad()
        def launch() -> None:
            self.launched += 1
            for func, args, kwargs, made in operations:
                again = func(*args, **kwargs)
                for place, tensor in zip(made, _tensors(again), strict=bool(made)):
                    place.copy_(tensor)

        return given, launch


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
