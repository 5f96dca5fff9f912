"""What a row of a benchmark says, and how rows of several variants are told apart."""

from collections import Counter
from typing import Any

import numpy as np

from p2pbench.bench.clock import Timing
from p2pbench.config.resolve import Layer, flatten, resolve
from p2pbench.config.schema import RunConfig
from p2pbench.config.yaml12 import text_of
from p2pbench.system.console import by

IN_COLUMNS = {
    "generator.name", "discriminator.name", "objective.name",
    "data.source", "data.load_size", "data.crop_size", "training.batch_size",
}  # fmt: skip
"""Settings that a row's name or another of its columns says anyway."""

MOST_TITLE = 100
"""The characters of the longest title that has all settings of a row."""


def named(text: str, config: RunConfig, *prefixes: str) -> str:
    """The name of a row: ``text``, then every other setting that can change the speed and is not the default.

    Args:
        prefixes: the settings that matter to this workload, as beginnings of dotted keys. Settings that follow from
            the preset are told by the preset's name alone.
    """
    preset = {"training.preset": config.training.preset}
    usual = flatten(resolve([Layer("preset", preset)]).config.model_dump(), "preset") | {"training.preset": "paper"}
    settings = flatten(config.model_dump(), "config")
    changed = [
        f"{key}={text_of(value)}"
        for key, value in settings.items()
        if key.startswith(prefixes) and key not in IN_COLUMNS and value != usual[key]
    ]
    return ", ".join([text, *changed])


def figures(timing: Timing, plain: Timing) -> dict[str, Any]:
    """What a row says about its timing: medians over the rounds, and their quartiles."""
    speed, speeds = _middle(timing.speeds)
    ratio, ratios = _middle(timing.ratios_to(plain))
    return {
        "images_per_second": speed,
        "images_per_second_quartiles": speeds,
        "ratio_to_plain": ratio,
        "ratio_quartiles": ratios,
        "repeats": len(timing.seconds),
        "peak_memory_bytes": timing.peak_memory_bytes,
        "seconds_per_step": sorted(timing.seconds),
    }


def beside_baseline(timing: Timing, baseline: Timing) -> dict[str, Any]:
    """What the row of a variant says of its speed as a multiple of the baseline's, round by round."""
    ratio, ratios = _middle(timing.ratios_to(baseline))
    return {"ratio_to_baseline": ratio, "ratio_to_baseline_quartiles": ratios}


def _middle(of_rounds: np.ndarray) -> tuple[float, list[float]]:
    """The median over the rounds, and the quartiles."""
    return float(np.median(of_rounds)), np.quantile(of_rounds, [0.25, 0.75]).tolist()


def groups(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows that were timed against each other, under a title that no other group has.

    The title has the workload, the name, the size and the batch size, and the variant where those are not enough. Where
    the name's settings would not fit a line, the variants' labels stand for them, as in a ladder of twenty settings.
    """
    long = any(len(_title(row, row["name"])) > MOST_TITLE for row in rows)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        variant = row.get("variant", "")
        found.setdefault((_title(row, (long and variant) or row["name"]), variant), []).append(row)
    times = Counter(title for title, _ in found)
    return {
        f"{title} ({variant})" if times[title] > 1 else title: members for (title, variant), members in found.items()
    }


def short_titles(titles: list[str]) -> list[str]:
    """``titles`` without the parts that all of them share, such as the workload; a single one is left whole."""
    workloads = {title.partition(": ")[0] for title in titles}
    if len(titles) > 1 and len(workloads) == 1:
        titles = [title.partition(": ")[2] for title in titles]
    parts = [title.split(", ") for title in titles]
    shared = set.intersection(*map(set, parts)) if len(titles) > 1 else set()
    return [", ".join(part for part in each if part not in shared) for each in parts]


def _title(row: dict[str, Any], name: str) -> str:
    size = row["size"]
    # Only some of the data workload's rows have a batch size.
    batch = "" if row["workload"] == "data" else f", batch {row['batch_size']}"
    return f"{row['workload']}: {name}, {by(size if isinstance(size, list | tuple) else (size, size))}{batch}"
