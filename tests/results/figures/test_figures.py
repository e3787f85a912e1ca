"""Figures open, have the size that their content asks for, show the colours they should, and change with the data."""

import dataclasses
import io
import itertools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from platform.records.provenance import ROOT
from platform.records.record import Ask, Record, StudyHeader
from platform.results.figures.curves import curves
from platform.results.figures.png import DOTS_PER_INCH, png
from platform.results.figures.predictions import comparison, prediction_picture
from platform.shifts.labels import CAMVID_11, CLASSES, SINGLE_CLASSES, VOID
from platform.shifts.shift import Pixels
from tests.support.invented_study import arm, ask, failed, full, mishaps, record, study
from tests.support.seen_alike import runs_by_arm


def opened(figure: Figure) -> Image.Image:
    image = Image.open(io.BytesIO(png(figure)))
    image.load()
    return image


def curves_of(header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Record]) -> Figure:
    return curves(header, runs_by_arm(header, asks, records))


def colours(image: Image.Image) -> set[tuple[int, ...]]:
    pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    return {tuple(colour) for colour in np.unique(pixels, axis=0).tolist()}


def scene(
    number: int = 2, height: int = 32, width: int = 64, scale: int = 2, train_ids: tuple[int, int] = (0, 10)
) -> tuple[Pixels, Pixels]:
    """Images, and ground truth at twice their size that is split between two classes."""
    images = np.full((number, height, width, 3), 127, np.uint8)
    truth = np.full((number, height * scale, width * scale), train_ids[0], np.uint8)
    truth[:, :height] = train_ids[1]
    return images, truth


# Learning curves


def five_arms(quality: float = 0.5) -> tuple[StudyHeader, list[Ask], dict[str, Record]]:
    header = study(
        *(arm(name) for name in ("source only", "adversarial", "lightweight adversarial", "FDA", "target supervised"))
    )
    return header, *full(header, dict.fromkeys((entry.name for entry in header.arms), quality))


def test_curves_have_two_lines_of_panels_that_share_their_axes() -> None:
    figure = curves_of(*five_arms())
    assert len(figure.axes) == 10
    for line in (figure.axes[:5], figure.axes[5:]):
        assert len({panel.get_ylim() for panel in line}) == 1
    assert {panel.get_xlim() for panel in figure.axes} == {(0, 400)}
    assert [panel.get_title() for panel in figure.axes[:5]][2] == "lightweight adversarial"
    assert opened(figure).size == (1260, 552)


def test_curves_of_equal_records_are_equal_and_of_others_differ() -> None:
    header = study(arm("source only"), search_trials=2)
    once, again, other = (
        png(curves_of(header, *full(header, {"source only": quality}))) for quality in (0.5, 0.5, 0.6)
    )
    assert once == again
    assert once != other


def test_the_thick_line_is_the_mean_of_the_confirm_runs() -> None:
    header, asks, records = five_arms()
    runs = [records[each.trial.id] for each in asks if (each.arm, each.phase) == ("FDA", "confirm")]
    mean = np.mean([[report.metrics["source/miou"] for report in run.reports] for run in runs], axis=0)
    drawn = [line for line in curves_of(header, asks, records).axes[3].lines if line.get_linewidth() == 2]
    np.testing.assert_allclose(np.asarray(drawn[0].get_ydata()), mean)


def with_a_point_at(value: float) -> Figure:
    """Curves of five arms whose first report has another value."""
    header, asks, records = five_arms()
    first = records[asks[0].trial.id]
    report = dataclasses.replace(first.reports[0], metrics=first.reports[0].metrics | {"source/miou": value})
    records[asks[0].trial.id] = dataclasses.replace(first, reports=(report, *first.reports[1:]))
    return curves_of(header, asks, records)


def test_a_point_far_below_all_others_does_not_flatten_them() -> None:
    usual, shown = curves_of(*five_arms()).axes[0].get_ylim(), with_a_point_at(-40.0).axes[0].get_ylim()
    assert shown[1] == pytest.approx(usual[1], abs=0.05 * (usual[1] - usual[0]))
    assert shown[1] - shown[0] < 2 * (usual[1] - usual[0])


