"""The plan of a house: its style, where its bays and storeys are, and the paints and surfaces that its parts share."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from p2pbench.data.facades import SIDE, TABLES
from p2pbench.data.facades.canvas import RGB, Box, Canvas, Dice

COLOURS: dict[str, list[RGB]] = TABLES["colours"]


STYLES: list[dict[str, Any]] = [
    style | {"walls": [colour for name in style["walls"] for colour in COLOURS[name]]} for style in TABLES["styles"]
]
"""The kinds of houses, as the table has them, with the colours of their walls."""


@dataclass(frozen=True)
class House:
    """The plan of a house, and the paints and surfaces that all its parts share."""

    canvas: Canvas
    dice: Dice
    style: dict[str, Any]
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
    wall = dice.near(dice.choose(style["walls"]), 12, 18)
    trim = dice.choose((dice.choose(COLOURS["pale"]), dice.choose(COLOURS["stone"]), dice.near(wall, 2, 50)))
    colours = {"wall": wall, "trim": trim, "curtain": (206, 202, 192), "leaves": (80, 100, 50)}
    colours |= {name: dice.choose(COLOURS[name]) for name in ("frame", "metal", "joinery", "slats", "sign")}
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
        panes=[canvas.mix(dice.near(dice.choose(COLOURS["glass"]), 4, 8)) for _ in range(4)],
        wall=dice.surface(dice.choose(style["surfaces"])),
        glass=dice.surface("glass"),
        width=dice.between(*style["window"]),
        height=dice.between(50, 66),
        bars=(dice.choose((0, 1, 1, 2)), dice.choose((0, 1, 1, 2))),
        sill=dice.between(2, 5) if dice.chance(style["parts"]["sill"]) else 0,
        blinds=dice.choose(("shutters", "rollers")) if dice.chance(style["parts"]["blind"]) else "",
        from_left=dice.chance(50),
        shadow=dice.between(16, 48),
    )


def _divided(start: int, stop: int, weights: list[int]) -> list[tuple[int, int]]:
    """start..stop in parts as large as their weights."""
    edges = [start + (stop - start) * sum(weights[:part]) // sum(weights) for part in range(len(weights) + 1)]
    return list(pairwise(edges))
