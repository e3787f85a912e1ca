"""What a study asks for at the end of a round: the rows of ablation paths first, then seeds of the rows that race."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from platform.design.ablation.designs import AblationPath
from platform.records.record import Ask, Record, StudyHeader
from platform.records.trial import START_NUMBER
from platform.results.ablation.cells import cells_by_ablation
from platform.results.ablation.path import Scores, followed
from platform.results.fairness.equal_budget import of_equal_budget
from platform.results.rounds.race import raced
from platform.results.runs import ArmRuns, first, mious, runs_by_arm
from platform.search.complete import is_complete

Records = Mapping[str, Mapping[str, Record]]
"""By arm and trial id, as each arm has them."""


def has_rounds(header: StudyHeader) -> bool:
    """Whether what the study asks for depends on its scores."""
    return len(header.looks) > 1 or any(arm.design == AblationPath.name for arm in header.arms)


def has_all(header: StudyHeader, asks: Sequence[Ask], records: Records) -> bool:
    """Whether the records hold all that the study asks for: every trial has ended, and none is lacking."""
    seeds = decided(header, asks, records)
    return is_complete(header, _kept(asks, seeds), records, seeds)


def decided(header: StudyHeader, asks: Sequence[Ask], records: Records) -> dict[str, int]:
    """The seeds that each row is to have as far as that is decided; 0 for one that is not trained.

    The rounds are gone through once more, from none of the asks on: those of an earlier version of the study, which
    did not race, decide nothing.
    """
    seeds = dict.fromkeys((arm.name for arm in header.arms), 0)
    # Somebody else's records may never come to an end.
    for _ in range(1 + len(header.arms) + header.times_looked):
        kept = _kept(asks, seeds)
        if not all(_has_ended(records.get(ask.arm, {}).get(ask.trial.id)) for ask in kept):
            break
        before, seeds = seeds, seeds_asked(header, kept, records)
        if seeds == before:
            break
    return seeds


def _kept(asks: Sequence[Ask], seeds: Mapping[str, int]) -> list[Ask]:
    """Those that a study asks for whose rows have so many seeds."""
    return [
        ask
        for ask in asks
        if (own := seeds.get(ask.arm, 0)) and (ask.phase == "search" or ask.number < own or ask.number == START_NUMBER)
    ]


def _has_ended(record: Record | None) -> bool:
    return record is not None and record.end is not None and not record.is_given_up


def seeds_asked(header: StudyHeader, asks: Sequence[Ask], records: Records) -> dict[str, int]:
    """The seeds that each row is to have, once all that was asked for has ended; 0 for one that is not trained.

    The same records give the same answer, on whatever machines they were made.
    """
    if not has_rounds(header):
        return {arm.name: header.seeds for arm in header.arms}
    runs = runs_by_arm(header, asks, records)
    scores = {name: mious(own.confirm, header.groups) for name, own in runs.items()}
    begun = {ask.arm for ask in asks}
    deciding = {name: first(own, header.first_seeds) for name, own in scores.items()}
    left_out, are_through = _paths(header, deciding, begun)
    first_seeds = {arm.name: 0 if arm.name in left_out else header.first_seeds for arm in header.arms}
    seeds = _with_what_they_need(header, first_seeds)
    if not are_through or len(header.looks) < 2:
        return seeds
    trained = replace(header, arms=tuple(arm for arm in header.arms if seeds[arm.name]))
    racing = of_equal_budget(trained)
    asked = {name: max((run.ask.number + 1 for run in runs[name].confirm), default=0) for name in racing}
    seeds |= raced({name: scores[name] for name in racing}, asked, header.looks)
    seeds[header.reference] = max(seeds[name] for name in {*racing, header.reference})
    return _with_what_they_need(header, seeds)


def as_asked(
    header: StudyHeader, runs: Mapping[str, ArmRuns], seeds: Mapping[str, int]
) -> tuple[StudyHeader, dict[str, ArmRuns]]:
    """The header of the rows that are trained, and of each the runs of its seeds."""
    if not has_rounds(header):
        return header, dict(runs)
    arms = tuple(arm for arm in header.arms if seeds[arm.name])
    return replace(header, arms=arms), {
        arm.name: replace(
            runs[arm.name],
            confirm=tuple(run for run in runs[arm.name].confirm if run.ask.number < seeds[arm.name]),
            seeds=seeds[arm.name],
        )
        for arm in arms
    }


def _paths(header: StudyHeader, scores: Scores, begun: set[str]) -> tuple[set[str], bool]:
    """The rows that no path has come to, and whether all paths are through."""
    left_out, are_through = set[str](), True
    for cells in cells_by_ablation(header.arms).values():
        if any(cell.design != AblationPath.name for cell in cells.values()):
            continue
        steps = followed(cells, scores)
        tried = {row for step in steps for row in (step.before, *step.rows.values())}
        whole = {row for row, cell in cells.items() if all(has for _, has in cell.parts)}
        left_out |= cells.keys() - tried - whole
        # One whose rows have all failed at a step ends there.
        are_through &= not steps or steps[-1].best(scores) is not None or not begun.isdisjoint(steps[-1].rows.values())
    return left_out - {header.reference}, are_through


def _with_what_they_need(header: StudyHeader, seeds: Mapping[str, int]) -> dict[str, int]:
    """The same, with as many seeds of the rows that others begin from, and with the rows that they are tuned as."""
    found = dict(seeds)
    for _ in header.arms:  # a row stands behind all others at most
        for arm in (arm for arm in header.arms if found[arm.name]):
            for needed in arm.after:
                found[needed] = max(found.get(needed, 0), found[arm.name])
            if arm.tuned_as and not found.get(arm.tuned_as):
                found[arm.tuned_as] = header.first_seeds
    return found
