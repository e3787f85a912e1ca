"""Things that stand or drive in a street, each drawn from faces, with the labels that Cityscapes would give them."""

from collections.abc import Sequence

import numpy as np

from platform.shifts.town.canvas import HOLE, Canvas, Floats, Paints, Span, Surface
from platform.shifts.town.domains import Colour

DARK: Colour = (0.04, 0.045, 0.05)
GLASS: Colour = (0.07, 0.09, 0.12)
METAL: Colour = (0.26, 0.27, 0.28)
WHITE: Colour = (0.85, 0.85, 0.85)
RED: Colour = (0.62, 0.04, 0.03)
BARK: Colour = (0.13, 0.09, 0.06)
CAR_COLOURS: tuple[Colour, ...] = (
    (0.60, 0.60, 0.62),
    (0.05, 0.05, 0.06),
    (0.28, 0.29, 0.31),
    (0.45, 0.05, 0.04),
    (0.06, 0.12, 0.34),
    (0.75, 0.75, 0.72),
)
CLOTHES: tuple[Colour, ...] = (
    (0.08, 0.08, 0.10),
    (0.45, 0.08, 0.07),
    (0.10, 0.16, 0.35),
    (0.60, 0.58, 0.54),
    (0.16, 0.13, 0.10),
    (0.55, 0.40, 0.10),
)


def vary(random: np.random.Generator, colour: Colour, amount: float = 0.2) -> Colour:
    """A colour that differs by up to `amount` in brightness and a third of that in each channel."""
    brightness = random.uniform(1 - amount, 1 + amount)
    red, green, blue = (channel * brightness * random.uniform(1 - amount / 3, 1 + amount / 3) for channel in colour)
    return (red, green, blue)


def pick(random: np.random.Generator, colours: Sequence[Colour]) -> Colour:
    """One of the colours, varied."""
    return vary(random, colours[int(random.integers(len(colours)))])


def plain(paint: int) -> Surface:
    """A surface of one paint."""
    return lambda across, along: paint


def facade(canvas: Canvas, random: np.random.Generator, wall: Colour, roof: Colour, eaves: float) -> Surface:
    """Rows of windows above a ground floor of shops, and a roof above the eaves."""
    walls = canvas.mix("building", wall, 0.4)
    sills = canvas.mix("building", vary(random, wall, 0.4), 0.3)
    panes = canvas.mix("building", vary(random, GLASS, 0.5), 0.1)
    tiles = canvas.mix("building", vary(random, roof), 0.5)
    storey, bay = random.uniform(2.8, 3.6), random.uniform(1.8, 3.4)
    wide, high = random.uniform(0.35, 0.6), random.uniform(0.4, 0.6)
    shops = random.random() < 0.6

    def surface(across: Floats, up: Floats) -> Paints:
        floor = up / storey
        column = across / bay % 1
        row = floor % 1
        window = (column < wide) & (row > 0.28) & (row < 0.28 + high)
        if shops:
            window = np.where(floor < 1, (across / (1.6 * bay) % 1 < 0.8) & (row > 0.15) & (row < 0.75), window)
        paint = np.where(window & (up < eaves - 0.4), panes, np.where(row > 0.93, sills, walls))
        return np.where(up > eaves, tiles, paint)

    return surface


def building(
    canvas: Canvas,
    random: np.random.Generator,
    x: Span,
    z: Span,
    height: float,
    wall: Colour,
    roof: Colour,
    pitch: float,
) -> None:
    """A house whose ridge runs along the street, `pitch` metres above its eaves; 0 for a flat roof."""
    surface = facade(canvas, random, wall, roof, height)
    middle, half = (x[0] + x[1]) / 2, (x[1] - x[0]) / 2

    def gable(across: Floats, up: Floats) -> Paints:
        beside = np.abs(across - middle) > half * (1 - np.maximum(up - height, 0) / max(pitch, 0.01))
        # The wall goes on to the ridge between the slopes of the roof.
        return np.where(beside, HOLE, surface(across, np.minimum(up, height)))

    # The roof's slope is drawn upright: from the street it looks the same.
    canvas.box(x, (0.0, height + pitch), z, gable, surface, surface)


