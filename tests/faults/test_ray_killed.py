"""Ray itself dies: without its raylet nothing is scheduled, and without its gcs_server it ends the driver."""

import time

import psutil
import pytest

from tests.support.faults.inspection import inspect
from tests.support.faults.processes import Machine, kill
from tests.support.faults.small_study import Undisturbed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("daemon", ["raylet", pytest.param("gcs_server", marks=pytest.mark.thorough)])
def test_ray_killed(machine: Machine, undisturbed: Undisturbed, daemon: str) -> None:
    command = machine.start()
    while command.running and command.output.count("begins") < 4:
        time.sleep(0.02)
    victim = next(child for child in psutil.Process(command.process.pid).children() if child.name() == daemon)
    kill(victim.pid)
    assert command.wait() == 3, command.output
    said = " ".join(command.output.split())
    assert "error: one of Ray's own processes died" in said
    assert "the same command goes on from here" in said
    assert "Traceback" not in said
    command = machine.start()
    assert command.wait() == 0, command.output
    inspect(machine, undisturbed)
