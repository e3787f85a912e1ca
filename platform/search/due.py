"""What a study's records lack of all that it asks for: which trial is due, and whether they are complete.

It needs the header or the study's rows, asks and records alone, so every command has the same answer.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from platform.design import asha
from platform.records.record import Ask, Phase, Record, StudyHeader
from platform.records.trial import confirm_seed


class Wanted(NamedTuple):
    """What a study asks for of one arm."""

    arm: str
    search_trials: int
    confirm_trials: int
    select: str
    searched: Collection[str]
    """The names of the fields that hold ranges."""


def wanted(header: StudyHeader) -> list[Wanted]:
    """What a study asks for, by its header."""
    return [Wanted(arm.name, arm.search_trials, header.seeds, arm.select, arm.searched) for arm in header.arms]


class Due(NamedTuple):
    """The trial that an arm asks for next."""

    phase: Phase
    number: int
    values: Mapping[str, Any]
    """What was chosen for the searched fields, for a confirm trial."""


def is_complete(wanted: Iterable[Wanted], asks: Sequence[Ask], records: Mapping[str, Record]) -> bool:
    """Whether the records, by trial id, hold all that is wanted: every trial has ended, and none is due."""
    return all(_is_complete(each, [ask for ask in asks if ask.arm == each.arm], records) for each in wanted)


def due(wanted: Wanted, asks: Sequence[Ask], records: Mapping[str, Record]) -> Due | None:
    """The trial to ask for after an arm's asks: its search trials, then the confirm trials of the best of them.

    None while a search trial goes on; and for good when all confirm trials were asked for, or all search trials failed.
    """
    search = [ask for ask in asks if ask.phase == "search"]
    if len(search) < wanted.search_trials:
        return Due("search", _free(search), {})
    if any(records[ask.trial.id].end is None for ask in search):
        return None
    winner = best(search, records, wanted.select)
    if search and winner is None:
        return None
    values = {} if winner is None else winner.trial.values(wanted.searched)
    # Told apart by what was chosen: to make a trial and hash it, for every seed and at every report, takes far longer.
    confirmed = {ask.trial.seed for ask in asks if ask.phase == "confirm" and ask.trial.values(values) == values}
    left = (number for number in range(wanted.confirm_trials) if confirm_seed(number) not in confirmed)
    return next((Due("confirm", number, values) for number in left), None)


def best(asks: Sequence[Ask], records: Mapping[str, Record], select: str) -> Ask | None:
    """The search trial to confirm, by `asha.best`: a complete one, unless those that stopped all others failed later.

    None when all failed.
    """
    healthy = [ask for ask in asks if (end := records[ask.trial.id].end) is not None and end.state != "failed"]
    last = [records[ask.trial.id].reports[-1] for ask in healthy]
    number = asha.best([(report.step, report.metrics[select]) for report in last])
    return None if number is None else healthy[number]


def _is_complete(wanted: Wanted, asks: Sequence[Ask], records: Mapping[str, Record]) -> bool:
    return all(records[ask.trial.id].end is not None for ask in asks) and due(wanted, asks, records) is None


def _free(asks: Sequence[Ask]) -> int:
    """The first number that no ask has: mostly how many there are, unless the journal was damaged."""
    taken = {ask.number for ask in asks}
    return next(number for number in range(len(asks) + 1) if number not in taken)
