"""From the canvas to the image: surface texture, haze, optics and sensor, in the order in which light meets them."""

from functools import cache

import numpy as np
from scipy import ndimage

from platform.shifts.randomness import generator
from platform.shifts.shift import Pixels
from platform.shifts.town.canvas import SKY, Canvas, Floats
from platform.shifts.town.domains import Appearance, uniform

TILE = 256
"""Side of the repeated texture, in texels."""

TEXELS = 12.0
"""Texels per metre of surface."""

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Relative luminance of linear RGB (ITU-R BT.709)."""


def photograph(canvas: Canvas, appearance: Appearance, random: np.random.Generator) -> Pixels:
    """Take the picture, with conditions drawn from the appearance: uint8 RGB, shape (height, width, 3)."""
    light = _radiance(canvas, appearance, random)
    rows, columns, _ = light.shape
    samples = canvas.samples
    pixels = light.reshape(rows // samples, samples, columns // samples, samples, 3).mean((1, 3))
    gains = np.array([uniform(random, gain) for gain in appearance.gains], np.float32)
    pixels *= gains * uniform(random, appearance.exposure)
    grey = (pixels @ LUMA)[..., None]
    pixels = grey + uniform(random, appearance.saturation) * (pixels - grey)
    pixels *= _vignette(pixels.shape[0], pixels.shape[1], uniform(random, appearance.vignetting))
    sigma = uniform(random, appearance.blur) / 1000 * len(pixels)
    pixels = ndimage.gaussian_filter(pixels, (sigma, sigma, 0), mode="nearest")
    signal = np.clip(pixels, 0, 1) ** uniform(random, appearance.gamma)
    noise = random.standard_normal(signal.shape, np.float32) * uniform(random, appearance.noise)
    return np.clip(signal * 255 + noise * np.sqrt(0.25 + 0.75 * signal) + 0.5, 0, 255).astype(np.uint8)


def _radiance(canvas: Canvas, appearance: Appearance, random: np.random.Generator) -> Floats:
    """Linear light that reaches the lens along each ray, shape (rows, columns, 3)."""
    colours = np.array([paint.colour for paint in canvas.paints], np.float32)
    roughness = np.array([paint.roughness for paint in canvas.paints], np.float32)
    skyline = np.array(appearance.skyline, np.float32)
    # Far texture is finer than a pixel: what the lens averages away is not drawn.
    amplitude = uniform(random, appearance.grain) * roughness[canvas.paint] / (1 + canvas.depth / 25)
    texture = 1 + amplitude * _grain(canvas.across, canvas.along, random)
    surface = colours[canvas.paint] * (canvas.light * np.maximum(texture, 0.1))[..., None]
    clear = np.exp(-canvas.depth / uniform(random, appearance.haze))[..., None]
    return np.where(
        (canvas.paint == SKY)[..., None], _sky(canvas, appearance, random), skyline + clear * (surface - skyline)
    )


def _sky(canvas: Canvas, appearance: Appearance, random: np.random.Generator) -> Floats:
    """A gradient from skyline to zenith under a level sheet of clouds, shape (rows, columns, 3)."""
    skyline, zenith = np.array(appearance.skyline, np.float32), np.array(appearance.zenith, np.float32)
    rise = np.maximum(-canvas.down, np.float32(0))[:, None]
    gradient = skyline + (zenith - skyline) * np.minimum(rise / 0.5, 1.0)[..., None]
    distance = np.float32(1) / (rise + np.float32(0.15))
    clouds = _grain(canvas.right[None, :] * distance * 3, distance * 3, random)
    cover = uniform(random, appearance.clouds) * np.clip(0.5 + 0.5 * clouds, 0, 1)[..., None]
    return np.asarray(gradient + cover * (np.float32(0.95) * gradient.max() - gradient), np.float32)


def _vignette(height: int, width: int, loss: float) -> Floats:
    """Light that arrives, 1 in the middle and 1 - loss in the corners, shape (height, width, 1)."""
    rows, columns = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    return 1 - np.float32(loss / 2) * (rows[:, None] ** 2 + columns[None, :] ** 2)[..., None]


def _grain(across: Floats, along: Floats, random: np.random.Generator) -> Floats:
    """The texture at surface coordinates in metres, of mean 0 and standard deviation 1."""
    shift = random.uniform(0, TILE / TEXELS, 2)
    row = ((along + np.float32(shift[0])) * TEXELS).astype(np.int32) % TILE
    column = ((across + np.float32(shift[1])) * TEXELS).astype(np.int32) % TILE
    return _tile()[row, column]


@cache
def _tile() -> Floats:
    """Noise of four octaves that repeats seamlessly, shape (TILE, TILE), mean 0, standard deviation 1."""
    white = generator("town", "grain").standard_normal((4, TILE, TILE)).astype(np.float32)
    octaves = [ndimage.gaussian_filter(white[octave], 0.7 * 2.5**octave, mode="wrap") for octave in range(4)]
    total = np.sum([octave / octave.std() for octave in octaves], axis=0)
    return np.asarray((total - total.mean()) / total.std(), np.float32)
