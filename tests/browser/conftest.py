"""What browser tests share: Chromium, and pages that fail their test on an error or on a request that leaves them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Request

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_MS = 60_000
"""For a machine that is busy; nothing waits this long on an idle one."""


@pytest.fixture(scope="module")  # no longer: Playwright's event loop would run under the tests of other files
def browser() -> Iterator[Browser]:
    """Chromium without a window, of the system's packages; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("needs Chromium on the path: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an empty page of a browser that has seen nothing before; options as ``browser.new_context``.

    Afterwards the test fails if a page had an error on its console, or asked for anything that is neither inline nor
    from where the page itself came from: for a file, anything but itself.
    """
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_one(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 1500}, **options})
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        asked: list[Request] = []
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("console", lambda said: problems.append(f"console: {said.text}") if said.type == "error" else None)

        def check(request: Request) -> None:
            asked.append(request)
            if _leaves(request, asked[0]):
                problems.append(f"request: {request.url}")

        page.on("request", check)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """An empty page, 1280x1500."""
    return open_page()


def _leaves(request: Request, first: Request) -> bool:
    url, home = urlsplit(request.url), urlsplit(first.url)
    if url.scheme in ("data", "blob"):
        return False
    elsewhere = (url.scheme, url.netloc) != (home.scheme, home.netloc)
    return elsewhere or (url.scheme == "file" and not request.is_navigation_request())
