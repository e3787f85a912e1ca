"""Recorded studies as a submission kit is made of, from invented ones."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from platform.records.record import Ask, Journal, Record, StudyHeader
from platform.results.submission.kit import Kit, Recorded, kit

CONSTRAINTS = b"torch==2.14.1\n"
TODAY = "2026-11-30"


def recorded(
    header: StudyHeader,
    asks: Sequence[Ask],
    records: Mapping[str, Record],
    predictions_of: Callable[[str], Path] = Path("nowhere").joinpath,
) -> Recorded:
    """What a store holds of a study: stops stand in the journal alone."""
    ends = {ask.key: end for ask in asks if (end := records[ask.trial.id].end) is not None}
    kept = {
        trial: dataclasses.replace(record, end=None) if record.end and record.end.state == "stopped" else record
        for trial, record in records.items()
    }
    journal = Journal(header, tuple(asks), ends, Counter(), {})
    return Recorded(header, journal, tuple(asks), kept, predictions_of)


def made_kit(header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Record], names: Sequence[str] = ()) -> Kit:
    """The kit of an invented study."""
    return kit(recorded(header, asks, records), names, CONSTRAINTS, TODAY)


def written(files: Mapping[str, bytes], folder: Path) -> Path:
    """The folder, with the files in it."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
