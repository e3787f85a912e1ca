"""What a running study knows of its trials: an event goes to the store, then to memory, then to its listeners."""

import os
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Protocol

from platform.records.record import Arrival, Ask, End, Phase, Record, Report, Score, StudyHeader
from platform.records.storage.locks import lock_trial
from platform.records.storage.tokens import CLAIM
from platform.records.store import CHECKPOINT, Store, trial_file

Event = Literal["begin", "report", "end", "lose", "wait"]
"""What happens to a trial: it begins or goes on; it reports; it ends; it loses its worker and goes on from its last
checkpoint; or another study trains it, whose results this study waits for."""


class Listener(Protocol):
    """Whoever follows a running study: the tracker, the terminal."""

    def hear(self, event: Event, ask: Ask, record: Record) -> None:
        """Take note of an event and of all that the study then knows of the trial; must not raise."""


class Judge(Protocol):
    """Whoever makes scores of trials, from the evidence that they left."""

    @property
    def name(self) -> str:
        """The selector's name, under which the scores stand among a report's metrics."""

    @property
    def compares(self) -> bool:
        """Whether the score of a trial depends on the others, and changes when another one comes."""

    def scores(self, trials: Sequence[str], step: int) -> list[float]:
        """The scores of trials, by their ids, at a step; may raise."""


class StoreFault(Exception):
    """The store cannot be written."""


