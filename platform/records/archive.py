"""Set a study's results aside, so that it starts over and nothing is deleted."""

import itertools
import re

from platform.records.storage.tokens import STUDY_LOCK
from platform.records.store import JOURNAL, Store

ARCHIVE = "set-aside"
"""Folder of the results that holds one store for each study that was started over."""


def set_aside(store: Store, study: str) -> str | None:
    """Move a study and its trials to a store of their own, and say where that is; None when the study never ran.

    Trials that other studies asked for are copied instead. What was set aside before stays as it is. A move that was
    cut off goes on when this is called again: the journal, which names the trials, moves last.
    """
    storage = store.storage
    if JOURNAL not in storage.names(study):
        return None
    journal = store.journal(study)
    # Records may be somebody else's: what they say names no path.
    began = re.sub(r"[^0-9A-Za-z+.]", "-", journal.header.began) if journal.header else "without-header"
    names = itertools.chain(
        [f"{ARCHIVE}/{study}-{began}"], (f"{ARCHIVE}/{study}-{began} {n}" for n in itertools.count(2))
    )
    aside = next(name for name in names if JOURNAL not in storage.names(f"{name}/{study}"))
    shared = {ask.trial.id for other in store.studies() if other != study for ask in store.journal(other).asks}
    for trial_id in sorted({ask.trial.id for ask in journal.asks} & set(storage.names("trials"))):
        set_away = storage.copy if trial_id in shared else storage.move
        set_away(f"trials/{trial_id}", f"{aside}/trials/{trial_id}")
    for name in sorted(storage.names(study), key=lambda name: name == JOURNAL):
        if name != STUDY_LOCK:
            storage.move(f"{study}/{name}", f"{aside}/{study}/{name}")
    return f"{storage}/{aside}"
