"""Whatever befalls the files that a node has decoded, trials have the numbers that they would have had."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from platform.methods import FDA, SourceOnly
from platform.records.record import Report
from platform.records.storage.storage import leave_mark
from platform.shifts.cache import SPLITS, opened
from platform.shifts.shift import CacheDamaged, cache_folder
from platform.training.assignment import DiskFailure, UnfitNode
from platform.training.attempt import Attempt, take_step
from tests.support.arrays import all_of
from tests.support.attempts import STEPS, TOWN, assignment, attempt, numbers, process_as_it_was, report_of, undisturbed

METHOD = FDA(beta=0.2)
SEARCH = SourceOnly()


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    with process_as_it_was():
        yield


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a decoded town."""
    undisturbed(METHOD)
    undisturbed(SEARCH)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    TOWN.open()
    return next(path for path in cache_folder().iterdir() if path.is_dir())


def flip(path: Path, position: int) -> None:
    """Change one bit of a file, from its end where the position is negative."""
    with path.open("r+b") as file:
        file.seek(position, os.SEEK_END if position < 0 else os.SEEK_SET)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def exchange(one: Path, other: Path) -> None:
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def exchange_images(path: Path) -> None:
    """Exchange the first and the last array of a file."""
    arrays = np.load(path)
    np.save(path, arrays[[-1, *range(1, len(arrays) - 1), 0]])


def describe(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a description and leave its checksum as it was."""
    read = json.loads(path.read_text())
    change(read["content"])
    path.write_text(json.dumps(read))


def every(split_files: str, change: Callable[[Path], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        for path in sorted(folder.glob(split_files)):
            change(path)

    return apply


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def saved(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: np.save(path, array, allow_pickle=True)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit of the first image": every("source.train.images.npy", lambda path: flip(path, 200)),
    "a bit of every split's last image": every("*.images.npy", lambda path: flip(path, -1)),
    "a bit of every split's last labels": every("*.labels.npy", lambda path: flip(path, -1)),
    "a bit of each description": every("*.json", lambda path: flip(path, -40)),
    "no bytes of images": every("*.images.npy", lambda path: os.truncate(path, 0)),
    "no bytes of labels": every("*.labels.npy", lambda path: os.truncate(path, 0)),
    "no bytes of descriptions": every("*.json", lambda path: os.truncate(path, 0)),
    "images cut off in the middle": every("*.images.npy", lambda path: os.truncate(path, path.stat().st_size // 2)),
    "labels cut off by a byte": every("*.labels.npy", lambda path: os.truncate(path, path.stat().st_size - 1)),
    "the last block as zeros, as after a power failure": every("*.npy", lambda path: zeros_at_end(path, 512)),
    "all blocks as zeros": every("*.npy", lambda path: zeros_at_end(path, path.stat().st_size)),
    "images that are not there": every("source.train.images.npy", Path.unlink),
    "labels that are not there": every("target.val.labels.npy", Path.unlink),
    "a description that is not there": every("target.test.json", Path.unlink),
    "nothing at all": every("*", Path.unlink),
    "images of another split": lambda folder: exchange(
        folder / "source.train.images.npy", folder / "target.adapt.images.npy"
    ),
    "labels of another split": lambda folder: exchange(
        folder / "source.val.labels.npy", folder / "target.val.labels.npy"
    ),
    "a description of another split": lambda folder: exchange(folder / "source.val.json", folder / "target.val.json"),
    "images in another order": every("source.train.images.npy", exchange_images),
    "labels in another order": every("target.val.labels.npy", exchange_images),
    "images of other shapes": every(
        "*.json", lambda path: describe(path, lambda read: read["images"].update(shape=[8, 1, 1, 3]))
    ),
    "images of another size": every("*.images.npy", saved(np.zeros((8, 16, 32, 3), np.uint8))),
    "images of another type": every("*.images.npy", saved(np.zeros((8, 32, 64, 3), np.float32))),
    "images column by column": every("*.images.npy", saved(np.asfortranarray(np.zeros((8, 32, 64, 3), np.uint8)))),
    "pickled objects": every("*.images.npy", saved(np.array([print, print], object))),
    "no array": every("*.npy", lambda path: path.write_bytes(b"\x80\x04K\x01.")),
    "a folder in place of images": every("*.images.npy", become_a_folder),
    "names of another split": every("*.json", lambda path: describe(path, lambda read: read.update(names=["a", "b"]))),
    "no checksums": every("*.json", lambda path: describe(path, lambda read: read.pop("images"))),
    "another text": every("*.json", lambda path: path.write_text("[]")),
    "brackets without end": every("*.json", lambda path: path.write_text("[" * 200_000)),
    "text in another coding": every("*.json", lambda path: path.write_bytes(b"\xff\xfe{")),
}

ALWAYS = {
    "a bit of the first image",
    "a bit of each description",
    "no bytes of images",
    "labels cut off by a byte",
    "the last block as zeros, as after a power failure",
    "labels that are not there",
    "images of another split",
    "pickled objects",
}
"""What a trial meets in every run of the tests, one damage of each kind; the others by `make thorough`."""


def trained(busy: Attempt) -> tuple[Report, ...]:
    """The reports of an attempt up to the trial's end; after a damage it gives the last one once more."""
    reports: dict[int, Report] = {}
    while STEPS not in reports:
        report = numbers(report_of(take_step(busy)))
        assert reports.setdefault(report.step, report) == report
    return tuple(reports.values())


def zeros_at_end(path: Path, number: int) -> None:
    size = path.stat().st_size
    os.truncate(path, size - number)
    os.truncate(path, size)


@pytest.mark.parametrize(
    "damage", [pytest.param(name, marks=[pytest.mark.thorough] if name not in ALWAYS else []) for name in DAMAGES]
)
def test_a_trial_that_finds_damaged_data_has_the_numbers_of_an_undisturbed_one(
    damage: str, cache: Path, tmp_path: Path
) -> None:
    DAMAGES[damage](cache)
    busy = attempt(assignment(tmp_path / "results", METHOD))
    assert trained(busy) == undisturbed(METHOD)
    assert len(busy.said) >= 1
    assert all(line.endswith("; the data are decoded again") and str(cache) in line for line in busy.said), busy.said


def test_no_bit_of_a_header_counts(cache: Path) -> None:
    """What NumPy's header says of types and shapes could be damaged into any error, or none."""
    file = cache / "source.val.images.npy"
    before, offset = all_of(TOWN.open().source_val.images.pixels), np.load(file, mmap_mode="r").offset
    for bit in range(8 * offset):
        content = bytearray(file.read_bytes())
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)
        assert np.array_equal(all_of(TOWN.open().source_val.images.pixels), before)


