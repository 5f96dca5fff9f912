"""Per-image scores: against formulas, against the libraries called by hand, against published figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from skimage.metrics import structural_similarity

from p2pbench.scoring import paired
from p2pbench.scoring.evaluate import evaluate


def images(n: int = 3, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def test_l1_and_psnr_by_hand() -> None:
    fake, target = np.zeros((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 51, np.uint8)
    assert paired.l1(fake, target).tolist() == [0.2]
    assert paired.psnr(fake, target)[0] == pytest.approx(10 * np.log10(255**2 / 51**2), rel=1e-12)
    assert paired.psnr(fake, fake).tolist() == [np.inf]


def test_ssim_is_scikit_images_with_wang_et_al_s_settings() -> None:
    fake, target = images(seed=0), images(seed=1)
    wanted = [
        structural_similarity(
            f, t, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for f, t in zip(fake, target, strict=True)
    ]
    assert paired.ssim(fake, target).tolist() == wanted


SCORES: list[tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], float]] = [(paired.l1, 0.0), (paired.ssim, 1.0)]


@pytest.mark.parametrize(("score", "perfect"), SCORES)
@given(seed=st.integers(0, 2**16))
def test_identical_images_are_perfect_and_both_sides_count_alike(
    score: Callable[[np.ndarray, np.ndarray], np.ndarray], perfect: float, seed: int
) -> None:
    a, b = images(2, 16, seed), images(2, 16, seed + 1)
    assert score(a, a).tolist() == [perfect, perfect]
    assert score(a, b) == pytest.approx(score(b, a), rel=1e-12)
    assert score(a[::-1], b[::-1])[::-1] == pytest.approx(score(a, b), rel=1e-12)


def test_sharpness_is_the_ratio_of_gradients() -> None:
    stripes = np.zeros((1, 8, 8, 3), np.uint8)
    stripes[:, :, ::2] = 200
    faint = stripes // 2
    assert paired.sharpness(faint, stripes) == pytest.approx([0.5])
    assert paired.sharpness(stripes, stripes) == pytest.approx([1.0])
    assert paired.sharpness(255 - stripes, stripes) == pytest.approx([1.0])


@given(seed=st.integers(0, 1000), radius=st.floats(0.6, 3))
def test_blurring_lowers_sharpness(seed: int, radius: float) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    blurred = np.asarray(Image.fromarray(image[0]).filter(ImageFilter.GaussianBlur(radius)))[None]
    assert paired.sharpness(blurred, image)[0] < 0.9


def test_a_target_of_one_colour_has_no_sharpness() -> None:
    flat = np.full((1, 8, 8, 3), 9, np.uint8)
    assert not np.isfinite(paired.sharpness(flat, flat)).any()


def test_diversity_is_the_mean_distance_of_all_pairs() -> None:
    draws = [np.full((2, 4, 4, 3), value, np.uint8) for value in (0, 51, 255)]
    assert paired.diversity(draws) == pytest.approx([(51 + 255 + 204) / 3 / 255] * 2)
    assert paired.diversity([draws[0], draws[0]]) == pytest.approx([0, 0])


# ---- a score of the user's own

A = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
B = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def write(folder: Path, name: str, body: str) -> str:
    (folder / f"{name}.py").write_text(body)
    return f"{name}:score"


def test_it_is_measured_with_an_interval_and_says_what_it_is(module: Path) -> None:
    reference = write(
        module, "own_score_good",
        "def score(fakes, targets):\n    fakes[:] = 0\n    return [1.0, 2.0, 4.0]\n"
        "score.better = 'lower'\nscore.unit = 'bits'\n",
    )  # fmt: skip
    before = A.copy()
    found = evaluate(A, B, list("abc"), ["l1", reference], fetch=False)
    score = found.scores[reference].to_json()
    assert (score["value"], score["unit"], score["better"], score["n"]) == (pytest.approx(7 / 3), "bits", "lower", 3)
    assert score["low"] < score["value"] < score["high"]
    assert len(score["settings"]["code"]) == 64
    assert found.to_frame()[reference].tolist() == [1.0, 2.0, 4.0]
    assert np.array_equal(A, before)  # it works on a copy


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("own_score_mute", "def score(fakes, targets):\n    return [0, 0, 0]\n", "which way is better"),
        ("own_score_short", "def score(f, t):\n    return [0]\nscore.better = 'lower'\n", "not one number each"),
        ("own_score_raises", "def score(f, t):\n    1 / 0\nscore.better = 'lower'\n", "ZeroDivisionError"),
        ("own_score_exits", "def score(f, t):\n    raise SystemExit(3)\nscore.better = 'lower'\n", "SystemExit"),
        ("own_score_nan", "def score(f, t):\n    return [float('nan')] * 3\nscore.better = 'lower'\n", "no finite"),
        ("own_score_absent", "def other(f, t):\n    return [0]\n", "score"),
    ],
)
def test_what_is_wrong_with_it_is_the_reason_and_the_rest_goes_on(
    module: Path, name: str, body: str, message: str
) -> None:
    reference = write(module, name, body)
    found = evaluate(A, B, list("abc"), [reference, "l1"], fetch=False)
    assert found.scores["l1"].state == "measured"
    assert found.scores[reference].state == "not measured"
    assert message in str(found.scores[reference].reason)
