"""Setting a study's results aside, so that it starts over and nothing is deleted."""

import shutil
from pathlib import Path

from platform.lock import RUNNING
from platform.records import JOURNAL, Store

ARCHIVE = "set-aside"
"""Folder of the results that holds one store for each study that was started over."""


def set_aside(store: Store, study: str) -> Path | None:
    """Move a study and its trials to a store of their own; where to, None when it never ran.

    Trials that other studies asked for stay where they are as well. Broken off halfway, it goes on when it is called
    again: the journal, which names the trials, moves last.
    """
    if not (store.study_folder(study) / JOURNAL).exists():
        return None
    journal = store.journal(study)
    began = journal.header.began.replace(":", "-") if journal.header else "without-header"
    aside = Store(store.folder / ARCHIVE / f"{study}-{began}")
    shared = {ask.trial.id for other in store.studies() if other != study for ask in store.journal(other).asks}
    for trial_id in {ask.trial.id for ask in journal.asks}:
        source, target = store.trial_folder(trial_id), aside.trial_folder(trial_id)
        if not source.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if trial_id in shared:
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            source.rename(target)
    folder = aside.study_folder(study)
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(store.study_folder(study).iterdir(), key=lambda path: path.name == JOURNAL):
        if path.name != RUNNING:
            path.rename(folder / path.name)
    return aside.folder
