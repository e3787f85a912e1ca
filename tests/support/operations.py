"""The operations of PyTorch that something takes, by their names."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from platform.training.cost.reads import operation


class _Noting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, counted: Counter[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counted = counted

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counted[operation(func, args)] += 1
        return func(*args, **(kwargs or {}))


def operations_of(action: Callable[[], object]) -> Counter[str]:
    """How often each operation is taken, as `aten::add`."""
    counted: Counter[str] = Counter()
    with _Noting(counted):
        action()
    return counted
