"""What a running study knows of its trials: an event goes to the store first, then to memory, then to who listens."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from platform.records import PICTURE, Ask, End, Phase, Record, Report, Store, StudyHeader


class Listener(Protocol):
    """Whoever follows a running study: the tracker, the terminal. Its methods must not raise."""

    def begin(self, ask: Ask, record: Record) -> None: ...

    def report(self, ask: Ask, report: Report) -> None: ...

    def end(self, ask: Ask, end: End, pictures: Sequence[Path]) -> None: ...


class StoreFault(Exception):
    """The store cannot be written."""


class Ledger:
    """The asks of one study and the records of their trials, read back from the store when the study goes on.

    Ray Tune loses trials when a callback raises, so a store that fails is kept as `fault`, and the study ends.
    """

    def __init__(self, store: Store, study: str, arms: Sequence[str]) -> None:
        self.store = store
        self.study = study
        self.listeners: list[Listener] = []
        self.fault: Exception | None = None
        self.asks = [ask for ask in store.asked(study) if ask.arm in arms]
        self.records: dict[str, Record] = {}
        stopped = store.stopped(study)
        for trial_id in {ask.trial.id for ask in self.asks}:
            if (record := store.read(trial_id)) is not None:
                self.records[trial_id] = replace(record, end=record.end or stopped.get(trial_id))

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray Tune pickles its search and scheduler for a restore that is never used."""
        return {}

    def asked(self, arm: str, phase: Phase) -> list[Ask]:
        """The asks of one arm and phase, in order."""
        return [ask for ask in self.asks if ask.arm == arm and ask.phase == phase]

    def ended(self, ask: Ask) -> End | None:
        """How an asked trial ended, None while it has not."""
        record = self.records.get(ask.trial.id)
        return None if record is None else record.end

    def ask(self, ask: Ask, record: Record) -> None:
        """Note that the study asked for a trial; a record that another study left behind is taken over."""
        known = self._begun(record)
        self._write(lambda: self.store.ask(self.study, ask))
        self.asks.append(ask)
        self.records[ask.trial.id] = known
        if known.end is not None:
            for listener in self.listeners:
                self._tell_whole(listener, ask)

    def reopen(self, first: Callable[[Ask], Record]) -> None:
        """Take up the study again: trials that failed for outside reasons, or whose record is lost, have not ended.

        `first` gives the record that a trial begins with. A trial that took all its steps ended, whether or not its
        driver lived to write it down.
        """
        for ask in self.asks:
            record = self.records.get(ask.trial.id) or self._begun(first(ask))
            self.records[ask.trial.id] = _retried(record)
            if record.end is None and record.step >= ask.trial.steps:
                self.end(ask, End("complete", "", record.step))

    def forget(self, ask: Ask) -> None:
        """Take an asked trial out of this study."""
        self.asks.remove(ask)

    def announce(self, header: StudyHeader) -> None:
        """Note what the table must know of the study as it now stands."""
        self._write(lambda: self.store.announce(header))

    def replay(self, listener: Listener) -> None:
        """Tell a listener of every trial that has ended: it may have missed some when an earlier run was cut off."""
        for ask in self.asks:
            if self.ended(ask) is not None:
                self._tell_whole(listener, ask)

    def begin(self, ask: Ask) -> None:
        """Tell the listeners that a trial begins or goes on."""
        for listener in self.listeners:
            listener.begin(ask, self.records[ask.trial.id])

    def report(self, ask: Ask, report: Report) -> None:
        """Note a report; one that is known already changes nothing."""
        record = self.records[ask.trial.id]
        if report.step <= record.step:
            return
        self._write(lambda: self.store.report(ask.trial.id, report))
        self.records[ask.trial.id] = replace(record, reports=(*record.reports, report))
        for listener in self.listeners:
            listener.report(ask, report)

    def end(self, ask: Ask, end: End) -> None:
        """Note how a trial ended; the first end counts."""
        record = self.records[ask.trial.id]
        if record.end is not None:
            return
        if end.state == "stopped":
            self._write(lambda: self.store.stop(self.study, ask.trial.id, end))
        else:
            self._write(lambda: self.store.end(ask.trial.id, end))
        self.records[ask.trial.id] = replace(record, end=end)
        # Arms that mean the same trial share its end.
        for same in (other for other in self.asks if other.trial.id == ask.trial.id):
            for listener in self.listeners:
                listener.end(same, end, self._pictures(same))

    def _begun(self, record: Record) -> Record:
        """The record of a trial, with what another study left of it, or with its first line written."""
        known = self.store.read(record.trial.id)
        if known is not None:
            return _retried(known)
        self._write(lambda: self.store.begin(record))
        return record

    def _tell_whole(self, listener: Listener, ask: Ask) -> None:
        record = self.records[ask.trial.id]
        assert record.end is not None
        listener.begin(ask, record)
        listener.end(ask, record.end, self._pictures(ask))

    def _pictures(self, ask: Ask) -> list[Path]:
        picture = self.store.trial_folder(ask.trial.id) / PICTURE
        return [picture] if picture.exists() else []

    def _write(self, write: Callable[[], None]) -> None:
        if self.fault is None:
            try:
                write()
            except OSError as error:
                self.fault = StoreFault(str(error))


def _retried(record: Record) -> Record:
    return replace(record, end=None) if record.end is not None and record.end.retry else record
