"""One street: what a domain's layout says, drawn at random, from the ground up."""

from dataclasses import dataclass

import numpy as np

from platform.shifts.town import objects
from platform.shifts.town.canvas import NEAREST, Camera, Canvas, Floats, Paints, Span, Sun
from platform.shifts.town.domains import Appearance, Domain, Layout, Range, uniform

SAMPLES = 3
"""Rays per pixel and axis; odd, so that one of them is the pixel's centre, whose label the pixel gets."""

SIGHT = 110.0
"""The street ends here, in metres."""

CLUTTER = 50.0
"""Pedestrians and signs further away than this, in metres, would be specks."""

CROSSING = 9.0
"""Length of street that a crossing takes, in metres."""

LOTS = ("building", "wall", "fence", "greenery")
"""What may stand along the sidewalk, in the order of `Layout.frontage`."""

DEPTH = 12.0
"""How deep the houses are, in metres."""


@dataclass(frozen=True)
class Plan:
    """The cross-section of a street, and where it is crossed."""

    centre: float
    """x of the middle of the carriageway: left of the camera, which keeps right."""
    road: float
    """Half the width of the carriageway."""
    verge: float
    sidewalk: float
    crossing: float
    """z at which a crossing begins, beyond sight when there is none."""

    @property
    def frontage(self) -> float:
        """Distance of the houses from the middle of the carriageway."""
        return self.road + self.verge + self.sidewalk

    def crossed(self, z: float, margin: float = 0.0) -> bool:
        """Whether z lies in the crossing, or within `margin` of it."""
        return self.crossing - margin <= z < self.crossing + CROSSING + margin


def draw(domain: Domain, size: tuple[int, int], random: np.random.Generator) -> Canvas:
    """Draw a random street of the domain onto a fresh canvas."""
    layout, appearance = domain.layout, domain.appearance
    height, width = size
    camera = Camera(
        height=uniform(random, layout.camera_height),
        focal=uniform(random, layout.focal) * height,
        horizon=uniform(random, layout.horizon) * height,
        vanishing=random.uniform(0.42, 0.58) * width,
    )
    canvas = Canvas(size, SAMPLES, camera, _sun(appearance, random))
    plan = _plan(layout, random)
    _ground(canvas, plan, appearance, random)
    for side in (-1, 1):
        _frontage(canvas, plan, side, domain, random)
        _kerbside(canvas, plan, side, domain, random)
    _horizon(canvas, appearance, random)
    _traffic(canvas, plan, layout, random)
    if (hood := uniform(random, layout.hood)) > 0:
        canvas.hood(height * (1 - hood), canvas.mix("void", objects.vary(random, (0.08, 0.085, 0.09))))
    return canvas


def _sun(appearance: Appearance, random: np.random.Generator) -> Sun:
    elevation, azimuth = random.uniform(0.5, 1.2), random.uniform(-np.pi, np.pi)
    return Sun(
        right=float(np.cos(elevation) * np.sin(azimuth)),
        up=float(np.sin(elevation)),
        back=float(np.cos(elevation) * np.cos(azimuth)),
        strength=uniform(random, appearance.sun),
    )


def _plan(layout: Layout, random: np.random.Generator) -> Plan:
    road = uniform(random, layout.road)
    return Plan(
        centre=-random.uniform(1.5, 2.0),
        road=road,
        verge=uniform(random, layout.verge) if random.random() < layout.verges else 0.0,
        sidewalk=uniform(random, layout.sidewalk),
        crossing=random.uniform(14.0, 50.0) if random.random() < layout.crossings else 2 * SIGHT,
    )


def _ground(canvas: Canvas, plan: Plan, appearance: Appearance, random: np.random.Generator) -> None:
    asphalt = canvas.mix("road", objects.vary(random, appearance.asphalt, 0.15), 0.45)
    marking = canvas.mix("road", objects.vary(random, (0.62, 0.62, 0.58), 0.15), 0.3)
    grass = canvas.mix("terrain", objects.vary(random, appearance.grass), 0.9)
    paving = canvas.mix("sidewalk", objects.vary(random, appearance.paving, 0.15), 0.45)
    kerb = canvas.mix("sidewalk", objects.vary(random, (0.5, 0.49, 0.47), 0.1), 0.3)
    lanes = max(round(plan.road / 3.2), 1)
    lane = plan.road / lanes

    def surface(across: Floats, ahead: Floats) -> Paints:
        offset = np.abs(across - plan.centre)
        crossed = (ahead >= plan.crossing) & (ahead < plan.crossing + CROSSING)
        zebra = (ahead > plan.crossing - 4.0) & (ahead < plan.crossing - 1.5) & (across % 1.0 < 0.5)
        boundary = np.abs((offset + lane / 2) % lane - lane / 2) < 0.07
        dashed = boundary & ((ahead % 8.0 < 3.5) | (offset < 0.1)) & (offset < plan.road - 0.3)
        edge = np.abs(offset - plan.road + 0.35) < 0.06
        street = np.where((dashed | edge | zebra) & ~crossed, marking, asphalt)
        beside = np.where(offset < plan.road + 0.2, kerb, np.where(offset < plan.road + plan.verge, grass, paving))
        beside = np.where(offset > plan.frontage, grass, beside)
        return np.where((offset < plan.road) | crossed, street, beside)

    canvas.level(0.0, (-500.0, 500.0), (NEAREST, 3 * SIGHT), surface)


