"""Images and labels as files on a node's disk, each with a checksum that is verified whenever it is read."""

import json
import math
import os
import threading
import weakref
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from platform.shifts.shift import Arrays, CacheDamaged, Pixels

CONTENTS = ("images", "labels")


class Unverified(Exception):
    """An array that is not as it was written, of arrays that do not know where they lie."""

    def __init__(self, arrays: "Verified", position: int, what: str) -> None:
        super().__init__(what)
        self.arrays, self.position, self.what = arrays, position, what


class Verified:
    """uint8 arrays in an open file, with their checksums; where it lies, and what lies beside it, is not known here."""

    def __init__(self, file: int, known: Mapping[str, Any]) -> None:
        self.shape: tuple[int, ...] = tuple(known["shape"])
        self._file = file
        self._offset: int = known["offset"]
        self._checksums: list[int] = known["checksums"]
        weakref.finalize(self, os.close, file)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, positions: list[int]) -> Pixels:
        """A copy of those at these positions, verified: whoever shares the file may have written to it.

        Raises Unverified.
        """
        chosen = np.empty((len(positions), *self.shape[1:]), np.uint8)
        self.fill(positions, chosen)
        return chosen

    def fill(self, positions: list[int], chosen: Pixels) -> None:
        """Read those at these positions to where they are wanted, and verify them. Raises Unverified."""
        for array, position in zip(chosen, positions, strict=True):
            # Not through a memory map: where the file was cut off, that would end the process without a word.
            try:
                read = os.preadv(self._file, [array], self._place(array.nbytes, position))
            except OSError as error:
                raise Unverified(self, position, str(error)) from error
            # What was not read may be there by chance, from an earlier time.
            if read < array.nbytes or zlib.crc32(array) != self._checksums[position]:
                raise Unverified(self, position, f"the checksum at position {position} is another")

    def will_need(self, positions: list[int]) -> None:
        """Have the system read those at these positions from the disk soon."""
        length = math.prod(self.shape[1:])
        for position in positions:
            # A file system that takes no advice is as fast as it is.
            with suppress(OSError):
                os.posix_fadvise(self._file, self._place(length, position), length, os.POSIX_FADV_WILLNEED)

    def _place(self, length: int, position: int) -> int:
        return self._offset + position * length


class Stored:
    """The uint8 arrays of `<split>.<what>.npy`; raises CacheDamaged where they are not as they were written.

    What the file itself says of its shape is not asked: `known` is what `described` says of it.
    """

    def __init__(self, folder: Path, split: str, what: str, known: Mapping[str, Any]) -> None:
        self._folder, self._split, self._name = folder, split, f"{split}.{what}.npy"
        try:
            file = os.open(folder / self._name, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise CacheDamaged(folder, split, self._name, str(error)) from error
        self.nameless = Verified(file, known)
        """The same arrays for whoever must not learn where they lie."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Their number, and the shape of each."""
        return self.nameless.shape

    def __len__(self) -> int:
        return len(self.nameless)

    def __getitem__(self, positions: list[int]) -> Pixels:
        try:
            return self.nameless[positions]
        except Unverified as error:
            raise self.damaged(error) from error

    def fill(self, positions: list[int], chosen: Pixels) -> None:
        """Read those at these positions to where they are wanted."""
        try:
            self.nameless.fill(positions, chosen)
        except Unverified as error:
            raise self.damaged(error) from error

    def damaged(self, error: Unverified) -> CacheDamaged:
        """What `nameless` found, with the name of the file."""
        return CacheDamaged(self._folder, self._split, self._name, error.what, error.position)


def nameless(arrays: Arrays) -> Arrays:
    """Arrays that do not tell where they lie."""
    return arrays.nameless if isinstance(arrays, Stored) else arrays


def fill(arrays: Arrays, positions: list[int], chosen: Pixels) -> None:
    """Read those at these positions to where they are wanted."""
    if isinstance(arrays, Stored | Verified):
        arrays.fill(positions, chosen)
    else:
        chosen[...] = arrays[positions]


def will_need(arrays: Arrays, positions: list[int]) -> None:
    """Have the system read those at these positions from the disk soon, if that is where they lie."""
    if isinstance(own := nameless(arrays), Verified):
        own.will_need(positions)


def named(error: Unverified, among: Iterable[Arrays]) -> Exception:
    """What was found in nameless arrays, by the name of their file."""
    owners = (arrays for arrays in among if isinstance(arrays, Stored) and arrays.nameless is error.arrays)
    owner = next(owners, None)
    return error if owner is None else owner.damaged(error)


class NewSplit:
    """A split that is being written: `<split>.images.npy`, `<split>.labels.npy`, and at the end `<split>.json`.

    Its arrays are filled one image at a time, so that memory never holds them all. Labels without a size are left out.
    """

    def __init__(
        self, folder: Path, split: str, number: int, size: Sequence[int], label_size: Sequence[int] | None = None
    ) -> None:
        self._folder, self._split = folder, split
        shapes = {"images": (number, *size, 3)}
        if label_size is not None:
            shapes["labels"] = (number, *label_size)
        self._arrays = {
            what: np.lib.format.open_memmap(folder / f"{split}.{what}.npy", "w+", np.uint8, shape)
            for what, shape in shapes.items()
        }
        self._checksums = {what: [0] * number for what in shapes}
        self._held = np.zeros(256, np.int64)
        self._counting = threading.Lock()

    def put(self, position: int, image: Pixels, *labels: Pixels) -> None:
        """Write an image, and its labels as train ids; threads may do so at the same time."""
        for what, array in zip(self._arrays, (image, *labels), strict=True):
            self._arrays[what][position] = array
            self._checksums[what][position] = zlib.crc32(np.ascontiguousarray(array).data)
        held = sum(np.bincount(each.ravel(), minlength=256) for each in labels)
        with self._counting:
            self._held += held

    def finish(self, names: Sequence[str], domains: Sequence[int] = ()) -> None:
        """Write down the names of the images, in order, which of several domains each is from, and their checksums."""
        known: dict[str, object] = {"names": list(names), "pixels": self._held.tolist()}
        if domains:
            known["domains"] = list(domains)
        for what, array in self._arrays.items():
            known[what] = {"shape": array.shape, "offset": array.offset, "checksums": self._checksums[what]}
        write_checked(self._folder / f"{self._split}.json", known)


def described(folder: Path, split: str) -> dict[str, Any]:
    """What is known of a split: `names`; `domains`, if they are several; `pixels`, how many its labels hold of each
    train id; of its files `images` and `labels` the `shape`, the `offset` in bytes and the `checksums`.

    Raises CacheDamaged.
    """
    known: dict[str, Any] | None = read_checked(folder / f"{split}.json")
    if known is None:
        raise CacheDamaged(folder, split, f"{split}.json", "it is not there as it was written")
    return known


def write_checked(path: Path, content: object) -> None:
    """Write JSON and its checksum. Raises OSError."""
    text = json.dumps(content)
    path.write_text(f'{{"crc32": "{zlib.crc32(text.encode()):08x}", "content": {text}}}', encoding="utf-8")


def read_checked(path: Path) -> Any:
    """What `write_checked` wrote; None where it is not there as it was written."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        content = read["content"]
        return content if f"{zlib.crc32(json.dumps(content).encode()):08x}" == read["crc32"] else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
