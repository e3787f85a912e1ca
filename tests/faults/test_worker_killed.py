"""Workers die by SIGKILL at any moment, as by the system's lack of memory; the study goes on without them.

The moments of a small study are counted: 3 trials x (before the first of 3 reports, after each) x machines with room
for one, two and five trials = 36. One run meets all twelve of a machine. Thorough are the machines for one and
five, and to meet each moment by itself.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from platform.records.store import Store
from tests.support import checkout
from tests.support.faults import moments
from tests.support.faults.inspection import inspect
from tests.support.faults.moments import EVERY, REPORTS, TRIALS, Moment
from tests.support.faults.processes import Finished, Machine, kill
from tests.support.faults.small_study import Undisturbed

pytestmark = pytest.mark.slow

MOST_BLOWS = 3
"""As often as a trial may lose its worker: all blows may meet the same one."""


def test_worker_killed(machine: Machine, random: Random, finished: Finished, undisturbed: Undisturbed) -> None:
    blows = random.randint(1, MOST_BLOWS)
    # By what is on record, since no two runs take the same time; near the end no worker may be left to strike.
    moments = sorted(random.randrange(round(0.9 * recorded(finished.machine))) for _ in range(blows))
    command = machine.start()
    struck = 0
    for moment in moments:
        while command.running and (recorded(machine) < moment or not (workers := machine.workers())):
            time.sleep(0.02)
        if command.running:
            kill(random.choice(workers))
            struck += 1
    assert command.wait() == 0, command.output
    assert struck > 0, "no moment met a worker"
    inspect(machine, undisturbed)


def recorded(machine: Machine) -> int:
    """How many lines the records of its trials have."""
    return sum(file.read_bytes().count(b"\n") for file in machine.results.glob("trials/*/record.jsonl"))


@pytest.fixture(scope="module")
def unhurt(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[dict[str, Any]]:
    """The numbers of that study when nothing disturbs it."""
    made = checkout.make(tmp_path_factory.mktemp("unhurt") / "checkout", cache)
    machine = Machine(made, made.write(f"{moments.NAME}.py", moments.TEXT))
    command = machine.start()
    assert command.wait() == 0, command.output
    yield moments.numbers(machine)
    machine.lose_power()


one_by_one = [
    pytest.param([Moment(trial, reports) for trial in TRIALS], id=f"after {reports}") for reports in range(REPORTS + 1)
]


@pytest.mark.thorough
@pytest.mark.parametrize("struck", [pytest.param(list(EVERY), id="all"), *one_by_one])
@pytest.mark.parametrize("slots", [2, 1, 5])
def test_killed_after_each_report_of_each_trial(
    counted: Machine, unhurt: dict[str, Any], tmp_path: Path, slots: int, struck: list[Moment]
) -> None:
    """In one run all moments of each trial, or one of each trial: they share nothing but the slots."""
    command, met = moments.strike(counted, tmp_path / "moments", struck, slots)
    assert command.wait() == 0, command.output
    assert met == set(struck)
    assert moments.numbers(counted) == unhurt
    assert "results are missing" not in command.output
    assert counted.left_behind() == []


@pytest.mark.thorough
def test_a_trial_given_to_a_worker_that_ends_after_the_one_before_is_not_counted_as_lost(counted: Machine) -> None:
    """After an error a worker takes no other trial, and Ray Tune does not know."""
    # In training: the step that the driver tries is a later one.
    fails = "def losses(self, step):\n    if step.number < REPORTS:\n        raise KeyError('x')\n    return {}"
    fails = f"{moments.TEXT}\n\n{fails}\n\nFirst.losses = losses\n"
    counted.checkout.write(f"{moments.NAME}.py", fails)
    command = counted.start(**moments.of(slots=1))
    assert command.wait() == 1, command.output
    ends = {arm: record.end and record.end.state for arm, record in moments.recorded(counted).items()}
    assert ends == {"First": "failed", "Second": "complete", "Third": "complete"}
    assert Store(counted.results).journal(moments.NAME).losses == {}