def wall(canvas: Canvas, random: np.random.Generator, x: float, z: Span, height: float) -> None:
    """A garden wall of coursed stone with a coping."""
    colour = vary(random, (0.38, 0.30, 0.25), 0.3)
    stone, joint = canvas.mix("wall", colour, 0.7), canvas.mix("wall", vary(random, colour, 0.4), 0.5)
    coping = canvas.mix("wall", vary(random, (0.5, 0.48, 0.45)), 0.3)

    def surface(across: Floats, up: Floats) -> Paints:
        return np.where(up > height - 0.15, coping, np.where(up / 0.4 % 1 < 0.2, joint, stone) + 0 * across)

    thick = 0.3 if x > 0 else -0.3
    canvas.box((min(x, x + thick), max(x, x + thick)), (0.0, height), z, surface, surface, plain(coping))


def fence(canvas: Canvas, random: np.random.Generator, x: float, z: Span, height: float) -> None:
    """Palings between rails; what shows between them is labelled as fence too, as annotators do."""
    colour = vary(random, (0.42, 0.44, 0.40), 0.3)
    bars, gaps = canvas.mix("fence", colour, 0.2), canvas.mix("fence", (0.10, 0.14, 0.07), 0.8)
    spacing = random.uniform(0.3, 0.7)

    def surface(across: Floats, up: Floats) -> Paints:
        rail = np.abs(up - 0.85 * height) < 0.08
        return np.where((across / spacing % 1 < 0.4) | rail, bars, gaps)

    canvas.sideways(x, z, (0.0, height), surface)


def hedge(canvas: Canvas, random: np.random.Generator, colour: Colour, height: float) -> Surface:
    """Greenery with an uneven top that ends below `height`."""
    bright = canvas.mix("vegetation", vary(random, colour, 0.3), 1.0)
    dark = canvas.mix("vegetation", vary(random, (colour[0] * 0.6, colour[1] * 0.6, colour[2] * 0.6)), 1.0)
    phase = random.uniform(0, 6.3, 3)

    def surface(across: Floats, up: Floats) -> Paints:
        waves = (
            np.sin(across * 0.9 + phase[0]) + np.sin(across * 2.3 + phase[1]) + 0.6 * np.sin(across * 5.1 + phase[2])
        )
        top = height * (0.82 + 0.07 * waves)
        lit = up > top * (0.5 + 0.2 * np.sin(across * 3.1 + up * 2.0))
        return np.where(up > top, HOLE, np.where(lit, bright, dark))

    return surface


def tree(canvas: Canvas, random: np.random.Generator, x: float, z: float, height: float, colour: Colour) -> None:
    """A trunk and a crown of leaf balls, lit from above; Cityscapes counts the trunk as vegetation."""
    radius = height * random.uniform(0.2, 0.28)
    canvas.shadow((x - radius, x + radius), (z - radius, z + radius), 0.85, corners=2)
    trunk = canvas.mix("vegetation", vary(random, BARK, 0.3), 0.8)
    canvas.facing(z, (x - 0.02 * height, x + 0.02 * height), (0.0, 0.6 * height), plain(trunk))
    tones = [
        canvas.mix("vegetation", vary(random, (colour[0] * tone, colour[1] * tone, colour[2] * tone), 0.15), 1.0)
        for tone in (0.6, 1.0, 1.35)
    ]
    for _ in range(6):
        ball = radius * random.uniform(0.55, 0.8)
        middle = x + random.uniform(-0.6, 0.6) * radius
        centre = 0.7 * height + random.uniform(-0.8, 0.9) * radius
        nearer = z - random.uniform(0.0, 0.5) * radius
        _leaves(canvas, nearer, middle, centre, ball, tones, random.uniform(0, 6.3))


