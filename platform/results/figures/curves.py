"""Learning curves: one panel per arm."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator

from platform.records.record import ORACLE_MIOU, StudyHeader
from platform.results.figures.png import DOTS_PER_INCH, own_style, wrapped
from platform.results.runs import ArmRuns, Run

# Okabe and Ito's colours (2008), told apart under every common colour blindness; lightness alone also separates them.
CONFIRM, REFERENCE, SEARCH, STOPPED, FAILED = "#0072B2", "#D55E00", "#A6A6A6", "#666666", "#000000"
FEW_POINTS = 0.02
"""Share of a figure's points, of which the lowest may be cut off."""
BESIDE: Literal["--"] = "--"
"""How the reference is drawn in the other arms' panels."""
COLUMNS = 5
"""Panels side by side before the next arm starts a new line."""


@own_style
def curves(header: StudyHeader, runs: Mapping[str, ArmRuns]) -> Figure:
    """Selector and oracle mIoU against the step: one panel per arm, axes shared, search thin, confirm runs thick."""
    names = tuple(dict.fromkeys((header.select, ORACLE_MIOU)))
    columns = min(len(header.arms), COLUMNS)
    lines = math.ceil(len(header.arms) / columns)
    size = (max(2.1 * columns, 6.3), 0.9 + lines * (0.5 + 1.6 * len(names)))
    figure = Figure(size, DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots(lines * len(names), columns, sharex=True, squeeze=False)
    for position, name in enumerate(names):
        panels: list[Axes] = axes[position :: len(names)].ravel().tolist()
        reference = _mean_and_range(_confirmed(runs[header.reference]), name)
        for panel, arm in zip(panels, header.arms, strict=False):
            _thin_curves(panel, runs[arm.name], name)
            _confirm_curve(panel, _confirmed(runs[arm.name]), name)
            if arm.name != header.reference:
                panel.plot(reference[0], reference[1], BESIDE, color=REFERENCE, linewidth=1.2, zorder=2)
            if position == 0:
                title = wrapped(f"{arm.name} †" if arm.supervised else arm.name, 24)
                panel.set_title(title, fontsize=9, fontweight="bold", parse_math=False)
            if said := _instead_of_curves(runs[arm.name]):
                panel.text(0.5, 0.05, said, ha="center", va="bottom", transform=panel.transAxes, color="grey")
        _style(panels, header, name)
        for panel in panels[len(header.arms) :]:
            panel.set_visible(False)
    for panel in axes[len(names) - 1 :: len(names)].flat:
        panel.tick_params(labelbottom=True)
        panel.set_xlabel("step", fontsize=8)
    _curves_legend(figure, header)
    return figure


def _series(run: Run, name: str) -> tuple[list[int], list[float]]:
    points = [(report.step, report.metrics[name]) for report in run.reports if name in report.metrics]
    return [step for step, _ in points], [value for _, value in points]


def _confirmed(runs: ArmRuns) -> list[Run]:
    """The complete confirm runs, or those that go on while none is."""
    complete = [run for run in runs.confirm if run.state == "complete"]
    return complete or [run for run in runs.confirm if run.state is None and run.reports]


def _mean_and_range(runs: Sequence[Run], name: str) -> tuple[list[int], list[float], list[float], list[float]]:
    """Steps that all runs reported, with the mean, minimum and maximum over runs."""
    values = [dict(zip(*_series(run, name), strict=True)) for run in runs]
    steps = sorted(set.intersection(*map(set, values))) if values else []
    at = [[run[step] for run in values] for step in steps]
    return steps, [float(np.mean(each)) for each in at], [min(each) for each in at], [max(each) for each in at]


def _thin_curves(panel: Axes, runs: ArmRuns, name: str) -> None:
    """Every search run, and the confirm runs that failed, with a mark where one ended early."""
    failed = [run for run in runs.confirm if run.state == "failed"]
    for run, colour in (*((run, SEARCH) for run in runs.search), *((run, CONFIRM) for run in failed)):
        steps, values = _series(run, name)
        panel.plot(steps, values, _point(steps), color=colour, linewidth=0.9, zorder=1)
        if run.state == "stopped":
            panel.plot(steps[-1:], values[-1:], "o", color=STOPPED, markersize=3, zorder=4)
        elif run.state == "failed":
            panel.plot(steps[-1:], values[-1:], "x", color=FAILED, markersize=5, zorder=4)


def _instead_of_curves(runs: ArmRuns) -> str:
    """What a panel says that would be empty, or that shows only runs that failed."""
    if runs.all and all(run.state == "failed" for run in runs.all):
        return f"all {len(runs.all)} trials failed"
    return "" if any(run.reports or run.end for run in runs.all) else "nothing ran yet"


def _confirm_curve(panel: Axes, runs: Sequence[Run], name: str) -> None:
    steps, mean, low, high = _mean_and_range(runs, name)
    panel.fill_between(steps, low, high, color=CONFIRM, alpha=0.25, linewidth=0, zorder=2)
    panel.plot(steps, mean, _point(steps), color=CONFIRM, linewidth=2, zorder=3)


def _point(steps: Sequence[int]) -> str:
    return "-" if len(steps) > 1 else "."  # a line through a single point is invisible


def _style(panels: Sequence[Axes], header: StudyHeader, name: str) -> None:
    """Share the axes among the panels of one metric, and say at the left what it is."""
    bottom, top = _limits(panels)
    for number, panel in enumerate(panels):
        panel.set_ylim(bottom, top)
        panel.set_xlim(0, header.steps)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="#E5E5E5", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=8, length=2, labelleft=number % COLUMNS == 0)
        panel.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))
        panel.yaxis.set_major_locator(MaxNLocator(5))
        for rung in header.rungs:
            if rung < header.steps:
                panel.axvline(rung, color="#BBBBBB", linestyle=":", linewidth=0.8, zorder=0)
        if number % COLUMNS == 0:
            panel.set_ylabel(f"{name}\n({_role(header, name)})", fontsize=8)


