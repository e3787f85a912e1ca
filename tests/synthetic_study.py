"""The invented study as the tracker's tests know it; those that take it from `invented_study` need none of this."""

from collections.abc import Sequence

import invented_study
from invented_study import ARMS, EVALUATED_STEPS, STEPS, arm, report

from platform.labels import CAMVID_11
from platform.records import Ask, End, Phase, Record, Report, StudyHeader

__all__ = ["ARMS", "COMPLETE", "ask", "record", "report", "steps", "study_header"]

COMPLETE = End("complete", None, "", STEPS)


def study_header(name: str = "quickstart", arms: tuple[str, ...] = tuple(ARMS)) -> StudyHeader:
    """The header of a study with these arms."""
    headers = [arm(each, searched={}) for each in arms]
    return invented_study.study(*headers, groups=CAMVID_11, name=name, question="Does adapting help on a small shift?")


def ask(arm_name: str, phase: Phase, number: int) -> Ask:
    """The `number`-th trial of an arm."""
    return invented_study.ask(study_header(), arm_name, phase, number)


def record(asked: Ask, reports: Sequence[Report] = ()) -> Record:
    """The record of a trial that has begun."""
    return invented_study.begun(asked, reports)


def steps() -> tuple[int, ...]:
    """The steps at which a trial reports."""
    return EVALUATED_STEPS
