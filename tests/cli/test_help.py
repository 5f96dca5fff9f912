"""What the program says of itself: help texts, shipped grids, settings. None of it loads torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from program import document, error_of, invoke

from p2pbench.cli.app import app
from p2pbench.config.metrics import METRICS
from p2pbench.config.schema import PRESETS, SECTIONS, SETTINGS
from p2pbench.config.shipped import published_names, published_tables, shipped_files
from p2pbench.errors import ConfigError
from p2pbench.study.grid import read_grid
from p2pbench.study.plan import build_study


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its words; typer may bring its own copy of click, whose types have no public name."""
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_h_is_help_everywhere(path: tuple[str, ...]) -> None:
    assert invoke(*path, "-h").stdout == invoke(*path, "--help").stdout
    assert "Usage:" in invoke(*path, "-h").stdout


@pytest.mark.parametrize("path", sorted(set(COMMANDS) - {()}), ids=" ".join)
def test_every_help_text_is_a_sentence_and_has_its_default(path: tuple[str, ...]) -> None:
    """A flag is off by default; an option without which the command does not run has no default."""
    command = COMMANDS[path]
    assert command.help
    assert command.help.strip().endswith(".")
    for parameter in command.params:
        record = parameter.get_help_record(typer.Context(command))
        assert record is not None
        assert record[1], parameter.name
        assert getattr(parameter, "is_flag", False) or parameter.required or "default: " in record[1].lower(), record


# ---- grids


def test_grids_lists_every_shipped_grid_with_its_question_and_table() -> None:
    found = document("grids")
    rows = {row["name"]: row for row in found["grids"]}
    assert set(rows) == set(shipped_files(""))
    assert (rows["loss"]["variants"], rows["loss"]["published"]) == (5, "pix2pix-table1")
    assert rows["lambda"]["question"] == "How much L1?"
    assert "quick" in {protocol["name"] for protocol in found["protocols"]}
    text = invoke("grids").stdout
    assert all(name in text for name in rows)


def test_grids_shows_one_grid_in_full() -> None:
    found = document("grids", "normalization")
    assert found["settings"] == {"training.batch_size": 4, "training.bias_rule": "by-norm"}
    assert found["factors"]["normalization"][1] == {
        "label": "instance", "settings": {"generator.norm": "instance", "discriminator.norm": "instance"},
        "source": None,
    }  # fmt: skip
    text = " ".join(invoke("grids", "loss").stdout.split())
    for part in (
        "Which objective? (pix2pix, Table 1)",
        "protocol quick",
        "arXiv 1611.07004v3",
        "objective.name: l1+gan",
    ):
        assert part in text
    assert "did you mean 'loss'" in error_of("grids", "los", code=2)


@pytest.mark.parametrize("name", shipped_files(""))
def test_grids_shows_what_is_read(name: str) -> None:
    grid, found = read_grid(name), document("grids", name)
    assert list(found["factors"]) == list(grid.factors)
    assert found["variants"] == len(grid.variants())
    assert grid.name in invoke("grids", name).stdout


def test_the_names_of_published_tables_are_those_of_the_file() -> None:
    assert published_names() == tuple(published_tables())


# ---- settings


def test_settings_lists_each_with_its_meaning_default_and_values() -> None:
    found = {row["key"]: row for row in document("settings")["settings"]}
    assert list(found) == list(SETTINGS)
    assert all(row["meaning"].endswith(".") and row["values"] for row in found.values())
    assert found["generator.dropout"]["defaults"] == {"paper": "first-three", "pytorch": "middle"}
    assert found["training.epochs"]["values"] == "a whole number above 0 to 1000000000"
    assert found["objective.name"]["values"].startswith("l1, l2, charbonnier, gan, cgan, l1+gan, l1+cgan")
    assert all(name in found["scoring.metrics"]["values"] for name in METRICS)
    for preset, changes in PRESETS.items():
        assert all(found[key]["defaults"][preset] == value for key, value in changes.items())
    text = invoke("settings").stdout
    assert all(key in text for key in SETTINGS)


def test_settings_shows_one_setting_or_one_section() -> None:
    text = " ".join(invoke("settings", "training.schedule").stdout.split())
    assert "training.schedule default: constant; with the preset pytorch: linear-decay" in text
    assert "Values: constant, linear-decay." in text
    assert "training.epochs" not in text
    for section, model in SECTIONS.items():
        assert len(document("settings", section)["settings"]) == len(model.model_fields)
    assert "did you mean 'training.epochs'" in error_of("settings", "training.epoch", code=2)


# ---- both


def test_a_component_is_set_as_in_a_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert document("describe", "--set", "objective=l1", "--set", "data.crop_size=64")["discriminator"] is None
    message = error_of("ablate", "--grid", "loss", "--set", "objective=l1", "--plan", code=2)
    assert "--set objective.name: the grid loss varies it" in message
    assert document("ablate", "--grid", "lambda", "--set", "objective=l1", "--plan")["study"].startswith("lambda")


def test_python_names_a_component_as_set_does() -> None:
    with pytest.raises(ConfigError, match="the grid loss varies it"):
        build_study("loss", None, {"objective": "l1"}, None, plan=True)
    study = build_study("lambda", None, {"objective": "l1"}, None, plan=True)
    assert {cell.config.objective.name for cell in study.cells} == {"l1"}


def test_no_torch_is_loaded_to_show_grids_and_settings() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom p2pbench.cli.app import app\n"
        "for arguments in (['grids'], ['grids', 'loss'], ['settings'], ['report', '-h']):\n"
        "    assert CliRunner().invoke(app, arguments).exit_code == 0\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'PIL', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
