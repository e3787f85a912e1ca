"""A study's events as its ledger tells them, for what shows them to a person."""

from collections.abc import Mapping

from platform.commands.terminal.standing import Standing
from platform.records.ledger import Event
from platform.records.record import Ask, Cause, End, Phase, Record, Report, State
from platform.records.trial import Trial

STEPS = 20_000
CAUSES: dict[State, Cause | None] = {"complete": None, "stopped": "below the cut", "failed": "diverged"}


def ask(arm: str = "FDA", phase: Phase = "search", number: int = 0) -> Ask:
    """The ask of a trial."""
    seed = 0 if phase == "search" else number + 1
    return Ask(arm, phase, number, Trial("FDA", {}, {}, {}, {}, seed, STEPS, 20, 1, "code"))


def report(step: int, value: float = 0.41234) -> Report:
    """A report of the selector and of something else."""
    return Report(step, 1.0, {"source/miou": value, "source/accuracy": value, "oracle/miou": 0.9}, {})


def record(asked: Ask, *reports: Report, end: End | None = None) -> Record:
    """A record with reports."""
    return Record(asked.trial, {}, {}, reports, end)


def ended(asked: Ask, state: State, reason: str = "", *, step: int = STEPS, value: float = 0.41234) -> Record:
    """A record whose trial ended after one report."""
    return record(asked, report(step, value), end=End(state, CAUSES[state], reason, step))


def standing(planned: Mapping[str, tuple[int, int]], steps: int = 100) -> Standing:
    """Where a study stands that selects by source/miou."""
    return Standing(planned, steps, lambda arm: "source/miou")


def tell(study: Standing, moment: float, event: Event, asked: Ask, step: int = 0, state: State | None = None) -> None:
    """Enter an event at a moment in seconds."""
    reports = (report(step, step / 100),) if step else ()
    end = None if state is None else End(state, CAUSES[state], "", step)
    study.take(event, asked, record(asked, *reports, end=end), moment)
