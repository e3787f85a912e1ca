"""Progress of a running study for a person: lines of what happened, and on a terminal a view of where it stands.

The driver only queues what it is told, without a lock: a thread does the rest. So a report costs the driver
microseconds, a terminal that is paused or gone cannot hold up or end a study, and a signal handler may say something.
"""

import math
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Literal, TextIO

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from platform.console import COLUMNS, Screen
from platform.records import Ask, Phase, Record, State

ARM_COLUMNS = 24
REFRESH_SECONDS = 0.3
LEAVE_SECONDS = 2.0
"""How long a study that ends waits for a terminal that takes nothing."""
PACE_REPORTS = 30
"""The last reports of an arm whose steps per second count."""
CROWD_SECONDS = 600.0
"""The time over which the number of trials that run at once is averaged."""
HANGING_COLUMNS = 12
EVENT_LINES = 4
"""Lines of a terminal that the view leaves to what happened last."""

Event = Literal["begin", "report", "end", "lose", "wait"]
Key = tuple[str, Phase, int]


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
        self._told: SimpleQueue[_Told | str | None] = SimpleQueue()
        self._thread = Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._told.put(None)
        self._thread.join(LEAVE_SECONDS)

    def begin(self, ask: Ask, record: Record) -> None:
        """A trial begins, or goes on from a step."""
        self._told.put(_Told("begin", ask, record))

    def report(self, ask: Ask, record: Record) -> None:
        """A trial reported: nothing to say, a line per report would bury the ends."""
        self._told.put(_Told("report", ask, record))

    def end(self, ask: Ask, record: Record) -> None:
        """A trial ended."""
        self._told.put(_Told("end", ask, record))

    def lose(self, ask: Ask, record: Record) -> None:
        """A trial's worker died; the trial goes on from its checkpoint."""
        self._told.put(_Told("lose", ask, record))

    def wait(self, ask: Ask, record: Record) -> None:
        """A trial is trained by another study just now."""
        self._told.put(_Told("wait", ask, record))

    def say(self, text: str) -> None:
        """A line from the command; safe in a signal handler, whatever it interrupts."""
        self._told.put(text)

    def _follow(self) -> None:
        live, bars, drawn = self._screen.live, "━─" if self._screen.shows("━─") else "=-", None
        following = True
        while following:
            following, lines = self._hear(live)
            self.standing.watch(time.monotonic())
            size = self._screen.size()
            frame = view(self.standing, self._study, self._select, self._owed(), size, bars) if live else []
            if lines or (frame, size) != drawn:
                self._screen.draw(lines, frame)
                drawn = frame, size

    def _hear(self, live: bool) -> tuple[bool, list[Text]]:
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
                lines += _wrapped("", told, "bold", columns)
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
        lines = _wrapped(self._beginning(clock, counts, told.ask.arm, trial_name(told.ask)), text, style, columns)
        if not self._headed:
            self._headed = True
            lines = _wrapped(self._beginning("time", "ended", "row", "trial"), self._select, "dim", columns) + lines
        return lines

    def _beginning(self, clock: str, ended: str, arm: str, trial: str) -> str:
        count = max(2 * len(str(self.standing.planned)) + 1, 5)
        return f"{clock:<8}  {ended:>{count}}  {set_cell_size(short(arm), ARM_COLUMNS)}  {trial:<9}  "


@dataclass(frozen=True)
class _Told:
    event: Event
    ask: Ask
    record: Record
    clock: float = field(default_factory=time.time)
    moment: float = field(default_factory=time.monotonic)


