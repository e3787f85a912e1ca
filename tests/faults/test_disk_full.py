"""The disk with the results fills at any moment; the command stops cleanly, and goes on once there is room."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from tests.support.faults.inspection import check_readable, inspect
from tests.support.faults.processes import Finished, Machine
from tests.support.faults.small_study import Undisturbed
from tests.support.small_disk import mounted

pytestmark = pytest.mark.slow

SIZE = 32 * 2**20
"""Room for the whole study, twice over."""


@pytest.fixture
def small_disk(machine: Machine) -> Iterator[Machine]:
    """A machine whose results lie on a file system of their own; skips where none can be mounted."""
    with mounted(machine.results, SIZE):
        try:
            yield machine
        finally:
            machine.lose_power()


def test_disk_full(small_disk: Machine, random: Random, finished: Finished, undisturbed: Undisturbed) -> None:
    command = small_disk.start()
    command.outlives(random.uniform(0, finished.seconds))
    with filled(small_disk.results):
        code = command.wait()
    if code != 0:
        # It had everything written before the disk was full, or it must say so in one line.
        assert code == 3, command.output
        errors = [line for line in command.output.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, command.output
        assert "No space left on device" in errors[0]
        assert "the same command" in errors[0]
    assert "Traceback" not in command.output
    assert small_disk.left_behind() == []
    check_readable(small_disk.results)

    command = small_disk.start()
    assert command.wait() == 0, command.output
    inspect(small_disk, undisturbed)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Take all room in a folder's file system, and whatever becomes free there, until the end of the block."""
    ended = threading.Event()
    filler = folder / "filler"
    thread = threading.Thread(target=_fill, args=(filler, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        filler.unlink()


def _fill(filler: Path, ended: threading.Event) -> None:
    file = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while not ended.wait(0.002):
            with suppress(OSError):
                while os.write(file, bytes(65536)):
                    pass
            with suppress(OSError):
                os.write(file, bytes(1))
    finally:
        os.close(file)
