"""Checkpoints as an audit judges them, of trials whose scores and worth are known by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from platform.records.record import ArmHeader, Ask, StudyHeader
from platform.results.audit.checkpoints import Checkpoint
from tests.support import invented_study as invented

REFERENCE = "source only"
STUDY = "made"


def searched(
    row: str,
    number: int,
    val: Sequence[float],
    scores: Mapping[str, Sequence[float]],
    study: str = STUDY,
    arm: ArmHeader | None = None,
    in_row: Mapping[str, Sequence[float]] | None = None,
) -> list[Checkpoint]:
    """A search trial's checkpoints, stopped where its values end; a search trial is never tested."""
    made = _trial(invented.ask(_header(row, study), row, "search", number), val, [None] * len(val), scores, study, arm)
    return [
        replace(each, scores_in_row={name: values[at] for name, values in (in_row or scores).items()})
        for at, each in enumerate(made)
    ]


def confirmed(
    row: str,
    number: int,
    test: Sequence[float],
    scores: Mapping[str, Sequence[float]],
    study: str = STUDY,
    val: Sequence[float] | None = None,
) -> list[Checkpoint]:
    """A confirm trial's checkpoints, worth the same on both splits unless told otherwise."""
    ask = invented.ask(_header(row, study), row, "confirm", number)
    return _trial(ask, test if val is None else val, test, scores, study, None)


def _header(row: str, study: str) -> StudyHeader:
    return invented.study(invented.arm(row), name=study)


def _trial(
    ask: Ask,
    val: Sequence[float],
    test: Sequence[float | None],
    scores: Mapping[str, Sequence[float]],
    study: str,
    arm: ArmHeader | None,
) -> list[Checkpoint]:
    steps = invented.EVALUATED_STEPS[: len(val)]
    return [
        Checkpoint(
            study=study,
            arm=arm or invented.arm(ask.arm),
            is_reference=ask.arm == REFERENCE,
            ask=ask,
            step=step,
            steps=invented.STEPS,
            val=val[number],
            test=test[number],
            warm_up=arm.warm_up if arm else 0.0,
            scores={name: values[number] for name, values in scores.items()},
            scores_in_row={name: values[number] for name, values in scores.items()},
        )
        for number, step in enumerate(steps)
    ]
