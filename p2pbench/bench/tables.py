"""Benchmarks as tables: on a terminal in 80 columns, and in Markdown."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from p2pbench.system.console import escape


def show(document: dict[str, Any], out: Console) -> None:
    """Print ``document``: a table a group, then profiles and verdicts where it has them."""
    out.print(escape(machine_line(document["machine"])), soft_wrap=True, highlight=False)
    for title, rows in groups(document["rows"]).items():
        out.print(f"\n{escape(title)}", soft_wrap=True, highlight=False)
        out.print(table_of(rows))
    for name, operations in document.get("profiles", {}).items():
        out.print(f"\nwhere the time goes: {escape(name)}", soft_wrap=True, highlight=False)
        out.print(profile_table(operations))
    if "comparison" in document:
        out.print("\nbeside the baseline, ratios to the plain loop:")
        out.print(verdict_table(document["comparison"]))


def headings_of(rows: list[dict[str, Any]]) -> list[str]:
    """The first of ``rows`` is what the others are compared with."""
    return ["engine", "precision", "images/s", "quartiles", f"x {rows[0]['engine']}", "peak MiB", "% of peak"]


def cells_of(row: dict[str, Any]) -> list[str]:
    """What a row says, under :func:`headings_of`; the share of the matrix product's speed where it was measured."""
    low, high = row["images_per_second_quartiles"]
    share = row.get("share_of_product")
    of = f" of {row['batch_size']}" if row["workload"] == "data" and row["batch_size"] else ""
    return [
        f"{row['engine']}{of}",
        str(row["precision"]),
        _three(row["images_per_second"]),
        f"{_three(low)}-{_three(high)}",
        f"{row['ratio_to_plain']:.2f}",
        f"{row['peak_memory_bytes'] / 2**20:.0f}",
        "" if share is None else f"{100 * share:.0f}",
    ]


def groups(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of one workload, network, size and batch size, by a line that says so."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        batch = "" if row["workload"] == "data" else f", batch {row['batch_size']}"  # of data only some rows have one
        found.setdefault(f"{row['workload']}: {row['name']}, {_shape(row['size'])}{batch}", []).append(row)
    return found


def table_of(rows: list[dict[str, Any]]) -> Table:
    names = headings_of(rows)
    table = Table(*names[:2], box=None, pad_edge=False)
    for heading in names[2:]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*cells_of(row))
    return table


def profile_table(operations: list[dict[str, Any]], n: int = 18) -> Table:
    table = Table("operation", box=None, pad_edge=False)
    for heading in ("ms/step", "%", "calls/step"):
        table.add_column(heading, justify="right")
    for row in operations[:n]:
        calls = f"{row['calls']:.0f}"
        table.add_row(row["operation"][:44], f"{row['milliseconds']:.1f}", f"{100 * row['share']:.1f}", calls)
    return table


def verdict_table(verdicts: list[dict[str, Any]]) -> Table:
    table = Table("workload", "size", "batch", "precision", "engine", "change", "noise", "verdict", box=None,
                  pad_edge=False)  # fmt: skip
    for row in verdicts:
        table.add_row(
            row["workload"], _shape(row["size"]), str(row["batch_size"] or ""), row["precision"], row["engine"],
            f"{100 * (row['change'] - 1):+.1f} %", f"{100 * row['noise']:.1f} %", row["verdict"],
        )  # fmt: skip
    return table


def markdown(document: dict[str, Any]) -> str:
    """The whole document: the machine, then a table a group."""
    machine = document["machine"]
    lines = [f"# {machine.get('gpu') or machine['processor']}", "", machine_line(machine), ""]
    if limits := document.get("limits"):
        peaks = ", ".join(f"{n} {v / 1e9:.0f} GFLOP/s" for n, v in limits["product_flops_per_second"].items())
        lines += [f"Ceilings: matrix product {peaks}; copy {limits['copy_bytes_per_second'] / 1e9:.1f} GB/s.", ""]
    for title, rows in groups(document["rows"]).items():
        names = headings_of(rows)
        lines += [f"## {title}", "", f"| {' | '.join(names)} |", "|---|---" + "|---:" * (len(names) - 2) + "|"]
        lines += [f"| {' | '.join(cells_of(row))} |" for row in rows]
        lines.append("")
    for name, operations in document.get("profiles", {}).items():
        lines += [
            f"## Where the time goes: {name}",
            "",
            "| operation | ms/step | % | calls/step |",
            "|---|---:|---:|---:|",
        ]
        lines += [
            f"| {o['operation']} | {o['milliseconds']:.1f} | {100 * o['share']:.1f} | {o['calls']:.0f} |"
            for o in operations[:12]
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def machine_line(machine: dict[str, Any]) -> str:
    where = machine.get("gpu") or machine["processor"]
    versions = machine["versions"]
    return (
        f"{where}, {machine['threads']} threads, torch {versions['torch']}, p2pbench {versions.get('git', '')}".rstrip()
    )


def _shape(size: Any) -> str:
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return f"{height}x{width}"


def _three(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:.{max(0, 3 - len(str(int(value))))}f}"
