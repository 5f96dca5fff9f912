"""A store that someone else left, with records made to mislead: every command ends, and believes none of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program import document, error_of, invoke

from p2pbench.errors import P2PBenchError, StorageError
from p2pbench.report.records import read_study
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.housekeeping import all_runs, find_waste, read_studies, verify
from p2pbench.runs.store import Store

RECORDS = ("status.json", "scores.json", "profile.json", "config.yaml", "losses.csv", "per_image.csv")


@pytest.fixture(scope="module")
def made(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of two cells, and the grid it came from."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("made") / "place")


@pytest.fixture
def runs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil, and the study's own place to work in."""
    monkeypatch.chdir(made)
    monkeypatch.setenv("P2PBENCH_HOME", str(made / "home"))
    return Path(shutil.copytree(made / "runs", tmp_path / "runs"))


def a_run(runs: Path) -> RunFolder:
    return Store(runs).runs()[0]


def ablate(runs: Path, code: int = 0) -> Any:
    return invoke("ablate", "--grid", "two.yaml", "--runs", runs, code=code)


def change(path: Path, *keys: Any, value: Any) -> None:
    """Set what ``keys`` lead to in a JSON file."""
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def a_folder(path: Path) -> None:
    path.mkdir()


POISONS: dict[str, Callable[[Path], object]] = {
    "nested": lambda path: path.write_text("[" * 200_000),
    "folder": a_folder,
    "bytes": lambda path: path.write_bytes(bytes(range(256))),
}


@pytest.mark.timeout(120, func_only=True)  # the fixture trains a study, on a slow machine for minutes
@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("record", RECORDS)
def test_any_record_may_be_anything(record: str, poison: str, runs: Path) -> None:
    run = a_run(runs)
    (run.path / record).unlink()
    POISONS[poison](run.path / record)
    assert list(verify(run))
    assert document("runs", "list", "--runs", runs)["runs"]
    document("runs", "show", run.path.name, "--runs", runs)
    document("runs", "prune", "--failed", "--unused", "--older", "0", "--runs", runs)
    assert len(read_study(Store(runs), "two").cells) == 2


@pytest.mark.parametrize("value", ["1" + "0" * 400, "NaN", "Infinity", "1e999"])
def test_numbers_that_no_machine_holds_are_not_believed(value: str, runs: Path) -> None:
    run = a_run(runs)
    change(run.status_file, "training", "seconds", value="HERE")
    run.status_file.write_text(run.status_file.read_text().replace('"HERE"', value))
    assert run.status() is None
    shown = invoke("runs", "show", run.path.name, "--runs", runs, "--json").stdout
    assert json.loads(shown, parse_constant=pytest.fail)["state"] == "damaged"


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("cells", 1, "levels"), "x"), (("cells", 1, "levels", "objective"), ["x"]), (("published",), {"a": {}}),
        (("question",), 3), (("baseline",), None), (("protocol",), []),
    ],
)  # fmt: skip
def test_a_study_of_other_kinds_is_none_and_its_runs_stay(keys: tuple[Any, ...], value: Any, runs: Path) -> None:
    change(Store(runs).study_file("two"), *keys, value=value)
    assert "is not a study of this version" in invoke("report", "--study", "two", "--runs", runs, code=2).stderr
    assert "is not a study of this version" in invoke("runs", "list", "--runs", runs).stderr
    assert "is not a study of this version" in invoke("runs", "verify", "--runs", runs, code=3).stdout
    line = error_of("runs", "prune", "--unused", "--yes", "--runs", runs, code=2)
    assert "which runs are in no study is not known" in line
    assert len(Store(runs).runs()) == 2
    assert "--replace" in ablate(runs, code=2).stderr
    invoke("ablate", "--grid", "two.yaml", "--runs", runs, "--replace")
    assert "versions/1/study.yaml" in error_of("runs", "prune", "--unused", "--yes", "--runs", runs, code=2)
    shutil.rmtree(runs / "studies" / "two" / "versions")
    assert "0 removed" in invoke("runs", "prune", "--unused", "--yes", "--runs", runs).stdout


def test_a_hash_of_a_file_elsewhere_is_not_looked_up(runs: Path) -> None:
    for name in ("a" * 5000, "../x", "lock"):
        run = a_run(runs)
        kept = run.status_file.read_text()
        change(run.status_file, "files", value={name: "x"})
        assert [problem.detail for problem in verify(run)] == ["missing or damaged"]
        run.status_file.write_text(kept)


