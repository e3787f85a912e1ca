"""Predictions side by side in Cityscapes' colours."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from platform.results.figures.png import DOTS_PER_INCH, wrapped
from platform.shifts.labels import CLASSES, VOID, Groups, group_names, palette

Pixels = npt.NDArray[np.uint8]


def comparison(images: Pixels, truth: Pixels, predictions: Mapping[str, Pixels], groups: Groups) -> Figure:
    """One line per image: the image, its ground truth and each arm's prediction, coloured by the evaluated groups.

    `images` is uint8 RGB of shape (number, height, width, 3); `truth` and each prediction are train ids of shape
    (number, label height, label width), whatever their resolution. A group has the colour of its first member; what
    belongs to no group is black.
    """
    titles = ["image", "ground truth", *predictions]
    number, height, width = images.shape[:3]
    cell = min(max(11 / len(titles), 1.2), 3)
    cell_height, gap = cell * height / width, 0.04
    names = _present([truth, *predictions.values()], groups)
    titles = [wrapped(title, int(cell * 13)) for title in titles]
    head = 0.1 + 0.16 * max(title.count("\n") + 1 for title in titles)
    total = len(titles) * (cell + gap) + gap
    per_line = max(1, min(len(names), int(total / (0.45 + 0.075 * max(map(len, names))))))
    foot = 0.12 + 0.17 * math.ceil(len(names) / per_line)
    tall = head + number * (cell_height + gap) + foot
    figure = Figure((total, tall), DOTS_PER_INCH)
    for column, (title, stack) in enumerate(zip(titles, (images, truth, *predictions.values()), strict=True)):
        coloured = stack if column == 0 else _coloured(stack, groups)
        left = gap + column * (cell + gap)
        for line in range(number):
            bottom = tall - head - (line + 1) * cell_height - line * gap
            panel = figure.add_axes((left / total, bottom / tall, cell / total, cell_height / tall))
            panel.imshow(coloured[line], aspect="auto", interpolation="antialiased" if column == 0 else "nearest")
            panel.set_axis_off()
            if line == 0:
                panel.set_title(title, fontsize=9, pad=4, parse_math=False)
    handles = [Patch(facecolor=colour, edgecolor="#888888", linewidth=0.4) for colour in names.values()]
    figure.legend(
        handles,
        list(names),
        loc="lower center",
        ncols=per_line,
        fontsize=8,
        frameon=False,
        handlelength=1.2,
        handleheight=0.9,
        columnspacing=1.2,
        borderaxespad=0.2,
        labelspacing=0.35,
    )
    return figure


def prediction_picture(images: Pixels, truth: Pixels, prediction: Pixels, groups: Groups) -> Figure:
    """The comparison of a single trial, with the shapes of `comparison`."""
    return comparison(images, truth, {"prediction": prediction}, groups)


def _coloured(train_ids: Pixels, groups: Groups) -> Pixels:
    """RGB of shape (..., 3) from train ids of shape (...): each group in its first member's colour."""
    colours: Pixels = palette()[_first_members(groups)[train_ids]]
    return colours


def _first_members(groups: Groups) -> Pixels:
    """Lookup table of 256 entries: each train id's group by its first member, void for ids in no group."""
    first = np.full(256, VOID, np.uint8)
    for group in groups:
        first[list(group)] = group[0]
    return first


def _present(stacks: Sequence[Pixels], groups: Groups) -> dict[str, tuple[float, float, float]]:
    """The names and colours, in [0, 1], of the groups that occur, and of void where it does."""
    lookup = _first_members(groups)
    occurring = set(np.unique(np.concatenate([np.unique(lookup[stack]) for stack in stacks])).tolist())
    named = {
        name: _fractions(CLASSES[group[0]].colour)
        for group, name in zip(groups, group_names(groups), strict=True)
        if group[0] in occurring
    }
    return {**named, "void": (0.0, 0.0, 0.0)} if VOID in occurring else named


def _fractions(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255
