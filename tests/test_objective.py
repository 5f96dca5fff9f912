"""Each loss against its formula, written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from p2pbench.config import OBJECTIVE_NAMES, ObjectiveConfig
from p2pbench.objective import adversarial_loss, discriminator_input, discriminator_loss, generator_loss


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(2, 1, 3, 3, generator=random, dtype=torch.float64) for _ in range(2))
    return real, fake


def test_discriminator_loss_is_cross_entropy(logits: tuple[torch.Tensor, torch.Tensor]) -> None:
    real, fake = logits
    expected = -np.log(sigmoid(real.numpy())).mean() - np.log(1 - sigmoid(fake.numpy())).mean()
    assert float(discriminator_loss(real, fake, "sum")) == pytest.approx(expected, rel=1e-12)
    assert float(discriminator_loss(real, fake, "mean")) == pytest.approx(expected / 2, rel=1e-12)


def test_generator_is_trained_to_be_taken_for_real_not_to_be_not_taken_for_fake(
    logits: tuple[torch.Tensor, torch.Tensor],
) -> None:
    _, fake = logits
    assert float(adversarial_loss(fake)) == pytest.approx(-np.log(sigmoid(fake.numpy())).mean(), rel=1e-12)


@pytest.mark.parametrize("name", OBJECTIVE_NAMES)
def test_generator_loss_has_the_terms_its_name_says(name: str) -> None:
    random = torch.Generator().manual_seed(1)
    fake, target = (torch.rand(2, 3, 4, 4, generator=random) * 2 - 1 for _ in range(2))
    objective = ObjectiveConfig(name=name, lambda_l1=7.0)
    patches = torch.randn(2, 1, 2, 2, generator=random) if objective.adversarial else None
    loss = generator_loss(patches, fake, target, objective)
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
