"""``bench data``: the documented rows, of files and of built-ins, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reading import read_pair
from typer.testing import CliRunner

from p2pbench.bench import suite
from p2pbench.bench.data import as_files, build_build, build_plain, build_start
from p2pbench.cli.app import app
from p2pbench.config.resolve import Layer, Resolved, resolve
from p2pbench.config.schema import DataConfig
from p2pbench.data import image_files, pairs
from p2pbench.data.dataset import open_dataset
from p2pbench.errors import ConfigError
from p2pbench.system.cache_dir import home


def small(source: object) -> Resolved:
    settings: dict[str, Any] = {
        "data.source": str(source), "data.load_size": 18, "data.crop_size": 16, "training.batch_size": 2,
        "discriminator.name": "patch16",
    }  # fmt: skip
    return resolve([Layer("--set", settings)])


@pytest.mark.parametrize("source", ["drawn:5", "folder"])
def test_bench_data_reports_the_documented_rows(source: str, pairs_folder: Path) -> None:
    resolved = small(pairs_folder if source == "folder" else source)
    seen: list[tuple[int, int]] = []
    document = suite.measure(
        ["data"], [("", resolved)], rounds=2, round_seconds=0.01,
        stage=lambda *_: lambda *turns: seen.append(turns),
    )  # fmt: skip
    assert seen[-1] == (8, 8)
    assert [row["engine"] for row in document["rows"]] == ["plain", "build", "second start", "batches"]
    for row in document["rows"]:
        assert (row["workload"], row["name"], row["size"]) == ("data", resolved.config.data.source, [18, 18])
        assert row["images_per_second"] > 0
        assert row["peak_memory_bytes"] > 2**20
    assert document["rows"][0]["ratio_to_plain"] == 1.0
    assert [row["batch_size"] for row in document["rows"]] == [None, None, None, 2]
    assert not list(home().glob("bench-*"))
    assert not (home() / "decoded").exists()
    json.dumps(document, allow_nan=False)


def test_built_ins_are_written_as_files_that_are_read(tmp_path: Path) -> None:
    folder = as_files(open_dataset(DataConfig(source="drawn:3")), tmp_path)
    found = pairs.find_pairs(folder)
    assert len(found["train"]) == 3
    a, b = read_pair(found["train"][0])
    assert a.shape == b.shape == (256, 256, 3)


def test_a_first_start_decodes_every_time_and_a_second_never(
    pairs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P2PBENCH_HOME", str(tmp_path / "mine"))  # put back after the test
    read: list[Path] = []
    whole = image_files.read

    def count(path: Path, *arguments: Any, **options: Any) -> Any:
        read.append(path)
        return whole(path, *arguments, **options)

    monkeypatch.setattr(image_files, "read", count)
    config = small(pairs_folder).config
    for build, home_, times in ((build_build, "a", 14), (build_start, "b", 7)):
        read.clear()
        step, n_pairs = build(config, tmp_path / home_)
        assert n_pairs == 6
        step()
        step()
        assert len(read) == times  # the first pair once more, to learn its kind


def test_pillow_alone_meets_every_training_pair(pairs_folder: Path) -> None:
    step, n_pairs = build_plain(small(pairs_folder).config, Path())
    step()
    assert n_pairs == 6
    (pairs_folder / "train" / "003.png").write_bytes(b"not an image")
    with pytest.raises(OSError, match="cannot identify"):
        step()


def test_a_batch_larger_than_the_set_is_refused(pairs_folder: Path) -> None:
    resolved = resolve([Layer("--set", {"data.source": str(pairs_folder), "training.batch_size": 7})])
    with pytest.raises(ConfigError, match="batch_size is 7"):
        suite.measure(["data"], [("", resolved)])


def test_an_unknown_workload_names_those_there_are() -> None:
    result = CliRunner().invoke(app, ["bench", "date"])
    assert result.exit_code == 2
    assert "unknown workload 'date'; did you mean 'data' or 'step'?" in result.stderr
