"""The invented study as the tests of the tracker know it: on CamVid's groups, under the quickstart's name."""

from platform.records.record import Ask, End, Phase, StudyHeader
from platform.shifts.labels import CAMVID_11
from tests.support import invented_study
from tests.support.invented_study import ARMS, STEPS, arm

__all__ = ["ARMS", "COMPLETE", "ask", "study_header"]

COMPLETE = End("complete", None, "", STEPS)


def study_header(name: str = "quickstart", arms: tuple[str, ...] = tuple(ARMS)) -> StudyHeader:
    """The header of a study with these arms."""
    headers = [arm(each, searched={}) for each in arms]
    return invented_study.study(*headers, groups=CAMVID_11, name=name, question="Does adapting help on a small shift?")


def ask(arm_name: str, phase: Phase, number: int) -> Ask:
    """The `number`-th trial of an arm."""
    return invented_study.ask(study_header(), arm_name, phase, number)
