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
