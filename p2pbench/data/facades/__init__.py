"""Drawn facades: their names and content keys (drawn), how they are planned (plan), and painted (house, canvas)."""

from __future__ import annotations

SIDE = 256
"""Width and height of what is drawn, in pixels."""

CLASSES = {
    # Those of the CMP facades, in their order, in MATLAB's jet(64): what pix2pix's label halves are made of.
    "background": (0, 0, 223),
    "facade": (0, 48, 255),
    "window": (0, 128, 255),
    "door": (0, 207, 255),
    "cornice": (32, 255, 223),
    "sill": (112, 255, 143),
    "balcony": (191, 255, 64),
    "blind": (255, 239, 0),
    "deco": (255, 159, 0),
    "molding": (255, 80, 0),
    "pillar": (255, 0, 0),
    "shop": (175, 0, 0),
}
"""Name and RGB of each class, as the label maps show them. As in CMP, a cornice is the raised panel above a window, and
the stripes along a facade, the uppermost too, are moldings."""
