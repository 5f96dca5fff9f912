"""A study's name and definition: each way in which a study could be lost or diluted is refused, or kept."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from program import document, error_of, invoke
from report_records import fill, loss_study

from p2pbench.errors import ConfigError
from p2pbench.report.records import read_study
from p2pbench.runs.store import Store
from p2pbench.study.plan import Study, build_study
from p2pbench.study.study_file import restore_version, write_study

ASKED = {"scoring.metrics": ["l1"]}
GRID = "baseline: {objective: l1}\nfactors: {objective: [l1, l1+cgan]}\n"
WIDTH = "baseline: {{width: small}}\nfactors: {{width: [{{label: small, generator.ngf: {ngf}}}, {large}]}}\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return Store(Path("runs"))


def study_of(text: str, folder: str = ".", seeds: tuple[int, ...] = (0,), **settings: Any) -> Study:
    path = Path(folder) / "which.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    given = {key.replace("__", "."): value for key, value in settings.items()}
    return build_study(str(path), None, {**ASKED, **given}, list(seeds))


def cells_in(store: Store, name: str = "which") -> set[tuple[str, int]]:
    return {(cell.variant, cell.seed) for cell in store.read_study(name).cells}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "loss"),
        ({"scoring.metrics": ["l1"], "training.device": "cpu", "training.sample_every": 2}, "loss"),
        ({"training.epochs": 2, "objective.lambda_l1": 100.0}, "loss"),  # they are so anyway
        ({"training.epochs": 1}, "loss,epochs=1"),
        ({"training.epochs": 1, "generator.norm": "instance"}, "loss,generator.norm=instance,epochs=1"),
        ({"generator.name": "resnet6", "data.source": "drawn:9"}, "loss,source=drawn-9,generator=resnet6"),
        ({"training.preset": "pytorch"}, "loss,preset=pytorch"),
        ({"scoring.inference": "eval"}, "loss,inference=eval"),
    ],
)  # fmt: skip
def test_the_name_says_what_set_changed_and_nothing_else(settings: Mapping[str, Any], name: str) -> None:
    assert build_study("loss", None, settings, [0]).name == name
    assert build_study("loss", None, dict(reversed(list(settings.items()))), [0]).name == name


def test_a_long_name_is_cut_and_still_tells_two_studies_apart() -> None:
    many = {"training.learning_rate": 0.0001, "training.beta1": 0.4, "training.beta2": 0.9, "data.mirror": False,
            "generator.norm": "none", "generator.ngf": 8, "discriminator.ndf": 8, "data.load_size": 140}  # fmt: skip
    names = {build_study("loss", None, {**many, "training.epochs": n}, [0]).name for n in (1, 3)}
    assert len(names) == 2
    assert all(len(name) <= len("loss") + 80 for name in names)


@pytest.mark.parametrize("name", ["", " a", ".a", "a/b", "../a", "a\nb", "a" * 300])
def test_a_name_that_no_folder_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="--name"):
        build_study("loss", None, ASKED, [0], name=name)
    assert build_study("loss", None, ASKED, [0], name="my loss").command.endswith("--name 'my loss' --seeds 0")


DEFINITIONS = [
    (GRID.replace("l1+cgan", "l1+gan") + "training: {epochs: 1}\n", "training.epochs is 1, was 2"),
    ("baseline: {generator: unet}\nfactors: {generator: [unet]}\n", "its factors are generator, were objective"),
    (GRID.replace("{objective: l1}", "{objective: l1+cgan}"), r"its baseline is l1\+cgan, was l1"),
    (GRID + "data: {source: 'drawn:8'}\n", "l1: the content of drawn:8, its data, is not that of photos"),
    (GRID + "discriminator: {ndf: 4}\n", "discriminator.ndf is 4, was 32"),
    (GRID + "scoring: {inference: eval}\n", "scoring.inference is eval, was paper"),
]


@pytest.mark.parametrize(("other", "differs"), DEFINITIONS)
def test_another_definition_under_the_same_name_is_refused(store: Store, other: str, differs: str) -> None:
    """As a grid file of the same stem in another folder, or one that was edited."""
    write_study(study_of(GRID, seeds=(0, 1)), store)
    before = store.study_file("which").read_bytes()
    with pytest.raises(ConfigError, match=differs) as refused:
        write_study(study_of(other, "other"), store)
    assert "--name" in str(refused.value)
    assert "--replace" in str(refused.value)
    assert store.study_file("which").read_bytes() == before


def test_a_level_that_means_something_else_is_refused(store: Store) -> None:
    large = "{label: large, generator.ngf: 32}"
    write_study(study_of(WIDTH.format(ngf=8, large=large)), store)
    with pytest.raises(ConfigError, match=r"small: generator\.ngf is 9, was 8"):
        write_study(study_of(WIDTH.format(ngf=9, large=large)), store)
    with pytest.raises(ConfigError, match=r"large: generator\.ngf is 33, was 32"):
        write_study(study_of(WIDTH.format(ngf=8, large=large.replace("32", "33"))), store)


def test_a_network_of_the_users_own_that_was_edited_is_another_level(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    grid = "baseline: {generator: unet}\nfactors: {generator: [unet, 'own_net:build']}\n"
    Path("own_net.py").write_text("def build(config):\n    return None\n")
    write_study(study_of(grid), store)
    with Path("own_net.py").open("a") as module:
        module.write("SIZE = 3\n")
    with pytest.raises(ConfigError, match="own_net:build: the content of its data, or the code of a network"):
        write_study(study_of(grid), store)


def test_a_study_grows_by_seeds_levels_and_scores_and_never_shrinks(store: Store) -> None:
    write_study(study_of(GRID, seeds=(0, 1)), store)
    fewer = GRID.replace("[l1, l1+cgan]", "[l1, gan]") + "question: Why?\nprimary: [ssim]\n"
    write_study(study_of(fewer, seeds=(1, 2), scoring__metrics=["ssim"]), store)
    found = store.read_study("which")
    assert [(cell.variant, cell.seed) for cell in found.cells] == [
        ("l1", 0), ("l1+cgan", 0), ("l1", 1), ("l1+cgan", 1), ("gan", 1), ("l1", 2), ("gan", 2),
    ]  # fmt: skip
    assert found.factors == {"objective": ["l1", "l1+cgan", "gan"]}
    assert (found.question, found.asked) == ("Why?", ["l1", "ssim"])
    assert next(cell for cell in found.cells if (cell.variant, cell.seed) == ("l1", 1)).asked == ["l1", "ssim"]
    assert [(change.key, change.before) for change in found.changes] == [("primary", [])]
    assert found.command.endswith("--seeds 0,1,2")
    whole = GRID.replace("[l1, l1+cgan]", "[gan, l1, l1+cgan]")
    write_study(study_of(whole, seeds=(0,)), store)
    assert list(dict.fromkeys(cell.variant for cell in store.read_study("which").cells)) == ["gan", "l1", "l1+cgan"]


def test_replace_keeps_the_old_definition_which_can_be_brought_back(store: Store) -> None:
    write_study(study_of(GRID, seeds=(0, 1)), store)
    store.references_file("which").write_text("{}")
    first = store.study_file("which").read_bytes()
    other = study_of(GRID + "training: {epochs: 1}\n")
    for _ in range(2):  # the second time nothing is replaced
        write_study(other, store, replace=True)
    assert store.versions("which") == [1]
    assert store.study_file("which", 1).read_bytes() == first
    assert cells_in(store) == {("l1", 0), ("l1+cgan", 0)}
    listed = document("study", "versions", "which")["versions"]
    assert [(v["version"], v["cells"], v["finished"], v["without_run"]) for v in listed] == [(1, 4, 0, 4)]
    assert document("study", "versions", "which", "--restore", "1")["kept"] == 2
    assert store.study_file("which").read_bytes() == first
    assert restore_version(store, "which", 2) == 1
    assert "has no version 7; it has 1, 2" in error_of("study", "versions", "which", "--restore", "7", code=2)


def test_a_study_file_cut_short_is_neither_believed_nor_lost(store: Store) -> None:
    study = study_of(GRID)
    write_study(study, store)
    path = store.study_file("which")
    cut = path.read_bytes()[:-100]
    path.write_bytes(cut)
    with pytest.raises(ConfigError, match="--replace keeps it as a version"):
        write_study(study_of(GRID, seeds=(1,)), store)
    assert path.read_bytes() == cut
    write_study(study, store, replace=True)
    assert store.study_file("which", 1).read_bytes() == cut
    assert document("study", "versions", "which")["versions"] == []
    assert "version 1" in invoke("study", "versions", "which").stderr


def test_the_command_refuses_before_anything_is_prepared_and_names_the_ways_out(store: Store) -> None:
    write_study(study_of(GRID), store)
    study_of(GRID + "training: {epochs: 1}\n")
    for more in ((), ("--plan",)):
        message = error_of("ablate", "--grid", "which.yaml", *more, code=2)
        assert "study 'which' is another one in runs: training.epochs is 1, was 2" in message
    assert document("ablate", "--grid", "which.yaml", "--plan", "--name", "shorter")["study"] == "shorter"
    assert document("ablate", "--grid", "which.yaml", "--plan", "--replace")["study"] == "which"
    assert not (store.root / "cells").exists()


def test_prune_offers_nothing_that_a_study_or_a_version_names_unless_it_is_asked_for(store: Store) -> None:
    first = study_of(GRID)
    write_study(first, store)
    for cell in first.cells:
        fill(store, str(cell.run_id), 0, cell.seed)
    write_study(study_of(GRID + "training: {epochs: 1}\n"), store, replace=True)
    assert document("runs", "prune", "--unused")["found"] == []
    found = document("runs", "prune", "--version", "which:1")["found"]
    assert {item["run_id"] for item in found} == {cell.run_id for cell in first.cells}
    assert "--version is 'which:2'" in error_of("runs", "prune", "--version", "which:2", code=2)
    restore_version(store, "which", 1)
    assert document("runs", "prune", "--version", "which:1")["found"] == []


def test_a_version_whose_runs_are_gone_is_told_and_comes_back_without_them(store: Store) -> None:
    first = study_of(GRID)
    write_study(first, store)
    for cell in first.cells:
        fill(store, str(cell.run_id), 0, cell.seed)
    write_study(study_of(GRID + "training: {epochs: 1}\n"), store, replace=True)
    assert len(document("runs", "prune", "--version", "which:1", "--yes")["found"]) == 2
    (version,) = document("study", "versions", "which")["versions"]
    assert (version["cells"], version["finished"], version["without_run"]) == (2, 0, 2)
    assert "0 of 2" in invoke("study", "versions", "which").stdout
    restore_version(store, "which", 1)
    assert "2 cells: 2 no run" in invoke("study", "show", "which").stdout
    assert [cell.state for cell in read_study(store, "which").cells] == ["not run", "not run"]
    study_of(GRID)
    assert document("ablate", "--grid", "which.yaml", "--plan", "--set", "scoring.metrics=[l1]")["skipped"] == 0


def test_a_report_is_not_overwritten_by_one_of_fewer_finished_cells(store: Store) -> None:
    study = loss_study(store, [0, 1])
    invoke("report")
    page = Path("reports/loss/index.html").read_bytes()
    store.run(str(study.cells[0].run_id)).set_status("failed", "made to")
    result = invoke("report", code=2)
    assert "has a report of 10 finished cells, and the study has 9 now" in " ".join(result.stderr.split())
    assert Path("reports/loss/index.html").read_bytes() == page
    invoke("report", "--overwrite")
    assert Path("reports/loss/index.html").read_bytes() != page
    invoke("report")


def test_studies_are_listed_and_shown(store: Store) -> None:
    loss_study(store, [0])
    write_study(study_of(GRID + "training: {epochs: 1}\n"), store)
    listed = {row["study"]: row for row in document("study", "list")["studies"]}
    assert (listed["loss"]["finished"], listed["loss"]["cells"], listed["which"]["finished"]) == (5, 5, 0)
    assert "5 of 5" in invoke("study", "list").stdout
    shown = document("study", "show", "loss")
    assert (shown["baseline"], shown["factors"]) == (
        "l1+cgan",
        {"objective": ["l1", "gan", "cgan", "l1+gan", "l1+cgan"]},
    )
    text = invoke("study", "show", "which").stdout
    for word in ("factor objective", "l1, l1+cgan", "no run", "2 cells: 2 no run"):
        assert word in text
    assert "did you mean 'which'" in error_of("study", "show", "whihc", code=2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kills processes at moments of the clock")
def test_replace_that_is_killed_at_any_moment_loses_no_definition(store: Store) -> None:
    """A process writes both definitions in turn, each time in the place of the other, until it is killed."""
    study_of(GRID, "a"), study_of(GRID + "training: {epochs: 1}\n", "b")
    program = (
        "import sys\nfrom pathlib import Path\nfrom p2pbench.runs.store import Store\n"
        "from p2pbench.study.plan import build_study\nfrom p2pbench.study.study_file import write_study\n"
        "both = [build_study(f'{f}/which.yaml', None, {'scoring.metrics': ['l1']}, [0]) for f in 'ab']\n"
        "for number, study in enumerate(both * 10_000):\n    write_study(study, Store(Path('runs')), replace=True)\n"
        "    if number == 2:\n        print('begun', flush=True)\n"
    )
    chance = random.Random(3)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=dict(os.environ))
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.02, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        records = [store.read_study("which", version) for version in (None, *store.versions("which"))]
        epochs = {
            json.loads(record.model_dump_json())["cells"][0]["config"]["training"]["epochs"] for record in records
        }
        assert epochs == {1, 2}


def test_data_that_changed_are_told_from_code_that_did(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of(GRID)
    write_study(study, store)
    run = store.run(str(study.cells[0].run_id))
    run.set_status("finished", data_key="of other files")
    monkeypatch.setattr("p2pbench.study.definition.run_id", lambda config, key: "another")
    with pytest.raises(ConfigError, match=r"l1: files of .*, its data, have changed since \(p2pbench data check "):
        write_study(study, store)
    run.set_status("finished", data_key=study.cells[0].data_key)
    with pytest.raises(ConfigError, match="l1: the code of a network has changed since"):
        write_study(study, store)


def test_what_a_grid_asks_of_scores_that_nobody_makes_comes_with_a_caution(store: Store) -> None:
    extra = "scoring: {extra_metrics: [psnr]}\n"
    primary = study_of(GRID + "primary: [fid, lpips]\nmargins: {ssim: 0.02, l1: 0.01}\n" + extra)
    assert primary.cautions() == [
        "primary scores (fid, lpips) and margins (ssim) of which play no part, for no cell is scored by them: "
        "--set 'scoring.extra_metrics=[psnr, fid, lpips, ssim]' adds them"
    ]
    assert study_of(GRID + "primary: [fid, l1]\n").cautions() == []


def test_half_lives_that_are_one_and_choices_among_more_epochs_come_with_a_caution(store: Store) -> None:
    lives = "".join(f"{{label: l{images}, training.ema: {images}}}, " for images in (5, 60, 90))
    grid = f"factors: {{average: [{lives}]}}\n"
    source: dict[str, Any] = {"data__source": "drawn:20", "training__epochs": 50}
    assert study_of(grid, **source).cautions() == [
        "training.ema of 60 and 90 images are one recipe: a half-life is at most a twentieth of the images seen, 50"
    ]
    epochs = "factors: {training.epochs: [2, 4]}\n"
    (caution,) = study_of(epochs, data__source="drawn:20", training__select="ssim").cautions()
    assert caution.startswith("training.select takes the best of as many epochs as a variant has")
    assert study_of(epochs, data__source="drawn:20").cautions() == []
    timed: dict[str, Any] = {"training__seconds": 60, "training__select": "ssim"}
    assert study_of(grid, data__source="drawn:20", **timed).cautions() == []  # before they are epochs