class Ledger:
    """The asks of one study and the records of their trials, read back from the store when the study goes on.

    The study sees a trial up to where it ended for this study, not what another study trained beyond that.
    Ray Tune loses trials when a callback raises, so a store that fails is kept as `fault`, and the study ends.
    """

    def __init__(
        self, store: Store, study: str, arms: Collection[str], judges: Mapping[str, Judge] | None = None
    ) -> None:
        self.store = store
        self.study = study
        self.listeners: list[Listener] = []
        self.fault: Exception | None = None
        journal = self._journal = store.journal(study)
        self._judges = judges or {}
        """By arm; of an arm without one, the selector is among the metrics that its trials report."""
        self.header = journal.header
        """The header of the study's last run, None before its first run."""
        self.asks = [ask for ask in journal.asks if ask.arm in arms]
        self.arrivals = list(journal.arrivals)
        self.records: dict[str, Record] = {}
        """The record of every asked trial, by its id, with what the selector makes of it for an arm that asks."""
        for ask in self.asks:
            record = replace(store.read(ask.trial.id) or _nothing(ask), losses=journal.losses[ask.trial.id])
            self.records[ask.trial.id] = journal.scored(_seen(record, journal.ends.get(ask.trial.id)), ask.arm)
        self._stored_ends: dict[str, End | None] = {}
        self._locks: dict[str, int] = {}
        self._awaited: set[str] = set()
        self._compared: dict[tuple[str, Phase, int], list[str]] = {}
        """By arm, phase and step, the trials whose scores were computed last, each by the others."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray Tune pickles its search and scheduler for a restore that is never used."""
        return {}

    def asked(self, arm: str, phase: Phase | None = None) -> list[Ask]:
        """The asks of one arm, or of one arm and phase, in order."""
        return [ask for ask in self.asks if ask.arm == arm and phase in (None, ask.phase)]

    def meaning_the_same(self, ask: Ask) -> list[Ask]:
        """The asks of other arms for the same trial."""
        return [other for other in self.asks if other.trial.id == ask.trial.id and other != ask]

    def record(self, ask: Ask) -> Record:
        """The record of an asked trial, with what the selector makes of it for the arm that asks."""
        return self.scored(self.records[ask.trial.id], ask.arm)

    def scored(self, record: Record, arm: str) -> Record:
        """A record with what the selector makes of it for an arm."""
        return self._journal.scored(record, arm)

    def ended(self, ask: Ask) -> End | None:
        """How an asked trial ended, None while it has not."""
        return self.records[ask.trial.id].end

    def announce(self, header: StudyHeader) -> None:
        """Write the header down: what the table must know of the study as it now stands."""
        self._write(lambda: self.store.announce(header))

    @property
    def has_judged(self) -> bool:
        """Whether a selector has judged any trial by evidence."""
        return any(self._journal.scores.values())

    def judges_by_others(self, arm: str) -> bool:
        """Whether the score of an arm's trial changes when another one comes."""
        return arm in self._judges and self._judges[arm].compares

    def reopen(self) -> None:
        """Let trials that failed for a reason outside of them be tried again.

        Search trials only until the search's choice is being confirmed: another winner would waste the confirm trials.
        """
        chosen = {ask.arm for ask in self.asks if ask.phase == "confirm"}
        for ask in self.asks:
            end = self.ended(ask)
            if end is not None and end.retry and (ask.phase == "confirm" or ask.arm not in chosen):
                self.records[ask.trial.id] = replace(self.records[ask.trial.id], end=None)
            for report in self.records[ask.trial.id].reports:
                self._judge(ask, report.step)

    def replay(self, listener: Listener) -> None:
        """Tell a listener about every trial that has ended: it may have missed some when an earlier run was cut off."""
        for ask in self.asks:
            if self.ended(ask) is not None:
                listener.hear("begin", ask, self.record(ask))
                listener.hear("end", ask, self.record(ask))

    def forget(self, ask: Ask) -> None:
        """Take an asked trial out of this study."""
        self.asks.remove(ask)

    def ask(self, ask: Ask) -> None:
        """Note that the study asks for a trial."""
        self._write(lambda: self.store.ask(self.study, ask))
        self.asks.append(ask)
        self.records.setdefault(ask.trial.id, _nothing(ask))

    def take_up(self, ask: Ask, first: Callable[[], Record]) -> bool:
        """Take a trial for this process and see what is on record of it; False while another process holds it.

        `first` gives the record of a trial that nobody has begun.
        """
        if self.fault is not None or not self._lock(ask.trial.id):
            return False
        known = self.store.read(ask.trial.id)
        if known is None:
            known = first()
            self._write(lambda: self.store.begin(known))
        self._stored_ends[ask.trial.id] = known.end
        losses = self.records[ask.trial.id].losses
        self.records[ask.trial.id] = self.scored(replace(known, end=None, losses=losses), ask.arm)
        return True

    def hand_out(self, ask: Ask) -> str:
        """Give a trial that was taken up to a worker: only with this claim may it write what the trial leaves.

        A worker that was cut off goes on until it notices, while another one has its trial already.
        """
        claim = uuid.uuid4().hex
        self._write(lambda: self.store.storage.write(trial_file(ask.trial.id, CLAIM), claim.encode()))
        return claim

    def failed_before(self, ask: Ask) -> End | None:
        """How a trial that was taken up failed in another study, for a reason of its own."""
        end = self._stored_ends.get(ask.trial.id)
        return end if end is not None and end.state == "failed" and not end.retry else None

    def begin(self, ask: Ask) -> None:
        """Tell the listeners that a trial begins or goes on."""
        self._tell("begin", ask)

    def lose(self, ask: Ask) -> None:
        """Note that a trial lost its worker, and goes on from its last checkpoint."""
        record = self.records[ask.trial.id]
        self._write(lambda: self.store.lose(self.study, ask.trial.id, record.step))
        self.records[ask.trial.id] = replace(record, losses=record.losses + 1)
        self._tell("lose", ask)

    def wait(self, ask: Ask) -> None:
        """Tell the listeners, once, that another process trains a trial."""
        if ask.trial.id not in self._awaited:
            self._awaited.add(ask.trial.id)
            self._tell("wait", ask)

    def report(self, ask: Ask, report: Report) -> bool:
        """Note a report; False for one that is known already."""
        record = self.records[ask.trial.id]
        if record.end is not None or report.step <= record.step:
            return False
        self._write(lambda: self.store.report(ask.trial.id, report))
        self.records[ask.trial.id] = replace(record, reports=(*record.reports, report))
        self.judge(ask, report.step)
        self._tell("report", ask)
        return True

    def judge(self, ask: Ask, step: int) -> None:
        """Have a trial judged at a step, for every arm that means it, and by the arm's others where it is by them."""
        for same in (ask, *self.meaning_the_same(ask)):
            self._judge(same, step)

    def _judge(self, ask: Ask, step: int) -> None:
        judge = self._judges.get(ask.arm)
        if judge is None or self.fault is not None:
            return
        known = self._journal.scores.setdefault(ask.arm, {})
        trials = [ask.trial.id]
        if judge.compares:
            trials = [each.trial.id for each in self._beside(ask) if self._has_come(each, step)]
            if self._compared.get((ask.arm, ask.phase, step)) == trials:
                return
        elif judge.name in known.get(ask.trial.id, {}).get(step, {}):
            return
        for trial, value in zip(trials, judge.scores(trials, step), strict=True):
            there = known.setdefault(trial, {}).setdefault(step, {})
            if there.get(judge.name) != value:
                score = Score(ask.arm, trial, step, judge.name, value)
                self._write(partial(self.store.score, self.study, score))
                there[judge.name] = value
                self.records[trial] = self.scored(self.records[trial], ask.arm)
        if judge.compares:
            self._compared[ask.arm, ask.phase, step] = trials

    def _beside(self, ask: Ask) -> list[Ask]:
        """The asks that a trial is compared with, itself among them: of its phase, and confirm trials of one choice."""
        own = self.asked(ask.arm, ask.phase)
        if ask.phase == "search":
            return own
        return [other for other in own if other.trial.configuration == ask.trial.configuration]

    def _has_come(self, ask: Ask, step: int) -> bool:
        return any(report.step == step for report in self.records[ask.trial.id].reports)

    def arrive(self, arrival: Arrival) -> list[Arrival]:
        """Note a trial's arrival at a rung, unless it is known; those at the same rung up to and including it."""
        here = [known for known in self.arrivals if (known.arm, known.step) == (arrival.arm, arrival.step)]
        for number, known in enumerate(here, start=1):
            if known.trial == arrival.trial:
                return here[:number]
        self._write(lambda: self.store.arrive(self.study, arrival))
        self.arrivals.append(arrival)
        return [*here, arrival]

    def end(self, ask: Ask, end: End) -> None:
        """Note how a trial ended, the first end counts, and remove its weights unless somebody may want them."""
        record = self.records[ask.trial.id]
        if record.end is not None:
            return
        if end.state != "stopped" and end != self._stored_ends.get(ask.trial.id):
            self._write(lambda: self.store.end(ask.trial.id, end))
        if not end.retry and not (ask.phase == "confirm" and end.state == "complete"):
            # Ahead of the journal: a kill in between leaves a trial that ends again, not weights that stay for ever.
            self._write(lambda: self.store.storage.remove(trial_file(ask.trial.id, CHECKPOINT)))
        self._write(lambda: self.store.conclude(self.study, ask.trial.id, end))
        self.records[ask.trial.id] = _seen(record, end)
        self._tell("end", ask)
        self._release(ask.trial.id)

    def close(self) -> None:
        """Let other processes take the trials that this one held."""
        for trial_id in list(self._locks):
            self._release(trial_id)

    def _tell(self, event: Event, ask: Ask) -> None:
        """Tell every listener, for every arm that means this trial; but not of what could not be written."""
        if self.fault is not None:
            return
        for same in [ask, *self.meaning_the_same(ask)]:
            for listener in self.listeners:
                listener.hear(event, same, self.record(same))

    def _lock(self, trial_id: str) -> bool:
        """Hold a trial for this process; False while another process does, and when the lock cannot be written."""
        if trial_id in self._locks:
            return True
        try:
            handle = lock_trial(self.store.trial_folder(trial_id))
        except OSError as error:
            self.fault = StoreFault(str(error))
            return False
        if handle is not None:
            self._locks[trial_id] = handle
        return handle is not None

    def _release(self, trial_id: str) -> None:
        if (handle := self._locks.pop(trial_id, None)) is not None:
            os.close(handle)

    def _write(self, write: Callable[[], object]) -> None:
        if self.fault is None:
            try:
                write()
            except OSError as error:
                self.fault = StoreFault(str(error))


def _nothing(ask: Ask) -> Record:
    """The record of a trial that was asked for and not begun."""
    return Record(ask.trial, provenance={}, cost={})


def _seen(record: Record, end: End | None) -> Record:
    """A trial's record as seen by a study for which it ended this way, or has not ended.

    An end beyond what is on record does not count: the record was damaged, and the trial fills the gap first.
    """
    if end is None or end.step > record.step:
        return replace(record, end=None)
    return replace(record, reports=tuple(report for report in record.reports if report.step <= end.step), end=end)
