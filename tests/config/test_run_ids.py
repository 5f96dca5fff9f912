"""Run ids computed by the code of version 0.1: a store that it filled must still be recognised."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.run_id import cost_key, identity, run_id
from p2pbench.config.schema import RunConfig
from p2pbench.study.grid import read_grid, read_protocol

DATA_KEY = "key of the data"

SETTINGS: list[tuple[dict[str, object], str]] = [
    ({}, "b32787f4226d"),
    ({"training.preset": "pytorch"}, "fff4a57c262c"),
    ({"objective.name": "l1"}, "908cdf687f51"),
    ({"objective.name": "gan", "discriminator.name": "pixel"}, "a96d65350e78"),
    ({"objective.adversarial": "wgan-gp", "discriminator.norm": "instance"}, "b916588ee45d"),
    ({"objective.lambda_l1": 10, "training.epochs": 2, "training.seed": 3}, "d8048b492ab3"),
    ({"generator.name": "encoder_decoder", "training.batch_size": 10}, "28b5de18ba9e"),
    ({"generator.name": "resnet9", "generator.norm": "instance", "training.preset": "pytorch"}, "47e77b269630"),
    ({"generator.upsampling": "pixel-shuffle", "discriminator.spectral_norm": True}, "a1a4d14f7705"),
    ({"data.crop_size": 128, "data.load_size": 143, "generator.ngf": 32, "discriminator.ndf": 32}, "1dd29f2d52a4"),
    ({"data.crop_size": [128, 256], "data.load_size": [143, 286], "data.direction": "BtoA"}, "67f04baa925e"),
    ({"data.jitter": False, "data.mirror": False, "training.epochs": 15, "training.batch_size": 4}, "bf4b547ba7f7"),
    ({"data.colours": "lab", "data.channels": [1, 2]}, "84d7b16c8eb8"),
    ({"data.channels": [1, 3], "data.range": [[0, 4095], None], "data.background": "white"}, "76c4ecaf0418"),
    ({"training.precision": "bf16", "training.select": "best-on-val"}, "31a77d29e027"),
    ({"generator.name": "own_blur:build"}, "ca024fdeb90b"),
]

GRIDS = [
    ("loss", "quick", ["69f606ad5bf6", "98ba06f6feb0", "972f0c952f8f", "07f2c0c78991", "9d665f5df698"]),
    ("receptive_field", "paper-facades", ["efef72954192", "e955dcdc410b", "dde3a7886b68", "eb8835f7a5fe"]),
    ("colorization", "quick", ["ab77a2fdb87c", "c749fad50855", "c1a89bdb70ab", "e3204b39875b"]),
]


@pytest.mark.parametrize(("settings", "expected"), SETTINGS)
def test_settings_have_the_run_id_of_version_0_1(
    settings: dict[str, object], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_blur.py").write_text("def build(config):\n    return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert run_id(resolve([Layer("test", settings)]).config, DATA_KEY) == expected


@pytest.mark.parametrize(("grid", "protocol", "expected"), GRIDS)
def test_shipped_grids_have_the_run_ids_of_version_0_1(grid: str, protocol: str, expected: list[str]) -> None:
    question, fixed = read_grid(grid), read_protocol(protocol)
    found = []
    for variant in question.variants():
        levels = [Layer("level", level.settings) for level in variant.values()]
        layers = [Layer("protocol", fixed.settings), Layer("grid", question.settings), *levels]
        found.append(run_id(resolve(layers).config, DATA_KEY))
    # Later versions may have added levels; those of 0.1 are the runs that they were.
    assert [run for run in dict.fromkeys(found) if run in expected] == expected


def test_steps_share_a_cost_where_no_setting_makes_one_slower() -> None:
    plain, alone = RunConfig(), RunConfig().changed("objective", name="l1")
    assert cost_key(plain) == "2f76be1d7a0c"  # as it was before there were augmentations and averages
    for slower in ({"augment": "diffaugment"}, {"augment": "translation"}, {"ema": 500.0}):
        assert cost_key(plain.changed("training", **slower)) != cost_key(plain)
    assert cost_key(plain.changed("training", ema=500.0)) == cost_key(plain.changed("training", ema=4000.0))
    assert cost_key(alone.changed("training", augment="diffaugment")) == cost_key(alone)  # no D sees it
    rates = {"learning_rate": 1e-4, "discriminator_learning_rate": 4e-4, "epochs": 2}
    assert cost_key(plain.changed("training", **rates)) == cost_key(plain)


@pytest.mark.parametrize(
    ("settings", "others"),
    [
        ({"generator.downsampling": "blur"}, {}),
        ({"discriminator.downsampling": "blur"}, {}),
        (
            {"objective.r1": 10, "objective.discriminator_loss": "mean", "discriminator.norm": "none"},
            {"objective.pairing": "relativistic"},
        ),
    ],
)
def test_what_trains_to_other_weights_since_0_1_has_another_id(
    settings: dict[str, object], others: dict[str, object]
) -> None:
    """A run of the misplaced filter, or of penalties that were not halved, is not taken for one of today's."""
    whole = identity(resolve([Layer("test", settings)]).config, DATA_KEY)
    assert whole.get("blur") == ("centred" if "downsampling" in next(iter(settings)) else None)
    assert whole["objective"].get("penalties") == ("halved" if "objective.r1" in settings else None)
    if others:  # a pair's one term is not halved
        assert "penalties" not in identity(resolve([Layer("test", settings | others)]).config, DATA_KEY)["objective"]
