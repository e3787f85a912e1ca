"""The driver dies by SIGKILL at any moment, alone or with all that it started; the same command goes on."""

import time
from random import Random

import pytest

from tests.support.faults.inspection import inspect
from tests.support.faults.processes import Finished, Machine
from tests.support.faults.small_study import Undisturbed

pytestmark = pytest.mark.slow


def test_driver_killed(machine: Machine, random: Random, finished: Finished, undisturbed: Undisturbed) -> None:
    for _ in range(random.choice((1, 1, 1, 2))):
        command = machine.start()
        if command.outlives(random.uniform(0, finished.seconds)):
            command.kill()
            if random.random() < 0.3:
                machine.lose_power()
        else:
            assert command.wait() == 0, command.output
    command = machine.start()
    assert command.wait() == 0, command.output
    inspect(machine, undisturbed)


@pytest.mark.thorough
def test_killed_while_mlflow_lays_out_its_store(machine: Machine, undisturbed: Undisturbed) -> None:
    """A new SQLite store takes MLflow seconds, and one that was left half made it never opens again."""
    store = machine.checkout.root / "mlflow.db"
    command = machine.start()
    while command.running and not (store.exists() and store.stat().st_size > 0):
        time.sleep(0.005)
    command.kill()
    machine.lose_power()
    command = machine.start()
    assert command.wait() == 0, command.output
    inspect(machine, undisturbed)
