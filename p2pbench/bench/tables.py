"""Benchmarks as tables: on a terminal in 80 columns, and in Markdown."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from p2pbench.bench.comparison import MOST_SPREAD, unstable
from p2pbench.bench.rows import groups
from p2pbench.config.metrics import METRICS
from p2pbench.system.console import escape

N_OPERATIONS = 18
"""Rows of the table that says where the time goes."""

Cells = tuple[str, int, list[list[str]]]
"""A table: its title, how many of its first columns are words, and its rows, the headings first."""


def show(document: dict[str, Any], out: Console) -> None:
    """Print ``document`` on a terminal."""
    out.print(escape(machine_line(document["machine"])), soft_wrap=True, highlight=False)
    for title, n_words, (headings, *rows) in tables_of(document):
        out.print(f"\n{escape(title)}", highlight=False)
        table = Table(box=None, pad_edge=False)
        for index, heading in enumerate(headings):
            table.add_column(heading, justify="left" if index < n_words else "right", no_wrap=True, max_width=44)
        for row in rows:
            table.add_row(*map(escape, row))
        out.print(table)
    for line in _remarks(document):
        out.print(f"\n{escape(line)}", highlight=False)


def markdown(document: dict[str, Any]) -> str:
    """``document`` as a page."""
    machine = document["machine"]
    lines = [f"# {machine.get('gpu') or machine['processor']}", "", machine_line(machine), ""]
    if limits := document.get("limits"):
        peaks = ", ".join(f"{n} {v / 1e9:.0f} GFLOP/s" for n, v in limits["product_flops_per_second"].items())
        lines += [f"Ceilings: matrix product {peaks}; copy {limits['copy_bytes_per_second'] / 1e9:.1f} GB/s.", ""]
    for title, n_words, rows in tables_of(document):
        texts = [f"| {' | '.join(row)} |" for row in rows]
        texts.insert(1, "|---" * n_words + "|---:" * (len(rows[0]) - n_words) + "|")
        lines += [f"## {title}", "", *texts, ""]
    for line in _remarks(document):
        lines += [line, ""]
    return "\n".join(lines).rstrip() + "\n"


def machine_line(machine: dict[str, Any]) -> str:
    where, versions = machine.get("gpu") or machine["processor"], machine["versions"]
    return (
        f"{where}, {machine['threads']} threads, torch {versions['torch']}, p2pbench {versions.get('git', '')}".rstrip()
    )


def _remarks(document: dict[str, Any]) -> Iterator[str]:
    """What stands below the tables: the mean of all comparisons, and what not to trust."""
    if (mean := document.get("geometric_mean")) is not None:
        yield f"geometric mean of the {len(document['comparison'])} changes: {100 * (mean - 1):+.1f} %"
    yield from dict.fromkeys(line for row in document["rows"] if (line := _of_plain_loop(row)))
    yield from dict.fromkeys(f"not timed: {row['no_runtime']}" for row in document["rows"] if "no_runtime" in row)
    if rows := unstable(document["rows"]):
        names = ", ".join(dict.fromkeys(f"{_engine(row)} {row['precision']}" for row in rows))
        yield f"unstable: the quartiles of {names} are more than {MOST_SPREAD:.0%} apart; is the machine busy?"


def _of_plain_loop(row: dict[str, Any]) -> str | None:
    """Why the plain loop is not there, or what it leaves out; None where it does all that our step does."""
    what = row.get("variant") or row["name"]
    if "no_plain_loop" in row:
        return f"no plain loop of {what}: {row['no_plain_loop']}"
    if "left_out" in row:
        return f"the plain loop of {what} has no {', '.join(row['left_out'])}: it is pix2pix by these networks"
    return None


def tables_of(document: dict[str, Any]) -> Iterator[Cells]:
    """A table for each group of rows, where the time goes, and the verdicts beside a baseline."""
    for title, rows in groups(document["rows"]).items():
        first = "plain" if "no_plain_loop" in rows[0] else rows[0]["engine"]
        headings = ["engine", "precision", "images/s", "quartiles", f"x {first}", "peak MiB", "% of peak"]
        yield title, 2, [headings, *map(cells_of, rows)]
        if lossy := [row for row in rows if "loss" in row]:
            yield _losses(title, lossy)
    if beside := [row for row in document["rows"] if "ratio_to_baseline" in row]:
        yield _beside_baseline(beside)
    for name, operations in document.get("profiles", {}).items():
        cells = [
            [o["operation"], f"{o['milliseconds']:.1f}", f"{100 * o['share']:.1f}", f"{o['calls']:.0f}"]
            for o in operations[:N_OPERATIONS]
        ]
        yield f"where the time goes: {name}", 1, [["operation", "ms/step", "%", "calls/step"], *cells]
    for title, rows in groups(document.get("comparison", [])).items():
        cells = [
            [_engine(row), row["precision"], f"{100 * (row['change'] - 1):+.1f} %", f"{100 * row['noise']:.1f} %",
             row["verdict"]]
            for row in rows
        ]  # fmt: skip
        yield f"compared with the baseline: {title}", 2, [["engine", "precision", "change", "noise", "verdict"], *cells]


def _beside_baseline(rows: list[dict[str, Any]]) -> Cells:
    """How fast the step of each variant is as a multiple of the baseline's, which took turns with it."""
    cells = [
        [row["variant"], f"{_engine(row)} {row['precision']}", f"{row['ratio_to_baseline']:.2f}",
         "-".join(f"{ratio:.2f}" for ratio in row["ratio_to_baseline_quartiles"])]
        for row in rows
    ]  # fmt: skip
    return (
        f"beside the step of the baseline, {rows[0]['variant']}",
        2,
        [["variant", "step", "x baseline", "quartiles"], *cells],
    )


def _losses(title: str, rows: list[dict[str, Any]]) -> Cells:
    """What each runtime loses against torch's fp32, score by score."""
    cells = [
        [_engine(row), row["precision"], METRICS[name].heading, *_difference(found)]
        for row in rows
        for name, found in row["loss"].items()
    ]
    about = f"paired difference of scores to torch's fp32, mean of {rows[0]['loss']['l1']['n']} images"
    return f"{about}: {title}", 3, [["engine", "precision", "score", "difference", "95 % interval"], *cells]


def _difference(found: dict[str, Any]) -> tuple[str, str]:
    low, high = found["low"], found["high"]
    return f"{found['value']:+.5f}", "-" if low is None else f"{low:+.5f} to {high:+.5f}"


def cells_of(row: dict[str, Any]) -> list[str]:
    """The cells of a timed row; the last is its share of the matrix product's speed where that was measured."""
    low, high = row["images_per_second_quartiles"]
    share = row.get("share_of_product")
    return [
        _engine(row),
        str(row["precision"]),
        _three(row["images_per_second"]),
        f"{_three(low)}-{_three(high)}",
        "-" if row["ratio_to_plain"] is None else f"{row['ratio_to_plain']:.2f}",
        f"{row['peak_memory_bytes'] / 2**20:.0f}",
        "" if share is None else f"{100 * share:.0f}",
    ]


def _engine(row: dict[str, Any]) -> str:
    """The engine; of the data workload with the batch size, which only some of its rows have."""
    with_batch = row["workload"] == "data" and row["batch_size"]
    return f"{row['engine']} of {row['batch_size']}" if with_batch else str(row["engine"])


def _three(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:.{max(0, 3 - len(str(int(value))))}f}"
