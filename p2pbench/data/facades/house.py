"""The facade itself: its wall, bands and pillars, the storeys, the street floor, the crown."""

from __future__ import annotations

from p2pbench.data.facades import openings
from p2pbench.data.facades.plan import DECO, FACADE, MOLDING, PILLAR, House


def paint_house(house: House) -> None:
    house.canvas.fill(*house.box, house.wall, house.texture, FACADE)
    _wall(house)
    for top, bottom in house.storeys[:-1]:
        _storey(house, top, bottom)
    _street_floor(house)
    _crown(house)


# ---- what runs along and up the wall


def _wall(house: House) -> None:
    dice, style = house.dice, house.style
    _, left, bottom, right = house.box
    street = house.storeys[-1][0]
    if dice.chance(40):  # the street floor of another material
        rough = dice.material(dice.choose(("rustic", "ashlar", "blocks", "stained")))
        house.canvas.fill(street, left, bottom, right, dice.choose((house.wall, house.trim)), rough)
    if dice.chance(40):
        house.canvas.shade(bottom - dice.between(6, 14), left, bottom, right, -24)
    if dice.chance(style.pillars):
        first = dice.below(len(house.storeys) - 1)
        _pillars(house, house.storeys[first][0], dice.choose((street, street, bottom)))
    height = dice.choose((3, 4, 5, 6, 9))
    for _, floor in house.storeys[:-1]:
        if dice.chance(style.moldings):
            _molding(house, floor - height // 2, floor - height // 2 + height)


def _molding(house: House, top: int, bottom: int) -> None:
    canvas = house.canvas
    _, left, _, right = house.box
    canvas.fill(top, left, bottom, right, house.trim, house.texture, MOLDING)
    canvas.shade(top, left, top + 1, right, 18)
    canvas.shade(bottom - 1, left, bottom, right, -house.shadow // 2)
    canvas.shade(bottom, left, bottom + 2, right, -house.shadow)
    if bottom - top >= 7:
        canvas.stripes(top + 3, left, bottom - 2, right, -house.shadow // 2, across=house.dice.choose((2, 3, 4)))


def _crown(house: House) -> None:
    """The uppermost molding, or a coping."""
    canvas, dice = house.canvas, house.dice
    top, left, _, right = house.box
    if dice.chance(14):
        canvas.shade(top, left, top + 2, right, 20)
        return
    first, floor = house.storeys[0]
    bottom = min(top + dice.choose((5, 7, 10, 14, 18, 24)), first + (floor - first) // 6)
    _molding(house, top, bottom)
    if bottom - top >= 8:
        canvas.stripes(bottom - 5, left, bottom - 2, right, -house.shadow, across=dice.choose((3, 5)))  # dentils
        canvas.shade(top + 3, left, top + 4, right, -house.shadow)
    canvas.shade(bottom, left, bottom + dice.between(2, 6), right, -house.shadow // 2)
    if bottom - top >= 12 and dice.chance(house.style.deco):
        for start, end in house.bays:
            middle = (start + end) // 2
            _deco(house, top + 4, middle - 6, bottom - 2, middle + 6)


def _pillars(house: House, top: int, bottom: int) -> None:
    """Between the bays, with capitals and bases; as wide as the windows leave room for."""
    canvas, dice = house.canvas, house.dice
    room = min(end - start for start, end in house.bays) * (100 - house.windows.width) // 100
    width = min(dice.between(4, 8), room - 3)
    edges = [start for start, _ in house.bays] + [house.bays[-1][1]]
    chosen = dice.choose((edges, edges[1:-1], edges[::2], [edges[0], edges[-1]]))
    fluted = dice.chance(40)
    for middle in chosen if width >= 3 else ():
        left = min(max(middle - width // 2, house.box[1]), house.box[3] - width)
        right = left + width
        canvas.fill(top, left, bottom, right, house.trim, house.texture, PILLAR)
        if fluted:
            canvas.stripes(top + 5, left + 1, bottom - 5, right - 1, -16, across=2)
        canvas.shade(top, left, bottom, left + 1, 18 if house.from_left else -house.shadow)
        canvas.shade(top, right - 1, bottom, right, -house.shadow if house.from_left else 18)
        for y in (top, bottom - 4):
            canvas.fill(y, left - 1, y + 4, right + 1, house.trim, house.texture, PILLAR)
            canvas.shade(y + 3, left - 1, y + 5, right + 1, -house.shadow)


# ---- storeys


def _storey(house: House, top: int, bottom: int) -> None:
    """A row of windows that have the same parts."""
    dice, style, windows = house.dice, house.style, house.windows
    height = (bottom - top) * windows.height // 100
    first = top + (bottom - top - height) * dice.between(40, 60) // 100
    last = first + height
    arch = dice.choose((3, 5, 9)) if dice.chance(style.arches) else 0
    hood = dice.choose(("flat", "flat", "gable", "arch")) if dice.chance(style.cornices) else ""
    rise = dice.between(5, 8) if hood == "flat" else dice.between(7, 11)
    deco = dice.choose(("below", "between", "")) if dice.chance(style.deco) else ""
    balconies = _rhythm(house) if dice.chance(style.balconies) else []
    for number, (start, end) in enumerate(house.bays):
        width = (end - start) * windows.width // 100
        left = start + (end - start - width) // 2
        right = left + width
        openings.paint_bay(house, first, left, last, right, arch)
        if hood:
            bottom_of_hood = first - windows.surround
            openings.paint_cornice(house, hood, max(bottom_of_hood - rise, top + 1), left, bottom_of_hood, right)
        if windows.sill:
            openings.paint_sill(house, last, left, right)
        below = last + windows.sill + 2
        if deco == "below" and bottom - below >= 6:
            _deco(house, below, left + 1, bottom - 3, right - 1)
        elif deco == "between" and not windows.shutters and end - right >= 6 and number + 1 < len(house.bays):
            half = min(end - right - 2, 9)
            _deco(house, first + 2, end - half, last - 2, end + half)
    for start, end in balconies:
        inset = (house.bays[start][1] - house.bays[start][0]) * (100 - windows.width) // 400
        openings.paint_balcony(
            house, last - height * 48 // 100, house.bays[start][0] + inset, last, house.bays[end][1] - inset
        )


def _rhythm(house: House) -> list[tuple[int, int]]:
    """The balconies of a storey: the first and the last bay of each."""
    n = len(house.bays)
    middle = (n - 1) // 2
    return house.dice.choose(
        (
            [(bay, bay) for bay in range(n)],
            [(bay, bay) for bay in range(n)],
            [(bay, bay) for bay in range(0, n, 2)],
            [(bay, bay) for bay in range(1, n, 2)],
            [(middle, n - 1 - middle)],
            [(0, 0), (n - 1, n - 1)],
            [(0, n - 1)],
        )
    )


def _deco(house: House, top: int, left: int, bottom: int, right: int) -> None:
    canvas = house.canvas
    canvas.fill(top, left, bottom, right, house.trim, house.ornament, DECO)
    canvas.shade(top, left, top + 1, right, 20)
    canvas.shade(bottom - 1, left, bottom, right, -house.shadow)


def _street_floor(house: House) -> None:
    dice, windows = house.dice, house.windows
    top, bottom = house.storeys[-1]
    height = bottom - top
    entrance = dice.below(len(house.bays)) if dice.chance(80) else -1
    arch = dice.choose((4, 8)) if dice.chance(house.style.arches) else 0
    shop = openings.shop_of(house) if dice.chance(house.style.shops) else None
    first, last = top + height // 5, top + height * dice.between(66, 80) // 100
    for number, (start, end) in enumerate(house.bays):
        width = (end - start) * min(windows.width + 10, 74) // 100
        left = start + (end - start - width) // 2
        if number == entrance:
            openings.paint_door(house, bottom - height * 72 // 100, left, bottom, left + width, arch)
        elif shop and (shop.all or dice.chance(70)):
            openings.paint_shopfront(house, shop, top + height // 7, start + 2, bottom, end - 2)
        elif dice.chance(92):
            openings.paint_window(house, first, left, last, left + width, arch)
            if windows.sill:
                openings.paint_sill(house, last, left, left + width)
