"""What the rules say of kinds of pairs that their thresholds were not set on."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from curation.check.false_alarms import KINDS, prints

from p2pbench.curation.check import outliers
from p2pbench.curation.check.alignment import edge_map, is_smooth


@pytest.mark.parametrize("kind", ["grey -> colour", "photo -> smooth depth"])
def test_pairs_that_are_right_are_not_accused(kind: str) -> None:
    """Of smooth depth, which shares no edges with its photograph, every set was called unrelated."""
    few = list(islice(prints(KINDS[kind], seed=0), 8))
    assert list(outliers.all_of(few)) == []
    assert all(found.smooth == (False, kind.endswith("depth")) for found in few)


def test_the_scale_of_edges_does_not_matter() -> None:
    image = np.random.default_rng(0).integers(0, 100, (64, 64), dtype=np.uint8)
    assert np.abs(edge_map(image) - edge_map(2 * image)).max() < 1e-4
    assert is_smooth(edge_map(np.arange(64, dtype=np.uint8)[:, None].repeat(64, 1)))
    assert not is_smooth(edge_map(image))
