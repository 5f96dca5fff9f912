"""Splits by name: laws of the hash, and the table."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pbench.curation.prepare.splits import name_of, parse_shares, read_table, split_of
from p2pbench.data.pairs import SPLITS
from p2pbench.errors import ConfigError


def test_where_names_go_is_a_promise() -> None:
    """Golden: a release that moved an image from one split to another would leak test images into training."""
    shares = parse_shares("0.5,0.25,0.25")
    found = ["".join(split_of(str(name), shares, seed)[1] for name in range(20)) for seed in (0, 1)]
    assert found == ["arereaerarerrraeearr", "erarraearrreararaarr"]  # tRain, vAl, tEst


@given(shares=st.tuples(*[st.integers(0, 10)] * 3).filter(sum), seed=st.integers(0, 1000))
def test_the_shares_of_many_names_are_those_asked_for(shares: tuple[int, int, int], seed: int) -> None:
    exact = tuple(Fraction(share, sum(shares)) for share in shares)
    count = Counter(split_of(f"photo{index}", exact, seed) for index in range(2000))
    for split, share in zip(SPLITS, exact, strict=True):
        # Five standard deviations of the binomial, so that it fails when the law is broken and not by luck.
        assert abs(count[split] / 2000 - share) <= 5 * float(share * (1 - share) / 2000) ** 0.5


@given(name=st.text(min_size=1), seed=st.integers(0, 100), smaller=st.integers(0, 10), larger=st.integers(0, 10))
def test_a_larger_share_of_training_takes_no_image_out_of_it(name: str, seed: int, smaller: int, larger: int) -> None:
    few, many = sorted((Fraction(smaller, 10), Fraction(larger, 10)))
    if split_of(name, (few, Fraction(0), 1 - few), seed) == "train":
        assert split_of(name, (many, Fraction(0), 1 - many), seed) == "train"


def test_the_seed_decides() -> None:
    shares = parse_shares("0.5,0,0.5")
    one, other = ([split_of(str(name), shares, seed) for name in range(200)] for seed in (0, 1))
    assert 60 < sum(a == b for a, b in zip(one, other, strict=True)) < 140


@pytest.mark.parametrize("text", ["0.8,0.2", "0.8,0.1,0.2", "0.5,-0.5,1", "a,b,c", "", "1/0,0,1", "0.1,0.2,0.3,0.4"])
def test_shares_that_make_no_whole_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="which sum to 1"):
        parse_shares(text)


def test_decimal_shares_are_exact() -> None:
    assert parse_shares("0.7, 0.2, 0.1") == (Fraction(7, 10), Fraction(2, 10), Fraction(1, 10))
    assert sum(parse_shares("1/3,1/3,1/3")) == 1


def test_names_are_paths_without_their_suffix() -> None:
    assert name_of(Path("x.jpg")) == "x"
    assert name_of(Path("a/b/x.PNG")) == "a-b-x"
    assert name_of(Path("a-b-x")) == "a-b-x"
    assert name_of(Path("img.001")) == "img.001"
    assert name_of(Path("img.001.png")) == "img.001"


def test_a_table_names_images_by_path_or_by_name(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(
        "\ufeffname,split,why\na/x.jpg,train,old\ny, test ,\nz.png,val,\nz.png,val,again\n", encoding="utf-8"
    )
    assert read_table(table) == {"a-x": "train", "y": "test", "z": "val"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x,train\n", "its first line names the columns name,split"),
        (b"", "its first line names the columns"),
        (b"name,split\nx,trian\n", "line 2: unknown split 'trian'; did you mean 'train'"),
        (b"name,split\nx\n", "line 2: unknown split ''"),
        (b"name,split\nx.png,train\nx.png,test\n", "line 3: x.png is in train and in test"),
        (b"name,split\n\xff,train\n", "cannot be read"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_table(tmp_path / "table.csv")
    assert message in str(caught.value)
