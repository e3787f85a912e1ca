"""The study on one slot and on four, killed five times on the way, is the study on two: decisions, values and table."""

from pathlib import Path
from random import Random

import pytest

from tests.support.faults.inspection import decisions, inspect
from tests.support.faults.moments import of
from tests.support.faults.processes import Finished, Machine
from tests.support.faults.small_study import Undisturbed

pytestmark = pytest.mark.slow


def decided(results: Path) -> list[str]:
    """All that was asked for and how it ended, in one order: seeds end as machines please."""
    return sorted(map(str, decisions(results)))


MEASURED = ["ms", "hours searched", "GPU hours", "images/s"]


def table(folder: Path) -> list[str]:
    """The table without its columns of milliseconds, hours and speed, and what follows each: none tells runs apart."""
    kept, timed = list[str](), list[str]()
    for block in (folder / "table.md").read_text(encoding="utf-8").split("\n\n"):
        lines = block.splitlines()
        head = [cell.strip() for cell in lines[0].split("|")] if block.startswith("|") else []
        measured = next((place for place, name in enumerate(head) if name in MEASURED), None)
        if measured is not None:
            lines = [line.rsplit("|", len(head) - measured)[0] for line in lines]
            timed.append(head[measured])
        kept += lines
    assert timed == MEASURED
    return kept


def same(machine: Machine, finished: Finished) -> None:
    """That nothing tells two runs apart but how long they took."""
    assert decided(machine.results) == decided(finished.machine.results)
    assert table(machine.folder) == table(finished.machine.folder)


@pytest.mark.thorough
@pytest.mark.parametrize("slots", [1, 4])
def test_slots(machine: Machine, slots: int, finished: Finished, undisturbed: Undisturbed) -> None:
    command = machine.start(**of(slots))
    assert command.wait() == 0, command.output
    inspect(machine, undisturbed)
    same(machine, finished)


def test_killed_five_times_on_changing_slots(
    machine: Machine, random: Random, finished: Finished, undisturbed: Undisturbed
) -> None:
    for _ in range(5):
        command = machine.start(**of(random.choice((1, 2, 4))))
        if command.outlives(random.uniform(0.1, 0.4) * finished.seconds):
            command.kill()
            machine.lose_power()
    command = machine.start(**of(random.choice((1, 2, 4))))
    assert command.wait() == 0, command.output
    inspect(machine, undisturbed)
    same(machine, finished)
