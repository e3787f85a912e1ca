"""A made-up study as a store has it."""

import dataclasses
from typing import Any

from platform.records.record import StudyHeader
from platform.records.store import Store
from tests.support.invented_study import arm, full, study
from tests.support.seen_alike import tabulate

ARMS = ("source only", "FDA", "adversarial")


def kept(store: Store, name: str, **changes: Any) -> float:
    """A study on record; the pooled deviation of its differences."""
    header: StudyHeader = study(*map(arm, ARMS), name=name, **changes)
    asks, records = full(header, {"source only": 0.3, "FDA": 0.5, "adversarial": 0.4})
    store.announce(header)
    for ask in asks:
        store.ask(name, ask)
        record = records[ask.trial.id]
        store.begin(dataclasses.replace(record, reports=(), end=None))
        for report in record.reports:
            store.report(ask.trial.id, report)
        if record.end:
            store.end(ask.trial.id, record.end)
            store.conclude(name, ask.key, record.end)
    return tabulate(header, asks, records).detectable.deviation
