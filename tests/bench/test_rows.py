"""Rows of a benchmark say what was timed: variants are told apart whatever the grid varies."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from p2pbench.bench import comparison, step, suite
from p2pbench.bench.rows import groups, named, short_titles
from p2pbench.bench.tables import markdown
from p2pbench.cli.bench import read_variants
from p2pbench.config.resolve import Layer, resolve

SMALL = """
generator: {ngf: 4}
discriminator: {ndf: 4, name: patch16}
data: {source: SOURCE, load_size: 18, crop_size: 16}
training: {device: cpu}
factors:
"""


@pytest.fixture
def grid(tmp_path: Path, pairs_folder: Path) -> Any:
    def write(factors: str) -> list[suite.Variant]:
        file = tmp_path / "grid.yaml"
        file.write_text(SMALL.replace("SOURCE", str(pairs_folder)) + factors)
        return read_variants(str(file), None, [])

    return write


@pytest.mark.parametrize(("factors", "workload"), [
    ("  generator.norm: [batch, instance, none]", "step"),
    ("  generator.upsampling: [transposed, nearest]", "step"),
    ("  objective.lambda_l1: [0, 10, 100]", "step"),
    ("  training.preset: [paper, pytorch]", "step"),
    ("  discriminator.spectral_norm: [false, true]", "step"),
    ("  training.learning_rate: [0.0002, 0.0001]", "step"),  # no part of a name: the variant tells
    pytest.param(
        "  inference: [{label: a, scoring.inference: paper}, {label: b, scoring.inference: eval}]", "translate",
        marks=pytest.mark.long,
    ),
    ("  data.mirror: [true, false]", "data"),
    ("  data.crop_size: [16, 18]", "score"),
])  # fmt: skip
def test_variants_are_told_apart_whatever_the_grid_varies(
    factors: str, workload: str, grid: Any, seconds: dict[str, float]
) -> None:
    variants = grid(factors)
    assert len(variants) > 1
    document = suite.measure([workload], variants)
    found = groups(document["rows"])
    assert len(found) == len(variants)
    assert {row["variant"] for row in document["rows"]} == {label for label, _ in variants}
    assert all(title in markdown(document) for title in found)

    slower = copy.deepcopy(document)
    for row in list(groups(slower["rows"]).values())[-1][1:]:
        row.update(ratio_to_plain=1.5, ratio_quartiles=[1.5, 1.5])
    verdicts = {row["variant"]: row["verdict"] for row in comparison.compare(document, slower)}
    assert verdicts == {label: "not significant" for label, _ in variants[:-1]} | {variants[-1][0]: "slower"}


def test_each_variant_is_profiled_in_each_precision(
    grid: Any, seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = grid("  generator.norm: [batch, none]")
    monkeypatch.setattr(step, "profile_step", lambda _: [])
    assert len(suite.measure(["step"], variants, profiled=True)["profiles"]) == 2 * 2


def test_a_name_has_the_settings_that_are_not_the_defaults() -> None:
    def name(**settings: Any) -> str:
        layer = Layer("--set", {key.replace("__", "."): value for key, value in settings.items()})
        return str(step.row_of(resolve([layer]).config)["name"])

    assert name() == "unet, patch70, l1+cgan"
    assert name(generator__norm="instance", data__crop_size=64) == "unet, patch70, l1+cgan, generator.norm=instance"
    assert name(training__preset="pytorch") == "unet, patch70, l1+cgan, training.preset=pytorch"
    assert name(training__preset="pytorch", generator__dropout="none") == (
        "unet, patch70, l1+cgan, generator.dropout=none, training.preset=pytorch"
    )
    assert name(objective__name="l1", discriminator__ndf=3) == "unet, no discriminator, l1"
    assert named("photos", resolve([Layer("--set", {"data.mirror": False})]).config, "data.") == (
        "photos, data.mirror=false"
    )


def test_labels_stand_for_settings_that_would_not_fit_a_title() -> None:
    row = {"workload": "step", "size": 64, "batch_size": 1}
    short = [{**row, "name": "unet, a", "variant": "one"}, {**row, "name": "unet, b", "variant": "two"}]
    assert list(groups(short)) == ["step: unet, a, 64x64, batch 1", "step: unet, b, 64x64, batch 1"]
    long = [short[0], {**short[1], "name": "unet, " + "b=1, " * 20}]
    assert list(groups(long)) == ["step: one, 64x64, batch 1", "step: two, 64x64, batch 1"]


def test_labels_leave_out_what_all_have_in_common() -> None:
    assert short_titles(["step: a, 256x256, batch 1", "step: a, 64x64, batch 1"]) == ["256x256", "64x64"]
    assert short_titles(["step: 0 pix2pix, 64x64", "step: 1 EMA, 64x64"]) == ["0 pix2pix", "1 EMA"]
    assert short_titles(["step: a, 64x64", "data: a, 64x64"]) == ["step: a", "data: a"]
    assert short_titles(["step: a, batch 1"]) == ["step: a, batch 1"]
