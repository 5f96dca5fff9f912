"""LPIPS as a loss: the package's number, a gradient that is finite everywhere, and frozen weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from random_weights import lpips_package

from p2pbench.scoring.lpips import MODELS, load_heads, load_layers
from p2pbench.scoring.lpips_loss import LpipsLoss, untrained_lpips_loss


@pytest.mark.parametrize("net", ["squeeze", pytest.param("vgg", marks=pytest.mark.long)])
def test_the_loss_is_the_packages_distance(net: str, tmp_path: Path) -> None:
    import torchvision

    torch.manual_seed(0)
    path = tmp_path / "x.pth"
    torch.save(getattr(torchvision.models, MODELS[net])(weights=None).state_dict(), path)
    loss = LpipsLoss(net, load_layers(net, path), load_heads(net)).train()
    fake, target = (torch.rand(2, 3, 32, 32) * 2 - 1 for _ in range(2))
    fake.requires_grad_()
    theirs = lpips_package(net, path)(fake, target).mean()
    ours = loss(fake, target)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-4)
    expected, found = (torch.autograd.grad(distance, fake)[0] for distance in (theirs, ours))
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3 * float(expected.abs().max()))
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_equal_images_have_no_distance_and_a_gradient_that_is_finite() -> None:
    loss = untrained_lpips_loss("squeeze")
    images = torch.zeros(1, 3, 32, 32, requires_grad=True)
    distance = loss(images, images.detach())
    assert float(distance.detach()) == 0.0
    (gradient,) = torch.autograd.grad(distance, images)
    assert bool(gradient.isfinite().all())
