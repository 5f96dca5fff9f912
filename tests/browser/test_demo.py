"""The demo in a browser: upload, draw, translate, compare, download; the pixels that come back are looked at."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from trained_run import train_run

from p2pbench.api import load
from p2pbench.data.images import Stored
from p2pbench.demo.upload import NAME
from p2pbench.inference.generator import Model
from p2pbench.inference.tiling import output_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[Model]]]:
    """The address of a demo of two models, and these."""
    folder = tmp_path_factory.mktemp("demo")
    runs = [train_run(folder), train_run(folder, "second", objective__name="l1")]
    process = subprocess.Popen(
        [sys.executable, "-m", "p2pbench", "demo", "--port", "0", *(f"--model={run}" for run in runs)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    yield process.stdout.readline().split()[0], [load(run) for run in runs]
    process.terminate()
    process.communicate(timeout=30)


@pytest.fixture
def demo_page(page: Page, served: tuple[str, list[Model]]) -> Page:
    """The page as it is once its first example is translated."""
    page.goto(served[0])
    at_rest(page)
    return page


def at_rest(page: Page) -> None:
    """Wait until the newest drawing is translated: the debounce, then the requests."""
    page.wait_for_timeout(300)
    page.wait_for_selector("body[data-busy=no]")


def drawn(page: Page) -> np.ndarray:
    """What is on the canvas, (H, W, 3), uint8."""
    pixels = page.evaluate(
        "() => { const c = document.getElementById('canvas');"
        " return [c.height, c.width, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]; }"
    )
    return np.array(pixels[2], np.uint8).reshape(pixels[0], pixels[1], 4)[..., :3]


def downloaded(page: Page, number: int) -> np.ndarray:
    with page.expect_download() as download:
        page.locator("figure a").nth(number).click()
    return np.asarray(Image.open(download.value.path()))


def test_the_first_view_shows_an_example_its_outputs_scores_and_target(
    demo_page: Page, served: tuple[str, list[Model]]
) -> None:
    condition = drawn(demo_page)
    for number, model in enumerate(served[1]):
        assert np.array_equal(downloaded(demo_page, number), output_of(model, Stored(NAME, condition), seed=0))
    assert demo_page.locator("figure .scores").first.inner_text().startswith("L1 0.")
    assert np.abs(downloaded(demo_page, 2).astype(int) + condition - 255).max() <= 1  # the target: B is A's negative


def test_drawing_changes_the_output_and_undo_brings_it_back(demo_page: Page, served: tuple[str, list[Model]]) -> None:
    before, output = drawn(demo_page), downloaded(demo_page, 0)
    box = demo_page.locator("#canvas").bounding_box()
    assert box is not None
    demo_page.click("[data-tool=box]")
    demo_page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
    demo_page.mouse.down()
    demo_page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.7, steps=4)
    demo_page.mouse.up()
    at_rest(demo_page)
    after = drawn(demo_page)
    changed = (after != before).any(axis=2)
    assert 20 <= changed.sum() <= 100
    assert len(np.unique(after[changed], axis=0)) == 1  # one colour, hard edges
    assert np.array_equal(downloaded(demo_page, 0), output_of(served[1][0], Stored(NAME, after), seed=0))
    assert demo_page.locator("figure .scores").first.inner_text() == ""  # it is no test pair any more
    demo_page.click("#undo")
    at_rest(demo_page)
    assert np.array_equal(drawn(demo_page), before)
    assert np.array_equal(downloaded(demo_page, 0), output)


def test_the_keyboard_draws(demo_page: Page) -> None:
    before = drawn(demo_page)
    demo_page.keyboard.press("f")
    assert demo_page.get_attribute("[data-tool=fill]", "aria-checked") == "true"
    demo_page.keyboard.press("b")
    demo_page.focus("#canvas")
    for key in ("ArrowLeft", "ArrowUp", " "):
        demo_page.keyboard.press(key)
    assert (drawn(demo_page) != before).any()
    demo_page.keyboard.press("z")
    assert np.array_equal(drawn(demo_page), before)
    at_rest(demo_page)


def test_an_upload_keeps_its_shape_and_is_translated(demo_page: Page, served: tuple[str, list[Model]]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    demo_page.select_option("#fit", "own")
    demo_page.check("#whole")  # it has the proportions of the training's pairs
    demo_page.set_input_files("#file", {"name": "mine.png", "mimeType": "image/png", "buffer": stream.getvalue()})
    at_rest(demo_page)
    assert np.array_equal(drawn(demo_page), picture)
    assert np.array_equal(downloaded(demo_page, 1), output_of(served[1][1], Stored(NAME, picture), seed=0))
    demo_page.select_option("#fit", "trained")
    demo_page.set_input_files("#file", {"name": "mine.png", "mimeType": "image/png", "buffer": stream.getvalue()})
    at_rest(demo_page)
    assert drawn(demo_page).shape == (16, 32, 3)
    demo_page.set_input_files("#file", {"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"})
    demo_page.wait_for_selector("#status.bad")
    assert "no picture" in demo_page.inner_text("#status")


def test_modes_and_samples(demo_page: Page, served: tuple[str, list[Model]]) -> None:
    condition = drawn(demo_page)
    demo_page.select_option("#samples", "2")
    at_rest(demo_page)
    assert demo_page.locator("figure[data-model]").count() == 4
    samples = [downloaded(demo_page, number) for number in (0, 1)]
    assert not np.array_equal(samples[0], samples[1])
    demo_page.select_option("#mode", "instance-stats")
    at_rest(demo_page)
    assert demo_page.locator("figure[data-model]").count() == 2
    assert np.array_equal(
        downloaded(demo_page, 0), output_of(served[1][0], Stored(NAME, condition), mode="instance-stats")
    )


def test_the_wipe_shows_left_and_right_of_its_line(demo_page: Page) -> None:
    demo_page.select_option("#left", "condition")
    demo_page.select_option("#right", "target")
    condition, seen = drawn(demo_page).astype(int), []
    for at in ("100", "0"):
        demo_page.locator("#wipe-at").fill(at)
        demo_page.wait_for_function(
            "[...document.querySelectorAll('#wipe img')].every((i) => i.complete && i.naturalWidth)"
        )
        shot = np.asarray(Image.open(io.BytesIO(demo_page.locator("#wipe").screenshot())).convert("RGB")).astype(int)
        height, width = shot.shape[:2]
        # The middle of each of the 16x16 pixels, without the columns that the line may cover.
        rows, columns = (((np.arange(16) + 0.5) * side / 16).astype(int) for side in (height, width))
        seen.append(shot[np.ix_(rows, columns[1:-1])])
    for shot, expected in zip(seen, (condition, 255 - condition), strict=True):
        assert np.median(np.abs(shot - expected[:, 1:-1])) <= 2


def test_a_picture_is_dropped(demo_page: Page, served: tuple[str, list[Model]]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    demo_page.evaluate(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        list(stream.getvalue()),
    )
    at_rest(demo_page)
    assert np.array_equal(drawn(demo_page), picture)
    assert np.array_equal(downloaded(demo_page, 0), output_of(served[1][0], Stored(NAME, picture), seed=0))


def test_a_phone_sees_it_without_scrolling_sideways(
    open_page: Callable[..., Page], served: tuple[str, list[Model]]
) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page.goto(served[0])
    at_rest(page)
    before = drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    at_rest(page)
    assert (drawn(page) != before).any()


def test_dark_is_dark_and_text_stands_out(open_page: Callable[..., Page], served: tuple[str, list[Model]]) -> None:
    for scheme, paper_is_dark in (("light", False), ("dark", True)):
        page = open_page(color_scheme=scheme)
        page.goto(served[0])
        at_rest(page)
        shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))
        assert (np.median(shot) < 64) == paper_is_dark
        colours = page.evaluate(
            "(() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]; })()"
        )
        ink, paper = (luminance([int(part) for part in re.findall(r"\d+", colour)[:3]]) for colour in colours)
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 7


def luminance(colour: list[int]) -> float:
    """WCAG's relative luminance."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))
