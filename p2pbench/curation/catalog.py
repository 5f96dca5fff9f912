"""The data sets that can be named as ``data.source``."""

from __future__ import annotations

from typing import Any

from p2pbench.data.builtin import photos_names
from p2pbench.data.pairs import find_pairs
from p2pbench.errors import DataError
from p2pbench.home import home


def known() -> list[dict[str, Any]]:
    """Built-in data sets, then those kept under :func:`p2pbench.home.home`: name, pairs per split, what they are."""
    rows = [_row("photos", photos_names(), "built in: grey or edges to colour photographs, 128x128, no download")]
    kept = home() / "data"
    for folder in sorted(kept.iterdir()) if kept.is_dir() else []:
        try:
            rows.append(_row(folder.name, find_pairs(folder), f"kept in {folder}"))
        except DataError as error:
            rows.append({"source": folder.name, "pairs": {}, "about": f"unusable: {error}"})
    return rows


def _row(source: str, splits: Any, about: str) -> dict[str, Any]:
    return {"source": source, "pairs": {split: len(pairs) for split, pairs in splits.items()}, "about": about}
