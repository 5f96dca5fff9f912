"""Each loss against its formula, written out."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from p2pbench.config.schema import OBJECTIVE_NAMES, ObjectiveConfig
from p2pbench.models.judgement import Judgement
from p2pbench.training.losses import (
    GAN_LOSSES,
    discriminator_input,
    discriminator_loss,
    gradient_penalty,
)
from p2pbench.training.objectives.contract import Judged
from p2pbench.training.objectives.translation import Translation


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(2, 1, 3, 3, generator=random, dtype=torch.float64) for _ in range(2))
    return real, fake


def test_the_losses_are_those_that_the_configuration_names() -> None:
    assert list(GAN_LOSSES) == list(get_args(ObjectiveConfig.model_fields["adversarial"].annotation))


def test_discriminator_loss_is_cross_entropy(logits: tuple[torch.Tensor, torch.Tensor]) -> None:
    real, fake = logits
    expected = -np.log(sigmoid(real.numpy())).mean() - np.log(1 - sigmoid(fake.numpy())).mean()
    assert float(discriminator_loss(real, fake)) == pytest.approx(expected, rel=1e-12)


def test_generator_is_trained_to_be_taken_for_real_not_to_be_not_taken_for_fake(
    logits: tuple[torch.Tensor, torch.Tensor],
) -> None:
    _, fake = logits
    assert float(GAN_LOSSES["bce"].generator(fake)) == pytest.approx(-np.log(sigmoid(fake.numpy())).mean(), rel=1e-12)


def test_the_other_adversarial_losses_are_their_papers(logits: tuple[torch.Tensor, torch.Tensor]) -> None:
    real, fake = logits
    r, f = real.numpy(), fake.numpy()
    expected = {
        "lsgan": (((r - 1) ** 2).mean() + (f**2).mean(), ((f - 1) ** 2).mean()),
        "hinge": (np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(), -f.mean()),
        "wgan-gp": (-r.mean() + f.mean(), -f.mean()),
    }
    for kind, (of_d, of_g) in expected.items():
        assert float(discriminator_loss(real, fake, kind)) == pytest.approx(of_d, rel=1e-12)
        assert float(GAN_LOSSES[kind].generator(fake)) == pytest.approx(of_g, rel=1e-12)


def test_the_gradient_penalty_of_a_linear_discriminator_is_known() -> None:
    """D(x) = <w, x> has gradient w everywhere, so the penalty is 10 (|w| - 1)^2, and its gradient is too."""
    w = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    real, fake = torch.rand(2, 2, 3, 4, 4, dtype=torch.float64)
    penalty = gradient_penalty(lambda x: Judgement(((x * w).sum((1, 2, 3), keepdim=True),)), real, fake)
    norm = float(w.detach().norm())
    assert float(penalty.detach()) == pytest.approx(10 * (norm - 1) ** 2, rel=1e-6)
    penalty.backward()
    assert w.grad is not None
    torch.testing.assert_close(w.grad, 20 * (norm - 1) * w.detach() / norm, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", [name for name in OBJECTIVE_NAMES if "l1" in name or "gan" in name])
def test_generator_loss_has_the_terms_its_name_says(name: str) -> None:
    random = torch.Generator().manual_seed(1)
    fake, target = (torch.rand(2, 3, 4, 4, generator=random) * 2 - 1 for _ in range(2))
    objective = ObjectiveConfig(name=name, lambda_l1=7.0)
    patches = torch.randn(2, 1, 2, 2, generator=random) if objective.has_discriminator else None
    said = Judgement((patches,)) if patches is not None else None
    judged = None if said is None else Judged(lambda _: said, fake, target, fake, None, said)
    loss = Translation(objective).generator_loss(fake, target, judged)
    l1 = np.abs(fake.numpy() - target.numpy()).mean()
    adversarial = -np.log(sigmoid(patches.numpy())).mean() if patches is not None else 0.0
    expected = adversarial + (7.0 * l1 if name.startswith("l1") else 0.0)
    # float32 sums of 96 terms against numpy's
    assert float(loss.total) == pytest.approx(expected, rel=1e-5)
    assert float(loss.l1) == pytest.approx(l1, rel=1e-5)
    assert float(loss.adversarial) == pytest.approx(adversarial, rel=1e-5)


def test_a_conditional_discriminator_sees_the_condition_first() -> None:
    condition, image = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    pair = discriminator_input(condition, image, conditional=True)
    assert pair.shape == (1, 6, 2, 2)
    assert float(pair[:, :3].sum()) == 0.0
    assert discriminator_input(condition, image, conditional=False) is image
