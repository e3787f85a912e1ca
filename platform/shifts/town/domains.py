"""All in which the two domains differ: the streets of a game's metropolis, and photographs of an old town.

Every pair is the range of a uniform draw. Lengths are in metres, densities per 100 metres of each side of the street,
colours in linear RGB, where 1 is a white surface in ambient light.
"""

from dataclasses import dataclass

import numpy as np

Range = tuple[float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Layout:
    """What stands where, and where the camera is."""

    camera_height: Range
    focal: Range
    """Focal length in image heights: 2.2 for Cityscapes' camera."""
    horizon: Range
    """Row of the horizon, as a fraction of the image's height from the top: the camera's pitch."""
    hood: Range
    """How far the ego vehicle's hood reaches up from the bottom, as a fraction of the image's height."""
    road: Range
    """Half the width of the carriageway."""
    sidewalk: Range
    verge: Range
    """Width of the grass between carriageway and sidewalk, where there is one."""
    verges: float
    """Share of the streets with a verge."""
    crossings: float
    """Share of the streets that another street crosses within sight."""
    frontage: tuple[float, float, float, float]
    """Shares of building, wall, fence and greenery along the sidewalk."""
    building_height: Range
    building_length: Range
    roofs: float
    """Share of the buildings with a pitched roof; the others are flat."""
    trees: Range
    tree_height: Range
    parked: Range
    """Parked cars."""
    traffic: Range
    """Moving vehicles."""
    buses: float
    """Share of the moving vehicles that are buses."""
    persons: Range
    lamps: Range
    signs: Range


@dataclass(frozen=True)
class Appearance:
    """How light, surfaces and the camera turn a street into an image."""

    facades: tuple[Colour, ...]
    roof: Colour
    asphalt: Colour
    paving: Colour
    foliage: Colour
    grass: Colour
    zenith: Colour
    skyline: Colour
    """Colour of the sky at the horizon, and of the haze."""
    clouds: Range
    """How far clouds cover the sky's gradient."""
    sun: Range
    """Strength of the direct light; the ambient light has strength 1."""
    haze: Range
    """Distance after which a surface has lost 1 - 1/e of its contrast."""
    grain: Range
    """Relative amplitude of the surfaces' texture."""
    exposure: Range
    gains: tuple[Range, Range, Range]
    """The white balance's error, per channel."""
    saturation: Range
    gamma: Range
    """Exponent from linear light to pixel values: smaller is softer in the shadows."""
    vignetting: Range
    """Share of the light that the corners lose."""
    blur: Range
    """Standard deviation of the optics' blur, in thousandths of the image's height."""
    noise: Range
    """Standard deviation of the sensor's noise at white, in grey levels; it falls with the root of the signal."""


@dataclass(frozen=True)
class Domain:
    """One side of the shift."""

    name: str
    layout: Layout
    appearance: Appearance


SOURCE = Domain(
    "source",
    Layout(
        camera_height=(1.7, 2.3),
        focal=(1.3, 1.55),
        horizon=(0.38, 0.48),
        hood=(0.0, 0.0),
        road=(4.8, 7.0),
        sidewalk=(3.0, 5.0),
        verge=(1.0, 2.5),
        verges=0.35,
        crossings=0.6,
        frontage=(0.40, 0.20, 0.20, 0.20),
        building_height=(7.0, 28.0),
        building_length=(12.0, 30.0),
        roofs=0.1,
        trees=(0.5, 4.0),
        tree_height=(5.0, 9.0),
        parked=(1.0, 6.0),
        traffic=(4.0, 10.0),
        buses=0.16,
        persons=(6.0, 18.0),
        lamps=(3.0, 5.0),
        signs=(2.0, 6.0),
    ),
    Appearance(
        facades=((0.55, 0.45, 0.33), (0.62, 0.58, 0.52), (0.42, 0.25, 0.18), (0.35, 0.38, 0.44), (0.70, 0.62, 0.42)),
        roof=(0.20, 0.18, 0.18),
        asphalt=(0.16, 0.16, 0.17),
        paving=(0.42, 0.39, 0.35),
        foliage=(0.12, 0.26, 0.05),
        grass=(0.22, 0.36, 0.08),
        zenith=(0.16, 0.36, 0.80),
        skyline=(0.62, 0.76, 0.95),
        clouds=(0.0, 0.35),
        sun=(0.8, 1.6),
        haze=(250.0, 600.0),
        grain=(0.02, 0.06),
        exposure=(0.50, 0.66),
        gains=((1.00, 1.10), (0.97, 1.03), (0.86, 0.96)),
        saturation=(1.05, 1.35),
        gamma=(0.50, 0.58),
        vignetting=(0.0, 0.05),
        blur=(0.0, 2.0),
        noise=(0.0, 0.5),
    ),
)

TARGET = Domain(
    "target",
    Layout(
        camera_height=(1.15, 1.40),
        focal=(1.7, 2.0),
        horizon=(0.40, 0.50),
        hood=(0.02, 0.05),
        road=(3.6, 5.0),
        sidewalk=(2.2, 3.8),
        verge=(0.8, 2.0),
        verges=0.35,
        crossings=0.4,
        frontage=(0.38, 0.18, 0.20, 0.24),
        building_height=(5.0, 14.0),
        building_length=(8.0, 18.0),
        roofs=0.7,
        trees=(1.0, 5.0),
        tree_height=(5.0, 11.0),
        parked=(3.0, 9.0),
        traffic=(2.0, 7.0),
        buses=0.16,
        persons=(8.0, 24.0),
        lamps=(3.0, 5.0),
        signs=(2.0, 5.0),
    ),
    Appearance(
        facades=((0.50, 0.46, 0.38), (0.40, 0.38, 0.36), (0.48, 0.34, 0.24), (0.36, 0.22, 0.17), (0.58, 0.55, 0.48)),
        roof=(0.27, 0.13, 0.09),
        asphalt=(0.21, 0.21, 0.21),
        paving=(0.33, 0.32, 0.31),
        foliage=(0.09, 0.15, 0.05),
        grass=(0.17, 0.22, 0.08),
        zenith=(1.10, 1.15, 1.20),
        skyline=(1.20, 1.21, 1.20),
        clouds=(0.3, 0.9),
        sun=(0.05, 0.6),
        haze=(150.0, 400.0),
        grain=(0.30, 0.50),
        exposure=(0.40, 0.62),
        gains=((0.80, 0.94), (0.98, 1.06), (0.92, 1.08)),
        saturation=(0.60, 0.85),
        gamma=(0.60, 0.75),
        vignetting=(0.15, 0.35),
        blur=(7.0, 12.0),
        noise=(3.0, 6.0),
    ),
)


def uniform(random: np.random.Generator, bounds: Range) -> float:
    """One draw from a range."""
    return float(random.uniform(*bounds))
