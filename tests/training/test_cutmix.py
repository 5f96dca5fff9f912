"""CutMix of the U-Net discriminator against its formula, and the share of the steps that it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from levels import random
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.models.build import build_discriminator
from p2pbench.models.judgement import Judgement, judgement
from p2pbench.training.checkpoint import Progress, restore, state_of
from p2pbench.training.engine import build_networks, build_optimisers
from p2pbench.training.objectives.contract import Judged
from p2pbench.training.objectives.cutmix import CutMix, boxes, cutmix_loss
from p2pbench.training.objectives.translation import Translation
from p2pbench.training.step import train_step

Tiny = Callable[..., RunConfig]
LEVEL: dict[str, Any] = {
    "discriminator__name": "unet", "discriminator__norm": "none", "objective__cutmix": 8.0,
    "generator__dropout": "none",
}  # fmt: skip


def judged_by(judge: Callable[[Tensor], Judgement]) -> Judged:
    condition, target, fake = (random(2, 3, 16, 16, seed=seed) for seed in range(3))
    fake.requires_grad_()
    return Judged(judge, condition, target, fake, judge(target), judge(fake))


def nonlinear(image: Tensor) -> Judgement:
    """A D whose logit of a pixel depends on the whole image."""
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    return Judgement((mean, torch.tanh(image.sum(1, keepdim=True)) + 3 * mean), weight=0.5)


def test_the_loss_is_the_papers() -> None:
    judged, mask = judged_by(nonlinear), boxes(random(2, 3, 16, 16))
    found = cutmix_loss(judged, mask, 1.0).detach()
    mixed = nonlinear(mask * judged.target + (1 - mask) * judged.fake)
    assert judged.of_target is not None
    p, m = torch.sigmoid(mixed.logits[1]).detach().double(), mask.double()
    of_pixels = -(m * p.log() + (1 - m) * (1 - p).log()).mean()
    of_image = -(1 - torch.sigmoid(mixed.logits[0].detach().double())).log().mean()
    both = mask * judged.of_target.logits[1] + (1 - mask) * judged.of_fake.logits[1]
    consistent = (mixed.logits[1] - both).detach().square().mean()
    assert float(found) == pytest.approx(float(of_pixels + of_image + consistent), rel=1e-5)
    halved = cutmix_loss(judged, mask, 0.5).detach()
    assert float(found - halved) == pytest.approx(float(of_pixels + of_image) / 2, rel=1e-5)


@pytest.mark.parametrize(("mask", "which"), [(1.0, "of_target"), (0.0, "of_fake")])
def test_a_mixture_of_one_image_is_that_image_and_consistent(mask: float, which: str) -> None:
    judged = judged_by(nonlinear)
    whole = torch.full((2, 1, 16, 16), mask)
    of_image, of_pixels = getattr(judged, which).logits
    expected = bce(of_image, torch.zeros_like(of_image)) + bce(of_pixels, whole)  # and no mean square
    torch.testing.assert_close(cutmix_loss(judged, whole, 1.0), expected)


def test_the_mixture_has_whole_pixels_of_both_and_leaves_the_generator_alone() -> None:
    asked: list[Tensor] = []

    def judge(image: Tensor) -> Judgement:
        asked.append(image)
        return nonlinear(image)

    judged = judged_by(judge)
    mask = boxes(judged.target)
    cutmix_loss(judged, mask, 1.0)
    assert not asked[-1].requires_grad
    assert torch.equal(asked[-1], torch.where(mask > 0.5, judged.target, judged.fake))


def test_boxes_have_any_area_and_place_and_are_as_often_reversed() -> None:
    torch.manual_seed(0)
    maps = boxes(torch.zeros(4000, 3, 20, 30)).numpy()
    assert maps.shape == (4000, 1, 20, 30)
    assert set(np.unique(maps)) == {0.0, 1.0}
    assert maps.mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(maps.mean(axis=0), 0.5, atol=0.05)  # at each pixel
    for one in maps[:200, 0]:
        odd = one != np.median(one)  # the smaller part of a map is a rectangle, or what is left around one
        inside = odd if odd[:, [0, -1]].mean() + odd[[0, -1]].mean() < 1 else ~odd
        for whole in (inside, ~inside):
            if whole.any() and np.array_equal(whole, np.outer(whole.any(1), whole.any(0))):
                break
        else:
            raise AssertionError("no rectangle")
    torch.manual_seed(0)
    areas = np.minimum(maps.mean(axis=(1, 2, 3)), 1 - maps.mean(axis=(1, 2, 3)))
    assert (areas < 0.05).mean() > 0.05


def test_the_share_rises_to_a_half_in_the_ramps_images() -> None:
    mixture, found = CutMix(8.0), []
    for _ in range(6):
        found.append(float(mixture.share()))
        mixture.update(2)
    assert found == [0.0, 0.125, 0.25, 0.375, 0.5, 0.5]
    judged, plain = judged_by(nonlinear), torch.tensor(7.0)
    torch.manual_seed(0)
    kept = [float(mixture.in_place_of(plain, judged, weight=1.0).detach()) == 7.0 for _ in range(400)]
    assert np.mean(kept) == pytest.approx(0.5, abs=0.08)
    assert float(CutMix(8.0).in_place_of(plain, judged, weight=1.0).detach()) == 7.0


@pytest.mark.parametrize(("reduction", "share"), [("sum", 1.0), ("mean", 0.5)])
def test_d_has_the_mixture_in_place_of_the_plain_loss(
    reduction: str, share: float, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(**LEVEL, objective__discriminator_loss=reduction, objective__r1=3.0)
    discriminator = build_discriminator(config)
    assert discriminator is not None
    x = random(2, 3, 16, 16, seed=9)
    judged = judged_by(lambda image: judgement(discriminator, torch.cat([x, image], 1)))
    plain = Translation(config.objective)
    mixture = CutMix(8.0)
    mixing = Translation(config.objective, None, mixture)
    assert torch.equal(plain.discriminator_loss(judged), mixing.discriminator_loss(judged))  # the share is 0
    mixture.update(10**6)
    fixed = random(2, 4, seed=3).sigmoid()
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: fixed if len(shape) == 2 else torch.tensor(0.1))
    without_penalty = Translation(config.objective.model_copy(update={"r1": 0.0}))
    penalty = plain.discriminator_loss(judged) - without_penalty.discriminator_loss(judged)
    expected = share * cutmix_loss(judged, boxes(judged.target), 1.0) + penalty
    torch.testing.assert_close(mixing.discriminator_loss(judged), expected)
    ours, theirs = (one.generator_loss(judged.fake, judged.target, judged) for one in (mixing, plain))
    assert torch.equal(ours.total, theirs.total)


def test_a_training_counts_its_images_and_a_checkpoint_has_them(tiny: Tiny) -> None:
    config = tiny(**LEVEL, training__batch_size=2)
    x, y = random(2, 3, 16, 16), random(2, 3, 16, 16, seed=1)
    networks = build_networks(config)
    optimisers = build_optimisers(networks, config)
    for _ in range(3):
        assert torch.isfinite(train_step(networks, optimisers, x, y, config)).all()
    assert isinstance(networks.mixture, CutMix)
    assert int(networks.mixture.images) == 6
    progress = Progress(3, [], torch.zeros(0, 4), 0.0)
    state = {name: tensor.clone() for name, tensor in state_of(networks, optimisers, progress).items()}
    again = build_networks(config)
    others = build_optimisers(again, config)
    restore({"step": 3, "seconds": 0.0}, state, again, others, 10)
    assert isinstance(again.mixture, CutMix)
    assert int(again.mixture.images) == 6
    draws = torch.get_rng_state()
    first = train_step(networks, optimisers, x, y, config)
    torch.set_rng_state(draws)
    assert torch.equal(train_step(again, others, x, y, config), first)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"discriminator__name": "patch16"}, "asks of each pixel whether it is real; use unet"),
        ({"objective__adversarial": "hinge"}, "use adversarial bce with pairing absolute"),
        ({"objective__pairing": "relativistic"}, "use adversarial bce with pairing absolute"),
        ({"discriminator__norm": "batch"}, "use none or instance"),
        ({"discriminator__scales": 2, "data__crop_size": 32, "data__load_size": 36}, "pixels of one size"),
        ({"training__augment": "translation"}, "stays where it is when the image is moved"),
    ],
)
def test_what_means_nothing_is_refused(settings: dict[str, Any], message: str, tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(**{**LEVEL, **settings})
    tiny(**{**LEVEL, **settings}, objective__name="l1")  # which has no D


def test_it_is_another_run_and_without_it_the_run_that_it_was(tiny: Tiny) -> None:
    plain = {key: value for key, value in LEVEL.items() if key != "objective__cutmix"}
    ids = [
        run_id(tiny(**{**plain, **more}), "d") for more in ({}, {"objective__cutmix": 8.0}, {"objective__cutmix": 9.0})
    ]
    assert len(set(ids)) == 3
    assert run_id(tiny(**LEVEL, objective__name="l1"), "d") == run_id(tiny(**plain, objective__name="l1"), "d")