def _limits(panels: Sequence[Axes]) -> tuple[float, float]:
    """What all panels show: everything, but for few points that lie further below the others than these are spread."""
    drawn = [panel for panel in panels if np.isfinite(panel.dataLim.y1)]
    if not drawn:
        return 0.0, 1.0
    # Every panel shows the reference's mean, which counts once: as the thick line of its own panel.
    lines = [line for panel in drawn for line in panel.lines if line.get_linestyle() != BESIDE]
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in lines])
    lowest, low = np.quantile(values[np.isfinite(values)], [0.0, FEW_POINTS]).tolist()
    high = max(panel.dataLim.y1 for panel in drawn)
    if low - lowest > high - low:
        margin = 0.05 * (high - low)
        return low - margin, high + margin
    return min(panel.get_ylim()[0] for panel in drawn), max(panel.get_ylim()[1] for panel in drawn)


def _role(header: StudyHeader, name: str) -> str:
    """What a metric does in the search, by arm: a dagger marks those that are trained on target labels."""
    others = any(arm.select != header.select for arm in header.arms)
    if name == header.select:
        return "selects, but for †" if others else "selects"
    return "selects † only" if any(arm.select == name for arm in header.arms) else "reported only"


def _curves_legend(figure: Figure, header: StudyHeader) -> None:
    band = Patch(color=CONFIRM, alpha=0.25, linewidth=0), Line2D([], [], color=CONFIRM, linewidth=2)
    entries: dict[str, Any] = {
        "confirm runs: mean and range over seeds": band,
        f"reference: {wrapped(header.reference, 28)}": Line2D([], [], color=REFERENCE, linestyle=BESIDE, linewidth=1.2),
        "search trial": Line2D([], [], color=SEARCH, linewidth=0.9),
        "stopped early": Line2D([], [], color=STOPPED, marker="o", markersize=3, linestyle=""),
        "failed": Line2D([], [], color=FAILED, marker="x", markersize=5, linestyle=""),
        "rung": Line2D([], [], color="#BBBBBB", linestyle=":", linewidth=0.8),
    }
    if any(arm.supervised for arm in header.arms):
        entries["† trains on target labels: an upper bound"] = Line2D([], [], linestyle="")
    legend = figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        # Three panels side by side are too narrow for more than two entries beside each other.
        ncols=4 if figure.get_figwidth() > 8 else 2,
        fontsize=8,
        frameon=False,
        handler_map={tuple: HandlerTuple(ndivide=1, pad=0)},
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
