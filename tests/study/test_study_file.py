"""The record of a study: other seeds are kept, whoever writes them and when."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from p2pbench.runs.records import StudyFile
from p2pbench.runs.store import Store
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study

ASKED = {"scoring.metrics": ["l1"]}


def test_two_processes_that_record_other_seeds_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both read at once what is recorded; each write would be without the other's seed."""
    read = Store.read_study

    def slowly(store: Store, name: str) -> StudyFile:
        try:
            return read(store, name)
        finally:
            time.sleep(0.3)

    monkeypatch.setattr(Store, "read_study", slowly)
    store = Store(tmp_path / "runs")
    studies = [build_study("loss", None, ASKED, [seed]) for seed in (0, 1)]
    writers = [threading.Thread(target=write_study, args=(study, store)) for study in studies]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = read(store, "loss")
    assert {cell.seed for cell in found.cells} == {0, 1}
    assert len(found.cells) == 2 * len(studies[0].cells)


def test_keys_of_a_later_version_are_kept_where_a_study_grows(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    write_study(build_study("loss", None, ASKED, [0]), store)
    before = store.read_study("loss")
    cell = before.cells[0].model_copy(update={"added_later": 1})
    store.study_file("loss").write_text(before.model_copy(update={"cells": [cell]}).model_dump_json())
    write_study(build_study("loss", None, ASKED, [1]), store)
    kept = next(cell for cell in store.read_study("loss").cells if cell.seed == 0)
    assert kept.to_json()["added_later"] == 1


def test_other_scores_keep_the_seeds_of_before_and_another_training_is_another_study(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    write_study(build_study("loss", None, ASKED, [0]), store)
    indifferent = {"scoring.metrics": ["ssim"], "scoring.every": 1, "training.threads": 1, "training.sample_every": 2}
    write_study(build_study("loss", None, indifferent, [1]), store)
    assert {cell.seed for cell in store.read_study("loss").cells} == {0, 1}
    write_study(build_study("loss", None, {**ASKED, "training.epochs": 1}, [2]), store)
    assert {cell.seed for cell in store.read_study("loss").cells} == {0, 1}
    assert {cell.seed for cell in store.read_study("loss,epochs=1").cells} == {2}


WRITER = """
import sys
from pathlib import Path
from p2pbench.errors import ConfigError
from p2pbench.runs.store import Store
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study

epochs, seed = map(int, sys.argv[1:])
study = build_study("loss", None, {"scoring.metrics": ["l1"], "training.epochs": epochs}, [seed], name="loss")
for line in sys.stdin:
    try:
        write_study(study, Store(Path(line.strip())))
        print("written", flush=True)
    except ConfigError as error:
        print(error, flush=True)
"""


@pytest.mark.parametrize(("first", "second"), [((1, 0), (2, 0)), ((2, 0), (2, 1))], ids=["definitions", "seeds"])
def test_two_processes_at_once_leave_one_definition_or_both_seeds(
    first: tuple[int, int], second: tuple[int, int], tmp_path: Path
) -> None:
    """As two jobs of an array, or two people: each round both are told at once to write into a new store."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, *map(str, about)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
        for about in (first, second)
    ]  # fmt: skip
    for number in range(12):
        said = []
        for writer in writers if number % 2 else writers[::-1]:
            assert writer.stdin is not None
            writer.stdin.write(f"{tmp_path}/runs{number}\n")
            writer.stdin.flush()
        for writer in writers:
            assert writer.stdout is not None
            said.append(writer.stdout.readline().strip())
        found = Store(tmp_path / f"runs{number}").read_study("loss")
        epochs = {cell.config["training"]["epochs"] for cell in found.cells}
        if first[0] == second[0]:
            assert said == ["written", "written"]
            assert {cell.seed for cell in found.cells} == {0, 1}
        else:
            winner = said.index("written")
            assert epochs == {(first, second)[winner][0]}
            assert "study 'loss' is another one" in said[1 - winner]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
