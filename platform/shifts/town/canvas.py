"""A camera on a street, and the buffers into which axis-parallel faces are drawn with exact perspective and occlusion.

World coordinates are metres from the point on the road below the camera: x to the right, y up, z ahead. The camera
looks along z; its pitch and yaw are shifts of the horizon and of the vanishing point, so that verticals stay vertical:

    column = vanishing + focal * x / z        row = horizon + focal * (camera height - y) / z
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from platform.shifts.labels import VOID, train_id
from platform.shifts.shift import Pixels
from platform.shifts.town.domains import Colour

Floats = npt.NDArray[np.float32]
Paints = npt.NDArray[np.integer[Any]]
Span = tuple[float, float]
"""Lower and upper end, in metres."""

Surface = Callable[[Floats, Floats], Paints | int]
"""The paint at coordinates of a face that broadcast against each other, in metres: (x, y) on a face towards the camera,
(z, y) on one along the street, (x, z) on a level one. `HOLE` is transparent."""

HOLE = -1
SKY = 0
"""The paint of a canvas on which nothing was drawn."""

NEAREST = 0.5
"""Nothing nearer than this is drawn, in metres."""


@dataclass(frozen=True)
class Camera:
    """A pinhole; lengths in the image are in pixels of the final image."""

    height: float
    focal: float
    horizon: float
    vanishing: float


@dataclass(frozen=True)
class Sun:
    """The direction of the sun, a unit vector to the right, up and back to the camera, and its strength."""

    right: float
    up: float
    back: float
    strength: float
    """Its light on a face that is turned to it; the ambient light is 1."""

    def on(self, cosine: float) -> float:
        """Direct and ambient light on a face whose normal stands at this cosine to the sun."""
        return 1.0 + self.strength * max(cosine, 0.0)


@dataclass(frozen=True)
class Paint:
    """A class, its colour, and how rough it is (0 smooth, 1 as rough as foliage)."""

    label: int
    colour: Colour
    roughness: float


class Canvas:
    """Depth, paint, surface coordinates and light of `samples` x `samples` rays per pixel, shape (rows, columns) each.

    Faces may be drawn in any order: the nearest stays. Only `shadow` needs the ground to be there.
    """

    def __init__(self, size: tuple[int, int], samples: int, camera: Camera, sun: Sun) -> None:
        height, width = size
        self.samples = samples
        self.camera = camera
        self.sun = sun
        self.down = self._slopes(height, camera.horizon)
        """Fall of each row's rays per metre ahead, shape (rows,), ascending."""
        self.right = self._slopes(width, camera.vanishing)
        """Drift to the right of each column's rays per metre ahead, shape (columns,), ascending."""
        shape = (len(self.down), len(self.right))
        self.depth: Floats = np.full(shape, np.inf, np.float32)
        self.paint: npt.NDArray[np.int16] = np.full(shape, SKY, np.int16)
        self.across: Floats = np.zeros(shape, np.float32)
        self.along: Floats = np.zeros(shape, np.float32)
        self.light: Floats = np.ones(shape, np.float32)
        self.paints = [Paint(train_id("sky"), (1.0, 1.0, 1.0), 0.0)]

    def mix(self, label: str, colour: Colour, roughness: float = 0.1) -> int:
        """A new paint; returns its number. The label "void" is that of pixels which are not evaluated."""
        self.paints.append(Paint(VOID if label == "void" else train_id(label), colour, roughness))
        return len(self.paints) - 1

    def facing(self, z: float, x: Span, y: Span, surface: Surface) -> None:
        """Draw a rectangle that faces the camera at distance z."""
        if z < NEAREST:
            return
        eye = self.camera.height
        columns = _between(self.right, x[0] / z, x[1] / z)
        rows = _between(self.down, (eye - y[1]) / z, (eye - y[0]) / z)
        across = (self.right[columns] * z)[None, :]
        up = (eye - self.down[rows] * z)[:, None]
        light = self.sun.on(self.sun.back)
        self._draw(rows, columns, np.full((1, 1), z, np.float32), across, up, True, surface, light)

    def sideways(self, x: float, z: Span, y: Span, surface: Surface) -> None:
        """Draw an upright rectangle that runs along the street at x, seen from the camera's side."""
        near, far = max(z[0], NEAREST), z[1]
        if far <= near:
            return
        eye = self.camera.height
        columns = _between(self.right, min(x / near, x / far), max(x / near, x / far))
        if columns.start >= columns.stop:
            return
        ahead: Floats = x / self.right[columns]
        rows = _between(
            self.down,
            min((eye - y[1]) / ahead.min(), (eye - y[1]) / ahead.max()),
            max((eye - y[0]) / ahead.min(), (eye - y[0]) / ahead.max()),
        )
        up = eye - self.down[rows, None] * ahead[None, :]
        inside = (up >= y[0]) & (up <= y[1])
        light = self.sun.on(-self.sun.right if x > 0 else self.sun.right)
        self._draw(rows, columns, ahead[None, :], ahead[None, :], up, inside, surface, light)

    def level(self, y: float, x: Span, z: Span, surface: Surface) -> None:
        """Draw a horizontal rectangle, seen from above."""
        if (region := self._region(y, x, z)) is not None:
            rows, columns, across, ahead, inside = region
            light = self.sun.on(self.sun.up)
            self._draw(rows, columns, ahead, across, ahead, inside, surface, light)

    def box(self, x: Span, y: Span, z: Span, front: Surface, side: Surface, top: Surface) -> None:
        """Draw the faces of a box that the camera can see."""
        self.facing(z[0], x, y, front)
        if x[0] > 0:
            self.sideways(x[0], z, y, side)
        elif x[1] < 0:
            self.sideways(x[1], z, y, side)
        self.level(y[1], x, z, top)

    def shadow(self, x: Span, z: Span, light: float, corners: int = 4) -> None:
        """Leave a patch of the ground this light, where no object hides it.

        The patch is the superellipse |x|^corners + |z|^corners <= 1 in its rectangle: 2 is an ellipse, 40 nearly the
        rectangle.
        """
        if (region := self._region(0.0, x, z)) is not None:
            rows, columns, across, ahead, inside = region
            right = np.clip((across - (x[0] + x[1]) / 2) / ((x[1] - x[0]) / 2), -1, 1)
            beyond = (ahead - (z[0] + z[1]) / 2) / ((z[1] - z[0]) / 2)
            # Exact: the ground was drawn with these very numbers.
            ground = self.depth[rows, columns] == ahead
            shaded = inside & ground & (right**corners + beyond**corners <= 1)
            np.copyto(self.light[rows, columns], np.float32(light), where=shaded)

    def hood(self, top: float, paint: int) -> None:
        """Cover the bottom of the image with the ego vehicle, as an arc that peaks at the row `top` (in pixels)."""
        rows = (np.arange(len(self.down), dtype=np.float32) + 0.5) / self.samples
        columns = np.linspace(-1, 1, len(self.right), dtype=np.float32)
        bottom = len(self.down) / self.samples
        covered = rows[:, None] > top + (bottom - top) * 0.7 * columns[None, :] ** 2
        for buffer, value in ((self.depth, NEAREST), (self.paint, paint), (self.light, self.sun.on(self.sun.up))):
            buffer[covered] = value

    def labels(self) -> Pixels:
        """Train ids at the centre of each pixel, shape (height, width)."""
        table = np.array([paint.label for paint in self.paints], np.uint8)
        centre = self.samples // 2
        return table[self.paint[centre :: self.samples, centre :: self.samples]]

    def _slopes(self, length: int, centre: float) -> Floats:
        pixels = (np.arange(length * self.samples) + 0.5) / self.samples
        return ((pixels - centre) / self.camera.focal).astype(np.float32)

    def _region(self, y: float, x: Span, z: Span) -> tuple[slice, slice, Floats, Floats, npt.NDArray[np.bool_]] | None:
        """Rows, columns, x, z and extent of a level rectangle, None where it is out of sight."""
        drop = self.camera.height - y
        near, far = max(z[0], NEAREST), z[1]
        if drop <= 0 or far <= near:
            return None
        rows = _between(self.down, drop / far, drop / near)
        if rows.start >= rows.stop:
            return None
        ahead = (drop / self.down[rows])[:, None]
        nearest, farthest = float(ahead.min()), float(ahead.max())
        columns = _between(self.right, min(x[0] / nearest, x[0] / farthest), max(x[1] / nearest, x[1] / farthest))
        across = self.right[None, columns] * ahead
        return rows, columns, across, ahead, (across >= x[0]) & (across <= x[1])

    def _draw(
        self,
        rows: slice,
        columns: slice,
        depth: Floats,
        across: Floats,
        along: Floats,
        inside: npt.NDArray[np.bool_] | bool,
        surface: Surface,
        light: float,
    ) -> None:
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        paint = np.asarray(surface(across, along), np.int16)
        buffer = self.depth[rows, columns]
        visible = (depth < buffer) & inside & (paint != HOLE)
        np.copyto(buffer, depth, where=visible)
        np.copyto(self.paint[rows, columns], paint, where=visible)
        np.copyto(self.across[rows, columns], across, where=visible)
        np.copyto(self.along[rows, columns], along, where=visible)
        np.copyto(self.light[rows, columns], np.float32(light), where=visible)


def _between(ascending: Floats, low: float, high: float) -> slice:
    return slice(int(ascending.searchsorted(low)), int(ascending.searchsorted(high, "right")))