@dataclass
class ArmStanding:
    """Where one arm stands."""

    search: int
    confirm: int
    """Planned trials."""
    running: dict[Key, tuple[int, float]] = field(default_factory=dict)
    """The last reported step of each running trial, and when it was reported, in seconds."""
    ended: dict[Key, tuple[State, int]] = field(default_factory=dict)
    """How each ended trial ended, and at which step."""
    values: dict[Key, float] = field(default_factory=dict)
    """The newest selector of each trial."""
    pace: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=PACE_REPORTS))
    """Steps and seconds between reports."""

    @property
    def planned(self) -> int:
        """All its trials."""
        return self.search + self.confirm

    @property
    def states(self) -> Counter[State]:
        """How many of its trials ended in which way."""
        return Counter(state for state, _ in self.ended.values())

    @property
    def best(self) -> float | None:
        """The highest newest selector of its search trials, without failed ones; None before the first."""
        return max((value for key, value in self._kept() if key[1] == "search"), default=None)

    @property
    def confirmed(self) -> float | None:
        """The mean selector of its ended confirm trials, without failed ones; None before the first."""
        values = [value for key, value in self._kept() if key[1] == "confirm" and key in self.ended]
        return statistics.fmean(values) if values else None

    def _kept(self) -> Iterable[tuple[Key, float]]:
        return (
            (key, value) for key, value in self.values.items() if self.ended.get(key, ("complete", 0))[0] != "failed"
        )


class Standing:
    """Where a study stands, from what its ledger told, at moments in seconds of one clock."""

    def __init__(self, planned: Mapping[str, tuple[int, int]], steps: int, selector: Callable[[str], str]) -> None:
        self.arms = {arm: ArmStanding(search, confirm) for arm, (search, confirm) in planned.items()}
        self.steps = steps
        """Of a full-length trial."""
        self.selector = selector
        self._crowd = 0.0
        self._watched: float | None = None
        self._began = 0.0

    @property
    def planned(self) -> int:
        """All trials of the study."""
        return sum(arm.planned for arm in self.arms.values())

    @property
    def ended(self) -> int:
        """Trials that ended."""
        return sum(len(arm.ended) for arm in self.arms.values())

    @property
    def running(self) -> int:
        """Trials that run now."""
        return sum(len(arm.running) for arm in self.arms.values())

    def take(self, event: Event, ask: Ask, record: Record, moment: float) -> None:
        """Enter an event; the same event twice changes nothing."""
        self.watch(moment)
        if event == "wait":
            return
        arm, key = self.arms[ask.arm], (ask.arm, ask.phase, ask.number)
        if record.reports and (value := record.reports[-1].metrics.get(self.selector(ask.arm))) is not None:
            arm.values[key] = value
        before, since = arm.running.pop(key, (record.step, moment))
        advanced = record.step - before
        if event in ("report", "end") and advanced > 0:
            arm.pace.append((advanced, moment - since))
        arm.ended.pop(key, None)
        if record.end is not None:
            arm.ended[key] = record.end.state, record.end.step
        elif event == "report" and advanced <= 0:
            arm.running[key] = before, since
        else:
            arm.running[key] = record.step, moment
        if self._watched is None and arm.running:
            self._began = self._watched = moment

    def watch(self, moment: float) -> None:
        """Average how many trials run at once: over all the time so far at first, later over the last of it."""
        if self._watched is None or moment <= self._watched:
            return
        window = min(moment - self._began, CROWD_SECONDS)
        self._crowd += (self.running - self._crowd) * min(1.0, (moment - self._watched) / window)
        self._watched = moment

    def seconds_per_step(self, arm: str) -> float | None:
        """Of one trial of an arm, from its last reports; of the others while it has none; None before the first."""
        measured = [pace for pace in map(self._measured, self.arms) if pace is not None]
        own = self._measured(arm)
        return own if own is not None or not measured else statistics.fmean(measured)

    def steps_per_second(self) -> float | None:
        """Of all running trials together, None before the first report."""
        paces = [self.seconds_per_step(name) for name, arm in self.arms.items() for _ in arm.running]
        return sum(1 / pace for pace in paces if pace) or None

    def seconds_left(self) -> float | None:
        """Until the last trial ends, None while nothing is known.

        Running trials count to their last step. A search trial to come counts as many steps as those before it took.
        No machine is fast enough to end before the longest of the running trials does.
        """
        paces = {name: self.seconds_per_step(name) for name in self.arms}
        if self._crowd <= 0 or None in paces.values():
            return None
        expected = self._search_steps()
        work, longest = 0.0, 0.0
        for name, arm in self.arms.items():
            pace = paces[name] or 0.0
            begun = Counter(phase for _, phase, _ in chain(arm.running, arm.ended))
            coming = max(0, arm.search - begun["search"]) * expected
            coming += max(0, arm.confirm - begun["confirm"]) * self.steps
            rests = [self.steps - step for step, _ in arm.running.values()]
            work += pace * (coming + sum(rests))
            longest = max(longest, pace * max(rests, default=0))
        return max(work / self._crowd, longest)

    def _measured(self, arm: str) -> float | None:
        steps = sum(steps for steps, _ in self.arms[arm].pace)
        return sum(seconds for _, seconds in self.arms[arm].pace) / steps if steps else None

    def _search_steps(self) -> float:
        """The mean steps of a search trial, where running ones count in full: the first to end are the shortest."""
        taken = [
            step for arm in self.arms.values() for (_, phase, _), (_, step) in arm.ended.items() if phase == "search"
        ]
        running = sum(phase == "search" for arm in self.arms.values() for _, phase, _ in arm.running)
        return (sum(taken) + running * self.steps) / (len(taken) + running) if taken or running else self.steps


