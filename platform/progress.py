"""Progress of a running study as plain lines: one when a trial begins, one when it ends."""

import contextlib
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from platform.records import Ask, End, Record, Report

COLUMNS = 80
ARM_COLUMNS = 24


class Progress:
    """A listener of the ledger that writes lines of at most 80 columns under a heading.

    time      ended  row                       trial      source/miou
    16:57:20   0/35  source only               search 0   begins
    16:57:31   1/35  source only               search 0   0.412
    """

    def __init__(
        self, select: str, planned: int, ended: int, selector: Callable[[str], str], out: TextIO | None = None
    ) -> None:
        self.select = select
        self.selector = selector
        self.planned = planned
        self.done = ended
        self.out = out or sys.stdout
        self._last: dict[str, Report] = {}
        self._headed = False

    def begin(self, ask: Ask, record: Record) -> None:
        """A trial begins, or goes on from a step; one that another study ended already has nothing to begin."""
        if record.reports:
            self._last[ask.trial.id] = record.reports[-1]
        if record.end is None:
            self._line(ask, f"goes on from {record.step:,}" if record.step else "begins")

    def report(self, ask: Ask, report: Report) -> None:
        """Remember the newest values; a line per report would bury the ends."""
        self._last[ask.trial.id] = report

    def end(self, ask: Ask, end: End, pictures: Sequence[Path]) -> None:
        """A trial ended."""
        self.done += 1
        last = self._last.get(ask.trial.id)
        selector = self.selector(ask.arm)
        other = "" if selector == self.select else f" {selector}"
        value = f"{last.metrics[selector]:.3f}{other}" if last else "no value"
        text = {
            "complete": value,
            "stopped": f"{value}, stopped at {end.step:,}",
            "failed": f"FAILED at step {end.step:,}: {end.reason}",
        }[end.state]
        self._line(ask, text)

    def _line(self, ask: Ask, text: str) -> None:
        trial = f"seed {ask.trial.seed}" if ask.phase == "confirm" else f"search {ask.number}"
        if not self._headed:
            self._headed = True
            self._print("time", "ended", "row", "trial", self.select)
        self._print(time.strftime("%H:%M:%S"), f"{self.done}/{self.planned}", _short(ask.arm), trial, text)

    def _print(self, clock: str, ended: str, arm: str, trial: str, text: str) -> None:
        count = 2 * len(str(self.planned)) + 1
        beginning = f"{clock:<8}  {ended:>{max(count, 5)}}  {arm:<{ARM_COLUMNS}}  {trial:<9}  "
        lines = textwrap.wrap(
            text,
            COLUMNS,
            initial_indent=beginning,
            subsequent_indent=" " * 12,
            break_long_words=False,
            break_on_hyphens=False,
        )
        # A terminal that is gone must not end the study: Ray Tune loses trials when a callback raises.
        with contextlib.suppress(OSError, ValueError):
            print("\n".join(lines), file=self.out, flush=True)


def _short(name: str) -> str:
    """A name that fits its column; the end tells apart what a study varies, so the middle goes."""
    tail = ARM_COLUMNS // 2
    return name if len(name) <= ARM_COLUMNS else f"{name[: ARM_COLUMNS - tail - 2]}..{name[-tail:]}"
