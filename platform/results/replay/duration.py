"""How long a recorded study would have taken on other machines, from the seconds that it recorded."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from platform.results.replay.replay import Repetition


@dataclass
class Work:
    """What a row had trained, once more."""

    search: Repetition | None
    """None where nothing was searched."""
    confirm: Sequence[float]
    """Seconds of each confirm trial."""
    after: tuple[str, ...] = ()
    """The rows whose confirm trials its own trials begin from."""
    tuned_as: str = ""
    """The row whose search chooses what its confirm trials are; empty for its own."""
    begun: set[int] = field(default_factory=set)
    """Confirm trials that somebody trains or has trained."""
    left: int = 0

    def __post_init__(self) -> None:
        self.left = len(self.confirm)

    def wants(self, number: int) -> bool:
        """Whether a search trial may be trained to another evaluation."""
        return self.search is not None and self.search.wants(number)


class _Task(NamedTuple):
    """What a slot trains: a search trial to its next evaluation, or a confirm trial to its end."""

    row: str
    number: int
    searches: bool


class _Busy(NamedTuple):
    until: float
    order: int
    task: _Task


def duration(rows: Mapping[str, Work], slots: int) -> float:
    """Seconds that a study takes on so many slots, as `platform.running` hands out its trials.

    A slot takes the first trial that may be trained, and keeps it as long as it may go on. What curves have no seconds
    of takes no time: the start of workers, and mostly what lies behind their ends.
    """
    now, busy, started, taken = 0.0, list[_Busy](), 0, set[_Task]()
    kept: _Task | None = None
    while True:
        for task in _open(rows, kept):
            if len(busy) == slots:
                break
            if task not in taken:
                taken.add(task)
                if not task.searches:
                    rows[task.row].begun.add(task.number)
                started += 1
                heapq.heappush(busy, _Busy(now + _seconds(rows[task.row], task), started, task))
        if not busy:
            return now
        now, _, kept = heapq.heappop(busy)
        taken.discard(kept)
        _finish(rows[kept.row], kept)


def _open(rows: Mapping[str, Work], kept: _Task | None) -> Iterator[_Task]:
    """What may be trained: what a slot has just trained, as long as it may go on, then in the order of the rows."""
    if (
        kept is not None
        and kept.searches
        and (search := rows[kept.row].search) is not None
        and search.wants(kept.number)
    ):
        yield kept
    for name, row in rows.items():
        if any(rows[other].left for other in row.after if other in rows):
            continue
        if row.search is not None:
            yield from (_Task(name, number, True) for _, number in row.search.clock.working if row.wants(number))
        chooser = rows.get(row.tuned_as, row).search
        if chooser is None or chooser.clock.finished:
            yield from (_Task(name, number, False) for number in range(len(row.confirm)) if number not in row.begun)


def _seconds(row: Work, task: _Task) -> float:
    if not task.searches:
        return row.confirm[task.number]
    assert row.search is not None
    return row.search.next_seconds(task.number)


def _finish(row: Work, task: _Task) -> None:
    if task.searches:
        assert row.search is not None
        row.search.repeat(task.number)
    else:
        row.left -= 1
