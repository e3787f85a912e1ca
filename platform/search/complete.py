"""Whether a study's records hold all that it asks for, by its header alone, so that every command has one answer."""

from collections.abc import Mapping, Sequence

from platform.design import asha
from platform.records.record import ArmHeader, Ask, Record, StudyHeader
from platform.records.trial import SEARCH_SEED, START_NUMBER, confirm_seed, start_seed


def is_complete(
    header: StudyHeader,
    asks: Sequence[Ask],
    records: Mapping[str, Mapping[str, Record]],
    seeds: Mapping[str, int],
) -> bool:
    """Whether the records, by arm and trial id, hold all that is asked for: every trial has ended, and none is lacking.

    `seeds` are those that each row is to have by what is on record.

    A trial that failed for a reason outside of it has not: the next run tries it again.
    """
    known = [records[ask.arm][ask.trial.id] for ask in asks]
    ended = all(record.end is not None and not record.is_given_up for record in known)
    wanted = [arm for arm in header.arms if seeds[arm.name]]
    return ended and not any(_lacks(arm, header, asks, records, seeds[arm.name]) for arm in wanted)


def _lacks(
    arm: ArmHeader, header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Mapping[str, Record]], seeds: int
) -> bool:
    """Whether an arm all of whose trials have ended is to have more: search trials, or confirm trials of the best.

    It is not where all search trials failed, or what others would begin from.
    """
    own = [ask for ask in asks if ask.arm == arm.name]
    chooser = next((other for other in header.arms if other.name == arm.tuned_as), arm)
    search = [
        ask for ask in asks if (ask.arm, ask.phase) == (chooser.name, "search") and ask.number < chooser.search_trials
    ]
    if len(search) < chooser.search_trials:
        return chooser is arm and _can_begin(arm.after, start_seed(SEARCH_SEED), asks, records)
    chosen = best(search, records.get(chooser.name, {}), chooser.select)
    if search and chosen is None:
        return False
    values = {} if chosen is None else chosen.trial.values(arm.searched)
    confirmed = {ask.trial.seed for ask in own if ask.phase == "confirm" and ask.trial.values(values) == values}
    numbers = (*range(seeds), *([START_NUMBER] if arm.starts_searches else []))
    lacking = set(map(confirm_seed, numbers)) - confirmed
    return any(_can_begin(arm.after, start_seed(seed), asks, records) for seed in lacking)


def _can_begin(
    arms: Sequence[str], seed: int, asks: Sequence[Ask], records: Mapping[str, Mapping[str, Record]]
) -> bool:
    """Whether the confirm trials of these arms with a seed are complete."""
    for arm in arms:
        confirmed = [ask for ask in asks if (ask.arm, ask.phase, ask.trial.seed) == (arm, "confirm", seed)]
        end = records[arm][confirmed[-1].trial.id].end if confirmed else None
        if end is None or end.state != "complete":
            return False
    return True


def best(asks: Sequence[Ask], records: Mapping[str, Record], select: str) -> Ask | None:
    """The search trial to confirm, by `asha.best`: a complete one, unless those that stopped all others failed later.

    None when all failed.
    """
    healthy = [ask for ask in asks if (end := records[ask.trial.id].end) is not None and end.state != "failed"]
    last = [records[ask.trial.id].reports[-1] for ask in healthy]
    number = asha.best([(report.step, report.metrics[select]) for report in last])
    return None if number is None else healthy[number]
