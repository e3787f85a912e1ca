"""Parts of made-up studies and of their tables."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from platform.records.record import Ask, Confusion, Phase, Record, StudyHeader
from platform.results.runs import Run
from platform.results.table import Row, Table
from tests.support.invented_study import arm, full, study


def two_arms(**changes: Any) -> tuple[StudyHeader, list[Ask], dict[str, Record]]:
    header = study(arm("source only"), arm("FDA"), **changes)
    return header, *full(header, {"source only": 0.4, "FDA": 0.6})


def row(made: Table, name: str) -> Row:
    (found,) = [row for row in made.rows if row.arm == name]
    return found


def confirms(asks: Sequence[Ask], records: Mapping[str, Record], name: str) -> list[Run]:
    return [Run(ask, records[ask.trial.id]) for ask in asks if (ask.arm, ask.phase) == (name, "confirm")]


def of(asks: Sequence[Ask], name: str, phase: Phase) -> list[Ask]:
    return [ask for ask in asks if (ask.arm, ask.phase) == (name, phase)]


def confusion_of(run: Run) -> Confusion:
    assert run.confusion is not None
    return run.confusion


def with_end(run: Record, **changes: Any) -> Record:
    assert run.end is not None
    return dataclasses.replace(run, end=dataclasses.replace(run.end, **changes))
