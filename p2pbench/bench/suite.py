"""``p2pbench bench``: workloads over the variants of a grid, one document, and the files it leaves."""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from p2pbench.bench import comparison
from p2pbench.config.resolve import Resolved
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError, StorageError
from p2pbench.system.cache_dir import home
from p2pbench.system.progress import Count, no_progress

if TYPE_CHECKING:
    from p2pbench.bench.clock import Contestant, Timing
    from p2pbench.inference.generator import Model


Variant = tuple[str, Resolved]
"""What the grid calls a configuration ("" without a grid), and the configuration."""


def measure(
    workloads: Sequence[str],
    variants: Sequence[Variant],
    *,
    baseline: Path | None = None,
    profiled: bool = False,
    rounds: int = 20,
    round_seconds: float = 0.6,
    model: Model | None = None,
    stage: Callable[[str, str], Count] = lambda *_: no_progress,
) -> dict[str, Any]:
    """The documented JSON of ``bench``: each of ``workloads`` for each of ``variants``.

    Args:
        variants: the first is the grid's baseline, beside whose step those of the others are timed.
        baseline: a file that :func:`write` left on this machine; adds ``comparison`` to the document.
        profiled: adds ``profiles``, where the time of our step goes for each variant in fp32 and bf16.
        rounds, round_seconds: what is compared takes turns in so many rounds, and a turn lasts about so long.
        model: for ``translate``, the trained model whose loss in each runtime is measured.
        stage: makes a counter from a description and a unit.
    Raises:
        ConfigError: a wrong setting, or a baseline that is not one, is from another machine, or shares no row with
            this measurement; before anything is timed.
    """
    old = None if baseline is None else comparison.read_baseline(baseline)
    machine = machine_of(workloads, variants[0][1].config)
    with _scratch_folder() as scratch:
        groups = []
        for workload, (index, (label, resolved)) in itertools.product(workloads, enumerate(variants)):
            found = _contestants(workload, resolved, machine["device"], scratch / workload / str(index), model)
            groups.append([(one, {"workload": workload, "variant": label, **one.row}) for one in found])
        rows = [row for group in groups for _, row in group]
        if old is not None and baseline is not None:
            comparison.check(old, machine, rows, baseline)
        limits = _time(groups, machine, rounds, round_seconds, stage(f"timing {', '.join(workloads)}", "turns"))
    document: dict[str, Any] = {"machine": machine, **({"limits": limits} if limits else {}), "rows": rows}
    if "step" in workloads:
        document["plain_loop"] = comparison.PLAIN_LOOP
    if profiled:
        document["profiles"] = _profiles(variants, stage("profiling", "steps"))
    if old is not None:
        document["comparison"] = comparison.compare(old, document)
        document["geometric_mean"] = comparison.geometric_mean(document["comparison"])
    return document


def check_name(path: Path) -> None:
    """Raise :class:`ConfigError` if ``path`` does not end in .json."""
    if path.suffix != ".json":
        raise ConfigError(f"--out {path}: name it .json; the tables go to .md and the figure to .png beside it")


def write(document: dict[str, Any], path: Path) -> list[Path]:
    """Write ``document`` to ``path``, and its tables and its figure beside it; returns the three files."""
    from p2pbench.bench.figure import write_figure
    from p2pbench.bench.tables import markdown
    from p2pbench.system.files import write_json, write_text

    write_json(path, document)
    write_text(path.with_suffix(".md"), markdown(document))
    return [path, path.with_suffix(".md"), write_figure(document, path.with_suffix(".png"))]


def _contestants(
    workload: str, resolved: Resolved, device: str, scratch: Path, model: Model | None
) -> list[Contestant]:
    """What is timed of a workload, beginning with what the others are compared with."""
    if workload == "step":
        from p2pbench.bench.step import step_contestants

        return step_contestants(resolved, device)
    from p2pbench.bench.data import data_contestants
    from p2pbench.bench.score import score_contestants
    from p2pbench.bench.translate import translate_contestants

    if workload == "score":
        return score_contestants(resolved.config)
    return (
        data_contestants(resolved, scratch) if workload == "data" else translate_contestants(resolved, scratch, model)
    )


