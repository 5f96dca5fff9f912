"""Figures of all outputs together: their power spectrum and their colours, beside those of the targets."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from p2pbench.report.figures.panels import legend_below, legend_of, palette
from p2pbench.report.figures.style import COLUMN
from p2pbench.report.records import CellRecord, StudyRecord

TARGET: dict[str, Any] = {"color": "black", "lw": 1.2, "ls": "--", "zorder": 5}
"""How the targets are drawn."""
AXES = {"L": "L, lightness", "a": "a, green to red", "b": "b, blue to yellow"}


def draw_spectrum(study: StudyRecord) -> Figure | None:
    """Radial power spectra of outputs and targets, and below their ratio."""
    found = {v: spectra for v in palette(study) if (spectra := _spectra(study.of(v)))}
    if not found:
        return None
    first = next(iter(found.values()))[0]
    frequency, target = (np.array(first[key]) for key in ("frequency", "target"))
    found = {v: alike for v, own in found.items() if (alike := [s for s in own if s["target"] == first["target"]])}
    figure, (above, below) = plt.subplots(2, 1, figsize=(COLUMN, 3.6), sharex=True, height_ratios=(3, 2))
    shown = slice(1, None)  # the mean was taken away
    for variant, own in found.items():
        power = np.mean([spectrum["output"] for spectrum in own], axis=0)
        above.plot(frequency[shown], power[shown], color=palette(study)[variant], lw=1)
        below.plot(frequency[shown], (power / target)[shown], color=palette(study)[variant], lw=1)
    above.plot(frequency[shown], target[shown], **TARGET)
    below.axhline(1, **TARGET)
    above.set(yscale="log", ylabel="power")
    below.set(
        yscale="log", ylabel="times the targets'", xlabel="cycles per pixel (0.5: along an axis every other pixel)"
    )
    figure.tight_layout()
    legend_below(figure, [*legend_of(study, found), Line2D([], [], label="target", **TARGET)])
    return figure


def _spectra(cells: list[CellRecord]) -> list[dict[str, Any]]:
    found: list[Any] = [cell.profile.get("spectrum") for cell in cells]
    return [spectrum for spectrum in found if _is_whole(spectrum, ("frequency", "output", "target"))]


def draw_colours(study: StudyRecord) -> Figure | None:
    """Histograms of L, a and b of all outputs and all targets, in logarithmic shares as the paper's Figure 7."""
    found = {}
    for variant in palette(study):
        own = [lab for cell in study.of(variant) if _is_lab(lab := cell.profile.get("lab", {}))]
        if own:
            found[variant] = own[0]
    if not found:
        return None
    figure, axes = plt.subplots(3, 1, figsize=(COLUMN, 4.4))
    for axis, (channel, label) in zip(axes, AXES.items(), strict=True):
        target = next(iter(found.values()))[channel]
        # No further than any colour reaches: most of the plane lies outside sRGB.
        used = np.array([target["target"], *(lab[channel]["output"] for lab in found.values())]).max(axis=0)
        values = target["first"] + np.arange(len(used))
        reached = values[used > 1e-5]
        for variant, lab in found.items():
            axis.plot(values, _floored(lab[channel]["output"]), color=palette(study)[variant], lw=0.9)
        axis.plot(values, _floored(target["target"]), **TARGET)
        axis.set(yscale="log", ylim=(1e-5, None), xlabel=label, ylabel="share")
        if len(reached):
            axis.set_xlim(reached[0] - 1, reached[-1] + 1)
    figure.tight_layout()
    legend_below(figure, [*legend_of(study, found), Line2D([], [], label="target", **TARGET)])
    return figure


def _floored(shares: list[float]) -> np.ndarray:
    """An empty bin ends the line: a logarithm has no place for it."""
    values = np.array(shares, dtype=float)
    return np.where(values > 0, values, np.nan)


def _is_whole(record: Any, keys: tuple[str, ...]) -> bool:
    """Whether ``record`` has lists of numbers of one length under ``keys``."""
    if not isinstance(record, dict) or not all(isinstance(record.get(key), list) and record[key] for key in keys):
        return False
    values = [value for key in keys for value in record[key]]
    return len({len(record[key]) for key in keys}) == 1 and all(isinstance(v, int | float) for v in values)


def _is_lab(record: Any) -> bool:
    return isinstance(record, dict) and all(
        _is_whole(record.get(channel), ("output", "target")) and isinstance(record[channel].get("first"), int)
        for channel in AXES
    )
