"""The cache of decoded arrays: what it holds is told, and what is cleared is still read by who uses it."""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from program import document, invoke

from p2pbench.config.schema import DataConfig
from p2pbench.data import cache
from p2pbench.data.cache import cached_arrays, clear, decoded
from p2pbench.data.dataset import open_dataset


def small(source: object) -> DataConfig:
    return DataConfig(source=str(source), load_size=18, crop_size=16)


def command(*arguments: str) -> Any:
    return document("data", "cache", *arguments)


def text(*arguments: str) -> str:
    return str(invoke("data", "cache", *arguments).stdout)


@pytest.fixture
def filled(pairs_folder: Path) -> Path:
    """A cache with two splits of a folder, and one of a built-in."""
    for source, split in ((pairs_folder, "train"), (pairs_folder, "test"), ("drawn:3", "train")):
        decoded(open_dataset(small(source)), split)
    return pairs_folder


def splits() -> set[tuple[str, str]]:
    return {(row["source"], row["split"]) for row in command("list")["arrays"]}


def test_the_list_says_what_each_array_is(filled: Path) -> None:
    found = command("list")
    rows = {(row["source"], row["split"]): row for row in found["arrays"]}
    assert rows.keys() == {(str(filled), "train"), (str(filled), "test"), ("drawn:3", "train")}
    train = rows[str(filled), "train"]
    assert (train["pairs"], train["size"], train["direction"]) == (6, [18, 18], "AtoB")
    assert train["bytes"] == Path(train["file"]).stat().st_size == 6 * 18 * 18 * 6 + 128
    assert found["bytes"] == sum(row["bytes"] for row in found["arrays"])
    assert "drawn:3" in text("list")
    assert "3 arrays, 0 MiB" in text("list")


def test_last_use_is_when_an_array_was_last_opened(filled: Path) -> None:
    for kept in cached_arrays():
        os.utime(Path(kept["file"]).with_suffix(".json"), (0, 0))
    assert {row["last_use"] for row in command("list")["arrays"]} == {"1970-01-01T00:00:00+00:00"}
    decoded(open_dataset(small("drawn:3")), "train")
    newest, *others = cached_arrays()
    assert newest["source"] == "drawn:3"
    assert time.time() - datetime.fromisoformat(newest["last_use"]).timestamp() < 60
    removed = command("clear", "--older", "1")["removed"]
    assert {row["file"] for row in removed} == {kept["file"] for kept in others}
    assert splits() == {("drawn:3", "train")}


def test_one_source_is_cleared_by_name_or_folder(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("clear", "--source", "elsewhere")["removed"] == []
    command("clear", "--source", "drawn:3")
    assert splits() == {(str(filled), "train"), (str(filled), "test")}
    monkeypatch.chdir(filled.parent)
    assert "2 arrays removed" in text("clear", "--source", filled.name)
    assert command("list") == {"folder": str(cache.folder()), "bytes": 0, "arrays": []}
    assert not list(cache.folder().glob("*.json"))


@pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be removed there")
def test_a_file_that_is_removed_under_its_mapping_is_still_read(filled: Path) -> None:
    held = decoded(open_dataset(small(filled)), "train")
    before = np.array(held)
    assert len(clear()[0]) == 3
    assert np.array_equal(held, before)
    assert np.array_equal(decoded(open_dataset(small(filled)), "train"), before)


def test_what_killed_builds_left_is_cleared_and_what_is_being_built_is_not(filled: Path) -> None:
    killed, running = (cache.folder() / f".{letter * 24}.npy.xyz.part" for letter in "ab")
    orphan = cache.folder() / f"{'c' * 24}.json"
    for path in (killed, running, orphan):
        path.write_bytes(b"half")
    with FileLock(cache.folder() / f"{'b' * 24}.lock"):
        assert clear(source="nothing of the kind") == ([], 8)
    assert running.exists()
    assert not killed.exists()
    assert not orphan.exists()
    assert len(cached_arrays()) == 3


def test_an_array_without_a_note_is_listed_and_can_be_cleared(filled: Path) -> None:
    for note, damaged in zip(sorted(cache.folder().glob("*.json")), ("", "[1]", None), strict=True):
        note.unlink() if damaged is None else note.write_text(damaged)
    assert [row["source"] for row in command("list")["arrays"]] == [None] * 3
    assert text("list").count("unknown") == 3
    assert len(command("clear")["removed"]) == 3


def test_there_may_be_no_cache() -> None:
    assert command("list")["arrays"] == []
    assert command("clear") == {"removed": [], "bytes": 0}
