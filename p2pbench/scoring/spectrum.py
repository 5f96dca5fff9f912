"""Radial power spectra: blur shows as too little power at high frequencies, a checkerboard as a peak at the highest."""

import numpy as np

from p2pbench.scoring.images import LUMA


class Spectra:
    """The mean radial power spectrum of outputs and of targets, batch by batch."""

    def __init__(self, height: int, width: int) -> None:
        """Spectra of images of this size, in pixels.

        Rings are as wide as the lowest frequency that the shorter side resolves, and reach the corner of the plane.
        """
        down, along = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]
        radius = np.hypot(down, along)  # cycles per pixel
        width_of_ring = 1 / min(height, width)
        self._ring = np.floor(radius / width_of_ring + 0.5).astype(np.intp)
        self._in_ring = np.bincount(self._ring.ravel())
        self.frequencies = np.bincount(self._ring.ravel(), radius.ravel()) / self._in_ring
        """The mean frequency of each ring, (rings,), in cycles per pixel, from 0 to 0.71 in the corner."""
        # Without a window the jump between opposite borders would cover the spectrum of every image.
        self._window = np.outer(np.hanning(height + 1)[:-1], np.hanning(width + 1)[:-1])
        self._ours, self._theirs = (np.zeros(len(self._in_ring)) for _ in range(2))
        self.n = 0

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        """Take in a batch; both (B, H, W, C), uint8."""
        self._ours += self._summed(fakes)
        self._theirs += self._summed(targets)
        self.n += len(fakes)

    @property
    def outputs(self) -> np.ndarray:
        """Mean power of the luma, in [0, 1], in each ring, (rings,): v in each for white noise of variance v."""
        return self._ours / self.n

    @property
    def targets(self) -> np.ndarray:
        """The same of the targets."""
        return self._theirs / self.n

    def _summed(self, images: np.ndarray) -> np.ndarray:
        total = np.zeros(len(self._in_ring))
        for image in images:  # one by one, because complex doubles are sixteen times as large
            luma = (image @ LUMA if image.shape[-1] == 3 else image.mean(axis=-1)) / 255
            power = np.abs(np.fft.fft2((luma - luma.mean()) * self._window)) ** 2 / (self._window**2).sum()
            total += np.bincount(self._ring.ravel(), power.ravel()) / self._in_ring
        return total
