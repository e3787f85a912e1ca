"""What an ablation's parts are worth: effects by size, with their intervals."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from platform.results.ablation.effects import Ablation, Effect
from platform.results.figures.curves import CONFIRM, SEARCH
from platform.results.figures.png import DOTS_PER_INCH, own_style, wrapped
from platform.results.report.wording import level

WIDTH, LINE = 6.3, 0.32
"""Inches: of the figure, and of an effect in it."""


@own_style
def effects(ablations: Sequence[Ablation]) -> Figure:
    """One panel per ablation, below each other, with one scale: its effects, the largest on top, and where 0 is."""
    heights = [1 + len(ablation.effects) for ablation in ablations]
    size = WIDTH, 0.6 + LINE * sum(heights) + 0.5 * len(ablations)
    figure = Figure(size, DOTS_PER_INCH, layout="constrained")
    panels: list[Axes] = (
        figure.subplots(len(ablations), 1, sharex=True, squeeze=False, height_ratios=heights).ravel().tolist()
    )
    for panel, ablation in zip(panels, ablations, strict=True):
        _bars(panel, ablation.in_order)
        title = wrapped(f"{ablation.name}: {ablation.design}", 80)
        panel.set_title(title, fontsize=9, fontweight="bold", parse_math=False, loc="left")
        panel.axvline(0, color="black", linestyle="--", linewidth=0.9, zorder=1)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.grid(axis="x", color="#E5E5E5", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=8, length=2, labelbottom=True)
        panel.locator_params(axis="x", nbins=6)
    held = level(max(ablation.looks for ablation in ablations))
    figure.supxlabel(f"effect on mIoU, with its {held} interval over seeds; grey where it is not marked", fontsize=8)
    return figure


def _bars(panel: Axes, shown: Sequence[Effect]) -> None:
    for place, effect in enumerate(shown):
        if math.isnan(effect.worth.miou):
            continue
        colour = CONFIRM if effect.worth.told else SEARCH
        half = 0.0 if math.isnan(effect.worth.miou_ci) else effect.worth.miou_ci
        panel.plot(
            [effect.worth.miou - half, effect.worth.miou + half], [place, place], color=colour, linewidth=1.6, zorder=2
        )
        panel.plot([effect.worth.miou], [place], "o", color=colour, markersize=4.5, zorder=3)
    panel.set_yticks(range(len(shown)))
    panel.set_yticklabels([_label(effect) for effect in shown], fontsize=8, parse_math=False)
    panel.set_ylim(len(shown) - 0.4, -0.6)


def _label(effect: Effect) -> str:
    return wrapped(" ".join((effect.contrast.name, *effect.contrast.aliases)), 44)
