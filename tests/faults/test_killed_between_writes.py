"""A study that is killed between any two of its writes, or halfway through one, comes to the same end.

Every part is real but Ray, in whose place `platform.running.simulation` asks for trials and has them report. A process
that is killed leaves its files as they are at that moment. So the study runs once, its folder is copied ahead of every
call that changes it and halfway through every write, and from the copies, a share of them with each seed, the study
goes on. That nothing but the files matters is shown by processes that are killed indeed.
"""

import functools
import io
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import torch

from platform.design.header import header as header_of
from platform.methods import Adversarial, SourceOnly
from platform.networks import BiSeNet18
from platform.records.ledger import Ledger
from platform.records.provenance import COMMIT_VARIABLE, ROOT
from platform.records.storage.tokens import CLAIM
from platform.records.store import CHECKPOINT, Store
from platform.running import simulation
from platform.running.interruption import Interruption
from platform.running.scheduler import StudyScheduler
from platform.running.searcher import StudySearcher
from platform.running.slots import Slots
from platform.running.workers.code import Code
from platform.search import proposals
from platform.search.decisions import Search
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Study
from platform.training.assignment import Assignment, Node
from platform.training.attempt import Attempt, take_step
from platform.training.recipe import Recipe
from tests.support.attempts import TIMES
from tests.support.tiny_splits import assert_same

NAME = "killed"
STARTUP = 2
"""Trials that are drawn at random before TPE proposes: fewer than usual, since each is trained a hundred times."""
STUDY = Study(
    shift=town(size=(32, 32), source_images=(4, 1), target_images=(4, 1, 1)),
    arms={
        "source only": Arm(SourceOnly),
        "adversarial": Arm(Adversarial, width=1, learning_rate=LogUniform(1e-3, 1.0)),
    },
    reference="source only",
    select="source/miou",
    # One trial beyond those that are drawn at random: what TPE proposes depends on all that came before.
    search=ASHA(trials=STARTUP + 1, grace=0.5, reduction=2, smoothing=1),
    budget=Budget(steps=2, evaluations=2),
    seeds=1,
    recipe=Recipe(network=BiSeNet18(width=0.02), batch=2),
)
CALLS = ("open", "mkdir", "write", "ftruncate", "fsync", "replace", "unlink")
"""How `platform.records.storage.files` and the ledger's locks change a folder."""
SHARE = 4
"""Of so many moments that follow each other a seed goes on from one: four seeds from all."""
KILLS = 4
"""Processes that are killed indeed, at moments spread over the whole run."""


def run(folder: Path) -> None:
    """The study to its end, as far as the driver and its one worker go."""
    ledger = Ledger(Store(folder), NAME, list(STUDY.arms))
    identity = STUDY.shift.identity()
    slots, interruption = Slots(ledger, simulation.MACHINE), Interruption(ledger.store.storage, "stop")
    search = Search(STUDY, ledger, identity)
    searcher = StudySearcher(search, slots, interruption)
    ledger.announce(header_of(STUDY, NAME, "", identity, source="", began="2026-01-01T00:00:00+00:00"))
    scheduler = StudyScheduler(search, slots, interruption, Code(ROOT))
    simulation.run(searcher, scheduler, worker, slots=1)
    ledger.close()
    assert ledger.fault is None, ledger.fault
    assert search.is_over


def worker(assignment: Assignment) -> simulation.Worker:
    return functools.partial(take_step, Attempt(assignment, Node("here", "localhost")))


