"""The look of figures, and how they become files: the same figure gives the same bytes. Reports, explorations and
benchmarks share this."""

import io
import re
import warnings
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image

from p2pbench.system.files import atomic, write_text
from p2pbench.system.html import address

WHITE_GRID: dict[str, Any] = {
    "axes.axisbelow": True, "axes.edgecolor": ".8", "axes.grid": True, "axes.labelcolor": ".15", "grid.color": ".9",
    "lines.solid_capstyle": "round", "patch.edgecolor": "w", "patch.force_edgecolor": True,
    "text.color": ".15", "xtick.bottom": False, "xtick.color": ".15", "ytick.color": ".15", "ytick.left": False,
}  # fmt: skip
"""Seaborn's style of this name, without the second that importing seaborn takes."""
SCREEN: dict[str, Any] = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 9, "axes.labelsize": 8,
    "xtick.labelsize": 8, "ytick.labelsize": 8, "figure.dpi": 160, "savefig.dpi": "figure", "font.size": 9,
}  # fmt: skip
"""Matplotlib's settings for figures that are looked at on a screen: of explorations and benchmarks."""
MARKERS = "osD^vPX*<>ph"
"""Markers of variants, which tell them apart where colours do not."""
PAPER: Any = matplotlib.rc_params_from_file(Path(__file__).with_name("paper.mplstyle"), use_default_template=False)
"""Matplotlib's settings for the figures of a report."""
COLUMN, TEXT = 3.5, 7.16
"""The widths of a report's figures in inches: one of a paper's two columns, and both."""
INK, DIM, LINE, GROUND = "#1c1f23", "#5c636b", "#d9dde2", "#ffffff"
"""What is read, what stands back, lines of a grid, and the page below; the colours of variants suit both pages."""
DARK = {INK: "#e6e8ea", DIM: "#a0a7af", LINE: "#3a4048", GROUND: "#16191d"}
"""What stands for them where the page is dark."""


OTHER_SCRIPTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Hiragino Sans", "Yu Gothic", "Microsoft YaHei",
    "Malgun Gothic", "Arial Unicode MS",
)  # fmt: skip
"""Fonts with the letters that Matplotlib's own lacks, where a machine has one; else boxes stand for them."""


@contextmanager
def settings(style: Mapping[str, Any]) -> Iterator[None]:
    """Matplotlib's settings ``style``, over a white grid, while the block runs."""
    fonts = [name for name in OTHER_SCRIPTS if name in set(font_manager.get_font_names())]
    look: Any = {
        "svg.hashsalt": "p2pbench", **WHITE_GRID, **style,
        "font.family": ["DejaVu Sans", *fonts],
    }  # fmt: skip
    with plt.rc_context(look), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing")
        yield


def write_all(figures: Mapping[str, Callable[[], Figure | None]], folder: Path) -> dict[str, Path]:
    """Draw each of ``figures`` into ``folder / NAME.png``; returns the files, none where there was nothing to draw."""
    written = {}
    with settings(SCREEN):
        for name, draw in figures.items():
            if (figure := draw()) is not None:
                written[name] = folder / f"{name}.png"
                with atomic(written[name]) as part:
                    # Without the software's version: the same data give the same bytes.
                    figure.savefig(part, format="png", metadata={"Software": None}, bbox_inches="tight")
                plt.close(figure)
    return written


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure of lines and areas as a PNG of 256 colours, a third as large."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="rgba", facecolor=GROUND)
    whole = Image.frombytes("RGBA", figure.canvas.get_width_height(), drawn.getvalue())
    with atomic(path) as part:
        few = whole.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(part, format="PNG", optimize=True)


def write_svg(figure: Figure, path: Path) -> None:
    """Write a figure as an SVG on no ground, whose greys turn where a page is dark; letters are outlines."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    turned = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    text = smaller_svg(drawn.getvalue())
    write_text(path, text.replace("</style>", f"@media (prefers-color-scheme: dark){{{turned}}}</style>", 1))


PLACES = re.compile(r'\b(?:d|x|y)="[^"]*"|\btranslate\([^)]*\)')
"""What in an SVG says where something is, in points; a scale needs all its digits."""
LONG = re.compile(r"-?\d+\.\d{3,}")
PICTURE = re.compile(r'data:image/png;base64,([^"]+)')


def smaller_svg(text: str) -> str:
    """An SVG as small as it can be without a difference to see: places to the hundredth of a point, no space between
    its elements (its texts are outlines), pictures in it of 256 colours."""
    text = " ".join(PICTURE.sub(lambda found: address(_of_few_colours(b64decode(found[1])), "png"), text).split())
    return PLACES.sub(lambda place: LONG.sub(lambda number: f"{float(number[0]):.2f}", place[0]), text)


def _of_few_colours(png: bytes) -> bytes:
    """A PNG, with its transparency, as one of 256 colours."""
    with Image.open(io.BytesIO(png)) as whole:
        few = whole.convert("RGBA").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    written = io.BytesIO()
    few.save(written, format="PNG", optimize=True)
    return written.getvalue()


def write_pdf(figure: Figure, path: Path) -> None:
    """Write a figure as a PDF with its fonts in it, as TrueType."""
    with atomic(path) as part:
        figure.savefig(part, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
