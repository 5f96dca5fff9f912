"""An exploration as people read it: sentences, tables, figures and one self-contained HTML page."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from p2pbench.curation.explore.explore import MEASURES, PRESENT, SAMPLE, Exploration, Labels, hex_of
from p2pbench.curation.explore.source import SIDES, Source
from p2pbench.errors import ConfigError
from p2pbench.system import html
from p2pbench.system.files import check_writable, entries, write_text

COLOURFUL = (
    (15, "hardly colourful"),
    (33, "slightly colourful"),
    (45, "moderately colourful"),
    (math.inf, "colourful"),
)
"""Words for colourfulness below these values, after Hasler and Süsstrunk's table 1."""
WRITTEN = {
    "index", "per_image", "sizes", "measures", "channels", "edges", "drift", "palette", "roles", "pairs", "extremes",
    "mean", *(f"{figure}_{side}" for figure in ("palette", "places") for side in SIDES),
}  # fmt: skip
"""The files of an exploration, by name: the page, tables and figures."""
TEMPLATES = Path(__file__).parent / "templates"
COMMON = 0.03
"""Share of one colour from which photographs are said to have a fill or a background."""


def check_folder(source: Source, folder: Path) -> None:
    """Ask before the work, not after it, whether the results can go to ``folder``.

    Raises:
        ConfigError: images of the data set lie there: the figures would become pairs. Or there are other files than
            those of an exploration, which they could replace.
        StorageError: nothing can be written there.
    """
    files = (file for pairs in (source.dataset.found or {}).values() for pair in pairs for file in pair.files)
    if folder.resolve() in {parent.resolve() for parent in {file.parent for file in files}}:
        raise ConfigError(
            f"--out is {folder}, where images of {source.name} lie: figures would become pairs; name another"
        )
    check_writable(folder, "name another folder with --out")
    there = [entry for entry in entries(folder) if not entry.name.startswith(".")]
    strange = any(entry.stem not in WRITTEN for entry in there)
    if strange or ((folder / "index.html").exists() and not (folder / "per_image.csv").exists()):
        raise ConfigError(f"--out is {folder}, which holds other files than those of an exploration; name a new folder")


def write_exploration(exploration: Exploration, folder: Path) -> list[Path]:
    """Write the page, its tables and figures to ``folder``; the same data give the same bytes.

    Raises:
        StorageError: a file cannot be written.
    """
    from p2pbench.curation.explore.figures import write_figures

    files = [folder / "index.html"]
    for name, table in tables(exploration).items():
        files.append(folder / f"{name}.csv")
        write_text(files[-1], table.to_csv(index=False, float_format="%.6g"))
    figures = write_figures(exploration, folder)
    write_text(files[0], render(exploration, figures))
    return [*files, *figures.values()]


# ---- tables


def tables(exploration: Exploration) -> dict[str, pd.DataFrame]:
    """The numbers as tables, by the name of their file."""
    found = {
        "per_image": exploration.per_image,
        "sizes": sizes(exploration),
        "measures": summary_of_measures(exploration),
        "channels": exploration.channels(),
        "edges": exploration.edges,
        "drift": exploration.drift,
    }
    if palettes := _palettes(exploration):
        found["palette"] = pd.concat([table.assign(side=side) for side, table in palettes.items()])
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


def _palettes(exploration: Exploration) -> dict[str, pd.DataFrame]:
    """The labels of each side that is a label map."""
    labels = {side: exploration.sides[side].labels for side in SIDES}
    return {side: palette_table(found) for side, found in labels.items() if found is not None}


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
    found = sizes(exploration)
    by_size = found.groupby(["width", "height"])["n"].sum().sort_values(ascending=False, kind="stable")
    colourful = {side: float(exploration.images_of(side)["colourfulness"].median()) for side in SIDES}
    return _sentences(
        "about.txt",
        counts={split: len(names) for split, names in exploration.source.names.items()},
        n_sizes=len(by_size), size=by_size.index[0], of_size=by_size.iloc[0] / by_size.sum(),
        types=" and ".join(sorted(set(found["type"]))),
        sides=exploration.sides, palettes=_palettes(exploration), colourful=colourful,
        words={side: next(word for bound, word in COLOURFUL if middle < bound) for side, middle in colourful.items()},
    )  # fmt: skip


def striking(exploration: Exploration) -> list[str]:
    """What stands out in the numbers."""
    edges, drift = exploration.edges.dropna(subset=["agreement", "by_chance"]), exploration.drift
    shown = drift[drift["drift"] != "none shown"].sort_values("ks", ascending=False, kind="stable")
    return _sentences(
        "striking.txt",
        sides=exploration.sides, common=COMMON, hex_of=hex_of,
        edges=edges, better=float((edges["agreement"] > edges["by_chance"]).mean()),
        drift=drift, shown=shown.to_dict("records"), least=float(drift["chance"].max()),
    )  # fmt: skip


def _sentences(template: str, **values: Any) -> list[str]:
    """The lines of a template, each a sentence or more."""
    return html.render(TEMPLATES / template, percent=percent, **values).splitlines()


def percent(share: float) -> str:
    """``35.5 %``, ``0.04 %``."""
    return f"{100 * share:.1f} %" if share >= 0.001 or share == 0 else f"{100 * share:.2g} %"


# ---- the page and the document


def render(exploration: Exploration, figures: dict[str, Path]) -> str:
    """The page as one HTML text that needs nothing beside it."""
    return html.render(
        TEMPLATES / "explore.html",
        name=exploration.source.name,
        counts={split: len(names) for split, names in exploration.source.names.items()},
        about=about(exploration),
        reads=exploration.source.reads,
        striking=striking(exploration),
        palettes={side: table.to_dict("records") for side, table in _palettes(exploration).items()},
        sizes=sizes(exploration).to_dict("records"),
        measures=summary_of_measures(exploration).groupby(["side", "measure"], sort=False),
        definitions=MEASURES,
        drift=exploration.drift.to_dict("records"),
        n_edges=len(exploration.edges),
        present=PRESENT,
        figures={name: html.data_url(path) for name, path in figures.items()},
        percent=percent,
    )


def to_json(exploration: Exploration, files: list[Path]) -> dict[str, Any]:
    """The numbers in short, and the files that hold all of them."""
    edges, palettes = exploration.edges, _palettes(exploration)
    sides: dict[str, Any] = {}
    for side, found in exploration.sides.items():
        median = {measure: float(exploration.images_of(side)[measure].median()) for measure in MEASURES}
        sides[side] = {"kind": found.kind, "median": median, "palette": None}
        if found.labels is not None:
            rows = palettes[side].drop(columns="side").to_dict("records")
            sides[side] |= {"palette": rows, "noise": found.labels.noise}
    return {
        "source": exploration.source.name,
        "reads": exploration.source.reads,
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