def test_a_colleagues_closed_folders_are_told(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel would say it: these tests may run as root, who may read everything."""
    run, other = Store(runs).runs()
    shut, open_before = run.status_file, Path.open

    def closed(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == shut:
            raise PermissionError(13, "Permission denied", str(path))
        return open_before(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", closed)
    facts = {one.run_id: one for one in all_runs(Store(runs), read_studies(Store(runs)))}[run.path.name]
    assert facts.state == "unreadable"
    assert f"{run.status_file} cannot be read: Permission denied" in str(facts.reason)
    assert [problem.detail for problem in verify(run)] == [f"{run.status_file} cannot be read: Permission denied"]
    assert find_waste([facts], failed=True, unused=True, older_days=None) == []
    shut = other.losses_file
    with monkeypatch.context() as patch:
        patch.setattr("p2pbench.runs.folder.sha256_of", lambda path: path.open("rb").close() or "x")
        assert other.record_hashes()["losses.csv"] == "cannot be read: Permission denied"

    def unlisted(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", unlisted)
        with pytest.raises(StorageError, match="cannot be read: Permission denied"):
            all_runs(Store(runs), read_studies(Store(runs)))


def test_threads_that_no_machine_has_are_not_taken_up(runs: Path) -> None:
    run = a_run(runs)
    for threads in (-3, True, 10**7, 10**18, "2", None):
        change(run.status_file, "threads", value=threads)
        assert run.recorded_threads() == 0
    assert "training.threads" in error_of("describe", "--set", "training.threads=100000000", code=2)


def test_a_link_in_a_run_is_not_written_through(runs: Path, tmp_path: Path) -> None:
    run, outside = a_run(runs), tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(run.samples)
    run.scores_file.unlink()
    run.samples.symlink_to(outside)
    assert "samples is a link" in " ".join(ablate(runs, code=4).stderr.split())
    assert list(outside.iterdir()) == []
    run.samples.unlink()
    ablate(runs)
    (run.path / "checkpoint").symlink_to(outside)
    (outside / "mine").touch()
    assert "1 removed" in invoke("runs", "prune", "--yes", "--runs", runs).stdout
    assert (outside / "mine").exists()


def test_a_folder_where_a_record_belongs_is_named(runs: Path) -> None:
    run = a_run(runs)
    run.scores_file.unlink()
    run.scores_file.mkdir()
    told = " ".join(ablate(runs, code=4).stderr.split())
    assert "scores.json cannot be removed: Is a directory; move it away" in told
    run.scores_file.rmdir()
    ablate(runs)
    assert list(verify(run)) == []


def test_weights_that_were_changed_are_not_used_and_what_verify_says_helps(runs: Path) -> None:
    run = a_run(runs)
    whole = run.generator_file.read_bytes()
    run.generator_file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (problem,) = verify(run)
    assert "remove it and run ablate again" in problem.detail
    assert "is not what training left" in error_of("score", "--model", run.path, code=3)
    run.generator_file.unlink()
    assert "1 trained, 1 finished before" in ablate(runs).stdout
    assert run.generator_file.read_bytes() == whole
    assert list(verify(run)) == []


def test_a_users_own_folder_is_no_place_for_a_run(made: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "losses.csv").write_text("my losses")
    command = ("train", "--protocol", made / "tiny.yaml", "--set", "scoring.metrics=[l1]", "--out", mine)
    assert "holds files that are no run of p2pbench" in error_of(*command, code=2)
    assert [path.read_text() for path in mine.iterdir()] == ["my losses"]
    (mine / "losses.csv").unlink()
    (mine / ".status.json.x.part").touch()  # as a run leaves that was killed as it began
    invoke(*command)
    for name in ("scores_final.json", "per_image_notes.csv"):
        (mine / name).write_text("mine")
    RunFolder(mine).scores_file.unlink()
    invoke(*command)
    assert (mine / "scores_final.json").read_text() == (mine / "per_image_notes.csv").read_text() == "mine"


def test_names_do_not_drive_the_terminal(runs: Path) -> None:
    change(Store(runs).study_file("two"), "cells", 0, "variant", value="\x1b[31mred\u202e\x07")
    shown = invoke("runs", "list", "--runs", runs).stdout
    assert "red" in shown
    assert not [c for c in shown if not c.isprintable() and c != "\n"]


def test_endless_settings_are_one_line() -> None:
    assert "more than 67,108,864 characters" in error_of("train", "--config", "/dev/zero", code=2)


def test_a_level_is_words_on_one_line(made: Path, tmp_path: Path) -> None:
    for label in ("a\\nb", "\\e[31m"):
        grid = tmp_path / "lines.yaml"
        grid.write_text(
            f"question: 'a\n\n  b'\nprotocol: {made}/tiny.yaml\nfactors: {{size: [{{label: \"{label}\", "
            "generator.ngf: 4}]}\n"
        )
        assert "on one line" in error_of("ablate", "--grid", grid, "--plan", code=2)


@pytest.mark.parametrize(
    "option", [("--timeout", "inf"), ("--timeout", "nan"), ("--timeout", "1e300"), ("--set", "training.lambda_l1=.inf"),
               ("--set", "training.checkpoint_seconds=.inf")]
)  # fmt: skip
def test_infinite_options_are_refused(option: tuple[str, str], runs: Path) -> None:
    invoke("ablate", "--grid", "two.yaml", *option, "--runs", runs, code=2)


def test_every_poison_is_refused_by_its_reader(runs: Path) -> None:
    """The study too; and nothing but our own errors comes out of it."""
    path = Store(runs).study_file("two")
    path.unlink()
    for poison in POISONS.values():
        poison(path)
        with pytest.raises(P2PBenchError):
            Store(runs).read_study("two")
        path.rmdir() if path.is_dir() else path.unlink()
