"""Operations of a GPU recorded once, and launched again all at once."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

import torch

from platform.training.device.arithmetic import Arithmetic

T = TypeVar("T")


@runtime_checkable
class Recorder(Protocol):
    """What records operations of a device."""

    def timed(self, action: Callable[[], T]) -> tuple[T, float, float]:
        """What an action gives, and the seconds in which the CPU launched it and the device was done with it."""

    def record(self, action: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Record what an action launches, which is not carried out, and what carries it out.

        What the action gave is what holds the results afterwards. Raises whatever the action raises, and RuntimeError
        where it cannot be recorded, as where it waits for the device.
        """


def recorder(device: torch.device, arithmetic: Arithmetic) -> Recorder | None:
    """What records on a device; None where it would gain nothing: on the CPU, and on GPUs so old that they are slower
    than any CPU that launches their operations."""
    return _CUDAGraphs() if device.type == "cuda" and arithmetic.type == torch.bfloat16 else None


class _CUDAGraphs:
    """Recordings as CUDA graphs."""

    def timed(self, action: Callable[[], T]) -> tuple[T, float, float]:
        torch.cuda.synchronize()
        began = time.perf_counter()
        given = action()
        launched = time.perf_counter() - began
        torch.cuda.synchronize()
        return given, launched, time.perf_counter() - began

    def record(self, action: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        # The thread that reads batches ahead asks CUDA for its own things meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            given = action()
        return given, graph.replay
