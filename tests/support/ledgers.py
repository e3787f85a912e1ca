"""A ledger, and trials that it takes from their asks to their ends."""

from collections.abc import Sequence
from pathlib import Path

from platform.records.ledger import Ledger
from platform.records.record import Ask, End, Phase, Record, Report
from platform.records.store import Store
from platform.records.trial import Trial

ARMS = ("source only", "FDA")


COMPLETE = End("complete", None, "", 20)


STOPPED = End("stopped", "below the cut", "rung 10: source/miou 0.1 is below the cut 0.2", 10)


def ask(arm: str = "FDA", phase: Phase = "search", number: int = 0) -> Ask:
    """The ask of a trial that no other arm, phase or number has."""
    recipe = {"learning_rate": 0.01 * (1 + number + 100 * ARMS.index(arm))} if arm in ARMS else {}
    seed = 0 if phase == "search" else number + 1
    return Ask(arm, phase, number, Trial("FDA", {}, recipe, {"name": "town"}, {}, seed, 20, 2, 1, "code"))


def record(asked: Ask) -> Record:
    """A record that has just begun."""
    return Record(asked.trial, {"host": "here"}, {"parameters": 1.0})


def report(step: int) -> Report:
    """A report at a step."""
    return Report(step, 1.5, {"source/miou": step / 100}, {"target/val": [[step]]})


def ledger(folder: Path, arms: Sequence[str] = ARMS, study: str = "question") -> Ledger:
    """The ledger of a study."""
    return Ledger(Store(folder), study, arms)


def begin(book: Ledger, asked: Ask) -> None:
    """Ask for a trial and take it up."""
    book.ask(asked)
    assert book.take_up(asked, lambda: record(asked))
    book.begin(asked)


def run(book: Ledger, asked: Ask, end: End = COMPLETE) -> None:
    """A trial from its ask to its end."""
    begin(book, asked)
    for step in (10, 20):
        book.report(asked, report(step))
    book.end(asked, end)
