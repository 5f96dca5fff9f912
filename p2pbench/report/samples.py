"""The test pairs that a report shows, which a stated rule chooses, and their pictures."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from p2pbench.report import html
from p2pbench.report.figures.panels import drawn
from p2pbench.report.primary import primary_metric
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.report.summaries import oriented

N_FIXED = 4
"""The pairs at fixed positions on a sheet."""
N_VIEWED = 9
"""The most pairs that the page's viewer has."""
PAGE_BYTES = 6_000_000
"""The most that the pictures on the page take."""
VIEWED_SIDE = 512
"""The longest side of a picture on the page, in pixels; a longer one is scaled down."""


@dataclass(frozen=True)
class Sample:
    """A test pair that is shown."""

    position: int
    name: str
    why: str
    """``best``, ``median``, ``worst`` or ``fixed``."""


@dataclass(frozen=True)
class Choice:
    """The pairs that are shown, and by which rule."""

    samples: list[Sample]
    rule: str
    shown: list[CellRecord]
    """For each variant the cell of the first seed that left pictures."""


def choose(study: StudyRecord) -> Choice | None:
    """Choose the best, median and worst by the baseline's primary score, then pairs at evenly spread positions.

    Returns None where no run left pictures.
    """
    shown = [cell for variant in drawn(study) if (cell := _first(study.of(variant))) is not None]
    if not shown:
        return None
    base = next((cell for cell in shown if cell.variant == study.baseline), shown[0])
    kept = _kept(base)
    metric = primary_metric(study)
    values = base.per_image.get(metric) if metric else None
    ranked: list[int] = []
    rule = ""
    if values is not None and metric is not None and max(kept) < len(values):
        gains = oriented(values.to_numpy(dtype=float), study.metric(metric).better)
        ranked = sorted((p for p in kept if np.isfinite(gains[p])), key=lambda p: -float(gains[p]))
    picked: dict[int, str] = {}
    if len(ranked) >= 3 and metric is not None:
        picked = {ranked[0]: "best", ranked[len(ranked) // 2]: "median", ranked[-1]: "worst"}
        of = f"{len(ranked)} test images" + ("" if len(ranked) == len(base.per_image) else " that are kept")
        label = study.metric(metric).label
        rule = f"Best, median and worst of the {of} by {label} of {base.variant}, seed {base.seed}; then images "
    rest = [position for position in kept if position not in picked]
    fixed = [rest[int(k)] for k in np.linspace(0, len(rest) - 1, min(len(rest), N_VIEWED - len(picked))).round()]
    # Those of the sheet come first, and are spread evenly themselves.
    first = [fixed[int(k)] for k in np.linspace(0, len(fixed) - 1, min(len(fixed), N_FIXED)).round()]
    order = [*picked, *first, *(position for position in fixed if position not in first)]
    samples = [Sample(p, image_name(base, p), picked.get(p, "fixed")) for p in order]
    rule += "at fixed, evenly spread positions" if rule else "Images at fixed, evenly spread positions"
    rule += ". First seed of each variant; none chosen by hand."
    return Choice(samples, rule, shown)


def _first(cells: list[CellRecord]) -> CellRecord | None:
    return next((cell for cell in cells if _kept(cell) and cell.run.test_samples.is_dir()), None)


def _kept(cell: CellRecord) -> list[int]:
    """The positions of the test pairs that the run left pictures of."""
    kept = cell.profile.get("kept")
    if isinstance(kept, list) and kept and all(type(position) is int and position >= 0 for position in kept):
        return kept
    return sorted(int(p.name[:5]) for p in cell.run.test_samples.glob("[0-9][0-9][0-9][0-9][0-9]-target.png"))


def image_name(cell: CellRecord, position: int) -> str:
    """The name of the test image at ``position``."""
    return str(cell.per_image.index[position]) if position < len(cell.per_image) else f"number {position}"


def picture(cell: CellRecord, name: str, position: int) -> np.ndarray | None:
    """The picture ``name`` of a run's test pair, (H, W, 3), uint8; None where it is missing or damaged."""
    try:
        with Image.open(cell.run.sample_file(name, position)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError):
        return None


def viewer(study: StudyRecord, choice: Choice | None) -> dict[str, Any] | None:
    """The pictures that the page's viewer shows, as many pairs as there is room for; None where there are none."""
    if choice is None:
        return None
    samples: list[dict[str, Any]] = []
    total = 0
    metric = primary_metric(study)
    for sample in choice.samples:
        first = choice.shown[0]
        named = [("condition", first, "condition"), *((c.variant, c, "output") for c in choice.shown)]
        named.append(("target", first, "target"))
        pictures = {
            title: _data_url(image)
            for title, cell, name in named
            if (image := picture(cell, name, sample.position)) is not None
        }
        total += sum(map(len, pictures.values()))
        if not pictures or (samples and total > PAGE_BYTES):
            break
        scores = {
            c.variant: f"{study.metric(metric).label} {float(c.per_image[metric].iloc[sample.position]):.3f}"
            for c in choice.shown
            if metric in c.per_image and sample.position < len(c.per_image)
        } if metric else {}  # fmt: skip
        samples.append({"name": sample.name, "why": sample.why, "pictures": pictures, "scores": scores})
    if not samples:
        return None
    columns = ["condition", *(cell.variant for cell in choice.shown), "target"]
    return {"columns": columns, "samples": samples}


def _data_url(picture: np.ndarray) -> str:
    """The address that holds ``picture``: a PNG where it has few colours, as label maps do, else a JPEG."""
    image = Image.fromarray(picture)
    image.thumbnail((VIEWED_SIDE, VIEWED_SIDE))
    few = image.getcolors(256) is not None
    stream = io.BytesIO()
    if few:
        image.save(stream, "PNG", optimize=True)
    else:
        image.save(stream, "JPEG", quality=80)
    return html.address(stream.getvalue(), "png" if few else "jpeg")
