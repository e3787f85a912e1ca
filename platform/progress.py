"""Progress of a running study as plain lines: one when a trial begins, one when it ends."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from platform.records import Ask, End, Record, Report


class Progress:
    """A listener of the ledger that writes lines of at most 80 columns."""

    def __init__(self, select: str, planned: int, ended: int, out: TextIO = sys.stdout) -> None:
        self.select = select
        self.planned = planned
        self.done = ended
        self.out = out
        self._last: dict[str, Report] = {}

    def begin(self, ask: Ask, record: Record) -> None:
        """A trial begins, or goes on from a step."""
        if record.reports:
            self._last[ask.trial.id] = record.reports[-1]
        self._line(ask, f"goes on from step {record.step}" if record.step else "begins")

    def report(self, ask: Ask, report: Report) -> None:
        """Remember the newest values; a line per report would bury the ends."""
        self._last[ask.trial.id] = report

    def end(self, ask: Ask, end: End, pictures: Sequence[Path]) -> None:
        """A trial ended."""
        self.done += 1
        last = self._last.pop(ask.trial.id, None)
        value = f"{self.select} {last.metrics[self.select]:.3f}" if last else ""
        text = {
            "complete": value,
            "stopped": f"stopped at step {end.step}, {value}",
            "failed": f"FAILED at step {end.step}: {end.reason}",
        }[end.state]
        self._line(ask, text)

    def _line(self, ask: Ask, text: str) -> None:
        count = f"{self.done}/{self.planned}"
        label = f"seed {ask.trial.seed}" if ask.phase == "confirm" else f"search {ask.number}"
        line = f"{time.strftime('%H:%M:%S')} {count:>7}  {ask.arm[:24]:<24} {label:<9} {text}"
        print(line if len(line) <= 80 or "FAILED" in line else line[:79] + "…", file=self.out, flush=True)