def test_a_low_point_of_the_reference_counts_once_although_every_panel_shows_it() -> None:
    header, asks, records = five_arms()
    for each in asks:
        if (each.arm, each.phase) == ("source only", "confirm"):
            first = records[each.trial.id]
            low = dataclasses.replace(first.reports[0], metrics=first.reports[0].metrics | {"source/miou": -40.0})
            records[each.trial.id] = dataclasses.replace(first, reports=(low, *first.reports[1:]))
    usual, shown = (curves_of(*study).axes[0].get_ylim() for study in (five_arms(), (header, asks, records)))
    assert shown[1] - shown[0] < 2 * (usual[1] - usual[0])


def test_a_point_that_lies_a_little_below_is_shown() -> None:
    bottom, top = curves_of(*five_arms()).axes[0].get_ylim()
    below = bottom - 0.3 * (top - bottom)
    assert with_a_point_at(below).axes[0].get_ylim()[0] < below


def test_a_dagger_marks_the_arm_that_target_labels_pick() -> None:
    figure = curves_of(*five_arms())
    assert [panel.get_title() for panel in figure.axes[3:5]] == ["FDA", "target supervised †"]
    assert figure.axes[0].get_ylabel() == "source/miou\n(selects, but for †)"
    assert figure.axes[5].get_ylabel() == "oracle/miou\n(selects † only)"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "† trains on target labels: an upper bound" in legend


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_the_legend_lies_within_the_figure(number: int) -> None:
    names = ["the reference of a comparison", "FDA", "adversarial", "lightweight adversarial"][: number - 1]
    header = study(*map(arm, [*names, "target supervised"]))
    figure = curves_of(header, *full(header, dict.fromkeys((entry.name for entry in header.arms), 0.4)))
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.width


def test_without_a_supervised_arm_there_is_no_dagger() -> None:
    header = study(arm("source only"), arm("FDA"))
    figure = curves_of(header, *full(header, {"source only": 0.3, "FDA": 0.5}))
    assert [panel.get_ylabel() for panel in figure.axes[::2]] == [
        "source/miou\n(selects)",
        "oracle/miou\n(reported only)",
    ]
    assert not any("†" in text.get_text() for text in figure.legends[0].get_texts())


def steps_of(line: Line2D) -> list[float]:
    steps: list[float] = np.asarray(line.get_xdata()).tolist()
    return steps


def marks(panel: Axes, marker: str) -> list[float]:
    """The steps at which a panel's curves end with a mark."""
    return sorted(steps_of(line)[-1] for line in panel.lines if line.get_marker() == marker and steps_of(line))


def test_curves_end_with_a_mark_where_trials_were_stopped_or_failed() -> None:
    panels = curves_of(*mishaps()[:3]).axes
    assert [marks(panel, "o") for panel in panels[:4]] == [[200, 200], [], [200, 200], [200, 200]]
    assert [marks(panel, "x") for panel in panels[:4]] == [[], [100] * 4, [200, 300], []]
    assert [text.get_text() for text in panels[1].texts] == ["all 7 trials failed"]


def test_a_seed_that_failed_is_no_part_of_the_mean() -> None:
    header, asks, records, _ = mishaps()
    runs = [records[each.trial.id] for each in asks if (each.arm, each.phase) == ("adversarial", "confirm")]
    mean = np.mean([[report.metrics["source/miou"] for report in run.reports] for run in runs[:2]], axis=0)
    drawn = [line for line in curves_of(header, asks, records).axes[2].lines if line.get_linewidth() == 2]
    np.testing.assert_allclose(np.asarray(drawn[0].get_ydata()), mean)


def test_an_oracle_that_selects_is_drawn_once() -> None:
    header = study(arm("source only"), select="oracle/miou")
    assert len(curves_of(header, *full(header, {"source only": 0.5})).axes) == 1


def test_curves_without_any_record() -> None:
    figure = curves_of(study(arm("source only"), arm("FDA")), [], {})
    assert [text.get_text() for text in figure.axes[0].texts] == ["nothing ran yet"]
    opened(figure)


def test_curves_of_trials_that_failed_before_their_first_report_or_have_one_report() -> None:
    header = study(arm("source only"))
    asks = [ask(header, "source only", "search", 0), ask(header, "source only", "confirm", 0)]
    records = {
        asks[0].trial.id: failed(asks[0], "out of memory", reports=0),
        asks[1].trial.id: record(asks[1], reports=1),
    }
    panel = curves_of(header, asks, records).axes[0]
    assert any(line.get_marker() == "." and len(steps_of(line)) == 1 for line in panel.lines)


