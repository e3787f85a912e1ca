"""An audit's picture of a study: what each selector says of a trial, beside what the trial is worth."""

import math
from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from platform.results.audit.checkpoints import Checkpoint
from platform.results.audit.measures import weighted_spearman
from platform.results.figures.curves import CONFIRM, REFERENCE, SEARCH
from platform.results.figures.png import DOTS_PER_INCH, own_style, wrapped

COLUMNS = 5
NONE = "–"


@own_style
def scatter(study: str, checkpoints: Sequence[Checkpoint], selectors: Sequence[str]) -> Figure:
    """One panel per selector: its score of each finished trial against the trial's mIoU on the target.

    Confirm trials by the test split, search trials by the labels of val; the reference's in another colour; a ring
    around the confirm trial that would be chosen.
    """
    last = [each for each in checkpoints if each.is_last]
    confirmed = [each for each in last if each.test is not None]
    searched = [each for each in last if each.test is None]
    columns = min(len(selectors), COLUMNS)
    lines = math.ceil(len(selectors) / columns)
    figure = Figure((2.3 * columns, 0.9 + 2.0 * lines), DOTS_PER_INCH, layout="constrained")
    panels: list[Axes] = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel().tolist()
    for panel, name in zip(panels, selectors, strict=False):
        _dots(panel, searched, name, SEARCH, hollow=True)
        _dots(panel, [each for each in confirmed if not each.is_reference], name, CONFIRM)
        _dots(panel, [each for each in confirmed if each.is_reference], name, REFERENCE)
        _title(panel, name, confirmed)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="#E5E5E5", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=7, length=2)
        panel.locator_params(axis="x", nbins=3)
    for panel in panels[len(selectors) :]:
        panel.set_visible(False)
    for panel in panels[::columns]:
        panel.set_ylabel("target mIoU", fontsize=8)
    figure.suptitle(wrapped(study, 90), fontsize=10, parse_math=False)
    _legend(figure)
    return figure


def _dots(panel: Axes, checkpoints: Sequence[Checkpoint], name: str, colour: str, hollow: bool = False) -> None:
    panel.scatter(
        [each.scores[name] for each in checkpoints],
        [each.val if each.test is None else each.test for each in checkpoints],
        s=14,
        facecolors="none" if hollow else colour,
        edgecolors=colour,
        linewidths=0.8,
    )


def _title(panel: Axes, name: str, confirmed: Sequence[Checkpoint]) -> None:
    """The selector's name, its correlation over the confirm trials, and a ring around its choice."""
    text = wrapped(name, 30)
    if len(confirmed) > 1:
        worth = [each.test or 0.0 for each in confirmed]
        correlation = weighted_spearman([each.scores[name] for each in confirmed], worth)
        text += f"\nρ {correlation:+.2f}" if math.isfinite(correlation) else f"\nρ {NONE}"
        best = max(confirmed, key=lambda each: each.scores[name])
        panel.scatter(
            [best.scores[name]], [best.test or 0.0], s=70, facecolors="none", edgecolors="black", linewidths=1.0
        )
    panel.set_title(text, fontsize=8, parse_math=False)


def _legend(figure: Figure) -> None:
    dot = partial(Line2D, [], [], marker="o", linestyle="", markersize=4)
    entries = {
        "confirm trial (test split)": dot(color=CONFIRM),
        "the reference's": dot(color=REFERENCE),
        "search trial (val split)": dot(color=SEARCH, markerfacecolor="none"),
        "the choice": dot(color="black", markerfacecolor="none", markersize=8),
    }
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
