"""The one Tuner of a study: Ray's searcher and scheduler around the decisions of `platform.search`.

`Tuner.restore` is not used. A study goes on by replaying its records: trials that had not ended are handed out first,
the others are decided as if the study had never stopped.
"""

import gc
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from platform import search
from platform.ledger import Ledger
from platform.methods.method import Method
from platform.provenance import provenance
from platform.recipe import Recipe
from platform.records import CHECKPOINT, Ask, End, Phase, Record
from platform.study import Study, cost_of
from platform.trainable import FAILURE, REPORT, Assignment, Failure, TrialTrainable
from platform.trials import SEARCH_SEED

WORKER_LOSSES = 3
"""How often a trial is resumed from its checkpoint after its worker died."""


class TooLarge(ValueError):
    """A trial asks for more than the machine has."""


class StudySearcher(Searcher):
    """Hands out, arm by arm: unfinished trials, search trials, then the confirm trials of the best one.

    An arm that waits for its last search trials holds up no other arm. Outcomes are read from the ledger, which the
    scheduler keeps, so nothing is learnt from Ray's own callbacks.
    """

    def __init__(self, study: Study, ledger: Ledger, shift_identity: dict[str, Any]) -> None:
        super().__init__()
        self.study = study
        self.ledger = ledger
        self.shift_identity = shift_identity
        self.running: set[str] = set()
        """Ids of trials that were handed out: two arms may mean the same trial, which is trained once for both."""

    def suggest(self, trial_id: str) -> Any:
        """The configuration of the next trial, None to be asked again later, FINISHED at the end of the study."""
        try:
            return Searcher.FINISHED if self.ledger.fault is not None else self._suggest()
        except Exception as fault:
            # Ray Tune would hang on it.
            self.ledger.fault = self.ledger.fault or fault
            return Searcher.FINISHED

    def _suggest(self) -> Any:
        unfinished = next(filter(self._is_new, self.ledger.asks), None)
        if unfinished is not None:
            return self._assign(unfinished)
        waiting = False
        for arm in self.study.arms:
            while (ask := self._next(arm)) is not None:
                self.ledger.ask(ask, self.first_record(ask))
                if self._is_new(ask):
                    return self._assign(ask)
            waiting = waiting or self._searching(arm)
        return None if waiting else Searcher.FINISHED

    def _is_new(self, ask: Ask) -> bool:
        return self.ledger.ended(ask) is None and ask.trial.id not in self.running

    def finished(self) -> bool:
        """Whether every trial that was asked for has ended, and none is left to ask for."""
        ended = all(self.ledger.ended(ask) is not None for ask in self.ledger.asks)
        return ended and all(self._next(arm) is None for arm in self.study.arms)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the ledger knows."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _next(self, arm: str) -> Ask | None:
        """The arm's next ask, None when it has none now: it waits, or is done."""
        searched = self.ledger.asked(arm, "search")
        if len(searched) < self.study.search_trials(arm):
            values = search.propose(
                self.study.dimensions(arm),
                searched,
                self.ledger.records,
                self.study.selector(arm),
                (self.ledger.study, arm),
            )
            return self._ask(arm, "search", len(searched), values, SEARCH_SEED)
        if self._searching(arm):
            return None
        best = search.best(searched, self.ledger.records, self.study.selector(arm))
        if searched and best is None:
            return None
        values = {} if best is None else search.chosen_values(best.trial, self.study.arms[arm].ranges)
        wanted = (
            self._ask(arm, "confirm", number, values, SEARCH_SEED + 1 + number) for number in range(self.study.seeds)
        )
        confirmed = {ask.trial.id for ask in self.ledger.asked(arm, "confirm")}
        return next((ask for ask in wanted if ask.trial.id not in confirmed), None)

    def _searching(self, arm: str) -> bool:
        return any(self.ledger.ended(ask) is None for ask in self.ledger.asked(arm, "search"))

    def _ask(self, arm: str, phase: Phase, number: int, values: dict[str, Any], seed: int) -> Ask:
        return Ask(arm, phase, number, self.study.trial(arm, values, seed, self.shift_identity))

    def first_record(self, ask: Ask) -> Record:
        """What is known of a trial before its first step."""
        method = self.study.arms[ask.arm].method(**ask.trial.hyperparameters)
        cost = cost_of(method, Recipe(**ask.trial.recipe))
        return Record(trial=ask.trial, provenance=provenance(), cost=asdict(cost))

    def _assign(self, ask: Ask) -> dict[str, Any]:
        self.running.add(ask.trial.id)
        self.ledger.begin(ask)
        assignment = Assignment(
            ask=ask,
            method=self.study.arms[ask.arm].method(**ask.trial.hyperparameters),
            recipe=Recipe(**ask.trial.recipe),
            shift=self.study.shift,
            evaluated_steps=self.study.budget.evaluated_steps,
            results=self.ledger.store.folder,
            reported=self.ledger.records[ask.trial.id].step,
            cpus=self.study.budget.cpus,
        )
        return {"assignment": assignment}


