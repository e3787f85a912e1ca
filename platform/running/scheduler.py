"""Ray Tune's scheduler of a study: enters what workers report."""

import logging
from collections import Counter
from typing import Any

from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from platform.design.study import Study
from platform.records.ledger import Ledger, StoreFault
from platform.records.record import Ask, End, Report
from platform.running.searcher import StudySearcher
from platform.training.assignment import DISK, FAILURE, REPORT, UNFIT, Assignment, Failure, UnfitNode

log = logging.getLogger(__name__)
WORKER_LOSSES = 3
"""How often a trial goes on after its worker died at the same step: machines that come and go are not its fault."""


class StudyScheduler(FIFOScheduler):
    """Enters every report into the ledger, and ends trials as `platform.search.decisions` has it."""

    def __init__(self, study: Study, ledger: Ledger, searcher: StudySearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.study = study
        self.ledger = ledger
        self.searcher = searcher
        self.losses: Counter[str] = Counter()
        self.broken_workers = 0
        """Workers that end when they are given their next trial, since an unknown error may have left them broken."""
        self.blind: set[str] = set()
        """Addresses of nodes that train on CPUs what has a share of a GPU."""

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        """Whether a trial goes on after what it reported."""
        goes_on = False
        try:
            goes_on = self._enter(trial.config["assignment"], result)
        except Exception as fault:
            # Ray Tune would call the trial failed and go on.
            self.ledger.fault = self.ledger.fault or fault
        stopped = self.ledger.fault is not None or self.searcher.interruption.signal is not None
        return TrialScheduler.CONTINUE if goes_on and not stopped else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        """A worker is gone: the searcher hands its trial out again, a bounded number of times."""
        try:
            self._lose(trial.config["assignment"].ask, " ".join(str(trial.get_error() or "").split())[-300:])
        except Exception as fault:
            self.ledger.fault = self.ledger.fault or fault

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _enter(self, assignment: Assignment, result: dict[str, Any]) -> bool:
        """Enter a worker's result, and whether its trial goes on."""
        ask = assignment.ask
        if (reason := result.get(DISK)) is not None:
            self.ledger.fault = StoreFault(reason)
        elif (failure := result.get(FAILURE)) is not None:
            self._fail(ask, failure)
        elif (node := result.get(UNFIT)) is not None:
            self._avoid(assignment, node)
            return False
        elif (report := result.get(REPORT)) is not None:
            self._look_at_node(assignment, report)
            judged = len(self.ledger.records[ask.trial.id].reports)
            if self.ledger.report(ask, report):
                self.searcher.search.settle(ask, judged)
        else:
            # By a sign that a network file system still shows, perhaps: then another worker goes on.
            self._take_back(assignment)
            return False
        return self.ledger.ended(ask) is None

    def _look_at_node(self, assignment: Assignment, report: Report) -> None:
        """See that a node is of use, and tell the user when the GPU that a trial has a share of is of none."""
        self.searcher.cluster.note_use()
        if assignment.resources.get("GPU") and report.device == "cpu" and report.node not in self.blind:
            self.blind.add(report.node)
            self.searcher.interruption.say(
                f"{report.node} has a GPU that PyTorch cannot use: its trials train on CPUs; "
                "see whether nvidia-smi works there, and its driver is new enough"
            )

    def _take_back(self, assignment: Assignment) -> None:
        """Let a trial be handed out again, unless another worker has it by now."""
        running = self.searcher.running.get(assignment.ask.trial.id)
        if running is not None and running.claim == assignment.claim:
            del self.searcher.running[assignment.ask.trial.id]

    def _fail(self, ask: Ask, failure: Failure) -> None:
        if failure.cause == "error":
            self.broken_workers += 1
            log.error("%s of %r failed:\n%s", ask.trial.id, ask.arm, failure.trace)
        step = self.ledger.records[ask.trial.id].step
        self.ledger.end(ask, End("failed", failure.cause, failure.reason, step, failure.retry))

    def _avoid(self, assignment: Assignment, node: UnfitNode) -> None:
        """Have a trial go elsewhere, and no other one to a node that cannot train it."""
        self.broken_workers += 1
        if node.id not in self.searcher.cluster.useless:
            self.searcher.interruption.say(f"{node.address} gets no more trials: {node.reason}")
        self.searcher.cluster.give_up(node.id, f"{node.address}: {node.reason}")
        self._take_back(assignment)

    def _lose(self, ask: Ask, error: str) -> None:
        running = self.searcher.running.get(ask.trial.id)
        begun = running is None or self.ledger.records[ask.trial.id].step > running.since
        if self.broken_workers and not begun:
            # It was given to a worker that ended because of the trial before it, and never began.
            self.broken_workers -= 1
            self.searcher.running.pop(ask.trial.id, None)
            return
        log.warning("%s of %r lost its worker: %s", ask.trial.id, ask.arm, error)
        self.losses[ask.trial.id] = 1 if begun else self.losses[ask.trial.id] + 1
        if self.losses[ask.trial.id] > WORKER_LOSSES:
            step = self.ledger.records[ask.trial.id].step
            times = f"{self.losses[ask.trial.id]} times since step {step}"
            reason = f"worker lost {times}, the last time with: {error or 'no error'}"
            self.ledger.end(ask, End("failed", "worker lost", reason, step, retry=True))
        else:
            self.ledger.lose(ask)
            self.searcher.running.pop(ask.trial.id, None)
