"""Measures of one image or one pair, from images (H, W, 3), uint8."""

import numpy as np

from p2pbench.data.images import luma

SIDE = 128
"""Side in pixels that images are resized to for mean images and edges."""
SHARPNESS_WINDOW = 1024
"""Maximum side in pixels of the window, in the middle of the image, that sharpness is measured in."""
EDGE_SHARE = 0.1
EDGE_FLOOR = 10.0
"""Grey levels a pixel: a weaker slope is no edge, however flat the rest of the image is."""


def colourfulness(image: np.ndarray) -> float:
    """Colourfulness of Hasler and Süsstrunk (2003, M3): 0 for grey; they call 15 slightly, 33 moderately, 59 quite
    and 109 extremely colourful.
    """
    red, green, blue = (image[..., channel].astype(np.int32) for channel in range(3))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


def sharpness(image: np.ndarray) -> float:
    """Standard deviation of the 4-neighbour Laplacian of luma, in grey levels, at file size; 0 for a flat image.

    The square root of Pech-Pacheco et al.'s (2000) focus measure, in the middle of the image. Noise and compression
    blocks raise it too. 0 for an image less than 3 pixels high or wide.
    """
    height, width = image.shape[:2]
    top, left = max(0, height - SHARPNESS_WINDOW) // 2, max(0, width - SHARPNESS_WINDOW) // 2
    grey = luma(image[top : top + SHARPNESS_WINDOW, left : left + SHARPNESS_WINDOW]).astype(np.int16)
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(laplacian.std()) if laplacian.size else 0.0


def edges(image: np.ndarray) -> np.ndarray:
    """The edges of an image, (H, W), bool: its tenth of pixels with the steepest slope, in whichever channel.

    Slope: Sobel's, in grey levels a pixel, after a Gaussian of one pixel. Colour counts, so that two labels of equal
    brightness have an edge between them; the share is fixed, so that contrast does not count.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(image.astype(np.float32), sigma=(1, 1, 0))
    slope = np.hypot(ndimage.sobel(smooth, axis=0), ndimage.sobel(smooth, axis=1)).max(axis=2) / 8
    return np.asarray(slope >= max(float(np.quantile(slope, 1 - EDGE_SHARE)), EDGE_FLOOR))


def borders(labels: np.ndarray) -> np.ndarray:
    """The edges of a label map, from labels (H, W): every pixel beside another label, (H, W), bool."""
    from skimage.segmentation import find_boundaries

    return np.asarray(find_boundaries(labels, connectivity=1, mode="thick"))


def beside(edges: np.ndarray) -> np.ndarray:
    """Where an edge is, or one of the eight pixels beside it, (H, W), bool."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(edges, np.ones((3, 3), bool)))


def edge_agreement(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """How far the edges of A and B, (H, W), bool, coincide: share of A's on B's, of B's on A's, and their F-measure.

    An edge pixel counts where the other image has one in the same place or :func:`beside` it; F is the harmonic mean of
    both shares, as for boundaries in Martin et al. (2004). 1: all coincide. NaN where an image has no edges.
    """
    if not a.any() or not b.any():
        return float("nan"), float("nan"), float("nan")
    a_on_b = float((a & beside(b)).sum() / a.sum())
    b_on_a = float((b & beside(a)).sum() / b.sum())
    both = a_on_b + b_on_a
    return a_on_b, b_on_a, 2 * a_on_b * b_on_a / both if both else 0.0
