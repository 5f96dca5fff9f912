"""Every kind of file of the table is read to the right values, or refused by name, alike by every command.

All commands read by one function, :func:`p2pbench.data.image_files.read`; here the table is walked through the door of
each, in one process. Some kinds go through the command line in ``test_image_table_commands``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.image_doors import Doors
from data.image_rows import Row
from data.image_table import TABLE

from p2pbench.data.image_files import read
from p2pbench.data.images import Wanted, as_wanted, picture_of, scaled
from p2pbench.errors import DataError

READ = [row for row in TABLE if row.refused is None]
TRANSPARENT = [row for row in READ if row.transparent]


@pytest.mark.parametrize("row", [row for row in TABLE if row.refused is not None], ids=lambda row: row.name)
def test_what_is_refused_is_refused_by_every_command_in_the_same_words(row: Row, tmp_path: Path) -> None:
    doors = Doors(row.made(tmp_path / "fake"), tmp_path, {"background": "white"})
    others = {"explore": doors.explore, "prepare photo": doors.prepare_photo}
    for name, door in (doors.that_give_it() | others | {"score": lambda: doors.score(np.zeros((1, 1, 3)))}).items():
        with pytest.raises(DataError, match=row.refused) as caught:
            door()
        assert doors.path.name in str(caught.value), name
    (remark,) = doors.check().items()
    assert remark[0] in ("unsupported", "unreadable")


@pytest.mark.parametrize("row", READ, ids=lambda row: row.name)
def test_what_is_read_is_read_right_by_every_command(row: Row, tmp_path: Path) -> None:
    path = row.made(tmp_path / "fake")
    right = row.expected(path)
    channels, plain = right.shape[2], right.dtype in (np.uint8, np.uint16)
    limits = None if plain else [-5.0, 5.0]
    doors = Doors(path, tmp_path, {"channels": [channels, channels], "range": limits})
    values = right if plain else scaled(right, (-5.0, 5.0))
    for name, door in doors.that_give_it().items():
        found = door()
        assert found.dtype == values.dtype, name
        if name == "translate" and not plain:  # numbers are given back in their range, and read again
            assert np.abs(found.astype(int) - values).max() <= 1
        else:
            assert np.array_equal(found, values), name
    assert doors.score(right) == 0
    remarks = doors.check()
    if row.transparent:
        assert "transparency" in remarks["needs-setting"]
    else:
        assert ("needs-setting" in remarks) == (not plain or channels not in (1, 3))
        assert np.array_equal(doors.explore(), picture_of(right))
        if channels in (1, 3):
            rgb = values if channels == 3 else np.repeat(values, 3, axis=2)
            assert np.array_equal(as_wanted_3(doors.prepare_photo()), rgb)


def as_wanted_3(image: np.ndarray) -> np.ndarray:
    """(H, W, 3): a photo that was read as grey for a model of one channel is RGB of equal channels."""
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


@pytest.mark.parametrize("row", TRANSPARENT, ids=lambda row: row.name)
def test_transparency_needs_a_background_everywhere_and_gets_the_same(row: Row, tmp_path: Path) -> None:
    doors = Doors(row.made(tmp_path / "fake"), tmp_path / "without", {})
    others = {"prepare photo": doors.prepare_photo}
    for name, door in (doors.that_give_it() | others | {"score": lambda: doors.score(np.zeros((1, 1, 3)))}).items():
        with pytest.raises(DataError, match=r"transparency.*data\.background"):
            door()
        assert name
    doors = Doors(doors.path, tmp_path / "white", {"background": "white"})
    on_white = read(doors.path).opaque("white")
    values = as_wanted(read(doors.path), Wanted(3, None, "white"))
    for name, door in (doors.that_give_it() | {"prepare photo": doors.prepare_photo}).items():
        assert np.array_equal(door(), values), name
    assert doors.score(on_white) == 0
    assert np.array_equal(doors.explore(), picture_of(on_white))
