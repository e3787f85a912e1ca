"""Signals to a study that trains: it stops after the current step, says how to go on, and does."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time

import pytest
from mlflow import MlflowClient

from tests.support.faults.inspection import asks, ends, inspect
from tests.support.faults.processes import MARK, Command, Machine
from tests.support.faults.small_study import NAME, Undisturbed
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow


def wait_for_trials(command: Command) -> None:
    """Until trials train."""
    while command.running and command.output.count("begins") < 4:
        time.sleep(0.02)
    assert command.running, command.output


def goes_on(machine: Machine, undisturbed: Undisturbed) -> None:
    """The same command comes to the same end."""
    command = machine.start()
    assert command.wait() == 0, command.output
    inspect(machine, undisturbed)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)], ids=lambda number: number.name
)
def test_one_signal_stops_after_the_current_step(
    machine: Machine, undisturbed: Undisturbed, number: signal.Signals
) -> None:
    command = machine.start()
    wait_for_trials(command)
    command.send(number)
    assert command.wait() == 128 + number, command.output
    assert "the same command goes on from here" in " ".join(command.output.split())
    assert "Traceback" not in command.output
    assert machine.left_behind() == []
    check_mlflow_of_an_interrupted_study(machine)
    goes_on(machine, undisturbed)


@pytest.mark.thorough
def test_a_signal_to_the_whole_group_stops_in_order_too(machine: Machine, undisturbed: Undisturbed) -> None:
    """`timeout` and job managers send it like this: Ray's processes must not go before the trials have stopped."""
    command = machine.start()
    wait_for_trials(command)
    os.killpg(command.process.pid, signal.SIGTERM)
    assert command.wait() == 128 + signal.SIGTERM, command.output
    assert "the same command goes on from here" in " ".join(command.output.split())
    assert machine.left_behind() == []
    goes_on(machine, undisturbed)


@pytest.mark.thorough
def test_a_signal_while_ray_starts(machine: Machine, undisturbed: Undisturbed) -> None:
    command = machine.start()
    while command.running and not any("gcs_server" in line for line in machine.processes().values()):
        time.sleep(0.01)
    command.send(signal.SIGTERM)
    assert command.wait() == 128 + signal.SIGTERM, command.output
    assert machine.left_behind() == []
    goes_on(machine, undisturbed)


def check_mlflow_of_an_interrupted_study(machine: Machine) -> None:
    """No run stands there as running."""
    client = MlflowClient(tracking_uri=machine.sqlite)
    experiment = client.get_experiment_by_name(NAME)
    assert experiment is not None
    runs = {run.data.tags.get("trial_id"): run for run in client.search_runs([experiment.experiment_id])}
    assert runs.pop(None).info.status == "KILLED"
    ended = ends(machine.results)
    open_trials = {ask.trial.id for ask in asks(machine.results)} - ended.keys()
    assert open_trials
    assert {trial for trial, run in runs.items() if run.info.status == "KILLED"} == open_trials & runs.keys()
    assert {run.info.status for trial, run in runs.items() if trial in ended} <= {"FINISHED", "FAILED"}
    assert ended.keys() <= runs.keys()


def test_two_signals_end_it_at_once(machine: Machine, undisturbed: Undisturbed) -> None:
    number = signal.SIGINT
    command = machine.start()
    wait_for_trials(command)
    command.send(number)
    while command.running and "once more to leave at once" not in command.output:
        time.sleep(0.01)
    command.send(number)
    assert command.wait() == 128 + number, command.output
    assert machine.left_behind() == []
    goes_on(machine, undisturbed)


@pytest.mark.thorough
def test_a_signal_while_the_driver_stands_still(machine: Machine, undisturbed: Undisturbed) -> None:
    command = machine.start()
    wait_for_trials(command)
    command.send(signal.SIGSTOP)
    time.sleep(0.5)  # its workers go on meanwhile
    command.send(signal.SIGTERM)
    command.send(signal.SIGCONT)
    assert command.wait() == 128 + signal.SIGTERM, command.output
    assert machine.left_behind() == []
    goes_on(machine, undisturbed)


@pytest.mark.thorough
def test_the_terminal_goes_away(machine: Machine, undisturbed: Undisturbed) -> None:
    """A connection breaks: SIGHUP comes, and nothing can be written to the terminal any more."""
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "platform.study", machine.study],
        cwd=machine.checkout.root,
        env=machine.checkout.environment | {MARK: machine.mark, "TERM": "xterm"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    while len(list(machine.results.glob("trials/*/record.jsonl"))) < 4:
        os.read(ours, 65536)
    os.close(ours)
    assert process.wait(timeout=PATIENCE) == 128 + signal.SIGHUP
    assert machine.left_behind() == []
    check_mlflow_of_an_interrupted_study(machine)
    goes_on(machine, undisturbed)