def view(
    standing: Standing, study: str, select: str, owed: object, size: tuple[int, int], bars: str = "━─"
) -> list[Text]:
    """The lines that show where a study stands, on a terminal of `size` columns and lines.

    Rows that find no room are folded into one, those with running trials last. Bars are drawn of two characters.
    """
    columns, height = min(size[0], COLUMNS), size[1]
    table = _Columns(columns, len(str(standing.planned)), bars)
    room = height - 1 - (EVENT_LINES if height >= 16 else 0)
    blank = [Text("")] if room >= 10 else []
    others = {arm: metric for arm in standing.arms if (metric := standing.selector(arm)) != select}
    shown, folded = _folded(standing, room - 4 - 3 * len(blank))
    rows = [table.row(short(arm, table.name), [standing.arms[arm]], mark="*" if arm in others else "") for arm in shown]
    if folded:
        rows.append(table.row(f"{len(folded)} more rows", [standing.arms[arm] for arm in folded]))
    if len(standing.arms) > 1:
        rows.append(table.row("all rows", list(standing.arms.values())))
    notes = ", ".join([select, *(f"* {metric}" for metric in sorted(set(others.values())))])
    title = Text.assemble((clean(study), "bold"), (f"  {notes}", "dim"))
    frame = [
        *blank,
        _apart(title, Text(_left(standing), "bold"), columns),
        *blank,
        table.heading(),
        *rows,
        *blank,
        Text(_pace(standing, owed)),
    ]
    for line in frame:
        line.rstrip()
        line.truncate(columns, overflow="crop")
    return frame[: height - 1]


@dataclass(frozen=True)
class _Columns:
    """The columns of the view: 80 wide, or as wide as the terminal, first without bars, then with shorter names."""

    columns: int
    digits: int
    bars: str

    @property
    def count(self) -> int:
        return max(5, 2 * self.digits + 1)

    @property
    def bar(self) -> int:
        return max(0, 14 - self.count) if self.columns == COLUMNS else 0

    @property
    def name(self) -> int:
        return max(8, min(ARM_COLUMNS, self.columns - 40 - self.count - (self.bar + 1 if self.bar else 0)))

    def heading(self) -> Text:
        row = f"{'row':<{self.name}}{'':{self.bar + 1 if self.bar else 0}} {'ended':>{self.count}}"
        return Text(f"{row} running stopped failed   best confirm", "dim")

    def row(self, name: str, arms: Sequence[ArmStanding], mark: str = "") -> Text:
        """Of one arm, or the sum of several, of which no value can be given."""
        states: Counter[State] = sum((arm.states for arm in arms), Counter())
        running = sum(len(arm.running) for arm in arms)
        ended, planned = states.total(), sum(arm.planned for arm in arms)
        row = Text.assemble(set_cell_size(name, self.name), " ")
        if self.bar:
            full = self.bar * min(ended, planned) // max(1, planned)
            row.append(self.bars[0] * full, "green").append(self.bars[1] * (self.bar - full), "bright_black").append(
                " "
            )
        row.append(f"{ended}/{planned}".rjust(self.count))
        row.append(f"{running:>8}", "cyan" if running else "dim")
        row.append(f"{states['stopped']:>8}", "" if states["stopped"] else "dim")
        row.append(f"{states['failed']:>7}", "red" if states["failed"] else "dim")
        for value in (arms[0].best, arms[0].confirmed) if len(arms) == 1 else ():
            row.append(f"{'-' if value is None else format(value, '.3f'):>7}", "dim" if value is None else "")
            row.append(f"{mark if value is not None else '':1}", "dim")
        return row


