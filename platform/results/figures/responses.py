"""What search trials scored, by the fields that were searched: one panel per row of the table and field."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from platform.design.ranges import OneOf
from platform.results.figures.curves import CONFIRM, REFERENCE, STOPPED
from platform.results.figures.png import DOTS_PER_INCH, own_style, wrapped
from platform.results.lines import p_value, short
from platform.results.responses.fields import Mark, SearchedField, is_logarithmic

COLUMNS = 4
"""Panels side by side before the next field starts a new line."""
MOST_LISTED = 12
"""Characters of a listed value below a panel."""


@own_style
def responses(fields: Sequence[SearchedField]) -> Figure:
    """The selector where each search trial ended against the field's value, and the response where there is one.

    Axes are those of the search: logarithms where it drew logarithms, and the range from end to end. Panels of one row
    share their scores' axis.
    """
    columns = min(len(fields), COLUMNS)
    lines = math.ceil(len(fields) / columns)
    size = (max(2.5 * columns, 6.3), 0.9 + 2.1 * lines)
    figure = Figure(size, DOTS_PER_INCH, layout="constrained")
    panels: list[Axes] = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
    drawn = list(zip(panels, fields, strict=False))
    for panel, field in drawn:
        _draw(panel, field)
    for (left, before), (panel, field) in pairwise(drawn):
        if field.arm == before.arm:
            panel.sharey(left)
            panel.autoscale(axis="y")
    for panel in panels[len(fields) :]:
        panel.set_visible(False)
    _legend(figure, fields)
    return figure


def _draw(panel: Axes, field: SearchedField) -> None:
    panel.set_title(_title(field), fontsize=8.5, fontweight="bold", parse_math=False)
    panel.set_xlabel(field.field, fontsize=8, parse_math=False)
    panel.set_ylabel(field.selector, fontsize=7, parse_math=False)
    _axis(panel, field)
    if field.response is not None:
        at = [_at(field, value) for value in field.at]
        if isinstance(field.range, OneOf):
            spread = [field.response.mean, field.response.low, field.response.high]
            for x, mean, low, high in zip(at, *spread, strict=True):
                panel.fill_between([x - 0.3, x + 0.3], low, high, color=CONFIRM, alpha=0.2, linewidth=0, zorder=1)
                panel.plot([x - 0.3, x + 0.3], [mean, mean], color=CONFIRM, linewidth=1.4, zorder=2)
        else:
            panel.fill_between(at, field.response.low, field.response.high, color=CONFIRM, alpha=0.2, linewidth=0)
            panel.plot(at, field.response.mean, color=CONFIRM, linewidth=1.4, zorder=2)
    _dots(panel, field, field.stopped, STOPPED, hollow=True)
    _dots(panel, field, field.complete, CONFIRM)
    for value, colour, style in ((field.default, REFERENCE, ":"), (field.chosen, "black", "--")):
        if value is not None:
            panel.axvline(_at(field, value), color=colour, linestyle=style, linewidth=1.1, zorder=1)
    if not field.complete and not field.stopped:
        panel.text(0.5, 0.5, "no trial has ended", ha="center", transform=panel.transAxes, color="grey", fontsize=8)


def _title(field: SearchedField) -> str:
    name = wrapped(f"{field.arm} †" if field.supervised else field.arm, 28)
    said = []
    if field.importance is not None:
        said.append(f"importance {field.importance.share:.0%}")
    if field.response is not None:
        said.append(f"p {p_value(field.response.chance)}")
    return "\n".join([name, *([", ".join(said)] if said else [])])


def _axis(panel: Axes, field: SearchedField) -> None:
    if isinstance(field.range, OneOf):
        names = [short(value)[:MOST_LISTED] for value in field.range.values]
        panel.set_xticks(range(len(names)), names, parse_math=False)
        panel.set_xlim(-0.6, len(names) - 0.4)
    else:
        ends = [*field.range.ends(), *(mark.value for mark in (*field.complete, *field.stopped))]
        low, high = float(min(ends)), float(max(ends))
        if is_logarithmic(field.range):
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(LogLocator(numticks=4))
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.set_xlim(low * (low / high) ** 0.04, high * (high / low) ** 0.04)
        else:
            panel.xaxis.set_major_locator(MaxNLocator(4))
            panel.set_xlim(low - 0.04 * (high - low), high + 0.04 * (high - low))
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color="#E5E5E5", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=7, length=2)


def _at(field: SearchedField, value: float | str) -> float:
    """Where a value stands on the panel's axis."""
    return float(field.range.values.index(value)) if isinstance(field.range, OneOf) else float(value)


def _dots(panel: Axes, field: SearchedField, marks: Sequence[Mark], colour: str, hollow: bool = False) -> None:
    panel.scatter(
        [_at(field, mark.value) for mark in marks],
        [mark.score for mark in marks],
        s=14,
        facecolors="none" if hollow else colour,
        edgecolors=colour,
        linewidths=0.8,
        zorder=3,
    )


def _legend(figure: Figure, fields: Sequence[SearchedField]) -> None:
    """Of what occurs in some panel."""
    band = Patch(color=CONFIRM, alpha=0.2, linewidth=0), Line2D([], [], color=CONFIRM, linewidth=1.4)
    entries: dict[str, Any] = {
        "complete search trial": Line2D([], [], color=CONFIRM, marker="o", markersize=4, linestyle=""),
        "stopped there": Line2D([], [], color=STOPPED, marker="o", markersize=4, linestyle="", markerfacecolor="none"),
        "response and its 95 % band": band,
        "chosen": Line2D([], [], color="black", linestyle="--", linewidth=1.1),
        "published default": Line2D([], [], color=REFERENCE, linestyle=":", linewidth=1.1),
    }
    occurs = {
        "complete search trial": any(field.complete for field in fields),
        "stopped there": any(field.stopped for field in fields),
        "response and its 95 % band": any(field.response for field in fields),
        "chosen": any(field.chosen is not None for field in fields),
        "published default": any(field.default is not None for field in fields),
    }
    shown = [name for name in entries if occurs[name]]
    if not shown:
        return
    figure.legend(
        [entries[name] for name in shown],
        shown,
        loc="outside lower center",
        ncols=5 if figure.get_figwidth() > 8 else 3,
        fontsize=8,
        frameon=False,
        handler_map={tuple: HandlerTuple(ndivide=1, pad=0)},
    )
