"""Drawn facades: their names and content keys (drawn), how they are planned (plan), and painted (house, canvas)."""

import tomllib
from pathlib import Path

SIDE = 256
"""Width and height of what is drawn, in pixels."""

TABLES = tomllib.loads(Path(__file__).with_name("tables.toml").read_text(encoding="utf-8"))

CLASSES: dict[str, tuple[int, int, int]] = {name: tuple(colour) for name, colour in TABLES["classes"].items()}
"""Name and RGB of each class, as the label maps show them. As in CMP, a cornice is the raised panel above a window, and
the stripes along a facade, the uppermost too, are moldings."""
