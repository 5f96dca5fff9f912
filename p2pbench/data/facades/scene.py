"""The whole picture: sky, street and neighbours, the house among them, what stands before it, and the weather."""

from __future__ import annotations

import numpy as np

from p2pbench.data.facades import SIDE
from p2pbench.data.facades.canvas import RGB, Dice, corners
from p2pbench.data.facades.house import paint_house
from p2pbench.data.facades.materials import LIT
from p2pbench.data.facades.plan import BRICK, PALE, STYLES, House, plan

SKIES: tuple[RGB, ...] = (
    (228, 230, 232), (212, 218, 226), (150, 184, 220), (112, 156, 206), (240, 240, 240), (186, 200, 216),
)  # fmt: skip
ROOFS: tuple[RGB, ...] = (
    (140, 72, 52), (112, 62, 50), (84, 84, 90), (66, 68, 74), (120, 120, 120), (104, 132, 120),
)  # fmt: skip
CARS: tuple[RGB, ...] = (
    (160, 30, 28), (36, 56, 110), (200, 200, 204), (44, 44, 48), (120, 124, 130), (226, 224, 218),
)  # fmt: skip


def render(seed: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
    """Label map and photograph of one elevation, each (256, 256, 3), uint8, keyed by two numbers below 2**64."""
    house = plan(Dice(seed, stream))
    _surroundings(house)
    paint_house(house)
    _foreground(house)
    _weather(house)
    return house.canvas.label_map(), house.canvas.photograph(house.dice)


# ---- behind and beside the house: all of it is background


def _surroundings(house: House) -> None:
    canvas, dice = house.canvas, house.dice
    _, left, bottom, right = house.box
    canvas.fill(0, 0, SIDE, SIDE, canvas.mix(dice.near(dice.choose(SKIES), 6, 10)), dice.material("clouds"))
    canvas.light += np.arange(SIDE, dtype=np.int16)[:, None] * np.int16(dice.between(0, 30)) >> 8  # paler below
    for start, end in ((0, left), (right, SIDE)):
        if start < end:
            _neighbour(house, start, end)
    if dice.chance(70):
        _roof(house)
    kerb = bottom + dice.between(4, 12)
    canvas.fill(bottom, 0, SIDE, SIDE, canvas.mix(dice.near((134, 130, 124), 5, 26)), dice.material("paving"))
    canvas.fill(kerb, 0, SIDE, SIDE, canvas.mix(dice.near((84, 84, 86), 3, 18)), dice.material("stained"))
    canvas.shade(kerb, 0, kerb + 1, SIDE, -30)
    canvas.shade(bottom, left, bottom + 2, right, -34)


def _neighbour(house: House, left: int, right: int) -> None:
    canvas, dice = house.canvas, house.dice
    style, top, bottom = dice.choose(STYLES), dice.between(0, 90), house.box[2]
    wall = canvas.mix(dice.near(dice.choose(style.walls), 10, 20))
    canvas.fill(top, left, bottom, right, wall, dice.material(dice.choose(style.materials)))
    canvas.shade(top, left, top + 3, right, 22)
    canvas.shade(top + 3, left, top + 6, right, -house.shadow)
    width, height, pitch, storey = (dice.between(*ends) for ends in ((9, 15), (16, 26), (24, 34), (34, 50)))
    for y in range(top + 14, bottom - height, storey):
        for away in range(pitch // 2, right - left, pitch):  # from the joint between the houses
            x = right - away - width // 2 if left == 0 else left + away - width // 2
            start, end = max(x, left), min(x + width, right)
            canvas.fill(y, start, y + height, end, house.frame)
            canvas.fill(y + 1, start + 1, y + height - 1, end - 1, dice.choose(house.panes), house.reflection)
            canvas.fill(y + 1, x + width // 2, y + height - 1, x + width // 2 + 1, house.frame)
            canvas.shade(y, start, y + 2, end, -house.shadow)
    joint = right - 2 if left == 0 else left
    canvas.shade(top, joint, bottom, joint + 2, -house.shadow)


def _roof(house: House) -> None:
    """Hipped, with chimneys behind it."""
    canvas, dice = house.canvas, house.dice
    bottom, left, _, right = house.box
    top = bottom - min(dice.between(8, 34), bottom)
    for _ in range(dice.below(4)):
        x, width, height = dice.between(left, right - 14), dice.between(6, 13), dice.between(4, 12)
        stack = canvas.mix(dice.near(dice.choose(BRICK + PALE), 8, 16))
        canvas.fill(top - height, x, bottom, x + width, stack, dice.material("brick"))
        canvas.shade(top - height, x, top - height + 2, x + width, -20)
    before = canvas.copy(top, left, bottom, right)
    roof = canvas.mix(dice.near(dice.choose(ROOFS), 8, 14))
    canvas.fill(top, left, bottom, right, roof, dice.material(dice.choose(("roof tiles", "slate", "stained"))))
    canvas.restore(top, left, before, corners("hip", bottom - top, right - left))


# ---- before it: hidden from the camera, not from the labels


def _foreground(house: House) -> None:
    dice, bottom = house.dice, house.box[2]
    for start in (-20, SIDE // 2) if dice.chance(70) else ():
        if dice.chance(45):
            _car(house, start + dice.between(0, SIDE // 4), min(bottom + dice.between(4, 14), SIDE))
    if dice.chance(18):
        _tree(house, dice.between(20, SIDE - 20), bottom + 3)


def _car(house: House, left: int, ground: int) -> None:
    canvas, dice = house.canvas, house.dice
    body, dark = canvas.mix(dice.near(dice.choose(CARS), 8, 12)), canvas.mix((24, 24, 26))
    width = dice.between(50, 64)
    right, top = left + width, ground - dice.between(17, 20)
    for paint, edge in ((body, 0), (house.panes[0], 2)):
        for row, inset in ((0, 15), (1, 13), (3, 11), (5, 9)):  # the cabin, wider below
            canvas.fill(top + row + edge, left + inset + edge, top + 8, right - inset - edge, paint)
    for x in (left + width // 3, left + width // 2, right - width // 3):
        canvas.fill(top + 1, x, top + 8, x + 1, body)
    canvas.fill(top + 8, left, ground - 3, right, body)
    canvas.shade(top + 8, left, top + 10, right, 24)
    canvas.shade(ground - 6, left, ground - 3, right, -36)
    for x in (left + 8, right - 16):
        canvas.fill(ground - 7, x, ground, x + 7, dark)
        canvas.fill(ground - 5, x + 2, ground - 2, x + 5, house.curtain)
    canvas.fill(ground - 1, left + 2, ground + 1, right - 2, dark)


def _tree(house: House, x: int, ground: int) -> None:
    """A crown of a dozen round clumps with ragged edges, and gaps between the leaves."""
    canvas, dice = house.canvas, house.dice
    leaf, crown = canvas.mix(dice.near((76, 92, 50), 14, 18)), ground - dice.between(60, 110)
    canvas.fill(crown, x, ground, x + 3, canvas.mix((66, 56, 46)))
    rows, columns = (np.arange(max(middle - 40, 0), min(middle + 40, SIDE)) for middle in (crown, x))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    light = house.leaves[box]
    ragged = (light.astype(np.int64) - LIT) * 5
    there = np.zeros(light.shape, bool)
    for _ in range(12):
        down, across, radius = dice.between(-24, 22), dice.between(-20, 20), dice.between(6, 14)
        there |= (rows[:, None] - crown - down) ** 2 + (columns - x - across) ** 2 + ragged < radius * radius
    there &= light > 96
    np.copyto(canvas.paint[box], np.uint8(leaf), where=there)
    np.copyto(canvas.light[box], light - np.int16(20), where=there)


# ---- over all


def _weather(house: House) -> None:
    """Light that differs across the picture, and at times the shadow of the house across the street."""
    light, dice = house.canvas.light, house.dice
    along = np.arange(SIDE, dtype=np.int16) - np.int16(SIDE // 2)
    light += (along * np.int16(dice.between(-20, 12)) >> 8)[:, None]
    light += along * np.int16(dice.between(-16, 16)) >> 8
    if house.shadow > 30 and dice.chance(40):
        edge = dice.between(120, 230) + (along * np.int16(dice.between(-90, 90)) >> 7)
        light -= np.where(np.arange(SIDE)[:, None] > edge, np.int16(house.shadow), np.int16(0))
