"""A study that is followed into MLflow: what its driver does, without a study."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from platform.records.record import Ask, End, Record
from platform.records.store import Store
from platform.results.mirror.tracker import Tracker
from tests.support.invented_study import begun, report
from tests.support.patience import PATIENCE
from tests.support.synthetic_study import COMPLETE, study_header

STUDY = "quickstart"
HEADER = study_header(STUDY, ("source only", "FDA"))


class Driver:
    """What a study's driver does with its trials: the store is told first, then the tracker."""

    def __init__(self, folder: Path, uri: str, asks: Sequence[Ask]) -> None:
        self.store = Store(folder / "results")
        known = {each.trial.id for each in self.store.journal(STUDY).asks}
        self.store.announce(HEADER)
        self.tracker = Tracker(uri, HEADER, self.store)
        self.records: dict[str, Record] = {}
        for each in asks:
            if each.trial.id not in known:
                self.store.ask(STUDY, each)
                self.store.begin(begun(each))
            seen = self.store.read(each.trial.id)
            assert seen is not None
            self.records[each.trial.id] = seen
            self.tracker.hear("begin", each, seen)

    def report(self, each: Ask, step: int) -> None:
        self.store.report(each.trial.id, report(each, step))
        known = self.records[each.trial.id]
        self.records[each.trial.id] = replace(known, reports=(*known.reports, report(each, step)))
        self.tracker.hear("report", each, self.records[each.trial.id])

    def end(self, each: Ask, end: End = COMPLETE) -> None:
        if end.state != "stopped":
            self.store.end(each.trial.id, end)
        self.store.conclude(STUDY, each.key, end)
        self.records[each.trial.id] = replace(self.records[each.trial.id], end=end)
        self.tracker.hear("end", each, self.records[each.trial.id])


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for the tracker's thread."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def all_delivered(tracker: Tracker) -> None:
    wait_until(lambda: tracker.connected and not tracker.owed())
