"""Operations of a GPU recorded once, and launched again all at once."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch

from platform.training.device.arithmetic import Arithmetic

T = TypeVar("T")
SYNCHRONISES = "called a synchronizing CUDA operation"
PROTOTYPE = "Synchronization debug mode is a prototype"
"""What PyTorch warns of."""


@dataclass(frozen=True)
class Observed(Generic[T]):
    """What an action gave, and how it went."""

    given: T
    launching: float
    """Seconds that the CPU was at it."""
    whole: float
    """Seconds until the device was done with it."""
    waits: bool
    """Whether the CPU waited for the device meanwhile, as to read a number."""


@runtime_checkable
class Recorder(Protocol):
    """What records operations of a device."""

    def observe(self, action: Callable[[], T]) -> Observed[T]:
        """Do something, and see how it goes."""

    def record(self, action: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Record what an action launches, which is not carried out, and what carries it out.

        What the action gave is what holds the results afterwards. Raises whatever the action raises.
        """


def recorder(device: torch.device, arithmetic: Arithmetic) -> Recorder | None:
    """What records on a device; None where it would gain nothing: on the CPU, and on GPUs so old that they are slower
    than any CPU that launches their operations."""
    return _CUDAGraphs() if device.type == "cuda" and arithmetic.type == torch.bfloat16 else None


class _CUDAGraphs:
    """Recordings as CUDA graphs."""

    def observe(self, action: Callable[[], T]) -> Observed[T]:
        torch.cuda.synchronize()
        began = time.perf_counter()
        with _waits_noted() as waits:
            given = action()
        launched = time.perf_counter() - began
        torch.cuda.synchronize()
        return Observed(given, launched, time.perf_counter() - began, bool(waits))

    def record(self, action: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            # The thread that reads batches ahead asks CUDA for its own things meanwhile.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                given = action()
        finally:
            # Where a recording fails at its end, PyTorch goes on in the stream that it was made in.
            torch.cuda.set_stream(stream)
        return given, graph.replay


@contextmanager
def _waits_noted() -> Iterator[list[str]]:
    """Note each operation that has the CPU wait for the device: within a recording it would leave CUDA's allocator in
    a recording for good."""
    before = torch.cuda.get_sync_debug_mode()
    noted: list[str] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield noted
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for each in said:
        if SYNCHRONISES in str(each.message):
            noted.append(str(each.message))
        elif PROTOTYPE not in str(each.message):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
