"""Any size, channel count and colour space from the command line; models of ours and of the port put to use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from port_network import Port, trained
from study_workplace import Workplace

SETTINGS = ("--protocol", "tiny.yaml", "--set", "training.epochs=1")


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def set_of(**settings: object) -> list[str]:
    return [part for key, value in settings.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]


def test_a_rectangle_is_padded_cropped_back_and_said_to_be(workplace: Workplace) -> None:
    sizes = set_of(data__load_size=[20, 30], data__crop_size=[18, 27])
    text = workplace.run("ablate", "--grid", "two.yaml", *sizes, "--plan").stdout
    assert "18x27 is padded to 32x32 inside the generator, and cropped back" in text
    found = workplace.json("train", *SETTINGS, *sizes, "--out", "run")
    assert found["scores"]["l1"]["settings"]["size"] == [18, 27]
    assert found["scores"]["l1"]["settings"]["padded_to"] == [32, 32]
    assert pixels(workplace.folder / "run" / "samples" / "test" / "00000-output.png").shape == (18, 27, 3)
    text = workplace.run("describe", *set_of(data__load_size=300, data__crop_size=[100, 200])).stdout
    assert "works on 128x256: padded, and cropped back" in " ".join(text.split())


def test_colorization_gives_outputs_the_lightness_of_their_condition(workplace: Workplace) -> None:
    colours = set_of(data__colours="lab", data__channels=[1, 2], objective__name="l1")
    found = workplace.json("train", *SETTINGS, *colours, "--out", "run")
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
    found = workplace.json("train", *SETTINGS, *set_of(data__channels=channels), "--out", "run")
    assert found["state"] == "finished"
    name = "condition" if channels[0] == 1 else "output"
    picture = pixels(workplace.folder / "run" / "samples" / "test" / f"00000-{name}.png")
    assert np.ptp(picture, axis=2).max() == 0


def test_channels_that_images_do_not_have_are_refused(workplace: Workplace) -> None:
    message = workplace.run("train", *SETTINGS, *set_of(data__channels=[4, 3]), code=2).stderr
    assert "data.channels is [4, 3]: images are seen as 3 channels (RGB) or as 1 (grey)" in message


@pytest.fixture
def port(workplace: Workplace) -> Path:
    path = workplace.folder / "latest_net_G.pth"
    torch.save(trained(Port(4, 4, "batch", (3, 3))).state_dict(), path)
    return path


def test_weights_of_the_port_are_scored_on_data_that_settings_name(workplace: Workplace, port: Path) -> None:
    data = set_of(data__source="pairs", data__crop_size=16, data__load_size=16, discriminator__name="pixel")
    found = workplace.json("score", "--model", port.name, *data, "--metrics", "l1,diversity")
    assert found["n"] == 3
    assert found["scores"]["l1"]["state"] == "measured"
    assert found["scores"]["diversity"]["value"] == 0  # a U-Net of four levels has no dropout in the port
    evaluated = workplace.json("score", "--model", port.name, *data, *set_of(scoring__inference="eval"))
    assert evaluated["scores"]["l1"]["value"] != found["scores"]["l1"]["value"]
    message = workplace.run("score", "--model", port.name, *set_of(generator__ngf=8), code=2).stderr
    assert "latest_net_G.pth decides it (4)" in message
    assert "there is no such file" in workplace.run("score", "--model", "nothing.pth", code=3).stderr


def test_pictures_are_translated_at_their_own_size(workplace: Workplace, port: Path) -> None:
    folder = workplace.folder / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, (height, width) in {"a": (16, 16), "b": (21, 34)}.items():
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    found = workplace.json("translate", "--model", port.name, "pictures", "--out", "out")
    assert found["files"] == ["out/a.png", "out/b.png"]
    assert pixels(workplace.folder / "out" / "b.png").shape == (21, 34, 3)
    first = (workplace.folder / "out" / "b.png").read_bytes()
    workplace.run("translate", "--model", port.name, "pictures/b.png", "--out", "out")
    assert (workplace.folder / "out" / "b.png").read_bytes() == first
    for arguments, code, message in (
        (("pictures", "pictures/a.png", "--out", "out"), 3, "have the same name"),
        (("missing.png", "--out", "out"), 3, "no such file"),
        (("pictures", "--out", "pictures"), 2, "would be overwritten"),
        (("pictures", "--out", "out", "--set", "data.channels=[1, 3]"), 2, "decides it"),
    ):
        assert message in workplace.run("translate", "--model", port.name, *arguments, code=code).stderr
    workplace.json("train", *SETTINGS, "--out", "run")
    assert (
        "settings of its own"
        in workplace.run(
            "translate", "--model", "run", "pictures", "--out", "out", "--set", "training.seed=1", code=2
        ).stderr
    )
    assert workplace.json("translate", "--model", "run", "pictures", "--out", "out")["files"] == found["files"]
