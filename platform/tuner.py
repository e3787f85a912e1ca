"""The one Tuner of a study: Ray's searcher and scheduler around `platform.decisions`.

`Tuner.restore` is not used. A study goes on by replaying its records: trials that had not ended are handed out first,
the others are decided as if the study had never stopped.
"""

import logging
import os
import shutil
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from platform.cluster import JOIN_SECONDS, Cluster, RayFault, joined, local, machines, refuse_unshared, seen
from platform.decisions import finished, first_record, next_ask, note_arrivals, searching, settle
from platform.interruption import Interruption
from platform.ledger import Ledger, StoreFault
from platform.lock import Lock
from platform.methods.method import Method
from platform.placement import Offer, Resources, TooLarge, refusal
from platform.recipe import Recipe
from platform.records import Ask, End, Report
from platform.storage import Mark, leave_mark
from platform.study import Study
from platform.trainable import DISK, FAILURE, REPORT, UNFIT, Assignment, Failure, TrialTrainable, UnfitNode

log = logging.getLogger(__name__)

WORKER_LOSSES = 3
"""How often a trial goes on after its worker died at the same step: machines that come and go are not its fault."""


class Running(NamedTuple):
    """A trial that was handed out."""

    since: int
    """The step that was on record then."""
    resources: Resources
    claim: str
    """What its worker must show to write."""


class StudySearcher(Searcher):
    """Hands out, arm by arm: unfinished trials, search trials, then the confirm trials of the best one.

    An arm that waits for its last search trials holds up no other arm. Outcomes are read from the ledger, which the
    scheduler keeps, so nothing is learnt from Ray's own callbacks.
    """

    def __init__(
        self,
        study: Study,
        ledger: Ledger,
        shift_identity: dict[str, Any],
        interruption: Interruption,
        cluster: Cluster,
        mark: Mark | None = None,
    ) -> None:
        super().__init__()
        self.study = study
        self.ledger = ledger
        self.shift_identity = shift_identity
        self.interruption = interruption
        self.cluster = cluster
        self.on_gpus = cluster.offer().has_gpus
        """Decided once: a trial must not change its device on the way."""
        self.mark = mark
        """By which other nodes show that they see the results; None on one machine."""
        self.running: dict[str, Running] = {}
        """By the ids of their trials."""
        self._missing: str | None = None

    def suggest(self, trial_id: str) -> Any:
        """The configuration of the next trial, None to be asked again later, FINISHED at the end of the study."""
        suggested: Any = Searcher.FINISHED
        if self.ledger.fault is None and self.interruption.signal is None:
            try:
                suggested = self._suggest()
            except Exception as fault:
                # Ray Tune would hang on it.
                self.ledger.fault = self.ledger.fault or fault
        return suggested if self.ledger.fault is None else Searcher.FINISHED

    def _suggest(self) -> Any:
        waiting = False
        for ask in [ask for ask in self.ledger.asks if self._is_open(ask)]:
            if self._has_room(ask.arm) and (assigned := self._take_up(ask)) is not None:
                return assigned
            waiting = waiting or self._is_open(ask)
        for arm in self.study.arms:
            while (room := self._has_room(arm)) and (new := self._next_ask(arm)) is not None:
                if self.ledger.fault is not None:
                    return None
                self.ledger.ask(new)
                note_arrivals(self.study, self.ledger, new)
                if self._is_open(new) and (assigned := self._take_up(new)) is not None:
                    return assigned
            # Not asked once more: a node that joins in between would make the study look finished.
            waiting = waiting or self._is_waiting(arm) or not room
        if waiting and not self.running:
            self._say_what_is_missing()
        return None if waiting else Searcher.FINISHED

    def _next_ask(self, arm: str) -> Ask | None:
        return next_ask(self.study, self.ledger, self.shift_identity, arm)

    def _say_what_is_missing(self) -> None:
        """Tell the user, once, when nothing runs because a machine that could hold it has left."""
        reasons = [refusal(arm, self._resources(arm), self.cluster.offer()) for arm in self.study.arms]
        missing = next(filter(None, reasons), None)
        if missing is not None and missing != self._missing:
            self.interruption.say(f"waiting for a machine: {missing}")
        self._missing = missing

    def _is_open(self, ask: Ask) -> bool:
        """Whether a trial has neither ended nor is trained by one of this study's workers."""
        return self.ledger.ended(ask) is None and ask.trial.id not in self.running

    def _is_waiting(self, arm: str) -> bool:
        """Whether an arm may ask for more later: its search goes on, or another study trains one of its trials."""
        return searching(self.ledger, arm) or any(map(self._is_open, self.ledger.asked(arm, "confirm")))

    def _resources(self, arm: str) -> dict[str, float]:
        return self.study.slot(arm).resources(self.on_gpus)

    def _has_room(self, arm: str) -> bool:
        """Whether to hand out another trial of an arm; also where no node can hold it any more, so that it ends."""
        records = self.ledger.records
        self.running = {trial: running for trial, running in self.running.items() if records[trial].end is None}
        taken = [running.resources for running in self.running.values()]
        return self.cluster.has_room(taken, self._resources(arm)) or self._hopeless(arm) is not None

    def _hopeless(self, arm: str) -> str | None:
        """Why no node can hold a trial of an arm, None while one may: nodes that are of no use were found meanwhile."""
        if not self.cluster.useless or self.cluster.may_hold(self._resources(arm)):
            return None
        return "; ".join(sorted(set(self.cluster.useless.values())))

    def _take_up(self, ask: Ask) -> dict[str, Any] | None:
        """A trial's configuration; None when another study holds it, or when what is on record ends it."""
        if not self.ledger.take_up(ask, lambda: first_record(self.study, ask)):
            self.ledger.wait(ask)
            return None
        settle(self.study, self.ledger, ask)
        step = self.ledger.records[ask.trial.id].step
        if self.ledger.ended(ask) is None and (reason := self._hopeless(ask.arm)) is not None:
            self.ledger.end(ask, End("failed", "data", reason, step, retry=True))
        if self.ledger.ended(ask) is not None:
            return None
        claim, resources = self.ledger.hand_out(ask), self._resources(ask.arm)
        self.running[ask.trial.id] = Running(step, resources, claim)
        self.ledger.begin(ask)
        assignment = Assignment(
            ask=ask,
            method=self.study.arms[ask.arm].method(**ask.trial.hyperparameters),
            recipe=Recipe(**ask.trial.recipe),
            shift=self.study.shift,
            storage=self.ledger.store.storage,
            reported=step,
            resources=resources,
            stop=self.interruption.sign,
            claim=claim,
            mark=self.mark,
            avoided=tuple(sorted(self.cluster.useless)),
        )
        return {"assignment": assignment}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the ledger knows."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StudyScheduler(FIFOScheduler):
    """Enters every report into the ledger, and ends trials as `platform.decisions` has it."""

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
                settle(self.study, self.ledger, ask, judged)
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


