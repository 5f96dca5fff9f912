"""MS-SSIM: what pytorch-msssim gives, and where it cannot be measured."""

from __future__ import annotations

import numpy as np
import pytest

from p2pbench.scoring.evaluate import evaluate
from p2pbench.scoring.ms_ssim import ms_ssim


def waves(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:height, :width]
    plain = [np.sin(x / (5 + c)) * np.cos(y / (9 - c)) + np.sin((x + 2 * y) / (30 + 5 * c)) for c in range(3)]
    target = 127.5 + 60 * np.stack(plain, axis=-1)
    fake = 127.5 + 45 * np.stack(plain, axis=-1) + 20 * np.sin(x * y / 50)[..., None]
    return fake[None].astype(np.uint8), target[None].astype(np.uint8)


# pytorch-msssim 1.0.0 on the same images as float64; its window is float32.
@pytest.mark.parametrize(("size", "expected"), [((176, 192), 0.916147275), ((161, 163), 0.910050593)])
def test_it_is_pytorch_msssims_for_even_and_odd_sides(size: tuple[int, int], expected: float) -> None:
    fake, target = waves(*size)
    assert ms_ssim(fake, target) == pytest.approx([expected], abs=1e-6)
    assert ms_ssim(target, target) == pytest.approx([1])


def test_smaller_images_have_none_and_negative_structure_counts_as_0() -> None:
    fake, target = waves(160, 200)
    found = evaluate(fake, target, ["a"], ["ms-ssim"]).scores["ms-ssim"]
    assert found.reason == "needs images of 161 pixels a side or more; these have 160"
    fake, target = waves(161, 161)
    found = evaluate(255 - target, target, ["a"], ["ms-ssim"]).scores["ms-ssim"]
    assert found.value == 0
    assert found.settings["scales"] == 5
