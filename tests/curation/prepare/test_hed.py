"""Holistically-nested edges with weights of the published layout and random content: the published ones are 56 MB."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from program import document, error_of
from reading import read_image, read_pair
from torch import Tensor, nn

from p2pbench.curation.prepare import hed
from p2pbench.curation.prepare.hed import edge_probability, layout, read_detector, side_outputs
from p2pbench.data.pairs import find_pairs
from p2pbench.errors import ConfigError, WeightsError

WIDTHS = {"One": [64, 64], "Two": [128, 128], "Thr": [256] * 3, "Fou": [512] * 3, "Fiv": [512] * 3}


def upsampled(scores: Tensor, factor: int) -> Tensor:
    """Bilinear, each score in the middle of the ``factor`` x ``factor`` pixels that it is of; by matrices."""

    def matrix(n: int) -> Tensor:
        at = np.clip((np.arange(n * factor) + 0.5) / factor - 0.5, 0, n - 1)
        return torch.tensor(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(n))), dtype=scores.dtype)

    return matrix(scores.shape[2]) @ scores @ matrix(scores.shape[3]).T


class Plain(nn.Module):
    """The network as the paper draws it, for sides that are multiples of 16; its names are those of the file."""

    def __init__(self) -> None:
        super().__init__()
        before = 3
        for stage, widths in WIDTHS.items():
            layers: list[nn.Module] = [] if stage == "One" else [nn.MaxPool2d(2)]
            for width in widths:
                convolution = nn.Conv2d(before, width, 3, padding=1)
                nn.init.kaiming_normal_(convolution.weight)
                layers += [convolution, nn.ReLU()]
                before = width
            self.add_module(f"moduleVgg{stage}", nn.Sequential(*layers))
        for stage, widths in WIDTHS.items():
            self.add_module(f"moduleScore{stage}", nn.Conv2d(widths[-1], 1, 1))
        fusion = nn.Conv2d(5, 1, 1)
        nn.init.normal_(fusion.weight, std=0.02)
        self.moduleCombine = nn.Sequential(fusion, nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        sides = []
        for index, stage in enumerate(WIDTHS):
            x = self.get_submodule(f"moduleVgg{stage}")(x)
            sides.append(upsampled(self.get_submodule(f"moduleScore{stage}")(x), 2**index))
        return sides, self.moduleCombine(torch.cat(sides, 1))


@pytest.fixture(scope="module")
def plain() -> Plain:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Plain().requires_grad_(False)


@pytest.fixture(scope="module")
def file(plain: Plain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the published file is: a module's state in torch's format of 2018."""
    path = tmp_path_factory.mktemp("hed") / "network-bsds500.pytorch"
    torch.save(plain.state_dict(), path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def weights(file: Path) -> dict[str, Tensor]:
    return {name: tensor.cpu() for name, tensor in read_detector(file).weights.items()}


def flat(**changes: Tensor | None) -> dict[str, Tensor]:
    """All layers with zeros, which take no room; ``changes`` by the name, with __ for the dot; None leaves one out."""
    tensors: dict[str, Tensor | None] = {f"module{name}": torch.zeros(1).expand(shape) for name, shape in layout()}
    tensors |= {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def random_image(*shape: int) -> Tensor:
    return torch.empty(shape).uniform_(-120, 150, generator=torch.Generator().manual_seed(1))


# ---- the network


def test_the_layout_is_that_of_a_module_with_these_names(plain: Plain) -> None:
    assert {f"module{name}": shape for name, shape in layout()} == {
        name: tuple(tensor.shape) for name, tensor in plain.state_dict().items()
    }


def test_the_network_is_that_of_the_paper(plain: Plain, weights: dict[str, Tensor]) -> None:
    image = random_image(2, 3, 48, 32)
    sides, fused = plain(image)
    found = side_outputs(weights, image)
    assert [side.shape for side in found] == [(2, 1, 48, 32)] * 5
    for one, other in zip(sides, found, strict=True):
        assert one.std() > 1
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-3)
    probability = edge_probability(weights, image)
    assert probability.std() > 0.05
    torch.testing.assert_close(probability, fused, rtol=0, atol=1e-4)


def test_the_fused_output_is_the_sigmoid_of_the_weighted_sum(weights: dict[str, Tensor]) -> None:
    image = random_image(1, 3, 19, 21)
    total = weights["Combine.0.bias"].double()
    for weight, side in zip(weights["Combine.0.weight"].flatten(), side_outputs(weights, image), strict=True):
        total = total + weight.double() * side.double()
    assert np.allclose(edge_probability(weights, image), 1 / (1 + np.exp(-total.numpy())), rtol=0, atol=1e-5)


def test_a_side_output_has_the_stages_resolution_at_every_size(weights: dict[str, Tensor]) -> None:
    """Each stage halves the resolution, rounded up: its scores lie 2, 4, 8 and 16 pixels apart, straight between."""
    for height, width in ((1, 1), (3, 5), (37, 50)):
        for index, side in enumerate(side_outputs(weights, random_image(1, 3, height, width))):
            assert side.shape == (1, 1, height, width)
            step = 2**index
            bent = side[0, 0].diff(dim=1).diff(dim=1).abs() > 1e-3
            # A slope may change only between the two pixels about the middle of a block.
            columns = torch.nonzero(bent.any(dim=0)).flatten() + 1
            assert all((int(column) - step // 2) % step in (0, step - 1) for column in columns)
            if (height, width) == (37, 50):
                assert len(columns) > 0


def test_the_end_of_the_image_reaches_less_far_than_the_border(weights: dict[str, Tensor]) -> None:
    """The deepest stage sees 196 pixels about each score, and scores lie 16 apart: 98 + 16 to each side."""
    image = random_image(1, 3, 16, 320)
    changed = image.clone()
    changed[..., 0] += 50
    for index, (one, other) in enumerate(zip(*(side_outputs(weights, i) for i in (image, changed)), strict=True)):
        reached = int(torch.nonzero((one != other).any(dim=2).flatten()).max())
        field, step = (5, 14, 40, 92, 196)[index], 2**index
        assert reached <= field // 2 + (step if index else 0)
        assert reached >= field // 4
    assert reached < hed.BORDER


# ---- of a photo


def test_a_photos_edges_are_dark_on_white_and_those_of_its_mirrored_whole(plain: Plain, file: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (20, 9, 3), dtype=np.uint8)
    before = photo.copy()
    found = read_detector(file)(photo)
    assert found.shape == (20, 9, 3)
    assert found.dtype == np.uint8
    assert (found == found[..., :1]).all()
    assert np.array_equal(photo, before)
    # By hand: mirrored without repeating the outermost pixels, blue first, less the means; 272 = 17 * 16 on each side.
    rows, columns = (np.abs((np.arange(-128, 144) + n - 1) % (2 * n - 2) - n + 1) for n in (20, 9))
    mirrored = photo[rows][:, columns].astype(np.float64)
    channels = [mirrored[..., 2] - 104.00698793, mirrored[..., 1] - 116.66876762, mirrored[..., 0] - 122.67891434]
    _, fused = plain(torch.tensor(np.stack(channels)[None], dtype=torch.float32))
    expected = 255 * (1 - fused[0, 0, 128:148, 128:137].double().numpy())
    assert np.ptp(expected) > 20
    assert np.abs(found[..., 0] - expected).max() <= 0.51


def test_a_photo_of_one_colour_has_one_value_up_to_its_end(file: Path) -> None:
    found = read_detector(file)(np.full((1, 18, 3), (30, 200, 90), np.uint8))
    assert np.ptp(found.astype(int)) <= 1


def test_without_evidence_the_edges_are_the_bias(tmp_path: Path) -> None:
    tensors = flat(moduleCombine__0__bias=torch.tensor([-1.5]))
    found = read_detector(saved(tmp_path / "x", tensors))(np.zeros((2, 3, 3), np.uint8))
    assert (found == round(255 * (1 - 1 / (1 + np.exp(1.5))))).all()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_gives_the_same_edges_and_says_when_a_photo_is_too_large(weights: dict[str, Tensor], file: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (33, 40, 3), dtype=np.uint8)
    detector = read_detector(file)
    there, here = detector(photo), hed.Detector("", weights)(photo)
    assert np.abs(there.astype(int) - here).max() <= 1
    torch.cuda.set_per_process_memory_fraction(0.002)
    try:
        with pytest.raises(ConfigError, match="4000x4000 pixels; give a smaller --size"):
            detector(np.zeros((4000, 4000, 3), np.uint8))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


# ---- the file of weights


def test_both_spellings_of_the_names_are_read(plain: Plain, weights: dict[str, Tensor], tmp_path: Path) -> None:
    newer = {name.replace("module", "net"): tensor for name, tensor in plain.state_dict().items()}
    found = read_detector(saved(tmp_path / "newer", newer)).weights
    image = random_image(1, 3, 16, 16)
    assert torch.equal(edge_probability(weights, image), edge_probability(found, image))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: {"features.0.weight": torch.zeros(64, 3, 3, 3)}, "layer moduleVggOne.0.weight is missing"),
        (lambda: {"netVggOne.0.weight": torch.zeros(64, 3, 3, 3)}, "layer netVggOne.0.bias is missing"),
        (
            lambda: flat(moduleVggTwo__1__weight=torch.zeros(128, 64, 1, 1), moduleCombine__0__bias=None),
            "layer moduleVggTwo.1.weight has the shape (128, 64, 1, 1) and not (128, 64, 3, 3)",
        ),
        (lambda: flat(moduleCombine__0__bias=None), "layer moduleCombine.0.bias is missing"),
        (lambda: flat(moduleScoreFiv__bias=torch.tensor([torch.nan])), "moduleScoreFiv.bias has values that are not"),
        (lambda: [torch.zeros(1)], "is not a dictionary of tensors"),
        (lambda: {"moduleVggOne.0.weight": Path("an object")}, "cannot be read as weights"),
    ],
)
def test_another_file_is_refused(content: Callable[[], Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        read_detector(saved(tmp_path / "other.pth", content()))
    assert message in str(caught.value)
    assert "other.pth" in str(caught.value)


# ---- the command


def prepare(*arguments: str | Path, code: int = 0) -> Any:
    """Runs ``data prepare``: its document, or the one line of its error."""
    asked = ("data", "prepare", *arguments)
    return error_of(*asked, "--json", code=code) if code else document(*asked)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three tiny photos with splits of their own, in the folder that we are in."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name in ("train/x.png", "train/y.png", "test/x.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 12, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def test_photos_become_pairs_of_edges_and_photo(
    photos: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[object] = []
    at_once = []

    def watched(*arguments: Any) -> Tensor:
        running.append(arguments)
        time.sleep(0.05)  # longer than a photo is read in
        at_once.append(len(running))
        found = edge_probability(*arguments)
        running.pop()
        return found

    monkeypatch.setattr(hed, "edge_probability", watched)
    arguments = ("photos", "--out", "pairs", "--condition", "hed", "--hed-weights")
    found = prepare(*arguments, file)
    assert at_once == [1, 1, 1]
    assert found["state"] == "prepared"
    assert found["settings"]["hed_weights"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.name not in Path("pairs/prepared.json").read_text()
    assert "torch" in found["versions"]
    (pair,) = find_pairs(Path("pairs"))["test"]
    edges, photo = read_pair(pair)
    assert np.array_equal(photo, read_image(photos / "test" / "x.png"))
    assert np.array_equal(edges, read_detector(file)(photo))

    moved = shutil.copy(file, tmp_path / "moved")
    assert prepare(*arguments, moved)["state"] == "already there"
    message = prepare(*arguments, saved(tmp_path / "zeros", flat()), code=2)
    assert f"holds another preparation (hed_weights {found['settings']['hed_weights']}, now " in message


@pytest.mark.parametrize(
    ("options", "code", "messages"),
    [
        (("--condition", "hed"), 2, ("download network-bsds500.pytorch (56 MB, http://", "name it with --hed-weights")),
        (("--condition", "hed", "--hed-weights", "absent"), 2, ("--hed-weights absent: there is no such file",)),
        (("--condition", "hed", "--hed-weights", "photos"), 2, ("--hed-weights photos: there is no such file",)),
        (("--condition", "hed", "--hed-weights", "photos/test/x.png"), 3, ("x.png cannot be read as weights",)),
        (("--hed-weights", "w"), 2, ("--hed-weights belongs to --condition hed, not gray",)),
        (("--halves", "--hed-weights", "w"), 2, ("--hed-weights belongs to --condition hed; leave it out",)),
        (("--condition", "hed", "--sigma", "2"), 2, ("--sigma belongs to --condition edges, not hed",)),
    ],
)
@pytest.mark.usefixtures("photos")
def test_mistakes_are_one_line(options: tuple[str, ...], code: int, messages: tuple[str, ...]) -> None:
    line = prepare("photos", "--out", "pairs", *options, code=code)
    assert all(message in line for message in messages)
    assert not Path("pairs").exists()


@pytest.mark.usefixtures("photos")
def test_the_other_conditions_do_without_torch() -> None:
    program = (
        "import sys; from pathlib import Path; from p2pbench.curation.prepare.prepare import prepare_pairs;"
        "from p2pbench.curation.prepare.recipe import build_recipe;"
        "prepare_pairs('photos', Path('pairs'), build_recipe(condition='gray')); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
