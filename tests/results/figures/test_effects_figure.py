"""The figure of effects: each with its interval, the largest on top, coloured by whether that holds 0."""

import io
import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from platform.design.ablation.designs import Design
from platform.results.ablation.effects import Ablation, ablations
from platform.results.figures.curves import CONFIRM, SEARCH
from platform.results.figures.effects import effects
from platform.results.figures.png import png
from platform.study import AblationPath, AddOneIn, FractionalFactorial, FullFactorial, LeaveOneOut
from tests.support.ablated import ablated
from tests.support.seen_alike import tabulate


def drawn(design: Design, name: str = "ours") -> tuple[Ablation, Axes]:
    *_, table = ablated(design, name)
    found = ablations(table)
    (panel,) = effects(found).axes
    return found[0], panel


@pytest.mark.parametrize(
    "design", [LeaveOneOut(), AddOneIn(), FullFactorial(), FractionalFactorial(most=4), AblationPath()]
)
def test_every_effect_is_a_dot_on_its_interval(design: Design) -> None:
    ablation, panel = drawn(design)
    labels = [text.get_text() for text in panel.get_yticklabels()]
    bars = [line for line in panel.lines if line.get_linestyle() == "-"]
    dots = [line for line in panel.lines if line.get_marker() == "o"]
    (zero,) = [line for line in panel.lines if line.get_linestyle() == "--"]
    assert np.asarray(zero.get_xdata()).tolist() == [0, 0]
    assert panel.get_ylim()[0] > panel.get_ylim()[1], "the first is on top"
    for place, effect in enumerate(ablation.in_order):
        assert labels[place].replace("\n", " ") == " ".join((effect.contrast.name, *effect.contrast.aliases))
        ends = [effect.worth.miou - effect.worth.miou_ci, effect.worth.miou + effect.worth.miou_ci]
        assert np.asarray(bars[place].get_xdata(), float).tolist() == pytest.approx(ends)
        assert np.asarray(dots[place].get_xydata()).tolist() == [pytest.approx([effect.worth.miou, place])]
        assert {bars[place].get_color(), dots[place].get_color()} == {CONFIRM if effect.worth.told else SEARCH}


def test_ablations_stand_below_each_other_on_one_scale() -> None:
    *_, one = ablated(LeaveOneOut())
    *_, other = ablated(FullFactorial(), "theirs, $x_1$")
    figure = effects([*ablations(one), *ablations(other)])
    first, second = figure.axes
    assert first.get_xlim() == second.get_xlim()
    assert second.get_title(loc="left") == "theirs, $x_1$: full factorial"
    image = Image.open(io.BytesIO(png(figure)))
    assert image.size[1] > Image.open(io.BytesIO(png(effects(ablations(one))))).size[1]


def test_effects_that_no_seed_tells_are_named_and_not_drawn() -> None:
    header, *_ = ablated(LeaveOneOut())
    found = ablations(tabulate(header, [], {}))
    figure = effects(found)
    (panel,) = figure.axes
    assert [text.get_text() for text in panel.get_yticklabels()] == ["flips", "adversary", "entropy"]
    assert all(math.isnan(effect.worth.miou) for effect in found[0].effects)
    assert len(panel.lines) == 1
    assert np.asarray(Image.open(io.BytesIO(png(figure)))).std() > 0
