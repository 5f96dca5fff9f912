"""Figures of the cost: quality against the operations of training with the Pareto front, and the speed of training."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from p2pbench.report.figures.panels import (
    COLOURS,
    draw_rows,
    drawn,
    finish,
    handles,
    looked,
    looks,
    note,
    panels,
    shown,
)
from p2pbench.report.records import StudyRecord
from p2pbench.report.score_table import shown_metrics
from p2pbench.report.summaries import oriented, summarise
from p2pbench.report.training_cost import costs, images_per_second, named_machines, training_images
from p2pbench.system.figure_style import COLUMN, DIM, GROUND, INK


def draw_pareto(study: StudyRecord, width: float = COLUMN) -> Figure | None:
    """The primary score against the operations of a training, and against those of the generator for an image.

    Not against time: a record does not know what else its machine did.
    """
    metric = next(iter(shown_metrics(study)), None)
    if metric is None:
        return None
    found = {label: found for label, found in _costs(study, metric).items() if len(set(found.values())) > 1}
    if not found:
        return None
    figure, axes = panels(len(found), width, 2.1, sharey=True)
    for axis, (label, own) in zip(axes, found.items(), strict=True):
        _scatter(axis, study, metric, own)
        axis.set_xlabel(label)
        axis.set_xlim(0, 1.1 * max(own.values()))
        axis.locator_params(nbins=5)
        axis.set_ylabel(study.metric(metric).heading)
        if width != COLUMN:  # below one another they are of different costs
            axis.label_outer()
    variants = [v for v in drawn(study) if any(v in own for own in found.values())]
    lines = ["lines: 95 %"] if any(summarise(study, v, metric).low is not None for v in variants) else []
    text = note(study, variants, [metric], "filled and joined: nothing is both better and cheaper", *lines)
    return finish(figure, text, handles(looked(study, variants), width, line=False))


def _costs(study: StudyRecord, metric: str) -> dict[str, dict[str, float]]:
    """The cost of each variant that has the score, by what it is a cost of."""
    training, image = dict[str, float](), dict[str, float]()
    for variant in drawn(study):
        own = costs(study, variant)
        if not own or summarise(study, variant, metric).value is None:
            continue
        if own[0].training_flops is not None:
            training[variant] = own[0].training_flops / 1e15
        if own[0].flops is not None:
            image[variant] = own[0].flops / 1e9
    return {"training, PFLOPs": training, "generator, GFLOPs an image": image}


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
    axis.plot([found[v] for v in front], [values[v] for v in front], color=DIM, lw=0.7, ls="--", zorder=1)
    for variant, look in looks(study).items():
        if variant not in values:
            continue
        s = summaries[variant]
        if s.low is not None and s.high is not None:
            axis.plot([found[variant]] * 2, [s.low, s.high], color=look.colour, lw=0.9, zorder=2)
        axis.plot(
            found[variant], values[variant], look.marker, mec=look.colour, ms=look.size(4.5), mew=0.9, zorder=3,
            mfc=look.colour if variant in front else GROUND,
        )  # fmt: skip


def draw_throughput(study: StudyRecord, width: float = COLUMN) -> Figure | None:
    """Images per second in training: a bar for each variant and machine, with a dot for each seed."""
    variants, known = drawn(study), study.machines
    speeds = {
        variant: {k: found for k, machine in enumerate(known)
                  if (found := images_per_second([c for c in study.of(variant) if c.machine == machine]))}
        for variant in variants
    }  # fmt: skip
    if not any(speeds.values()):
        return None
    names, height = {v: look.name for v, look in looks(study).items()}, 0.14 / len(known)

    def draw(axis: Axes, _: int, row: int, place: float) -> bool:
        for k, found in speeds[variants[row]].items():
            at = place + (k - (len(known) - 1) / 2) * height
            axis.barh(at, float(np.mean(found)), height * 0.85, color=COLOURS[k % len(COLOURS)], alpha=0.75)
            axis.plot(found, [at] * len(found), ".", color=INK, ms=2.5)
        return bool(speeds[variants[row]])

    figure = draw_rows(width, [names[v] for v in variants], [("training", "images per second")], draw)
    entries = [
        Line2D([], [], color=COLOURS[k % len(COLOURS)], lw=4, label=shown(name, int(width / 0.07)))
        for k, name in enumerate(named_machines(study))
    ]
    images = training_images([cell for v in variants for cell in study.of(v)])
    more = [f"{images} training images an epoch"] if images else []
    return finish(figure, note(study, variants, None, *more, "a dot: a training"), entries if len(known) > 1 else ())
