"""The page on a study that runs: what it says while cells train, at its end, and where it cannot be written."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from report_records import OBJECTIVES, loss_study

from p2pbench.report.live import LivePage
from p2pbench.runs.events import Event, Job
from p2pbench.runs.store import Store
from p2pbench.study.plan import build_study


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "runs")
    loss_study(made, [0])
    return made


def job_of(store: Store, position: int) -> Job:
    cell = store.read_study("loss").cells[position]
    config = build_study("loss", None, {}, [0]).cells[position].config
    return Job("cell", cell.run_id, f"{cell.variant} seed {cell.seed}", config, store.run(cell.run_id).log_file, {})


def test_the_page_follows_the_cells_and_ends_with_them(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "reports" / "loss" / "live.html"
    page = LivePage(store, "loss", path)
    page.end()
    assert not path.exists()  # nothing ran
    job = job_of(store, 1)
    run = store.run(job.key)
    run.set_status("running")
    sheet = run.samples / "epoch-0005.png"
    sheet.write_bytes(run.sample_file("output", 0).read_bytes())
    for event in (Event(job, "started"), Event(job, "stage", {"stage": "train"})):
        page(event)
    text = path.read_text()
    assert "4 of 5 cells finished" in text
    assert "location.reload()" in text
    for variant in OBJECTIVES:
        assert html.escape(variant) in text
    assert len(re.findall("<polyline", text)) == 3 * 5  # three losses of five variants; no cell has a curve
    (place,) = re.findall(r'<img src="([^"]+)"', text)
    assert (path.parent / place).resolve() == sheet.resolve()
    page(Event(job, "progress", {"done": 30, "total": 40}))
    assert "train 75 %" in page.render(ended=False)
    assert re.search(r"about \S+ \S+ left", page.render(ended=False))
    run.set_status("failed", "g_l1 of step 6 is not <finite>")
    page(Event(job, "failed", {"reason": "g_l1 of step 6 is not <finite>"}))
    page.end()
    text = path.read_text()
    assert "gan, seed 0 failed: g_l1 of step 6 is not &lt;finite&gt;" in text
    assert "location.reload()" not in text
    assert "p2pbench report --study loss" in text


def test_a_page_that_cannot_be_written_stops_nothing(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "reports").write_text("a file")
    page = LivePage(store, "loss", tmp_path / "reports" / "loss" / "live.html")
    for _ in range(2):
        page(Event(job_of(store, 0), "started"))
    page.end()
    assert caplog.text.count("is not kept any more") == 1
