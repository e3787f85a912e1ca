"""The figure of searched fields: a panel each, on the search's own axes, with what was seen and what is made of it."""

import dataclasses
import io

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from PIL import Image

from platform.design.ranges import LogUniform, OneOf, Range, Uniform
from platform.results.figures.curves import CONFIRM, STOPPED
from platform.results.figures.png import png
from platform.results.figures.responses import COLUMNS, responses
from platform.results.responses.fields import Mark, SearchedField
from platform.results.responses.kriging import Response
from platform.search.importance.ped_anova import Importance

FITTED = Response(mean=(0.3, 0.5, 0.4), low=(0.1, 0.4, 0.2), high=(0.5, 0.6, 0.6), chance=0.02)
FIELD = SearchedField(
    arm="adversarial",
    supervised=False,
    selector="source/miou",
    field="lambda_adv",
    range=LogUniform(1e-4, 1e-1),
    complete=(Mark(0.001, 0.4), Mark(0.01, 0.5)),
    stopped=(Mark(0.05, 0.2),),
    default=0.001,
    chosen=0.01,
    at=(1e-4, 3e-3, 1e-1),
    response=FITTED,
    importance=Importance(0.68, 0.01),
    alone=False,
)


def changed(range_: Range, **changes: object) -> SearchedField:
    return dataclasses.replace(FIELD, range=range_, **changes)  # type: ignore[arg-type]


def dots(panel: Axes) -> list[tuple[list[list[float]], bool, tuple[float, ...]]]:
    """Of each group of dots where they stand, whether they are filled, and their colour."""
    groups = [each for each in panel.collections if isinstance(each, PathCollection)]
    return [
        (
            np.asarray(each.get_offsets()).tolist(),
            len(np.asarray(each.get_facecolor())) > 0,
            tuple(np.asarray(each.get_edgecolor())[0, :3].tolist()),
        )
        for each in groups
        if len(np.asarray(each.get_offsets()))
    ]


def test_complete_trials_are_filled_and_stopped_ones_hollow() -> None:
    (panel,) = responses([FIELD]).axes
    assert dots(panel) == [
        ([[0.05, 0.2]], False, to_rgb(STOPPED)),
        ([[0.001, 0.4], [0.01, 0.5]], True, to_rgb(CONFIRM)),
    ]


def test_the_response_its_band_the_default_and_the_choice_are_drawn_where_they_are() -> None:
    (panel,) = responses([FIELD]).axes
    thick = [line for line in panel.lines if line.get_linewidth() == 1.4]
    assert np.asarray(thick[0].get_xdata()).tolist() == list(FIELD.at)
    assert np.asarray(thick[0].get_ydata()).tolist() == list(FITTED.mean)
    band = next(each for each in panel.collections if not isinstance(each, PathCollection))
    heights = {round(float(height), 6) for path in band.get_paths() for height in np.asarray(path.vertices)[:, 1]}
    assert set(FITTED.low) | set(FITTED.high) <= heights
    marked = {line.get_linestyle(): float(np.asarray(line.get_xdata())[0]) for line in panel.lines[-2:]}
    assert marked == {":": 0.001, "--": 0.01}
    assert panel.get_title() == "adversarial\nimportance 68%, p 0.020"


def test_axes_are_the_searchs_and_hold_its_whole_range_and_what_was_tried_outside_of_it() -> None:
    even = changed(Uniform(0.0, 1.0), at=(0.0, 0.5, 1.0), complete=(Mark(1.5, 0.4),), stopped=())
    logarithmic, linear = responses([FIELD, even]).axes
    assert (logarithmic.get_xscale(), linear.get_xscale()) == ("log", "linear")
    assert logarithmic.get_xlim()[0] < 1e-4 < 1e-1 < logarithmic.get_xlim()[1] < 1
    assert linear.get_xlim()[0] < 0 < 1.5 < linear.get_xlim()[1]


def test_listed_values_stand_side_by_side_by_their_names() -> None:
    listed = changed(
        OneOf("none", "flip", "colour"),
        complete=(Mark("flip", 0.4),),
        stopped=(),
        default="none",
        chosen="flip",
        at=("none", "flip", "colour"),
    )
    (panel,) = responses([listed]).axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["none", "flip", "colour"]
    assert dots(panel)[0][0] == [[1.0, 0.4]]
    assert len([line for line in panel.lines if line.get_linewidth() == 1.4]) == 3


def test_fields_of_one_row_share_the_axis_of_their_scores() -> None:
    low = dataclasses.replace(FIELD, complete=(Mark(0.001, 0.05),), stopped=(), response=None, at=())
    figure = responses([low, FIELD, dataclasses.replace(low, arm="another")])
    limits = [panel.get_ylim() for panel in figure.axes]
    assert limits[0] == limits[1] != limits[2]


@pytest.mark.parametrize("number", [1, 3, 5, 52])
def test_a_figure_grows_by_lines_and_its_legend_lies_within(number: int) -> None:
    bare = dataclasses.replace(FIELD, response=None, at=(), importance=None)
    figure = responses([dataclasses.replace(bare, arm=f"arm {place // 2}") for place in range(number)])
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    shown = [panel for panel in figure.axes if panel.get_visible()]
    assert len(shown) == number
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.width
    widths = {round(panel.get_window_extent().width) for panel in shown}
    assert min(widths) > 120, "panels stay wide enough to be read"
    assert figure.get_figheight() <= 0.9 + 2.1 * -(-number // min(number, COLUMNS))


def test_names_may_hold_anything_and_a_row_may_be_empty() -> None:
    empty = changed(
        FIELD.range, arm=r"$\frac{a}$ β → ∞", field="_x^2$", complete=(), stopped=(), default=None, chosen=None
    )
    bare = dataclasses.replace(empty, response=None, at=(), importance=None, supervised=True)
    figure = responses([bare])
    assert figure.axes[0].get_title() == r"$\frac{a}$ β → ∞ †"
    assert [text.get_text() for text in figure.axes[0].texts] == ["no trial has ended"]
    Image.open(io.BytesIO(png(figure))).verify()
    assert png(responses([bare])) == png(responses([bare]))