def _leaves(canvas: Canvas, z: float, x: float, y: float, radius: float, tones: list[int], phase: float) -> None:
    def surface(across: Floats, up: Floats) -> Paints:
        right, above = (across - x) / radius, (up - y) / radius
        ragged = 0.18 * np.sin(7 * right + phase) * np.sin(8 * above + 2 * phase)
        height = above - 0.4 * right * np.sin(phase) + ragged
        tone = np.where(height > 0.35, tones[2], np.where(height > -0.3, tones[1], tones[0]))
        return np.where(right**2 + above**2 + ragged > 0.95, HOLE, tone)

    canvas.facing(z, (x - 1.1 * radius, x + 1.1 * radius), (max(y - 1.1 * radius, 0.0), y + 1.1 * radius), surface)


def car(canvas: Canvas, random: np.random.Generator, x: float, z: float, oncoming: bool) -> None:
    """A body on wheels, and a cabin that narrows towards its roof; z is the end nearer to the camera."""
    colour = pick(random, CAR_COLOURS)
    body, glass, tyre = canvas.mix("car", colour), canvas.mix("car", GLASS), canvas.mix("car", DARK)
    lamp = canvas.mix("car", WHITE if oncoming else RED)
    plate = canvas.mix("car", WHITE)
    length, half = random.uniform(3.8, 4.8), random.uniform(0.85, 0.95)
    belt, roof = random.uniform(0.85, 0.95), random.uniform(1.4, 1.65)
    axles = (z + 0.2 * length, z + 0.8 * length)
    cabin = (z + (0.3 if oncoming else 0.1) * length, z + (0.9 if oncoming else 0.7) * length)

    def end(across: Floats, up: Floats) -> Paints:
        aside = np.abs(across - x) / half
        paint = np.where((up > 0.55) & (up < 0.75) & (aside > 0.65), lamp, body)
        paint = np.where((up > 0.4) & (up < 0.55) & (aside < 0.3), plate, paint)
        return np.where(up < 0.25, np.where((aside > 0.7) & (aside < 0.98), tyre, HOLE), paint)

    def flank(ahead: Floats, up: Floats) -> Paints:
        axle = np.minimum(np.abs(ahead - axles[0]), np.abs(ahead - axles[1]))
        wheel = axle**2 + (up - 0.32) ** 2 < 0.32**2
        return np.where(wheel, tyre, np.where(up < 0.22, HOLE, body))

    def screen(across: Floats, up: Floats) -> Paints:
        edge = half * (0.98 - 0.25 * (up - belt) / (roof - belt)) - np.abs(across - x)
        return np.where(edge < 0, HOLE, np.where((edge > 0.1) & (up < roof - 0.08), glass, body))

    def windows(ahead: Floats, up: Floats) -> Paints:
        slant = 0.6 * (up - belt)
        edge = np.minimum(ahead - cabin[0] - slant, cabin[1] - slant - ahead)
        pillar = np.abs(ahead - (cabin[0] + cabin[1]) / 2) < 0.06
        return np.where(edge < 0, HOLE, np.where((edge > 0.1) & (up < roof - 0.08) & ~pillar, glass, body))

    canvas.shadow((x - half - 0.2, x + half + 0.2), (z - 0.3, z + length + 0.3), 0.45)
    canvas.box((x - half, x + half), (0.0, belt), (z, z + length), end, flank, plain(body))
    canvas.box((x - half * 0.9, x + half * 0.9), (belt, roof), cabin, screen, windows, plain(body))


def bus(canvas: Canvas, random: np.random.Generator, x: float, z: float, oncoming: bool) -> None:
    """A city bus: a long box with a band of windows, doors and a lit destination."""
    body = canvas.mix("bus", pick(random, ((0.62, 0.42, 0.04), (0.50, 0.06, 0.05), (0.55, 0.56, 0.54))))
    glass, tyre = canvas.mix("bus", GLASS), canvas.mix("bus", DARK)
    lamp = canvas.mix("bus", WHITE if oncoming else RED)
    destination = canvas.mix("bus", (0.8, 0.45, 0.05))
    length, half, roof = random.uniform(9.0, 12.0), 1.25, random.uniform(2.9, 3.3)

    def end(across: Floats, up: Floats) -> Paints:
        aside = np.abs(across - x) / half
        paint = np.where((up > 1.2) & (up < roof - 0.6) & (aside < 0.88), glass, body)
        paint = np.where((up > roof - 0.5) & (up < roof - 0.2) & (aside < 0.6), destination, paint)
        paint = np.where((up > 0.6) & (up < 0.9) & (aside > 0.7), lamp, paint)
        return np.where(up < 0.3, np.where((aside > 0.7) & (aside < 0.98), tyre, HOLE), paint)

    def flank(ahead: Floats, up: Floats) -> Paints:
        window = (up > 1.2) & (up < roof - 0.5) & ((ahead - z) / length * 6 % 1 > 0.08)
        axle = np.abs(np.abs(ahead - z - length / 2) - length / 4)
        wheel = axle**2 + (up - 0.45) ** 2 < 0.45**2
        return np.where(wheel, tyre, np.where(up < 0.3, HOLE, np.where(window, glass, body)))

    canvas.shadow((x - half - 0.3, x + half + 0.3), (z - 0.4, z + length + 0.4), 0.45)
    canvas.box((x - half, x + half), (0.0, roof), (z, z + length), end, flank, plain(body))


