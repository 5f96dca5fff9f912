"""DiffAugment: identities, equal transforms on the pair, gradients where they should be, and what stays out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import nn

from p2pbench.config.schema import RunConfig, TrainingConfig
from p2pbench.training import step
from p2pbench.training.augment import AUGMENTATIONS, Draw, augmented, draw_augmentation
from p2pbench.training.engine import build_networks, build_optimisers
from p2pbench.training.step import train_step

Tiny = Callable[..., RunConfig]
GEOMETRY = ("translation", "cutout")


def images(n: int = 4, side: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def uniform(n: int, *values: float) -> torch.Tensor:
    return torch.tensor([values]).expand(n, 7)


def test_the_augmentations_are_those_that_the_configuration_names() -> None:
    assert list(AUGMENTATIONS) == list(get_args(TrainingConfig.model_fields["augment"].annotation))
    assert draw_augmentation("none", images()) is None


def test_a_draw_in_the_middle_changes_nothing_but_saturation_and_contrast_by_one() -> None:
    """Brightness + 0, saturation and contrast x 1, no shift: the identity at strength 0."""
    x = images()
    draw = Draw(uniform(4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5), ("colour", "translation"))
    condition, image = augmented(x, x, draw)
    assert torch.equal(condition, x)
    torch.testing.assert_close(image, x, rtol=0, atol=1e-6)


def test_colours_are_the_papers_formulas_and_the_images_alone() -> None:
    x = images()
    draw = Draw(torch.rand(4, 7, generator=torch.Generator().manual_seed(1)), ("colour",))
    condition, image = augmented(x, x, draw)
    assert condition is x
    b, s, c = (draw.uniform[:, k].reshape(4, 1, 1, 1) for k in range(3))
    expected = x + (b - 0.5)
    grey = expected.mean(1, keepdim=True)
    expected = (expected - grey) * (2 * s) + grey
    mean = expected.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(image, (expected - mean) * (c + 0.5) + mean)


@pytest.mark.parametrize(
    ("row", "column", "down", "right"), [(0.0, 0.5, -2, 0), (0.999, 0.999, 2, 2), (0.5, 0.3, 0, -1)]
)
def test_a_shift_moves_by_whole_pixels_and_zeros_move_in(row: float, column: float, down: int, right: int) -> None:
    x = images()
    _, moved = augmented(x, x, Draw(uniform(4, 0, 0, 0, row, column, 0, 0), ("translation",)))
    expected = torch.zeros_like(x)
    to = [slice(max(0, by), 16 + min(0, by)) for by in (down, right)]
    of = [slice(max(0, -by), 16 + min(0, -by)) for by in (down, right)]
    expected[:, :, to[0], to[1]] = x[:, :, of[0], of[1]]
    assert torch.equal(moved, expected)


def test_shifts_and_cuts_are_as_likely_as_they_are_far() -> None:
    """Every shift from -2 to 2 and, of the square's centre, every place in the image."""
    draw = Draw(torch.rand(20_000, 7, generator=torch.Generator().manual_seed(2)), GEOMETRY)
    shifts, counts = draw.shift(0, 16).unique(return_counts=True)
    assert shifts.tolist() == [-2, -1, 0, 1, 2]
    assert counts.min() > 0.9 * 20_000 / 5
    firsts = draw.cut(1, 16).unique()
    assert (float(firsts.min()), float(firsts.max())) == (-4, 12)


@pytest.mark.parametrize("side", [16, 15, 20])
def test_condition_and_image_are_moved_and_cut_alike(side: int) -> None:
    x = images(side=side)
    draw = draw_augmentation("translation+cutout", x)
    assert draw is not None
    condition, image = augmented(x, x, draw)
    assert torch.equal(condition, image)
    assert not torch.equal(condition, x)
    assert len({tuple(row.tolist()) for row in draw.uniform}) == len(x)  # each image has its own


def test_what_is_cut_out_has_no_gradient_and_the_rest_has() -> None:
    x = images().requires_grad_()
    draw = Draw(uniform(4, 0, 0, 0, 0, 0, 0.5, 0.5), ("cutout",))
    augmented(x.detach(), x, draw)[1].sum().backward()
    assert x.grad is not None
    inside = torch.zeros(16, 16)
    inside[4:12, 4:12] = 1.0
    assert torch.equal(x.grad, (1 - inside).expand_as(x))


def test_d_sees_what_is_augmented_and_nothing_else_does(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stale reuses D's draw, fresh draws anew; target and fake of a pair have the same."""
    draws: list[object] = []

    def watched(condition: torch.Tensor, image: torch.Tensor, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
        draws.append(draw)
        return augmented(condition, image, draw)

    monkeypatch.setattr(step, "augmented", watched)
    x, y = images(2), -images(2)
    for how, n_seen, n_draws in (("stale", 2, 1), ("fresh", 3, 2)):
        config = tiny(training__augment="diffaugment", objective__generator_gradient=how)
        networks = build_networks(config)
        seen: list[torch.Tensor] = []
        networks.generator.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        draws.clear()
        losses = train_step(networks, build_optimisers(networks, config), x, y, config)
        assert (len(draws), len({id(draw) for draw in draws})) == (n_seen, n_draws)
        assert [torch.equal(given, x) for given in seen] == [True]
        torch.manual_seed(0)
        assert bool(losses.isfinite().all())


def test_without_augmentation_nothing_is_drawn(tiny: Tiny) -> None:
    config = tiny(generator__dropout="none")
    networks = build_networks(config)
    before = torch.get_rng_state()
    train_step(networks, build_optimisers(networks, config), images(2), -images(2), config)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_generators_gradient_passes_the_transforms(tiny: Tiny) -> None:
    """With D a sum, the gradient that reaches the fake is that of the transforms: 0 in the square that is cut out."""

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, pair: torch.Tensor) -> torch.Tensor:
            return self.weight * pair[:, 3:].sum((1, 2, 3), keepdim=True)

    config = tiny(objective__name="cgan", objective__adversarial="wgan-gp", training__augment="translation+cutout",
                  discriminator__norm="none", training__seed=1)  # fmt: skip
    networks = build_networks(config)
    networks = step.Networks(networks.generator, Sum())
    gradients: list[torch.Tensor] = []
    networks.generator.register_forward_hook(lambda *given: given[2].register_hook(gradients.append) and None)
    train_step(networks, build_optimisers(networks, config), images(2), -images(2), config)
    (gradient,) = gradients
    assert 0.2 < float((gradient == 0).float().mean()) < 0.6
