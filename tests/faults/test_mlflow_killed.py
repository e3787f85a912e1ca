"""The MLflow server is away for any part of a study, over HTTP; nothing waits for it, and in the end it has it all."""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.faults.inspection import inspect
from tests.support.faults.processes import Finished, Machine
from tests.support.faults.small_study import Undisturbed
from tests.support.mlflow_server import Server

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that has not been started."""
    folder = tmp_path / "server"
    folder.mkdir()
    made = Server(folder)
    yield made
    made.kill()


def test_mlflow_killed(
    machine: Machine, server: Server, random: Random, finished: Finished, undisturbed: Undisturbed
) -> None:
    """The server is up, down and up again from random moments on; what it misses comes with its return, or later."""
    there_at_first = random.random() < 0.7
    moments = sorted(random.uniform(0, 1.2 * finished.seconds) for _ in range(2 if there_at_first else 1))
    if there_at_first:
        server.start()
    began = time.monotonic()
    command = machine.start(MLFLOW_TRACKING_URI=server.uri)
    up = there_at_first
    for moment in moments:
        if not command.outlives(began + moment - time.monotonic()):
            break
        if up:
            server.kill()
        else:
            server.start()
        up = not up
    assert command.wait() == 0, command.output
    if not up:
        server.start()
    if "MLflow lacks" in command.output:
        deliver(machine, server.uri, again=random.random() < 0.5)
    inspect(machine, undisturbed, server.uri)


def deliver(machine: Machine, uri: str, again: bool) -> None:
    """What is still owed when the study has ended, by either of the two ways that its last lines name."""
    command = machine.start(MLFLOW_TRACKING_URI=uri) if again else machine.deliver(uri)
    assert command.wait() == 0, command.output
    assert "begins" not in command.output
