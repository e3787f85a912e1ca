"""Progress of a running study for a person: lines of what happened, and on a terminal a view of where it stands.

The driver only queues what it is told, without a lock: a thread does the rest. So a report costs the driver
microseconds, a terminal that is paused or gone cannot hold up or end a study, and a signal handler may say something.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TextIO

from rich.cells import set_cell_size
from rich.text import Text

from platform.commands.terminal.screen import COLUMNS, Screen
from platform.commands.terminal.standing import Standing
from platform.commands.terminal.text import ARM_COLUMNS, short, wrapped
from platform.commands.terminal.view import view
from platform.records.ledger import Event
from platform.records.record import Ask, Record
from platform.results.lines import arms_listed

REFRESH_SECONDS = 0.3
LEAVE_SECONDS = 2.0
"""How long a study that has ended waits for a terminal that takes no output."""


class Progress:
    """A listener of the ledger: lines of at most 80 columns under a heading, and the view if `out` is a terminal.

    time      ended  row                       trial      source/miou
    16:57:20   0/35  source only               search 0   begins
    16:57:31   1/35  source only               search 0   0.412
    """

    def __init__(
        self,
        study: str,
        select: str,
        selector: Callable[[str], str],
        planned: Mapping[str, tuple[int, int]],
        steps: int,
        ended: Iterable[tuple[Ask, Record]],
        owed: Callable[[], object],
        out: TextIO,
    ) -> None:
        """`planned` has the search and confirm trials of each arm; `ended` what ended before this run began.

        `owed` says what MLflow lacks, and is false when that is nothing.
        """
        self.standing = Standing(planned, steps, selector)
        for ask, record in ended:
            self.standing.take("end", ask, record, 0.0)
        self._study, self._select, self._owed = study, select, owed
        self._screen = Screen(out)
        self._headed = False
        self._told: SimpleQueue[_Told | _Expected | str | None] = SimpleQueue()
        self._thread = Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._told.put(None)
        self._thread.join(LEAVE_SECONDS)

    def hear(self, event: Event, ask: Ask, record: Record) -> None:
        """Queue an event. A report gives no line of its own: so many would bury the ends."""
        self._told.put(_Told(event, ask, record))

    def expect(self, planned: Mapping[str, tuple[int, int]]) -> None:
        """Queue how many search and confirm trials each arm is to have now."""
        self._told.put(_Expected(planned))

    def say(self, text: str) -> None:
        """A line from the command; safe in a signal handler, whatever it interrupts."""
        self._told.put(text)

    def _follow(self) -> None:
        live, bars, drawn = self._screen.live, "━─" if self._screen.shows("━─") else "=-", None
        following = True
        while following:
            following, lines = self._read(live)
            self.standing.watch(time.monotonic())
            size = self._screen.size()
            frame = view(self.standing, self._study, self._select, self._owed(), size, bars) if live else []
            if lines or (frame, size) != drawn:
                self._screen.draw(lines, frame)
                drawn = frame, size

    def _read(self, live: bool) -> tuple[bool, list[Text]]:
        """What was told until the next refresh, as lines; and whether more may come."""
        lines: list[Text] = []
        columns = min(self._screen.size()[0], COLUMNS) if live else COLUMNS
        refresh = time.monotonic() + REFRESH_SECONDS
        while (rest := refresh - time.monotonic()) > 0:
            try:
                told = self._told.get(timeout=rest)
            except Empty:
                break
            if told is None:
                return False, lines
            elif isinstance(told, str):
                lines += wrapped("", told, "bold", columns)
            elif isinstance(told, _Expected):
                new, more = self.standing.expect(told.planned)
                said = (("next on the path", new), ("the race goes on, with more seeds for", more))
                for what, names in said:
                    lines += wrapped("", f"{what}: {arms_listed(names)}", "bold", columns) if names else []
            else:
                self.standing.take(told.event, told.ask, told.record, told.moment)
                lines += self._lines(told, columns, live)
        return True, lines

    def _lines(self, told: "_Told", columns: int, live: bool) -> list[Text]:
        """What is written of an event; the view itself shows which trials run."""
        if told.event == "report" or (told.event == "begin" and (live or told.record.end is not None)):
            return []
        text, style = _happened(told, self.standing.selector(told.ask.arm), self._select)
        counts = f"{self.standing.ended}/{self.standing.planned}"
        clock = time.strftime("%H:%M:%S", time.localtime(told.clock))
        lines = wrapped(self._beginning(clock, counts, told.ask.arm, told.ask.label), text, style, columns)
        if not self._headed:
            self._headed = True
            lines = wrapped(self._beginning("time", "ended", "row", "trial"), self._select, "dim", columns) + lines
        return lines

    def _beginning(self, clock: str, ended: str, arm: str, trial: str) -> str:
        count = max(2 * len(str(self.standing.planned)) + 1, 5)
        return f"{clock:<8}  {ended:>{count}}  {set_cell_size(short(arm), ARM_COLUMNS)}  {trial:<9}  "


@dataclass(frozen=True)
class _Expected:
    planned: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class _Told:
    event: Event
    ask: Ask
    record: Record
    clock: float = field(default_factory=time.time)
    moment: float = field(default_factory=time.monotonic)


def _happened(told: _Told, selector: str, select: str) -> tuple[str, str]:
    """What an event says, and its style."""
    step, end = told.record.step, told.record.end
    if told.event == "lose":
        return f"lost its worker; it goes on from step {step:,}", "yellow"
    if told.event == "wait":
        return "is trained by another study; waits for it", ""
    if told.event == "pause":
        value = f"{_value(told.record, selector, select)}, " if told.record.reports else ""
        return f"{value}waits at {step:,}", ""
    if end is None:
        return (f"goes on from {step:,}" if step or told.record.losses else "begins"), ""
    if end.state == "failed":
        again = "; the next run tries it again" if end.retry and end.cause != "error" else ""
        return f"FAILED at step {end.step:,}: {end.reason}{again}", "red"
    text = _value(told.record, selector, select)
    if end.state == "stopped":
        return f"{text}, stopped at {end.reason or f'{end.step:,}'}", ""
    return (f"{text}, {end.reason}", "yellow") if end.reason else (text, "")


def _value(record: Record, selector: str, select: str) -> str:
    """The selector's last value, with its name where that is not the study's."""
    value = record.reports[-1].metrics.get(selector) if record.reports else None
    if value is None:
        return "no value"
    return f"{value:.3f} {selector}" if selector != select else f"{value:.3f}"