@pytest.mark.parametrize("damage", ["a bit of every split's last image", "no bytes of images", "nothing at all"])
def test_damage_while_a_trial_trains_is_found_too(damage: str, cache: Path, tmp_path: Path) -> None:
    busy = attempt(assignment(tmp_path / "results", METHOD))
    first = numbers(report_of(take_step(busy)))
    DAMAGES[damage](cache)
    assert (first, *trained(busy)[-1:]) == undisturbed(METHOD)


def test_what_another_process_has_built_again_is_left_alone(cache: Path, tmp_path: Path) -> None:
    one, other = (attempt(assignment(tmp_path / name, SEARCH)) for name in ("one", "other"))
    first = numbers(report_of(take_step(one)))
    assert first == numbers(report_of(take_step(other)))
    DAMAGES["a bit of every split's last image"](cache)
    for each in (one, other):
        assert (first, *trained(each)[-1:]) == undisturbed(SEARCH)
    assert (len(one.said), len(other.said)) == (1, 0)


def test_a_driver_says_what_it_decodes_again(cache: Path) -> None:
    os.truncate(cache / "target.val.json", 10)
    said: list[str] = []
    splits = opened(TOWN, said.append)
    assert len(all_of(splits.oracle.val.labels)) == 3
    file = cache / "target.val.json"
    assert said == [f"{file} is damaged: it is not there as it was written; the data are decoded again"]


@pytest.mark.parametrize("shared", [False, True])
def test_data_that_are_damaged_as_soon_as_they_are_decoded_end_the_study_or_the_use_of_a_node(
    shared: bool, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(cache, whole)

    def build_badly(town: object, folder: Path) -> None:
        shutil.copytree(whole, folder, dirs_exist_ok=True)
        flip(folder / "source.train.images.npy", -1)
        flip(folder / "source.train.images.npy", 200)

    monkeypatch.setattr(type(TOWN), "_build", build_badly)
    flip(cache / "source.train.images.npy", 200)
    assigned = assignment(tmp_path / "results", SEARCH, batch=8)
    if shared:
        assigned = replace(assigned, mark=leave_mark(assigned.storage, "question"))
    result = take_step(attempt(assigned))
    assert isinstance(result, UnfitNode if shared else DiskFailure)
    assert "source.train.images.npy is damaged: the checksum at position" in result.reason


def test_every_image_and_label_of_every_split_is_verified(cache: Path) -> None:
    for split in SPLITS:
        for what in ("images", "labels"):
            for end in (200, -1):
                splits = TOWN.open()
                flip(cache / f"{split}.{what}.npy", end)
                by_name = {
                    "source.train": splits.source_train,
                    "source.val": splits.source_val,
                    "target.adapt": splits.oracle.adapt,
                    "target.val": splits.oracle.val,
                    "target.test": splits.oracle.test,
                }
                found = by_name[split].images.pixels if what == "images" else by_name[split].labels
                with pytest.raises(CacheDamaged, match=rf"{split}.{what}.npy is damaged: the checksum at position "):
                    all_of(found)
                flip(cache / f"{split}.{what}.npy", end)
                all_of(found)
