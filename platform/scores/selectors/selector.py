"""What every selector is: a number for a checkpoint, computed without target labels, that stops and picks trials."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from platform.scores.evidence import Evidence


@dataclass(frozen=True, kw_only=True)
class Selector:
    """Judges checkpoints by their evidence, higher being better; a frozen dataclass of its settings.

    A selector says `score`, of one checkpoint, or, where a checkpoint is judged by others, `scores`, of all at once.
    """

    name: ClassVar[str] = ""
    """What it is called in tables: the domain that it looks at, and what it measures there."""

    def score(self, evidence: Evidence) -> float:
        """The score of one checkpoint."""
        raise NotImplementedError(f"{type(self).__name__} must have score(self, evidence), got neither it nor scores")

    def scores(self, candidates: Sequence[Evidence]) -> list[float]:
        """The scores of checkpoints of the same step, each among the others."""
        return [self.score(evidence) for evidence in candidates]

    @classmethod
    def compares(cls) -> bool:
        """Whether the score of a checkpoint depends on the others."""
        return cls.scores is not Selector.scores
