"""A search without workers, whose trials report what a test makes up."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from platform.design.header import header as header_of
from platform.methods import FDA, SourceOnly
from platform.records.ledger import Ledger
from platform.records.record import Ask, Cause, End, Phase, Record, Report
from platform.records.store import Store
from platform.search.decisions import Search
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Study

STEPS = (100, 200, 300, 400, 500)
RUNGS = (200, 400)
ONE_AT_A_TIME = ASHA(trials=3, grace=0.4, reduction=2, smoothing=1, parallel=1, promote=False)
STUDY = Study(
    shift=town(size=(64, 64)),
    arms={
        "searched": Arm(SourceOnly, learning_rate=LogUniform(1e-3, 1e-1)),
        "fixed": Arm(FDA, beta=0.05),
    },
    reference="searched",
    select="source/miou",
    search=ONE_AT_A_TIME,
    budget=Budget(steps=500, evaluations=5),
    seeds=2,
)
WIDE = dataclasses.replace(STUDY, search=dataclasses.replace(ONE_AT_A_TIME, parallel=3))
"""The same, whose search trials are under way all at once."""
WAITING = dataclasses.replace(STUDY, search=dataclasses.replace(ONE_AT_A_TIME, promote=True))
"""The same, which wait at rungs until they are among the best."""
PATIENT = dataclasses.replace(STUDY, search=dataclasses.replace(ONE_AT_A_TIME, grace=1.0))
"""The same trials, none of which is stopped."""
IDENTITY = STUDY.shift.identity()
COMPLETE = End("complete", None, "", 500)
HEADER = header_of(STUDY, "study", "Is it done?", IDENTITY, "", "2026-01-01T00:00:00+00:00")


def search_of(folder: Path, study: Study = STUDY, name: str = "study") -> Search:
    """A study's search, as a process that starts has it."""
    return Search(study, Ledger(Store(folder), name, list(study.arms)), IDENTITY)


def open_asks(search: Search, arm: str = "searched") -> list[Ask]:
    """The trials of an arm that may be trained."""
    return [ask for ask in search.open() if ask.arm == arm]


def report(step: int, value: float = 0.5, classes: float = 9.0) -> Report:
    metrics = {
        "source/miou": value,
        "oracle/miou": value,
        "target/effective_classes": classes,
        "loss/cross_entropy": 3.0,
    }
    return Report(step, 1.0, metrics, {})


def take_up(search: Search, ask: Ask) -> None:
    assert search.ledger.take_up(ask, lambda: Record(ask.trial, provenance={}, cost={}))
    search.advance()


def train(search: Search, ask: Ask, values: Sequence[float], classes: float = 9.0) -> End | None:
    """Take a trial up and have it report, as long as it may go on; how it ended."""
    take_up(search, ask)
    for step, value in zip(STEPS, values, strict=False):
        if search.may_go_on(ask) and search.ledger.report(ask, report(step, value, classes)):
            search.advance()
    return search.ledger.ended(ask)


def fail(search: Search, ask: Ask, retry: bool = False) -> None:
    """Have a trial fail where it stands."""
    step = search.ledger.records[ask.trial.id].step
    cause: Cause = "out of memory" if retry else "diverged"
    search.ledger.fail(ask, End("failed", cause, "as it was", step, retry))
    search.advance()


def conduct(search: Search, arm: str, values: Sequence[float] = (), phase: Phase | None = None) -> None:
    """Train all that is left of an arm, or of one phase; the n-th trial's curve is flat at the n-th of the values."""
    while asks := [ask for ask in open_asks(search, arm) if phase in (None, ask.phase)]:
        value = values[asks[0].number] if asks[0].number < len(values) else 0.5
        train(search, asks[0], [value] * 5)


def without(path: Path, event: str, number: int = 0) -> None:
    """Damage the `number`-th line of an event."""
    lines = path.read_bytes().splitlines(keepends=True)
    chosen = [position for position, line in enumerate(lines) if f'"event": "{event}"'.encode() in line][number]
    lines[chosen] = lines[chosen].replace(b'"event"', b'"evemt"')
    path.write_bytes(b"".join(lines))


def places(search: Search) -> list[tuple[str, Phase, int]]:
    return [ask.place for ask in search.ledger.asks]


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
