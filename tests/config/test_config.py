"""How settings are resolved, what is refused, and what decides a run's identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from p2pbench.config import renamed, yaml12
from p2pbench.config.metrics import asked_metrics
from p2pbench.config.resolve import Layer, flatten, from_mapping, parse_set, resolve
from p2pbench.config.run_id import identity, run_id
from p2pbench.config.schema import (
    DISCRIMINATOR_STRIDES,
    GENERATOR_NAMES,
    OBJECTIVE_NAMES,
    PRESETS,
    SECTIONS,
    SETTINGS,
    RunConfig,
)
from p2pbench.config.sections import DISCRIMINATOR_NAMES, TRANSPORT_NAMES
from p2pbench.config.setting_docs import setting_docs
from p2pbench.errors import ConfigError
from p2pbench.models.build import DISCRIMINATORS, GENERATORS


def config_of(**settings: object) -> RunConfig:
    return resolve([Layer("test", {key.replace("__", "."): value for key, value in settings.items()})]).config


def test_defaults_are_the_papers_setting() -> None:
    config = resolve([]).config
    assert (config.generator.name, config.discriminator.name, config.objective.name) == ("unet", "patch70", "l1+cgan")
    assert (config.data.load_size, config.data.crop_size, config.data.mirror) == (286, 256, True)
    assert (config.training.epochs, config.training.batch_size, config.training.learning_rate) == (200, 1, 2e-4)
    assert (config.training.beta1, config.training.beta2, config.objective.lambda_l1) == (0.5, 0.999, 100.0)


def test_the_default_fields_are_those_of_the_paper_preset() -> None:
    bare = RunConfig()
    for key, value in PRESETS["paper"].items():
        section, name = key.split(".")
        assert getattr(getattr(bare, section), name) == value


def test_a_later_layer_wins_and_every_value_knows_its_origin() -> None:
    resolved = resolve(
        [
            Layer("protocol p", {"training.preset": "pytorch", "training.epochs": 3}),
            Layer("grid g", {"training.epochs": 4}),
            Layer("--set", {"training.schedule": "constant"}),
        ]
    )
    assert resolved.config.training.epochs == 4
    assert resolved.origin["training.epochs"] == "grid g"
    assert resolved.origin["training.batch_size"] == "default"
    assert resolved.config.objective.generator_gradient == "fresh"
    assert resolved.origin["objective.generator_gradient"] == "preset pytorch"
    assert resolved.config.training.schedule == "constant"
    assert resolved.origin["training.schedule"] == "--set"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training.epoch": 2}, "did you mean 'training.epochs'"),
        ({"generator.name": "unett"}, "did you mean 'unet'"),
        ({"objective.name": "l1+cgn"}, "did you mean 'l1+cgan'"),
        ({"discriminator.name": "patch71"}, "patch70"),
        ({"training.preset": "papr"}, "paper"),
        ({"training.epochs": 0}, "training.epochs"),
        ({"training.epochs": True}, "training.epochs"),
        ({"training.epochs": "2"}, "training.epochs"),
        ({"training.learning_rate": float("nan")}, "training.learning_rate"),
        ({"objective.lambda_l1": -1.0}, "objective.lambda_l1"),
        ({"scoring.metrics": ["lpip"]}, "did you mean 'lpips'"),
        ({"scoring.metrics": []}, "at least one metric"),
        ({"scoring.extra_metrics": 3}, "list of metrics"),
        ({"data.load_size": 100}, "data.load_size"),
        ({"data.load_size": [286, 300], "data.crop_size": [256, 512]}, "data.crop_size 256x512"),
        ({"data.crop_size": 8}, "16 or more"),
        ({"data.crop_size": 0}, "a side in pixels, or [height, width]"),
        ({"data.crop_size": [256]}, "a side in pixels, or [height, width]"),
        ({"data.crop_size": [256, True]}, "a side in pixels, or [height, width]"),
        ({"data.crop_size": 1.5}, "a side in pixels, or [height, width]"),
        ({"data.range": [3, 1]}, "[low, high] with low < high"),
        ({"data.range": [[0, 1]]}, "[low, high] with low < high"),
        ({"data.range": [0, float("inf")]}, "[low, high] with low < high"),
        ({"data.background": "whit"}, "give a colour such as white"),
        ({"data.channels": 3}, "[of the condition, of the target]"),
        ({"data.channels": [3, 0]}, "[of the condition, of the target]"),
        ({"data.colours": "lab"}, "use data.channels [1, 2]"),
        ({"generator.depth": 9}, "use at most 8"),
        ({"generator.depth": 1}, "generator.depth"),
        ({"generator.depth": 2, "generator.name": "resnet9"}, "a depth of its own"),
        ({"objective.adversarial": "wgan-gp"}, "discriminator.norm instance or none"),
        ({"data.condition": "edges", "data.source": "folder"}, "brings its own"),
        ({"data.crop_size": 64, "discriminator.name": "image286"}, "needs at least 96"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_key_and_the_way_out(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve([Layer("here", settings)])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_image286_is_fine_at_64_where_nobody_discriminates() -> None:
    config = config_of(data__crop_size=64, discriminator__name="image286", objective__name="l1")
    assert not config.objective.has_discriminator


def test_set_reads_yaml_1_2() -> None:
    found = parse_set(
        ["training.learning_rate=2e-4", "data.mirror=false", "scoring.metrics=[l1, ssim]", "data.source=on"]
    )
    assert found == {
        "training.learning_rate": 2e-4,
        "data.mirror": False,
        "scoring.metrics": ["l1", "ssim"],
        "data.source": "on",
    }
    with pytest.raises(ConfigError, match="key=value"):
        parse_set(["training.epochs"])
    with pytest.raises(ConfigError, match="did you mean"):
        parse_set(["training.epoch=1"])


def test_a_component_is_set_by_its_name_alone_as_in_a_grid() -> None:
    assert parse_set(["objective=l1", "generator=resnet6", "discriminator.ndf=32"]) == {
        "objective.name": "l1",
        "generator.name": "resnet6",
        "discriminator.ndf": 32,
    }
    assert resolve([Layer("here", {"objective": "gan"})]).config.objective.name == "gan"
    with pytest.raises(ConfigError, match=r"did you mean 'l1\+cgan'"):
        resolve([Layer("here", parse_set(["objective=l1+cgn"]))])
    with pytest.raises(ConfigError, match="is given twice"):
        flatten({"objective": "l1", "objective.name": "gan"}, "f")


WRONG: tuple[Any, ...] = (
    None, True, "word", "10", "", -1, 0, 1.5, 2024, 10**12, float("inf"), float("nan"), [], [1, 2, 3], ["x"], {},
    {"a": 1},
)  # fmt: skip
"""Values of every kind that YAML has; each setting refuses some of them."""


@pytest.mark.parametrize("key", SETTINGS)
def test_a_value_that_a_setting_does_not_take_is_refused_in_our_words(key: str) -> None:
    section, name = key.split(".")
    (takes,) = [about.values for about in setting_docs() if about.key == key]
    refused = 0
    for value in WRONG:
        try:
            SECTIONS[section].model_validate({name: value})
        except ValidationError as error:
            problem = error.errors()[0]
        else:
            continue
        if not problem["loc"]:  # it contradicts another setting
            continue
        refused += 1
        with pytest.raises(ConfigError) as caught:
            resolve([Layer("my.yaml", {key: value})])
        message = str(caught.value)
        if key == "training.preset":  # which is read before the other settings
            assert "valid: paper, pytorch" in message
        elif problem["type"] == "value_error":
            assert message.startswith(f"{key} (my.yaml)")
            assert repr(value) in message or repr(value[0]) in message
        else:
            assert message.startswith(f"{key} (my.yaml) is ")
            assert f": it takes {takes}" in message
    assert refused >= 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"training.epochs": "10"},
            "is '10': it takes a whole number above 0 to 1000000000; without quotes it is a number",
        ),
        ({"objective.lambda_l1": "ten"}, "is 'ten': it takes a number from 0"),
        ({"data.jitter": "yes"}, "is 'yes': it takes true, false"),
        ({"data.source": 2024}, "is 2024: it takes text; in quotes it is text"),
        ({"training.batch_size": None}, "is null: it takes a whole number above 0"),
        ({"scoring.metrics": []}, "is []: name at least one metric"),
        ({"scoring.metrics": 3}, "is 3: give a list of metrics such as [l1, ssim, lpips]"),
    ],
)
def test_a_wrong_type_comes_with_what_is_right(settings: dict[str, object], message: str) -> None:
    (key,) = settings
    with pytest.raises(ConfigError) as caught:
        resolve([Layer("my.yaml", settings)])
    assert str(caught.value).startswith(f"{key} (my.yaml) {message}")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("training.epoch", "training.epochs"), ("epochs", "training.epochs"), ("lambda_l1", "objective.lambda_l1")],
)
def test_a_typo_in_a_key_names_the_three_nearest_and_not_all(key: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_set([f"{key}=1"])
    message = str(caught.value)
    assert f"did you mean {nearest!r}, " in message
    assert sum(setting in message for setting in SETTINGS if setting != key) == 3
    assert "p2pbench settings" in message


def test_names_of_version_0_1_are_read_and_the_new_one_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(renamed, "_announced", set())
    monkeypatch.setitem(renamed.VALUES, "objective.name", {"cgan+l1": "l1+cgan"})
    config = from_mapping({"scoring": {"also": ["diversity"]}, "objective.name": "cgan+l1"}, "old.yaml")
    assert (config.scoring.extra_metrics, config.objective.name) == (("diversity",), "l1+cgan")
    assert capsys.readouterr().err.splitlines() == [
        "old.yaml: scoring.also is now called scoring.extra_metrics; the old name is still read",
        "old.yaml: objective.name: cgan+l1 is now called l1+cgan; the old name is still read",
    ]
    assert parse_set(["scoring.also=[hist-l]"]) == {"scoring.extra_metrics": ["hist-l"]}
    assert capsys.readouterr().err == ""
    with pytest.raises(ConfigError, match="is given twice"):
        flatten({"scoring.extra_metrics": ["hist-l"], "scoring.also": ["hist-a"]}, "f")


def test_what_a_record_asks_for_is_read_under_both_names() -> None:
    assert asked_metrics({"metrics": ["l1", "ssim"], "also": ["ssim", "swd"]}) == ["l1", "ssim", "swd"]
    assert asked_metrics({"metrics": ["l1"], "extra_metrics": ["swd"]}) == ["l1", "swd"]
    assert asked_metrics(None) == []


def test_yaml_errors_name_the_file_and_the_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("a: 1\nb: [1, 2\nc: 3\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml, line [23]"):
        yaml12.read(file)
    file.write_text("a: 1\na: 2\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml, line 2.*duplicate"):
        yaml12.read(file)
    file.write_text("a: !!python/object/apply:os.system [ls]\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        yaml12.read(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        yaml12.read(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n d: 2\n", "line 4: .*; the keys of one mapping, and the dashes of one list, begin in one"),
        ("a:\n  - b\n - c\n", "line 3: .*; the keys of one mapping, and the dashes of one list, begin in one column"),
        (
            "question: Skips: do they matter?\n",
            "line 1: .*; the keys of one mapping begin in one column; text with ': '",
        ),
        ("a:\n\tb: 1\n", "line 2: .*; indent by spaces, not by tabs"),
        ("a: 1\nb\nc: 2\n", "line 3: .*; write key: value, with a space after the colon"),
    ],
)
def test_yaml_that_people_write_wrongly_comes_with_what_is_right(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        yaml12.parse(text, "grid.yaml")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "training.epochs": st.integers(1, 1000),
            "training.learning_rate": st.floats(1e-6, 1),
            "training.seed": st.integers(0, 2**31 - 1),
            "objective.name": st.sampled_from([name for name in OBJECTIVE_NAMES if name not in TRANSPORT_NAMES]),
            "generator.name": st.sampled_from(GENERATOR_NAMES),
            "discriminator.name": st.sampled_from(sorted(DISCRIMINATOR_STRIDES)),
            "training.preset": st.sampled_from(sorted(PRESETS)),
            "data.mirror": st.booleans(),
        },
    )
)
def test_a_configuration_survives_its_file(settings: dict[str, object]) -> None:
    config = resolve([Layer("test", settings)]).config
    assert from_mapping(yaml12.parse(yaml12.dump(config.model_dump(mode="json")), "file"), "file") == config


def test_sections_and_dotted_keys_are_the_same() -> None:
    assert flatten({"training": {"epochs": 1}}, "f") == flatten({"training.epochs": 1}, "f") == {"training.epochs": 1}
    with pytest.raises(ConfigError, match="section"):
        flatten({"training": 3}, "f")


INDIFFERENT = {
    "scoring.metrics": ["l1"],
    "scoring.extra_metrics": ["diversity"],
    "scoring.inference": "eval",
    "scoring.palette": "cityscapes",
    "scoring.every": 2,
    "training.seconds": 60.0,  # which becomes epochs
    "training.log_every": 7,
    "training.checkpoint_seconds": 1.0,
    "training.checkpoints": 3,
    "training.sample_every": 3,
    "training.keep_checkpoints": True,
    "training.batch_norm": "synchronised",
    "training.threads": 3,
    "training.device": "cpu",
    "training.engine": "eager",
    "training.deterministic": True,
    "data.source": "elsewhere",
    # What these decide is in the fields that they set, or in the data's content.
    "training.preset": "paper",
    "data.condition": "edges",
}
DECISIVE = {
    "data.direction": "BtoA",
    "data.train_size": 50,
    "data.load_size": 300,
    "data.crop_size": 128,
    "data.jitter": False,
    "data.mirror": False,
    "data.resize_filter": "bicubic",
    "data.channels": [1, 3],
    "data.colours": "lab",
    "data.range": [0, 4095],
    "data.background": "white",
    "generator.name": "encoder_decoder",
    "generator.ngf": 32,
    "generator.depth": 7,
    "generator.dropout": "none",
    "generator.norm": "instance",
    "generator.upsampling": "nearest",
    "generator.downsampling": "blur",
    "generator.attention": True,
    "generator.spade": "labels",
    "generator.noise": 8,
    "discriminator.name": "pixel",
    "discriminator.ndf": 32,
    "discriminator.norm": "instance",
    "discriminator.spectral_norm": True,
    "discriminator.scales": 2,
    "discriminator.downsampling": "blur",
    "discriminator.attention": True,
    "objective.name": "cgan",
    "objective.adversarial": "lsgan",
    "objective.lambda_l1": 10.0,
    "objective.discriminator_loss": "mean",
    "objective.generator_gradient": "fresh",
    "objective.pairing": "relativistic",
    "objective.r1": 1.0,
    "objective.r2": 1.0,
    "objective.lambda_features": 10.0,
    "objective.perceptual": "squeeze",
    "objective.lambda_perceptual": 1.0,
    "objective.cutmix": 2000.0,
    "objective.noise": 0.5,
    "objective.prediction": "target",
    "training.epochs": 3,
    "training.batch_size": 2,
    "training.seed": 1,
    "training.learning_rate": 1e-3,
    "training.beta1": 0.9,
    "training.beta2": 0.9,
    "training.schedule": "linear-decay",
    "training.bias_rule": "by-norm",
    "training.precision": "bf16",
    "training.select": "best-on-val",
    "training.discriminator_learning_rate": 1e-3,
    "training.discriminator_beta1": 0.9,
    "training.discriminator_beta2": 0.9,
    "training.augment": "diffaugment",
    "training.ada_images": 5000.0,
    "training.ema": 500.0,
}


COMPANIONS: dict[str, dict[str, object]] = {
    "data.colours": {"data.channels": [1, 2]},
    "objective.r1": {"discriminator.norm": "none"},
    "objective.r2": {"discriminator.norm": "none"},
    "objective.lambda_perceptual": {"objective.perceptual": "squeeze"},
    "objective.cutmix": {"discriminator.name": "unet", "discriminator.norm": "none"},
    "training.ada_images": {"training.augment": "ada"},
    "objective.noise": {"objective.name": "bridge", "generator.norm": "group", "scoring.inference": "euler-4"},
    "objective.prediction": {"objective.name": "flow", "generator.norm": "group", "scoring.inference": "euler-4"},
}
"""What a value needs beside it to make sense."""


def test_every_setting_is_known_to_decide_the_weights_or_not_to() -> None:
    assert INDIFFERENT.keys() | DECISIVE.keys() == set(SETTINGS)
    default = run_id(resolve([]).config, "data")
    for key, value in INDIFFERENT.items():
        assert run_id(resolve([Layer("test", {key: value})]).config, "data") == default, key
    ids = {
        key: run_id(resolve([Layer("test", {key: value, **COMPANIONS.get(key, {})})]).config, "data")
        for key, value in DECISIVE.items()
    }
    assert default not in ids.values()
    assert len(set(ids.values())) == len(ids)
    assert run_id(resolve([]).config, "other data") != default
    # As it was before settings came that are not in the hash at their defaults: stores that are older stay of use.
    assert default == "c9007f653ab7"


def test_a_size_has_one_spelling_and_a_depth_that_follows_from_it_none() -> None:
    default = run_id(config_of(), "d")
    assert run_id(config_of(data__crop_size=[256, 256], data__load_size=[286, 286]), "d") == default
    assert run_id(config_of(generator__depth=8), "d") == default
    assert from_mapping(config_of(data__crop_size=[64, 128]).model_dump(mode="json"), "f") == config_of(
        data__crop_size=[64, 128]
    )


@pytest.mark.parametrize(
    ("settings", "depth", "padded"),
    [
        ({"crop_size": 256}, 8, (256, 256)),
        ({"crop_size": 100}, 6, (128, 128)),
        ({"crop_size": [128, 200]}, 7, (128, 256)),
        ({"crop_size": [200, 130], "depth": 4}, 4, (208, 144)),
        ({"crop_size": 2048}, 10, (2048, 2048)),
        ({"crop_size": [130, 131], "name": "resnet6"}, 2, (132, 132)),
        ({"crop_size": [13, 17], "name": "mine:build"}, None, (13, 17)),
    ],
)
def test_sizes_are_padded_to_what_the_generator_can_halve(
    settings: dict[str, object], depth: int | None, padded: tuple[int, int]
) -> None:
    keys = {"crop_size": "data.crop_size", "depth": "generator.depth", "name": "generator.name"}
    layer = {keys[key]: value for key, value in settings.items()} | {"objective.name": "l1", "data.jitter": False}
    config = resolve([Layer("test", layer)]).config
    assert config.depth == depth
    assert config.padded_shape == padded


def test_what_an_objective_does_not_use_does_not_decide() -> None:
    assert run_id(config_of(objective__name="l1"), "d") == run_id(
        config_of(objective__name="l1", discriminator__name="pixel", objective__generator_gradient="fresh"), "d"
    )
    assert run_id(config_of(objective__name="gan"), "d") == run_id(
        config_of(objective__name="gan", objective__lambda_l1=1.0), "d"
    )
    assert run_id(config_of(data__jitter=False), "d") == run_id(config_of(data__jitter=False, data__load_size=300), "d")
    assert run_id(config_of(objective__name="l1"), "d") == run_id(
        config_of(objective__name="l1", objective__adversarial="hinge"), "d"
    )
    assert "discriminator" not in identity(config_of(objective__name="l1"), "d")


def test_the_users_own_network_is_identified_by_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "own_network_for_identity.py"
    module.write_text("def build(config): ...\n")
    config = config_of(generator__name="own_network_for_identity:build")
    first = run_id(config, "d")
    module.write_text("def build(config): return None\n")
    assert run_id(config, "d") != first
    with pytest.raises(ConfigError, match=r"no Python module .*; run where \w+\.py lies"):
        run_id(config_of(generator__name="not_there_at_all:build"), "d")


def test_the_tables_of_names_agree() -> None:
    assert set(GENERATORS) == set(GENERATOR_NAMES)
    assert set(DISCRIMINATORS) == set(DISCRIMINATOR_NAMES)


def test_running_statistics_beside_an_average_of_weights_come_with_a_caution() -> None:
    settings = {"training.ema": 500, "scoring.inference": "eval"}
    (caution,) = resolve([Layer("test", settings)]).config.cautions()
    assert caution.startswith("training.ema and scoring.inference eval: the running statistics are those of the")
    for other in ({"scoring.inference": "instance-stats"}, {"generator.norm": "instance"}, {"training.ema": None}):
        assert resolve([Layer("test", settings | other)]).config.cautions() == []
    (caution,) = resolve([Layer("test", {"training.select": "l1"})]).config.cautions()
    assert "favours variants with an L1 term" in caution
