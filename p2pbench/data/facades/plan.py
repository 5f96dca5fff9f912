"""The plan of a house: its style, where its bays and storeys are, what its windows have in common, its paints."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from p2pbench.data.facades import CLASSES, SIDE
from p2pbench.data.facades.canvas import RGB, Canvas, Dice

BACKGROUND, FACADE, WINDOW, DOOR, CORNICE, SILL, BALCONY, BLIND, DECO, MOLDING, PILLAR, SHOP = range(len(CLASSES))

PALE = ((222, 208, 172), (214, 186, 130), (226, 214, 200), (205, 160, 138), (190, 196, 170), (176, 190, 204))
EARTH = ((196, 132, 74), (168, 112, 92), (150, 140, 120), (206, 178, 120), (136, 152, 132), (184, 170, 150))
BRICK = ((150, 78, 58), (128, 66, 52), (168, 102, 74), (112, 76, 64), (186, 158, 116), (140, 110, 92))
STONE = ((182, 172, 150), (160, 150, 132), (198, 186, 158), (146, 140, 132))
CONCRETE = ((212, 212, 206), (184, 184, 178), (216, 204, 180), (160, 164, 168), (200, 176, 156), (150, 156, 140))
METAL = ((38, 40, 42), (52, 50, 48), (30, 48, 40), (90, 92, 94))
JOINERY = ((86, 54, 34), (60, 40, 30), (44, 66, 52), (110, 32, 30), (52, 62, 84), (124, 96, 66), (96, 98, 100))
FRAMES = ((236, 234, 228), (236, 234, 228), (216, 208, 190), (96, 66, 44), (70, 70, 70), (120, 44, 36), (150, 150, 146))
SHUTTERS = ((48, 84, 62), (96, 60, 40), (120, 128, 118), (66, 92, 116), (140, 58, 46), (186, 178, 160))
GLASS = ((36, 42, 50), (58, 68, 80), (84, 98, 112), (30, 32, 34), (112, 128, 144), (150, 162, 172), (62, 58, 50))


@dataclass(frozen=True)
class Style:
    """What a kind of house is made of, and how often, in per cent, its houses or its storeys have what."""

    walls: tuple[RGB, ...]
    materials: tuple[str, ...]
    window: tuple[int, int]
    """Width of a window, per cent of its bay: from, to."""
    # of storeys
    moldings: int
    cornices: int
    balconies: int
    arches: int
    deco: int
    # of houses
    parapets: int
    """Balconies behind a wall, not behind railings."""
    sills: int
    shutters: int
    rollers: int
    pillars: int
    shops: int


STYLES = (
    Style(
        walls=PALE + EARTH, materials=("plaster", "plaster", "stained"), window=(34, 52), parapets=0,
        moldings=60, cornices=70, balconies=24, arches=12, deco=45,
        sills=70, shutters=6, rollers=6, pillars=42, shops=50,
    ),
    Style(
        walls=STONE + PALE, materials=("ashlar", "stained", "plaster"), window=(34, 50), parapets=20,
        moldings=70, cornices=65, balconies=26, arches=30, deco=50,
        sills=62, shutters=0, rollers=5, pillars=60, shops=55,
    ),
    Style(
        walls=BRICK, materials=("brick", "pale joints"), window=(34, 54), parapets=5,
        moldings=35, cornices=45, balconies=16, arches=25, deco=25,
        sills=82, shutters=6, rollers=8, pillars=18, shops=45,
    ),
    Style(
        walls=PALE + EARTH, materials=("plaster", "stained"), window=(30, 42), parapets=10,
        moldings=25, cornices=10, balconies=26, arches=5, deco=10,
        sills=70, shutters=58, rollers=5, pillars=6, shops=35,
    ),
    Style(
        walls=CONCRETE, materials=("plaster", "stained", "blocks"), window=(46, 70), parapets=65,
        moldings=25, cornices=4, balconies=60, arches=0, deco=8,
        sills=50, shutters=0, rollers=40, pillars=10, shops=42,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Windows:
    """What the windows of a house have in common."""

    width: int
    """Per cent of a bay."""
    height: int
    """Per cent of a storey."""
    pair: bool
    """Two side by side in a bay."""
    uprights: int
    levels: int
    """Bars across the panes."""
    surround: int
    """Pixels of trim around it, which count as wall."""
    sill: int
    """Height of the sill, 0 for none."""
    shutters: bool
    rollers: bool


@dataclass(frozen=True)
class House:
    """A plan, and the paints and textures that all parts of the house share."""

    canvas: Canvas
    dice: Dice
    style: Style
    windows: Windows
    box: tuple[int, int, int, int]
    """Top, left, bottom, right of the facade."""
    bays: list[tuple[int, int]]
    """Left and right of each column of windows."""
    storeys: list[tuple[int, int]]
    """Top and bottom of each storey from above; the last is at the street."""
    texture: np.ndarray
    wall: int
    trim: int
    frame: int
    metal: int
    joinery: int
    shutter: int
    curtain: int
    plants: int
    panes: list[int]
    reflection: np.ndarray
    ornament: np.ndarray
    leaves: np.ndarray
    parapets: bool
    from_left: bool
    """Where the light comes from."""
    shadow: int
    """How much darker a shadow is: little under clouds."""

    def shadowed_side(self, left: int, right: int, width: int) -> tuple[int, int]:
        """Left and right of the strip of a recess that its edge keeps in the shadow."""
        return (left, left + width) if self.from_left else (right - width, right)


def plan(dice: Dice) -> House:
    """A house on an empty canvas."""
    canvas, style = Canvas(), dice.choose(STYLES)
    left, beyond = (dice.choose((0, 0, dice.between(4, 26), dice.between(14, 56))) for _ in range(2))
    top, bottom, right = dice.choose((dice.between(2, 20), dice.between(18, 72))), dice.between(228, 250), SIDE - beyond
    wall = dice.near(dice.choose(style.walls), 12, 18)
    trim = dice.choose(
        (dice.choose(PALE), _scaled(wall, 118), _scaled(wall, 132), _scaled(wall, 82), dice.choose(STONE))
    )
    return House(
        canvas=canvas,
        dice=dice,
        style=style,
        windows=_windows(dice, style),
        box=(top, left, bottom, right),
        bays=_bays(dice, left + dice.between(1, 9), right - dice.between(1, 9)),
        storeys=_storeys(dice, top + dice.between(3, 14), bottom),
        texture=dice.material(dice.choose(style.materials)),
        wall=canvas.mix(wall),
        trim=canvas.mix(dice.near(trim, 5, 8)),
        frame=canvas.mix(dice.near(dice.choose(FRAMES), 4, 12)),
        metal=canvas.mix(dice.choose(METAL)),
        joinery=canvas.mix(dice.near(dice.choose(JOINERY), 8, 14)),
        shutter=canvas.mix(dice.near(dice.choose(SHUTTERS), 8, 14)),
        curtain=canvas.mix(dice.near((206, 202, 192), 10, 24)),
        plants=canvas.mix(dice.near((84, 110, 50), 20, 14)),
        panes=[canvas.mix(dice.near(dice.choose(GLASS), 4, 8)) for _ in range(4)],
        reflection=dice.material("glass"),
        ornament=dice.material("ornament"),
        leaves=dice.material("leaves"),
        parapets=dice.chance(style.parapets),
        from_left=dice.chance(50),
        shadow=dice.between(16, 48),
    )


def _windows(dice: Dice, style: Style) -> Windows:
    width = dice.between(*style.window)
    return Windows(
        width=width,
        height=dice.between(50, 66),
        pair=width >= 44 and dice.chance(30),
        uprights=dice.choose((0, 1, 1, 1, 2)),
        levels=dice.choose((0, 1, 1, 2, 3)),
        surround=dice.choose((0, 0, 1, 2)),
        sill=dice.between(2, 5) if dice.chance(style.sills) else 0,
        shutters=dice.chance(style.shutters),
        rollers=dice.chance(style.rollers),
    )


def _bays(dice: Dice, left: int, right: int) -> list[tuple[int, int]]:
    """Symmetric: the outer bays, or the middle one, may be wider or narrower than the others."""
    n = max((right - left) // dice.between(26, 52), 2)
    weights = [100] * n
    if dice.chance(25):
        weights[0] = weights[-1] = dice.between(75, 150)
    if n % 2 and n > 2 and dice.chance(35):
        weights[n // 2] = dice.between(110, 160)
    return _divided(left, right, weights)


def _storeys(dice: Dice, top: int, bottom: int) -> list[tuple[int, int]]:
    """The street floor is the highest; the uppermost may be low."""
    n = max((bottom - top) // dice.between(34, 54), 2)
    weights = [100] * n
    weights[-1] = dice.between(100, 130)
    if n > 2 and dice.chance(40):
        weights[0] = dice.between(70, 95)
    return _divided(top, bottom, weights)


def _divided(start: int, stop: int, weights: list[int]) -> list[tuple[int, int]]:
    """start..stop in parts as large as their weights."""
    edges = [start + (stop - start) * sum(weights[:part]) // sum(weights) for part in range(len(weights) + 1)]
    return list(pairwise(edges))


def _scaled(colour: RGB, percent: int) -> RGB:
    red, green, blue = (channel * percent // 100 for channel in colour)
    return red, green, blue