def _folded(standing: Standing, room: int) -> tuple[list[str], list[str]]:
    """The arms that get one of the lines, and those that share the last, in the study's order."""
    names = list(standing.arms)
    if len(names) <= room:
        return names, []

    def urgency(name: str) -> int:
        arm = standing.arms[name]
        return 0 if arm.running else 1 if len(arm.ended) < arm.planned else 2

    kept = set(sorted(names, key=urgency)[: max(0, room - 1)])
    return [name for name in names if name in kept], [name for name in names if name not in kept]


def _left(standing: Standing) -> str:
    if standing.ended >= standing.planned:
        return "all trials ended"
    seconds = standing.seconds_left()
    return "time left: -" if seconds is None else f"{about(seconds)} left"


def _pace(standing: Standing, owed: object) -> str:
    rate = standing.steps_per_second()
    steps = "-" if rate is None else f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return f"{standing.running} running   {steps} steps/s   owed to MLflow: {owed or 'nothing'}"


def about(seconds: float) -> str:
    """A duration as it can be trusted: `about 2 h`, `about 40 min`, `under a minute`."""
    if seconds < 60:
        return "under a minute"
    if seconds < 90 * 60:
        minutes = seconds / 60
        return f"about {math.ceil(minutes) if minutes < 10 else 5 * math.ceil(minutes / 5)} min"
    hours = seconds / 3600
    if hours < 36:
        return f"about {math.ceil(2 * hours) / 2 if hours < 5 else math.ceil(hours):g} h"
    return f"about {math.ceil(hours / 24)} days"


def _happened(told: _Told, selector: str, select: str) -> tuple[str, str]:
    """What an event says, and its style."""
    step, end = told.record.step, told.record.end
    if told.event == "lose":
        return f"lost its worker; it goes on from step {step:,}", "yellow"
    if told.event == "wait":
        return "is trained by another study; waits for it", ""
    if end is None:
        return (f"goes on from {step:,}" if step else "begins"), ""
    if end.state == "failed":
        again = "; the next run tries it again" if end.retry else ""
        return f"FAILED at step {end.step:,}: {end.reason}{again}", "red"
    value = told.record.reports[-1].metrics.get(selector) if told.record.reports else None
    text = "no value" if value is None else f"{value:.3f}"
    if selector != select and value is not None:
        text += f" {selector}"
    if end.state == "stopped":
        return f"{text}, stopped at {end.reason or f'{end.step:,}'}", ""
    return (f"{text}, {end.reason}", "yellow") if end.reason else (text, "")


def trial_name(ask: Ask) -> str:
    """What a trial is called within its arm."""
    return f"seed {ask.trial.seed}" if ask.phase == "confirm" else f"search {ask.number}"


def clean(text: str) -> str:
    """Without what could move a terminal's cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


def short(name: str, columns: int = ARM_COLUMNS) -> str:
    """A name that fits its column; the end tells apart what a study varies, so the middle goes."""
    name = clean(name)
    if cell_len(name) <= columns:
        return name
    tail = name
    while cell_len(tail) > columns // 2:
        tail = tail[1:]
    return f"{set_cell_size(name, columns - 2 - cell_len(tail)).rstrip()}..{tail}"


def _apart(left: Text, right: Text, columns: int) -> Text:
    left.truncate(max(0, columns - right.cell_len - 2), overflow="ellipsis", pad=True)
    return Text.assemble(left, "  ", right)


def _wrapped(beginning: str, text: str, style: str, columns: int) -> list[Text]:
    """Lines of at most so many columns; a word that is longer, mostly a path, stays in one piece to be copied."""
    lines = [Text(beginning)]
    for word in clean(text).split():
        begun = bool(lines[-1].plain.strip())
        gap = " " if begun and not lines[-1].plain.endswith(" ") else ""
        if begun and lines[-1].cell_len + len(gap) + cell_len(word) > columns:
            lines.append(Text(" " * HANGING_COLUMNS if beginning else ""))
            gap = ""
        lines[-1].append(gap).append(word, style)
    for line in lines:
        line.rstrip()
    return lines
