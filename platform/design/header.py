"""The header of a study's records: what they must say of the study, and what they lack of all that it asks for."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from platform.design import asha
from platform.records.record import ArmHeader, Ask, Phase, Record, StudyHeader
from platform.records.trial import confirm_seed

if TYPE_CHECKING:
    from platform.design.study import Study


def header(
    study: "Study", name: str, question: str, shift_identity: dict[str, object], source: str, began: str
) -> StudyHeader:
    """What the study's records must hold for the table to be made from them alone."""
    return StudyHeader(
        name=name,
        question=question,
        arms=tuple(
            ArmHeader(
                name=row.name,
                method=row.arm.method.__name__,
                supervised=row.arm.method.labelled == "target",
                select=row.selector,
                searched={field: str(range_) for field, range_ in row.arm.ranges.items()},
                search_trials=row.search_trials,
                warm_up=row.arm.warm_up(row.recipe),
                cost=asdict(row.cost),
            )
            for row in study.rows
        ),
        reference=study.reference,
        select=study.select,
        seeds=study.seeds,
        search_trials=study.search.trials if study.search else 0,
        steps=study.budget.steps,
        rungs=study.rungs,
        reduction=study.search.reduction if study.search else 0,
        smoothing=study.search.smoothing if study.search else 0,
        shift=shift_identity,
        source=source,
        began=began,
    )


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
    left = _unconfirmed(values, [ask for ask in asks if ask.phase == "confirm"], wanted.confirm_trials)
    return Due("confirm", left[0], values) if left else None


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


def _unconfirmed(values: Mapping[str, Any], confirms: Sequence[Ask], confirm_trials: int) -> list[int]:
    """The numbers of the confirm trials of these values that were not asked for."""
    # Told apart by what was chosen: to make a trial and hash it, for every seed and at every report, takes far longer.
    asked = {ask.trial.seed for ask in confirms if ask.trial.values(values) == values}
    return [number for number in range(confirm_trials) if confirm_seed(number) not in asked]
