"""Adaptive augmentation: p moves by the sign of D's overfitting, on the device, and resumes to the same bits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.training.adaptive import Adaptive
from p2pbench.training.augment import Draw, augmented, draw_augmentation
from p2pbench.training.checkpoint import Progress, restore, state_of
from p2pbench.training.engine import build_networks, build_optimisers
from p2pbench.training.step import Networks, Optimisers, train_step

Tiny = Callable[..., RunConfig]


def images(n: int = 4, side: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def logits(share_above: float) -> tuple[torch.Tensor, ...]:
    """A map of 20 patches of which so many are taken for real."""
    values = torch.full((20,), -1.0)
    values[: round(20 * share_above)] = 3.0
    return (values.reshape(1, 1, 4, 5),)


def test_p_rises_above_six_tenths_every_fourth_update_and_falls_to_zero_below() -> None:
    adaptive = Adaptive(images=100.0)
    found = []
    for share in [1.0] * 8 + [0.85] * 4 + [0.75] * 16:  # mean signs 1, 0.7 and 0.5
        adaptive.update(logits(share), n_images=2)
        found.append(round(float(adaptive.p), 6))
    assert found == [0.0] * 3 + [0.08] * 4 + [0.16] * 4 + [0.24] * 4 + [0.16] * 4 + [0.08] * 4 + [0.0] * 5
    many = Adaptive(images=4.0)
    for _ in range(8):
        many.update((*logits(1.0), *logits(0.7)), n_images=1)  # over the maps the mean sign is 0.7
    assert float(many.p) == 2.0  # not capped


def test_each_transform_is_applied_with_the_probability() -> None:
    x = images(4000, side=4)
    draw = draw_augmentation("ada", x, torch.tensor(0.3))
    assert draw is not None
    assert draw.applied is not None
    assert draw.applied.double().mean(0).tolist() == pytest.approx([0.3] * 3, abs=0.03)
    for probability, changed in ((0.0, False), (1.5, True)):
        draw = draw_augmentation("ada", x, torch.tensor(probability))
        assert draw is not None
        condition, image = augmented(x, -x, draw)
        assert torch.equal(condition, x) is not changed
        assert torch.equal(image, -x) is not changed
    always = draw._replace(applied=None)
    assert all(torch.equal(a, b) for a, b in zip(augmented(x, -x, always), (condition, image), strict=True))


def test_an_image_that_is_left_alone_is_the_same_bits_and_others_are_not() -> None:
    x = images(2)
    draw = Draw(torch.rand(2, 7), ("colour",), torch.tensor([[False], [True]]))
    _, image = augmented(x, x, draw)
    assert torch.equal(image[0], x[0])
    assert not torch.equal(image[1], x[1])


def test_a_training_moves_p_and_a_checkpoint_has_it(tiny: Tiny) -> None:
    config = tiny(training__augment="ada", training__ada_images=8.0, training__batch_size=2)
    x = images(2)

    def begun() -> tuple[Networks, Optimisers]:
        networks = build_networks(config)
        return networks, build_optimisers(networks, config)

    networks, optimisers = begun()
    assert isinstance(networks.augmentation, Adaptive)
    networks.augmentation.signs.fill_(100.0)  # it has been sure of them
    for _ in range(6):
        train_step(networks, optimisers, x, -x, config)
    assert float(networks.augmentation.p) == 1.0
    progress = Progress(6, [], torch.zeros(0, 4), 0.0)
    state = {name: tensor.clone() for name, tensor in state_of(networks, optimisers, progress).items()}
    again, others = begun()
    restore({"step": 6, "seconds": 0.0}, state, again, others, 10)
    assert isinstance(again.augmentation, Adaptive)
    assert torch.equal(again.augmentation.p, networks.augmentation.p)
    assert int(again.augmentation.updates) == 6
    draws = torch.get_rng_state()
    first = train_step(networks, optimisers, x, -x, config)
    torch.set_rng_state(draws)
    assert torch.equal(train_step(again, others, x, -x, config), first)


def test_it_is_another_run_whose_pace_counts(tiny: Tiny) -> None:
    ids = [run_id(tiny(training__augment=kind, training__ada_images=n), "d")
           for kind in ("diffaugment", "ada") for n in (100_000.0, 5000.0)]  # fmt: skip
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    alone = {"objective__name": "l1", "training__augment": "ada"}
    assert run_id(tiny(**alone, training__ada_images=5.0), "d") == run_id(tiny(objective__name="l1"), "d")


@pytest.mark.parametrize(
    "settings", [{"objective__adversarial": "lsgan"}, {"objective__pairing": "relativistic"},
                 {"objective__adversarial": "wgan-gp", "discriminator__norm": "none"}]
)  # fmt: skip
def test_where_a_logit_of_0_means_nothing_it_is_refused(settings: dict[str, str], tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="use adversarial bce or hinge"):
        tiny(training__augment="ada", **settings)
