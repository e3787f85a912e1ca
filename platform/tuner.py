"""The one Tuner of a study: Ray's searcher and scheduler around `platform.decisions`.

`Tuner.restore` is not used. A study goes on by replaying its records: trials that had not ended are handed out first,
the others are decided as if the study had never stopped.
"""

import atexit
import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import ray
from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from platform.decisions import finished, first_record, next_ask, note_arrivals, searching, settle
from platform.interruption import Interruption, end_tree
from platform.ledger import Ledger, StoreFault
from platform.lock import Lock
from platform.methods.method import Method
from platform.recipe import Recipe
from platform.records import Ask, End
from platform.study import Study
from platform.trainable import DISK, FAILURE, REPORT, Assignment, Failure, TrialTrainable

log = logging.getLogger(__name__)

WORKER_LOSSES = 3
"""How often a trial goes on from its last checkpoint after its worker died."""
DAEMONS = {"gcs_server", "raylet"}
"""Ray's processes by name."""
RAY_SECONDS = 30.0
"""How long a Tuner may take to notice that Ray has died."""


class TooLarge(ValueError):
    """A trial asks for more than the machine has."""


class RayFault(Exception):
    """Ray does not start, refuses the address, or has died."""


class StudySearcher(Searcher):
    """Hands out, arm by arm: unfinished trials, search trials, then the confirm trials of the best one.

    An arm that waits for its last search trials holds up no other arm. Outcomes are read from the ledger, which the
    scheduler keeps, so nothing is learnt from Ray's own callbacks.
    """

    def __init__(
        self, study: Study, ledger: Ledger, shift_identity: dict[str, Any], interruption: Interruption
    ) -> None:
        super().__init__()
        self.study = study
        self.ledger = ledger
        self.shift_identity = shift_identity
        self.interruption = interruption
        self.running: dict[str, int] = {}
        """The ids of trials that were handed out, with the steps that they had then."""

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
            if (assigned := self._take_up(ask)) is not None:
                return assigned
            waiting = waiting or self._is_open(ask)
        for arm in self.study.arms:
            while (new := next_ask(self.study, self.ledger, self.shift_identity, arm)) is not None:
                if self.ledger.fault is not None:
                    return None
                self.ledger.ask(new)
                note_arrivals(self.study, self.ledger, new)
                if self._is_open(new) and (assigned := self._take_up(new)) is not None:
                    return assigned
            waiting = waiting or self._is_waiting(arm)
        return None if waiting else Searcher.FINISHED

    def _is_open(self, ask: Ask) -> bool:
        """Whether a trial has neither ended nor is trained by one of this study's workers."""
        return self.ledger.ended(ask) is None and ask.trial.id not in self.running

    def _is_waiting(self, arm: str) -> bool:
        """Whether an arm may ask for more later: its search goes on, or another study trains one of its trials."""
        return searching(self.ledger, arm) or any(map(self._is_open, self.ledger.asked(arm, "confirm")))

    def _take_up(self, ask: Ask) -> dict[str, Any] | None:
        """A trial's configuration; None when another study holds it, or when what is on record ends it."""
        if not self.ledger.take_up(ask, lambda: first_record(self.study, ask)):
            self.ledger.wait(ask)
            return None
        settle(self.study, self.ledger, ask)
        if self.ledger.ended(ask) is not None:
            return None
        self.running[ask.trial.id] = self.ledger.records[ask.trial.id].step
        self.ledger.begin(ask)
        assignment = Assignment(
            ask=ask,
            method=self.study.arms[ask.arm].method(**ask.trial.hyperparameters),
            recipe=Recipe(**ask.trial.recipe),
            shift=self.study.shift,
            results=self.ledger.store.folder,
            reported=self.running[ask.trial.id],
            cpus=self.study.budget.cpus,
            stop=self.interruption.flag,
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

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        """Whether a trial goes on after what it reported."""
        goes_on = False
        try:
            goes_on = self._enter(trial.config["assignment"].ask, result)
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

    def _enter(self, ask: Ask, result: dict[str, Any]) -> bool:
        """Enter a worker's result, and whether its trial goes on."""
        if (reason := result.get(DISK)) is not None:
            self.ledger.fault = StoreFault(reason)
        elif (failure := result.get(FAILURE)) is not None:
            self._fail(ask, failure)
        elif (report := result.get(REPORT)) is not None:
            judged = len(self.ledger.records[ask.trial.id].reports)
            if self.ledger.report(ask, report):
                settle(self.study, self.ledger, ask, judged)
        else:
            return False
        return self.ledger.ended(ask) is None

    def _fail(self, ask: Ask, failure: Failure) -> None:
        if failure.cause == "error":
            self.broken_workers += 1
            log.error("%s of %r failed:\n%s", ask.trial.id, ask.arm, failure.trace)
        step = self.ledger.records[ask.trial.id].step
        self.ledger.end(ask, End("failed", failure.cause, failure.reason, step, failure.retry))

    def _lose(self, ask: Ask, error: str) -> None:
        begun_at = self.searcher.running.get(ask.trial.id)
        if self.broken_workers and self.ledger.records[ask.trial.id].step == begun_at:
            # It was given to a worker that ended because of the trial before it, and never began.
            self.broken_workers -= 1
            self.searcher.running.pop(ask.trial.id, None)
            return
        log.warning("%s of %r lost its worker: %s", ask.trial.id, ask.arm, error)
        self.losses[ask.trial.id] += 1
        if self.losses[ask.trial.id] > WORKER_LOSSES:
            step = self.ledger.records[ask.trial.id].step
            reason = f"worker lost {self.losses[ask.trial.id]} times, the last time with: {error or 'no error'}"
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
        self._over = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial ends here."""
        return False

    def stop_all(self) -> bool:
        """Whether the Tuner is to end."""
        return self._over

    def on_step_end(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        """See whether the study is to stop, and who still trains."""
        if self.ledger.fault is not None:
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

    Every worker gets the checkout at `root` on its path. Raises StoreFault when the records cannot be written, and
    RayFault when Ray does not start, refuses the address, or dies.
    """
    searcher = StudySearcher(study, ledger, shift_identity, interruption)
    ledger.reopen()
    if ledger.fault is None and not finished(study, ledger, shift_identity):
        with _cluster(address, root, ledger, interruption):
            lock.note_descendants()
            if interruption.signal is None:
                _tune(study, ledger, searcher, Halt(ledger, interruption), may_grow=address is not None)
    ledger.close()
    if ledger.fault is not None:
        raise ledger.fault
    return finished(study, ledger, shift_identity)


@contextmanager
def _cluster(address: str | None, root: Path, ledger: Ledger, interruption: Interruption) -> Iterator[None]:
    # On one machine the path is enough; a cluster is sent the code.
    code: dict[str, Any] = {"env_vars": {"PYTHONPATH": str(root)}} if address is None else {"working_dir": str(root)}
    local: dict[str, Any] = {"include_dashboard": False} if address is None else {}
    try:
        # Without its own processes Ray cannot stop in order; it takes SIGTERM over, too.
        with interruption.deaf_children():
            ray.init(
                address=address or "local", runtime_env=code, log_to_driver=False, logging_level=logging.ERROR, **local
            )
    except SystemExit:
        # Ray's own answer to SIGTERM, when another thread takes it.
        interruption.note(signal.SIGTERM)
    except (OSError, RuntimeError) as error:
        raise RayFault(f"Ray does not start: {' '.join(str(error).split())}") from error
    daemons = [child for child in psutil.Process().children() if child.name() in DAEMONS]
    ended = threading.Event()
    threading.Thread(target=_watch, args=(daemons, ledger, interruption, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        # The Tuner leaves cycles that hold Ray's handles. Whichever thread collects them after the shutdown makes Ray
        # end the whole process at once, without the table.
        gc.collect()
        if all(map(_lives, daemons)):
            ray.shutdown()
        else:
            # It would wait for an answer until Ray ends the process.
            atexit.unregister(ray.shutdown)


def _watch(
    daemons: Sequence[psutil.Process], ledger: Ledger, interruption: Interruption, ended: threading.Event
) -> None:
    """End a study whose Ray has died: the Tuner waits for its answer until Ray ends the process, without a word."""
    while not ended.wait(1.0):
        if not all(map(_lives, daemons)):
            break
    else:
        return
    for daemon in daemons:
        end_tree(daemon)
    ledger.fault = ledger.fault or RayFault("one of Ray's own processes died; memory may have run out")
    if not ended.wait(RAY_SECONDS):
        interruption.leave(f"error: {ledger.fault}; the same command goes on from here")


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _tune(study: Study, ledger: Ledger, searcher: StudySearcher, halt: Halt, may_grow: bool) -> None:
    offered: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    bundle = {"CPU": float(study.budget.cpus)}
    if study.budget.gpus and offered.get("GPU"):
        bundle["GPU"] = float(study.budget.gpus)
    # A share like 0.1 is no exact binary fraction: ten of them must still fit.
    slots = min(int(offered.get(name, 0) / amount + 1e-9) for name, amount in bundle.items())
    if slots < 1 and not may_grow:
        raise TooLarge(
            f"a trial needs {bundle}, this machine has {offered.get('CPU', 0):g} CPUs and "
            f"{offered.get('GPU', 0):g} GPUs; lower Budget.cpus or Budget.gpus"
        )
    for arm in study.arms.values():
        _send_by_value(arm.method)
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    # Signals are ours, and so is the state that Ray Tune would write for its restore again and again.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = str(10**9)
    # The newer engine prints its own header even when it is told to be silent.
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    with _scratch(ledger) as scratch:
        tune.Tuner(
            tune.with_resources(TrialTrainable, tune.PlacementGroupFactory([bundle])),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=StudyScheduler(study, ledger, searcher),
                num_samples=-1,
                max_concurrent_trials=max(1, slots),
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
