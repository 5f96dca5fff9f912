"""The data sets that can be named as ``data.source``: built in, known by name, or kept on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
    megabytes: int | None
    """Of the archive, roughly; None where there is none to fetch."""
    terms: str
    """Who decides what may be done with the images, and where they say it."""
    citation: str
    mirrors: tuple[str, ...] = ()
    """Addresses of the archive, tried in order. Empty: it must not be passed on, everyone fetches it themselves."""
    sha256: str | None = None
    """Of the archive. None: nowhere published, so what the first fetch brings is remembered."""


def _mirrors(name: str) -> tuple[str, ...]:
    """The authors' server. Their scripts name it by http; it answers to https too, which nobody can change underway."""
    return tuple(
        f"{scheme}://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{name}.tar.gz" for scheme in ("https", "http")
    )


PAPER_SETS: dict[str, PaperSet] = {
    "facades": PaperSet(
        about="building fronts",
        halves=("photo", "labels"),
        direction="BtoA",
        pairs={"train": 400, "val": 100, "test": 106},
        size=256,
        epochs=200,
        batch_size=1,
        jitter=True,
        megabytes=30,
        terms="the CMP Facade Database's: https://cmp.felk.cvut.cz/~tylecr1/facade",
        citation="Tyleček and Šára, Spatial Pattern Templates for Recognition of Objects with Regular Structure, "
        "GCPR 2013",
        mirrors=_mirrors("facades"),
    ),
    "cityscapes": PaperSet(
        about="street scenes",
        halves=("photo", "labels"),
        direction="BtoA",
        pairs={"train": 2975, "test": 500},
        size=256,
        epochs=200,
        batch_size=1,  # Table 1; Table 2 used 10
        jitter=True,
        megabytes=None,
        terms="Cityscapes': registration, no passing on: https://www.cityscapes-dataset.com",
        citation="Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016",
    ),
    "maps": PaperSet(
        about="New York from above",
        halves=("aerial", "map"),
        direction="AtoB",
        pairs={"train": 1096, "test": 1098},
        size=600,
        epochs=200,
        batch_size=1,
        jitter=True,
        megabytes=250,
        terms="Google Maps', where the images are from: https://www.google.com/help/terms_maps",
        citation="Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017",
        mirrors=_mirrors("maps"),
    ),
    "edges2shoes": PaperSet(
        about="shoes of a shop",
        halves=("edges", "photo"),
        direction="AtoB",
        pairs={"train": 49825, "test": 200},
        size=256,
        epochs=15,
        batch_size=4,
        jitter=False,
        megabytes=2200,
        terms="UT Zappos50K's: https://vision.cs.utexas.edu/projects/finegrained/utzap50k",
        citation="Yu and Grauman, Fine-Grained Visual Comparisons with Local Learning, CVPR 2014",
        mirrors=_mirrors("edges2shoes"),
    ),
    "edges2handbags": PaperSet(
        about="handbags of a shop",
        halves=("edges", "photo"),
        direction="AtoB",
        pairs={"train": 138567, "test": 200},
        size=256,
        epochs=15,
        batch_size=4,
        jitter=False,
        megabytes=8600,
        terms="the iGAN project's, whose images are Amazon's: https://github.com/junyanz/iGAN",
        citation="Zhu et al., Generative Visual Manipulation on the Natural Image Manifold, ECCV 2016",
        mirrors=_mirrors("edges2handbags"),
    ),
    "night2day": PaperSet(
        about="views of webcams",
        halves=("night", "day"),
        direction="BtoA",
        pairs={"train": 17823},  # about 2300 more, whose split nobody states
        size=256,
        epochs=17,
        batch_size=4,
        jitter=True,
        megabytes=2000,
        terms="the Transient Attributes data set's: http://transattr.cs.brown.edu",
        citation="Laffont et al., Transient Attributes for High-Level Understanding and Editing of Outdoor Scenes, "
        "SIGGRAPH 2014",
        mirrors=_mirrors("night2day"),
    ),
}


def datasets_folder() -> Path:
    """The folder of the data sets on this machine, one sub-folder each."""
    return home() / "data"


def known() -> list[dict[str, Any]]:
    """Every data set that has a name: built-in, of the paper, and others in :func:`datasets_folder`.

    Each with ``source``, ``pairs`` per split (found, else as published), ``about``, and ``state``: ``built in``,
    ``here``, ``to fetch``, ``by hand`` (see ``data fetch``) or ``unusable``, with the ``reason``. Sets of the paper
    also have what A and B show, their size, how the paper trained on them, terms, citation and addresses.
    """
    built_in = {
        "photos": (photos_names(), "grey or edges to photographs"),
        "drawn": (drawn_names(Drawn()), "drawn facades: labels to photo; drawn:N[:SEED] for more"),
    }
    rows: list[dict[str, Any]] = [
        {"source": name, "state": "built in", "pairs": _counts(names), "about": about}
        for name, (names, about) in built_in.items()
    ]
    rows += [_paper_row(name, entry) for name, entry in PAPER_SETS.items()]
    folders = sorted(datasets_folder().iterdir()) if datasets_folder().is_dir() else []
    others = [f for f in folders if f.is_dir() and not f.name.startswith(".") and f.name not in PAPER_SETS]
    return rows + [{"source": folder.name, **_local(folder), "about": f"kept in {folder}"} for folder in others]


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
        "paper": {
            "direction": entry.direction,
            "epochs": entry.epochs,
            "batch_size": entry.batch_size,
            "jitter": entry.jitter,
        },
        "megabytes": entry.megabytes,
        "terms": entry.terms,
        "citation": entry.citation,
        "mirrors": list(entry.mirrors),
        "sha256": entry.sha256,
    }


def _local(folder: Path) -> dict[str, Any]:
    try:
        return {"state": "here", "folder": str(folder), "pairs": _counts(find_pairs(folder))}
    except DataError as error:
        return {"state": "unusable", "folder": str(folder), "pairs": {}, "reason": str(error)}


def _counts(splits: Mapping[str, Sized]) -> dict[str, int]:
    return {split: len(pairs) for split, pairs in splits.items()}
