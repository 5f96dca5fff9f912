"""``p2pbench bench``: workloads over the variants of a grid, one document, and the files it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from p2pbench.bench import compare
from p2pbench.config.resolve import Layer, Resolved, parse_set, resolve
from p2pbench.errors import ConfigError
from p2pbench.study.grid import read_grid, read_protocol
from p2pbench.system.progress import counted


def measure(
    workloads: Sequence[str],
    grid: str | None,
    protocol: str | None,
    assignments: Sequence[str],
    *,
    baseline: Path | None,
    profiled: bool,
    console: Console,
) -> dict[str, Any]:
    """The documented JSON of ``bench``.

    Args:
        baseline: what :func:`write` left on this machine; adds ``comparison`` to the document.
        profiled: adds ``profiles``, where the time of our step goes for each variant in fp32 and bf16.
    Raises:
        ConfigError: a wrong setting, or a baseline that is none or is of another machine; before anything is timed
            where that is known then.
    """
    resolved = variants(grid, protocol, assignments)
    old = None if baseline is None else compare.read_baseline(baseline)
    if old is not None:
        assert baseline is not None
        compare.check_machine(old, _machine(resolved[0]), baseline)
    documents = [_one(name, resolved, console) for name in workloads]
    # The step's, where it was timed: it knows of the GPU.
    best = documents[workloads.index("step") if "step" in workloads else 0]
    document = {**best, "rows": [row for found in documents for row in found["rows"]]}
    if profiled:
        document["profiles"] = _profiles(resolved, console)
    if old is not None:
        document["comparison"] = compare.compare(old, document)
        if not document["comparison"]:
            raise ConfigError(f"--compare {baseline}: none of its rows was measured now; give it the same workloads")
    return document


def variants(grid: str | None, protocol: str | None, assignments: Sequence[str]) -> list[Resolved]:
    """What is timed: each variant of ``grid``, or the one configuration of ``protocol`` and ``assignments``."""
    below = [Layer(f"protocol {protocol}", read_protocol(protocol).settings)] if protocol else []
    above = Layer("--set", parse_set(list(assignments)))
    if grid is None:
        return [resolve([*below, above])]
    question = read_grid(grid)
    return [
        resolve(
            [
                *below,
                Layer(f"grid {question.name}", question.settings),
                *(Layer(f"level {factor}: {level.label}", level.settings) for factor, level in variant.items()),
                above,
            ]
        )
        for variant in question.variants()
    ]


def check_name(path: Path) -> None:
    """Raises :class:`ConfigError` if ``path`` is not named .json."""
    if path.suffix != ".json":
        raise ConfigError(f"--out {path}: name it .json; the tables go to .md and the figure to .png beside it")


def write(document: dict[str, Any], path: Path) -> list[Path]:
    """Write ``document`` to ``path``, its tables and its figure beside it; returns the three files."""
    from p2pbench.bench.figure import write_figure
    from p2pbench.bench.tables import markdown
    from p2pbench.system.files import write_json, write_text

    write_json(path, document)
    write_text(path.with_suffix(".md"), markdown(document))
    return [path, path.with_suffix(".md"), write_figure(document, path.with_suffix(".png"))]


def _one(name: str, resolved: list[Resolved], console: Console) -> dict[str, Any]:
    with counted(console, f"timing {name}", "turns") as progress:
        if name == "step":
            from p2pbench.bench.workloads import bench_step

            return bench_step(resolved, progress=progress)
        from p2pbench.bench.data import bench_data
        from p2pbench.bench.score import bench_score
        from p2pbench.bench.translate import bench_translate

        bench = {"data": bench_data, "score": bench_score, "translate": bench_translate}[name]
        documents = [bench(one, progress=progress) for one in resolved]
    return {**documents[0], "rows": [row for found in documents for row in found["rows"]]}


def _machine(resolved: Resolved) -> dict[str, Any]:
    import torch

    from p2pbench.system.hardware import available_cores, describe_machine
    from p2pbench.training.engine import available_device

    training = resolved.config.training
    machine = describe_machine(torch.device(available_device(training.device)))
    return {**machine, "threads": training.threads or available_cores()}


def _profiles(resolved: list[Resolved], console: Console) -> dict[str, Any]:
    from p2pbench.bench.profiling import profile_step
    from p2pbench.config.schema import size_text

    found = {}
    with counted(console, "profiling", "steps") as progress:
        for index, one in enumerate(resolved):
            for precision in ("fp32", "bf16"):
                training = one.config.training.model_copy(update={"precision": precision})
                config = one.config.model_copy(update={"training": training})
                name = f"{size_text(config.data.crop_size)}, batch {training.batch_size}, {precision}"
                found[name] = profile_step(config)
                progress(2 * index + (precision == "bf16") + 1, 2 * len(resolved))
    return found
