"""The table as plain text of a terminal's width."""

import io
import math

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from platform.results.ablation.effects import Ablation, ablations
from platform.results.lines import NONE, count, hanging
from platform.results.report import wording
from platform.results.report.sections import differences, effects
from platform.results.table import FIXED, Table


def render(table: Table, width: int = 80) -> str:
    """The table in lines of at most `width` columns: scores, how each row was reached, then what went wrong."""
    header = table.header
    height, wide = header.shift["size"]
    title = (
        f"{header.name}: {header.shift['name']} at {height} x {wide}, {header.steps:,} steps, "
        f"selected by {header.select}"
    )
    lent = {arm.name for arm in header.arms if arm.tuned_as}
    tuned = [
        f"{row.arm} tuned {'' if row.arm in lent else 'to '}{row.tuned}"
        for row in table.rows
        if row.tuned not in (FIXED, "")
    ]
    parts = ablations(table)
    reading = [
        f"mIoU: mean over {wording.classes(table)}. {wording.interval(table)}",
        f"Δ: difference to {header.reference}, paired by seed; * {wording.TOLD}.",
        *filter(None, [differences.of_the_race(table)]),
        differences.can_show(table),
        *(f"Effects of {each.name}: * {effects.told(each)}." for each in parts if effects.has_intervals(each)),
        f"params, GFLOPs: {wording.PUBLISHED}.",
        wording.latency_of(table),
        *wording.beginnings(table),
        *wording.shared_hours(table),
    ]
    faults = [f"! {note}" for note in table.notes] + [f"  {reason}" for reason in wording.reasons(table)]
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_terminal=False)
    console.print(Text(title), end="\n\n")
    if table.selected_by_oracle:
        console.print(Text(f"!!! {wording.oracle_warning(table)} !!!"), end="\n\n")
    for grid in (_scores(table), _differences(table), *map(_effects, parts), _efforts(table)):
        console.print(grid)
        console.print()
    if any(not math.isnan(row.checkpoints.last) for row in table.rows):
        console.print(_checkpoints(table))
        console.print()
        console.print(Text("\n".join(hanging(wording.checkpoints(table), width))))
        console.print()
    for number, lines in enumerate(filter(None, (tuned, reading, faults))):
        if number:
            console.print()
        for line in lines:
            console.print(Text("\n".join(hanging(line, width, rest="  "))))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _scores(table: Table) -> Grid:
    grid = _grid("arm", "mIoU", "Δ mIoU", "acc.", "params", "GFLOPs", "ms")
    for row in table.rows:
        delta = wording.delta(row, table, differences.starred).replace(" ± ", "±")
        if not row.comparison.to_reference.told:
            delta += "  "  # keeps its digits under those of the starred ones
        miou = wording.miou(row).replace(" ± ", "±")
        accuracy = wording.number(row.scores.accuracy, ".3f")
        cost = (count(row.cost.parameters), f"{row.cost.gflops:.3g}", wording.latency(row))
        cells = (wording.name(row), miou, delta, accuracy, *cost)
        grid.add_row(*map(Text, cells))
    return grid


def _differences(table: Table) -> Grid:
    """What is told of rows beside each other; without the columns that say nothing."""
    rows = [tuple(cell.replace(" ± ", "±") for cell in differences.cells(row, table)) for row in table.rows]
    used = differences.used(rows)
    grid = _grid("arm", *(differences.HEAD[place] for place in used))
    for row, cells in zip(table.rows, rows, strict=True):
        grid.add_row(*map(Text, (wording.name(row), *(cells[place] for place in used))))
    return grid


def _effects(ablation: Ablation) -> Grid:
    """What each part of an ablation is worth, the largest first; how to read it the page says."""
    grid = _grid(f"{ablation.name}: {ablation.design}", *effects.HEAD)
    for effect in ablation.in_order:
        name = " ".join((effect.contrast.name, *effect.contrast.aliases))
        cells = effects.cells(effect.worth, differences.starred)
        grid.add_row(Text(name), *(Text(cell.replace(" ± ", "±")) for cell in cells))
    return grid


def _efforts(table: Table) -> Grid:
    grid = _grid("arm", "only trained", "seeds", "trials", "stopped", "failed", "hours")
    for row in table.rows:
        only_trained = count(row.cost.discriminator_parameters)
        cells = (
            wording.name(row),
            f"+{only_trained}" if row.cost.discriminator_parameters else NONE,
            f"{row.scores.seeds} of {table.runs[row.arm].seeds}",
            str(row.effort.trials),
            str(row.effort.stopped),
            str(row.troubles.failed),
            f"{row.effort.hours:.2f}",
        )
        grid.add_row(*map(Text, cells))
    return grid


def _checkpoints(table: Table) -> Grid:
    grid = _grid("checkpoint", *wording.CHECKPOINTS)
    for row in table.rows:
        grid.add_row(*map(Text, (wording.name(row), *wording.mious_of_checkpoints(row))))
    return grid


def _grid(*names: str) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for number, name in enumerate(names):
        grid.add_column(Text(name), justify="right" if number else "left", overflow="fold")
    return grid
