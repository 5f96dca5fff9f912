"""The data sets that have a name: what is listed of them, and that it fits what the paper and the commands say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import write_pairs
from typer.testing import CliRunner

from p2pbench.cli.app import app
from p2pbench.config.resolve import Layer, resolve
from p2pbench.data.catalogue import PAPER_SETS, datasets_folder, known
from p2pbench.study.grid import read_protocol


def row(name: str) -> dict[str, Any]:
    (found,) = [row for row in known() if row["source"] == name]
    return found


@pytest.mark.parametrize("name", PAPER_SETS)
def test_what_the_catalogue_says_is_a_setting_that_trains(name: str) -> None:
    entry = PAPER_SETS[name]
    settings: dict[str, Any] = {
        "data.source": name,
        "data.direction": entry.direction,
        "training.epochs": entry.epochs,
        "training.batch_size": entry.batch_size,
        "data.jitter": entry.jitter,
        "data.mirror": entry.jitter,
    }
    config = resolve([Layer("the paper", settings)]).config
    assert (config.data.load_size, config.data.crop_size) == (286, 256)
    assert entry.pairs["train"] >= entry.batch_size
    assert all(address.endswith(f"/{name}.tar.gz") for address in entry.mirrors)


def test_facades_is_what_the_shipped_protocol_trains_on() -> None:
    settings, entry = read_protocol("paper-facades").settings, PAPER_SETS["facades"]
    assert settings["data.source"] == "facades"
    assert settings["data.direction"] == entry.direction
    assert (settings["training.epochs"], settings["training.batch_size"]) == (entry.epochs, entry.batch_size)


def test_a_set_is_here_once_it_is_kept() -> None:
    assert row("maps")["state"] == "to fetch"
    assert row("maps")["pairs"] == {"train": 1096, "test": 1098}
    assert row("cityscapes")["state"] == "by hand"
    write_pairs(datasets_folder() / "maps", {"train": 2, "val": 1})
    assert row("maps")["state"] == "here"
    assert row("maps")["pairs"] == {"train": 2, "test": 1}
    assert row("maps")["folder"] == str(datasets_folder() / "maps")


def test_sets_of_ones_own_are_listed_and_what_is_no_set_is_not() -> None:
    write_pairs(datasets_folder() / "mine", {"train": 2, "test": 1})
    (datasets_folder() / "broken").mkdir()
    (datasets_folder() / ".facades.x.part").mkdir()
    (datasets_folder() / ".facades.lock").write_text("")
    (datasets_folder() / "facades.sha256").write_text("")
    assert [found["source"] for found in known()] == ["photos", "drawn", *PAPER_SETS, "broken", "mine"]
    assert row("mine")["pairs"] == {"train": 2, "test": 1}
    assert row("broken")["state"] == "unusable"
    assert "no training pairs" in row("broken")["reason"]


def test_the_list_fits_a_terminal_and_is_json_when_asked() -> None:
    write_pairs(datasets_folder() / "mine", {"train": 2, "test": 1})
    text = CliRunner().invoke(app, ["data", "list"], env={"COLUMNS": "80"}).stdout
    for name in ("photos", *PAPER_SETS, "mine"):
        assert name in text
    named = [line for line in text.splitlines() if str(datasets_folder())[:8] not in line]
    assert max(len(line.rstrip()) for line in named) <= 80
    rows = json.loads(CliRunner().invoke(app, ["data", "list", "--json"]).stdout)["sources"]
    facades = next(found for found in rows if found["source"] == "facades")
    assert facades["halves"] == {"A": "photo", "B": "labels"}
    assert facades["paper"] == {"direction": "BtoA", "epochs": 200, "batch_size": 1, "jitter": True}
    assert all(found["terms"] and found["citation"] for found in rows if found["source"] in PAPER_SETS)


@pytest.mark.shared
def test_the_real_facades_are_as_the_catalogue_says(shared: Path) -> None:
    from reading import read_pair

    from p2pbench.data.pairs import find_pairs

    found = find_pairs(shared / "data" / "facades")
    assert {split: len(pairs) for split, pairs in found.items()} == PAPER_SETS["facades"].pairs
    photo, labels = read_pair(found["test"][0])
    assert photo.shape == labels.shape == (PAPER_SETS["facades"].size, PAPER_SETS["facades"].size, 3)
    # Labels are a few flat colours, a photograph is not: B is the half that JPEG left with fewer distinct rows.
    assert len({row.tobytes() for row in labels[:, ::8] // 64}) < len({row.tobytes() for row in photo[:, ::8] // 64})
