"""What a study's records lack of all that it asks for: which trial is due, and whether they are complete.

It needs the header or the study's rows, asks and records alone, so every command has the same answer.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from platform.design import asha
from platform.records.record import Ask, Phase, Record, StudyHeader
from platform.records.trial import SEARCH_SEED, START_NUMBER, confirm_seed, start_seed


class Wanted(NamedTuple):
    """What a study asks for of one arm."""

    arm: str
    search_trials: int
    confirm_numbers: Collection[int]
    select: str
    searched: Collection[str]
    """The names of the fields that hold ranges."""
    after: tuple[str, ...] = ()
    """The arms whose confirm trials its trials begin from."""


def wanted(header: StudyHeader) -> list[Wanted]:
    """What a study asks for, by its header."""
    return [
        Wanted(
            arm.name,
            arm.search_trials,
            (*range(header.seeds), *([START_NUMBER] if arm.starts_searches else [])),
            arm.select,
            arm.searched,
            tuple(arm.after),
        )
        for arm in header.arms
    ]


class Due(NamedTuple):
    """The trial that an arm asks for next."""

    phase: Phase
    number: int
    values: Mapping[str, Any]
    """What was chosen for the searched fields, for a confirm trial."""
    after: tuple[str, ...] = ()
    """The trials that it begins from."""


def is_complete(wanted: Iterable[Wanted], asks: Sequence[Ask], records: Mapping[str, Mapping[str, Record]]) -> bool:
    """Whether the records, by arm and trial id, hold all that is wanted: every trial has ended, and none is due.

    A trial that failed for a reason outside of it has not: the next run tries it again.
    """
    known = [records[ask.arm][ask.trial.id] for ask in asks]
    ended = all(record.end is not None and not record.is_given_up for record in known)
    return ended and all(due(each, asks, records) is None for each in wanted)


def due(wanted: Wanted, asks: Sequence[Ask], records: Mapping[str, Mapping[str, Record]]) -> Due | None:
    """The trial of an arm to ask for after these asks: its search trials, then the confirm trials of the best of them.

    None while a search trial, or whatever the trial would begin from, goes on; and for good when all confirm trials
    were asked for, when all search trials failed, or what trials would begin from.
    """
    own = [ask for ask in asks if ask.arm == wanted.arm]
    search = [ask for ask in own if ask.phase == "search" and ask.number < wanted.search_trials]
    if len(search) < wanted.search_trials:
        after = _starts(wanted.after, start_seed(SEARCH_SEED), asks, records)
        return None if after is None else Due("search", _free(search), {}, after)
    known = records.get(wanted.arm, {})
    if any(known[ask.trial.id].end is None for ask in search):
        return None
    winner = best(search, known, wanted.select)
    if search and winner is None:
        return None
    values = {} if winner is None else winner.trial.values(wanted.searched)
    # Told apart by what was chosen: to make a trial and hash it, for every seed and at every report, takes far longer.
    confirmed = {ask.trial.seed for ask in own if ask.phase == "confirm" and ask.trial.values(values) == values}
    for number in wanted.confirm_numbers:
        if (seed := confirm_seed(number)) not in confirmed:
            after = _starts(wanted.after, start_seed(seed), asks, records)
            if after is not None:
                return Due("confirm", number, values, after)
    return None


def _starts(
    arms: Sequence[str], seed: int, asks: Sequence[Ask], records: Mapping[str, Mapping[str, Record]]
) -> tuple[str, ...] | None:
    """The ids of the complete confirm trials of these arms with a seed; None where one is missing."""
    found = []
    for arm in arms:
        confirmed = [ask for ask in asks if (ask.arm, ask.phase, ask.trial.seed) == (arm, "confirm", seed)]
        end = records[arm][confirmed[-1].trial.id].end if confirmed else None
        if end is None or end.state != "complete":
            return None
        found.append(confirmed[-1].trial.id)
    return tuple(found)


def best(asks: Sequence[Ask], records: Mapping[str, Record], select: str) -> Ask | None:
    """The search trial to confirm, by `asha.best`: a complete one, unless those that stopped all others failed later.

    None when all failed.
    """
    healthy = [ask for ask in asks if (end := records[ask.trial.id].end) is not None and end.state != "failed"]
    last = [records[ask.trial.id].reports[-1] for ask in healthy]
    number = asha.best([(report.step, report.metrics[select]) for report in last])
    return None if number is None else healthy[number]


def _free(asks: Sequence[Ask]) -> int:
    """The first number that no ask has: mostly how many there are, unless the journal was damaged."""
    taken = {ask.number for ask in asks}
    return next(number for number in range(len(asks) + 1) if number not in taken)
