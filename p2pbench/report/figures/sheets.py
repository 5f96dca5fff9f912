"""Sample sheets: outputs beside their targets, maps of the differences, and outputs with other noise."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from p2pbench.report.figures.names import shortened, wrapped
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.report.samples import N_FIXED, Choice, image_name, picture
from p2pbench.system.files import atomic

Picture = np.ndarray | None
GAP, LABEL, LETTERS, LINE = 4, 110, 11, 14
"""In pixels: the space between pictures, the room for text beside them, the height of its letters and of its lines."""
LEAST_SIDE, MOST_WIDTH = 96, 2000
"""In pixels: the shorter side of a picture at least, and the width of a sheet at most."""
MOST_DIFFERENCE, MOST_DEVIATION = 0.5, 0.1
"""The ends of the maps' colour scales, as fractions of full range."""
MOST_REDRAWN = 6
"""The most variants on the sheet of outputs with other noise."""


def write_sheets(study: StudyRecord, choice: Choice | None, folder: Path) -> dict[str, Path]:
    """Write the sheets that the records allow into ``folder``; returns the file of each by its name.

    As JPEG, for they are to be looked at; the runs keep every picture without loss.
    """
    if choice is None:
        return {}
    sheets = {"samples": _samples(study, choice), "errors": _errors(study, choice), "redraws": _redraws(study, choice)}
    written = {}
    for name, sheet in sheets.items():
        if sheet is not None:
            written[name] = folder / f"{name}.jpg"
            with atomic(written[name]) as part:
                sheet.save(part, "JPEG", quality=70, subsampling=0)
    return written


def _on_sheet(choice: Choice) -> list[tuple[str, int]]:
    """Label and position of each row."""
    shown = [s for s in choice.samples if s.why != "fixed"]
    shown += [s for s in choice.samples if s.why == "fixed"][:N_FIXED]
    return [(f"{sample.why}\n{sample.name}", sample.position) for sample in shown]


def _titles(study: StudyRecord, choice: Choice) -> list[str]:
    short, _ = shortened(study.variants)
    return [short[cell.variant] for cell in choice.shown]


def _named(study: StudyRecord) -> str:
    """What the names of variants leave out, after a sheet's other words."""
    common = shortened(study.variants)[1]
    return f"names: {common}" if common else ""


def _samples(study: StudyRecord, choice: Choice) -> Image.Image:
    first, rows = choice.shown[0], []
    for label, position in _on_sheet(choice):
        outputs = [picture(cell, "output", position) for cell in choice.shown]
        rows.append((label, [picture(first, "condition", position), *outputs, picture(first, "target", position)]))
    return _sheet(["condition", *_titles(study, choice), "target"], rows, _named(study))


def _errors(study: StudyRecord, choice: Choice) -> Image.Image | None:
    rows = []
    for label, position in _on_sheet(choice):
        differences = [_difference(cell, position) for cell in choice.shown]
        rows.append((label, [picture(choice.shown[0], "target", position), *differences]))
    scale = f"|output - target|, mean over channels: black 0, pale {MOST_DIFFERENCE:g} of full range or more"
    return _sheet(["target", *_titles(study, choice)], rows, "; ".join(filter(None, [scale, _named(study)])))


def _difference(cell: CellRecord, position: int) -> Picture:
    output, target = (picture(cell, name, position) for name in ("output", "target"))
    if output is None or target is None or output.shape != target.shape:
        return None
    return _coloured(np.abs(output.astype(float) - target).mean(axis=2) / 255 / MOST_DIFFERENCE)


