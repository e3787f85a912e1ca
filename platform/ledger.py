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
        for ask in self.asks:
            if (record := store.read(ask.trial.id)) is not None:
                self.records[ask.trial.id] = record

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
        known = self.store.read(ask.trial.id)
        if known is None:
            # Before the ask: a record without an ask is harmless, an ask without its record is not.
            self._write(lambda: self.store.begin(record))
        self._write(lambda: self.store.ask(self.study, ask))
        self.asks.append(ask)
        self.records[ask.trial.id] = known or record
        if known is not None and known.end is not None:
            for listener in self.listeners:
                self._tell_whole(listener, ask)

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
        self._write(lambda: self.store.end(ask.trial.id, end))
        self.records[ask.trial.id] = replace(record, end=end)
        # Arms that mean the same trial share its end.
        for same in (other for other in self.asks if other.trial.id == ask.trial.id):
            for listener in self.listeners:
                listener.end(same, end, self._pictures(same))

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
