"""How much of their colours two sets of images have in common (pix2pix §4.2, Figure 7)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

EDGES = tuple(np.arange(low, high + 2) - 0.5 for low, high in ((0, 100), (-110, 110), (-110, 110)))
"""Bins of one unit of L, a and b, whole numbers in their middle: a grey has an a of 0, but for what is rounded. The
paper does not say its own."""

SETTINGS = {"space": "CIE L*a*b*, D65", "bin": 1}


def lab_overlaps(fakes: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersection of the histograms of L, a and b: the sum over bins of the smaller share, in [0, 1].

    Args:
        fakes, targets: (N, H, W, 3), uint8.
    Returns:
        Of each image with its target, (N, 3); and of all images together with all targets, (3,), as in Figure 7.
    """
    with ThreadPoolExecutor() as pool:
        ours, theirs = (np.stack(list(pool.map(_histograms, images))) for images in (fakes, targets))
    return _shared(ours, theirs), _shared(ours.mean(axis=0), theirs.mean(axis=0))


def _shared(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    overlap: np.ndarray = np.minimum(ours, theirs).sum(axis=-1)
    return overlap


def _histograms(image: np.ndarray) -> np.ndarray:
    """Shares of the pixels in each bin of L, a and b, (3, bins), of an image (H, W, 3), uint8."""
    from skimage.color import rgb2lab

    lab = rgb2lab(image).reshape(-1, 3)
    shares = np.zeros((3, len(EDGES[1]) - 1))
    for channel, edges in enumerate(EDGES):
        counts, _ = np.histogram(lab[:, channel], edges)
        shares[channel, : len(counts)] = counts / len(lab)
    return shares
