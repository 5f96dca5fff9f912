"""Every network of the reference, layer by layer, as text that a reader can hold against the paper (§6.1).

``P2PBENCH_WRITE_GOLDEN=1 pytest tests/models/test_golden.py`` writes the files anew; read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from p2pbench.config.resolve import Layer, resolve
from p2pbench.models.describe import describe

GOLDEN = Path(__file__).parents[1] / "golden"


def table(role: str, found: dict[str, Any]) -> str:
    lines = [f"{role} {found['name']}, {found['parameters']:,} parameters"]
    for layer in found["layers"]:
        shape = "x".join(map(str, layer["output"]))
        lines.append(f"  {layer['name']:<14} {layer['kind']:<28} {shape:<13} {layer['parameters'] or '':>8}".rstrip())
    return "\n".join(lines)


@pytest.mark.parametrize("preset", ["paper", "pytorch"])
def test_layer_tables_are_the_golden_ones(preset: str) -> None:
    parts = []
    for role, names in (
        ("generator", ["unet", "encoder_decoder", "resnet9"]),
        ("discriminator", ["pixel", "patch16", "patch70", "image286"]),
    ):
        for name in names:
            config = resolve([Layer("golden", {"training.preset": preset, f"{role}.name": name})]).config
            parts.append(table(role, describe(config)[role]))
    text = "\n\n".join(parts) + "\n"
    path = GOLDEN / f"layers-{preset}.txt"
    if os.environ.get("P2PBENCH_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
