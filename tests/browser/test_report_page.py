"""The page of a report in a browser, opened from disk: it sorts, wipes, turns pages, and asks for nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from report_records import OBJECTIVES

from p2pbench.report.index import write_index

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from p2pbench.report.page import Report


@pytest.fixture
def report_page(loss_report: Report, page: Page) -> Page:
    page.goto((loss_report.folder / "index.html").as_uri())
    return page


def first_column(page: Page) -> list[str]:
    return page.locator("table.sorts").first.locator("tbody").first.locator("th").all_inner_texts()


def wiped_at(page: Page) -> float:
    at = page.locator("[data-part=wipe]").evaluate("wipe => getComputedStyle(wipe).getPropertyValue('--at')")
    return float(at.rstrip("%"))


def test_a_table_sorts_by_a_click_and_by_the_keyboard(report_page: Page) -> None:
    grid = [*OBJECTIVES[:4], "l1+cgan\nbaseline"]
    assert first_column(report_page) == grid
    head = report_page.get_by_role("button", name="L1 ↓")
    head.click()
    head.click()
    assert first_column(report_page) == grid[::-1]  # each variant is worse than the one before
    head.press("Enter")
    assert first_column(report_page) == grid
    report_page.get_by_role("button", name="variant").first.press("Enter")
    assert first_column(report_page) == sorted(grid)
    by_fid = report_page.get_by_role("columnheader", name="FID").first
    by_fid.get_by_role("button").click()
    assert by_fid.get_attribute("aria-sort") == "ascending"
    assert first_column(report_page) == grid


def test_the_slider_wipes_by_mouse_and_by_keyboard(report_page: Page) -> None:
    wipe = report_page.locator("[data-part=wipe]")
    wipe.scroll_into_view_if_needed()
    assert wiped_at(report_page) == 50
    box = wipe.bounding_box()
    assert box is not None
    report_page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 20)
    report_page.mouse.down()
    report_page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 20, steps=3)
    report_page.mouse.up()
    assert wiped_at(report_page) == pytest.approx(20, abs=1)
    slider = report_page.get_by_role("slider")
    slider.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        report_page.keyboard.press(key)
    assert wiped_at(report_page) == pytest.approx(21, abs=1)
    report_page.keyboard.press("End")
    assert wiped_at(report_page) == 100


def test_a_person_picks_an_image_and_the_two_that_are_compared(report_page: Page) -> None:
    name = report_page.locator("[data-part=name]")
    assert name.inner_text().startswith("best: ")
    report_page.get_by_role("button", name="next image").click()
    assert name.inner_text().startswith("median: ")
    report_page.keyboard.press("n")
    assert name.inner_text().startswith("worst: ")
    report_page.keyboard.press("p")
    assert name.inner_text().startswith("median: ")
    report_page.locator(".thumbs button").nth(3).click()
    assert name.inner_text().startswith("fixed: ")
    image = report_page.locator("[data-part=right-image]")
    target = image.get_attribute("src")
    report_page.get_by_label("picture on the right").select_option("gan")
    assert image.get_attribute("src") != target
    assert report_page.locator("[data-part=right-tag]").inner_text().startswith("gan · L1 0.")
    assert base64.b64decode(str(image.get_attribute("src")).split(",")[1])
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 16


def test_every_picture_is_in_the_page_and_can_be_drawn(loss_report: Report, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto((loss_report.folder / "index.html").as_uri())
    found = page.evaluate(
        "Promise.all([...document.images].map(i => i.decode().then(() => [i.src.slice(0, 19), i.naturalWidth])))"
    )
    assert {"data:image/svg+xml,", "data:image/jpeg;bas"} <= {kind for kind, _ in found}
    assert all(kind.startswith("data:") and width > 0 for kind, width in found)


def test_a_phone_can_use_it_and_it_is_dark_where_the_system_is(
    loss_report: Report, open_page: Callable[..., Page]
) -> None:
    options = {"viewport": {"width": 375, "height": 700}, "has_touch": True, "is_mobile": True}
    colours = {}
    for scheme in ("light", "dark"):
        page = open_page(**options, color_scheme=scheme)
        page.goto((loss_report.folder / "index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        colours[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        box = page.locator("[data-part=wipe]").bounding_box()
        assert box is not None
        assert box["width"] > 300
        page.locator("[data-part=wipe]").tap(position={"x": box["width"] * 0.75, "y": 30})
        assert wiped_at(page) == pytest.approx(75, abs=2)
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 25, 29)"}


def test_the_index_leads_to_every_study_and_sorts(loss_report: Report, page: Page) -> None:
    index = write_index([loss_report, loss_report], [("torn", "study.yaml cannot be read")], loss_report.folder.parent)
    page.goto(index.as_uri())
    assert page.locator(".card").count() == 2
    assert "torn: study.yaml cannot be read" in page.inner_text("body")
    assert page.locator("table.sorts").count() == len(OBJECTIVES)
    page.locator("table.sorts").first.get_by_role("button", name="study").click()
    page.locator(".card a").first.click()
    assert page.title() == "loss · p2pbench"


def test_no_column_is_out_of_sight_unsaid(loss_report: Report, open_page: Callable[..., Page]) -> None:
    """What does not fit beside the names is counted above the table; the names and the heads stay where they are."""
    for width in (390, 768, 1440):
        page = open_page(viewport={"width": width, "height": 844})
        page.goto((loss_report.folder / "index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for box in page.locator(".scroll:has(thead)").filter(visible=True).all():
            said = box.locator("xpath=preceding-sibling::p[1]")
            hidden = box.evaluate("box => box.scrollWidth > box.clientWidth + 1")
            assert said.is_visible() == hidden
            assert not (hidden and width == 1440)
            if hidden:
                assert "→" in said.inner_text()
                name = box.locator("tbody th").first
                before = name.bounding_box()
                box.evaluate("box => { box.scrollLeft = 1000; }")
                assert name.bounding_box() == before
                page.wait_for_function("said => said.textContent.includes('←')", arg=said.element_handle())


def test_the_keyboard_alone_reaches_everything(report_page: Page) -> None:
    def tab_to(selector: str) -> None:
        for _ in range(120):
            if report_page.evaluate("selector => document.activeElement.matches(selector)", selector):
                style = report_page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert style != "none"
                return
            report_page.keyboard.press("Tab")
        pytest.fail(f"no way to {selector}")

    tab_to("#sheet button[data-title=gan]")
    report_page.keyboard.press("Enter")  # brings the picture into the viewer
    assert report_page.locator("[data-part=left]").input_value() == "gan"
    assert report_page.evaluate("document.activeElement.matches('[data-part=slider]')")
    report_page.keyboard.press("ArrowRight")
    assert wiped_at(report_page) == 51
    tab_to("[data-part=intervals]")
    interval = report_page.locator("small.interval").first
    assert not interval.is_visible()
    report_page.keyboard.press("Space")
    assert interval.is_visible()
    tab_to("table.sorts th + th + th button")
    report_page.keyboard.press("Enter")
    assert report_page.locator("th[aria-sort=ascending]").count() == 1
    tab_to("#details ~ details summary")
    report_page.keyboard.press("Enter")
    assert report_page.locator("#reading").get_attribute("open") is not None


def test_axe_finds_nothing(loss_report: Report, open_page: Callable[..., Page]) -> None:
    """With every part of the page open, light and dark."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    index = write_index([loss_report, loss_report], [("torn", "study.yaml cannot be read")], loss_report.folder.parent)
    for scheme in ("light", "dark"):
        for path in (loss_report.folder / "index.html", index):
            page = open_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
            page.goto(path.as_uri())
            page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
            found = axe.run(page).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
