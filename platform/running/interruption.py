"""Signals to a running study: the first one has it stop after the current step, the second one ends it at once."""

import math
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from platform.records.storage.storage import Storage

if TYPE_CHECKING:
    import psutil

MACHINE_FAILED = 3
"""The exit code when the machine failed; `platform.commands.exits` has the table of all."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GROUP_SIGNALS = {signal.SIGTERM, signal.SIGHUP}
STOP_SECONDS = 120.0
"""How long workers may take to stop when they were told to: an optimiser step and a checkpoint."""
HUNG_SECONDS = 600.0
"""How long a whole study may take to stop: its workers, Ray, its table, MLflow, each of which has bounds of its own."""
SHOWN_SECONDS = 1.0
"""How long another thread gets to show the last words."""


def by_signal(number: int) -> int:
    """The exit code of a process that a signal ended, as shells have it."""
    return 128 + number


def spoken(seconds: float) -> str:
    """A duration as one says it: `40 s`, `12 min`, `6 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


HUNG = (
    f"error: the study did not stop in {spoken(HUNG_SECONDS)}: a call to this machine does not return; what is "
    "recorded is kept, and the same command goes on from here"
)


class Interruption:
    """Listens for SIGINT, SIGTERM and SIGHUP; workers stop after their current step once this run's sign is there.

    Raises OSError when those of other runs cannot be removed.
    """

    def __init__(self, storage: Storage, signs: str) -> None:
        self._storage = storage
        self._signs = signs
        self.sign = f"{signs}-{uuid.uuid4().hex}"
        """A file of this run's alone: a network file system may show that of an earlier one for a while."""
        self.signal: int | None = None
        """The first signal that came."""
        self.lost: list[str] = []
        """What workers had trained that did not stop and were ended, in words."""
        self.say: Callable[[str], None] = print
        """Tells the user what happens; called from within a signal's handler."""
        # A study under nohup ignores the end of its terminal, and goes on doing so.
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._heard = [number for number in SIGNALS if not (ignored and number == signal.SIGHUP)]
        self._remove_signs()

    @property
    def code(self) -> int:
        """The exit code of a process that the signal ended."""
        assert self.signal is not None
        return by_signal(self.signal)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals over; at the end the sign is gone, and signals do again what they did before."""
        before = {number: signal.getsignal(number) for number in self._heard}
        self._listen()
        ear, mouth = socket.socketpair()
        mouth.setblocking(False)
        woken = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._attend, args=(ear,), daemon=True).start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(woken)
            mouth.close()
            for number, handler in before.items():
                signal.signal(number, handler)
            with suppress(OSError):
                self._remove_signs()

    def _attend(self, ear: socket.socket) -> None:
        """Leave at the second signal, or long after the first, where the main thread does not: it hangs in a call."""
        heard, deadline = 0, math.inf
        while True:
            ear.settimeout(None if deadline == math.inf else max(0.01, deadline - time.monotonic()))
            try:
                numbers = ear.recv(1)
            except TimeoutError:
                self.leave(HUNG)
            if not numbers:
                break
            if numbers[0] in self._heard:
                heard, deadline = heard + 1, min(deadline, time.monotonic() + HUNG_SECONDS)
            if heard > 1:
                time.sleep(SHOWN_SECONDS)
                end_descendants()
                os._exit(by_signal(numbers[0] if self.signal is None else self.signal))
        ear.close()

    def _remove_signs(self) -> None:
        """Remove the signs of all runs: this one has the study to itself."""
        folder, _, kind = self._signs.rpartition("/")
        for name in self._storage.names(folder):
            if name.partition("-")[0] == kind:
                self._storage.remove(f"{folder}/{name}" if folder else name)

    def _listen(self) -> None:
        for number in self._heard:
            signal.signal(number, self._handle)

    @contextmanager
    def shielded_children(self) -> Iterator[None]:
        """Shield the processes that start meanwhile from the signals that a terminal or job manager sends to a group.

        This process hears at the end what came meanwhile.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
        try:
            yield
        finally:
            # Whoever started may have taken signals over.
            self._listen()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)

    def note(self, number: int) -> None:
        """Note a signal that came, and have the workers stop."""
        self.signal = number
        self.stop_workers()

    def stop_workers(self) -> None:
        """Have workers stop after their current steps; on a full disk, which takes no sign, at their next reports."""
        with suppress(OSError):
            self._storage.write(self.sign, b"")

    def leave(self, words: str) -> NoReturn:
        """End a process whose main thread hangs, and all that it started."""
        # Whoever hangs may hold what is needed to say it.
        threading.Thread(target=self.say, args=(words,), daemon=True).start()
        time.sleep(SHOWN_SECONDS)
        end_descendants()
        os._exit(MACHINE_FAILED)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            end_descendants()
            os._exit(self.code)
        # Writing the stop file may take long, when a bucket does not answer.
        self.say("stopping after the current step; once more to leave at once")
        self.note(number)


def end_descendants() -> None:
    """Kill every process that this one started, and all that those started."""
    # Every command imports this module for its exit codes, and few end a process.
    import psutil

    for child in psutil.Process().children():
        end_tree(child)


def end_tree(process: "psutil.Process") -> None:
    """Kill a process and all that it started."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
