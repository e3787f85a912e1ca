"""Faces on a canvas: where the pinhole puts them, what hides and shades them."""

import numpy as np
import pytest

from platform.shifts.labels import NAMES, VOID, train_id
from platform.shifts.shift import Pixels
from platform.shifts.town.canvas import HOLE, SKY, Camera, Canvas, Sun, Surface

CAMERA = Camera(height=1.5, focal=100.0, horizon=30.0, vanishing=60.0)


def blank(strength: float = 0.0) -> Canvas:
    return Canvas((64, 128), 3, CAMERA, Sun(right=0.0, up=1.0, back=0.0, strength=strength))


def all_of(paint: int) -> Surface:
    """A face of a single paint."""
    return lambda x, y: paint


def extent(truth: Pixels, label: str) -> tuple[int, int, int, int]:
    """First and last row, first and last column."""
    rows, columns = np.nonzero(truth == train_id(label))
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def test_a_face_lands_where_the_pinhole_puts_it() -> None:
    canvas = blank()
    paint = canvas.mix("building", (1.0, 1.0, 1.0))
    canvas.facing(10.0, (-2.0, 1.0), (0.5, 3.5), all_of(paint))
    # Columns 60 + 10 x, rows 30 + 10 (1.5 - y); pixel i is hit when its centre, i + 0.5, lies between them.
    assert extent(canvas.labels(), "building") == (10, 39, 40, 69)


def test_faces_along_the_street_and_on_the_ground_converge_at_the_vanishing_point() -> None:
    canvas = blank()
    wall, road = canvas.mix("wall", (1.0, 1.0, 1.0)), canvas.mix("road", (1.0, 1.0, 1.0))
    canvas.sideways(3.0, (5.0, 20.0), (0.0, 2.0), lambda z, y: wall)
    canvas.level(0.0, (-2.0, 2.0), (6.0, 30.0), lambda x, z: road)
    truth = canvas.labels()
    # The wall's near edge: column 60 + 300 / 5 = 120, from row 30 - 50 / 5 = 20 to row 30 + 150 / 5 = 60.
    assert np.nonzero(truth[:, 119] == train_id("wall"))[0][[0, -1]].tolist() == [20, 59]
    # Its far edge: column 60 + 300 / 20 = 75.
    assert extent(truth, "wall")[2] == 75
    # The road: near edge at row 30 + 150 / 6 = 55 with columns 60 -+ 200 / 6, far edge at row 30 + 150 / 30 = 35.
    first, last, left, right = extent(truth, "road")
    assert (first, last) == (35, 54)
    assert (left, right) == (27, 92)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_face_hides_the_farther_in_either_order(order: tuple[int, int]) -> None:
    canvas = blank()
    faces = [(8.0, canvas.mix("car", (1.0, 0.0, 0.0))), (20.0, canvas.mix("bus", (0.0, 1.0, 0.0)))]
    for z, paint in (faces[position] for position in order):
        canvas.facing(z, (-1.0, 1.0), (0.0, 3.0), all_of(paint))
    assert not (canvas.labels() == train_id("bus")).any()
    assert (canvas.labels() == train_id("car")).any()


def test_a_hole_shows_what_is_behind_it() -> None:
    canvas = blank()
    near, far = canvas.mix("fence", (1.0, 1.0, 1.0)), canvas.mix("vegetation", (0.0, 1.0, 0.0))
    canvas.facing(8.0, (-2.0, 2.0), (0.0, 3.0), lambda x, y: np.where(x < 0, HOLE, near) + 0 * y.astype(int))
    canvas.facing(20.0, (-5.0, 5.0), (0.0, 3.0), lambda x, y: far)
    row = canvas.labels()[29]
    assert row[59] == train_id("vegetation")
    assert row[60] == train_id("fence")


def test_a_shadow_falls_on_the_ground_and_on_nothing_else() -> None:
    canvas = blank(strength=1.0)
    road, car = canvas.mix("road", (1.0, 1.0, 1.0)), canvas.mix("car", (1.0, 1.0, 1.0))
    canvas.level(0.0, (-50.0, 50.0), (1.0, 100.0), lambda x, z: road)
    canvas.facing(10.0, (-1.0, 1.0), (0.0, 1.0), lambda x, y: car)
    lit = canvas.light.copy()
    canvas.shadow((-3.0, 3.0), (8.0, 14.0), 0.5)
    changed = canvas.light != lit
    assert changed.any()
    assert (canvas.paint[changed] == road).all()
    assert (lit[changed] == 2.0).all(), "ambient light and a sun overhead"
    assert (canvas.light[changed] == 0.5).all()


def test_an_empty_canvas_is_sky_and_what_is_out_of_sight_draws_nothing() -> None:
    canvas = blank()
    paint = canvas.mix("car", (1.0, 1.0, 1.0))
    canvas.facing(0.1, (-1.0, 1.0), (0.0, 1.0), all_of(paint))
    canvas.facing(-5.0, (-1.0, 1.0), (0.0, 1.0), all_of(paint))
    canvas.facing(5.0, (90.0, 91.0), (0.0, 1.0), all_of(paint))
    canvas.sideways(2.0, (-9.0, -5.0), (0.0, 1.0), lambda z, y: paint)
    canvas.level(1.6, (-5.0, 5.0), (1.0, 50.0), lambda x, z: paint)
    canvas.shadow((-5.0, 5.0), (1.0, 50.0), 0.5)
    assert (canvas.paint == SKY).all()
    assert (canvas.light == 1.0).all()
    assert NAMES[int(canvas.labels()[0, 0])] == "sky"


def test_the_hood_is_void() -> None:
    canvas = blank()
    canvas.hood(60.0, canvas.mix("void", (0.1, 0.1, 0.1)))
    truth = canvas.labels()
    assert (truth[:60] == train_id("sky")).all()
    assert (truth[60:, 64] == VOID).all()
