"""The test pairs that a report shows, which a stated rule chooses, and their pictures."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from p2pbench.config.metrics import DEFAULT_PRIMARY
from p2pbench.errors import ConfigError, unknown
from p2pbench.report.figures.names import shortened
from p2pbench.report.figures.panels import drawn
from p2pbench.report.primary import primary_metric
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.report.summaries import oriented
from p2pbench.system import html

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
    """``best``, ``median``, ``worst``, ``fixed`` or ``chosen``."""


@dataclass(frozen=True)
class Choice:
    """The pairs that are shown, and by which rule."""

    samples: list[Sample]
    rule: str
    shown: list[CellRecord]
    """For each variant the cell of the first seed that left pictures."""


def choose(study: StudyRecord) -> Choice | None:
    """Choose the best, median and worst by a score of the baseline's images, then pairs at evenly spread positions.

    The score is the primary one; where that is of whole sets, the next that would be.

    Where the user chose images by name, these.

    Returns None where no run left pictures.

    Raises:
        ConfigError: a chosen image has no pictures; the message lists those that have.
    """
    shown = [cell for variant in drawn(study) if (cell := _first(study.of(variant))) is not None]
    if not shown:
        if study.chosen.images:
            raise ConfigError(f"{study.about.name}: no variant that is shown left pictures: leave --images out")
        return None
    base = next((cell for cell in shown if cell.variant == study.baseline), shown[0])
    kept = _kept(base)
    if study.chosen.images is not None:
        positions = _named(study.chosen.images, {image_name(base, position): position for position in kept})
        samples = [Sample(position, image_name(base, position), "chosen") for position in positions]
        return Choice(samples, "Images chosen by name. First seed of each variant.", shown)
    metric = _metric_of_images(study, base)
    values = base.per_image[metric] if metric else None
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


def _named(names: Sequence[str], positions: dict[str, int]) -> list[int]:
    """The positions of the images ``names``; a number may lack the zeros that it has in a file's name."""
    found = []
    for name in names:
        alike = [k for k in positions if k == name] or [k for k in positions if k.lstrip("0") == name.lstrip("0")]
        if len(alike) != 1:
            raise ConfigError(unknown("image", name, positions))
        found.append(positions[alike[0]])
    return list(dict.fromkeys(found))


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


@dataclass(frozen=True)
class Shown:
    """A picture on the page."""

    title: str
    """``condition``, ``target``, or the variant whose output it is, without what all names have in common."""
    address: str | None
    """Its data; None where it is missing."""
    score: str
    """Its score, with the score's name; empty where it has none."""


@dataclass(frozen=True)
class Pair:
    """A test pair on the page: its condition, its outputs and its target."""

    name: str
    why: str
    pictures: list[Shown]


def pairs_on_page(study: StudyRecord, choice: Choice | None) -> list[Pair]:
    """The test pairs that the page shows, as many as there is room for; none where no run left pictures.

    A variant that left no picture, as one whose trainings failed, has its place all the same.
    """
    if choice is None:
        return []
    first = choice.shown[0]
    metric = _metric_of_images(study, first)
    cells, short, variants = {c.variant: c for c in choice.shown}, shortened(study.variants)[0], drawn(study)
    pairs: list[Pair] = []
    total = 0
    for sample in choice.samples:
        row = [("condition", first, "condition"), *((short[v], cells.get(v), "output") for v in variants)]
        row.append(("target", first, "target"))
        shown = []
        for title, cell, name in row:
            image = None if cell is None else picture(cell, name, sample.position)
            score = "" if cell is None or name != "output" else _score(study, cell, metric, sample.position)
            shown.append(Shown(title, None if image is None else _data_url(image), score))
        size = sum(len(one.address or "") for one in shown)
        total += size
        if not size or (pairs and total > PAGE_BYTES and sample.why != "chosen"):
            break
        pairs.append(Pair(sample.name, sample.why, shown))
    return pairs


def _metric_of_images(study: StudyRecord, cell: CellRecord) -> str | None:
    """The score of single images that speaks for ``cell``: the primary one, else the next that would be, else any."""
    primary = primary_metric(study)
    wanted = [*([primary] if primary else []), *study.primary, *DEFAULT_PRIMARY, *study.chosen_metrics]
    return next((metric for metric in wanted if metric in study.chosen_metrics and metric in cell.per_image), None)


def _score(study: StudyRecord, cell: CellRecord, metric: str | None, position: int) -> str:
    """The score of one output with its name; empty where it has none."""
    if metric is None or metric not in cell.per_image or position >= len(cell.per_image):
        return ""
    value = float(cell.per_image[metric].iloc[position])
    return f"{study.metric(metric).label} {value:.3f}" if np.isfinite(value) else ""


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
