"""Workers that say nothing: this is said, and after a bound they are ended and count as lost.

A call may hang in one for ever: a mount, a driver, a deadlock. Those that do not stop when told are ended, too.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial as RayTrial

from platform.records.ledger import Ledger
from platform.records.one_line import one_line
from platform.records.record import Ask
from platform.running.interruption import STOP_SECONDS, Interruption, spoken
from platform.running.slots import Slots
from platform.running.workers.parcel import assigned
from platform.training.assignment import Assignment

LOOK_SECONDS = 1.0
STOOD_STILL_SECONDS = 5.0
"""More between two looks do not count: the driver stood still, and what came meanwhile is still to be heard."""
NOTABLE = 10
"""How many times its usual pace a silence is worth a word; nothing shorter ends a worker either."""
NOTABLE_SECONDS = 120.0
"""What is shorter is never worth a word."""
FIRST_SECONDS = 1800.0
"""As long as nothing has reported yet: data are decoded before the first report."""


@dataclass
class _Heard:
    """What a trial's worker last was heard of."""

    sign: object
    """Changes with whatever is heard."""
    at: float
    told: float = 0.0
    """The silence that the user was last told of, in seconds."""


class Silence(tune.Callback):
    """Looks, once a second, at how long each trial has been silent, and ends the workers that hang.

    `bound` is `Budget.silence`, in hours.
    """

    def __init__(
        self,
        bound: float | None,
        ledger: Ledger,
        slots: Slots,
        interruption: Interruption,
        fail: Callable[[str], None],
    ) -> None:
        self._bound = bound
        self._ledger = ledger
        self._slots = slots
        self._interruption = interruption
        self._fail = fail
        self._heard: dict[str, _Heard] = {}
        self._looked = time.monotonic()
        self._clock = 0.0
        """Seconds during which the driver listened."""
        self._stop_at: float | None = None

    def on_step_end(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        """Look, once a second, at the trials that have workers."""
        now = time.monotonic()
        if now < self._looked + LOOK_SECONDS:
            return
        self._clock += min(now - self._looked, STOOD_STILL_SECONDS)
        self._looked = now
        try:
            self._look()
        except Exception as error:
            # Ray Tune would end without a table.
            self._fail(f"Ray does not say who trains: {one_line(error)}")

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _look(self) -> None:
        before, self._heard = self._heard, {}
        late = self._stopping_is_late()
        if self._slots.cluster.kills is not None:
            self._slots.cluster.kills.look()
        for trial, actor in list(self._workers()):
            assignment = assigned(trial.config)
            sign = trial.status, trial.run_metadata.last_result.get("training_iteration")
            heard = before.get(assignment.claim)
            if heard is None or heard.sign != sign:
                heard = _Heard(sign, self._clock)
            self._heard[assignment.claim] = heard
            if assignment.claim in self._slots.ended:
                continue
            if late:
                self._cut_off(assignment)
                ray.kill(actor)
            elif (why := self._weigh(assignment.ask, heard)) is not None:
                self._interruption.say(f"{assignment.ask.name}: {why}: its worker is ended")
                self._slots.ended[assignment.claim] = why
                ray.kill(actor)

    def _weigh(self, ask: Ask, heard: _Heard) -> str | None:
        """Why a silence ends a worker, None while it does not; what is worth a word is said, at each doubling."""
        silence = self._clock - heard.at
        if silence < NOTABLE_SECONDS and (self._bound is None or silence < self._bound * 3600):
            return None
        pace, whose = self._pace(ask)
        times = f", {silence / pace:.0f} times as long as the slowest report of {whose}" if pace else ""
        words = f"silent for {spoken(silence)}{times or ', before any report of the study'}"
        least = NOTABLE * pace
        if self._bound is not None and silence >= max(self._bound * 3600, least):
            return words
        if silence >= max(NOTABLE_SECONDS, least or FIRST_SECONDS, 2 * heard.told):
            heard.told = silence
            self._interruption.say(f"{ask.name} has been {words}; {self._outlook(least)}")
        return None

    def _outlook(self, least: float) -> str:
        if self._bound is None:
            return "Budget.silence=None waits for it for ever"
        return f"after {spoken(max(self._bound * 3600, least))} its worker counts as lost"

    def _pace(self, ask: Ask) -> tuple[float, str]:
        """The seconds of the slowest report of the trial's arm, else of the study; 0 where there is none."""
        for whose, asks in (("its arm", self._ledger.asked(ask.arm)), ("the study", self._ledger.asks)):
            records = (self._ledger.records[other.trial.id] for other in asks)
            slowest = max((report.seconds for record in records for report in record.reports), default=0.0)
            if slowest > 0:
                return slowest, whose
        return 0.0, ""

    def _stopping_is_late(self) -> bool:
        """Whether workers were told to stop so long ago that those which train do not hear it."""
        if self._ledger.fault is None and self._interruption.signal is None:
            return False
        if self._stop_at is None:
            self._stop_at = self._clock + STOP_SECONDS
        return self._clock >= self._stop_at

    def _cut_off(self, assignment: Assignment) -> None:
        """Note, and say, what a trial loses whose worker does not stop."""
        ask = assignment.ask
        self._slots.ended[assignment.claim] = f"did not stop in {spoken(STOP_SECONDS)}"
        self._interruption.say(f"{ask.name} did not stop in {spoken(STOP_SECONDS)}: its worker is ended")
        self._interruption.lost.append(f"{ask.name} after step {self._ledger.records[ask.trial.id].step}")

    def _workers(self) -> Iterator[tuple[RayTrial, Any]]:
        """The trials that have workers, also such as still start, and these workers."""
        if (controller := self._slots.controller) is not None:
            live = controller._actor_manager._live_actors_to_ray_actors_resources
            for trial, tracked in controller._trial_to_actor.items():
                if tracked in live:
                    yield trial, live[tracked][0]
