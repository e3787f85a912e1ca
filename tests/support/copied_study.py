"""Records of one finished confirm trial with its test predictions, to be copied into an MLflow."""

from pathlib import Path

import numpy as np

from platform.records.store import PREDICTIONS, Store
from tests.support.invented_study import EVALUATED_STEPS, begun, report
from tests.support.synthetic_study import COMPLETE, ask, study_header

STUDY = "quickstart"
HEADER = study_header(STUDY, ("FDA",))
RUN = "FDA seed 1"


def recorded_study(folder: Path) -> Path:
    """Write the records into a folder; the folder."""
    store, asked = Store(folder), ask("FDA", "confirm", 0)
    store.announce(HEADER)
    store.ask(STUDY, asked)
    store.begin(begun(asked))
    for step in EVALUATED_STEPS:
        store.report(asked.trial.id, report(asked, step))
    store.end(asked.trial.id, COMPLETE)
    store.conclude(STUDY, asked.key, COMPLETE)
    labels = np.zeros((1, 32, 64), np.uint8)
    predictions = store.trial_folder(asked.trial.id) / PREDICTIONS
    np.savez_compressed(predictions, images=np.stack([labels] * 3, axis=-1), truth=labels, prediction=labels)
    (store.study_folder(STUDY) / "table.md").write_text("a table")
    return folder
