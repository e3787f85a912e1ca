"""The one Tuner of a study: Ray's searcher and scheduler around `platform.search.decisions`.

`Tuner.restore` is not used. A study goes on by replaying its records: trials that had not ended are handed out first,
the others are decided as if the study had never stopped.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as RayTrial

from platform.design.study import Study
from platform.records.ledger import Ledger
from platform.records.storage.locks import StudyLock
from platform.records.storage.storage import leave_mark
from platform.running.cluster import (
    JOIN_SECONDS,
    Cluster,
    RayFault,
    machines,
    refuse_unshared,
)
from platform.running.interruption import Interruption
from platform.running.machine.places import logs_here
from platform.running.machine.private import private_folder
from platform.running.machine.session import connected, joined, local
from platform.running.placement import Offer, TooLarge, refusal
from platform.running.scheduler import StudyScheduler
from platform.running.searcher import StudySearcher
from platform.running.slots import Slots
from platform.running.worker import TrialTrainable
from platform.running.workers.code import Code
from platform.running.workers.edits import Edits
from platform.running.workers.parcel import assigned
from platform.running.workers.silence import Silence
from platform.running.workers.starts import Starts, Waiting
from platform.search.decisions import Search, Seeds


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
    code: Code,
    interruption: Interruption,
    lock: StudyLock,
    rounds: Callable[[], Seeds] | None = None,
) -> bool:
    """Run what the study has not run yet, on a Ray cluster or on this machine; False when it ended before its end.

    `rounds` says what the scores so far ask for, as `Search` has it.

    Every worker imports the run's code. Raises StoreFault when the records cannot be written, NotShared when a node
    does not see them, TooLarge when no node holds a trial, and RayFault when Ray does not start, refuses the address,
    or dies, or when machines have not come that a trial may need.
    """
    search = Search(study, ledger, shift_identity, rounds)
    if ledger.fault is None and not search.is_over:
        with _cluster(address, code.root, ledger, interruption) as cluster:
            lock.note_descendants()
            mark, missing = None, 0
            if address is not None:
                mark = leave_mark(ledger.store.storage, ledger.study)
                refuse_unshared(ledger.store.storage, mark, interruption.say)
                missing = cluster.await_expected(interruption.say, lambda: interruption.signal is not None)
            if interruption.signal is None:
                check_nodes(study, cluster.offer(), missing, interruption.say)
                slots = Slots(ledger, cluster)
                searcher = StudySearcher(search, slots, interruption, mark)
                scheduler = StudyScheduler(search, slots, interruption, code)
                starts = Starts(logs_here()) if address is None else None
                waiting = Waiting(starts, interruption.say, partial(_fail, ledger))
                silence = Silence(study.budget.silence, ledger, slots, interruption, partial(_fail, ledger))
                watchers = [waiting, silence, Edits(code, interruption.say)]
                _tune(ledger, searcher, scheduler, Halt(ledger, interruption), watchers)
            # Before Ray's folder goes: after an error its logs stay.
            _conclude(ledger)
    else:
        _conclude(ledger)
    return search.is_over


def offer(study: Study, address: str) -> Offer:
    """What a cluster offers, for a study's plan. Raises TooLarge when no node holds a trial, and RayFault."""
    with connected(address) as cluster:
        offered = cluster.offer()
        if (reason := _too_large(study, offered)) is not None:
            raise TooLarge(reason)
        return offered


def _cluster(
    address: str | None, root: Path, ledger: Ledger, interruption: Interruption
) -> AbstractContextManager[Cluster]:
    if address is None:
        return local(root, interruption, partial(_fail, ledger))
    return joined(address, root, interruption, partial(_fail, ledger))


def _conclude(ledger: Ledger) -> None:
    """Let go of the trials, and raise what the study ended by."""
    ledger.close()
    if ledger.fault is not None:
        raise ledger.fault


def _fail(ledger: Ledger, what: str) -> None:
    """End a study whose Ray cannot go on."""
    ledger.fault = ledger.fault or RayFault(what)


def check_nodes(study: Study, offered: Offer, missing: int, say: Callable[[str], None]) -> None:
    """See that the nodes hold every arm's trials, on GPUs if they ask for them and there are any."""
    reason = _too_large(study, offered)
    lacks_gpus = not offered.has_gpus and any(row.slot.gpus for row in study.rows)
    if missing and (reason is not None or lacks_gpus):
        late = f"{machines(missing)} that the cluster expects did not join in {JOIN_SECONDS:.0f} seconds"
        raise RayFault(f"{reason or 'the study asks for GPUs, and no node has one'}; {late}: ray status tells more")
    if reason is not None:
        raise TooLarge(reason)
    if lacks_gpus:
        say("no GPU is there: everything trains on CPUs")


def _too_large(study: Study, offered: Offer) -> str | None:
    """Why a trial of one of the arms will never run, None when all may."""
    reasons = (refusal(row.name, row.slot.resources(offered.has_gpus), offered) for row in study.rows)
    return next(filter(None, reasons), None)


def _tune(
    ledger: Ledger,
    searcher: StudySearcher,
    scheduler: StudyScheduler,
    halt: Halt,
    watchers: list[tune.Callback],
) -> None:
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    # Signals are ours, and so is the state that Ray Tune would write for its restore again and again.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = str(10**9)
    # The newer engine prints its own header even when it is told to be silent.
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    # The searcher knows how many trials the cluster takes, also while nodes come and go. Ray Tune would ask for one
    # at a time, and an autoscaler would see the need of one.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(10**6)
    # What Ray Tune writes nobody reads.
    with private_folder() as scratch:
        tune.Tuner(
            TrialTrainable,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler,
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
                callbacks=[halt, *watchers],
                # A lost trial is handed out again by the searcher: Ray Tune itself gives up one that is still to start.
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        ).fit()


def _name(trial: RayTrial) -> str:
    return assigned(trial.config).name
