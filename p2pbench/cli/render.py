"""The tables and lines that commands print on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table

from p2pbench.config.metrics import METRICS
from p2pbench.system.console import by, bytes_text, err, escape, out, value_and_interval

if TYPE_CHECKING:
    from p2pbench.config.schema import RunConfig
    from p2pbench.config.setting_docs import SettingDoc
    from p2pbench.report.records import StudyRecord


def plain_table(*left: str, right: Iterable[str] = (), last: str | None = None) -> Table:
    """A table without lines: columns aligned left, then those of numbers aligned right, then perhaps one more."""
    table = Table(box=None, pad_edge=False)
    for heading in left:
        table.add_column(heading, overflow="fold")  # a name that is cut cannot be given to another command
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    if last is not None:
        table.add_column(last, overflow="fold")
    return table


def facts_table(rows: Mapping[str, Any]) -> Table:
    """Names beside values, without headings."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    for key, value in rows.items():
        table.add_row(escape(key), escape(str(value)))
    return table


def show_scores(scores: Mapping[str, Mapping[str, Any]]) -> None:
    """A row for each score, then why some are not measured and what a reader must know of others."""
    from p2pbench.config.metrics import METRICS

    table = plain_table("score", "value", "95 % interval", "n", "better")
    reasons: dict[str, list[str]] = {}
    for name, found in scores.items():
        label = METRICS[name].label if name in METRICS else name
        if found["value"] is None:
            table.add_row(label, "not measured", "", str(found["n"]), found["better"])
            reasons.setdefault(found["reason"], []).append(label)
            continue
        value, interval = value_and_interval(found["value"], found["low"], found["high"])
        table.add_row(label, value, escape(interval), str(found["n"]), found["better"])
        for note in found["notes"]:
            reasons.setdefault(note, []).append(label)
    out.print(table)
    for reason, labels in reasons.items():
        out.print(escape(f"{', '.join(labels)}: {reason}"), style="dim", soft_wrap=True)


MOST_ROWS, MOST_SCORES = 8, 3
"""The most variants and scores of a study's table on a terminal."""


MARKS = {
    "*": "differs from what it is compared with over other trainings and test images, too (p below 0.05, Holm)",
    "†": "differs over these test images, which says nothing of other trainings (p below 0.05, Holm)",
}


def show_answer(study: StudyRecord) -> None:
    """What a study answers, and a small table: the primary score and two more, of the best variants of many."""
    from p2pbench.report.comparisons import with_baseline
    from p2pbench.report.primary import leading
    from p2pbench.report.score_table import shown_metrics
    from p2pbench.report.summaries import digits_of, summarise, value_text
    from p2pbench.report.verdict import answer

    out.print(escape(" ".join(answer(study))))
    shown, metrics = leading(study, MOST_ROWS), shown_metrics(study)[:MOST_SCORES]
    if not metrics:
        return
    table = plain_table("variant", right=[study.metric(m).heading for m in metrics])
    for variant in shown:
        marks = {m: compared.mark for m in metrics if (compared := with_baseline(study, variant, m))}
        texts = [f"{value_text(summarise(study, variant, m), digits_of(study, m))}{marks.get(m, '')}" for m in metrics]
        table.add_row(escape(variant), *texts)
    out.print(table)
    every = "".join(c.mark for m in metrics for v in shown if (c := with_baseline(study, v, m)))
    for mark, meaning in MARKS.items():
        if mark in every:
            out.print(escape(f"{mark} {meaning}"), style="dim")
    for label, reason in _not_measured(study).items():
        err.print(f"[yellow]not measured:[/yellow] {escape(label)}: {escape(reason)}", soft_wrap=True, highlight=False)
    if len(study.chosen_variants) > len(shown):
        out.print(f"and {len(study.chosen_variants) - len(shown)} more variants in the report", style="dim")


def _not_measured(study: StudyRecord) -> dict[str, str]:
    """Scores that finished cells lack, with a reason; of networks that are not here it was told before any began."""
    return {
        study.metric(metric).label: score.reason or "it is not finite"
        for cell in reversed(study.cells)
        for metric, score in cell.scores.items()
        if score.value is None and metric in study.metrics and not (metric in METRICS and METRICS[metric].net)
    }


def show_networks(document: Mapping[str, Any], config: RunConfig) -> None:
    """The layers of each network, and its totals."""
    for role in ("generator", "discriminator"):
        found = document[role]
        if found is None:
            out.print(f"\n[bold]{role}[/bold]: the objective {config.objective.name} has none")
            continue
        table = plain_table("layer", "kind", "output", right=("parameters", "MFLOPs"))
        for layer in found["layers"]:
            parameters = f"{layer['parameters']:,}" if layer["parameters"] else ""
            flops = f"{layer['flops'] / 1e6:,.1f}" if layer["flops"] else ""
            table.add_row(layer["name"], layer["kind"], by(layer["output"]), parameters, flops)
        out.print(f"\n[bold]{role} {escape(found['name'])}[/bold], {by(config.data.crop_shape)}")
        out.print(table)
        line = f"{found['parameters']:,} parameters, {found['flops'] / 1e9:.2f} GFLOPs an image"
        if found.get("padded_to"):
            line += f"; works on {by(found['padded_to'])}: padded, and cropped back"
        if role == "discriminator":
            maps = Counter((one["receptive_field"] or "unknown", by(one["output_grid"])) for one in found["maps"])
            for (field, grid), n in maps.items():
                line += f"; {f'{n} maps: ' if n > 1 else ''}receptive field {field}, output grid {grid}"
        out.print(line)


