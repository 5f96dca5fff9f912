"""Conditions made from a photo: golden values, and laws that hold for every photo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from p2pbench.curation.prepare.conditions import DEFAULTS, make_condition, parameters_of
from p2pbench.data.images import resize
from p2pbench.data.photos import condition_of
from p2pbench.errors import ConfigError

RECIPES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in DEFAULTS if name != "hed"),  # which needs weights: see test_hed.py
    ("mask", {"hole": "strokes"}),
]
photos = hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)))


def made(photo: np.ndarray, condition: str, key: str = "0:x", **given_parameters: Any) -> np.ndarray:
    return make_condition(photo, condition, parameters_of(condition, given_parameters), key)


@given(photo=photos, recipe=st.sampled_from(RECIPES))
def test_every_condition_has_the_photos_shape_and_depends_on_nothing_else(
    photo: np.ndarray, recipe: tuple[str, dict[str, Any]]
) -> None:
    before = photo.copy()
    first, again = (made(photo, recipe[0], **recipe[1]) for _ in range(2))
    assert first.shape == photo.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.array_equal(photo, before)


def test_gray_is_rec_601_luma_to_the_bit() -> None:
    photo = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [10, 200, 99]]], np.uint8)
    found = made(photo, "gray")
    assert found[0, :, 0].tolist() == [76, 150, 29, 255, 132]  # 0.299 R + 0.587 G + 0.114 B, rounded
    assert (found == found[..., :1]).all()


@given(photo=photos)
def test_gray_and_edges_are_those_of_the_built_in_photos(photo: np.ndarray) -> None:
    for condition in ("gray", "edges"):
        assert np.array_equal(made(photo, condition), condition_of(photo, condition))


def test_edges_are_black_lines_where_the_photo_changes() -> None:
    photo = np.full((32, 32, 3), 40, np.uint8)
    photo[:, 16:] = 220
    found = made(photo, "edges")
    assert set(np.unique(found)) == {0, 255}
    rows, columns = np.nonzero(found[..., 0] == 0)
    assert set(columns) <= {15, 16}
    assert len(set(rows)) >= 28
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert (made(noise, "edges", sigma=4.0) == 0).sum() < (made(noise, "edges", sigma=1.0) == 0).sum()


@given(
    value=st.tuples(*[st.integers(0, 255)] * 3), height=st.integers(1, 40), width=st.integers(1, 40),
    radius=st.floats(0.1, 20), factor=st.integers(2, 9),
)  # fmt: skip
def test_a_photo_of_one_colour_stays_so(
    value: tuple[int, int, int], height: int, width: int, radius: float, factor: int
) -> None:
    photo = np.full((height, width, 3), value, np.uint8)
    assert np.array_equal(made(photo, "blur", radius=radius), photo)
    assert np.array_equal(made(photo, "downscale", factor=factor), photo)
    assert (made(photo, "edges") == 255).all()


def test_blur_spreads_a_point_by_its_radius() -> None:
    photo = np.zeros((81, 81, 3), np.uint8)
    photo[38:43, 38:43] = 255
    found = made(photo, "blur", radius=5.0)[..., 0].astype(float)
    across = found.sum(axis=0) / found.sum()
    position = np.arange(81)
    assert (across * position).sum() == pytest.approx(40, abs=0.01)
    spread = (across * (position - 40) ** 2).sum()
    # The Gaussian's variance and the square's own, (5^2 - 1) / 12. Rounding to 8 bits cuts its tails off.
    assert spread == pytest.approx(25 + 2, rel=0.15)


def test_downscale_removes_what_the_lower_resolution_cannot_hold() -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(made(stripes, "downscale", factor=4)[:, 8:-8].astype(int)) <= 8
    halves = np.zeros((32, 32, 3), np.uint8)
    halves[:, 16:] = 255
    kept = made(halves, "downscale", factor=4)
    assert (kept[:, :8] < 30).all()
    assert (kept[:, -8:] > 225).all()


# ---- holes


@given(
    height=st.integers(2, 60),
    width=st.integers(2, 60),
    key=st.text(max_size=8),
    hole=st.sampled_from(["box", "strokes"]),
)
def test_a_hole_has_its_colour_and_the_rest_is_the_photo(height: int, width: int, key: str, hole: str) -> None:
    photo = np.random.default_rng(0).integers(0, 200, (height, width, 3), dtype=np.uint8)
    found = made(photo, "mask", key=key, hole=hole, fill="#ff00c8")
    inside = (found == [255, 0, 200]).all(axis=2)
    assert np.array_equal(found[~inside], photo[~inside])
    assert inside.any()
    if hole == "box":
        rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        assert (len(rows), len(columns)) == (height // 2, width // 2)
        assert inside.sum() == (height // 2) * (width // 2)


def test_holes_are_keyed() -> None:
    """Where they are is a promise: the same key, the same hole, in every run and release."""
    photo = np.zeros((64, 64, 3), np.uint8)

    def corner(key: str) -> list[int]:
        rows, columns, _ = np.nonzero(made(photo, "mask", key=key, fill="white"))
        return [int(rows.min()), int(columns.min())]

    assert [corner(key) for key in ("0:a", "0:b", "1:a")] == [[16, 15], [21, 11], [1, 24]]
    strokes = [made(photo, "mask", key=key, hole="strokes") for key in ("0:a", "0:b", "1:a")]
    assert not np.array_equal(strokes[0], strokes[1])
    assert not np.array_equal(strokes[0], strokes[2])


def test_strokes_cover_a_part_of_the_photo() -> None:
    photo = np.zeros((64, 96, 3), np.uint8)
    covered = [made(photo, "mask", key=str(key), hole="strokes").any(axis=2).mean() for key in range(100)]
    assert min(covered) > 0.005
    assert max(covered) < 0.5
    assert 0.08 < np.mean(covered) < 0.2


# ---- mistakes


@pytest.mark.parametrize(
    ("condition", "parameters", "message"),
    [
        ("grey", {}, "unknown condition 'grey'; did you mean 'gray'"),
        ("gray", {"sigma": 2.0}, "--sigma belongs to --condition edges, not gray"),
        ("mask", {"factor": 2}, "--factor belongs to --condition downscale, not mask"),
        ("edges", {"sigma": 0.0}, "--sigma is 0.0: give pixels above 0"),
        ("blur", {"radius": float("nan")}, "--radius is nan"),
        ("downscale", {"factor": 1}, "--factor is 1: give a whole number from 2"),
        ("mask", {"hole": "bx"}, "did you mean 'box'"),
        ("mask", {"fill": "greyish"}, "--fill is 'greyish': give a colour"),
        ("mask", {"fill": "#11223344"}, "--fill is '#11223344': give a colour"),
    ],
)
def test_what_is_wrong_is_named(condition: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parameters_of(condition, parameters)
    assert message in str(caught.value)


deep_photos = hnp.arrays(np.uint16, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)))


@given(photo=deep_photos, recipe=st.sampled_from(RECIPES))
def test_of_16_bits_every_condition_has_as_many(photo: np.ndarray, recipe: tuple[str, dict[str, Any]]) -> None:
    found = made(photo, recipe[0], **recipe[1])
    assert found.shape == photo.shape
    assert found.dtype == np.uint16


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_of_16_bits_it_is_the_condition_of_8_but_finer(recipe: tuple[str, dict[str, Any]]) -> None:
    photo = resize(np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8), (40, 48), "bicubic")
    eight, deep = (made(image, recipe[0], **recipe[1]) for image in (photo, photo * np.uint16(257)))
    off = np.abs(deep / 257 - eight)
    assert off.mean() < 3  # grey is rounded later, so that an edge may lie elsewhere; three box filters are no Gaussian
    if recipe[0] == "mask":
        assert off.max() == 0
