"""The ablation path: from the row without any part to the row with all, each step the part that helps most."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from platform.design.ablation.cell import Cell
from platform.design.ablation.designs import AblationPath
from platform.results.comparison import BySeed, Difference, judged, paired
from platform.results.statistics.intervals import interval

Scores = Mapping[str, BySeed]


@dataclass(frozen=True)
class Choice:
    """The rows that a step of the path tries, of which it takes one."""

    before: str
    """The row that the step begins from."""
    rows: Mapping[str, str]
    """The rows that it may lead to, by the part that each has besides."""

    def gains(self, scores: Scores) -> dict[str, list[float]]:
        """What each part gives, by its name and seed by seed; without those of rows that share no seed."""
        before = scores.get(self.before, {})
        gains = {part: paired(scores.get(row, {}), before) for part, row in self.rows.items()}
        return {part: gain for part, gain in gains.items() if gain}

    def best(self, scores: Scores) -> str | None:
        """The part with the highest mean gain; None where no row of the step has scores."""
        gains = self.gains(scores)
        return max(gains, key=lambda part: interval(gains[part])[0], default=None)


@dataclass(frozen=True)
class Step:
    """A part that is put in, and what that gave."""

    part: str
    before: str
    """The row that the step begins from."""
    row: str
    """The row that has the part besides."""
    worth: Difference
    """To the row before, in mIoU; judged among all parts that could have been put in, at this step and the others."""


def followed(cells: Mapping[str, Cell], scores: Scores) -> list[Choice]:
    """What the steps of a path try, as far as scores tell which part each puts in (Fawcett and Hoos, 2016).

    At each step all parts that are left are tried, by rows that were run, and the one with the highest mean difference
    over shared seeds is kept. Of the last step that may be open. Empty for rows that are no path's, and are not all
    combinations of the parts.
    """
    by_parts = {frozenset(part for part, has in cell.parts if has): row for row, cell in cells.items()}
    every = frozenset(part for cell in cells.values() for part, _ in cell.parts)
    have: frozenset[str] = frozenset()
    if have not in by_parts or not _has_steps(cells, len(every)):
        return []
    steps: list[Choice] = []
    while left := sorted(part for part in every - have if have | {part} in by_parts):
        steps.append(Choice(by_parts[have], {part: by_parts[have | {part}] for part in left}))
        if (best := steps[-1].best(scores)) is None:
            break
        have |= {best}
    return steps


def _has_steps(cells: Mapping[str, Cell], parts: int) -> bool:
    """Whether the rows are those of a path, of which some may never be trained, or all combinations of the parts."""
    designs = {(cell.design == AblationPath.name, bool(cell.centre)) for cell in cells.values()}
    return designs == {(True, False)} or (designs == {(False, False)} and len(cells) == 2**parts)


def path(
    cells: Mapping[str, Cell], scores: Scores, deciding: Scores, failed: Collection[str], looks: int
) -> tuple[Step, ...]:
    """The steps of a path that were taken, by the scores that decided, judged by all that there are.

    It ends before a step that wants a row which has no scores yet, and is not among those that failed.
    """
    taken, tried = [], dict[tuple[int, str], list[float]]()
    for place, step in enumerate(followed(cells, deciding)):
        part = step.best(deciding)
        if part is None or any(not scores.get(row) and row not in failed for row in step.rows.values()):
            break
        tried |= {(place, each): gain for each, gain in step.gains(scores).items()}
        taken.append((place, part, step))
    worth = judged(tried, looks=looks)
    return tuple(Step(part, step.before, step.rows[part], worth[place, part]) for place, part, step in taken)
