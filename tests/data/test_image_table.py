"""Every kind of file of the table is read to the right values, or refused by name; and every command agrees on it.

All commands read by one function, :func:`p2pbench.data.image_files.read`; this tests that each of them does, and some
kinds through the command line.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.image_rows import Row
from data.image_table import TABLE

from p2pbench.curation.check.check import examine_files
from p2pbench.data.image_files import read
from p2pbench.data.images import Wanted, as_wanted, picture_of, scaled
from p2pbench.data.pairs import Pair, preview_pair, read_wanted
from p2pbench.demo.upload import Refused, decode
from p2pbench.errors import DataError


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_it_is_read_right_or_refused_by_every_command(row: Row, tmp_path: Path) -> None:
    path = row.made(tmp_path)
    pair, content = Pair("x", path, path), path.read_bytes()
    remarks = {problem.kind: problem.detail for problem in examine_files(tmp_path, pair)[1]}
    if row.refused is not None:
        for command in (lambda: read(path).opaque("white"), lambda: preview_pair(pair)):
            with pytest.raises(DataError, match=row.refused) as caught:
                command()
            assert str(path) in str(caught.value)
        with pytest.raises((Refused, DataError), match=row.refused):
            decode(content).opaque("white")
        assert remarks.keys() <= {"unsupported", "unreadable"}
        assert len(remarks) == 1
        return
    right = row.expected(path)
    limits = None if right.dtype in (np.uint8, np.uint16) else (-5.0, 5.0)
    wanted = Wanted(right.shape[2], limits)
    values = right if limits is None else scaled(right, limits)
    found = read(path)
    for seen in (as_wanted(found, wanted), *read_wanted(pair, (wanted, wanted)), as_wanted(decode(content), wanted)):
        assert seen.dtype == (right.dtype if limits is None else np.uint16)
        assert np.array_equal(seen, values)
    if row.transparent:
        with pytest.raises(DataError, match=r"transparency.*data\.channels=\["):
            found.opaque(None)
        assert "transparency" in remarks["needs-setting"]
    else:
        assert np.array_equal(found.opaque(None), right)
        assert np.array_equal(preview_pair(pair)[0], picture_of(right))
        assert ("needs-setting" in remarks) == (limits is not None or right.shape[2] not in (1, 3))
