"""The cache of decoded splits: built once, complete or absent, shared read-only."""

import errno
import fcntl
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

from platform.shifts.cache import cached, load
from platform.shifts.shift import DataError, cache_folder
from platform.shifts.stored import NewSplit
from tests.support.arrays import all_of


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def build(folder: Path) -> None:
    split = NewSplit(folder, "a", 2, (3, 4), (6, 8))
    split.put(1, np.full((3, 4, 3), 7, np.uint8), np.zeros((6, 8), np.uint8))
    split.put(0, np.zeros((3, 4, 3), np.uint8), np.full((6, 8), 255, np.uint8))
    split.finish(["first", "second"])


def test_what_was_built_is_loaded() -> None:
    split = load(cached("key", build), "a")
    assert split.images.names == ("first", "second")
    assert all_of(split.images.pixels).tolist() == [np.zeros((3, 4, 3)).tolist(), np.full((3, 4, 3), 7).tolist()]
    assert all_of(split.labels).tolist() == [np.full((6, 8), 255).tolist(), np.zeros((6, 8)).tolist()]
    assert split.labels[[1, 1, 0]].tolist() == [np.zeros((6, 8)).tolist()] * 2 + [np.full((6, 8), 255).tolist()]
    assert len(split) == 2


def test_what_was_loaded_are_copies() -> None:
    split = load(cached("key", build), "a")
    split.images.pixels[[0]][0] = 1
    split.labels[[0]][0] = 1
    assert all_of(load(cached("key", build), "a").images.pixels)[0].max() == 0
    assert all_of(load(cached("key", build), "a").labels)[0].min() == 255


def test_the_folder_lies_where_the_environment_says(tmp_path: Path) -> None:
    assert cached("key", build) == tmp_path / "domain-adaptation-platform" / "key"


def test_a_second_call_builds_nothing() -> None:
    first = cached("key", build)
    assert cached("key", lambda folder: pytest.fail("built twice")) == first


def test_a_build_that_fails_leaves_nothing_and_the_next_one_succeeds() -> None:
    def fail(folder: Path) -> None:
        NewSplit(folder, "a", 1, (1, 1), (1, 1))
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        cached("key", fail)
    assert [path.name for path in cache_folder().iterdir()] == ["key.lock"]
    assert len(load(cached("key", build), "a")) == 2


def killed(folder: Path) -> None:
    NewSplit(folder, "b", 1, (1, 1), (1, 1))
    os._exit(9)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_where_nothing_can_be_locked_the_remedy_is_named(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(lock: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(DataError, match=r"must have a folder to write and lock files in, got \S+: .*XDG_CACHE_HOME"):
        cached("key", build)


def test_where_no_folder_can_be_made_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with pytest.raises(DataError, match=r"in, got /proc/nowhere\S*: .*XDG_CACHE_HOME"):
        cached("key", build)


def test_what_a_killed_build_left_behind_is_cleared_away() -> None:
    process = multiprocessing.get_context("fork").Process(target=cached, args=("key", killed))
    process.start()
    process.join()
    assert process.exitcode == 9
    folder = cached("key", build)
    assert {path.name for path in cache_folder().iterdir()} == {"key", "key.lock"}
    assert {path.name for path in folder.iterdir()} == {"a.images.npy", "a.labels.npy", "a.json"}


def slow(folder: Path) -> None:
    with (folder.parent / "builds").open("a") as file:
        file.write("build\n")
    time.sleep(0.2)
    build(folder)


def test_of_several_processes_one_builds_and_the_others_wait() -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=cached, args=("key", slow)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (cache_folder() / "builds").read_text() == "build\n"
