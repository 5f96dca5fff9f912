"""The program through its command line: what each command prints, its JSON, its exit codes, its one-line errors."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from program import document, error_of, invoke
from study_workplace import Workplace

from p2pbench.runs.folder import RunFolder
from p2pbench.scoring.colour import COLOURS
from p2pbench.system.files import sha256_of

TINY = (
    "--set", "data.load_size=18", "--set", "data.crop_size=16", "--set", "generator.ngf=4",
    "--set", "discriminator.name=patch16", "--set", "discriminator.ndf=4", "--set", "training.epochs=2",
    "--set", "training.threads=1", "--set", "scoring.metrics=l1,psnr,ssim",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# ---- describe


def test_describe_prints_the_published_figures() -> None:
    found = document("describe", "--set", "generator.name=unet", "--set", "discriminator.name=patch70")
    generator, discriminator = found["generator"], found["discriminator"]
    assert (generator["name"], generator["parameters"]) == ("unet", 54_419_459)
    assert (discriminator["name"], discriminator["parameters"]) == ("patch70", 2_769_601)
    assert (discriminator["receptive_field"], discriminator["output_grid"]) == (70, [30, 30])
    assert {"name", "parameters", "flops", "layers"} <= generator.keys()
    text = invoke("describe").stdout
    assert "54,419,459 parameters" in text
    assert "6.39 GFLOPs an image; receptive field 70, output grid" in text
    text = invoke("describe", "--set", "discriminator.name=projected").stdout
    assert "…" not in text
    line = " ".join(text.split()).rpartition("GFLOPs an image; ")[2]
    assert line == "receptive field 70, output grid 30x30; 4 maps: receptive field whole image, output grid 4x4"


def test_describe_without_a_discriminator() -> None:
    assert document("describe", "--set", "objective.name=l1")["discriminator"] is None
    assert "has none" in invoke("describe", "--set", "objective.name=l1").stdout


# ---- train, score


def test_train_then_score_then_train_again(pairs_folder: Path) -> None:
    found = document("train", *TINY, "--set", f"data.source={pairs_folder}", "--out", "run")
    assert found["state"] == "finished"
    assert found["scores"]["ssim"]["state"] == "measured"
    assert 0 < found["training"]["data_wait_share"] < 1
    by_model = document("score", "--model", "run", "--metrics", "l1,ssim")
    assert by_model["n"] == 3
    for name in ("l1", "ssim"):
        assert by_model["scores"][name]["value"] == found["scores"][name]["value"]
    recorded = (Path("run") / "scores.json").read_bytes()
    for split, n in (("train", 6), ("test", 3)):
        of_split = document("score", "--model", "run", "--metrics", "l1", "--split", split)
        assert (of_split["n"], of_split["scores"]["l1"]["settings"]["split"]) == (n, split)
        assert of_split["scores"]["l1"]["settings"]["size"] == 16
    assert (Path("run") / "scores.json").read_bytes() == recorded
    assert "has no split 'val'; it has train, test" in error_of("score", "--model", "run", "--split", "val", code=2)
    before = (Path("run") / "generator.safetensors").read_bytes()
    again = invoke("train", *TINY, "--set", f"data.source={pairs_folder}", "--out", "run")
    assert "trained before: nothing is trained again" in again.stderr
    assert (Path("run") / "generator.safetensors").read_bytes() == before
    copy = document("train", "--config", "run/config.yaml", "--out", "copy")
    assert copy["run_id"] == found["run_id"]
    assert (Path("copy") / "generator.safetensors").read_bytes() == before
    assert "1 run, 1 of them whole" in invoke("runs", "verify", "run").stdout  # whatever its folder is called
    logged = (Path("run") / "log.txt").read_bytes()
    message = error_of(
        "train", *TINY, "--set", f"data.source={pairs_folder}", "--set", "training.seed=1", "--out", "run", code=2
    )
    assert "holds another run" in message
    assert (Path("run") / "log.txt").read_bytes() == logged
    assert json.loads((Path("run") / "status.json").read_text())["state"] == "finished"  # it is not ours to mark
    first = sorted((pairs_folder / "test").iterdir())[0]
    Image.new("RGB", (40, 20)).save(first)
    assert "have changed since" in error_of("score", "--model", "run", code=3)


def test_a_run_is_scored_where_its_data_moved_to_and_other_data_are_noted(pairs_folder: Path) -> None:
    found = document("train", *TINY, "--set", f"data.source={pairs_folder}", "--out", "run")["scores"]["l1"]
    moved = pairs_folder.rename(pairs_folder.with_name("moved"))
    translate = ("translate", "--model", "run", "--split", "test", "--out", "translated")
    for asked in (("score", "--model", "run"), translate):
        assert "--set data.source=FOLDER" in error_of(*asked, code=3)
    assert len(document(*translate, "--set", f"data.source={moved}")["files"]) == 3
    ask = ("score", "--model", "run", "--metrics", "l1", "--set", f"data.source={moved}")
    scored = document(*ask, "--per-image", "each.csv")["scores"]["l1"]
    assert (scored["value"], scored["notes"]) == (found["value"], [])
    rows = [line.split(",") for line in Path("each.csv").read_text().splitlines()]
    assert [row[0] for row in rows] == ["image", "000", "001", "002"]
    assert np.mean([float(row[1]) for row in rows[1:]]) == pytest.approx(scored["value"])
    Image.new("RGB", (40, 20)).save(moved / "test" / "000.png")
    other = document(*ask)["scores"]["l1"]
    assert other["value"] != found["value"]
    assert other["notes"] == [f"the content of {moved} is not what run was trained on"]
    assert "of its own" in error_of("score", "--model", "run", "--set", "data.mirror=true", code=2)


def test_an_unfinished_run_is_gone_on_with_only_when_asked(pairs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from p2pbench.training import engine

    real = engine.train_step
    steps = 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 5:
            os.kill(os.getpid(), 2)
        return real(*arguments)

    arguments = ("train", *TINY, "--set", f"data.source={pairs_folder.relative_to(Path.cwd())}", "--out", "run")
    monkeypatch.setattr(engine, "train_step", interrupted)
    said = invoke(*arguments, code=130).stderr
    assert "stopped at step 5 of 12" in said
    monkeypatch.setattr(engine, "train_step", real)
    assert json.loads(Path("run/status.json").read_text())["state"] == "interrupted"
    program, *command = shlex.split(said.split("go on with: ")[1])
    assert (program, command) == ("p2pbench", ["train", "--resume", "--out", str(Path("run").absolute())])
    assert shlex.join(command) in error_of(*arguments, code=2)
    assert "no run to go on with" in error_of(*arguments[:-1], "elsewhere", "--resume", code=2)
    assert "holds another run" in error_of(*command, "--set", "training.epochs=9", code=2)
    for name in ("by-options", "by-command", "in-folder"):
        shutil.copytree("run", name)
    assert document(*arguments[:-1], "by-options", "--resume")["state"] == "finished"
    here, command[-1] = Path.cwd(), str(Path("by-command").absolute())
    monkeypatch.chdir("/")  # from there the data's relative path leads nowhere
    assert document(*command)["state"] == "finished"
    assert Path.cwd() == Path("/")
    monkeypatch.chdir(here / "in-folder")
    assert document("train", "--resume")["state"] == "finished"
    assert "started_in" not in {k for k, v in json.loads(Path("status.json").read_text()).items() if v is not None}
    for name in ("by-command", "in-folder"):
        assert (here / name / "scores.json").read_bytes() == (here / "by-options/scores.json").read_bytes()


def test_a_loss_that_is_not_finite_is_said_and_recorded(pairs_folder: Path) -> None:
    arguments = ("train", *TINY, "--set", f"data.source={pairs_folder}", "--out", "run")
    result = invoke(*arguments, "--set", "training.learning_rate=1e30", "--set", "training.epochs=30", code=4)
    assert "is not finite: training has diverged" in result.stderr
    status = json.loads(Path("run/status.json").read_text())
    assert (status["state"], "step" in status["reason"]) == ("failed", True)


def write_images(folder: Path, names: str, size: tuple[int, int] = (24, 20), seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for name in names:
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


def test_a_folder_made_elsewhere_is_scored(tmp_path: Path) -> None:
    fake, target = write_images(tmp_path / "fake", "abc"), write_images(tmp_path / "target", "abc", seed=1)
    found = document("score", "--fake", fake, "--target", target, "--metrics", "l1,psnr,ssim", "--out", "scores.json")
    assert json.loads(Path("scores.json").read_text()) == found
    assert found["n"] == 3
    assert found["scores"]["psnr"]["low"] < found["scores"]["psnr"]["value"] < found["scores"]["psnr"]["high"]
    same = write_images(tmp_path / "same", "abc")
    text = invoke("score", "--fake", fake, "--target", same, "--metrics", "l1,psnr").stdout
    assert "not measured" in text
    assert "identical to their targets" in text
    said = invoke("score", "--fake", fake, "--target", target, "--metrics", "lpips", code=3).stdout
    assert "not measured" in said  # and so nothing was done


def test_folders_get_every_score_that_needs_no_model_and_no_network_elsewhere(tmp_path: Path) -> None:
    """But LPIPS and those of Inception, which say why they are lacking; once for all that lack the same."""
    fake, target = (
        write_images(tmp_path / "fake", "abcd", (40, 40)),
        write_images(tmp_path / "target", "abcd", (40, 40), 1),
    )
    arguments = ("score", "--fake", fake, "--target", target, "--weights-dir", tmp_path)
    found = document(*arguments)["scores"]
    measured = {"l1", "psnr", "ssim", "sharpness", "swd", *COLOURS}
    lacking = {"ms-ssim", "lpips", "kid-paired-alexnet", "fd-alexnet", "mind-alexnet"}
    lacking |= {"kid-paired", "fid", "kid", "precision", "recall", "density", "coverage", "mind"}
    assert {name for name, score in found.items() if score["state"] == "measured"} == measured
    assert found.keys() == measured | lacking
    text = " ".join(invoke(*arguments).stdout.split())
    assert "paired KID, FID, KID, precision (Inception), recall (Inception), MIND: the weights of Inception v3" in text


@pytest.mark.parametrize(
    ("names", "size", "message"),
    [("ab", (24, 20), "lacks"), ("abc", (20, 24), "24x20"), ("", (1, 1), "no images")],
)
def test_folders_that_do_not_match_are_refused(names: str, size: tuple[int, int], message: str, tmp_path: Path) -> None:
    fake, target = write_images(tmp_path / "fake", names, size), write_images(tmp_path / "target", "abc")
    assert message in error_of("score", "--fake", fake, "--target", target, code=3)


def test_a_generator_of_nan_is_not_scored_and_says_why(pairs_folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    invoke("train", *TINY, "--set", f"data.source={pairs_folder}", "--out", "run")
    weights = Path("run") / "generator.safetensors"
    save_file({name: tensor * float("nan") for name, tensor in load_file(weights).items()}, weights)
    assert "is not what training left" in error_of("score", "--model", "run", code=3)
    run = RunFolder(Path("run"))
    training = run.training()
    assert training is not None
    run.set_status("finished", training=training.model_copy(update={"generator_sha256": sha256_of(weights)}))
    found = json.loads(invoke("score", "--model", "run", "--metrics", "l1,swd", "--json", code=3).stdout)
    for score in found["scores"].values():
        assert (score["value"], score["state"]) == (None, "not measured")
        assert "NaN" in score["reason"]
    assert "NaN" in error_of("translate", "--model", "run", pairs_folder / "test", "--out", "out", code=3)


def test_a_truncated_file_and_a_grey_one_beside_colour(tmp_path: Path) -> None:
    fake, target = write_images(tmp_path / "fake", "abc"), write_images(tmp_path / "target", "abc", seed=1)
    Image.open(fake / "b.png").convert("L").save(fake / "b.png")  # grey counts as RGB of equal channels
    assert document("score", "--fake", fake, "--target", target, "--metrics", "l1")["n"] == 3
    Image.open(fake / "a.png").save(fake / "a.jpg")
    (fake / "a.png").unlink()  # JPEG beside PNG: matched by name
    assert document("score", "--fake", fake, "--target", target, "--metrics", "l1")["n"] == 3
    content = (target / "c.png").read_bytes()
    (target / "c.png").write_bytes(content[: len(content) // 2])
    message = error_of("score", "--fake", fake, "--target", target, code=3)
    assert "c.png cannot be read as an image" in message
    assert "--split" in error_of("score", "--fake", fake, "--target", target, "--split", "val", code=2)


def test_score_wants_one_thing_to_score(tmp_path: Path) -> None:
    assert "--model RUN, or both" in error_of("score", code=2)
    assert "--model RUN, or both" in error_of("score", "--fake", tmp_path, code=2)
    assert "neither a run folder nor the id" in error_of("score", "--model", "nothing", code=2)
    fake = write_images(tmp_path / "f", "a")
    assert "nowhere is no folder" in error_of("score", "--fake", "nowhere", "--target", fake, code=3)
    message = error_of("score", "--fake", fake, "--target", fake / "a.png", code=3)
    assert "a.png is a file: give the folder of images" in message
    assert "did you mean 'lpips'" in error_of("score", "--fake", fake, "--target", fake, "--metrics", "lpip", code=2)


# ---- what is wrong with a command


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("ablate", "--grid", "los"), 2, "did you mean 'loss'"),
        (("ablate", "--grid", "loss", "--protocol", "quik"), 2, "did you mean 'quick'"),
        (("ablate", "--grid", "loss", "--set", "training.epoch=1"), 2, "did you mean 'training.epochs'"),
        (("ablate", "--grid", "loss", "--set", "training.epochs=two"), 2, "training.epochs (--set) is 'two'"),
        (("ablate", "--grid", "loss", "--set", "epochs"), 2, "--set key=value"),
        (("ablate", "--grid", "loss", "--seeds", "a,b"), 2, "--seeds 0,1,2"),
        (("ablate", "--grid", "loss", "--set", "data.source=nowhere"), 3, "neither a built-in"),
        (("data", "check", "/no/where"), 3, "(photos, drawn) nor a folder here; name a folder of pairs"),
        (("data", "check", __file__), 3, "is a file; name the folder of pairs, which holds train/ and test/"),
        (("ablate", "--grid", "loss", "--set", "discriminator.name=image286", "--set", "data.crop_size=64"), 2, "96"),
        (("report",), 2, "run p2pbench ablate first"),
        (("train", "--set", "data.crop_size=8"), 2, "16 or more"),
        (("train", "--set", "training.seconds=60"), 2, "give train the training.epochs"),
        (("train", "--config", "missing.yaml"), 2, "cannot be read"),
        (("describe", "--set", "generator.name=unett"), 2, "did you mean 'unet'"),
        (("bench", "stp"), 2, "did you mean 'step'"),
        (("bench", "--minutes", "1"), 2, "give --race too"),
    ],
)
def test_mistakes_are_one_line_with_the_way_out(arguments: tuple[str, ...], code: int, message: str) -> None:
    assert message in error_of(*arguments, code=code)


@pytest.mark.parametrize("arguments", [("abblate",), ("ablate",), ("ablate", "--grid", "loss", "--jobs", "0")])
def test_usage_errors_are_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert invoke(*arguments, code=2).stdout == ""


OWN = {
    "raises": "raise ValueError('no')",
    "exits": "raise SystemExit(0)",
    "returns no network": "return (1, 2)",
    "has no parameters": "return nn.Tanh()",
    "halves the image": "return nn.Conv2d(3, 3, 4, stride=2, padding=1)",
    "returns one channel": "return nn.Conv2d(3, 1, 1)",
}


@pytest.mark.parametrize("what", OWN)
@pytest.mark.parametrize("command", ["describe", "train"])
def test_a_network_of_ones_own_that_is_wrong_is_one_clear_line(
    command: str, what: str, pairs_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = "own_" + "".join(c if c.isalnum() else "_" for c in f"{command}_{what}")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{module}.py").write_text(f"from torch import nn\n\ndef build(config):\n    {OWN[what]}\n")
    arguments = [command, *TINY, "--set", f"generator.name={module}:build", "--set", f"data.source={pairs_folder}"]
    message = error_of(*arguments, *(["--out", "run"] if command == "train" else []), code=2)
    assert f"{module}:build" in message
    if command == "train":
        assert json.loads(Path("run/status.json").read_text())["state"] == "failed"


def test_broken_images_are_found_before_any_cell_starts(workplace: Workplace, pairs_folder: Path) -> None:
    (pairs_folder / "train" / "004.png").write_bytes(b"\x89PNG broken")
    message = error_of("ablate", "--grid", "two.yaml", code=3)
    assert "004.png cannot be read" in message
    assert not Path("runs/cells").exists()
    assert not list(Path(os.environ["P2PBENCH_HOME"]).rglob("*.npy"))


def test_a_store_that_cannot_be_written_is_said_at_once(workplace: Workplace) -> None:
    Path("blocked").write_text("")
    assert "cannot be written" in error_of("ablate", "--grid", "two.yaml", "--runs", "blocked/runs", code=3)


# ---- the others


def test_doctor_says_what_this_machine_has() -> None:
    found = document("doctor")
    assert found["machine"]["cores"] >= 1
    assert "torch" in found["versions"]
    assert "not here" in found["weights"]["inception"]
    assert "alexnet" not in found["weights"]
    assert "untested" in invoke("doctor").stdout


def test_data_list_shows_the_built_in_set() -> None:
    photos = document("data", "list")["sources"][0]
    assert photos["source"] == "photos"
    assert photos["pairs"]["train"] == 400
    assert "photos" in invoke("data", "list").stdout


def test_help_and_version() -> None:
    assert "ablate" in invoke("--help").stdout
    assert invoke("--version").stdout.startswith("p2pbench 0.")


def test_starting_does_not_load_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom p2pbench.cli.app import app\n"
        "for arguments in (['--help'], ['ablate', '--grid', 'loss', '--plan']):\n"
        "    assert CliRunner().invoke(app, arguments).exit_code == 0\n"
        "print(sorted({'torch', 'pandas', 'PIL', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- the real data


@pytest.mark.shared
def test_training_on_real_facades_scores_lpips(shared: Path) -> None:
    for split, n in (("train", 32), ("test", 12)):
        Path("facades", split).mkdir(parents=True)
        for file in sorted((shared / "data" / "facades" / split).iterdir())[:n]:
            Path("facades", split, file.name).symlink_to(file)
    found = document(
        "train", "--set", "data.source=facades", "--set", "data.direction=BtoA",
        "--set", "data.load_size=70", "--set", "data.crop_size=64", "--set", "generator.ngf=4",
        "--set", "discriminator.ndf=4", "--set", "training.epochs=1", "--set", "training.batch_size=16",
        "--set", "scoring.metrics=l1,lpips", "--weights-dir", shared / "weights", "--out", "run",
    )  # fmt: skip
    assert found["training"]["steps"] == 2
    assert found["scores"]["lpips"]["n"] == 12
    assert 0.2 < found["scores"]["lpips"]["value"] < 1.0
    assert found["scores"]["lpips"]["settings"]["net"] == "alex"
