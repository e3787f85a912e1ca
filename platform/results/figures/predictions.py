"""Predictions side by side in Cityscapes' colours."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from platform.results.figures.png import DOTS_PER_INCH, own_style, wrapped
from platform.shifts.labels import CLASSES, VOID, Groups, group_names, palette
from platform.shifts.shift import Pixels

GAP = 0.04
"""Inches between pictures."""
MOST_ARMS = 6
"""Beside each other; more make the picture wider than a screen."""
T = TypeVar("T")


@dataclass(frozen=True)
class _Layout:
    """Blocks of pictures, each with titles above, and a legend below them all, in inches from the lower left corner."""

    titles: Sequence[Sequence[str]]
    """Of each block's pictures."""
    lines: int
    """Of each block."""
    cell: tuple[float, float]
    """Width and height of a picture."""
    head: float
    """Height of a block's titles."""
    foot: float
    """Height of the legend."""
    width: float
    names_per_line: int

    @classmethod
    def of(cls, titles: Sequence[Sequence[str]], lines: int, aspect: float, names: Sequence[str]) -> "_Layout":
        """The layout for pictures `aspect` times as high as wide: the fewer columns, the larger."""
        columns = max(map(len, titles))
        cell = min(max(11 / columns, 1.2), 3)
        titles = [[wrapped(title, int(cell * 13)) for title in block] for block in titles]
        width = columns * (cell + GAP) + GAP
        per_line = max(1, min(len(names), int(width / (0.45 + 0.075 * max(map(len, names))))))
        head = 0.1 + 0.16 * max(title.count("\n") + 1 for block in titles for title in block)
        foot = 0.12 + 0.17 * math.ceil(len(names) / per_line)
        return cls(titles, lines, (cell, cell * aspect), head, foot, width, per_line)

    @property
    def height(self) -> float:
        return len(self.titles) * (self.head + self.lines * (self.cell[1] + GAP)) + self.foot

    def box(self, block: int, column: int, line: int) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of a picture, in parts of the figure."""
        width, height = self.cell
        left = GAP + column * (width + GAP)
        above = (block + 1) * self.head + (block * self.lines + line) * (height + GAP)
        return left / self.width, (self.height - above - height) / self.height, width / self.width, height / self.height


@own_style
def comparison(images: Pixels, truth: Pixels, predictions: Mapping[str, Pixels], groups: Groups) -> Figure:
    """One line per image: the image, its ground truth and each arm's prediction, coloured by the evaluated groups.

    What does not fit beside the two stands in further blocks below, beside the same two. `images` is uint8 RGB of shape
    (number, height, width, 3); `truth` and each prediction are train ids of shape (number, label height, label width),
    whatever their resolution. A group has the colour of its first member; what belongs to no group is black.
    """
    names = _present([truth, *predictions.values()], groups)
    given = {"image": images, "ground truth": _coloured(truth, groups)}
    arms = {name: _coloured(stack, groups) for name, stack in predictions.items()}
    blocks = [[*given.items(), *block] for block in _in_blocks(list(arms.items()))]
    number, height, width = images.shape[:3]
    layout = _Layout.of([[title for title, _ in block] for block in blocks], number, height / width, list(names))
    figure = Figure((layout.width, layout.height), DOTS_PER_INCH)
    for place, block in enumerate(blocks):
        for (column, (_, stack)), line in itertools.product(enumerate(block), range(number)):
            panel = figure.add_axes(layout.box(place, column, line))
            panel.imshow(stack[line], aspect="auto", interpolation="nearest" if column else "antialiased")
            panel.set_axis_off()
            if line == 0:
                panel.set_title(layout.titles[place][column], fontsize=9, pad=4, parse_math=False)
    figure.legend(
        [Patch(facecolor=colour, edgecolor="#888888", linewidth=0.4) for colour in names.values()],
        list(names),
        loc="lower center",
        ncols=layout.names_per_line,
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


def _in_blocks(arms: Sequence[T]) -> list[Sequence[T]]:
    """As few blocks as hold them all, of nearly the same length; one that is empty without any."""
    length = math.ceil(len(arms) / math.ceil(len(arms) / MOST_ARMS)) if arms else 1
    return [arms[start : start + length] for start in range(0, max(len(arms), 1), length)]


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
