"""Any size, channel count and colour space from the command line; models of ours and of the port put to use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from port_network import Port, trained
from program import document, error_of, invoke
from reading import read_array
from study_workplace import Workplace

SETTINGS = ("--protocol", "tiny.yaml", "--set", "training.epochs=1")


@pytest.fixture(autouse=True)
def _here(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace.folder)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def set_of(**settings: object) -> list[str]:
    return [part for key, value in settings.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]


def test_scores_say_on_which_targets_they_are_which_a_filter_changes_only_where_it_resizes(
    workplace: Workplace,
) -> None:
    found = {}
    for size in (20, 16):  # the pairs are of 20x20
        for name in ("bilinear", "bicubic"):
            sizes = set_of(data__load_size=size, data__crop_size=size, data__resize_filter=name)
            made = document("train", *SETTINGS, *sizes, "--out", f"{name}-{size}")
            found[name, size] = made["scores"]["l1"]["settings"]["targets_sha256"]
    assert found["bilinear", 20] == found["bicubic", 20]
    assert found["bilinear", 16] != found["bicubic", 16]


def test_a_rectangle_is_padded_cropped_back_and_said_to_be(workplace: Workplace) -> None:
    sizes = set_of(data__load_size=[20, 30], data__crop_size=[18, 27])
    text = invoke("ablate", "--grid", "two.yaml", *sizes, "--plan").stdout
    assert "18x27 is padded to 32x32 inside the generator, and cropped back" in text
    found = document("train", *SETTINGS, *sizes, "--out", "run")
    assert found["scores"]["l1"]["settings"]["size"] == [18, 27]
    assert found["scores"]["l1"]["settings"]["padded_to"] == [32, 32]
    assert pixels(workplace.folder / "run" / "samples" / "test" / "00000-output.png").shape == (18, 27, 3)
    text = invoke("describe", *set_of(data__load_size=300, data__crop_size=[100, 200])).stdout
    assert "works on 128x256: padded, and cropped back" in " ".join(text.split())


def test_colorization_gives_outputs_the_lightness_of_their_condition(workplace: Workplace) -> None:
    colours = set_of(data__colours="lab", data__channels=[1, 2], objective__name="l1")
    found = document("train", *SETTINGS, *colours, "--out", "run")
    assert found["state"] == "finished"
    samples = workplace.folder / "run" / "samples" / "test"
    condition, output, target = (pixels(samples / f"00000-{name}.png") for name in ("condition", "output", "target"))
    assert np.ptp(condition, axis=2).max() <= 1  # L alone is grey
    assert np.ptp(target, axis=2).max() > 100
    luma = np.array([0.299, 0.587, 0.114])
    near_white_or_black = (condition.mean(2) < 5) | (condition.mean(2) > 250)
    assert near_white_or_black.any() or np.corrcoef((output @ luma).ravel(), condition.mean(2).ravel())[0, 1] > 0.9


@pytest.mark.parametrize("channels", [[1, 3], [3, 1]])
def test_a_side_may_be_grey(workplace: Workplace, channels: list[int]) -> None:
    found = document("train", *SETTINGS, *set_of(data__channels=channels), "--out", "run")
    assert found["state"] == "finished"
    name = "condition" if channels[0] == 1 else "output"
    picture = pixels(workplace.folder / "run" / "samples" / "test" / f"00000-{name}.png")
    assert np.ptp(picture, axis=2).max() == 0


def test_channels_that_images_do_not_have_are_refused(workplace: Workplace) -> None:
    message = invoke("train", *SETTINGS, *set_of(data__channels=[4, 3]), code=3).stderr
    assert "000.png has 3 channels, where data.channels asks for 4" in message


@pytest.fixture
def port(workplace: Workplace) -> Path:
    path = workplace.folder / "latest_net_G.pth"
    torch.save(trained(Port(4, 4, "batch", (3, 3))).state_dict(), path)
    return path


def test_weights_of_the_port_are_scored_on_data_that_settings_name(workplace: Workplace, port: Path) -> None:
    data = set_of(data__source="pairs", data__crop_size=16, data__load_size=16, discriminator__name="pixel")
    found = document("score", "--model", port.name, *data, "--metrics", "l1,diversity")
    assert found["n"] == 3
    assert found["scores"]["l1"]["state"] == "measured"
    assert found["scores"]["diversity"]["value"] == 0  # a U-Net of four levels has no dropout in the port
    evaluated = document("score", "--model", port.name, *data, *set_of(scoring__inference="eval"))
    assert evaluated["scores"]["l1"]["value"] != found["scores"]["l1"]["value"]
    message = invoke("score", "--model", port.name, *set_of(generator__ngf=8), code=2).stderr
    assert "latest_net_G.pth decides it (4)" in message
    assert "there is no such file" in invoke("score", "--model", "nothing.pth", code=3).stderr


def test_pictures_are_translated_at_their_own_size(workplace: Workplace, port: Path) -> None:
    folder = workplace.folder / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, (height, width) in {"a": (16, 16), "b": (21, 34)}.items():
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    found = document("translate", "--model", port.name, "pictures", "--out", "out")
    assert found["files"] == ["out/a.png", "out/b.png"]
    assert pixels(workplace.folder / "out" / "b.png").shape == (21, 34, 3)
    first = (workplace.folder / "out" / "b.png").read_bytes()
    invoke("translate", "--model", port.name, "pictures/b.png", "--out", "out")
    assert (workplace.folder / "out" / "b.png").read_bytes() == first
    for arguments, code, message in (
        (("pictures", "pictures/a.png", "--out", "out"), 3, "have the same name"),
        (("missing.png", "--out", "out"), 3, "no such file"),
        (("pictures", "--out", "pictures"), 2, "could be overwritten"),
        (("pictures", "--out", "out", "--set", "data.channels=[1, 3]"), 2, "decides it"),
    ):
        assert message in invoke("translate", "--model", port.name, *arguments, code=code).stderr
    document("train", *SETTINGS, "--out", "run")
    assert (
        "settings of its own"
        in invoke("translate", "--model", "run", "pictures", "--out", "out", "--set", "training.seed=1", code=2).stderr
    )
    assert document("translate", "--model", "run", "pictures", "--out", "out")["files"] == found["files"]


def write_kind(folder: Path, kind: str) -> None:
    """Six training and two test pairs: an RGB photograph and a 16-bit map in grey, or arrays of four bands and two."""
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 2)):
        for side in "AB":
            (folder / split / side).mkdir(parents=True)
        for name in map(str, range(count)):
            if kind == "depth":
                photo = random.integers(0, 256, (20, 20, 3), dtype=np.uint8)
                Image.fromarray(photo).save(folder / split / "A" / f"{name}.png")
                Image.fromarray(photo[..., 0].astype(np.uint16) * 16).save(folder / split / "B" / f"{name}.png")
            else:
                bands = random.normal(size=(20, 20, 4)).astype(np.float32)
                np.save(folder / split / "A" / f"{name}.npy", bands)
                np.save(folder / split / "B" / f"{name}.npy", bands[..., :2] * 10)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("depth", {"data__channels": [3, 1], "data__range": [None, [0, 4095]]}),
        ("bands", {"data__channels": [4, 2], "data__range": [[-3, 3], [-30, 30]]}),
    ],
)
def test_sixteen_bits_and_many_channels_train_score_and_come_back(
    workplace: Workplace, kind: str, settings: dict[str, object]
) -> None:
    write_kind(workplace.folder / kind, kind)
    chosen = set_of(**{key: str(value).replace("None", "null") for key, value in settings.items()}, data__source=kind)
    metrics = set_of(scoring__metrics="[l1, psnr, ssim, sharpness]")
    found = document("train", *SETTINGS, *chosen, *metrics, "--out", "run")
    assert found["state"] == "finished"
    assert found["scores"]["ssim"]["state"] == "measured"
    if kind == "bands":
        assert found["scores"]["sharpness"]["reason"] == "is a score of RGB images; these have 2 channels"
    (made,) = document("translate", "--model", "run", f"{kind}/test/A/0.{'png' if kind == 'depth' else 'npy'}",
                             "--out", "out")["files"]  # fmt: skip
    output = read_array(workplace.folder / made, None)
    if kind == "depth":
        assert made == "out/0.png"
        assert output.shape == (20, 20, 1)
    else:
        assert made == "out/0.npy"
        assert output.shape == (20, 20, 2)
        assert -30 <= output.min() < output.max() <= 30
        message = invoke("train", *SETTINGS, *set_of(data__source=kind), "--out", "other", code=3).stderr
        assert "holds float32 values: say with data.range" in message


def test_a_folder_of_the_port_translates_without_settings(workplace: Workplace) -> None:
    """unet_512 halves a picture nine times, which the default crop of 256 pixels does not allow."""
    folder = workplace.folder / "checkpoints"
    folder.mkdir()
    torch.save(trained(Port(9, 2, "batch", (3, 3))).state_dict(), folder / "latest_net_G.pth")
    Image.new("RGB", (40, 24), (200, 30, 30)).save("x.png")
    for model in (folder, folder / "latest_net_G.pth"):
        (output,) = document("translate", "--model", model, "x.png", "--out", "out", "--again")["files"]
        assert pixels(Path(output)).shape == (24, 40, 3)


@pytest.mark.parametrize("content", ["network", "nested"])
def test_what_holds_more_than_tensors_is_refused_in_one_line(content: str, workplace: Workplace) -> None:
    network = torch.nn.Linear(2, 2)
    torch.save({"network": network, "nested": {"G": network.state_dict(), "epoch": 3}}[content], "latest_net_G.pth")
    message = error_of("translate", "--model", "latest_net_G.pth", "x.png", "--out", "out", code=3)
    assert "torch.save(network.state_dict(), file)" in message
    assert "weights_only" not in message
