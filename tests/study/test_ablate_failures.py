"""Cells that fail in a study: recorded with the reason, and no other cell is lost."""

from __future__ import annotations

from study_workplace import Workplace

FAILING = """
import torch
from torch import nn


def works(config):
    return nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Tanh())


def fails(config):
    raise RuntimeError("a mistake of the user's own")
"""


def test_a_cell_that_fails_is_recorded_and_the_others_go_on(workplace: Workplace) -> None:
    (workplace.folder / "own.py").write_text(FAILING)
    (workplace.folder / "mine.yaml").write_text(
        "protocol: tiny.yaml\nfactors: {generator: ['own:fails', 'own:works']}\nbaseline: {generator: 'own:works'}\n"
    )
    found = workplace.json("ablate", "--grid", "mine.yaml", "--jobs", "2", code=4)
    assert (found["trained"], found["failed"]) == (1, 1)
    (bad,) = [cell for cell in found["cells"] if cell["state"] == "failed"]
    assert bad["variant"] == "own:fails"
    assert "a mistake of the user's own" in bad["reason"]
    log = (workplace.folder / "runs" / "cells" / bad["run_id"] / "log.txt").read_text()
    assert "Traceback" in log
    again = workplace.run("ablate", "--grid", "mine.yaml", "--jobs", "2", code=4).stderr
    assert " ".join(again.split()).count("a mistake of the user's own") == 1
    assert "failed, for the reasons above: own:fails seed 0" in again

    report = workplace.json("report")["studies"][0]
    assert (report["finished"], report["cells"]) == (1, 2)
    page = (workplace.folder / "reports" / "mine" / "index.html").read_text()
    assert "own:fails" in page
    assert "1 of 2 cells has no result" in page

    (workplace.folder / "own.py").write_text(
        FAILING.replace('raise RuntimeError("a mistake of the user\'s own")', "return works(config)")
    )
    # The file of both networks has changed, the trained one's too: it is another study until the user says otherwise.
    assert "the code of a network" in workplace.run("ablate", "--grid", "mine.yaml", code=2).stderr
    assert workplace.json("ablate", "--grid", "mine.yaml", "--replace")["failed"] == 0


def test_fail_fast_stops_at_the_first(workplace: Workplace) -> None:
    (workplace.folder / "own.py").write_text(FAILING)
    (workplace.folder / "mine.yaml").write_text(
        "protocol: tiny.yaml\nfactors: {generator: ['own:fails', unet]}\nbaseline: {generator: unet}\n"
    )
    found = workplace.json("ablate", "--grid", "mine.yaml", "--fail-fast", code=4)
    assert [cell["state"] for cell in found["cells"]] == ["failed", "not run"]
