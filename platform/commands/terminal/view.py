"""The lines that show where a study stands."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import set_cell_size
from rich.text import Text

from platform.commands.terminal.screen import COLUMNS
from platform.commands.terminal.standing import ArmStanding, Standing
from platform.commands.terminal.text import ARM_COLUMNS, apart, short
from platform.records.plain import legible
from platform.records.record import State

EVENT_LINES = 4
"""Lines of a terminal that the view leaves to the last events."""


def view(
    standing: Standing, study: str, select: str, owed: object, size: tuple[int, int], bars: str = "━─"
) -> list[Text]:
    """The lines that show where a study stands, on a terminal of `size` columns and lines.

    Arms that find no room share one row; those with running trials are the last to. `bars` are the two characters of a
    bar, for what has ended and for what has not.
    """
    columns, height = min(size[0], COLUMNS), size[1]
    table = _Columns(columns, len(str(standing.planned)), bars)
    room = height - 1 - (EVENT_LINES if height >= 16 else 0)
    blank = [Text("")] if room >= 10 else []
    others = {arm: metric for arm in standing.shown if (metric := standing.selector(arm)) != select}
    shown, folded = _folded(standing, room - 4 - 3 * len(blank))
    rows = [table.row(short(arm, table.name), [standing.arms[arm]], mark="*" if arm in others else "") for arm in shown]
    if folded:
        rows.append(table.row(f"{len(folded)} more rows", [standing.arms[arm] for arm in folded]))
    if len(standing.shown) > 1:
        rows.append(table.row("all rows", list(standing.arms.values())))
    notes = ", ".join([select, *(f"* {metric}" for metric in sorted(set(others.values())))])
    title = Text.assemble((legible(study), "bold"), (f"  {notes}", "dim"))
    frame = [
        *blank,
        apart(title, Text(_left(standing), "bold"), columns),
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
        """The row of one arm, or of several together, which have counts but no values."""
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
    """The arms that get a line of their own, and those that share the last, in the study's order."""
    names = list(standing.shown)
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
    """A duration, rounded to what the estimate is worth: `about 2 h`, `about 40 min`, `under a minute`."""
    if seconds < 60:
        return "under a minute"
    if seconds < 90 * 60:
        minutes = seconds / 60
        return f"about {math.ceil(minutes) if minutes < 10 else 5 * math.ceil(minutes / 5)} min"
    hours = seconds / 3600
    if hours < 36:
        return f"about {math.ceil(2 * hours) / 2 if hours < 5 else math.ceil(hours):g} h"
    return f"about {math.ceil(hours / 24)} days"
