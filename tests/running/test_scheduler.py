"""Workers that are lost, stop or break: what the scheduler makes of it."""

import dataclasses
from pathlib import Path

import pytest
from ray.tune.search import Searcher

from platform.methods import FDA
from platform.running.scheduler import WORKER_LOSSES
from platform.running.simulation import lose, tell
from platform.running.workers.parcel import assigned
from platform.study import Arm
from platform.training.assignment import Assignment, Stopped
from tests.support.simulated_study import ONE_AT_A_TIME, STUDY, Simulation, report


def lost(simulation: Simulation, assignment: Assignment) -> None:
    lose(simulation.scheduler, assignment, "the actor died")


def test_a_trial_that_loses_its_worker_is_handed_out_again_a_bounded_number_of_times(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path, ONE_AT_A_TIME, slots=1)
    (running,) = simulation.run(results=1)
    for losses in range(1, WORKER_LOSSES + 1):
        lost(simulation, running)
        running = assigned(simulation.searcher.suggest("again"))
        assert running.ask == simulation.ledger.asks[0]
        assert running.reported == 2, "from its last report"
        assert simulation.ledger.records[running.ask.trial.id].losses == losses
    lost(simulation, running)
    assert simulation.ledger.records[running.ask.trial.id].is_given_up
    end = simulation.ledger.ended(running.ask)
    assert end is not None
    assert (end.state, end.cause, end.step, end.retry) == ("failed", "worker lost", 2, True)
    assert end.reason == "worker lost 4 times since step 2, the last time with: the actor died"
    assert assigned(simulation.searcher.suggest("next")).ask != running.ask
    simulation.ledger.close()
    again = Simulation(tmp_path, ONE_AT_A_TIME)
    assert assigned(again.searcher.suggest("again")).ask == running.ask, "the next run tries it again"


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (
            "ray::step()\n" + '  File "worker.py", line 1\n    ^^^^\n' * 99 + "OSError: disk\nfull\n",
            "OSError: disk full",
        ),
        ("Failure # 1 (occurred at noon)\nIt died\n\tpid: 1\n\tip: 10.0.0.1\nfor memory", "It died for memory"),
        ("The actor's node died\n\tno heartbeat for 30 s\n", "The actor's node died no heartbeat for 30 s"),
    ],
)
def test_of_what_ended_a_worker_what_matters_is_kept(tmp_path: Path, error: str, kept: str) -> None:
    """Ray's tracebacks and its lists of an actor's attributes stand before it, indented."""
    simulation = Simulation(tmp_path, ONE_AT_A_TIME, slots=1)
    (running,) = simulation.run(results=1)
    for _ in range(WORKER_LOSSES + 1):
        lose(simulation.scheduler, running, error)
        running = assigned(simulation.searcher.suggest("again"))
    end = simulation.ledger.ended(simulation.ledger.asks[0])
    assert end is not None
    assert end.reason.endswith(f"the last time with: {kept}")


def test_the_last_trial_is_handed_out_again_though_nothing_else_is_left(tmp_path: Path) -> None:
    """Ray Tune asks no more once it was told that the study has come to its end."""
    study = dataclasses.replace(STUDY, arms={"fixed": Arm(FDA)}, reference="fixed", search=None)
    driver = Simulation(tmp_path, study)
    first, last = (assigned(driver.searcher.suggest("any")) for _ in range(2))
    for step in first.ask.trial.evaluated_steps:
        tell(driver.scheduler, first, report(first.ask.trial, step))
    assert driver.searcher.suggest("none") is None, "the last one still runs"
    lost(driver, last)
    again = assigned(driver.searcher.suggest("again"))
    assert again.ask == last.ask
    for step in again.ask.trial.evaluated_steps:
        tell(driver.scheduler, again, report(again.ask.trial, step))
    assert driver.searcher.suggest("none") == Searcher.FINISHED


def test_a_trial_that_gets_on_between_losses_is_never_given_up(tmp_path: Path) -> None:
    """Spot machines come and go."""
    simulation = Simulation(tmp_path, ONE_AT_A_TIME, slots=1)
    losses = 0
    running = assigned(simulation.searcher.suggest("first"))
    *steps, last = running.ask.trial.evaluated_steps
    for step in steps:
        tell(simulation.scheduler, running, report(running.ask.trial, step))
        for _ in range(2):
            lost(simulation, running)
            losses += 1
            again = assigned(simulation.searcher.suggest("again"))
            assert (again.ask, again.reported) == (running.ask, step)
            running = again
    assert losses > WORKER_LOSSES
    tell(simulation.scheduler, running, report(running.ask.trial, last))
    end = simulation.ledger.ended(running.ask)
    assert end is not None
    assert end.state == "complete"


def test_a_trial_whose_worker_stopped_without_a_stop_goes_on(tmp_path: Path) -> None:
    """A network file system may show a sign for a while that is gone."""
    simulation = Simulation(tmp_path, ONE_AT_A_TIME, slots=1)
    stopped = assigned(simulation.searcher.suggest("first"))
    tell(simulation.scheduler, stopped, Stopped())
    again = assigned(simulation.searcher.suggest("again"))
    assert again.ask == stopped.ask
    tell(simulation.scheduler, stopped, Stopped())
    assert again.ask.trial.id in simulation.shared.running, "the one that was taken for dead says nothing of this one"


def test_a_trial_given_to_workers_that_were_gone_before_is_not_counted_as_lost(tmp_path: Path) -> None:
    """As many as died at once after their trials: each may be given the same one."""
    simulation = Simulation(tmp_path, ONE_AT_A_TIME, slots=1)
    (innocent,) = simulation.run(results=1)
    for _ in range(2 * WORKER_LOSSES):
        lose(simulation.scheduler, innocent, "The actor died unexpectedly", before=True)
        assert simulation.ledger.records[innocent.ask.trial.id].losses == 0
        again = assigned(simulation.searcher.suggest("again"))
        assert again.ask == innocent.ask
        innocent = again
    lose(simulation.scheduler, innocent, "The actor died unexpectedly")
    assert simulation.ledger.records[innocent.ask.trial.id].losses == 1


def test_a_trial_that_no_worker_can_read_is_given_up(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path, ONE_AT_A_TIME, slots=1)
    (unreadable,) = simulation.run(results=1)
    error = "ray::TrialTrainable.reset()\nModuleNotFoundError: No module named 'helper'"
    for _ in range(WORKER_LOSSES + 1):
        lose(simulation.scheduler, unreadable, error, before=True)
        unreadable = assigned(simulation.searcher.suggest("again"))
    end = simulation.ledger.ended(simulation.ledger.asks[0])
    assert end is not None
    assert end.cause == "worker lost"
