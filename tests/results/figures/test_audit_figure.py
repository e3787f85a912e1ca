"""The picture of an audit: a panel for each selector, whatever there is to show."""

import io
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from PIL import Image

from platform.results.audit.checkpoints import Checkpoint
from platform.results.figures.audit import COLUMNS, scatter
from platform.results.figures.png import DOTS_PER_INCH, png
from platform.scores.selectors import SHELF
from tests.support.made_checkpoints import confirmed, searched

NAMES = tuple(selector.name for selector in SHELF)
LONG = ("own/" + "long" * 14, "own/" + "w i d e " * 7)


def scores(value: float, names: Sequence[str]) -> dict[str, list[float]]:
    return {name: [value * (-1) ** number] * 4 for number, name in enumerate(names)}


def confirms(number: int = 4, names: Sequence[str] = NAMES) -> list[Checkpoint]:
    """Confirm trials, of the reference and of another row in turn."""
    rows = ("source only", "FDA")
    trials = (
        confirmed(rows[each % 2], each // 2, [0.1, 0.2, 0.2, 0.3 + each / 50], scores(each + 1, names))
        for each in range(number)
    )
    return [checkpoint for trial in trials for checkpoint in trial]


def searches(number: int = 4, names: Sequence[str] = NAMES) -> list[Checkpoint]:
    trials = (searched("FDA", each, [0.1, 0.2, 0.2, 0.3 + each / 40], scores(each, names)) for each in range(number))
    return [checkpoint for trial in trials for checkpoint in trial]


def shown(figure: Figure) -> list[list[tuple[float, float]]]:
    """The dots of each panel that is seen."""
    return [
        [
            (float(x), float(y))
            for dots in panel.collections
            if isinstance(dots, PathCollection)
            for x, y in np.asarray(dots.get_offsets())
        ]
        for panel in figure.axes
        if panel.get_visible()
    ]


def titles(figure: Figure) -> list[str]:
    return [panel.get_title() for panel in figure.axes if panel.get_visible()]


def opened(figure: Figure) -> Image.Image:
    image = Image.open(io.BytesIO(png(figure)))
    image.load()
    assert image.format == "PNG"
    return image


def test_there_is_a_panel_for_each_selector_and_a_dot_for_each_finished_trial() -> None:
    figure = scatter("quickstart", [*confirms(), *searches()], NAMES)
    assert [title.splitlines()[0] for title in titles(figure)] == list(NAMES)
    for number, dots in enumerate(shown(figure)):
        sign = (-1) ** number
        expected = [(sign * each, 0.3 + each / 40) for each in range(4)]
        expected += [(sign * (each + 1), 0.3 + each / 50) for each in range(4)]
        choice = (4.0, 0.36) if sign > 0 else (-1.0, 0.3)
        assert np.allclose(sorted(dots), sorted([*expected, choice]))
    width, height = opened(figure).size
    assert width == round(2.3 * COLUMNS * DOTS_PER_INCH)
    assert height == round((0.9 + 2.0 * 4) * DOTS_PER_INCH)


def test_panels_share_what_trials_are_worth() -> None:
    figure = scatter("quickstart", [*confirms(), *searches()], NAMES)
    assert len({panel.get_ylim() for panel in figure.axes}) == 1


def test_a_correlation_stands_above_each_panel() -> None:
    above = titles(scatter("quickstart", confirms(), NAMES))
    assert above[0].endswith("\nρ +1.00")  # noqa: RUF001
    assert "ρ -0." in above[1]  # noqa: RUF001


def test_scores_that_are_all_alike_have_no_correlation() -> None:
    trials = [confirmed("FDA", each, [0.1 + each / 10] * 4, {"alike": [0.5] * 4}) for each in range(3)]
    figure = scatter("quickstart", [checkpoint for trial in trials for checkpoint in trial], ["alike"])
    assert "nan" not in "".join(titles(figure))
    assert opened(figure)


def test_a_picture_of_the_same_is_the_same_and_of_another_is_not() -> None:
    few = NAMES[:3]
    once, again, other = (
        png(scatter("quickstart", [*confirms(number, few), *searches(4, few)], few)) for number in (4, 4, 3)
    )
    assert once == again
    assert once != other


@pytest.mark.parametrize(
    "checkpoints",
    [
        confirms(2),
        confirms(1),
        confirms(),
        searches(),
        searches(1),
        [each for each in searches() if not each.is_last],
    ],
    ids=["two trials", "one trial", "only confirmed", "only searched", "one searched", "nothing finished"],
)
def test_whatever_there_is_can_be_shown(checkpoints: list[Checkpoint]) -> None:
    figure = scatter("quickstart", checkpoints, NAMES[:6])
    assert len(titles(figure)) == 6
    assert opened(figure).size[0] == 1380


@pytest.mark.parametrize("number", [1, 2, 5, 6])
def test_a_few_selectors_leave_no_empty_panel(number: int) -> None:
    names = NAMES[:number]
    figure = scatter("quickstart", confirms(4, names), names)
    assert len(titles(figure)) == number
    assert opened(figure)


def test_long_names_stay_within_the_picture() -> None:
    names = (*LONG, *NAMES[:3])
    figure = scatter("a study with a long name, " * 9, confirms(4, names), names)
    opened(figure)
    texts = [panel.title for panel in figure.axes] + [text for text in figure.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
    panels = boxes[: len(names)]
    assert all(left.x1 <= right.x0 for left, right in itertools.pairwise(panels)), "titles overlap"


@pytest.mark.parametrize("name", ["a $x_1$ study", r"\frac", "中文", "<b>"])
def test_names_are_shown_as_they_are(name: str) -> None:
    assert opened(scatter(name, confirms(2, [f"own/{name}"]), [f"own/{name}"]))
