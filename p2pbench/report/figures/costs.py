"""Figures of the cost: quality against cost with the Pareto front, and the throughput of training."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from p2pbench.report.figures.panels import drawn, legend_below, palette
from p2pbench.report.figures.style import COLUMN, MARKERS
from p2pbench.report.primary import primary_metric
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import oriented, summarise
from p2pbench.report.training_cost import costs, images_per_second, named_machines


def draw_pareto(study: StudyRecord) -> Figure | None:
    """The primary score against training time, where one machine made all, and against the generator's FLOPs."""
    metric = primary_metric(study)
    if metric is None:
        return None
    panels = {label: found for label, found in _costs(study, metric).items() if len(set(found.values())) > 1}
    if not panels:
        return None
    figure, axes = plt.subplots(1, len(panels), figsize=(COLUMN, 2.1), sharey=True, squeeze=False)
    for axis, (label, found) in zip(axes[0], panels.items(), strict=True):
        _scatter(axis, study, metric, found)
        axis.set_xlabel(label)
        axis.set_xlim(0, 1.1 * max(found.values()))
        axis.locator_params(axis="x", nbins=5)
    axes[0, 0].set_ylabel(study.metric(metric).heading)
    figure.tight_layout()
    handles = [
        Line2D([], [], color=colour, marker=MARKERS[k % len(MARKERS)], ls="", ms=4, label=variant)
        for k, (variant, colour) in enumerate(palette(study).items())
        if any(variant in found for found in panels.values())
    ]
    legend_below(figure, handles)
    return figure


def _costs(study: StudyRecord, metric: str) -> dict[str, dict[str, float]]:
    """The minutes of training and the generator's GFLOPs an image, for each variant that has the score."""
    found: dict[str, dict[str, float]] = {"training, minutes": {}, "generator, GFLOPs an image": {}}
    for variant in drawn(study):
        own = costs(study, variant)
        if not own or summarise(study, variant, metric).value is None:
            continue
        if own[0].seconds is not None and len(study.machines) == 1:
            found["training, minutes"][variant] = own[0].seconds / 60
        if own[0].flops is not None:
            found["generator, GFLOPs an image"][variant] = own[0].flops / 1e9
    return found


def pareto_front(costs_and_gains: dict[str, tuple[float, float]]) -> list[str]:
    """The names that no other one beats, by rising cost. One beats another that costs no more, gains no less, and is
    better in one of the two."""
    front = [
        name
        for name, (cost, gain) in costs_and_gains.items()
        if not any(c <= cost and w >= gain and (c, w) != (cost, gain) for c, w in costs_and_gains.values())
    ]
    return sorted(front, key=lambda name: costs_and_gains[name])


def _scatter(axis: Axes, study: StudyRecord, metric: str, found: dict[str, float]) -> None:
    better = study.metric(metric).better
    summaries = {variant: summarise(study, variant, metric) for variant in found}
    values = {variant: s.value for variant, s in summaries.items() if s.value is not None}
    front = pareto_front({v: (found[v], oriented(value, better)) for v, value in values.items()})
    axis.plot([found[v] for v in front], [values[v] for v in front], color=".5", lw=0.8, ls="--", zorder=1)
    for position, (variant, colour) in enumerate(palette(study).items()):
        if variant not in values:
            continue
        s = summaries[variant]
        if s.low is not None and s.high is not None:
            axis.plot([found[variant]] * 2, [s.low, s.high], color=colour, lw=1, zorder=2)
        axis.plot(
            found[variant], values[variant], MARKERS[position % len(MARKERS)], mec=colour, ms=5, zorder=3,
            mfc=colour if variant in front else "white",
        )  # fmt: skip


def draw_throughput(study: StudyRecord) -> Figure | None:
    """Images per second in training: a bar for each variant and machine, with a dot for each seed."""
    shown, known = drawn(study), study.machines
    speeds = {
        (variant, machine): found
        for variant in shown
        for machine in known
        if (found := images_per_second([c for c in study.of(variant) if c.machine == machine]))
    }
    if not speeds:
        return None
    figure, axis = plt.subplots(figsize=(COLUMN, 0.5 + 0.2 * len(shown) * max(1, len(known))))
    colours = sns.color_palette("colorblind", max(1, len(known)))
    height = 0.75 / len(known)
    for (variant, machine), found in speeds.items():
        which = known.index(machine)
        position = shown.index(variant) + (which - (len(known) - 1) / 2) * height
        axis.barh(position, float(np.mean(found)), height * 0.9, color=colours[which], alpha=0.8)
        axis.plot(found, [position] * len(found), ".", color="black", ms=3)
    axis.set_yticks(range(len(shown)), shown)
    axis.set_ylim(len(shown) - 0.5, -0.5)
    axis.set_xlabel("images per second in training")
    axis.grid(axis="y", visible=False)
    figure.tight_layout()
    if len(known) > 1:
        handles = [
            Line2D([], [], color=colours[k], lw=4, label=name[:70]) for k, name in enumerate(named_machines(study))
        ]
        legend_below(figure, handles, columns=1)
    return figure
