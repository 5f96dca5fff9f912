"""An exploration as people read it: sentences, tables, figures and one self-contained HTML page."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from p2pbench.curation.explore.explore import MEASURES, PRESENT, SAMPLE, Exploration, Labels, hex_of
from p2pbench.curation.explore.source import SIDES, Source
from p2pbench.errors import ConfigError, StorageError
from p2pbench.report import html
from p2pbench.system.files import write_text

COLOURFUL = (
    (15, "hardly colourful"),
    (33, "slightly colourful"),
    (45, "moderately colourful"),
    (math.inf, "colourful"),
)
"""Words for colourfulness below these values, after Hasler and Süsstrunk's table 1."""
COMMON = 0.03
"""Share of one colour from which photographs are said to have a fill or a background."""


def check_folder(source: Source, folder: Path) -> None:
    """Ask before the work, not after it, whether the results can go to ``folder``.

    Raises:
        ConfigError: images of the data set lie there: the figures would become pairs.
        StorageError: nothing can be written there.
    """
    files = (file for pairs in (source.found or {}).values() for pair in pairs for file in pair.files)
    if folder.resolve() in {parent.resolve() for parent in {file.parent for file in files}}:
        raise ConfigError(
            f"--out is {folder}, where images of {source.name} lie: figures would become pairs; name another"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or error}; name another folder with --out"
        ) from None


