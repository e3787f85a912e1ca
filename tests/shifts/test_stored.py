"""Arrays on a disk: read to where they are wanted, and fetched by the system before."""

import ctypes
import mmap
import os
import time
from pathlib import Path

import numpy as np
import pytest

from platform.shifts.shift import CacheDamaged, Pixels
from platform.shifts.stored import NewSplit, Stored, Unverified, described, fill, will_need

SIZE = (64, 128)
NUMBER = 6


@pytest.fixture
def arrays(tmp_path: Path) -> Stored:
    random = np.random.default_rng(0)
    written = NewSplit(tmp_path, "train", NUMBER, SIZE, SIZE)
    for position in range(NUMBER):
        image = random.integers(0, 256, (*SIZE, 3), np.uint8)
        written.put(position, image, image[..., 0])
    written.finish([f"{position}.png" for position in range(NUMBER)])
    return stored(tmp_path)


def stored(folder: Path) -> Stored:
    return Stored(folder, "train", "images", described(folder, "train")["images"])


def room(positions: list[int]) -> Pixels:
    return np.full((len(positions), *SIZE, 3), 7, np.uint8)


def test_arrays_are_read_to_where_they_are_wanted(arrays: Stored) -> None:
    positions = [4, 0, 4]
    expected = arrays[positions]
    for source in (arrays, arrays.nameless, arrays[[*range(NUMBER)]]):
        chosen = room(positions)
        fill(source, positions, chosen)
        np.testing.assert_array_equal(chosen, expected)


def test_what_is_damaged_is_not_taken(arrays: Stored, tmp_path: Path) -> None:
    content = bytearray((tmp_path / "train.images.npy").read_bytes())
    content[-5] ^= 1
    (tmp_path / "train.images.npy").write_bytes(content)
    damaged = stored(tmp_path)
    fill(damaged, [0], room([0]))
    with pytest.raises(CacheDamaged, match=r"train\.images\.npy is damaged: the checksum at position 5 is another"):
        fill(damaged, [0, NUMBER - 1], room([0, 1]))
    with pytest.raises(Unverified, match="the checksum at position 5 is another"):
        fill(damaged.nameless, [NUMBER - 1], room([0]))


def resident(file: Path) -> float:
    """The fraction of a file's pages that are in memory."""
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        pages = -(-len(mapped) // mmap.PAGESIZE)
        states = (ctypes.c_ubyte * pages)()
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        library = ctypes.CDLL(None, use_errno=True)
        assert library.mincore(ctypes.c_void_p(address), ctypes.c_size_t(len(mapped)), states) == 0
        found = sum(state & 1 for state in states) / pages
        del states
        return found


def forgotten(file: Path) -> bool:
    """Have the system let go of a file's pages; some file systems have no other place for them."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return resident(file) < 0.5


def test_what_will_be_needed_is_fetched_before_it_is_read(arrays: Stored, tmp_path: Path) -> None:
    file = tmp_path / "train.images.npy"
    if not forgotten(file):
        pytest.skip("this file system keeps its pages")
    will_need(arrays, [*range(NUMBER)])
    deadline = time.monotonic() + 60
    while resident(file) < 0.9:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_of_arrays_in_memory_nothing_need_be_fetched(arrays: Stored) -> None:
    will_need(arrays[[0, 1]], [1])
