"""Workers die by SIGKILL at any moment, as by the system's lack of memory; the study goes on without them."""

import time
from random import Random

import pytest

from tests.support.faults.inspection import inspect
from tests.support.faults.processes import Finished, Machine, kill
from tests.support.faults.small_study import Undisturbed

pytestmark = pytest.mark.slow

MOST_BLOWS = 3
"""As often as a trial may lose its worker: all blows may meet the same one."""


def test_worker_killed(machine: Machine, random: Random, finished: Finished, undisturbed: Undisturbed) -> None:
    blows = random.randint(1, MOST_BLOWS)
    moments = sorted(random.uniform(0, finished.seconds) for _ in range(blows))
    began = time.monotonic()
    command = machine.start()
    struck = 0
    for moment in moments:
        command.outlives(began + moment - time.monotonic())
        while command.running and not (workers := machine.workers()):
            time.sleep(0.02)
        if command.running:
            kill(random.choice(workers))
            struck += 1
    assert command.wait() == 0, command.output
    assert struck > 0, "no moment met a worker"
    inspect(machine, undisturbed)
