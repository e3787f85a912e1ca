"""The audit of selectors: what each would have chosen among recorded trials, and what that is worth.

Three choices are judged. Of *configurations*: among a row's finished search trials, as a study's search chooses, by
mIoU on the target's val labels, since search trials are never tested. Of *trials*: among all finished confirm trials of
a study, by mIoU on the test split; there the labelled val split is a selector among others. Of *checkpoints*: among the
evaluations of one confirm trial, by the test split; there the last is a choice too, and a selector that compares trials
of one step chooses none. A trial that rows share is the first one's.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from platform.design.asha import ASHA
from platform.records.record import ORACLE_MIOU
from platform.results.audit.checkpoints import Checkpoint
from platform.results.audit.measures import Pool, Regret, regret, weighted_spearman
from platform.results.replay.replay import Curve, replay
from platform.scores.selectors.selector import Selector

LAST = "last"
"""What chooses the last checkpoint of a trial."""
SETTING = ASHA(trials=8, grace=0.25)
"""The early stopping whose decisions under each selector are replayed."""

Score = Callable[[Checkpoint], float]
_Row = tuple[str, str]
"""A study, and a row of it."""
Key = TypeVar("Key")


@dataclass(frozen=True)
class EarlyStopping:
    """What early stopping would have done under a selector, replayed on the curves of rows whose trials are whole."""

    rows: int
    stopped: int
    """Trials that it would have stopped, ..."""
    trials: int
    """... of so many."""
    best_stopped: int
    """Rows whose best trial it would have stopped."""
    regret: float
    """What the best trial of a row is worth more than the one that would have been picked, mean over rows."""


@dataclass(frozen=True)
class Verdict:
    """What is found of one selector; None where there is nothing to choose from."""

    configurations: Regret | None
    beats_reference: int
    """Rows whose chosen configuration is worth more than that of the reference's row, ..."""
    compared: int
    """... of so many."""
    trials: Regret | None
    checkpoints: Regret | None
    spearman: float
    """Weighted Spearman correlation of score and val mIoU over all checkpoints, mean over the studies; nan of what
    compares, whose scores at two steps have nothing to do with each other."""
    early_stopping: EarlyStopping | None


NOTHING = Verdict(None, 0, 0, None, None, math.nan, None)


@dataclass(frozen=True)
class Audit:
    """The verdicts, by selector."""

    studies: tuple[str, ...]
    checkpoints: int
    trials: int
    overall: Mapping[str, Verdict]
    by_study: Mapping[str, Mapping[str, Verdict]]
    by_method: Mapping[str, Mapping[str, Verdict]]


def audit(checkpoints: Sequence[Checkpoint], selectors: Mapping[str, Selector]) -> Audit:
    """Judge selectors by checkpoints that have scores by each of them."""
    judges = [*(_of(name, selector.compares()) for name, selector in selectors.items()), LABELS]
    studies = _grouped(checkpoints, _study)
    methods = _grouped(checkpoints, lambda checkpoint: checkpoint.arm.method)
    won = {judge.name: _beats_reference(studies.values(), judge) for judge in judges}

    def verdicts(chosen: Sequence[Checkpoint]) -> dict[str, Verdict]:
        made = {judge.name: _verdict(chosen, judge, won[judge.name]) for judge in judges}
        return {**made, LAST: replace(NOTHING, checkpoints=_chosen_checkpoints(chosen, lambda each: float(each.step)))}

    return Audit(
        studies=tuple(studies),
        checkpoints=len(checkpoints),
        trials=len({(checkpoint.study, checkpoint.ask.trial.id) for checkpoint in checkpoints}),
        overall=verdicts(checkpoints),
        by_study={study: verdicts(own) for study, own in studies.items()},
        by_method={method: verdicts(own) for method, own in methods.items()},
    )


def finished(checkpoints: Iterable[Checkpoint]) -> list[Checkpoint]:
    """The last checkpoints of confirm trials, which are tested."""
    return [each for each in checkpoints if each.is_last and each.test is not None]


@dataclass(frozen=True)
class _Judge:
    """What is judged: its scores among trials of a row, among those of a study, and among a trial's checkpoints."""

    name: str
    in_row: Score
    of_all: Score
    within_trial: Score | None


def _of(name: str, compares: bool) -> _Judge:
    def of_all(checkpoint: Checkpoint) -> float:
        return checkpoint.scores[name]

    return _Judge(name, lambda checkpoint: checkpoint.scores_in_row[name], of_all, None if compares else of_all)


def _val(checkpoint: Checkpoint) -> float:
    return checkpoint.val


LABELS = _Judge(ORACLE_MIOU, _val, _val, _val)
"""The labelled val split, by which configurations are judged, and by which trials and checkpoints might be chosen."""


