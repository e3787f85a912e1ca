"""A study's selector at work: scores of trials from the evidence that they left."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from platform.design.study import Study
from platform.records.ledger import StoreFault
from platform.records.record import SOURCE_ACCURACY, SOURCE_MIOU
from platform.records.store import Store, evidence_file, trial_file
from platform.scores.evidence import Evidence, loaded
from platform.scores.selectors.judgement import Misjudged, judged
from platform.scores.selectors.selector import Selector


class EvidenceLost(StoreFault):
    """Evidence that a study needs cannot be read."""


REPORTED = (SOURCE_MIOU, SOURCE_ACCURACY)
"""Selectors whose scores are among what trials report."""
REMEMBERED = 512
"""Evidence that is kept in memory, of 256 kB at most each, and what came of it, where trials are compared: both are
looked at again whenever another one comes."""


@dataclass(frozen=True, eq=False)
class EvidenceJudge:
    """Scores by a selector, from evidence in a store."""

    selector: Selector
    name: str
    """What tables call the selector."""
    store: Store

    @property
    def compares(self) -> bool:
        """Whether the score of a trial depends on the others."""
        return self.selector.compares()

    def scores(self, trials: Sequence[str], step: int) -> list[float]:
        """The scores of trials at a step. Raises Misjudged, and EvidenceLost."""
        return self._together(tuple(trials), step) if self.compares else self._judged(trials, step, self._evidence)

    @functools.cached_property
    def _together(self) -> Callable[[tuple[str, ...], int], list[float]]:
        return functools.lru_cache(maxsize=REMEMBERED)(
            lambda trials, step: self._judged(trials, step, self._remembered)
        )

    def _judged(self, trials: Sequence[str], step: int, evidence: Callable[[str, int], Evidence]) -> list[float]:
        seen = [evidence(trial, step) for trial in trials]
        try:
            return judged(self.selector, seen)
        except Misjudged as error:
            which = f"trial {trials[0]}" if len(trials) == 1 else f"{len(trials)} trials"
            raise Misjudged(f"{error}; it happened with the evidence of {which} after step {step}") from error

    @functools.cached_property
    def _remembered(self) -> Callable[[str, int], Evidence]:
        return functools.lru_cache(maxsize=REMEMBERED)(self._evidence)

    def _evidence(self, trial: str, step: int) -> Evidence:
        file = trial_file(trial, evidence_file(step))
        try:
            return loaded(self.store.evidence(trial, step))
        except (OSError, ValueError) as error:
            raise EvidenceLost(
                f"{self.store.storage}/{file} must hold the evidence that {self.name} judges by, got {error}; "
                f"remove the folder of {trial}, and the trial is trained again"
            ) from error


def judges_of(study: Study, store: Store) -> dict[str, EvidenceJudge]:
    """Who judges the trials of each arm; nobody where the score is among what trials report."""
    if study.selector is None or study.selected_by in REPORTED:
        return {}
    judge = EvidenceJudge(study.selector, study.selected_by, store)
    return {row.name: judge for row in study.rows if row.selector == judge.name}
