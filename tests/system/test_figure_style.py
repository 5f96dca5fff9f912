"""An SVG is made smaller without a difference to see."""

import base64
import io
import re

import numpy as np
from PIL import Image

from p2pbench.system.figure_style import smaller_svg


def png(pixels: np.ndarray) -> str:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format="PNG")
    return base64.b64encode(written.getvalue()).decode()


def test_places_have_hundredths_of_a_point_and_scales_all_their_digits() -> None:
    text = """<path d="M 1.23456 -7.005
        L 100.129999 2 "/> <use x="3.14159" transform="translate(10.987654 0.5) scale(0.015625 -0.015625)"/>
        <g style="stroke-width: 0.125; opacity: 0.333333"/>"""
    assert smaller_svg(text) == (
        '<path d="M 1.23 -7.00 L 100.13 2 "/> '
        '<use x="3.14" transform="translate(10.99 0.5) scale(0.015625 -0.015625)"/> '
        '<g style="stroke-width: 0.125; opacity: 0.333333"/>'
    )


def test_a_picture_in_it_has_256_colours_and_keeps_what_is_clear() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    colours[:32, :, 3] = 0
    colours[32:, :, 3] = 255
    text = smaller_svg(f'<image xlink:href="data:image/png;base64,{png(colours)}"/>')
    (found,) = re.findall('base64,([^"]+)', text)
    assert len(found) < len(png(colours)) / 2
    with Image.open(io.BytesIO(base64.b64decode(found))) as image:
        assert image.mode == "P"
        shown = np.asarray(image.convert("RGBA"))
    assert (shown[:32, :, 3] == 0).all()
    assert (shown[32:, :, 3] == 255).all()
    assert np.abs(shown[32:, :, :3].astype(int) - colours[32:, :, :3]).mean() < 32
