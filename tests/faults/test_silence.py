"""Workers that hang: stopped from outside, or in a call that holds Python's lock and never returns."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform.records.store import Store
from tests.support import checkout
from tests.support.faults import moments
from tests.support.faults.processes import Command, Machine

pytestmark = pytest.mark.slow

HANG = """
import ctypes

def losses(self, step):
    place = Path(os.environ["HANG"])
    if step.progress > 0.5 and step.number < REPORTS and {when}:
        place.touch()
        ctypes.PyDLL(None).sleep(100_000)
    return Telling.losses(self, step)

Second.losses = losses
"""
"""In training (a driver tries a later step) a worker sleeps in C, within its second step, with Python's lock."""
ONCE, ALWAYS = "not place.exists()", "True"


@pytest.fixture
def counted(tmp_path: Path, cache: Path) -> Iterator[Machine]:
    """A machine for a study of three trials, on which a worker that says nothing for half a minute counts as lost."""
    made = checkout.make(tmp_path / "checkout", cache)
    machine = Machine(made, made.write(f"{moments.NAME}.py", study()))
    yield machine
    machine.lose_power()


def study(more: str = "", silence: object = 0.008) -> str:
    text = moments.TEXT.replace("evaluations=REPORTS)", f"evaluations=REPORTS, silence={silence})")
    assert "silence" in text
    return text + more


def said(command: Command) -> str:
    return " ".join(command.output.split())


def until_there(file: Path, command: Command) -> None:
    while command.running and not file.exists():
        time.sleep(0.02)
    assert command.running, command.output


def states(machine: Machine) -> dict[str, str | None]:
    return {arm: None if record.end is None else record.end.state for arm, record in moments.recorded(machine).items()}


def test_a_worker_that_holds_pythons_lock_for_ever_is_ended_and_its_trial_goes_on(
    counted: Machine, tmp_path: Path
) -> None:
    counted.checkout.write(f"{moments.NAME}.py", study(HANG.format(when=ONCE)))
    command = counted.start(HANG=str(tmp_path / "hung"), **moments.of(slots=1))
    assert command.wait() == 0, command.output
    assert "Second seed 1: silent for" in said(command)
    assert "its worker is ended" in said(command)
    assert set(states(counted).values()) == {"complete"}
    assert list(Store(counted.results).journal(moments.NAME).losses.values()) == [1]
    assert counted.left_behind() == []


@pytest.mark.thorough
def test_one_that_always_hangs_is_given_up_with_its_reason_in_the_table(counted: Machine, tmp_path: Path) -> None:
    counted.checkout.write(f"{moments.NAME}.py", study(HANG.format(when=ALWAYS), silence=0.005))
    command = counted.start(HANG=str(tmp_path / "hung"), **moments.of(slots=2))
    assert command.wait() == 1, command.output
    assert states(counted) == {"First": "complete", "Second": "failed", "Third": "complete"}
    end = moments.recorded(counted)["Second"].end
    assert end is not None
    assert (end.cause, end.retry) == ("worker lost", True)
    assert "the last time with: silent for" in end.reason
    assert "times as long as the slowest report of its arm" in end.reason
    assert counted.left_behind() == []


@pytest.mark.thorough
def test_a_worker_that_was_stopped_from_outside_is_ended_too(counted: Machine, tmp_path: Path) -> None:
    place = tmp_path / "moments"
    place.mkdir()
    wanted, told = place / "Second 1.wanted", place / "Second 1.worker"
    wanted.touch()
    command = counted.start(**{moments.PLACE: str(place)}, **moments.of(slots=2))
    until_there(told, command)
    os.kill(int(told.read_text()), signal.SIGSTOP)
    wanted.unlink()
    assert command.wait() == 0, command.output
    assert "Second seed 1: silent for" in said(command)
    assert set(states(counted).values()) == {"complete"}
    assert counted.left_behind() == []


@pytest.mark.thorough
def test_one_signal_ends_a_study_whose_worker_hangs_and_says_what_was_lost(counted: Machine, tmp_path: Path) -> None:
    counted.checkout.write(f"{moments.NAME}.py", study(HANG.format(when=ONCE), silence=None))
    command = counted.start(HANG=str(tmp_path / "hung"), **moments.of(slots=2))
    until_there(tmp_path / "hung", command)
    command.send(signal.SIGINT)
    assert command.wait() == 128 + signal.SIGINT, command.output
    assert "Second seed 1 did not stop in 2 min: its worker is ended" in said(command)
    assert "but what these had trained, which did not stop: Second seed 1 after step 2, and the same" in said(command)
    assert Store(counted.results).journal(moments.NAME).losses == {}
    assert counted.left_behind() == []
    command = counted.start(HANG=str(tmp_path / "hung"), **moments.of(slots=2))
    assert command.wait() == 0, command.output
    assert set(states(counted).values()) == {"complete"}
