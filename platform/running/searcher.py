"""Ray Tune's searcher of a study: hands out its trials."""

from typing import Any

from ray.tune.search import Searcher

from platform.records.record import Ask, End
from platform.records.storage.storage import Mark
from platform.running.interruption import Interruption
from platform.running.placement import refusal
from platform.running.slots import Slots
from platform.running.workers.parcel import PARCEL, Parcel
from platform.search.decisions import Search
from platform.shifts.definition import definition
from platform.training.assignment import Assignment


class StudySearcher(Searcher):
    """Hands out what may be trained, in the order of `Search.open`.

    An arm that waits for a decision holds up no other arm. Outcomes are read from the ledger, which the scheduler
    keeps, so nothing is learnt from Ray's own callbacks.
    """

    def __init__(
        self,
        search: Search,
        slots: Slots,
        interruption: Interruption,
        mark: Mark | None = None,
    ) -> None:
        super().__init__()
        self.search = search
        self.study, self.ledger = search.study, search.ledger
        self.slots = slots
        self.interruption = interruption
        self.mark = mark
        """What other nodes must see in the storage to show that they share the results; None on one machine."""
        self._held: set[str] = set()
        """The trials that other studies were found to train, since all were last looked at."""
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
        while (ask := self._next()) is not None:
            if (assignment := self._take_up(ask)) is not None:
                return {PARCEL: Parcel(assignment)}
        if self.slots.running:
            # Whoever trains may be lost, and Ray Tune asks no more after FINISHED.
            return None
        if self.search.is_over:
            return Searcher.FINISHED
        self._say_what_is_missing()
        return None

    def _next(self) -> Ask | None:
        """The first trial that may be trained, that nobody trains, and that there is room for."""
        for ask in self.search.open():
            trial = ask.trial.id
            if (
                trial not in self.slots.running
                and trial not in self._held
                and self.slots.has_room(self._resources(ask.arm))
            ):
                return ask
        self._held.clear()
        return None

    def _take_up(self, ask: Ask) -> Assignment | None:
        """What a worker is given of a trial; None when another study holds it, or when what is on record decides."""
        if not self.ledger.take_up(ask, lambda: self.search.first_record(ask)):
            self._held.add(ask.trial.id)
            self.ledger.wait(ask)
            return None
        self.search.advance()
        step, resources = self.ledger.records[ask.trial.id].step, self._resources(ask.arm)
        if not self.search.may_go_on(ask):
            self.ledger.let_go(ask)
            return None
        if (reason := self.slots.why_never(resources)) is not None:
            self.ledger.fail(ask, End("failed", "data", reason, step, retry=True))
            return None
        claim = self.ledger.hand_out(ask)
        self.slots.take(ask, resources, claim)
        self.ledger.begin(ask)
        row = self.study.row(ask.arm)
        methods, recipe = row.filled(ask.trial.values(row.dimensions))
        return Assignment(
            ask=ask,
            methods=methods,
            recipe=recipe,
            shift=self.study.shift,
            storage=self.ledger.store.storage,
            reported=step,
            resources=resources,
            stop=self.interruption.sign,
            claim=claim,
            definition=definition(*row.code),
            given=self.search.given(ask),
            mark=self.mark,
            avoided=tuple(sorted(self.slots.cluster.excluded)),
        )

    def _resources(self, arm: str) -> dict[str, float]:
        return self.study.row(arm).slot.resources(self.slots.on_gpus)

    def _say_what_is_missing(self) -> None:
        """Tell the user, once, when nothing runs because a machine that could hold it has left."""
        reasons = [refusal(arm, self._resources(arm), self.slots.cluster.offer()) for arm in self.study.arms]
        missing = next(filter(None, reasons), None)
        if missing is not None and missing != self._missing:
            self.interruption.say(f"waiting for a machine: {missing}")
        self._missing = missing

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the ledger knows."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {}
