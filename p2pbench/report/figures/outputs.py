"""Figures of all outputs together: their power spectrum and their colours, beside those of the targets."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter

from p2pbench.report.figures.panels import finish, handles, looked, looks, note, panels
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.report.verdict import counted
from p2pbench.system.figure_style import COLUMN, INK

TARGET: dict[str, Any] = {"color": INK, "lw": 1.2, "ls": ":", "zorder": 5}
"""How the targets are drawn."""
AXES = {"L": "L, lightness", "a": "a, green to red", "b": "b, blue to yellow"}


def draw_spectrum(study: StudyRecord, width: float = COLUMN) -> Figure | None:
    """Radial power spectra of outputs and targets, and their ratio."""
    look = looks(study)
    found = {v: spectra for v in look if (spectra := _spectra(study.of(v)))}
    if not found:
        return None
    first = next(iter(found.values()))[0]
    frequency, target = (np.array(first[key]) for key in ("frequency", "target"))
    found = {v: alike for v, own in found.items() if (alike := [s for s in own if s["target"] == first["target"]])}
    figure, (power, ratio) = panels(2, width, 1.75)
    used = slice(1, None)  # the mean was taken away
    for k, (variant, own) in enumerate(found.items()):
        mean = np.mean([spectrum["output"] for spectrum in own], axis=0)
        style = look[variant].line(markevery=(0.02 * k, 0.25))
        power.plot(frequency[used], mean[used], **style)
        ratio.plot(frequency[used], (mean / target)[used], **style)
    power.plot(frequency[used], target[used], **TARGET)
    ratio.axhline(1, **TARGET)
    power.set(yscale="log", ylabel="power", xlabel="cycles per pixel")
    ratio.set(yscale="log", ylabel="times the targets'", xlabel="cycles per pixel")
    ratio.yaxis.set_major_formatter(_Plain())
    ratio.yaxis.set_minor_formatter(_Plain())
    entries = [*handles(looked(study, found), width), Line2D([], [], label="target", **TARGET)]
    return finish(
        figure, note(study, found, None, *_images(study, found), "0.5 along an axis: every other pixel"), entries
    )


class _Plain(LogFormatter):
    """Numbers at those ticks of a logarithmic axis that have one, as ``0.5``, and not as ``5 × 10⁻¹``."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _spectra(cells: list[CellRecord]) -> list[dict[str, Any]]:
    found: list[Any] = [cell.profile.get("spectrum") for cell in cells]
    return [spectrum for spectrum in found if _is_whole(spectrum, ("frequency", "output", "target"))]


def draw_colours(study: StudyRecord, width: float = COLUMN) -> Figure | None:
    """Histograms of L, a and b of all outputs and all targets, in logarithmic shares as the paper's Figure 7."""
    look, found = looks(study), {}
    for variant in look:
        own = (lab for cell in study.of(variant) if _is_lab(lab := cell.profile.get("lab", {})))
        if (first := next(own, None)) is not None:
            found[variant] = first
    if not found:
        return None
    figure, axes = panels(3, width, 1.45 if width == COLUMN else 1.9)
    for axis, (channel, label) in zip(axes, AXES.items(), strict=True):
        target = next(iter(found.values()))[channel]
        # No further than any colour reaches: most of the plane lies outside sRGB.
        used = np.array([target["target"], *(lab[channel]["output"] for lab in found.values())]).max(axis=0)
        values = target["first"] + np.arange(len(used))
        reached = values[used > 1e-5]
        for k, (variant, lab) in enumerate(found.items()):
            axis.plot(values, _floored(lab[channel]["output"]), **look[variant].line(markevery=(0.02 * k, 0.25)))
        axis.plot(values, _floored(target["target"]), **TARGET)
        axis.set(yscale="log", ylim=(1e-5, None), xlabel=label, ylabel="share")
        if len(reached):
            axis.set_xlim(reached[0] - 1, reached[-1] + 1)
    entries = [*handles(looked(study, found), width), Line2D([], [], label="target", **TARGET)]
    return finish(figure, note(study, found, None, *_images(study, found), "the first seed of each"), entries)


def _images(study: StudyRecord, variants: Iterable[str]) -> list[str]:
    """How many test images the curves are of, where that is recorded."""
    counts = {n for v in variants for cell in study.of(v) if isinstance(n := cell.profile.get("n"), int)}
    return [counted(sorted({min(counts), max(counts)}), "test image")] if counts else []


def _floored(shares: list[float]) -> np.ndarray:
    """An empty bin ends the line: a logarithm has no place for it."""
    values = np.array(shares, dtype=float)
    return np.where(values > 0, values, np.nan)


def _is_whole(record: Any, keys: tuple[str, ...]) -> bool:
    """Whether ``record`` has lists of numbers of one length under ``keys``."""
    if not isinstance(record, dict) or not all(isinstance(record.get(key), list) and record[key] for key in keys):
        return False
    kinds = {type(value) for key in keys for value in record[key]}
    return len({len(record[key]) for key in keys}) == 1 and kinds <= {int, float}


def _is_lab(record: Any) -> bool:
    return isinstance(record, dict) and all(
        _is_whole(record.get(channel), ("output", "target")) and isinstance(record[channel].get("first"), int)
        for channel in AXES
    )