def person(canvas: Canvas, random: np.random.Generator, x: float, z: float) -> None:
    """A pedestrian: legs in stride, a torso with arms, a head."""
    coat, trousers = canvas.mix("person", pick(random, CLOTHES), 0.2), canvas.mix("person", pick(random, CLOTHES), 0.2)
    skin = canvas.mix("person", vary(random, (0.42, 0.27, 0.19), 0.4))
    height, stride = random.uniform(1.55, 1.9), random.uniform(0.0, 0.5)

    def surface(across: Floats, up: Floats) -> Paints:
        aside, level = np.abs(across - x), up / height
        legs = np.abs(aside - 0.1 - stride * np.maximum(0.48 - level, 0)) < 0.09
        torso = aside < np.where(level > 0.78, 0.2, 0.27)
        head = aside**2 + (up - 0.92 * height) ** 2 < 0.016
        body = np.where(level < 0.48, np.where(legs, trousers, HOLE), np.where(torso & (level < 0.85), coat, HOLE))
        return np.where(head, skin, body)

    canvas.shadow((x - 0.4, x + 0.4), (z - 0.3, z + 0.4), 0.6)
    canvas.facing(z, (x - 0.5, x + 0.5), (0.0, height + 0.02), surface)


def lamp_post(canvas: Canvas, random: np.random.Generator, x: float, z: float) -> None:
    """A mast with an arm over the carriageway."""
    metal = canvas.mix("pole", vary(random, METAL, 0.4))
    height, reach = random.uniform(5.5, 8.0), random.uniform(1.2, 2.2)
    tip = x - reach if x > 0 else x + reach
    canvas.facing(z, (x - 0.1, x + 0.1), (0.0, height), plain(metal))
    canvas.facing(z, (min(x, tip), max(x, tip)), (height - 0.1, height + 0.05), plain(metal))
    canvas.facing(z, (tip - 0.35, tip + 0.35), (height - 0.2, height + 0.05), plain(metal))


def sign(canvas: Canvas, random: np.random.Generator, x: float, z: float) -> None:
    """A round, triangular or rectangular sign on its post."""
    canvas.facing(z, (x - 0.05, x + 0.05), (0.0, 2.3), plain(canvas.mix("pole", vary(random, METAL, 0.3))))
    shape = int(random.integers(3))
    rim = canvas.mix("traffic sign", vary(random, (RED, RED, (0.03, 0.10, 0.42))[shape]))
    field = canvas.mix("traffic sign", vary(random, WHITE if shape != 1 else (0.75, 0.60, 0.08)))
    size = random.uniform(0.45, 0.65)
    centre = 2.3 + size

    def surface(across: Floats, up: Floats) -> Paints:
        right, above = np.abs(across - x) / size, (up - centre) / size
        if shape == 0:
            distance = np.sqrt(right**2 + above**2)
        elif shape == 1:
            distance = np.maximum(right + 0.5 * above + 0.5, -above)
        else:
            distance = np.maximum(right, np.abs(above)) + 0 * right
        return np.where(distance > 1, HOLE, np.where(distance > 0.65, rim, field))

    canvas.facing(z - 0.05, (x - size, x + size), (centre - size, centre + size), surface)
