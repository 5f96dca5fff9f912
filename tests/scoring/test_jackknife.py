"""Pseudo-values, the groups that are left out, and the table in which they are kept."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from p2pbench.scoring.jackknife import described, groups, jackknife_table, pseudo_values, pseudo_values_in


def test_the_pseudo_values_of_a_mean_are_the_values() -> None:
    values = np.random.default_rng(0).normal(size=7)
    left_out = np.array([np.delete(values, i).mean() for i in range(7)])
    assert pseudo_values(values.mean(), left_out) == pytest.approx(values)


@pytest.mark.parametrize("n", [4, 10, 23])
def test_each_image_is_in_one_of_ten_groups(n: int) -> None:
    found = groups(n)
    assert len(found) == min(10, n)
    assert sorted(np.concatenate(found).tolist()) == list(range(n))
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_the_table_holds_images_and_groups_and_is_read_as_it_was() -> None:
    names = [f"{i:03d}" for i in range(12)]
    pseudo = {"kid-paired": np.arange(12) / 7, "swd": np.arange(10) / 3}
    text = jackknife_table(names, pseudo).to_csv(index=False)
    rows = text.splitlines()
    assert rows[0] == "unit,kid-paired,swd"
    assert rows[1].startswith("000,0.0,")
    assert rows[13] == "group 0,,0.0"
    assert len(rows) == 1 + 12 + 10
    read = pseudo_values_in(pd.read_csv(io.StringIO(text), dtype={"unit": str}), 12)
    assert {name: values.tolist() for name, values in read.items()} == {k: v.tolist() for k, v in pseudo.items()}
    assert pseudo_values_in(pd.read_csv(io.StringIO("unit,swd\n000,1"), dtype={"unit": str}), 12) == {}
    assert (described(12, 12), described(10, 12)) == ("images", "10 groups of images")