def write_exploration(exploration: Exploration, folder: Path) -> list[Path]:
    """Write the page, its tables and figures to ``folder``; the same data give the same bytes.

    Raises:
        StorageError: a file cannot be written.
    """
    from p2pbench.curation.explore.figures import write_figures

    texts = {
        f"{name}.csv": table.to_csv(index=False, float_format="%.6g") for name, table in tables(exploration).items()
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    figures = write_figures(exploration, folder)
    write_text(folder / "index.html", render(exploration, figures))
    return [folder / "index.html", *(folder / name for name in texts), *figures.values()]


# ---- tables


def tables(exploration: Exploration) -> dict[str, pd.DataFrame]:
    """The numbers as tables, by the name of their file."""
    found = {
        "per_image": exploration.per_image,
        "sizes": sizes(exploration),
        "measures": summary_of_measures(exploration),
        "channels": channels(exploration),
        "edges": exploration.edges,
        "drift": exploration.drift,
    }
    labelled = [(side, labels) for side in SIDES if (labels := exploration.sides[side].labels) is not None]
    if labelled:
        found["palette"] = pd.concat([palette_table(labels).assign(side=side) for side, labels in labelled])
    return found


def sizes(exploration: Exploration) -> pd.DataFrame:
    """A row a split, size and type of file: the number of images of one side; the most frequent first."""
    rows = exploration.images_of("A")
    counts = rows.groupby(["split", "width", "height", "type"], sort=False).size().reset_index(name="n")
    return counts.sort_values(["n", "split", "width", "height", "type"], ascending=[False, *[True] * 4])


def summary_of_measures(exploration: Exploration) -> pd.DataFrame:
    """A row a side, measure and split: n, mean, standard deviation, and the 5th, 50th and 95th percentile."""
    rows = []
    for (side, split), images in exploration.per_image.groupby(["side", "split"], sort=False):
        for measure in MEASURES:
            values = images[measure].to_numpy(dtype=float)
            low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
            rows.append((side, measure, split, len(values), values.mean(), values.std(), low, middle, high))
    return pd.DataFrame(rows, columns=["side", "measure", "split", "n", "mean", "sd", "p05", "median", "p95"])


def channels(exploration: Exploration) -> pd.DataFrame:
    """A row a side, split, channel and level: the share of pixels with it."""
    frames = [
        pd.DataFrame({"side": side, "split": split, "channel": name, "level": range(256), "share": shares[number]})
        for side in SIDES
        for split, shares in exploration.sides[side].channels.items()
        for number, name in enumerate(("red", "green", "blue"))
    ]
    return pd.concat(frames)


def palette_table(labels: Labels) -> pd.DataFrame:
    """A row a label: colour, share of pixels in all and in each split, share of the sampled images it is present in."""
    shares = {"share" if name == "all" else f"share_{name}": found for name, found in labels.shares.items()}
    colours = [hex_of(colour) for colour in labels.palette.colours]
    return pd.DataFrame(
        {"side": "", "colour": colours, "share": shares.pop("share"), **shares, "in_images": labels.present}
    )


# ---- sentences


def about(exploration: Exploration) -> list[str]:
    """What this set is, in plain words."""
    counts = {split: len(names) for split, names in exploration.source.names.items()}
    sentences = [f"{sum(counts.values()):,} pairs: " + ", ".join(f"{n:,} {split}" for split, n in counts.items()) + "."]
    sentences.append(_sizes_sentence(exploration))
    for side in SIDES:
        found = exploration.sides[side]
        images = exploration.images_of(side)
        if found.labels is not None:
            table = palette_table(found.labels)
            most, least = table.iloc[0], table.iloc[-1]
            sentences.append(
                f"{side} is a label map of {len(table)} colours. {most['colour']} fills the most, "
                f"{percent(most['share'])} of all pixels; {least['colour']} the least, {percent(least['share'])}."
            )
        elif found.kind == "grey images":
            sentences.append(f"{side} holds grey images.")
        else:
            middle = float(images["colourfulness"].median())
            word = next(word for bound, word in COLOURFUL if middle < bound)
            sentences.append(f"{side} holds colour images, typically {word} (colourfulness {middle:.0f}).")
    return sentences


def _sizes_sentence(exploration: Exploration) -> str:
    found = sizes(exploration)
    by_size = found.groupby(["width", "height"])["n"].sum().sort_values(ascending=False, kind="stable")
    types = " and ".join(sorted(set(found["type"])))
    width, height = by_size.index[0]
    if len(by_size) == 1:
        return f"Every image is {width}x{height} ({types})."
    return (
        f"Images come in {len(by_size)} sizes ({types}); {width}x{height} is the most frequent, "
        f"{percent(by_size.iloc[0] / by_size.sum())} of them."
    )


def striking(exploration: Exploration) -> list[str]:
    """What stands out in the numbers."""
    sentences = []
    for side in SIDES:
        found = exploration.sides[side]
        if found.labels is not None:
            sentences += _label_sentences(side, found.labels)
        elif found.kind == "colour images" and found.commonest[1] >= COMMON:
            colour, share = hex_of(found.commonest[0]), percent(found.commonest[1])
            sentences.append(f"{share} of {side}'s pixels are nearly {colour}: perhaps a fill or a background.")
    return [*sentences, *_edge_sentences(exploration.edges), *_drift_sentences(exploration.drift)]


def _label_sentences(side: str, labels: Labels) -> list[str]:
    shares, n = labels.shares["all"], len(labels.palette.colours)
    rare = int((labels.present < 0.5).sum())
    sentences = [
        f"Labels of {side} are uneven: the largest has {shares[0] / max(shares[-1], 1e-9):.0f} times the pixels of the "
        "smallest" + (f", and {rare} of {n} are absent from more than half of the images." if rare else ".")
    ]
    if labels.noise >= 0.01:
        sentences.append(
            f"{percent(labels.noise)} of {side}'s pixels are near none of its {n} colours: blends at the borders of "
            "labels, as compression and resizing leave them. Take the nearest colour before counting labels."
        )
    gap = float(np.abs(labels.shares["train"] - labels.shares["test"]).sum() / 2)
    sentences.append(
        f"The shares of {side}'s labels differ by {100 * gap:.1f} percentage points in all between training and test."
    )
    return sentences


def _edge_sentences(edges: pd.DataFrame) -> list[str]:
    known = edges.dropna(subset=["agreement", "by_chance"])
    if len(known) < 2:
        return []
    better = float((known["agreement"] > known["by_chance"]).mean())
    word = "closely" if better >= 0.95 else "loosely" if better >= 0.65 else "hardly"
    return [
        f"A and B are {word} aligned: in {percent(better)} of pairs A's edges fit their own B better than another "
        f"pair's (median agreement {known['agreement'].median():.2f} against {known['by_chance'].median():.2f})."
    ]


def _drift_sentences(drift: pd.DataFrame) -> list[str]:
    shown = drift[drift["drift"] != "none shown"].sort_values("ks", ascending=False, kind="stable")
    least = float(drift["chance"].max())
    if shown.empty:
        power = (
            f"one above {least:.2f} would have shown" if least < 1 else "but there are too few images for any to show"
        )
        return [f"No drift shown between training and test in {len(drift)} comparisons; {power} (0 the same, 1 apart)."]
    parts = [
        f"{row.side} {row.measure} ({row.drift}, {row.ks:.2f}: median {row.median_train:.3g} to {row.median_test:.3g})"
        for row in shown.head(3).itertuples()
    ]
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return [f"The test split differs from the training split in {', '.join(parts)}{more}."]


def percent(share: float) -> str:
    """``35.5 %``, ``0.04 %``."""
    return f"{100 * share:.1f} %" if share >= 0.001 or share == 0 else f"{100 * share:.2g} %"


# ---- the page and the document


def render(exploration: Exploration, figures: dict[str, Path]) -> str:
    """The page as one HTML text that needs nothing beside it."""
    return html.render(
        Path(__file__).parent / "templates" / "explore.html",
        name=exploration.source.name,
        counts={split: len(names) for split, names in exploration.source.names.items()},
        about=[_unbroken(sentence) for sentence in about(exploration)],
        striking=[_unbroken(sentence) for sentence in striking(exploration)],
        palettes={
            side: palette_table(labels).to_dict("records")
            for side in SIDES
            if (labels := exploration.sides[side].labels) is not None
        },
        sizes=sizes(exploration).to_dict("records"),
        measures=_measure_rows(exploration),
        definitions=MEASURES,
        drift=exploration.drift.to_dict("records"),
        n_edges=len(exploration.edges),
        present=PRESENT,
        figures={name: html.data_url(path) for name, path in figures.items()},
        percent=percent,
    )


def _unbroken(sentence: str) -> str:
    return sentence.replace(" %", "\N{NO-BREAK SPACE}%")


def _measure_rows(exploration: Exploration) -> list[dict[str, Any]]:
    """A row a side and measure; for each split the median and the range of the middle nine tenths."""
    found = summary_of_measures(exploration)
    return [
        {
            "side": side,
            "measure": measure,
            "splits": [f"{row.median:.3g} ({row.p05:.3g} to {row.p95:.3g})" for row in rows.itertuples()],
        }
        for (side, measure), rows in found.groupby(["side", "measure"], sort=False)
    ]


def to_json(exploration: Exploration, files: list[Path]) -> dict[str, Any]:
    """The numbers in short, and the files that hold all of them."""
    edges = exploration.edges
    sides: dict[str, Any] = {}
    for side in SIDES:
        found = exploration.sides[side]
        images = exploration.images_of(side)
        sides[side] = {"kind": found.kind, "median": {m: float(images[m].median()) for m in MEASURES}, "palette": None}
        if found.labels is not None:
            rows = palette_table(found.labels).drop(columns="side").to_dict("records")
            sides[side] |= {"palette": rows, "noise": found.labels.noise}
    return {
        "source": exploration.source.name,
        "splits": {split: len(names) for split, names in exploration.source.names.items()},
        "summary": about(exploration) + striking(exploration),
        "sizes": sizes(exploration).to_dict("records"),
        "sides": sides,
        "edges": {
            "n": int(edges["agreement"].notna().sum()),
            "median": _number(edges["agreement"].median()),
            "median_by_chance": _number(edges["by_chance"].median()),
            "sample": SAMPLE,
        },
        "drift": [{key: _number(value) for key, value in row.items()} for row in exploration.drift.to_dict("records")],
        "files": [str(file) for file in files],
    }


def _number(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
