"""Recorded checkpoints with their scores by every selector, and what they are worth on the target's labels."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from platform.records.location import on_record
from platform.records.record import (
    ORACLE_MIOU,
    TARGET_TEST,
    ArmHeader,
    Ask,
    Journal,
    Phase,
    Record,
    Report,
    StudyHeader,
)
from platform.records.store import Store
from platform.results.runs import Run, runs_by_arm
from platform.scores.evidence import Evidence, loaded
from platform.scores.metrics import cityscapes
from platform.scores.selectors.judgement import judged_by_each
from platform.scores.selectors.selector import Selector

_Place = tuple[str, int]
"""A trial's id, and a step."""


@dataclass(frozen=True)
class Checkpoint:
    """An evaluation of a trial."""

    study: str
    arm: ArmHeader
    is_reference: bool
    ask: Ask
    step: int
    steps: int
    """Of the whole trial."""
    warm_up: float
    """The longest of the study's arms, as a fraction of the steps: rungs lie behind it in every row."""
    val: float
    """mIoU on the labels of the target's val split, from whose images the scores are computed."""
    test: float | None
    """mIoU on the test split, of confirm trials."""
    scores: Mapping[str, float]
    """By selector; by one that compares, among the study's trials of the same phase that came as far."""
    scores_in_row: Mapping[str, float]
    """The same among those of its row, as a study's own selector has them."""

    @property
    def is_last(self) -> bool:
        """Whether its trial ends here."""
        return self.step == self.steps


def checkpoints(
    store: Store, study: str, called: str, selectors: Mapping[str, Selector], say: Callable[[str], None]
) -> list[Checkpoint]:
    """The checkpoints of a study's trials that keep evidence, upper bounds left out; the audit calls it so.

    `say` is told how many cannot be judged. Raises Misjudged.
    """
    try:
        header, journal = on_record(store, study)
    except ValueError as error:
        say(f"{called}: left out, {error}")
        return []
    known = _reported(store, journal, header)
    if not known:
        say(f"{called}: left out, no trial that counts has reported")
    together: dict[tuple[int, Phase], list[_Place]] = defaultdict(list)
    for place, (_, ask, report) in known.items():
        together[report.step, ask.phase].append(place)
    found = []
    for places in together.values():
        # A few at a time: all evidence of a study may be more than the memory holds.
        evidence = {place: each for place in places if (each := _evidence(store, *place)) is not None}
        if not evidence:
            continue
        of_all = _scores(selectors, evidence)
        in_row = _scores_in_row(selectors, evidence, {place: known[place][0].name for place in evidence})
        for place in evidence:
            arm, ask, report = known[place]
            found.append(
                Checkpoint(
                    study=called,
                    arm=arm,
                    is_reference=arm.name == header.reference,
                    ask=ask,
                    step=report.step,
                    steps=ask.trial.steps,
                    warm_up=max(each.warm_up for each in header.arms),
                    val=report.metrics[ORACLE_MIOU],
                    test=_test(report, header),
                    scores=of_all[place],
                    scores_in_row=of_all[place] | in_row.get(place, {}),
                )
            )
    if lacking := len(known) - len(found):
        say(f"{called}: {lacking:,} of {len(known):,} evaluations have left no evidence that can be read")
    return found


def _scores(selectors: Mapping[str, Selector], evidence: Mapping[_Place, Evidence]) -> dict[_Place, dict[str, float]]:
    """The scores of trials among each other."""
    scores = judged_by_each(selectors, list(evidence.values()))
    return {place: {name: scores[name][number] for name in scores} for number, place in enumerate(evidence)}


def _scores_in_row(
    selectors: Mapping[str, Selector], evidence: Mapping[_Place, Evidence], rows: Mapping[_Place, str]
) -> dict[_Place, dict[str, float]]:
    """The scores, by selectors that compare, of trials among those of their row."""
    comparing = {name: selector for name, selector in selectors.items() if selector.compares()}
    found: dict[_Place, dict[str, float]] = {}
    for row in dict.fromkeys(rows.values()) if comparing else ():
        found |= _scores(comparing, {place: each for place, each in evidence.items() if rows[place] == row})
    return found


def _reported(store: Store, journal: Journal, header: StudyHeader) -> dict[_Place, tuple[ArmHeader, Ask, Report]]:
    """Every report of a trial that counts, by trial and step; of arms that share a trial the first has it."""
    found: dict[_Place, tuple[ArmHeader, Ask, Report]] = {}
    known = {ask.trial.id: store.read(ask.trial.id) for ask in journal.asks}
    records: dict[str, dict[str, Record]] = {}
    for ask in journal.asks:
        if (record := known[ask.trial.id]) is not None:
            records.setdefault(ask.arm, {})[ask.trial.id] = record
    runs = runs_by_arm(header, journal.asks, records)
    for arm in (arm for arm in header.arms if not arm.supervised):
        for run in (*runs[arm.name].search, *runs[arm.name].confirm):
            for report in _until_the_end(run, journal):
                if ORACLE_MIOU in report.metrics:
                    found.setdefault((run.ask.trial.id, report.step), (arm, run.ask, report))
    return found


def _until_the_end(run: Run, journal: Journal) -> Sequence[Report]:
    """What a trial reported until it ended for the study."""
    end = journal.ends.get(run.ask.key, run.end)
    return [report for report in run.reports if end is None or report.step <= end.step]


def _evidence(store: Store, trial: str, step: int) -> Evidence | None:
    try:
        return loaded(store.evidence(trial, step))
    except (OSError, ValueError):
        return None


def _test(report: Report, header: StudyHeader) -> float | None:
    # A matrix that somebody else wrote may hold nothing to score.
    with suppress(KeyError, ValueError):
        return cityscapes(report.confusions[TARGET_TEST], header.groups).miou
    return None