class ArmASHA(FIFOScheduler):
    """Enters every report into the ledger, and ends trials: complete, failed, or stopped at a rung within their arm."""

    def __init__(self, study: Study, ledger: Ledger) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.study = study
        self.ledger = ledger

    def on_trial_result(self, tune_controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        """Whether a trial goes on after what it reported."""
        over = True
        try:
            over = self._is_over(trial.config["assignment"].ask, result)
        except Exception as fault:
            # Ray Tune would call the trial failed and go on.
            self.ledger.fault = self.ledger.fault or fault
        return TrialScheduler.STOP if over or self.ledger.fault is not None else TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: RayTrial) -> None:
        ask = trial.config["assignment"].ask
        step = self.ledger.records[ask.trial.id].step
        error = " ".join(str(trial.get_error() or "no error recorded").split())[-300:]
        self.ledger.end(ask, End("failed", f"worker lost {WORKER_LOSSES + 1} times: {error}", step, retry=True))

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _is_over(self, ask: Ask, result: dict[str, Any]) -> bool:
        if (report := result.get(REPORT)) is not None:
            self.ledger.report(ask, report)
        end = self._end(ask, result.get(FAILURE))
        if end is not None:
            self.ledger.end(ask, end)
            self._remove_checkpoint(ask, end)
        return end is not None

    def _end(self, ask: Ask, failure: Failure | None) -> End | None:
        record = self.ledger.records[ask.trial.id]
        if failure is not None:
            return End("failed", failure.reason, record.step, failure.retry)
        if record.step >= ask.trial.steps:
            return End("complete", "", record.step)
        if ask.phase == "confirm" or self.study.search is None or record.step not in self.study.rungs:
            return None
        rivals, selector = self.ledger.asked(ask.arm, "search"), self.study.selector(ask.arm)
        values = search.rung_values(rivals, self.ledger.records, selector, record.step)
        cut = search.cut(values, self.study.search.reduction)
        value = record.reports[-1].metrics[selector]
        if value >= cut:
            return None
        return End("stopped", f"rung {record.step}: {selector} {value:.4f} is below the cut {cut:.4f}", record.step)

    def _remove_checkpoint(self, ask: Ask, end: End) -> None:
        """Keep the weights of finished confirm trials, and of trials that may be tried again."""
        if not end.retry and not (ask.phase == "confirm" and end.state == "complete"):
            (self.ledger.store.trial_folder(ask.trial.id) / CHECKPOINT).unlink(missing_ok=True)


def run(study: Study, ledger: Ledger, shift_identity: dict[str, Any], address: str | None, root: Path) -> bool:
    """Run what the study has not run yet, on a Ray cluster or on this machine; False when it ended before its end.

    Every worker gets the checkout at `root` on its path. Raises StoreFault when the records cannot be written, and
    ConnectionError when Ray refuses the address.
    """
    searcher = StudySearcher(study, ledger, shift_identity)
    ledger.reopen(searcher.first_record)
    if not searcher.finished():
        # Suppressed within the cluster, so that no frame of an interrupted Tuner outlives Ray.
        with _cluster(address, root), suppress(KeyboardInterrupt):
            _tune(study, ledger, searcher, may_grow=address is not None)
    if ledger.fault is not None:
        raise ledger.fault
    return searcher.finished()


@contextmanager
def _cluster(address: str | None, root: Path) -> Iterator[None]:
    # On one machine the path is enough; a cluster is sent the code.
    code: dict[str, Any] = {"env_vars": {"PYTHONPATH": str(root)}} if address is None else {"working_dir": str(root)}
    local: dict[str, Any] = {"include_dashboard": False} if address is None else {}
    try:
        ray.init(
            address=address or "local", runtime_env=code, log_to_driver=False, logging_level=logging.ERROR, **local
        )
    except RuntimeError as error:
        raise ConnectionError(str(error)) from error
    # Ray's own handler aborts the process.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        # The Tuner leaves cycles that hold Ray's handles. Whichever thread collects them after the shutdown makes Ray
        # end the whole process at once, without the table.
        gc.collect()
        ray.shutdown()


def _tune(study: Study, ledger: Ledger, searcher: StudySearcher, may_grow: bool) -> None:
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
    # Ray's handler would wait for every running step; the records make it safe to leave at once.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    # The newer engine prints its own header even when it is told to be silent.
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    with tempfile.TemporaryDirectory(prefix="study-") as scratch:
        tune.Tuner(
            tune.with_resources(TrialTrainable, tune.PlacementGroupFactory([bundle])),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=ArmASHA(study, ledger),
                num_samples=-1,
                max_concurrent_trials=max(1, slots),
                reuse_actors=True,
                trial_name_creator=_name,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name=ledger.study,
                storage_path=scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=WORKER_LOSSES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        ).fit()


def _send_by_value(method: type[Method]) -> None:
    """Let workers have a method that a study file defines: they cannot import a study file."""
    if not method.__module__.startswith("platform."):
        ray.cloudpickle.register_pickle_by_value(sys.modules[method.__module__])  # type: ignore[no-untyped-call]


def _name(trial: RayTrial) -> str:
    name: str = trial.config["assignment"].name
    return name
