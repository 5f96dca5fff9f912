"""What reports show of a run's outputs besides their scores: spectra, colours, and pictures of test pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from p2pbench.data.images import as_rgb8
from p2pbench.inference.samples import save_png, spread
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.records import SCHEMA_VERSION
from p2pbench.scoring.colour import BINS, Overlaps
from p2pbench.scoring.spectrum import Spectra

N_KEPT = 128
"""Test pairs whose output is kept: all of the paper's smaller test sets, so that a report may choose the best and the
worst when it is made. For facades at 128x128 they take 9 MB, beside 40 MB for the generator."""
DIGITS = 4
"""Significant digits of the recorded curves, which are for drawing."""


class Profile:
    """Spectra and colours over the outputs of the test split and their targets; pictures of some are written."""

    def __init__(self, run: RunFolder, n: int) -> None:
        """A profile of ``n`` test pairs, whose pictures go into the folder of ``run``."""
        self.kept = spread(n, N_KEPT)
        """Positions of the test pairs whose pictures are written."""
        self._run, self._n, self._seen = run, n, 0
        self._spectra: Spectra | None = None
        self._colours = Overlaps()

    def add(self, fakes: np.ndarray, targets: np.ndarray) -> None:
        """Take in the next batch, both (B, H, W, C), uint8. Colours are counted where images are RGB."""
        self._spectra = self._spectra or Spectra(*fakes.shape[1:3])
        self._spectra.add(fakes, targets)
        if fakes.shape[-1] == 3:
            self._colours.add(fakes, targets)
        for position in self.kept:
            if 0 <= (row := position - self._seen) < len(fakes):
                for name, images in (("output", fakes), ("target", targets)):
                    save_png(self._run.sample_file(name, position), as_rgb8(images[row]))
        self._seen += len(fakes)

    def to_json(self, names: Sequence[str], redrawn: Sequence[int]) -> dict[str, Any]:
        """The record ``profile.json``, without spectra and colours where an output was not finite.

        Args:
            names: the names of the test images.
            redrawn: positions of the test pairs whose outputs with other noise are kept.
        """
        found: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION, "n": self._n, "kept": self.kept,
            "names": [names[position] for position in self.kept], "redrawn": list(redrawn),
            "spectrum": None, "lab": None,
        }  # fmt: skip
        if self._spectra is None or self._seen < self._n:
            return found
        found["spectrum"] = {
            "frequency": _plain(self._spectra.frequencies),
            "output": _plain(self._spectra.outputs),
            "target": _plain(self._spectra.targets),
        }
        if self._colours.per_image:
            ours, theirs = self._colours.shares()
            found["lab"] = {
                channel: {"first": low, "output": _plain(ours[k, : high - low + 1]),
                          "target": _plain(theirs[k, : high - low + 1])}
                for k, (channel, (low, high)) in enumerate(zip("Lab", BINS, strict=True))
            }  # fmt: skip
        return found


def _plain(values: np.ndarray) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") if value else 0 for value in values]  # 0, for most colours do not occur