class Halt(tune.Stopper, tune.Callback):
    """Ends the Tuner when the study is to stop and no trial trains any more.

    By itself the Tuner would wait for ever for trials that no machine has room for.
    """

    def __init__(self, ledger: Ledger, interruption: Interruption) -> None:
        self.ledger = ledger
        self.interruption = interruption
        self._told = False
        self._over = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial ends here."""
        return False

    def stop_all(self) -> bool:
        """Whether the Tuner is to end."""
        return self._over

    def on_step_end(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        """See whether the study is to stop, and who still trains."""
        if self.ledger.fault is not None and not self._told:
            self._told = True
            self.interruption.stop_workers()
        stopping = self.ledger.fault is not None or self.interruption.signal is not None
        self._over = stopping and all(trial.status != RayTrial.RUNNING for trial in trials)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def run(
    study: Study,
    ledger: Ledger,
    shift_identity: dict[str, Any],
    address: str | None,
    root: Path,
    interruption: Interruption,
    lock: Lock,
) -> bool:
    """Run what the study has not run yet, on a Ray cluster or on this machine; False when it ended before its end.

    Every worker gets the checkout at `root` on its path. Raises StoreFault when the records cannot be written,
    NotShared when a node does not see them, TooLarge when no node holds a trial, and RayFault when Ray does not start,
    refuses the address, or dies, or when machines have not come that a trial may need.
    """
    ledger.reopen()
    if ledger.fault is None and not finished(study, ledger, shift_identity):
        with _cluster(address, root, ledger, interruption) as cluster:
            lock.note_descendants()
            mark, missing = None, 0
            if address is not None:
                mark = leave_mark(ledger.store.storage, ledger.study)
                refuse_unshared(ledger.store.storage, mark)
                missing = cluster.await_expected(interruption.say, lambda: interruption.signal is not None)
            if interruption.signal is None:
                check_nodes(study, cluster.offer(), missing, interruption.say)
                searcher = StudySearcher(study, ledger, shift_identity, interruption, cluster, mark)
                _tune(study, ledger, searcher, Halt(ledger, interruption))
    ledger.close()
    if ledger.fault is not None:
        raise ledger.fault
    return finished(study, ledger, shift_identity)


def offer(study: Study, address: str) -> Offer:
    """What a cluster offers to a study, for its plan. Raises TooLarge when no node holds a trial, and RayFault."""
    with seen(address) as cluster:
        offered = cluster.offer()
        if (reason := _too_large(study, offered)) is not None:
            raise TooLarge(reason)
        return offered


def _cluster(
    address: str | None, root: Path, ledger: Ledger, interruption: Interruption
) -> AbstractContextManager[Cluster]:
    def fail(fault: RayFault) -> None:
        ledger.fault = ledger.fault or fault

    return local(root, interruption, fail) if address is None else joined(address, root, interruption)


def check_nodes(study: Study, offered: Offer, missing: int, say: Callable[[str], None]) -> None:
    """See that the nodes hold every arm's trials, on GPUs if they ask for them and there are any."""
    reason = _too_large(study, offered)
    lacks_gpus = not offered.has_gpus and any(study.slot(name).gpus for name in study.arms)
    if missing and (reason is not None or lacks_gpus):
        late = f"{machines(missing)} that the cluster expects did not join in {JOIN_SECONDS:.0f} seconds"
        raise RayFault(f"{reason or 'the study asks for GPUs, and no node has one'}; {late}: ray status tells more")
    if reason is not None:
        raise TooLarge(reason)
    if lacks_gpus:
        say("no GPU is there: everything trains on CPUs")