def _frontage(canvas: Canvas, plan: Plan, side: int, domain: Domain, random: np.random.Generator) -> None:
    """Houses, walls, fences and gardens along one side, from behind the camera to the end of sight."""
    layout = domain.layout
    x = plan.centre + side * plan.frontage
    begin = -random.uniform(0.0, 10.0)
    while begin < SIGHT:
        if plan.crossed(begin):
            begin = plan.crossing + CROSSING
        end = begin + uniform(random, layout.building_length)
        if begin < plan.crossing < end:
            end = plan.crossing
        lot = random.choice(LOTS, p=layout.frontage)
        if lot == "building":
            _house(canvas, x, side, (begin, end), domain, random)
        else:
            _garden(canvas, x, side, (begin, end), domain, random)
        if lot == "wall":
            objects.wall(canvas, random, x, (begin, end), random.uniform(2.0, 3.0))
        if lot == "fence":
            objects.fence(canvas, random, x, (begin, end), random.uniform(1.4, 2.2))
        begin = end


def _house(canvas: Canvas, x: float, side: int, z: Span, domain: Domain, random: np.random.Generator) -> None:
    layout, appearance = domain.layout, domain.appearance
    height = uniform(random, layout.building_height)
    pitch = random.uniform(2.0, 3.5) if random.random() < layout.roofs else 0.0
    if canvas.sun.right * side > 0:
        reach = min(height * abs(canvas.sun.right) / canvas.sun.up, 14.0)
        canvas.shadow((min(x, x - side * reach), max(x, x - side * reach)), z, 1.0, corners=40)
    colour = objects.pick(random, appearance.facades)
    far = x + side * DEPTH
    objects.building(canvas, random, (min(x, far), max(x, far)), z, height, colour, appearance.roof, pitch)


def _garden(canvas: Canvas, x: float, side: int, z: Span, domain: Domain, random: np.random.Generator) -> None:
    """What stands behind a wall or fence, or in place of a house: hedges, trees, a house set back."""
    layout, appearance = domain.layout, domain.appearance
    if random.random() < 0.5:
        _house(canvas, x + side * random.uniform(7.0, 12.0), side, z, domain, random)
    if random.random() < 0.6:
        height = random.uniform(1.5, 4.0)
        surface = objects.hedge(canvas, random, appearance.foliage, height)
        canvas.sideways(x + side * random.uniform(1.0, 4.0), z, (0.0, height), surface)
    for _ in range(int(random.integers(0, 3))):
        place = x + side * random.uniform(2.5, 6.0)
        ahead = random.uniform(*z)
        if ahead > 4.0:
            objects.tree(canvas, random, place, ahead, uniform(random, layout.tree_height), appearance.foliage)


def _kerbside(canvas: Canvas, plan: Plan, side: int, domain: Domain, random: np.random.Generator) -> None:
    """Trees, lamps, signs, pedestrians and parked cars along one side."""
    layout, appearance = domain.layout, domain.appearance

    def at(offset: float) -> float:
        return plan.centre + side * (plan.road + offset)

    for z in _places(random, layout.trees, 7.0):
        if not plan.crossed(z):
            objects.tree(canvas, random, at(0.8), z, uniform(random, layout.tree_height), appearance.foliage)
    for z in _places(random, layout.lamps, 6.0):
        if not plan.crossed(z):
            objects.lamp_post(canvas, random, at(0.5), z)
    for z in _places(random, layout.signs, 6.0, CLUTTER):
        if not plan.crossed(z):
            objects.sign(canvas, random, at(random.uniform(0.4, 0.8)), z)
    for z in _places(random, layout.persons, 4.5, CLUTTER):
        objects.person(canvas, random, at(random.uniform(0.6, plan.verge + plan.sidewalk - 0.3)), z)
    free = 4.0
    for z in _places(random, layout.parked, 4.0):
        if z >= free and not plan.crossed(z, 6.0):
            against = random.random() < 0.1
            objects.car(canvas, random, at(-1.0), z, oncoming=(side < 0) != against)
            free = z + 5.3


def _traffic(canvas: Canvas, plan: Plan, layout: Layout, random: np.random.Generator) -> None:
    """Vehicles in the lane beside the middle of each carriageway, those on the left oncoming."""
    for side in (-1, 1):
        free = 7.0
        for z in _places(random, layout.traffic, 7.0):
            if z < free:
                continue
            vehicle = objects.bus if random.random() < layout.buses else objects.car
            vehicle(canvas, random, plan.centre + side * random.uniform(1.6, 2.0), z, side < 0)
            free = z + 14.0
    if plan.crossing < SIGHT and random.random() < 0.5:
        x = plan.centre + random.uniform(-1.0, 1.0) * plan.road
        objects.person(canvas, random, x, plan.crossing - random.uniform(1.8, 3.5))


def _horizon(canvas: Canvas, appearance: Appearance, random: np.random.Generator) -> None:
    """Woods and houses that close the street."""
    height = random.uniform(5.0, 10.0)
    canvas.facing(SIGHT + 20, (-400.0, 400.0), (0.0, height), objects.hedge(canvas, random, appearance.foliage, height))
    for _ in range(3):
        left, wide = random.uniform(-60.0, 60.0), random.uniform(15.0, 30.0)
        tall = random.uniform(8.0, 16.0)
        surface = objects.facade(canvas, random, objects.pick(random, appearance.facades), appearance.roof, tall - 2)
        canvas.facing(SIGHT + random.uniform(5.0, 15.0), (left, left + wide), (0.0, tall), surface)


def _places(random: np.random.Generator, density: Range, nearest: float, farthest: float = SIGHT) -> list[float]:
    """Distances of things strewn along the street, in order."""
    number = int(random.poisson(uniform(random, density) * (farthest - nearest) / 100))
    places: list[float] = np.sort(random.uniform(nearest, farthest, number)).tolist()
    return places
