"""Ray Tune's scheduler of a study: enters what workers give back."""

import logging
import re
from pathlib import Path
from typing import Any, assert_never

from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from platform.records.ledger import StoreFault
from platform.records.record import CPU, Ask, End, Report
from platform.running.interruption import Interruption
from platform.running.slots import Slots
from platform.running.workers.code import Code
from platform.running.workers.parcel import assigned
from platform.running.workers.words import gist
from platform.search.decisions import Search
from platform.training.assignment import (
    Assignment,
    DiskFailure,
    Failure,
    Result,
    Stopped,
    UnfitNode,
)

log = logging.getLogger(__name__)
WORKER_LOSSES = 3
"""How often a trial goes on after its worker died at the same step: machines that come and go are not its fault."""


class StudyScheduler(FIFOScheduler):
    """Enters every result into the ledger; a trial goes on as long as `platform.search.decisions` wants it."""

    def __init__(self, search: Search, slots: Slots, interruption: Interruption, code: Code) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.search, self.ledger = search, search.ledger
        self.slots = slots
        self.interruption = interruption
        self.code = code
        self.cpu_only: set[str] = set()
        """Addresses of nodes that train on CPUs what has a share of a GPU."""

    def on_trial_add(self, tune_controller: Any, trial: RayTrial) -> None:
        """Take note of who holds the workers."""
        self.slots.controller = tune_controller

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        """Whether a trial goes on after a worker's result."""
        assignment = assigned(trial.config)
        goes_on = False
        try:
            for text in result.get("said", ()):
                self.interruption.say(f"{assignment.ask.name}: {text}")
            self._enter(assignment, result["result"])
            reported = isinstance(result["result"], Report)
            goes_on = reported and self.search.may_go_on(assignment.ask)
            if not goes_on and self.slots.take_back(assignment):
                if reported and not self._stopping:
                    self.ledger.pause(assignment.ask)
                else:  # what has failed was told, and a study that stops waits for no decision
                    self.ledger.let_go(assignment.ask)
        except Exception as fault:
            # Ray Tune would call the trial failed and go on.
            self.ledger.fault = self.ledger.fault or fault
        return TrialScheduler.CONTINUE if goes_on and not self._stopping else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        """A worker is gone: the searcher hands its trial out again, a bounded number of times."""
        assignment = assigned(trial.config)
        try:
            ended = self.slots.ended.pop(assignment.claim, None)
            if ended is not None and self._stopping:
                self.slots.take_back(assignment)  # it did not stop when it was told to, which is no loss of a worker
            elif ended is None and _was_gone_before(tune_controller, trial):
                self.slots.take_back(assignment)
            else:
                self._lose(assignment, ended or self._words_of_loss(trial))
        except Exception as fault:
            self.ledger.fault = self.ledger.fault or fault

    def __getstate__(self) -> dict[str, Any]:
        return {}

    @property
    def _stopping(self) -> bool:
        return self.ledger.fault is not None or self.interruption.signal is not None

    def _enter(self, assignment: Assignment, result: Result) -> None:
        match result:
            case Report():
                self._report(assignment, result)
            case Failure():
                self._fail(assignment.ask, result)
            case UnfitNode():
                self._exclude(result)
            case DiskFailure(reason):
                self.ledger.fault = StoreFault(reason)
            case Stopped():
                pass  # where the study goes on, a network file system showed an old stop file: another worker goes on
            case _:
                assert_never(result)

    def _report(self, assignment: Assignment, report: Report) -> None:
        self._look_at_node(assignment, report)
        if self.ledger.report(assignment.ask, report):
            self.search.advance()

    def _look_at_node(self, assignment: Assignment, report: Report) -> None:
        """Note that a node is of use, and tell the user when PyTorch cannot use the GPU that a trial has a share of."""
        self.slots.cluster.note_use()
        if assignment.resources.get("GPU") and report.device == CPU and report.node not in self.cpu_only:
            self.cpu_only.add(report.node)
            self.interruption.say(
                f"{report.node} has a GPU that PyTorch cannot use: its trials train on CPUs; "
                "see whether nvidia-smi works there, and its driver is new enough"
            )

    def _fail(self, ask: Ask, failure: Failure) -> None:
        if failure.trace:
            log.error("%s of %r failed:\n%s", ask.trial.id, ask.arm, self.code.with_original_paths(failure.trace))
        step = self.ledger.records[ask.trial.id].step
        self._give_up(ask, End("failed", failure.cause, failure.reason, step, failure.retry))

    def _give_up(self, ask: Ask, end: End) -> None:
        self.ledger.fail(ask, end)
        self.search.advance()
        self.ledger.pause(ask)

    def _words_of_loss(self, trial: RayTrial) -> str:
        """Why a worker was lost, as far as Ray and the kernel say."""
        kernel = self.slots.cluster.kills.recent if self.slots.cluster.kills is not None else ""
        return "; ".join(filter(None, (kernel, gist(_words(trial)))))

    def _exclude(self, unfit: UnfitNode) -> None:
        """Give no more trials to a node that cannot train one."""
        if unfit.node.id not in self.slots.cluster.excluded:
            self.interruption.say(f"{unfit.node.address} gets no more trials: {unfit.reason}")
        self.slots.cluster.exclude(unfit.node.id, f"{unfit.node.address}: {unfit.reason}")

    def _lose(self, assignment: Assignment, error: str) -> None:
        """Have a trial whose worker died handed out again, unless that happened too often at the same step."""
        ask, losses = assignment.ask, self.slots.lose(assignment)
        log.warning("%s of %r lost its worker: %s", ask.trial.id, ask.arm, error)
        if losses <= WORKER_LOSSES:
            self.ledger.lose(ask)
            return
        step = self.ledger.records[ask.trial.id].step
        reason = f"worker lost {losses} times since step {step}, the last time with: {error}"
        self._give_up(ask, End("failed", "worker lost", reason, step, retry=True))


def _was_gone_before(tune_controller: Any, trial: RayTrial) -> bool:
    """Whether a trial was given to a worker that had died after its trial before, of which Ray Tune knew nothing."""
    # Also where the worker refused it, see `TrialTrainable.reset_config`; what it could not read is an error of a task.
    return trial in tune_controller._resetting_trials and not _words(trial).startswith("ray::")


def _words(trial: RayTrial) -> str:
    """What Ray says of a worker that was lost."""
    try:
        # `get_error` looks where Ray Tune copies this file only later.
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        return "no error"
    return re.sub(r"^Failure # .*\n", "", text)