def _time(
    groups: Sequence[Group],
    machine: dict[str, Any],
    rounds: int,
    round_seconds: float,
    progress: Count,
) -> dict[str, Any]:
    """Add its timing to every row; returns the machine's ceilings, measured first, where a step is among the rows."""
    from p2pbench.bench.ceilings import against_ceilings, ceilings, limits_of, work_of
    from p2pbench.bench.clock import race
    from p2pbench.bench.rows import beside_baseline, figures

    precisions = [row["precision"] for group in groups for _, row in group if row["workload"] == "step"]
    limited = ceilings(machine["device"], machine["threads"], list(dict.fromkeys(precisions))) if precisions else []
    alone = machine["device"] == "cuda"
    steps = [group for group in groups if group[0][1]["workload"] == "step"]
    of_baseline = [one for one, row in steps[0] if row["engine"] != "plain"] if len(steps) > 1 else []
    heats = [
        _heats([one for one, _ in group], of_baseline if group in steps[1:] else [], alone=alone) for group in groups
    ]
    total = rounds * sum(len(heat) for of_group in heats for heat in of_group) + 5 * len(limited)
    turns = itertools.count(1)

    def count(*_: int) -> None:
        progress(next(turns), total)

    limits = {}
    if limited:
        found: dict[str, Timing] = {}
        for at_once in [[one] for one in limited] if alone else [limited]:
            found |= race(at_once, rounds=5, round_seconds=round_seconds / 2, progress=count)
        limits = limits_of(found, machine["device"])
    for group, of_group in zip(groups, heats, strict=True):
        first = group[0][0].name
        of_first: list[Timing] = []
        for heat in of_group:
            timings = race(heat, rounds=rounds, round_seconds=round_seconds, progress=count)
            of_first += [timings[first]] if first in timings else []
            for contestant, row in group:
                if (ours := timings.get(contestant.name)) is None:
                    continue
                if first in timings:
                    row.update(figures(ours, timings[first]))
                is_base = group in steps[:1] and contestant in of_baseline
                if (base := ours if is_base else timings.get(_of_baseline(contestant.name))) is not None:
                    row.update(beside_baseline(ours, base))
        of_all = replace(of_first[0], seconds=[seconds for one in of_first for seconds in one.seconds])
        group[0][1].update(figures(of_all, of_all))
        for contestant, row in group:
            if "no_plain_loop" in row:
                row.update(ratio_to_plain=None, ratio_quartiles=None)
            if row["workload"] == "step":
                work, median = work_of(contestant.arguments[0]), statistics.median(row["seconds_per_step"])
                row.update(against_ceilings(work, median, row["precision"], limits))
            elif row["workload"] == "score":
                row["time_of_bare"] = 1 / row["ratio_to_plain"]
    return limits


Group = Sequence[tuple["Contestant", dict[str, Any]]]


def _heats(group: Sequence[Contestant], of_baseline: Sequence[Contestant], *, alone: bool) -> list[list[Contestant]]:
    """Who is timed in turns: all of ``group``, and its namesakes ``of_baseline``, the steps of the grid's baseline.

    ``alone``, where memory is a GPU's: the first of the group with one rival at a time, then pairs of namesakes.
    """
    first, *rivals = group
    names = {one.name for one in group}
    beside = {one.name: replace(one, name=_of_baseline(one.name)) for one in of_baseline if one.name in names}
    if not alone:
        return [[*group, *beside.values()]]
    return [
        *([[first, rival] for rival in rivals] or [[first]]),
        *([beside[one.name], one] for one in group if one.name in beside),
    ]


def _of_baseline(name: str) -> str:
    return f"{name}, of the baseline"


def machine_of(workloads: Sequence[str], config: RunConfig) -> dict[str, Any]:
    """What the rows were measured on; ``data`` and ``score`` use all cores whatever ``training.threads`` is."""
    import torch

    from p2pbench.system.hardware import available_cores, describe_machine, versions
    from p2pbench.training.device import available_device

    machine = describe_machine(torch.device(available_device(config.training.device)))
    threads = config.training.threads if {"step", "translate"} & set(workloads) else 0
    return {**machine, "versions": versions(), "threads": threads or available_cores()}


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """A folder on the disk that the cache is on, removed at the end. Raises :class:`StorageError` if there is none."""
    try:
        home().mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="bench-", dir=home(), ignore_cleanup_errors=True)
    except OSError as error:
        raise StorageError(f"{home()} cannot be written: {error.strerror}; set P2PBENCH_HOME") from None
    with folder as path:
        yield Path(path)


def _profiles(variants: Sequence[Variant], progress: Count) -> dict[str, Any]:
    """For each variant and precision, under a name of its own, where the time of our step goes."""
    from p2pbench.bench.rows import groups
    from p2pbench.bench.step import profile_step, row_of

    titles = groups([{"workload": "step", "variant": label, **row_of(one.config)} for label, one in variants])
    steps = list(itertools.product(zip(titles, variants, strict=True), ("fp32", "bf16")))
    found = {}
    for done, ((title, (_, resolved)), precision) in enumerate(steps, 1):
        found[f"{title}, {precision}"] = profile_step(resolved.config.changed("training", precision=precision))
        progress(done, len(steps))
    return found
