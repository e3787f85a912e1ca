"""The table that another selector would have led to, from records alone.

The search trials are those of the study, as its own selector proposed and stopped them. Another selector may choose
another of them, whose confirm trials count if any study has trained them; the table says what is missing.
"""

import itertools
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

from platform.records.ledger import Judge, StoreFault
from platform.records.record import SELECTED, ArmHeader, Ask, Record, Report, StudyHeader
from platform.records.store import Store
from platform.records.trial import START_NUMBER, Trial, confirm_seed, start_seed
from platform.results.lines import arms_listed, short
from platform.results.rounds.rounds import decided, has_rounds
from platform.results.runs import ArmRuns, runs_by_arm
from platform.scores.selectors.choice import of_upper_bound
from platform.search.complete import best


@dataclass(frozen=True)
class Reselected:
    """A study as another selector would have had it."""

    header: StudyHeader
    asks: tuple[Ask, ...]
    records: Mapping[str, Mapping[str, Record]]
    """By arm and trial id."""
    seeds: Mapping[str, int]
    """Those that each row has: where rows race, or follow a path, the study's own did."""
    notes: tuple[str, ...]
    """What a reader must know of how it came about."""


def reselected(
    store: Store,
    header: StudyHeader,
    asks: Sequence[Ask],
    records: Mapping[str, Mapping[str, Record]],
    judge: Judge | str,
    identity: str,
) -> Reselected:
    """Choose among a study's search trials again, by a judge of evidence or by a metric that trials report.

    `identity` is that of the selector. Raises what the judge raises.
    """
    name, compares = (judge, False) if isinstance(judge, str) else (judge.name, judge.compares)
    bounds = _bounds(header)
    arms = tuple(replace(arm, select=of_upper_bound(name) if arm.name in bounds else name) for arm in header.arms)
    before = runs_by_arm(header, asks, records)
    seeds = decided(header, asks, records)
    known = _Known(store, {arm: dict(own) for arm, own in records.items()}, None if isinstance(judge, str) else judge)
    chosen: dict[str, list[Ask]] = {}
    winners: dict[str, Ask | None] = {}
    changed = name == header.select and "" not in (identity, header.selector) and identity != header.selector
    notes = [_of_the_search(header, {arm: runs for arm, runs in before.items() if arm not in bounds}, changed)]
    for arm in _in_order(arms):
        search = [run.ask for run in before[arm.name].search]
        if arm.name not in bounds:
            known.judge(search)
        winners[arm.name] = best(search, known.of(arm.name), arm.select)
        pattern = _pattern(arm, before[arm.name], winners.get(arm.tuned_as or arm.name))
        confirm = _confirmed(arm, seeds[arm.name], pattern, chosen)
        known.read(confirm)
        if arm.name not in bounds:
            known.judge(confirm, needed=header.checkpoint == SELECTED)
        notes += _of_the_choice(header, arm, before[arm.name], confirm, known.of(arm.name))
        notes += _of_the_beginning(arm, search, chosen)
        chosen[arm.name] = [*search, *confirm]
    return Reselected(
        header=replace(header, arms=arms, select=name, selector=identity, compares=compares),
        asks=tuple(itertools.chain.from_iterable(chosen[arm.name] for arm in arms)),
        records=known.records,
        seeds=seeds,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Known:
    """Records of the study's trials and of others, judged as far as they are asked about."""

    store: Store
    records: dict[str, dict[str, Record]]
    by: Judge | None

    def of(self, arm: str) -> dict[str, Record]:
        """The records of an arm's trials."""
        return self.records.setdefault(arm, {})

    def read(self, asks: Sequence[Ask]) -> None:
        """Have the records of trials that the study may not have asked for; one that nobody trained is empty."""
        for ask in asks:
            if ask.trial.id not in self.of(ask.arm):
                self.of(ask.arm)[ask.trial.id] = self.store.read(ask.trial.id) or Record(ask.trial, {}, {})

    def judge(self, asks: Sequence[Ask], needed: bool = True) -> None:
        """Have the reports of trials judged, each step by itself, as far as there is evidence where none is needed."""
        if self.by is None:
            return
        by_step: dict[int, list[str]] = defaultdict(list)
        for ask in asks:
            for report in self.of(ask.arm)[ask.trial.id].reports:
                by_step[report.step].append(ask.trial.id)
        scores = dict[tuple[str, int], float]()
        for step, trials in by_step.items():
            for pool in [trials] if self.by.compares else [[trial] for trial in trials]:
                with nullcontext() if needed else suppress(StoreFault):
                    scores |= zip(((trial, step) for trial in pool), self.by.scores(pool, step), strict=True)
        for ask in asks:
            record = self.of(ask.arm)[ask.trial.id]
            reports = (self._scored(report, scores.get((ask.trial.id, report.step))) for report in record.reports)
            self.of(ask.arm)[ask.trial.id] = replace(record, reports=tuple(reports))

    def _scored(self, report: Report, score: float | None) -> Report:
        assert self.by is not None
        return report if score is None else replace(report, metrics=report.metrics | {self.by.name: score})


def _bounds(header: StudyHeader) -> set[str]:
    """The arms that train on target labels themselves, which those labels pick.

    One that only comes after such an arm is picked by the study's selector; where that is by target labels too, the two
    look alike, but for what the arm comes after.
    """
    supervised = {arm.name for arm in header.arms if arm.supervised}
    return {
        arm.name
        for arm in header.arms
        if arm.supervised and (arm.select != header.select or supervised.isdisjoint(arm.after))
    }


def _in_order(arms: Sequence[ArmHeader]) -> list[ArmHeader]:
    """The arms, each behind those that it comes after, or is tuned as."""
    placed: list[ArmHeader] = []
    before = {arm.name: {*arm.after, arm.tuned_as} for arm in arms}
    left = list(arms)
    while left:
        ready = [arm for arm in left if before[arm.name].isdisjoint(other.name for other in left)]
        if not ready:
            return [*placed, *left]  # somebody else's records may say that arms follow each other
        placed += ready
        left = [arm for arm in left if arm not in ready]
    return placed


def _pattern(arm: ArmHeader, before: ArmRuns, winner: Ask | None) -> Trial | None:
    """What is chosen of an arm, on any seed; None where its search chose nothing, or the study had no trial of it."""
    kept = next((run.ask.trial for run in (*before.confirm, *before.starts)), None)
    if arm.tuned_as:
        return None if kept is None or winner is None else _lent(kept, winner.trial, arm.searched)
    if winner is not None:
        return winner.trial
    return None if arm.search_trials else kept


def _lent(trial: Trial, winner: Trial, searched: Collection[str]) -> Trial:
    """A trial with the values that another arm's search has chosen, and what they resolve to."""
    values = winner.values(searched)
    return replace(
        trial,
        hyperparameters={name: values.get(name, value) for name, value in trial.hyperparameters.items()},
        recipe={name: values.get(name, value) for name, value in trial.recipe.items()},
        resolved=trial.resolved | {name: winner.resolved[name] for name in searched if name in winner.resolved},
    )


def _confirmed(arm: ArmHeader, seeds: int, pattern: Trial | None, chosen: Mapping[str, Sequence[Ask]]) -> list[Ask]:
    """The confirm trials of what is chosen of an arm on its seeds, whether or not anybody has trained them."""
    if pattern is None or not seeds:
        return []
    numbers = [*range(seeds), *([START_NUMBER] if arm.starts_searches else [])]
    trials = ((number, _on_seed(pattern, confirm_seed(number), arm, chosen)) for number in numbers)
    return [Ask(arm.name, "confirm", number, trial) for number, trial in trials if trial is not None]


def _on_seed(pattern: Trial, seed: int, arm: ArmHeader, chosen: Mapping[str, Sequence[Ask]]) -> Trial | None:
    """A trial's configuration on another seed, begun from what is chosen of the arms before; None where that lacks."""
    starts = [
        next((ask.trial.id for ask in chosen.get(name, ()) if ask.phase == "confirm" and ask.trial.seed == begun), None)
        for name in arm.after
        for begun in [start_seed(seed)]
    ]
    known = tuple(start for start in starts if start is not None)
    return replace(pattern, seed=seed, after=known) if len(known) == len(starts) else None


def _of_the_search(header: StudyHeader, runs: Mapping[str, ArmRuns], changed: bool) -> str:
    stopped = sum(run.state == "stopped" for arm in runs.values() for run in arm.search)
    every = sum(len(arm.search) for arm in runs.values())
    early = f", and {stopped} of {every} were stopped by it" if stopped else ""
    other = ", of other code or settings then" if changed else ""
    rounds = "; which rows and seeds there are was decided by what it chose" if has_rounds(header) else ""
    return f"reselected from records: search trials were proposed by {header.select}{other}{early}{rounds}"


def _of_the_choice(
    header: StudyHeader, arm: ArmHeader, before: ArmRuns, confirm: Sequence[Ask], records: Mapping[str, Record]
) -> list[str]:
    """That another configuration is chosen than the study's, and how many of its seeds nobody has trained."""
    was = {run.ask.trial.seed: run.ask.trial.id for run in (*before.confirm, *before.starts)}
    if all(was.get(ask.trial.seed, ask.trial.id) == ask.trial.id for ask in confirm):
        return []
    values = ", ".join(f"{name}={short(value)}" for name, value in confirm[0].trial.values(arm.searched).items())
    counted = [ask for ask in confirm if ask.number < header.seeds]
    missing = sum(records[ask.trial.id].end is None for ask in counted)
    rest = f"; {missing} of its {len(counted)} seeds were trained by no study" if missing else ""
    return [f"{arm.name}: another configuration is chosen than by the study, {values or 'after another'}{rest}"]


def _of_the_beginning(arm: ArmHeader, search: Sequence[Ask], chosen: Mapping[str, Sequence[Ask]]) -> list[str]:
    """That an arm's search began from trials which would not have been chosen."""
    begun = {start for ask in search for start in ask.trial.after}
    known = {ask.trial.id for name in arm.after for ask in chosen.get(name, ())}
    if begun <= known:
        return []
    return [f"{arm.name}: its search trials began from what the study has chosen of {arms_listed(arm.after)}"]
