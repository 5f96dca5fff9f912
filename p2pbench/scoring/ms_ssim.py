"""Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003)."""

import numpy as np

from p2pbench.system.hardware import on_all_cores

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The exponent of each scale, finest first."""
SIGMA, RADIUS = 1.5, 5
"""The Gaussian window: 11 taps."""
LUMINANCE, CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""The constants of the two terms."""
LEAST_SIDE = 161
"""The window still fits the coarsest of the five scales."""
SETTINGS = {"scales": len(WEIGHTS), "sigma": SIGMA, "odd_sides": "padded with zeros", "data_range": 255}


def ms_ssim(fakes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Multi-scale structural similarity, each channel by itself and then averaged, in [0, 1].

    The product over scales of the contrast and structure term, and at the coarsest also of the luminance term, each to
    its weight; negative terms count as 0. As the package pytorch-msssim calculates it: of windows inside the image, and
    scales halved by averages of 2x2 pixels.

    Args:
        fakes, targets: (N, H, W, C), uint8, sides of 161 pixels or more.
    Returns:
        (N,), float64.
    """
    return np.array(on_all_cores(_of_pair, fakes, targets))


def _of_pair(fake: np.ndarray, target: np.ndarray) -> float:
    x, y = (image.astype(np.float64) for image in (fake, target))  # (H, W, C)
    product = np.ones(x.shape[-1])
    for scale, weight in enumerate(WEIGHTS):
        luminance, structure = _terms(x, y)
        last = scale == len(WEIGHTS) - 1
        term = (luminance * structure if last else structure).mean(axis=(0, 1))
        product *= np.maximum(term, 0) ** weight
        x, y = (_halved(image) for image in (x, y))
    return float(product.mean())


def _terms(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The luminance term, and that of contrast and structure, of each window: (H - 10, W - 10, C)."""
    from scipy.ndimage import gaussian_filter

    def blurred(image: np.ndarray) -> np.ndarray:
        whole = gaussian_filter(image, SIGMA, radius=RADIUS, axes=(0, 1))
        return np.asarray(whole[RADIUS:-RADIUS, RADIUS:-RADIUS])

    mean_x, mean_y = blurred(x), blurred(y)
    variances = blurred(x * x) - mean_x**2 + blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + LUMINANCE) / (mean_x**2 + mean_y**2 + LUMINANCE)
    return luminance, (2 * covariance + CONTRAST) / (variances + CONTRAST)


def _halved(image: np.ndarray) -> np.ndarray:
    """Averages of 2x2 pixels of (H, W, C). An odd side gets a row of zeros before and after it."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((height % 2,) * 2, (width % 2,) * 2, (0, 0)))
    even = padded[: padded.shape[0] // 2 * 2, : padded.shape[1] // 2 * 2]
    return np.asarray(even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
