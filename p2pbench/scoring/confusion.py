"""Confusion matrices of classes, and the scores of pix2pix §4.1 that are made of them."""

from collections.abc import Callable

import numpy as np


def confusion_matrices(true: np.ndarray, found: np.ndarray, n_classes: int) -> np.ndarray:
    """The number of pixels of each true class that were found to be of each class, image by image.

    Args:
        true, found: (N, H, W), uint8, 0..K; K is void. Pixels that are truly void do not count.
    Returns:
        (N, K, K + 1), int64: true classes by found ones, void the last.
    """
    columns = n_classes + 1
    cells = true.astype(np.int64) * columns + found
    counts = np.stack([np.bincount(image.ravel(), minlength=columns**2) for image in cells])
    return np.ascontiguousarray(counts.reshape(-1, columns, columns)[:, :n_classes])


def pixel_accuracy(confusions: np.ndarray) -> np.ndarray:
    """The share of the pixels that are of their true class: (..., K, K + 1) to (...); NaN where none counts."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.trace(confusions, axis1=-2, axis2=-1) / confusions.sum(axis=(-2, -1)))


def class_accuracies(confusions: np.ndarray) -> np.ndarray:
    """The share of the pixels of each class that were found to be of it: (..., K, K + 1) to (..., K).

    NaN for a class that does not occur.
    """
    hits, true, _ = _counts(confusions)
    with np.errstate(invalid="ignore"):
        return np.asarray(hits / true)


def class_ious(confusions: np.ndarray) -> np.ndarray:
    """Intersection over union of the pixels of each class and those found to be of it: (..., K, K + 1) to (..., K).

    NaN for a class that does not occur; pixels that are found to be of it count against the classes that do.
    """
    hits, true, found = _counts(confusions)
    with np.errstate(invalid="ignore"):
        return np.where(true > 0, hits / (true + found - hits), np.nan)


def left_out(each: Callable[[np.ndarray], np.ndarray], confusions: np.ndarray) -> np.ndarray:
    """The mean over classes of ``each`` without each image in turn: (N, K, K + 1), N >= 2, to (N,).

    The mean is always over the classes of the whole set. One that no other image shows keeps its value for the whole
    set, since the others say nothing of it; as 0, or left out, it would jump with the image that shows it.
    """
    whole = confusions.sum(axis=0)
    remaining = each(whole - confusions)
    return mean_over_classes(np.where(np.isnan(remaining), each(whole), remaining))


def _counts(confusions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits, true and found pixels of each class, (..., K)."""
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    return hits, confusions.sum(axis=-1), confusions[..., :-1].sum(axis=-2)


EACH: dict[str, Callable[[np.ndarray], np.ndarray]] = {"fcn-class": class_accuracies, "fcn-iou": class_ious}


def mean_over_classes(each: np.ndarray) -> np.ndarray:
    """The mean over the classes that occur: (..., K) to (...). NaN marks those that do not."""
    occurs = ~np.isnan(each)
    return np.asarray(np.where(occurs, each, 0).sum(axis=-1) / occurs.sum(axis=-1))
