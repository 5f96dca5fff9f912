"""The look of figures, and how they become files: the same figure gives the same bytes. Reports, explorations and
benchmarks share this."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure
from PIL import Image

from p2pbench.system.files import atomic

SCREEN: dict[str, Any] = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 9, "axes.labelsize": 8,
    "xtick.labelsize": 8, "ytick.labelsize": 8, "figure.dpi": 160, "savefig.dpi": "figure", "font.size": 9,
}  # fmt: skip
"""Matplotlib's settings for figures that are looked at on a screen: of explorations and benchmarks."""
MARKERS = "osD^vPX*<>"
"""Markers of variants, which tell them apart where colours do not."""


def write_all(
    figures: Mapping[str, Callable[[], Figure | None]],
    folder: Path,
    *,
    style: Mapping[str, Any] = SCREEN,
    drawings: bool = False,
) -> dict[str, Path]:
    """Draw each of ``figures`` into ``folder / NAME.png``; returns the files, none where there was nothing to draw.

    Args:
        drawings: the figures are lines and areas: PNGs of 256 colours, a third as large, and ``NAME.svg`` too.
        style: matplotlib's settings, over seaborn's white grid.
    """
    written = {}
    settings: Any = {"svg.hashsalt": "p2pbench", **sns.axes_style("whitegrid", rc={"grid.color": ".9"}), **style}
    with plt.rc_context(settings):
        for name, draw in figures.items():
            figure = draw()
            if figure is None:
                continue
            path, drawn = folder / f"{name}.png", io.BytesIO()
            # Without the software's version: the same data give the same bytes.
            figure.savefig(drawn, format="png", bbox_inches="tight", metadata={"Software": None})
            with atomic(path) as part:
                if drawings:
                    few = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
                    few.save(part, format="PNG", optimize=True)
                else:
                    part.write_bytes(drawn.getvalue())
            if drawings:
                with atomic(path.with_suffix(".svg")) as part:
                    about = {"Date": None, "Creator": None}
                    figure.savefig(part, format="svg", bbox_inches="tight", metadata=about)
            plt.close(figure)
            written[name] = path
    return written


COLUMN = 3.5
"""The width of a figure in inches: one of a paper's two columns."""

STYLE: Any = matplotlib.rc_params_from_file(Path(__file__).with_name("report.mplstyle"), use_default_template=False)
