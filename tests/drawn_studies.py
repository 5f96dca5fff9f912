"""Studies that figures are tried on, of any number of variants, seeds and images, without training.

As a program it draws all figures of the whole matrix of them, prints each text that touches another, and leaves a sheet
of each study to look at: ``python tests/drawn_studies.py OUT [KIND ...]``.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image
from report_records import study_of

from p2pbench.report.figures.all import DRAW
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.runs.records import Status
from p2pbench.system.figure_style import COLUMN, GROUND, PAPER, TEXT, settings

SCORES = ("lpips", "l1", "ssim", "sharpness", "precision", "fid")
COUNTS, SEEDS, IMAGES = (2, 5, 12, 24, 40), (1, 3, 10), (1, 3, 30, 106)


def names(kind: str, n: int) -> list[str]:
    """``n`` names of variants: ``short``, ``long``, ``unbroken``, ``ordered``, ``factors`` or ``strange``."""
    letters = [f"{a}{b}" for a, b in itertools.product("abcdefgh", "klmno")]
    long = (
        "encoder-decoder without skips, and a discriminator of ",
        "U-Net with skips, least squares and spectral norm, ",
    )
    return {
        "short": [f"{pair}+" if k % 3 else f"{pair}1" for k, pair in enumerate(letters)],
        "long": [f"{long[k % 2]}kind {pair}" for k, pair in enumerate(letters)],
        "unbroken": [f"{pair}{'W' * 58}" for pair in letters],
        "ordered": [f"lambda_l1={10 * k}" for k in range(len(letters))],
        "factors": [f"{g}, {o}" for g, o in itertools.product(LEVELS["generator"], LEVELS["objective"])],
        "strange": [f"$_{k}<b>\\alpha^2$ Ωмега {{%}} #{k}" for k in range(len(letters))],
    }[kind][:n]


LEVELS = {
    "generator": ["unet", "encoder-decoder", "resnet6", "resnet9"],
    "objective": ["l1", "gan", "cgan", "l1+gan", "l1+cgan", "l1+wgan-gp with a long name", "hinge", "lsgan", "a", "b"],
}


def drawn_study(kind: str, n: int, n_seeds: int, n_images: int) -> StudyRecord:
    """A study with every record that a figure is made of."""
    variants = names(kind, n)
    scores = {v: _scores(k, n_seeds, n_images) for k, v in enumerate(variants)}
    about = {"factors": LEVELS, "primary": ["lpips"]} if kind == "factors" else {"primary": ["lpips"]}
    made = study_of(scores, **about)
    if kind == "factors":
        cells = [
            cell.model_copy(update={"levels": dict(zip(LEVELS, cell.variant.split(", "), strict=True))})
            for cell in made.about.cells
        ]
        made = replace(made, about=made.about.model_copy(update={"cells": cells}))
    return replace(made, cells=[_filled(cell, variants.index(cell.variant), n_images) for cell in made.cells])


def _scores(rank: int, n_seeds: int, n_images: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rank)
    images = np.random.default_rng(0).normal(0, 0.1, n_images)
    seeds = rng.normal(0, 0.01, (n_seeds, 1))
    spread = rng.normal(0, 0.02, (n_seeds, n_images))
    shape = images + seeds + spread
    return {
        "lpips": 0.4 + 0.012 * (rank * 7 % 12) + 0.3 * shape, "l1": 0.2 + 0.01 * rank + 0.2 * shape,
        "ssim": np.clip(0.3 - 0.004 * rank - shape, -1, 1), "sharpness": 0.9 + 0.02 * rank + shape,
        "precision": np.clip(0.5 + 0.01 * rank + shape, 0, 1), "fid": 1000 + 20.0 * rank + 300 * shape,
    }  # fmt: skip


def _filled(cell: CellRecord, rank: int, n_images: int) -> CellRecord:
    """The cell with losses, curves, a profile and what its training took."""
    steps = np.arange(100, 8001, 100)
    ease = np.exp(-steps / 2000)
    rng = np.random.default_rng([rank, cell.seed])
    losses = pd.DataFrame({
        "step": steps, "epoch": steps / 400, "g_l1": 0.3 + 0.01 * rank + 0.2 * ease + rng.normal(0, 0.01, len(steps)),
        "g_adversarial": 1 + 0.2 * rank + ease, "d_loss": 1.3 - 0.02 * rank + 0.3 * ease,
    })  # fmt: skip
    frequency = np.linspace(0, 0.707, 46)
    target = 100 * np.exp(-12 * frequency)
    output = target * np.exp(rank / 4 * (frequency - 0.4))
    bell = {c: np.exp(-(np.linspace(-3 - rank / 9, 3, 80) ** 2)) / 40 for c in "Lab"}
    lab = {c: {"first": -40 * (c != "L"), "output": b.tolist(), "target": b[::-1].tolist()} for c, b in bell.items()}
    spectrum = {"frequency": frequency.tolist(), "target": target.tolist(), "output": output.tolist()}
    status = Status.model_validate({
        "schema_version": 1, "state": "finished", "machine": {"processor": f"processor {cell.seed % 2}"},
        "training": {
            "steps": 8000, "seconds": 1000.0 + rank, "seconds_per_step": 0.1 + 0.01 * rank, "peak_memory_bytes": 2**30,
            "generator_parameters": 10**7, "generator_flops": 1e9 * (1 + rank % 4), "discriminator_flops": 5e8,
        },
    })  # fmt: skip
    config = cell.config | {"training": {"batch_size": 1}, "objective": {}}
    filled = replace(cell, profile={"n": n_images, "spectrum": spectrum, "lab": lab}, status=status, config=config)
    every = steps[::10]
    filled.__dict__["losses"], filled.__dict__["curve"] = (
        losses,
        pd.DataFrame(
            {
                "step": every,
                "seconds": every / 8,
                "pairs": 100,
                "lpips": 0.4 + 0.01 * rank + ease[::10],
                "ssim": 0.3 - ease[::10] / 3,
            }
        ),
    )
    return filled


def overlaps(figure: Any) -> list[str]:
    """The texts of a drawn figure that touch one another, or leave it."""
    drawn: list[tuple[str, Any]] = []
    draw = plt.Text.draw

    def draw_and_note(text: plt.Text, renderer: Any) -> None:
        draw(text, renderer)
        if text.get_visible() and text.get_text().strip():
            drawn.append((text.get_text(), text.get_window_extent(renderer)))

    with mock.patch.object(plt.Text, "draw", draw_and_note):
        figure.draw_without_rendering()  # everything is placed; no pixel is needed
    wide, high = figure.get_size_inches() * figure.dpi
    found = [
        f"{text!r} leaves the figure"
        for text, box in drawn
        if box.x0 < -1 or box.y0 < -1 or box.x1 > wide + 1 or box.y1 > high + 1
    ]
    for (one, a), (other, b) in itertools.combinations(drawn, 2):
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1:
            found.append(f"{one!r} and {other!r} touch")
    return found


def contact_sheet(study: StudyRecord, widths: Sequence[float] = (COLUMN, TEXT)) -> tuple[Image.Image, list[str]]:
    """All figures of ``study`` side by side, and the texts that touch one another in any of them."""
    pictures, found = [], []
    with settings({**PAPER, "figure.dpi": 110}):
        for (name, draw), width in itertools.product(DRAW.items(), widths):
            figure = draw(study, width)
            if figure is not None:
                figure.set_facecolor(GROUND)
                found += [f"{name}, {width:g} inches: {trouble}" for trouble in overlaps(figure)]
                figure.canvas.draw()
                pictures.append(Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3]))  # type: ignore[attr-defined]
                plt.close(figure)
    return tiled(pictures, 2400), found


def tiled(pictures: Sequence[Image.Image], width: int) -> Image.Image:
    """Pictures in rows on grey, each row as high as its highest."""
    places, x, y, high = [], 0, 0, 0
    for picture in pictures:
        if x + picture.width > width:
            x, y, high = 0, y + high + 12, 0
        places.append((x, y))
        x, high = x + picture.width + 12, max(high, picture.height)
    sheet = Image.new("RGB", (width, y + high), "gray")
    for picture, place in zip(pictures, places, strict=True):
        sheet.paste(picture, place)
    return sheet


def look_at(case: tuple[Path, str, int, int, int]) -> list[str]:
    """Draw one study of the matrix and leave its sheet; returns what is wrong with its figures."""
    folder, kind, n, n_seeds, n_images = case
    sheet, found = contact_sheet(drawn_study(kind, n, n_seeds, n_images))
    name = f"{kind}-{n}-{n_seeds}-{n_images}"
    sheet.save(folder / f"{name}.png")
    return [f"{name}: {trouble}" for trouble in found]


def main(folder: Path, kinds: Sequence[str]) -> int:
    """Look at the whole matrix, a process a core; 1 where any text touches another."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = [(folder, *case) for case in itertools.product(kinds, COUNTS, SEEDS, IMAGES)]
    n_found = 0
    with ProcessPoolExecutor() as pool:
        for k, troubles in enumerate(pool.map(look_at, cases), 1):
            n_found += len(troubles)
            print(*troubles, f"{k} of {len(cases)} studies", sep="\n", flush=True)
    print(f"{n_found} texts touch another, in the figures of {len(cases)} studies")
    return min(n_found, 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:] or ("short", "long")))