def show_grids(grids: Sequence[Mapping[str, Any]], protocols: Sequence[Mapping[str, str]]) -> None:
    """The shipped grids and protocols."""
    table = plain_table("grid", "published", right=("variants",), last="question")
    for grid in grids:
        table.add_row(grid["name"], grid["published"] or "", str(grid["variants"]), escape(grid["question"]))
    out.print(table)
    out.print()
    table = plain_table("protocol", last="what stays fixed")
    for protocol in protocols:
        table.add_row(protocol["name"], escape(protocol["about"]))
    out.print(table)
    out.print("\nOne in full: p2pbench grids NAME. Run it: p2pbench ablate --grid NAME --protocol NAME.")


def show_grid(grid: Mapping[str, Any]) -> None:
    """One grid in full."""
    out.print(f"[bold]{escape(grid['question'])}[/bold]")
    seeds = "the protocol's" if grid["seeds"] is None else ", ".join(map(str, grid["seeds"]))
    rows = {"grid": grid["name"], "variants": grid["variants"], "protocol": grid["protocol"], "seeds": seeds}
    if grid["published"]:
        rows["published"] = f"{grid['published']}: {grid['published_title']}"
    if grid["baseline"]:
        rows["baseline"] = ", ".join(grid["baseline"].values())
    out.print(facts_table({**rows, **_texts(grid["settings"])}))
    for factor, levels in grid["factors"].items():
        out.print(f"\nfactor [bold]{escape(factor)}[/bold]")
        table = {}
        for level in levels:
            table[level["label"]] = ", ".join(f"{key}: {text}" for key, text in _texts(level["settings"]).items())
        out.print(facts_table(table))
        show_sources({level["label"]: level["source"] for level in levels})


def show_sources(sources: Mapping[str, str]) -> None:
    """Whose ideas the levels of a factor are, where the grid says it."""
    if any(sources.values()):
        table = Table("level", "source", box=None, pad_edge=False)
        for label, source in sources.items():
            table.add_row(escape(label), escape(source))
        out.print()
        out.print(table)


def _texts(settings: Mapping[str, Any]) -> dict[str, str]:
    from p2pbench.config.yaml12 import text_of

    return {key: text_of(value) for key, value in settings.items()}


def show_settings(settings: Sequence[SettingDoc]) -> None:
    """Each setting with its default, its meaning and its values."""
    for about in settings:
        defaults = _texts(about.defaults)
        paper, *others = defaults
        text = f"[bold]{about.key}[/bold]  default: {escape(defaults[paper])}"
        for preset in others:
            if defaults[preset] != defaults[paper]:
                text += f"; with the preset {preset}: {escape(defaults[preset])}"
        out.print(text, soft_wrap=True)
        out.print(Padding(escape(about.meaning), (0, 0, 0, 4)))
        out.print(Padding(f"[dim]Values: {escape(about.values)}.[/dim]", (0, 0, 0, 4)))


def show_data_sets(rows: Sequence[Mapping[str, Any]]) -> None:
    """The data sets that have a name, and how the paper trained on its own."""
    table = plain_table("source", "state", right=("train", "val", "test"), last="about")
    for row in rows:
        counts = (str(row["pairs"].get(split, "")) for split in ("train", "val", "test"))
        table.add_row(escape(row["source"]), row["state"], *counts, escape(row["about"]))
    out.print(table)
    out.print("\nHow the paper trained on its sets (A is the left half), and their archives:")
    table = plain_table("source", "direction", "A", "B", right=("size", "epochs", "batch", "jitter", "MB"))
    for row in rows:
        if paper := row.get("paper"):
            table.add_row(
                row["source"], paper["direction"], *row["halves"].values(), str(row["size"][0]), str(paper["epochs"]),
                str(paper["batch_size"]), "yes" if paper["jitter"] else "no", str(row["megabytes"] or "by hand"),
            )  # fmt: skip
    out.print(table)
    for row in rows:
        if row["state"] == "unusable":
            err.print(f"[yellow]unusable:[/yellow] {escape(row['reason'])}", soft_wrap=True)
    out.print("\nGet one: p2pbench data fetch NAME. Terms and citations: data list --json.")
    out.print("Or a folder: --set data.source=FOLDER, with train/ and test/ of side-by-side")
    out.print("images, or of same-named images in A/ and B/.")


def show_problems(document: Mapping[str, Any]) -> None:
    """What ``data check`` found, by kind, the first ten of each."""
    from p2pbench.curation.check.problems import KINDS

    counts = ", ".join(f"{split} {n}" for split, n in document["splits"].items())
    out.print(escape(f"{document['source']}: {counts or 'no'} pairs"), soft_wrap=True)
    for name, found in groupby(document["problems"], key=lambda problem: problem["kind"]):
        kind, problems = KINDS[name], list(found)
        colour = "red" if kind.severity == "error" else "yellow"
        out.print(f"\n[{colour}]{kind.severity}[/{colour}] [bold]{name}[/bold]: {len(problems)}, {kind.about}")
        for problem in problems[:10]:
            out.print(escape(f"  {problem['file']}  {problem['detail']}"), soft_wrap=True)
        if len(problems) > 10:
            out.print(f"  and {len(problems) - 10} more, all named with --json")
        out.print(f"  -> {kind.remedy}", style="dim")
    numbers = ((document["errors"], "error"), (document["warnings"], "warning"))
    out.print("\n" + ", ".join(f"{n} {what}{'s' * (n != 1)}" for n, what in numbers))


def arrays_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The decoded arrays of the cache."""
    table = plain_table("source", "split", right=("pairs", "size", "disk", "last use"))
    for row in rows:
        table.add_row(
            escape(row["source"] or "unknown"), row["split"] or "-", str(row["pairs"] or "-"), by(row["size"]) or "-",
            bytes_text(row["bytes"]), row["last_use"][:16].replace("T", " "),
        )  # fmt: skip
    return table