@contextmanager
def changes(folder: Path, moment: Callable[[str], None]) -> Iterator[None]:
    """Call `moment` ahead of every call that changes the folder, and halfway through every write, with what comes."""
    original = {name: getattr(os, name) for name in CALLS}

    def within(target: Any) -> bool:
        path = Path(f"/proc/self/fd/{target}").readlink() if isinstance(target, int) else Path(target)
        return path.is_relative_to(folder)

    def replaced(name: str) -> Callable[..., Any]:
        def call(target: Any, *arguments: Any, **named: Any) -> Any:
            if not within(target):
                return original[name](target, *arguments, **named)
            moment(name)
            if name != "write":
                return original[name](target, *arguments, **named)
            content = arguments[0]
            written = original[name](target, content[: len(content) // 2])
            moment("the rest of a write")
            return written + original[name](target, content[written:])

        return call

    for name in CALLS:
        setattr(os, name, replaced(name))
    try:
        yield
    finally:
        for name in CALLS:
            setattr(os, name, original[name])


@dataclass(frozen=True)
class Recording:
    """What an undisturbed run left at each moment."""

    moments: int
    copies: list[Path]
    """Copies of the folder, one for each time that it had changed, named by what was to come."""


def recorded(folder: Path, copies: Path) -> Recording:
    """Run the study undisturbed, and copy its folder at each moment at which it has changed."""
    kept: list[Path] = []
    moments = 0
    last: dict[Path, bytes | None] = {}

    def moment(comes: str) -> None:
        nonlocal moments, last
        moments += 1
        files = {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
        if files != last:
            last = files
            kept.append(copies / f"{moments} before {comes}")
            shutil.copytree(folder, kept[-1])

    with changes(folder, moment):
        run(folder)
    return Recording(moments, kept)


def differences(folder: Path, undisturbed: Path) -> list[str]:
    """Go on in a folder; what is then different in it from where nothing happened."""
    run(folder)
    was, now = outcome(undisturbed), outcome(folder)
    found = [name for name in was | now if not _same(was.get(name), now.get(name))]
    shutil.rmtree(folder)
    return found


@functools.cache
def outcome(folder: Path) -> dict[str, Any]:
    """All that a study leaves, by file, without seconds and random claims; of its journal not how often it began."""
    left: dict[str, Any] = {str(path.relative_to(folder)): None for path in folder.rglob("*")}
    for name in left:
        path = folder / name
        if path.suffix == ".jsonl":
            left[name] = [line for line in map(_event, path.read_bytes().splitlines()) if line["event"] != "study"]
        elif path.name == CHECKPOINT:
            left[name] = torch.load(io.BytesIO(path.read_bytes()), weights_only=True)
            for kept in (left[name]["extra"], left[name]["extra"]["report"]):
                for measured in {*TIMES, "spent", "warned"} & kept.keys():
                    del kept[measured]
        elif path.is_file() and path.name != CLAIM:
            left[name] = path.read_bytes()
    return left


def _event(line: bytes) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(line)
    return {name: value for name, value in event.items() if name not in {"crc32", *TIMES}}


def _same(was: Any, now: Any) -> bool:
    if not isinstance(was, dict) or not isinstance(now, dict):
        return bool(was == now)
    try:
        assert_same(was, now)
    except AssertionError:
        return False
    return True


def killed(folder: Path, moment: int) -> None:
    """Run the study in a process that kills itself at a moment."""
    child = os.fork()
    if child == 0:
        left = moment

        def strike(comes: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with changes(folder, strike):
                run(folder)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def processes(number: int) -> ProcessPoolExecutor:
    """Processes for what a worker does to its process, which is no good for other tests, nor for forks."""
    return ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), initializer=draw_less)


def draw_less() -> None:
    """Let TPE propose sooner."""
    proposals.STARTUP = STARTUP


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[tuple[Path, Recording]]:
    """The folder of an undisturbed run, and what it was at each moment."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        # Records name the checkout's commit, and somebody may work on it meanwhile.
        patch.setenv(COMMIT_VARIABLE, "the same all the time")
        STUDY.shift.open()
        with processes(1) as one:
            yield folder, one.submit(recorded, folder, tmp_path_factory.mktemp("copies")).result()


def test_the_study_meets_all_that_may_happen_to_a_trial(recording: tuple[Path, Recording]) -> None:
    folder, _ = recording
    store = Store(folder)
    journal = store.journal(NAME)
    states = {(ask.arm, ask.phase, journal.ends[ask.key].state) for ask in journal.asks}
    assert states == {
        ("adversarial", "search", "complete"),
        ("adversarial", "search", "stopped"),
        ("adversarial", "confirm", "complete"),
        ("source only", "confirm", "complete"),
    }
    assert len(journal.asks) == STARTUP + 1 + 2
    kept = {path.parent.name for path in folder.glob(f"trials/*/{CHECKPOINT}")}
    assert kept == {ask.trial.id for ask in journal.asks if ask.phase == "confirm"}


@pytest.mark.slow
def test_from_whatever_a_kill_leaves_the_study_comes_to_the_same_end(
    recording: tuple[Path, Recording], seed: int
) -> None:
    if seed >= SHARE:
        pytest.skip("earlier seeds have gone on from every moment")
    folder, undisturbed = recording
    copies = undisturbed.copies[seed::SHARE]
    with processes(2) as two:
        found = two.map(differences, copies, repeat(folder))
        differing = {copy.name: names for copy, names in zip(copies, found, strict=True) if names}
    assert differing == {}


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_but_its_files(recording: tuple[Path, Recording], tmp_path: Path) -> None:
    folder, undisturbed = recording
    moments = [undisturbed.moments * number // KILLS + 1 for number in range(KILLS)]
    folders = [tmp_path / str(moment) for moment in moments]
    with processes(1) as forking:
        list(forking.map(killed, folders, moments))
    with processes(1) as one:
        found = one.map(differences, folders, repeat(folder))
        differing = {moment: names for moment, names in zip(moments, found, strict=True) if names}
    assert differing == {}
