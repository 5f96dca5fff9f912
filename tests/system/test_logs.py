"""Where messages go: to a run's log, to standard error with ``--verbose``, and nowhere else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from program import invoke

from p2pbench.system.console import logged_to

log = logging.getLogger("p2pbench.somewhere")


def test_a_log_is_added_to_and_let_go(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("before\n")
    with logged_to(path):
        log.info("first [bold]%s[/bold]", "x")
        logging.getLogger("another.library").warning("not ours")
    log.info("after")
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("first [bold]x[/bold]")
    assert not logging.getLogger("p2pbench").handlers


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    with logged_to(tmp_path / "no such folder" / "log.txt"):
        log.info("lost")
    full = Path("/dev/full")
    if full.exists():
        with logged_to(full):
            log.info("lost too")


def test_verbose_says_more_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with logged_to(None):
        log.info("[red] is no markup")
    assert "[red] is no markup" in capsys.readouterr().err
    assert "--verbose" in invoke("--help").stdout
