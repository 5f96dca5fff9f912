"""What is in the wall: windows with cornice, sill, blinds and balcony; doors; shopfronts.

Every part paints its label and its look together, so that the two cannot disagree. A box is top, left, bottom, right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from p2pbench.data.facades.canvas import RGB, corners
from p2pbench.data.facades.plan import BALCONY, BLIND, CORNICE, DOOR, FACADE, SHOP, SILL, WINDOW, House

SIGNS: tuple[RGB, ...] = (
    (168, 32, 30), (28, 60, 120), (30, 92, 62), (222, 186, 48), (40, 38, 40), (226, 222, 212), (120, 40, 80),
)  # fmt: skip
LETTERS: tuple[RGB, ...] = ((240, 236, 226), (30, 30, 34), (228, 190, 60))
INSIDES: tuple[RGB, ...] = ((96, 84, 70), (60, 58, 58), (140, 122, 92), (44, 46, 50))


def paint_bay(house: House, top: int, left: int, bottom: int, right: int, arch: int) -> None:
    """One or two windows, the trim around them, and what keeps the sun out."""
    canvas, dice, windows = house.canvas, house.dice, house.windows
    if edge := windows.surround:
        canvas.fill(top - edge, left - edge, bottom, right + edge, house.trim, house.texture, FACADE)
        canvas.shade(bottom, left - edge, bottom + 1, right + edge, -house.shadow)
    if windows.pair:
        middle = (left + right) // 2
        paint_window(house, top, left, bottom, middle - 1, arch)
        paint_window(house, top, middle + 1, bottom, right, arch)
    else:
        paint_window(house, top, left, bottom, right, arch)
    if windows.rollers and dice.chance(50):
        down = dice.choose((4, (bottom - top) // 3, (bottom - top) // 2, bottom - top))
        _slats(house, top, left, top + down, right, house.curtain)
    if windows.shutters and not windows.pair:
        state, leaf = dice.below(100), (right - left) // 2
        if state < 10:
            _slats(house, top, left, bottom, right, house.shutter)
        elif state < 90:
            _slats(house, top, left - leaf, bottom, left, house.shutter)
            _slats(house, top, right, bottom, right + leaf, house.shutter)


def _slats(house: House, top: int, left: int, bottom: int, right: int, paint: int) -> None:
    canvas = house.canvas
    canvas.fill(top, left, bottom, right, paint, house.texture, BLIND)
    canvas.stripes(top + 1, left + 1, bottom - 1, right - 1, -26, down=2)
    canvas.shade(bottom - 1, left, bottom, right, -house.shadow)


def paint_window(house: House, top: int, left: int, bottom: int, right: int, arch: int) -> None:
    canvas, windows = house.canvas, house.windows
    before = canvas.copy(top, left, top + arch, right) if arch else []
    canvas.fill(top, left, bottom, right, house.frame, label=WINDOW)
    canvas.fill(top + 1, left + 1, bottom - 1, right - 1, house.dice.choose(house.panes), house.reflection)
    _curtains(house, top + 1, left + 1, bottom - 1, right - 1)
    for part in range(1, windows.uprights + 1):
        x = left + (right - left) * part // (windows.uprights + 1)
        canvas.fill(top + 1, x, bottom - 1, x + 1, house.frame)
    parts = max(windows.levels + 1, 3)  # a single bar is at a third
    for part in range(1, windows.levels + 1):
        y = top + (bottom - top) * part // parts
        canvas.fill(y, left + 1, y + 1, right - 1, house.frame)
    canvas.shade(top, left, top + 2, right, -house.shadow)
    start, end = house.shadowed_side(left, right, 1)
    canvas.shade(top, start, bottom, end, -house.shadow)
    if arch:
        canvas.restore(top, left, before, corners("arch", arch, right - left))


def _curtains(house: House, top: int, left: int, bottom: int, right: int) -> None:
    canvas, kind = house.canvas, house.dice.below(12)
    if kind < 3:  # drawn to the sides
        width = (right - left) // 4 + 1
        for x in (left, right - width):
            canvas.fill(top, x, bottom, x + width, house.curtain, house.reflection)
            canvas.shade(top, x, bottom, x + width, -48)
    elif kind < 6:  # before the upper half, the lower half, or all
        middle = (top + bottom) // 2
        top, bottom = ((top, middle), (middle, bottom), (top, bottom))[kind - 3]
        canvas.fill(top, left, bottom, right, house.curtain, house.reflection)
        canvas.shade(top, left, bottom, right, -36)


def paint_cornice(house: House, kind: str, top: int, left: int, bottom: int, right: int) -> None:
    """The panel above a window: a lintel, a gable or an arch."""
    canvas, height = house.canvas, bottom - top
    if height < 3:
        return
    left, right = max(left - 3, house.box[1]), min(right + 3, house.box[3])
    before = canvas.copy(top, left, bottom - 2, right)
    canvas.fill(top, left, bottom, right, house.trim, house.texture, CORNICE)
    canvas.shade(top, left, top + 1, right, 20)
    canvas.shade(bottom - 2, left, bottom - 1, right, -house.shadow // 2)
    canvas.shade(bottom, left, bottom + 3, right, -house.shadow)
    if kind != "flat" and height > 4:
        canvas.shade(top + 3, left + 5, bottom - 2, right - 5, -house.shadow // 2)
        canvas.restore(top, left, before, corners(kind, height - 2, right - left))


def paint_sill(house: House, top: int, left: int, right: int) -> None:
    canvas, bottom = house.canvas, top + house.windows.sill
    canvas.fill(top, left - 2, bottom, right + 2, house.trim, house.texture, SILL)
    canvas.shade(top, left - 2, top + 1, right + 2, 18)
    canvas.shade(bottom, left - 2, bottom + 2, right + 2, -house.shadow)


def paint_balcony(house: House, top: int, left: int, floor: int, right: int) -> None:
    """A railing or a parapet before the lower part of a window, on its slab, with its shadow below."""
    canvas, dice, bottom = house.canvas, house.dice, floor + 3
    canvas.labels[top:bottom, left:right] = BALCONY
    if house.parapets:
        paint = dice.choose((house.wall, house.trim, house.trim, house.shutter))
        canvas.fill(top, left, floor, right, paint, house.texture)
        canvas.shade(top, left, top + 1, right, 18)
    else:
        canvas.shade(top, left, floor, right, -14)
        for x in range(left, right, 3):
            canvas.fill(top, x, floor, x + 1, house.metal)
        for y in (top, floor - 2):
            canvas.fill(y, left, y + 1, right, house.metal)
    if dice.chance(20):
        canvas.fill(top - 1, left + 2, top + 3, right - 2, house.plants, house.leaves, BALCONY)
    canvas.fill(floor, left, bottom, right, house.trim, house.texture)
    canvas.shade(bottom - 1, left, bottom, right, -house.shadow)
    canvas.shade(bottom, left + 1, bottom + 5, right, -house.shadow)


# ---- at the street


@dataclass(frozen=True)
class Shop:
    """What the shops of a house have in common."""

    all: bool
    """Every bay has one."""
    sign: int
    letters: int
    inside: int
    goods: np.ndarray
    awning: bool


def paint_door(house: House, top: int, left: int, bottom: int, right: int, arch: int) -> None:
    canvas, dice = house.canvas, house.dice
    canvas.fill(top - 2, left - 2, bottom, right + 2, house.trim, house.texture, FACADE)
    before = canvas.copy(top, left, top + arch, right) if arch else []
    canvas.fill(top, left, bottom, right, house.joinery, house.texture, DOOR)
    lock = top + (bottom - top) // 4
    canvas.fill(top + 1, left + 1, lock, right - 1, dice.choose(house.panes), house.reflection)
    middle, half = (left + right) // 2, (bottom - lock) // 2
    glazed = dice.chance(40)
    for start, end in ((left + 2, middle - 1), (middle + 2, right - 2)):
        for y in (lock + 2, lock + half + 1):
            if glazed:
                canvas.fill(y, start, y + half - 3, end, house.panes[0], house.reflection)
            else:
                canvas.shade(y, start, y + half - 3, end, -22)
    canvas.shade(lock, middle, bottom, middle + 1, -40)
    canvas.shade(top, left, top + 3, right, -house.shadow)
    start, end = house.shadowed_side(left, right, 2)
    canvas.shade(top, start, bottom, end, -house.shadow)
    if arch:
        canvas.restore(top, left, before, corners("arch", arch, right - left))


def shop_of(house: House) -> Shop:
    canvas, dice = house.canvas, house.dice
    return Shop(
        all=dice.chance(50),
        sign=canvas.mix(dice.near(dice.choose(SIGNS), 10, 12)),
        letters=canvas.mix(dice.choose(LETTERS)),
        inside=canvas.mix(dice.near(dice.choose(INSIDES), 12, 16)),
        goods=dice.material("goods"),
        awning=dice.chance(30),
    )


def paint_shopfront(house: House, shop: Shop, top: int, left: int, bottom: int, right: int) -> None:
    canvas, dice = house.canvas, house.dice
    canvas.fill(top, left, bottom, right, house.joinery, house.texture, SHOP)
    sign = top + max((bottom - top) // 5, 5)
    canvas.fill(top, left, sign, right, shop.sign)
    x = left + dice.between(3, 8)
    while x < right - 6:  # letters that nobody can read
        canvas.fill(top + 2, x, sign - 2, x + dice.between(1, 3), shop.letters)
        x += dice.between(3, 5)
    shelf = sign + (bottom - sign) * dice.between(35, 60) // 100
    canvas.fill(sign + 1, left + 2, bottom - 5, right - 2, dice.choose(house.panes), house.reflection)
    canvas.shade(sign + 1, left + 2, shelf, right - 2, -30)
    canvas.fill(shelf, left + 2, bottom - 5, right - 2, shop.inside, shop.goods)
    for part in range(1, (right - left) // 14):
        x = left + (right - left) * part // ((right - left) // 14)
        canvas.fill(sign + 1, x, bottom - 5, x + 1, house.joinery)
    canvas.shade(sign, left, sign + 4, right, -house.shadow)
    if shop.awning:
        canvas.fill(sign - 1, left, sign + 7, right, shop.sign)
        for x in range(left, right - 1, 4):
            canvas.fill(sign - 1, x, sign + 7, x + 2, shop.letters)
        canvas.shade(sign + 7, left, sign + 11, right, -house.shadow)
