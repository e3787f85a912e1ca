"""Workers that do not start: what Ray's logs say of them, and what a study makes of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.tune.experiment import Trial as RayTrial

from platform.running.workers import starts as module
from platform.running.workers.starts import Starts, Waiting

TRACEBACK = 'Traceback (most recent call last):\n  File "default_worker.py", line 8\nModuleNotFoundError: no ray\n'


class Machine:
    """What Ray's logs say, and real processes for its workers."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.processes: list[subprocess.Popen[bytes]] = []
        self.say("raylet.out", "[2026-01-01 00:00:00,000 I] (raylet) main.cc: begins")

    def say(self, name: str, line: str) -> None:
        with (self.logs / name).open("a") as file:
            file.write(f"{line}\n")

    def start(self) -> int:
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.processes.append(process)
        self.say(
            "raylet.out", f"[2026 I] worker_pool.cc:564: Started worker process with pid {process.pid} worker_id=a"
        )
        return process.pid

    def die(self, words: str = "") -> None:
        self.processes[-1].kill()
        self.processes[-1].wait()
        if words:
            self.say("raylet.err", words)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


class Study:
    """Trials, and what the user is told; every look is due."""

    def __init__(self, starts: Starts | None) -> None:
        self.said: list[str] = []
        self.failed: list[str] = []
        self.waiting = Waiting(starts, self.said.append, self.failed.append)

    def look(self, *statuses: str) -> None:
        trials: list[Any] = [SimpleNamespace(status=status) for status in statuses]
        self.waiting.on_step_end(1, trials)


@pytest.fixture
def study(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    return Study(Starts(machine.logs))


PENDING, RUNNING = RayTrial.PENDING, RayTrial.RUNNING


def test_workers_that_start_are_worth_no_word(machine: Machine, study: Study) -> None:
    pid = machine.start()
    study.look(PENDING)
    (machine.logs / f"python-core-worker-a_{pid}.log").touch()
    study.look(PENDING)
    machine.die()
    study.look(PENDING)
    assert (study.said, study.failed) == ([], [])


def test_a_worker_that_says_why_it_cannot_start_ends_a_study_that_has_not_begun(machine: Machine, study: Study) -> None:
    machine.start()
    machine.die(TRACEBACK)
    machine.say("raylet.err", "[2026-01-01 00:01:00,000 E 1 1] (raylet) worker_pool.cc:660: Some workers are late")
    study.look(PENDING)
    assert study.failed == [f"Ray's workers die as they start: ModuleNotFoundError: no ray ({machine.logs}/raylet.err)"]


def test_one_that_dies_while_others_start_or_beside_a_warning_ends_nothing(machine: Machine, study: Study) -> None:
    machine.start()
    machine.die("/lab/sitecustomize.py:1: a module is deprecated")
    study.look(PENDING, PENDING)
    machine.start()
    machine.start()
    machine.die(TRACEBACK)
    study.look(PENDING, PENDING)
    assert len(study.said) == 2
    assert study.failed == []


def test_a_line_that_is_written_in_two_parts_is_read_once_it_is_whole(machine: Machine, study: Study) -> None:
    pid = machine.start()
    log = machine.logs / "raylet.out"
    whole = log.read_bytes()
    log.write_bytes(whole[: whole.rindex(str(pid).encode()) + 2])
    study.look(PENDING)
    log.write_bytes(whole)
    machine.die()
    study.look(PENDING)
    assert len(study.said) == 1


def test_what_ray_does_not_say_ends_the_study_in_order(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(starts: Starts) -> tuple[int, int]:
        raise RuntimeError("no answer")

    monkeypatch.setattr(Starts, "look", fails)
    study.look(PENDING)
    assert study.failed == ["Ray does not say what its workers do: no answer"]


def test_a_worker_that_dies_without_a_word_may_be_tried_again(machine: Machine, study: Study) -> None:
    """The system takes one for its memory, and the next one starts."""
    machine.start()
    machine.die()
    study.look(PENDING)
    study.look(PENDING)
    (line,) = study.said
    assert line.startswith("a worker died as it started: it wrote nothing")
    (machine.logs / f"python-core-worker-a_{machine.start()}.log").touch()
    study.look(PENDING)
    machine.start()
    machine.die()
    study.look(PENDING)
    assert study.failed == [], "these were not two in a row"
    machine.start()
    machine.die()
    study.look(PENDING)
    assert len(study.failed) == 1


def test_a_study_that_trains_goes_on_without_the_workers_that_do_not_start(machine: Machine, study: Study) -> None:
    for _ in range(4):
        machine.start()
        machine.die(TRACEBACK)
        study.look(PENDING, RUNNING)
    assert len(study.said) == 4
    assert study.failed == []


def test_of_slow_workers_the_user_is_told_and_the_study_waits(
    machine: Machine, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.0)
    for _ in range(4):
        pid = machine.start()
        study.look(PENDING)
        machine.say(
            "raylet.out",
            f"Some workers of the worker process({pid}) have not registered within the timeout. The process is still "
            "alive, probably it's hanging during start.",
        )
        machine.die()
        study.look(PENDING)
    assert study.said[0] == "waiting for Ray's workers to start"
    assert sum("RAY_worker_register_timeout_seconds" in line for line in study.said) == 4
    assert study.failed == []


@pytest.mark.parametrize("state", ["CREATED", "PENDING"])
def test_on_a_cluster_the_machines_are_named_that_hold_room_for_a_trial(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Only a group that was made holds any; one that is pending waits for a machine."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.0)
    nodes = [{"NodeID": name, "NodeManagerAddress": f"10.0.0.{number}"} for number, name in enumerate("abc")]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    made = {"state": state, "bundles_to_node_id": {0: "b"}}
    gone = {"state": "REMOVED", "bundles_to_node_id": {0: "c"}}
    monkeypatch.setattr(module, "placement_group_table", lambda: {"1": made, "2": gone})
    study = Study(None)
    study.look(PENDING)
    study.look(PENDING)
    said = ["waiting for Ray's workers to start at 10.0.0.1; if none does, raylet.err in Ray's logs there says why"]
    assert study.said == (said if state == "CREATED" else [])
    study.look(RUNNING)
    study.look(PENDING)
    assert len(study.said) == (2 if state == "CREATED" else 0), "another wait is another line"
