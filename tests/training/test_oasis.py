"""OASIS's losses against its formulas, on numbers that are worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from levels import random
from torch import Tensor

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.data.label_classes import PALETTES, classes_of_condition
from p2pbench.errors import ConfigError
from p2pbench.models.build import build_discriminator
from p2pbench.models.judgement import Judgement
from p2pbench.study.plan import build_study
from p2pbench.training.engine import build_optimisers
from p2pbench.training.objectives import oasis, objective_of
from p2pbench.training.objectives.contract import Judged
from p2pbench.training.objectives.oasis import LABELMIX, Oasis, class_weights, labels_of, of_classes
from p2pbench.training.step import Networks, train_step

FACADES = PALETTES["facades"]
LEVEL = {"discriminator.name": "oasis", "discriminator.norm": "none", "objective.name": "gan"}


def config_of(**more: object) -> RunConfig:
    small = {"data.crop_size": 16, "data.load_size": 16, "data.source": "drawn", "generator.ngf": 4,
             "discriminator.ndf": 4, "generator.dropout": "none"}  # fmt: skip
    layers = [Layer("level", {**small, **LEVEL}), Layer("test", {k.replace("__", "."): v for k, v in more.items()})]
    return resolve(layers).config


def label_maps(n: int = 2, size: int = 16) -> Tensor:
    """Random label maps in the colours of the facades, (n, 3, size, size)."""
    colours = np.array([*FACADES.classes.values()], dtype=np.float32)
    picked = colours[np.random.default_rng(0).integers(0, 12, (n, size, size))]
    return torch.from_numpy(picked).permute(0, 3, 1, 2) / 127.5 - 1


@pytest.mark.parametrize("name", PALETTES)
def test_labels_are_those_of_the_nearest_colours(name: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 3), dtype=np.uint8)
    found = labels_of(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1, PALETTES[name])
    k = len(PALETTES[name].classes)
    assert found.shape == (2, k + len(PALETTES[name].void), 5, 6)
    assert torch.equal(found.sum(1), torch.ones(2, 5, 6))
    assert np.array_equal(found.argmax(1).clamp(max=k).numpy(), PALETTES[name].classes_of(images))


def test_classes_weigh_alike_and_none_more_than_the_limit() -> None:
    labels = torch.zeros(1, 4, 10, 10)
    labels[:, 0, :, :6], labels[:, 1, :, 6:] = 1, 1
    torch.testing.assert_close(class_weights(labels), torch.tensor([100 / (2 * 60), 100 / (2 * 40), 0, 0]))
    assert float((labels.sum((0, 2, 3)) * class_weights(labels)).sum()) == pytest.approx(100)  # = N H W
    rare = torch.zeros(1, 2, 100, 100)
    rare[:, 0] = 1
    rare[0, :, 0, 0] = torch.tensor([0.0, 1.0])
    assert class_weights(rare)[1] == 100  # 5000 without a limit


def test_logits_of_zero_cost_the_logarithm_of_the_number_of_classes() -> None:
    labels = labels_of(label_maps(), FACADES)
    assert float(of_classes(torch.zeros(2, 13, 16, 16), labels)) == pytest.approx(math.log(13), rel=1e-5)
    assert math.log(13) == pytest.approx(2.565, abs=1e-3)
    config = config_of(objective__lambda_l1=0.0)
    judged = judged_of(lambda image: torch.zeros(2, 13, 16, 16))
    assert float(Oasis(config.objective, None, FACADES).discriminator_loss(judged)) == pytest.approx(2 * math.log(13))
    of_generator = objective_of(config, None).generator_loss(judged.fake, judged.target, judged)
    assert float(of_generator.total) == pytest.approx(math.log(13))


def judged_of(judge: Callable[[Tensor], Tensor]) -> Judged:
    condition, target, fake = label_maps(), random(2, 3, 16, 16), random(2, 3, 16, 16, seed=1).requires_grad_()
    said = [Judgement((judge(image),)) for image in (target, fake)]
    return Judged(lambda image: Judgement((judge(image),)), condition, target, fake, *said)


def test_the_losses_are_the_papers() -> None:
    """By torch's own cross-entropy; of a D whose logits are linear in the image LabelMix is nothing."""
    weight = random(13, 3, seed=2)
    judged = judged_of(lambda image: torch.einsum("kc,nchw->nkhw", weight, image))
    labels = labels_of(judged.condition, FACADES)
    classes, weights = labels.argmax(1), class_weights(labels)
    assert judged.of_target is not None
    (real,), (fake,) = judged.of_target.logits, judged.of_fake.logits

    def entropy(logits: Tensor) -> Tensor:
        per_pixel = torch.nn.functional.cross_entropy(logits, classes + 1, reduction="none")
        return (weights[classes] * per_pixel).mean()

    as_fake = torch.nn.functional.cross_entropy(fake, torch.zeros_like(classes))
    config = config_of()
    objective = Oasis(config.objective, None, FACADES)
    torch.testing.assert_close(objective.discriminator_loss(judged), entropy(real) + as_fake, rtol=1e-4, atol=1e-4)
    halved = Oasis(config_of(objective__discriminator_loss="mean").objective, None, FACADES)
    torch.testing.assert_close(halved.discriminator_loss(judged), 0.5 * (entropy(real) + as_fake), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(objective.generator_loss(judged.fake, judged.target, judged).total, entropy(fake))


@pytest.mark.parametrize(("share", "seen"), [(0.0, "target"), (1.0, "fake")])
def test_labelmix_of_all_or_no_classes_is_the_image_itself(
    share: float, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is drawn below 1/2 is real: with all real, or none, both sides of the comparison are the same."""
    asked: list[Tensor] = []

    def judge(image: Tensor) -> Tensor:
        asked.append(image)
        return torch.tanh(image.repeat(1, 5, 1, 1)[:, :13])

    judged = judged_of(judge)
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.full(shape, share))
    objective = Oasis(config_of().objective, None, FACADES)
    assert judged.of_target is not None
    labels = labels_of(judged.condition, FACADES)
    assert not objective._labelmix(judged, labels, judged.of_target.logits[0], judged.of_fake.logits[0]).any()
    assert torch.equal(asked[-1], getattr(judged, seen))
    assert LABELMIX == 10


def test_labelmix_mixes_whole_classes_and_leaves_the_generator_alone() -> None:
    asked: list[Tensor] = []

    def judge(image: Tensor) -> Tensor:
        asked.append(image)
        return torch.tanh(image.repeat(1, 5, 1, 1)[:, :13])

    judged = judged_of(judge)
    torch.manual_seed(0)
    Oasis(config_of().objective, None, FACADES).discriminator_loss(judged)
    mixed, labels = asked[-1], labels_of(judged.condition, FACADES)
    assert not mixed.requires_grad
    is_real = (mixed == judged.target).all(1)
    for image, classes in zip(is_real, labels, strict=True):
        shares = [float(image[mask.bool()].float().mean()) for mask in classes if mask.any()]
        assert set(shares) == {0.0, 1.0}


def test_a_step_changes_d_and_g_and_nothing_is_kept_from_one_to_the_other() -> None:
    config = config_of()
    from p2pbench.models.build import build_generator

    networks = Networks(build_generator(config), build_discriminator(config))
    assert networks.discriminator is not None
    optimisers = build_optimisers(networks, config)
    before = [{n: p.clone() for n, p in net.named_parameters()} for net in (networks.generator, networks.discriminator)]
    torch.manual_seed(1)
    losses = train_step(networks, optimisers, label_maps(), random(2, 3, 16, 16).clamp(-1, 1), config)
    assert torch.isfinite(losses).all()
    for net, start in zip((networks.generator, networks.discriminator), before, strict=True):
        moved = [n for n, p in net.named_parameters() if not torch.equal(p, start[n])]
        assert len(moved) > len(start) / 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective.name": "l1+cgan"}, "it does not see it; use gan or l1\\+gan"),
        ({"objective.adversarial": "hinge"}, "a cross-entropy over classes"),
        ({"training.augment": "diffaugment"}, "when the image is moved"),
        ({"objective.r1": 1.0}, "it has one for each class; leave them out"),
        ({"discriminator.norm": "batch"}, "use none or instance"),
        ({"discriminator.scales": 2}, "labels belong to the pixels of one size"),
        ({"data.channels": [1, 3]}, "use a condition of 3 channels"),
    ],
)
def test_what_means_nothing_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(**settings)


def test_without_labels_it_is_refused_before_anything_runs(tmp_path: object) -> None:
    with pytest.raises(ConfigError, match=r"the classes of 'photos' are not known; name them by scoring\.palette"):
        build_discriminator(config_of(data__source="photos"))
    with pytest.raises(ConfigError, match=r"variant 'OASIS': .*are not known"):
        build_study("oasis", "quick", {}, None, plan=True)
    assert classes_of_condition(config_of(data__source="photos", scoring__palette="cityscapes")).name == "cityscapes"
    ids = {run_id(config_of(scoring__palette=name), "data") for name in (None, "facades", "cityscapes")}
    assert len(ids) == 3
    assert oasis.MOST_WEIGHT == 100
