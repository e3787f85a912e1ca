"""How long a worker may be silent, and what is said of it: looks at made-up trials, at made-up times."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from platform.records.record import Report
from platform.running.interruption import STOP_SECONDS
from platform.running.simulation import tell
from platform.running.workers import silence
from platform.running.workers.parcel import PARCEL, Parcel
from platform.running.workers.silence import NOTABLE_SECONDS, Silence
from platform.training.assignment import Assignment
from tests.support.simulated_study import Simulation


class Workers:
    """A study's workers as Ray Tune holds them, each with a trial of its own, and a clock that the test turns."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, bound: float | None, slots: int = 2) -> None:
        self.now = 1000.0
        self.killed: list[Any] = []
        self.said: list[str] = []
        self.faults: list[str] = []
        monkeypatch.setattr(silence, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr("ray.kill", self.killed.append)
        self.simulation = Simulation(folder, slots=slots)
        self.simulation.interruption.say = self.said.append
        self.given = self.simulation.run(results=0)
        self.trials = [self._trial(assignment) for assignment in self.given]
        self.slots = self.simulation.shared
        self.slots.controller = SimpleNamespace(
            _trial_to_actor={trial: trial.trial_id for trial in self.trials},
            _actor_manager=SimpleNamespace(
                _live_actors_to_ray_actors_resources={trial.trial_id: (trial.trial_id, None) for trial in self.trials}
            ),
        )
        interruption = self.simulation.interruption
        self.silence = Silence(bound, self.simulation.ledger, self.slots, interruption, self.faults.append)

    @staticmethod
    def _trial(assignment: Assignment) -> Any:
        class Trial(SimpleNamespace):
            __hash__ = object.__hash__  # type: ignore[assignment]

        return Trial(
            trial_id=assignment.ask.name,
            status="RUNNING",
            config={PARCEL: Parcel(assignment)},
            run_metadata=SimpleNamespace(last_result={}),
        )

    def hear(self, number: int, seconds: float) -> None:
        """A trial reports, for which it took so long."""
        ask = self.given[number].ask
        record = self.simulation.ledger.records[ask.trial.id]
        step = next(step for step in ask.trial.evaluated_steps if step > record.step)
        metrics = {"source/miou": 0.5, "oracle/miou": 0.5, "target/effective_classes": 9.0}
        tell(self.simulation.scheduler, self.given[number], Report(step, seconds, metrics, {}))
        before = self.trials[number].run_metadata.last_result.get("training_iteration", 0)
        self.trials[number].run_metadata.last_result = {"training_iteration": before + 1}

    def wait(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """The driver listens for so long."""
        until = self.now + seconds
        while self.now < until:
            self.now += 1
            meanwhile()
            self.silence.on_step_end(0, self.trials)
        assert not self.faults


def test_nothing_is_said_of_workers_that_keep_their_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Workers(tmp_path, monkeypatch, bound=0.1)
    workers.wait(300)
    workers.hear(0, 300)
    workers.wait(359)
    assert (workers.said, workers.killed) == ([], [])


def test_a_silence_is_said_at_ten_times_the_pace_and_at_each_doubling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(tmp_path, monkeypatch, bound=6.0, slots=1)
    workers.hear(0, 60)
    workers.wait(590)
    assert workers.said == []
    workers.wait(20)
    ending = "as long as the slowest report of its arm; after 6 h its worker counts as lost"
    assert workers.said == [f"source only search 0 has been silent for 10 min, 10 times {ending}"]
    workers.wait(590)
    assert len(workers.said) == 1
    workers.wait(10)
    assert workers.said[1:] == [f"source only search 0 has been silent for 20 min, 20 times {ending}"]
    assert workers.killed == []


def test_after_the_bound_a_worker_is_ended_once_and_its_trial_counts_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(tmp_path, monkeypatch, bound=0.5)
    workers.hear(0, 1)
    workers.wait(1700, lambda: workers.trials[1].run_metadata.last_result.update(training_iteration=workers.now))
    assert workers.killed == []
    workers.wait(200, lambda: workers.trials[1].run_metadata.last_result.update(training_iteration=workers.now))
    assert workers.killed == ["source only search 0"]
    lost = workers.given[0]
    controller: Any = SimpleNamespace(_resetting_trials=[workers.trials[0]])
    workers.simulation.scheduler.on_trial_error(controller, workers.trials[0])
    assert workers.simulation.ledger.records[lost.ask.trial.id].losses == 1, "also of a worker that hung as it began"
    assert lost.ask.trial.id not in workers.slots.running
    assert workers.slots.ended == {}


def test_nobody_is_ended_before_ten_times_the_slowest_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few evaluations a report may take longer than any bound in hours."""
    workers = Workers(tmp_path, monkeypatch, bound=0.01, slots=1)
    workers.hear(0, 400)
    workers.wait(3900)
    assert workers.killed == []
    workers.wait(200)
    assert len(workers.killed) == 1


def test_without_a_bound_nobody_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Workers(tmp_path, monkeypatch, bound=None)
    workers.wait(100_000)
    assert workers.killed == []
    assert "before any report of the study; Budget.silence=None waits for it for ever" in workers.said[0]


def test_the_time_in_which_the_driver_stood_still_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came meanwhile is heard one by one."""
    workers = Workers(tmp_path, monkeypatch, bound=0.01, slots=1)
    workers.wait(10)
    workers.now += 100_000
    workers.wait(1)
    assert workers.killed == []
    workers.wait(36 - 10)
    assert len(workers.killed) == 1


def test_workers_that_do_not_stop_are_ended_and_not_counted_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(tmp_path, monkeypatch, bound=None, slots=2)
    workers.hear(0, 1)
    workers.simulation.interruption.note(2)
    workers.wait(STOP_SECONDS - 1)
    assert workers.killed == []
    workers.wait(3)
    assert workers.killed == ["source only search 0", "source only search 1"]
    assert workers.simulation.interruption.lost == [
        "source only search 0 after step 2",
        "source only search 1 after step 0",
    ]
    controller: Any = SimpleNamespace(_resetting_trials=[])
    workers.simulation.scheduler.on_trial_error(controller, workers.trials[1])
    assert workers.simulation.ledger.records[workers.given[1].ask.trial.id].losses == 0


def test_a_mistake_in_a_look_ends_the_study_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Workers(tmp_path, monkeypatch, bound=1.0)
    del workers.trials[0].run_metadata
    workers.now += NOTABLE_SECONDS
    workers.silence.on_step_end(0, workers.trials)
    assert "Ray does not say who trains" in workers.faults[0]
