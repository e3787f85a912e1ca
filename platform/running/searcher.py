"""Ray Tune's searcher of a study: hands out its trials."""

from typing import Any, NamedTuple

from ray.tune.search import Searcher

from platform.design.budget import Resources
from platform.design.study import Study
from platform.records.ledger import Ledger
from platform.records.record import Ask, End
from platform.records.storage.storage import Mark
from platform.running.cluster import Cluster
from platform.running.interruption import Interruption
from platform.running.placement import refusal
from platform.search.decisions import Search
from platform.training.assignment import Assignment
from platform.training.recipe import Recipe


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
        self.search = Search(study, ledger, shift_identity)
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
            while (room := self._has_room(arm)) and (new := self.search.next_ask(arm)) is not None:
                if self.ledger.fault is not None:
                    return None
                self.ledger.ask(new)
                self.search.note_arrivals(new)
                if self._is_open(new) and (assigned := self._take_up(new)) is not None:
                    return assigned
            # Not asked once more: a node that joins in between would make the study look finished.
            waiting = waiting or self._is_waiting(arm) or not room
        if waiting and not self.running:
            self._say_what_is_missing()
        return None if waiting else Searcher.FINISHED

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
        return self.search.is_searching(arm) or any(map(self._is_open, self.ledger.asked(arm, "confirm")))

    def _resources(self, arm: str) -> dict[str, float]:
        return self.study.row(arm).slot.resources(self.on_gpus)

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
        if not self.ledger.take_up(ask, lambda: self.search.first_record(ask)):
            self.ledger.wait(ask)
            return None
        self.search.settle(ask)
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