def _redraws(study: StudyRecord, choice: Choice) -> Image.Image | None:
    """The same condition with other dropout noise; None where no output depends on it or none was kept."""
    rows, n_draws, short = [], 0, shortened(study.variants)[0]
    cells = sorted(choice.shown, key=lambda cell: cell.variant != study.baseline)[:MOST_REDRAWN]
    for cell in cells:
        positions = cell.profile.get("redrawn")
        if not isinstance(positions, list) or not all(type(position) is int for position in positions):
            continue
        for position in positions if cell.variant == study.baseline else positions[:1]:
            outputs = [picture(cell, "output", position)]
            while (drawn := picture(cell, f"draw{len(outputs)}", position)) is not None:
                outputs.append(drawn)
            whole = [output for output in outputs if output is not None]
            if len(whole) < 2 or len({output.shape for output in whole}) > 1:
                continue
            deviation = np.stack(whole).std(axis=0, ddof=1).mean(axis=2) / 255
            n_draws = max(n_draws, len(whole))
            ends = [picture(cell, name, position) for name in ("condition", "target")]
            row = [ends[0], *whole, _coloured(deviation / MOST_DEVIATION), ends[1]]
            rows.append((f"{short[cell.variant]}\n{image_name(cell, position)}", row, float(deviation.max())))
    if not any(deviation > 0 for _, _, deviation in rows):
        return None
    titles = ["condition", *(f"noise {k}" for k in range(n_draws)), "std. deviation", "target"]
    scale = f"standard deviation over the outputs, mean over channels: black 0, pale {MOST_DEVIATION:g} or more"
    complete = [(label, row) for label, row, _ in rows if len(row) == len(titles)]
    return _sheet(titles, complete, "; ".join(filter(None, [scale, _named(study)])))


def _coloured(values: np.ndarray) -> np.ndarray:
    """(H, W), clipped to [0, 1], in a colour scale whose lightness rises evenly: (H, W, 3), uint8."""
    return np.asarray(matplotlib.colormaps["magma"](np.clip(values, 0, 1), bytes=True))[..., :3]


def _sheet(titles: Sequence[str], rows: Sequence[tuple[str, Sequence[Picture]]], below: str) -> Image.Image:
    """Rows of pictures with a label beside each and a title above each column, and a text below them.

    What is missing is said to be; names break into lines, and none is cut.
    """
    height, width = _size([image for _, row in rows for image in row if image is not None], len(titles))
    titles = [wrapped(title, max(6, width // 7)) for title in titles]
    labels = ["\n".join(wrapped(part, 15) for part in label.split("\n")) for label, _ in rows]
    above = LINE * (1 + max(title.count("\n") for title in titles)) + 8
    pitch = GAP + max(height, LINE * (1 + max((label.count("\n") for label in labels), default=0)))
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", LETTERS)
    wide = LABEL + len(titles) * (width + GAP)
    below = wrapped(below, (wide - LABEL) // 7) if below else ""
    size = (wide, above + len(rows) * pitch + (LINE * (1 + below.count("\n")) + 6 if below else 0))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        place = (LABEL + column * (width + GAP) + width / 2, above - 4)
        draw.multiline_text(place, title, "black", font, anchor="md", align="center", spacing=2)
    for index, (label, (_, row)) in enumerate(zip(labels, rows, strict=True)):
        top = above + index * pitch
        draw.multiline_text((2, top + height / 2), label, "black", font, anchor="lm", spacing=2)
        for column, image in enumerate(row):
            left = LABEL + column * (width + GAP)
            if image is None:
                draw.text((left + width / 2, top + height / 2), "missing", "gray", font, anchor="mm")
                continue
            cell = Image.fromarray(image)
            if cell.size != (width, height):
                larger = cell.width < width
                cell = cell.resize((width, height), Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS)
            sheet.paste(cell, (left, top))
    if below:
        draw.multiline_text((LABEL, above + len(rows) * pitch + 2), below, "black", font, spacing=2)
    return sheet


def _size(pictures: Sequence[np.ndarray], columns: int) -> tuple[int, int]:
    """Height and width of a picture on the sheet: its own; small ones are enlarged by a whole number."""
    height, width = pictures[0].shape[:2] if pictures else (LEAST_SIDE, LEAST_SIDE)
    enlarged = -(-LEAST_SIDE // min(height, width))
    height, width = height * enlarged, width * enlarged
    room = (MOST_WIDTH - LABEL) / columns - GAP
    if width > room:
        height, width = max(1, round(height * room / width)), max(1, int(room))
    return height, width
