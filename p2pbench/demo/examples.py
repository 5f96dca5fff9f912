"""A few test pairs to begin with, and the palette in which their conditions are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from p2pbench.data.dataset import open_dataset, readers
from p2pbench.data.facades import CLASSES
from p2pbench.data.images import as_rgb8, resize
from p2pbench.data.palette import count_colours, find_palette, flat_pixels
from p2pbench.data.transforms import as_displayed
from p2pbench.errors import P2PBenchError
from p2pbench.inference.generator import Model
from p2pbench.inference.samples import spread

N_EXAMPLES = 8
MOST_SWATCHES = 16
SAME_COLOUR = 24.0
"""The RGB distance up to which a colour counts as one of the facades' classes; JPEG moves colours a little."""


@dataclass(frozen=True)
class Example:
    """A test pair at the size that its model was trained at; both images are (H, W, 3), uint8."""

    name: str
    condition: np.ndarray
    target: np.ndarray


def find_examples(models: Sequence[Model]) -> list[Example]:
    """Test pairs of the first model whose data are here and can be shown; none where there is no such model."""
    for model in models:
        data = model.config.data
        if data.range is not None or data.stored[0] not in (1, 3):
            continue  # a PNG of 8 bits would not say what the file says
        try:
            return _read(model)
        except P2PBenchError:
            continue
    return []


def _read(model: Model) -> list[Example]:
    data = model.config.data
    dataset = open_dataset(data)
    names = dataset.names["test"]
    examples = []
    for position, reader in enumerate(islice(readers(dataset, "test"), len(names))):
        if position not in spread(len(names), N_EXAMPLES):
            continue
        pair = [resize(image, data.crop_shape, how) for image, how in zip(reader(), data.filters, strict=True)]
        condition, target = pair if data.direction == "AtoB" else reversed(pair)
        seen = as_displayed((target if data.colours == "lab" else condition)[None], data)[0]
        examples.append(Example(names[position], as_rgb8(seen), as_rgb8(target)))
    return examples


def palette_of(examples: Sequence[Example]) -> dict[str, Any]:
    """How the examples' conditions are drawn: ``kind`` and ``swatches``, each a name and ``#rrggbb``, the ground first.

    The kind is ``labels``, ``edges`` (two colours), ``grey`` or ``colour``; the last two have no swatches.
    """
    if not examples:
        return {"kind": "colour", "swatches": []}
    conditions = [example.condition for example in examples]
    counts = [count_colours(image) for image in conditions]
    flat = [count_colours(flat_pixels(image)) for image in conditions]
    found = find_palette(np.sum(counts, axis=0), np.sum(flat, axis=0))
    if found is not None and len(found.colours) <= MOST_SWATCHES:
        kind = "edges" if len(found.colours) == 2 else "labels"
        classes = np.array(list(CLASSES.values()), float)
        distances = np.linalg.norm(found.colours[:, None].astype(float) - classes, axis=2).min(axis=1)
        if kind == "labels" and distances.max() <= SAME_COLOUR:
            return {"kind": kind, "swatches": [(name, _hexadecimal(colour)) for name, colour in CLASSES.items()]}
        return {"kind": kind, "swatches": [(_hexadecimal(colour),) * 2 for colour in found.colours.tolist()]}
    grey = all(np.ptp(image, axis=2).max() <= 2 for image in conditions)
    return {"kind": "grey" if grey else "colour", "swatches": []}


def _hexadecimal(colour: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
