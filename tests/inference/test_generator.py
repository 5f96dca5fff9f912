"""The paper's inference mode, and that it leaves no trace."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from p2pbench.config.schema import DataConfig, RunConfig
from p2pbench.inference.generator import translate
from p2pbench.inference.modes import KeyedDropout, PerImageNorm, noise
from p2pbench.models.build import build_generator

Tiny = Callable[..., RunConfig]


def conditions(n: int = 5) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)


@given(n=st.integers(1, 4), channels=st.integers(1, 5), size=st.integers(2, 6), seed=st.integers(0, 99))
def test_per_image_norm_is_batch_norm_of_each_image_alone(n: int, channels: int, size: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm2d(channels)
    nn.init.normal_(norm.weight, 1.0, 0.5, generator=random)
    nn.init.normal_(norm.bias, 0.0, 0.5, generator=random)
    x = torch.randn(n, channels, size, size, generator=random)
    alone = torch.cat([copy.deepcopy(norm).train()(image[None]) for image in x])
    assert torch.equal(PerImageNorm(norm)(x), alone)


def test_keyed_dropout_drops_half_and_scales_the_rest() -> None:
    dropped = KeyedDropout(0.5, [noise(0, 0)])(torch.ones(1, 8, 32, 32))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.05)


def test_outputs_do_not_depend_on_batch_or_order(tiny: Tiny) -> None:
    generator = build_generator(tiny(data__crop_size=16))
    images = conditions()
    together = translate(generator, images, DataConfig(), seed=0, batch_size=5)
    alone = np.concatenate([translate(generator, images[i : i + 1], DataConfig(), seed=0, keys=[i]) for i in range(5)])
    # Convolutions may sum in another order at another batch size: one grey level at the most.
    assert np.abs(together.astype(int) - alone).max() <= 1
    order = [3, 0, 4, 1, 2]
    shuffled = translate(generator, images[order], DataConfig(), seed=0, batch_size=5, keys=order)
    assert np.array_equal(shuffled, together[order])


def test_dropout_is_on_and_keyed(tiny: Tiny) -> None:
    images = conditions(2)
    generator = build_generator(tiny())
    first = translate(generator, images, DataConfig(), seed=0)
    torch.rand(3)
    assert np.array_equal(translate(generator, images, DataConfig(), seed=0), first)
    assert not np.array_equal(translate(generator, images, DataConfig(), seed=1), first)
    plain = build_generator(tiny(generator__dropout="none"))
    assert np.array_equal(
        translate(plain, images, DataConfig(), seed=0), translate(plain, images, DataConfig(), seed=1)
    )


def test_the_modes_differ_in_dropout_and_in_whose_statistics(tiny: Tiny) -> None:
    generator = build_generator(tiny())
    with torch.no_grad():  # running statistics that are not those of any one image
        for module in generator.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.fill_(0.3)
    images = conditions(2)
    found = {
        mode: translate(generator, images, DataConfig(), seed=0, mode=mode)
        for mode in ("paper", "instance-stats", "eval")
    }
    for mode, varies in (("paper", True), ("instance-stats", False), ("eval", False)):
        assert np.array_equal(found[mode], translate(generator, images, DataConfig(), seed=1, mode=mode)) != varies
    assert not np.array_equal(found["instance-stats"], found["eval"])
    assert not np.array_equal(found["instance-stats"], found["paper"])
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        wanted = ((copy.deepcopy(generator).eval()(x) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    assert np.abs(found["eval"].astype(int) - wanted).max() <= 1


def test_translating_leaves_the_generator_and_torchs_random_state_alone(tiny: Tiny) -> None:
    generator = build_generator(tiny()).train()
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    state = torch.get_rng_state()
    translate(generator, conditions(), DataConfig(), seed=0)
    assert generator.training
    assert all(torch.equal(before[name], tensor) for name, tensor in generator.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(isinstance(m, PerImageNorm | KeyedDropout) for m in generator.modules())
    assert all(p.requires_grad for p in generator.parameters())


def test_it_is_what_training_mode_computes_at_batch_one(tiny: Tiny) -> None:
    generator = build_generator(tiny(generator__dropout="none")).train()
    image = conditions(1)
    with torch.no_grad():
        x = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 127.5 - 1
        wanted = ((copy.deepcopy(generator)(x) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    # x is scaled by a division here and by a product there; one grey level at the most.
    assert np.abs(translate(generator, image, DataConfig(), seed=0).astype(int) - wanted).max() <= 1
