"""What is read by a thread, one ahead of whoever asks for it."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """`read(0)`, `read(1)` and so on, from anywhere: while one is used, a thread reads the next.

    A thread and no process: what takes the time, files, checksums and copies, leaves Python to others meanwhile.
    """

    def __init__(self, read: Callable[[int], T], end: int) -> None:
        self._read = read
        self._end = end
        self._thread = ThreadPoolExecutor(1, "ahead")
        self._next: tuple[int, Future[T]] | None = None
        self.waited = 0.0
        """Seconds that were waited for reading."""

    def at(self, number: int) -> T:
        """What `read(number)` gives or raises; from then on the next is read, if it is not the end."""
        known = self._next
        began = time.perf_counter()
        reading = known[1] if known is not None and known[0] == number else self._thread.submit(self._read, number)
        # Whoever has caught what it raises asks again, and it is read again.
        self._next = None
        read = reading.result()
        self.waited += time.perf_counter() - began
        if number + 1 < self._end:
            self._next = number + 1, self._thread.submit(self._read, number + 1)
        return read