def _too_large(study: Study, offered: Offer) -> str | None:
    """Why a trial of one of the arms will never run, None when all may."""
    reasons = (refusal(name, study.slot(name).resources(offered.has_gpus), offered) for name in study.arms)
    return next(filter(None, reasons), None)


def _tune(study: Study, ledger: Ledger, searcher: StudySearcher, halt: Halt) -> None:
    for arm in study.arms.values():
        _send_by_value(arm.method)
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    # Signals are ours, and so is the state that Ray Tune would write for its restore again and again.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = str(10**9)
    # The newer engine prints its own header even when it is told to be silent.
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    # The searcher knows how many trials the cluster takes, also while nodes come and go. Ray Tune would ask for one
    # at a time, and an autoscaler would see the need of one.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(10**6)
    with _scratch(ledger) as scratch:
        tune.Tuner(
            TrialTrainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=StudyScheduler(study, ledger, searcher),
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_name,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name=ledger.study,
                storage_path=str(scratch),
                verbose=0,
                stop=halt,
                callbacks=[halt],
                # A lost trial is handed out again by the searcher: Ray Tune itself gives up one that is still to start.
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        ).fit()


@contextmanager
def _scratch(ledger: Ledger) -> Iterator[Path]:
    """A folder for what Ray Tune writes and nobody reads; that of a killed driver goes first."""
    place = f"{ledger.study}-{zlib.crc32(str(ledger.store.folder.resolve()).encode()):08x}"
    folder = Path(tempfile.gettempdir()) / f"study-{os.getuid()}-{place}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _send_by_value(method: type[Method]) -> None:
    """Let workers have a method that a study file defines: they cannot import a study file."""
    if not method.__module__.startswith("platform."):
        ray.cloudpickle.register_pickle_by_value(sys.modules[method.__module__])  # type: ignore[no-untyped-call]


def _name(trial: RayTrial) -> str:
    name: str = trial.config["assignment"].name
    return name
