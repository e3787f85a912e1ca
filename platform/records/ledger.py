"""What a running study knows of its trials: an event goes to the store, then to memory, then to its listeners."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Protocol

from platform.records.record import Ask, End, Phase, Place, Record, Report, Score, StudyHeader
from platform.records.storage.locks import TrialLocks
from platform.records.storage.tokens import CLAIM
from platform.records.store import CHECKPOINT, Store, trial_file

Event = Literal["begin", "report", "pause", "end", "lose", "wait"]
"""What happens to a trial: it begins or goes on; it reports; it pauses at its checkpoint, until it is decided whether
it goes on; it ends; it loses its worker and goes on from its last checkpoint; or another study trains it, whose results
this study waits for."""


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

    A record is all that any study knows of a trial; how it ended for an arm, and what the arm has of it, is the arm's.
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
        self.records: dict[str, Record] = {}
        """All that is on record of every asked trial, by its id."""
        self._asks: dict[Place, Ask] = {}
        self._meaning: dict[str, list[Ask]] = defaultdict(list)
        """The asks for each trial, by its id: of one arm or of several."""
        self._locks = TrialLocks(store.trial_folder)
        self._asked_before: dict[str, set[Place]] = defaultdict(set)
        """While the study starts over: asks of its last run that were not derived again yet, by the trial's id."""
        self._withheld: set[str] = set()
        """While it does: trials that have ended for every arm derived so far, but whose weights others may want."""
        for ask in journal.asks:
            if ask.arm in arms:
                self._take(ask)
        self._ends = dict(journal.ends)
        self._logged = dict(self._asks)
        self._logged_ends = dict(journal.ends)
        self._awaited: set[str] = set()
        self._unjudged: dict[tuple[str, Phase, int], Ask] = {}
        """By arm, phase and step, one of those that are to be judged by each other, since another one has come."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray Tune pickles its search and scheduler for a restore that is never used."""
        return {}

    @property
    def asks(self) -> list[Ask]:
        """All asks, the last one of each place, in the order asked."""
        return list(self._asks.values())

    def asked(self, arm: str, phase: Phase | None = None) -> list[Ask]:
        """The asks of one arm, or of one arm and phase, in order."""
        return [ask for ask in self._asks.values() if ask.arm == arm and phase in (None, ask.phase)]

    def meaning(self, trial_id: str) -> list[Ask]:
        """The asks for a trial: of one arm, or of several that mean the same."""
        return self._meaning[trial_id]

    def record(self, ask: Ask) -> Record:
        """What an arm has of a trial: up to where it ended for it, with what its selector makes of that."""
        return self._journal.scored(self.records[ask.trial.id].until(self.ended(ask)), ask.arm)

    def scored(self, record: Record, arm: str) -> Record:
        """A record with what the selector makes of it for an arm."""
        return self._journal.scored(record, arm)

    def by_arm(self) -> dict[str, dict[str, Record]]:
        """What each arm has of each of its trials, by its id."""
        found: dict[str, dict[str, Record]] = {}
        for ask in self._asks.values():
            found.setdefault(ask.arm, {})[ask.trial.id] = self.record(ask)
        return found

    def ended(self, ask: Ask) -> End | None:
        """How a trial ended for the arm that asks, None while it has not."""
        return self._ends.get(ask.key)

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

    def replay(self, listener: Listener) -> None:
        """Tell a listener about every trial that has ended: it may have missed some when an earlier run was cut off."""
        for ask in self.asks:
            if self.ended(ask) is not None:
                listener.hear("begin", ask, self.record(ask))
                listener.hear("end", ask, self.record(ask))

    def forget(self, ask: Ask) -> None:
        """Take an asked trial out of this study."""
        del self._asks[ask.place]
        self._meaning[ask.trial.id].remove(ask)

    @contextmanager
    def start_over(self) -> Iterator[None]:
        """Forget what was asked for and how it ended, and have the search derive it from the records.

        What it derives as before is neither written again nor told.
        """
        for ask in self._asks.values():
            self._asked_before[ask.trial.id].add(ask.place)
        self._asks.clear()
        self._meaning.clear()
        self._ends.clear()
        yield
        self._asked_before.clear()
        self._withheld.clear()

    def ask(self, ask: Ask) -> None:
        """Note that the study asks for a trial, of which there may be something on record."""
        if self._logged.get(ask.place) != ask:
            self._write(lambda: self.store.ask(self.study, ask))
            self._logged[ask.place] = ask
        if self._asks.get(ask.place) == ask:
            return
        try:
            self._take(ask)
        except OSError as error:
            self.fault = self.fault or StoreFault(str(error))
            self.records[ask.trial.id] = _nothing(ask)
        self._judge_all(ask)

    def _take(self, ask: Ask) -> None:
        if (before := self._asks.pop(ask.place, None)) is not None:
            self._meaning[before.trial.id].remove(before)
        self._asks[ask.place] = ask
        self._meaning[ask.trial.id].append(ask)
        self._asked_before[ask.trial.id].discard(ask.place)
        if ask.trial.id not in self.records:
            known = self.store.read(ask.trial.id) or _nothing(ask)
            losses = self._journal.losses[ask.trial.id]
            self.records[ask.trial.id] = replace(known.going_on(), losses=losses)

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
        losses = self.records[ask.trial.id].losses
        self.records[ask.trial.id] = replace(known.going_on(), losses=losses)
        for same in self.meaning(ask.trial.id):
            self._judge_all(same)
        return True

    def hand_out(self, ask: Ask) -> str:
        """Give a trial that was taken up to a worker: only with this claim may it write what the trial leaves.

        A worker that was cut off goes on until it notices, while another one has its trial already.
        """
        claim = uuid.uuid4().hex
        self._write(lambda: self.store.storage.write(trial_file(ask.trial.id, CLAIM), claim.encode()))
        return claim

    def begin(self, ask: Ask) -> None:
        """Tell the listeners that a trial begins or goes on; how it failed in an earlier run was told then."""
        for same in self.meaning(ask.trial.id):
            if self.ended(same) is None:
                self._logged_ends.pop(same.key, None)
        self._tell("begin", ask)

    def pause(self, ask: Ask) -> None:
        """Let other studies have a trial that waits for a decision, and tell the listeners."""
        self.let_go(ask)
        self._tell("pause", ask)

    def let_go(self, ask: Ask) -> None:
        """Let other studies have a trial that no worker of this one trains."""
        self._locks.release(ask.trial.id)

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
        if report.step <= record.step:
            return False
        self._write(lambda: self.store.report(ask.trial.id, report))
        self.records[ask.trial.id] = replace(record, reports=(*record.reports, report))
        for same in self.meaning(ask.trial.id):
            self._judge(same, report.step)
        self._tell("report", ask)
        return True

    def _judge_all(self, ask: Ask) -> None:
        for report in self.records[ask.trial.id].reports:
            self._judge(ask, report.step)

    def _judge(self, ask: Ask, step: int) -> None:
        """Have a trial judged at a step for an arm; where it is by others, when somebody asks."""
        judge = self._judges.get(ask.arm)
        if judge is None:
            return
        if judge.compares:
            self._unjudged[ask.arm, ask.phase, step] = ask
        elif judge.name not in self._journal.scores.get(ask.arm, {}).get(ask.trial.id, {}).get(step, {}):
            self._score(ask.arm, judge, [ask.trial.id], step)

    def judge(self) -> None:
        """Have trials judged again by each other, where another one has come."""
        while self._unjudged and self.fault is None:
            (arm, _, step), ask = self._unjudged.popitem()
            trials = [each.trial.id for each in self._beside(ask) if self._has_come(each, step)]
            self._score(arm, self._judges[arm], trials, step)

    def _score(self, arm: str, judge: Judge, trials: Sequence[str], step: int) -> None:
        """Write the scores of trials at a step, those that are new."""
        if self.fault is not None:
            return
        known = self._journal.scores.setdefault(arm, {})
        for trial, value in zip(trials, judge.scores(trials, step), strict=True):
            there = known.setdefault(trial, {}).setdefault(step, {})
            if there.get(judge.name) != value:
                score = Score(arm, trial, step, judge.name, value)
                self._write(partial(self.store.score, self.study, score))
                there[judge.name] = value

    def compared(self, arm: str, trials: Sequence[str], step: int) -> list[float]:
        """The scores of trials at a step by each other, for an arm whose selector compares."""
        return self._judges[arm].scores(trials, step)

    def _beside(self, ask: Ask) -> list[Ask]:
        """The asks that a trial is compared with, itself among them: of its phase, and confirm trials of one choice."""
        own = self.asked(ask.arm, ask.phase)
        if ask.phase == "search":
            return own
        return [other for other in own if other.trial.configuration == ask.trial.configuration]

    def _has_come(self, ask: Ask, step: int) -> bool:
        end = self.ended(ask)
        if end is not None and end.step < step:
            return False
        return any(report.step == step for report in self.records[ask.trial.id].reports)

    def fail(self, ask: Ask, end: End) -> None:
        """Note that a trial cannot go on: for good, or in this run."""
        self._write(lambda: self.store.end(ask.trial.id, end))
        record = self.records[ask.trial.id] = replace(self.records[ask.trial.id], end=end)
        if record.is_given_up:
            for same in self.meaning(ask.trial.id):
                if self.ended(same) is None:
                    self._conclude(same, end)
        self.let_go(ask)

    def end(self, ask: Ask, end: End) -> None:
        """Note how a trial ended for an arm, and remove its weights unless somebody may want them."""
        record = self.records[ask.trial.id]
        if end.state != "stopped" and end != record.end:
            self._write(lambda: self.store.end(ask.trial.id, end))
            self.records[ask.trial.id] = replace(record, end=end)
        self._conclude(ask, end)

    def _conclude(self, ask: Ask, end: End) -> None:
        self._ends[ask.key] = end
        is_new = self._logged_ends.get(ask.key) != end
        if is_new or ask.trial.id in self._withheld:
            # Ahead of the journal: a kill in between leaves a trial that ends again, not weights for ever.
            self._let_go_of_weights(ask, end)
        if is_new:
            self._write(lambda: self.store.conclude(self.study, ask.key, end))
            self._logged_ends[ask.key] = end
            self._hear("end", ask)

    def _let_go_of_weights(self, ask: Ask, end: End) -> None:
        """Let others have a trial that has ended for all arms, and remove its weights unless somebody may want them."""
        trial_id = ask.trial.id
        ends = [ended for ended in map(self.ended, self.meaning(trial_id)) if ended is not None]
        if len(ends) < len(self.meaning(trial_id)) or self.records[trial_id].is_given_up:
            return
        if self._asked_before[trial_id]:
            self._withheld.add(trial_id)
            return
        if not (ask.phase == "confirm" and end.state == "complete"):
            self._remove_weights(trial_id, max(ended.step for ended in ends))
        self.let_go(ask)

    def _remove_weights(self, trial_id: str, furthest: int) -> None:
        """Remove a trial's weights, unless another study trains it, or has trained it further than this one wants."""

        def remove() -> None:
            known = self.store.read(trial_id)
            if known is None or known.step <= furthest:
                self.store.storage.remove(trial_file(trial_id, CHECKPOINT))

        if self._lock(trial_id):
            self._write(remove)

    def close(self) -> None:
        """Let other processes take the trials that this one held."""
        self._locks.release_all()

    def _tell(self, event: Event, ask: Ask) -> None:
        """Tell every listener, for every arm that means this trial and for which it has not ended."""
        for same in self.meaning(ask.trial.id):
            if self.ended(same) is None:
                self._hear(event, same)

    def _hear(self, event: Event, ask: Ask) -> None:
        """Tell every listener; but not of what could not be written."""
        self.judge()
        if self.fault is None:
            for listener in self.listeners:
                listener.hear(event, ask, self.record(ask))

    def _lock(self, trial_id: str) -> bool:
        """Hold a trial for this process; False while another process does, and when the lock cannot be written."""
        try:
            return self._locks.take(trial_id)
        except OSError as error:
            self.fault = StoreFault(str(error))
            return False

    def _write(self, write: Callable[[], object]) -> None:
        if self.fault is None:
            try:
                write()
            except OSError as error:
                self.fault = StoreFault(str(error))


def _nothing(ask: Ask) -> Record:
    """The record of a trial that was asked for and not begun."""
    return Record(ask.trial, provenance={}, cost={})
