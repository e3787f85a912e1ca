"""How much differences between rows vary from seed to seed, by the records of a study like the one that is planned."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from platform.records.ledger import Ledger
from platform.records.record import StudyHeader
from platform.records.store import Store
from platform.results.comparison import detectable, paired
from platform.results.runs import mious, runs_by_arm


@dataclass(frozen=True)
class Spread:
    """A standard deviation between seeds of paired differences in mIoU, and where it was seen."""

    deviation: float
    study: str
    rows: int
    """Rows other than the reference over which it is pooled."""
    freedom: int
    """Its degrees of freedom: of each row, its seeds but one."""


ENOUGH_FREEDOM = 8
"""From which on a standard deviation is known to a quarter."""


def spread_on_record(store: Store, study: str, shift: str, size: Sequence[int], steps: int) -> Spread | None:
    """The spread of the study's own records, else of the study on the same shift and size with the nearest steps.

    One of few degrees of freedom, as of a study that has begun, gives way to one that has enough. None where no such
    study has two seeds of two rows.
    """
    # What is damaged in other studies' records is nothing to whoever asks.
    store = Store(store.folder, store.storage if store.shared else None)
    headers = []
    with suppress(OSError):
        for name in store.studies():
            with suppress(OSError, ValueError):  # somebody else's, whom nobody waits for
                header = store.journal(name).header
                if header and (header.shift.get("name"), [*header.shift.get("size", ())]) == (shift, [*size]):
                    headers.append(header)
    headers.sort(key=lambda header: (header.name != study, abs(math.log(header.steps / steps)), header.name))
    few = None
    for found in filter(None, (_of(store, header) for header in headers)):
        if found.freedom >= ENOUGH_FREEDOM:
            return found
        few = few or found
    return few


def _of(store: Store, header: StudyHeader) -> Spread | None:
    with suppress(OSError, ValueError):
        ledger = Ledger(store, header.name, [arm.name for arm in header.arms])
        runs = runs_by_arm(header, ledger.asks, ledger.by_arm())
        scores = {arm: mious(own.confirm, header.groups) for arm, own in runs.items()}
        seen = detectable(scores, header.reference, header.seeds)
        if not math.isnan(seen.deviation):
            shared = [
                len(paired(own, scores[header.reference])) for arm, own in scores.items() if arm != header.reference
            ]
            return Spread(seen.deviation, header.name, seen.comparisons, sum(max(0, seeds - 1) for seeds in shared))
    return None
