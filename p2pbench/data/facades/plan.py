"""The plan of a house: its style, where its bays and storeys are, and the paints and surfaces that its parts share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from p2pbench.data.facades import SIDE
from p2pbench.data.facades.canvas import RGB, Box, Canvas, Dice

PALE = ((222, 208, 172), (214, 186, 130), (226, 214, 200), (205, 160, 138), (190, 196, 170), (176, 190, 204))
EARTH = ((196, 132, 74), (168, 112, 92), (150, 140, 120), (206, 178, 120), (136, 152, 132), (184, 170, 150))
BRICK = ((150, 78, 58), (128, 66, 52), (168, 102, 74), (112, 76, 64), (186, 158, 116), (140, 110, 92))
STONE = ((182, 172, 150), (160, 150, 132), (198, 186, 158), (146, 140, 132))
CONCRETE = ((212, 212, 206), (184, 184, 178), (216, 204, 180), (160, 164, 168), (200, 176, 156), (150, 156, 140))
SKY = ((228, 230, 232), (212, 218, 226), (150, 184, 220), (112, 156, 206), (240, 240, 240), (186, 200, 216))
ROOF = ((140, 72, 52), (112, 62, 50), (84, 84, 90), (66, 68, 74), (120, 120, 120), (104, 132, 120))
METAL = ((38, 40, 42), (52, 50, 48), (30, 48, 40), (90, 92, 94))
JOINERY = ((86, 54, 34), (60, 40, 30), (44, 66, 52), (110, 32, 30), (52, 62, 84), (124, 96, 66), (96, 98, 100))
FRAME = ((236, 234, 228), (236, 234, 228), (216, 208, 190), (96, 66, 44), (70, 70, 70), (120, 44, 36), (150, 150, 146))
SLATS = ((48, 84, 62), (96, 60, 40), (120, 128, 118), (66, 92, 116), (140, 58, 46), (206, 202, 192))
GLASS = ((36, 42, 50), (58, 68, 80), (84, 98, 112), (30, 32, 34), (112, 128, 144), (150, 162, 172), (62, 58, 50))
SIGN = ((168, 32, 30), (28, 60, 120), (30, 92, 62), (222, 186, 48), (40, 38, 40), (226, 222, 212), (120, 40, 80))


@dataclass(frozen=True)
class Style:
    """A kind of house."""

    walls: tuple[RGB, ...]
    surfaces: tuple[str, ...]
    window: tuple[int, int]
    """The least and the greatest width of a window, in per cent of its bay."""
    parts: dict[str, int]
    """For each class of parts, the per cent of houses, or of their storeys, that have some."""


STYLES = (
    Style(
        PALE + EARTH, ("plaster", "plaster", "stained"), (34, 52),
        {"molding": 60, "cornice": 70, "balcony": 26, "deco": 70, "sill": 72, "blind": 20, "pillar": 42, "shop": 50},
    ),
    Style(
        STONE + PALE, ("ashlar", "stained", "plaster"), (34, 50),
        {"molding": 70, "cornice": 65, "balcony": 28, "deco": 80, "sill": 66, "blind": 12, "pillar": 55, "shop": 55},
    ),
    Style(
        BRICK, ("brick", "brick", "stained"), (34, 54),
        {"molding": 45, "cornice": 50, "balcony": 20, "deco": 50, "sill": 82, "blind": 22, "pillar": 20, "shop": 45},
    ),
    Style(
        CONCRETE + EARTH, ("plaster", "stained", "blocks"), (42, 66),
        {"molding": 30, "cornice": 8, "balcony": 55, "deco": 20, "sill": 60, "blind": 55, "pillar": 10, "shop": 42},
    ),
)  # fmt: skip


@dataclass(frozen=True)
class House:
    """The plan of a house, and the paints and surfaces that all its parts share."""

    canvas: Canvas
    dice: Dice
    style: Style
    box: Box
    bays: list[tuple[int, int]]
    """Left and right of each column of windows."""
    storeys: list[tuple[int, int]]
    """Top and bottom of each storey from above; the last is at the street."""
    paints: dict[str, int]
    panes: list[int]
    wall: np.ndarray
    """The surface of wall and trim."""
    glass: np.ndarray
    width: int
    """Width of a window, in per cent of its bay."""
    height: int
    """Height of a window, in per cent of its storey."""
    bars: tuple[int, int]
    """Upright and level bars of a window."""
    sill: int
    """Height of the sills, 0 for none."""
    blinds: str
    """``shutters``, ``rollers`` or nothing."""
    from_left: bool
    """Whether the light comes from the left."""
    shadow: int
    """How much darker a shadow is: little under clouds."""

    def raise_part(self, box: Box, paint: str, label: str, surface: np.ndarray | None = None) -> None:
        """Paint a part that stands out from the wall: its upper edge is lit, and its shadow lies below it."""
        top, left, bottom, right = box
        self.canvas.fill(box, self.paints[paint], self.wall if surface is None else surface, label)
        self.canvas.shade((top, left, top + 1, right), 20)
        self.canvas.shade((bottom, left, bottom + 2, right), -self.shadow)

    def shade_recess(self, box: Box) -> None:
        """Shade a part that lies behind the wall: above, and on the side that the light comes from."""
        top, left, bottom, right = box
        self.canvas.shade((top, left, top + 2, right), -self.shadow)
        edge = left if self.from_left else right - 2
        self.canvas.shade((top, edge, bottom, edge + 2), -self.shadow)


def plan_house(dice: Dice) -> House:
    """A house on an empty canvas."""
    canvas, style = Canvas(), dice.choose(STYLES)
    left, beyond = (dice.choose((0, 0, dice.between(4, 26), dice.between(14, 56))) for _ in range(2))
    top, bottom, right = dice.choose((dice.between(2, 20), dice.between(18, 72))), dice.between(228, 250), SIDE - beyond
    wall = dice.near(dice.choose(style.walls), 12, 18)
    trim = dice.choose((dice.choose(PALE), dice.choose(STONE), dice.near(wall, 2, 50)))
    colours = {"wall": wall, "trim": trim, "curtain": (206, 202, 192), "leaves": (80, 100, 50)}
    tables = {"frame": FRAME, "metal": METAL, "joinery": JOINERY, "slats": SLATS, "sign": SIGN}
    colours |= {name: dice.choose(table) for name, table in tables.items()}
    n_bays, n_storeys = max((right - left) // dice.between(26, 52), 2), max((bottom - top) // dice.between(34, 54), 2)
    outer, upper, street = dice.choose((100, 100, 100, dice.between(75, 150))), dice.between(75, 110), 120
    return House(
        canvas=canvas,
        dice=dice,
        style=style,
        box=(top, left, bottom, right),
        bays=_divided(left + dice.between(1, 9), right - dice.between(1, 9), [outer, *[100] * (n_bays - 2), outer]),
        storeys=_divided(top + dice.between(3, 14), bottom, [upper, *[100] * (n_storeys - 2), street]),
        paints={name: canvas.mix(dice.near(colour, 8, 10)) for name, colour in colours.items()},
        panes=[canvas.mix(dice.near(dice.choose(GLASS), 4, 8)) for _ in range(4)],
        wall=dice.surface(dice.choose(style.surfaces)),
        glass=dice.surface("glass"),
        width=dice.between(*style.window),
        height=dice.between(50, 66),
        bars=(dice.choose((0, 1, 1, 2)), dice.choose((0, 1, 1, 2))),
        sill=dice.between(2, 5) if dice.chance(style.parts["sill"]) else 0,
        blinds=dice.choose(("shutters", "rollers")) if dice.chance(style.parts["blind"]) else "",
        from_left=dice.chance(50),
        shadow=dice.between(16, 48),
    )


def _divided(start: int, stop: int, weights: list[int]) -> list[tuple[int, int]]:
    """start..stop in parts as large as their weights."""
    edges = [start + (stop - start) * sum(weights[:part]) // sum(weights) for part in range(len(weights) + 1)]
    return list(pairwise(edges))
