"""The picture: a house between its neighbours, the parts of its facade, a tree before it, and the weather.

Every part paints its label and its look together, so that the two cannot disagree.
"""

import numpy as np

from p2pbench.data.facades import SIDE
from p2pbench.data.facades.canvas import LIT, Box, Dice
from p2pbench.data.facades.plan import COLOURS, STYLES, House, plan_house


def render(seed: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
    """Label map and photograph of one elevation, each (256, 256, 3), uint8, keyed by two numbers below 2**64."""
    house = plan_house(Dice(seed, stream))
    paint_surroundings(house)
    paint_house(house)
    if house.dice.chance(18):
        paint_tree(house)
    paint_weather(house)
    return house.canvas.label_map(), house.canvas.photograph(house.dice)


# ---- the facade


def paint_house(house: House) -> None:
    dice, style, (top, left, _, right) = house.dice, house.style, house.box
    house.canvas.fill(house.box, house.paints["wall"], house.wall, "facade")
    street = house.storeys[-1][0]
    if dice.chance(40):  # the street floor has another surface
        rough = dice.surface(dice.choose(("ashlar", "blocks", "stained")))
        house.canvas.fill((street, left, house.box[2], right), house.paints[dice.choose(("wall", "trim"))], rough)
    if dice.chance(style["parts"]["pillar"]):
        _pillars(house)
    height = dice.between(3, 8)
    for _, floor in house.storeys[:-1]:
        if dice.chance(style["parts"]["molding"]):
            house.raise_part((floor - height // 2, left, floor + (height + 1) // 2, right), "trim", "molding")
    for storey in house.storeys[:-1]:
        _storey(house, *storey)
    _street_floor(house)
    crown = min(dice.choose((0, 5, 8, 12, 18)), house.storeys[0][0] - top + 6)
    house.raise_part((top, left, top + crown, right), "trim", "molding")
    if crown >= 8:  # dentils
        house.canvas.shade((top + crown - 4, left, top + crown - 1, right), -house.shadow, across=dice.choose((3, 5)))


def _pillars(house: House) -> None:
    """Pillars between the bays, as wide as the windows leave room for, from the street or from the first floor."""
    narrowest = min(end - start for start, end in house.bays)
    width = min(house.dice.between(4, 8), narrowest * (100 - house.width) // 100 - 3)
    edges = [start for start, _ in house.bays] + [house.bays[-1][1]]
    bottom = house.dice.choose((house.storeys[-1][0], house.box[2]))
    for middle in house.dice.choose((edges, edges[1:-1], edges[::2])) if width >= 3 else ():
        left = min(max(middle - width // 2, house.box[1]), house.box[3] - width)
        house.raise_part((house.storeys[0][0], left, bottom, left + width), "trim", "pillar")
        lit, dark = (left, left + width - 1) if house.from_left else (left + width - 1, left)
        house.canvas.shade((house.storeys[0][0], lit, bottom, lit + 1), 18)
        house.canvas.shade((house.storeys[0][0], dark, bottom, dark + 1), -house.shadow)


def _storey(house: House, top: int, bottom: int) -> None:
    """A row of windows that have the same parts."""
    dice, style = house.dice, house.style
    height = (bottom - top) * house.height // 100
    first = top + (bottom - top - height) * dice.between(40, 60) // 100
    last = first + height
    cornice = dice.between(5, 9) if dice.chance(style["parts"]["cornice"]) else 0
    deco = dice.surface("ornament") if dice.chance(style["parts"]["deco"]) else None
    balconies = (
        dice.choose((1, 1, 2)) if dice.chance(style["parts"]["balcony"]) else 0
    )  # at every bay, or at every second
    for number, (start, end) in enumerate(house.bays):
        left, right = _middle(start, end, house.width)
        _window(house, (first, left, last, right))
        _blind(house, (first, left, last, right))
        if cornice:
            house.raise_part((max(first - cornice, top + 1), left - 2, first, right + 2), "trim", "cornice")
        if house.sill:
            house.raise_part((last, left - 2, last + house.sill, right + 2), "trim", "sill")
        below = last + house.sill + 2
        if deco is not None and bottom - below >= 7:
            house.raise_part((below, left + 1, bottom - 3, right - 1), "trim", "deco", deco)
        if balconies and number % balconies == 0:
            inset = (end - start) * (100 - house.width) // 400
            _balcony(house, (last - height * 48 // 100, start + inset, last + 3, end - inset))


def _middle(start: int, end: int, percent: int) -> tuple[int, int]:
    """Left and right of what stands in the middle of a bay, so many per cent as wide."""
    width = (end - start) * percent // 100
    left = start + (end - start - width) // 2
    return left, left + width


def _window(house: House, box: Box) -> None:
    canvas, dice, (top, left, bottom, right) = house.canvas, house.dice, box
    canvas.fill(box, house.paints["frame"], label="window")
    canvas.fill((top + 1, left + 1, bottom - 1, right - 1), dice.choose(house.panes), house.glass)
    if dice.chance(40):  # a curtain before a part of the panes
        lower, upper = dice.choose(
            ((top + 1, bottom - 1), (top + 1, (top + bottom) // 2), ((top + bottom) // 2, bottom - 1))
        )
        canvas.fill((lower, left + 1, upper, right - 1), house.paints["curtain"], house.glass)
        canvas.shade((lower, left + 1, upper, right - 1), -40)
    upright, level = house.bars
    for part in range(1, upright + 1):
        x = left + (right - left) * part // (upright + 1)
        canvas.fill((top + 1, x, bottom - 1, x + 1), house.paints["frame"])
    for part in range(1, level + 1):
        y = top + (bottom - top) * part // (level + 1)
        canvas.fill((y, left + 1, y + 1, right - 1), house.paints["frame"])
    house.shade_recess(box)


def _blind(house: House, box: Box) -> None:
    """Shutters beside the window or before it, or a roller before a part of it."""
    top, left, bottom, right = box
    boxes: tuple[Box, ...] = ()
    if house.blinds == "shutters":
        leaf = (right - left) * min((100 - house.width) * 50 // house.width, 50) // 100  # no wider than the wall
        closed = house.dice.chance(15)
        boxes = (box,) if closed else ((top, left - leaf, bottom, left), (top, right, bottom, right + leaf))
    elif house.blinds and house.dice.chance(50):
        boxes = ((top, left, top + (bottom - top) * house.dice.choose((25, 50, 100)) // 100, right),)
    for top, left, bottom, right in boxes:
        house.raise_part((top, left, bottom, right), "slats", "blind")
        house.canvas.shade((top + 1, left + 1, bottom - 1, right - 1), -26, down=2)


def _balcony(house: House, box: Box) -> None:
    """A railing, or a parapet, before the lower part of a window, on its slab."""
    canvas, dice, (top, left, bottom, right) = house.canvas, house.dice, box
    if dice.chance(30):
        house.raise_part(box, "trim", "balcony")
        return
    canvas.label(box, "balcony")
    canvas.shade(box, -14)
    for x in range(left, right, 3):
        canvas.fill((top, x, bottom, x + 1), house.paints["metal"])
    canvas.fill((top, left, top + 1, right), house.paints["metal"])
    house.raise_part((bottom - 3, left, bottom, right), "trim", "balcony")


def _street_floor(house: House) -> None:
    """An entrance, shops or windows."""
    dice, (top, bottom) = house.dice, house.storeys[-1]
    height = bottom - top
    entrance = dice.below(len(house.bays)) if dice.chance(80) else -1
    shops, goods = dice.chance(house.style["parts"]["shop"]), dice.surface("goods")
    for number, (start, end) in enumerate(house.bays):
        left, right = _middle(start, end, min(house.width + 10, 74))
        if number == entrance:
            _door(house, (bottom - height * 72 // 100, left, bottom, right))
        elif shops and dice.chance(80):
            _shop(house, (top + height // 7, start + 2, bottom, end - 2), goods)
        else:
            last = top + height * 72 // 100
            _window(house, (top + height // 5, left, last, right))
            if house.sill:
                house.raise_part((last, left - 2, last + house.sill, right + 2), "trim", "sill")


def _door(house: House, box: Box) -> None:
    """Two leaves with a panel each, below a fanlight, in a surround that counts as wall."""
    canvas, (top, left, bottom, right) = house.canvas, box
    canvas.fill((top - 2, left - 2, bottom, right + 2), house.paints["trim"], house.wall, "facade")
    canvas.fill(box, house.paints["joinery"], house.wall, "door")
    lock, middle = top + (bottom - top) // 4, (left + right) // 2
    canvas.fill((top + 1, left + 1, lock, right - 1), house.panes[0], house.glass)
    for start, end in ((left + 2, middle - 1), (middle + 2, right - 2)):
        canvas.shade((lock + 3, start, bottom - 4, end), -24)
    canvas.shade((lock, middle, bottom, middle + 1), -40)
    house.shade_recess(box)


def _shop(house: House, box: Box, goods: np.ndarray) -> None:
    """A sign with letters that nobody can read, above goods behind glass."""
    canvas, dice, (top, left, bottom, right) = house.canvas, house.dice, box
    canvas.fill(box, house.paints["joinery"], house.wall, "shop")
    sign = top + max((bottom - top) // 5, 5)
    canvas.fill((top, left, sign, right), house.paints["sign"])
    canvas.shade((top + 2, left + 4, sign - 2, right - 4), dice.choose((-60, 90)), across=dice.choose((2, 3)))
    shelf = sign + (bottom - sign) * dice.between(35, 60) // 100
    canvas.fill((sign + 1, left + 2, bottom - 5, right - 2), dice.choose(house.panes), house.glass)
    canvas.fill((shelf, left + 2, bottom - 5, right - 2), house.paints["slats"], goods)
    house.shade_recess((sign, left, bottom, right))


# ---- what surrounds the house: its label is background, and a tree before it has no label


def paint_surroundings(house: House) -> None:
    """Sky, roof, neighbours, pavement and street."""
    canvas, dice, (top, left, bottom, right) = house.canvas, house.dice, house.box
    canvas.fill((0, 0, SIDE, SIDE), canvas.mix(dice.near(dice.choose(COLOURS["sky"]), 6, 10)), dice.surface("clouds"))
    for start, end in ((0, left), (right, SIDE)):
        wall, style = dice.between(0, 90), dice.choose(STYLES)
        paint = canvas.mix(dice.near(dice.choose(style["walls"]), 10, 20))
        canvas.fill((wall, start, bottom, end), paint, dice.surface(dice.choose(style["surfaces"])))
        canvas.shade((wall, start, wall + 3, end), 22)
    if dice.chance(70):
        roof, tiles = canvas.mix(dice.near(dice.choose(COLOURS["roof"]), 8, 14)), dice.surface("roof tiles")
        rise = dice.between(8, 34)
        for row in range(rise):  # hipped: narrower above
            canvas.fill((top - row - 1, left + row, top - row, right - row), roof, tiles)
    kerb = bottom + dice.between(4, 12)
    canvas.fill((bottom, 0, SIDE, SIDE), canvas.mix(dice.near((134, 130, 124), 5, 26)), dice.surface("paving"))
    canvas.fill((kerb, 0, SIDE, SIDE), canvas.mix(dice.near((84, 84, 86), 3, 18)), dice.surface("stained"))
    canvas.shade((bottom, left, bottom + 2, right), -34)


def paint_tree(house: House) -> None:
    """A trunk, and a round crown with a ragged edge and gaps between its leaves."""
    canvas, dice, ground = house.canvas, house.dice, house.box[2] + 3
    x, y, radius = dice.between(20, SIDE - 20), ground - dice.between(50, 100), dice.between(16, 34)
    canvas.fill((y, x, ground, x + 3), canvas.mix((66, 56, 46)))
    light = dice.surface("leaves")
    rows, columns = np.arange(SIDE)[:, None], np.arange(SIDE)
    ragged = (light.astype(np.int64) - LIT) * 9
    there = ((rows - y) ** 2 + (columns - x) ** 2 + ragged < radius * radius) & (light > 96)
    canvas.paint[there] = house.paints["leaves"]
    canvas.light[there] = light[there] - np.int16(20)


def paint_weather(house: House) -> None:
    """Light that differs across the picture, and at times the shadow of the house across the street."""
    light, dice = house.canvas.light, house.dice
    along = np.arange(SIDE) - SIDE // 2
    light += ((along * dice.between(-20, 12))[:, None] + along * dice.between(-16, 16) >> 8).astype(np.int16)
    if house.shadow > 30 and dice.chance(40):
        edge = dice.between(120, 230) + (along * dice.between(-90, 90) >> 7)
        light -= np.where(np.arange(SIDE)[:, None] > edge, house.shadow, 0).astype(np.int16)