def test_seven_arms_take_a_second_line_and_names_may_hold_anything() -> None:
    names = [r"$\frac{a}$", "_hidden", "β → ∞", "a" * 80, "100 % & more", "f", "g"]
    header = study(*map(arm, names))
    figure = curves_of(header, *full(header, dict.fromkeys(names, 0.4)))
    assert figure.axes[0].get_title() == names[0]
    assert opened(figure).height > 552


# Predictions


def test_comparison_shows_each_column_in_the_colours_of_its_classes() -> None:
    images, truth = scene()
    prediction = np.full((2, 32, 64), 13, np.uint8)
    shown = colours(opened(comparison(images, truth, {"FDA": prediction}, SINGLE_CLASSES)))
    assert {(127, 127, 127), CLASSES[0].colour, CLASSES[10].colour, CLASSES[13].colour} <= shown
    assert CLASSES[11].colour not in shown


def test_the_legend_names_what_occurs() -> None:
    images, truth = scene()
    truth[0, 0, 0] = VOID
    figure = comparison(images, truth, {"FDA": np.full((2, 8, 16), 13, np.uint8)}, SINGLE_CLASSES)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["road", "sky", "car", "void"]


def test_members_of_a_group_share_its_colour() -> None:
    images, truth = scene(train_ids=(13, 10))
    figure = comparison(images, truth, {"FDA": np.full((2, 32, 64), 15, np.uint8)}, CAMVID_11)
    shown = colours(opened(figure))
    assert CLASSES[13].colour in shown
    assert CLASSES[15].colour not in shown
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["sky", "car+truck+bus+train"]


def test_train_ids_in_no_group_are_void() -> None:
    images, truth = scene(train_ids=(0, 10))
    figure = comparison(images, truth, {"FDA": truth}, ((0,),))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["road", "void"]


@pytest.mark.parametrize(
    ("number", "arms", "blocks"), [(1, 0, 1), (1, 1, 1), (4, 5, 1), (2, 6, 1), (2, 7, 2), (3, 12, 2), (3, 31, 6)]
)
def test_comparison_grows_with_images_and_keeps_their_shape(number: int, arms: int, blocks: int) -> None:
    images, truth = scene(number)
    figure = comparison(images, truth, {f"arm {position}": truth for position in range(arms)}, SINGLE_CLASSES)
    assert len(figure.axes) == number * (arms + 2 * blocks)
    titles = [panel.get_title() for panel in figure.axes]
    assert [title for title in titles if title.startswith("arm")] == [f"arm {position}" for position in range(arms)]
    assert titles.count("image") == titles.count("ground truth") == blocks
    boxes = [panel.get_window_extent() for panel in figure.axes]
    for box in boxes:
        assert box.width / box.height == pytest.approx(2, abs=1e-6)
        assert figure.bbox.contains(box.x0, box.y0)
        assert figure.bbox.contains(box.x1, box.y1)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    picture = opened(figure)
    assert picture.width == pytest.approx(figure.get_figwidth() * DOTS_PER_INCH, abs=1)
    assert picture.width < 1400


def test_comparison_differs_when_a_prediction_does() -> None:
    images, truth = scene()
    other = truth.copy()
    other[:, :20, :20] = 11
    assert png(comparison(images, truth, {"FDA": truth}, SINGLE_CLASSES)) != png(
        comparison(images, truth, {"FDA": other}, SINGLE_CLASSES)
    )


def test_a_prediction_picture_has_three_columns() -> None:
    images, truth = scene(3)
    figure = prediction_picture(images, truth, truth, SINGLE_CLASSES)
    assert [panel.get_title() for panel in figure.axes[::3]] == ["image", "ground truth", "prediction"]


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", "agg"])
def test_a_notebooks_way_of_showing_figures_does_not_end_a_command_that_it_runs(backend: str) -> None:
    program = (
        "import sys\nsys.modules['matplotlib_inline'] = None  # as in an environment without it\n"
        "from platform.results.figures.png import png\nfrom matplotlib.figure import Figure\n"
        "import os\nprint(png(Figure())[1:4], os.environ['MPLBACKEND'])\n"
    )
    environment = os.environ | {"MPLBACKEND": backend}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"b'PNG' {backend}\n"), done.stderr
