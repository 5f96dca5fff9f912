"""The data sets that can be named as ``data.source``: built in, of the paper, or on this machine.

To add one that ``data fetch`` brings, give it a table in ``paper_sets.toml``. Pairs in a folder of
:func:`datasets_folder` have its name already; those of any other folder are named by their path.
"""

import tomllib
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from p2pbench.data.facades.drawn import Drawn, drawn_names
from p2pbench.data.pairs import find_pairs
from p2pbench.data.photos import photos_names
from p2pbench.errors import DataError
from p2pbench.system.cache_dir import home


@dataclass(frozen=True)
class PaperSet:
    """A data set of the pix2pix paper, as its authors packed it, and how they trained on it (arXiv v3, §6)."""

    about: str
    halves: tuple[str, str]
    """What A, the left half, shows; what B shows."""
    direction: Literal["AtoB", "BtoA"]
    """From the paper's condition to its target; where it went both ways, the first one named."""
    pairs: Mapping[str, int]
    """Per split, as :func:`p2pbench.data.pairs.find_pairs` counts. A split left out is one whose count is not sure."""
    size: int
    """Height and width of each half, in pixels."""
    epochs: int
    batch_size: int
    jitter: bool
    """Resized to 286, cropped to 256 and mirrored at random; or none of these."""
    terms: str
    """Who decides what may be done with the images, and where they say it."""
    citation: str
    megabytes: int | None = None
    """The approximate size of the archive; None where there is none to fetch."""
    mirrors: tuple[str, ...] = ()
    """Addresses of the archive, tried in order: https first, which nobody can change on the way. There is none where
    the archive must not be passed on, and everyone fetches the data themselves."""


PAPER_SETS = TypeAdapter(dict[str, PaperSet]).validate_python(
    tomllib.loads(Path(__file__).with_name("paper_sets.toml").read_text(encoding="utf-8"))
)


def datasets_folder() -> Path:
    """The folder of the data sets on this machine, one sub-folder each."""
    return home() / "data"


def known() -> list[dict[str, Any]]:
    """Every data set that has a name: built-in, of the paper, and others in :func:`datasets_folder`.

    Each with ``source``, ``pairs`` per split (found, else as published), ``about``, and ``state``: ``built in``,
    ``here``, ``to fetch``, ``by hand`` (see ``data fetch``) or ``unusable``, with the ``reason``. Sets of the paper
    also have what A and B show, their size, how the paper trained on them, terms, citation and addresses.
    """
    photos, drawn = photos_names(), drawn_names(Drawn())
    built_in = (
        ("photos", photos, "grey or edges to photographs"),
        ("drawn", drawn, "drawn facades: labels to photo; drawn:N[:SEED] for more"),
    )
    rows: list[dict[str, Any]] = [
        {"source": name, "state": "built in", "pairs": counts(names), "about": about} for name, names, about in built_in
    ]
    rows += [_paper_row(name, entry) for name, entry in PAPER_SETS.items()]
    folders = sorted(datasets_folder().iterdir()) if datasets_folder().is_dir() else []
    others = [f for f in folders if f.is_dir() and not f.name.startswith(".") and f.name not in PAPER_SETS]
    return rows + [{"source": folder.name, **_local(folder), "about": f"in {folder}"} for folder in others]


def _paper_row(name: str, entry: PaperSet) -> dict[str, Any]:
    condition, target = entry.halves if entry.direction == "AtoB" else reversed(entry.halves)
    return {
        "source": name,
        "state": "to fetch" if entry.mirrors else "by hand",
        "pairs": dict(entry.pairs),
        **(_local(datasets_folder() / name) if (datasets_folder() / name).is_dir() else {}),
        "about": f"{entry.about}: {condition} to {target}",
        "halves": dict(zip("AB", entry.halves, strict=True)),
        "size": [entry.size, entry.size],
        "paper": {key: getattr(entry, key) for key in ("direction", "epochs", "batch_size", "jitter")},
        **{key: getattr(entry, key) for key in ("megabytes", "terms", "citation", "mirrors")},
    }


def _local(folder: Path) -> dict[str, Any]:
    try:
        return {"state": "here", "folder": str(folder), "pairs": counts(find_pairs(folder))}
    except DataError as error:
        return {"state": "unusable", "folder": str(folder), "pairs": {}, "reason": str(error)}


def counts(splits: Mapping[str, Sized]) -> dict[str, int]:
    """The number of pairs of each split."""
    return {split: len(pairs) for split, pairs in splits.items()}