def _verdict(checkpoints: Sequence[Checkpoint], judge: _Judge, won: Mapping[_Row, bool]) -> Verdict:
    by_study = _grouped(checkpoints, _study).values()
    rows = _searches(checkpoints)
    beats = [won[row] for row in rows if row in won]
    configurations = [_pool(own, judge.in_row) for own in rows.values()]
    return Verdict(
        configurations=None if judge is LABELS else regret(configurations),
        beats_reference=sum(beats),
        compared=len(beats),
        trials=regret([_pool(finished(own), judge.of_all) for own in by_study]),
        checkpoints=_chosen_checkpoints(checkpoints, judge.within_trial) if judge.within_trial else None,
        spearman=_correlation(by_study, judge.within_trial) if judge.within_trial and judge is not LABELS else math.nan,
        early_stopping=_early_stopping(checkpoints, judge.in_row),
    )


def _chosen_checkpoints(checkpoints: Iterable[Checkpoint], score: Score) -> Regret | None:
    tested = [each for each in checkpoints if each.test is not None]
    return regret([_pool(own, score) for own in _grouped(tested, _trial).values()])


def _correlation(by_study: Iterable[Sequence[Checkpoint]], score: Score) -> float:
    found = [weighted_spearman([score(each) for each in own], [each.val for each in own]) for own in by_study]
    known = [each for each in found if math.isfinite(each)]
    return sum(known) / len(known) if known else math.nan


def _pool(checkpoints: Sequence[Checkpoint], score: Score) -> Pool:
    return Pool(
        study=checkpoints[0].study if checkpoints else "",
        rows=tuple(each.arm.name for each in checkpoints),
        scores=tuple(map(score, checkpoints)),
        worth=tuple(each.val if each.test is None else each.test for each in checkpoints),
    )


def _searches(checkpoints: Iterable[Checkpoint]) -> dict[_Row, list[Checkpoint]]:
    """The last checkpoints of the finished search trials, row by row."""
    return _grouped((each for each in checkpoints if each.is_last and each.ask.phase == "search"), _row)


def _beats_reference(studies: Iterable[Sequence[Checkpoint]], judge: _Judge) -> dict[_Row, bool]:
    """By row, whether what is chosen of it is worth more than what is chosen of its study's reference."""
    found: dict[_Row, bool] = {}
    for own in studies:
        chosen = {row: max(trials, key=judge.in_row) for row, trials in _searches(own).items()}
        reference = [each for each in chosen.values() if each.is_reference]
        others = {row: each for row, each in chosen.items() if reference and not each.is_reference}
        found |= {row: each.val > reference[0].val for row, each in others.items()}
    return found


def _early_stopping(checkpoints: Sequence[Checkpoint], score: Score) -> EarlyStopping | None:
    """Replay early stopping on the rows none of whose search trials was stopped."""
    searched = [each for each in checkpoints if each.ask.phase == "search"]
    outcomes, regrets, lost, rows = [], list[float](), 0, 0
    for row in _grouped(searched, _row).values():
        trials = [sorted(own, key=lambda each: each.step) for own in _grouped(row, _trial).values()]
        steps = row[0].ask.trial.evaluated_steps
        if len(trials) < 2 or not all(tuple(each.step for each in own) == steps for own in trials):
            continue
        curves = [Curve(tuple(map(score, own))) for own in trials]
        outcome = replay(curves, steps, SETTING.rungs(steps, row[0].warm_up), SETTING)
        kept = [own[-1] for number, own in enumerate(trials) if number not in outcome.stopped]
        best = max(range(len(trials)), key=lambda number: trials[number][-1].val)
        outcomes.append(outcome)
        regrets.append(trials[best][-1].val - max(kept, key=score).val)
        lost += best in outcome.stopped
        rows += 1
    if not rows:
        return None
    stopped, trained = (sum(each) for each in zip(*((len(one.stopped), one.trials) for one in outcomes), strict=True))
    return EarlyStopping(rows, stopped, trained, lost, sum(regrets) / rows)


def _study(checkpoint: Checkpoint) -> str:
    return checkpoint.study


def _row(checkpoint: Checkpoint) -> _Row:
    return checkpoint.study, checkpoint.arm.name


def _trial(checkpoint: Checkpoint) -> tuple[str, str]:
    return checkpoint.study, checkpoint.ask.trial.id


def _grouped(checkpoints: Iterable[Checkpoint], key: Callable[[Checkpoint], Key]) -> dict[Key, list[Checkpoint]]:
    """Checkpoints that share a key, in the order in which they come."""
    groups: dict[Key, list[Checkpoint]] = defaultdict(list)
    for checkpoint in checkpoints:
        groups[key(checkpoint)].append(checkpoint)
    return groups
