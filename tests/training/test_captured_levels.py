"""Every level's step is one that a CUDA graph can hold: nothing in it waits, comes from the host, or is drawn there.

Told without a GPU by a step on the ``meta`` device, which has no values to wait for; where there is one, by capturing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from p2pbench.bench.ceilings import untrained_networks
from p2pbench.config.schema import RunConfig
from p2pbench.config.sections import DISCRIMINATOR_NAMES, GENERATOR_NAMES, OBJECTIVE_NAMES
from p2pbench.data.batches import Batches
from p2pbench.data.label_classes import PALETTES
from p2pbench.training.augment import AUGMENTATIONS
from p2pbench.training.engine import build_optimisers, place_networks, prepare_engine, runner
from p2pbench.training.step import Optimisers, train_step

Tiny = Callable[..., RunConfig]
FRESH: dict[str, Any] = {"objective__generator_gradient": "fresh"}
PENALISED: dict[str, Any] = {"discriminator__norm": "instance", "discriminator__spectral_norm": True}
FLOW: dict[str, Any] = {"scoring__inference": "euler-4", "training__ema": 100.0}
LARGE: dict[str, Any] = {"data__load_size": 50, "data__crop_size": 48}
LEVELS: dict[str, dict[str, Any]] = {
    "the paper's": {},
    "the port's": {
        "training__preset": "pytorch", "generator__name": "resnet6", "discriminator__name": "patch70", **LARGE,
    },
    "attention, blur": {
        "generator__attention": True, "generator__downsampling": "blur", "generator__upsampling": "bilinear",
    },
    "spade of labels, padded": {"generator__spade": "labels", "data__load_size": 26, "data__crop_size": (20, 24)},
    "spade of photographs": {"generator__spade": "continuous", "generator__norm": "instance"},
    "noise, average": {
        "generator__noise": 2, "training__ema": 100.0, "training__augment": "translation",
        "generator__upsampling": "pixel-shuffle",
    },
    "nafnet, charbonnier": {"generator__name": "nafnet", "objective__name": "charbonnier"},
    "convnext_unet, lsgan": {"generator__name": "convnext_unet", "objective__adversarial": "lsgan"},
    "flow": {"objective__name": "flow", "generator__norm": "group", "generator__attention": True, **FLOW},
    "condition-flow": {"objective__name": "condition-flow", "generator__name": "convnext_unet", **FLOW},
    "bridge": {"objective__name": "bridge", "generator__norm": "group", **FLOW},
    "attention and blur in D": {"discriminator__downsampling": "blur", "discriminator__attention": True, **PENALISED},
    "R1, R2, relativistic": {
        "objective__r1": 1.0, "objective__r2": 1.0, "objective__pairing": "relativistic", **PENALISED,
    },
    "wgan-gp": {"objective__adversarial": "wgan-gp", **PENALISED, **FRESH},
    "scales, features": {"discriminator__scales": 2, "objective__lambda_features": 10.0, **LARGE, **FRESH},
    "perceptual": {"objective__perceptual": "squeeze", "objective__name": "l1", **LARGE},
    "translation": {"training__augment": "translation+cutout"},
    "diffaugment": {"training__augment": "diffaugment", "objective__r1": 1.0, **PENALISED, **FRESH},
    "ada": {"training__augment": "ada", **FRESH},
    "CutMix": {"discriminator__name": "unet", "objective__cutmix": 4.0, "objective__r1": 1.0, **PENALISED},
    "projected D": {
        "discriminator__name": "projected", "objective__name": "l1+gan", "objective__adversarial": "hinge",
        "objective__r1": 1.0, **PENALISED,
    },
    "projected D of pairs": {"discriminator__name": "projected", "objective__lambda_features": 1.0, **LARGE, **FRESH},
    "oasis": {
        "discriminator__name": "oasis", "discriminator__norm": "none", "discriminator__spectral_norm": True,
        "objective__name": "l1+gan", "scoring__palette": "facades",
    },
    "colorization": {"data__colours": "lab", "data__channels": (1, 2), "discriminator__name": "pixel"},
}  # fmt: skip
META = torch.device("meta")


class NothingOfTheHost(TorchDispatchMode):
    """Fails where a tensor of the host, or a random generator, takes part in an operation.

    ``lift_fresh`` is what Python's numbers become a tensor by, also as an index.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, result))
        from_host = any(isinstance(leaf, Tensor) and not leaf.is_meta for leaf in leaves)
        if (
            from_host
            or any(isinstance(leaf, torch.Generator) for leaf in leaves)
            or operation is torch.ops.aten.lift_fresh.default
        ):
            raise AssertionError(f"{operation} is of the host")
        return result


def draws_of_the_host() -> list[object]:
    """The states of all generators of random numbers but CUDA's."""
    return [random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()]  # type: ignore[index]  # noqa: NPY002


def pairs(config: RunConfig, dtype: type = np.uint8) -> np.ndarray:
    """Four pairs whose conditions are label maps, (4, H, W, C + C')."""
    height, width = config.data.load_shape
    drawn = np.random.default_rng(0).integers(0, 12, (4, height, width, 2))
    colours: np.ndarray = np.array([*PALETTES["facades"].classes.values()], dtype)
    return np.concatenate([colours[drawn[..., 0]], colours[drawn[..., 1]]], axis=3)


OFFENDERS: dict[str, Callable[[Tensor], object]] = {
    "a value": lambda t: t.sum().item(),
    "a branch": lambda t: bool((t > 0).all()),
    "values that are chosen": lambda t: t[t > 0],
    "an index of numbers": lambda t: t[[0, 1]],
    "a new tensor": lambda t: t * torch.tensor([1.0, 2.0], device=t.device),
    "a tensor of the host": lambda t: t + torch.zeros(2).to(t.device),
    "a number of the host": lambda t: t + torch.ones(()),
    "a copy to the host": lambda t: t.cpu(),
    "a draw on the host": lambda t: t + torch.rand(2, generator=torch.Generator()).to(t.device),
}


@pytest.mark.parametrize("offender", OFFENDERS)
def test_what_no_graph_can_hold_is_noticed(offender: str) -> None:
    with NothingOfTheHost(), pytest.raises((AssertionError, RuntimeError, NotImplementedError)):
        OFFENDERS[offender](torch.empty(2, device=META))


def test_all_networks_objectives_and_transforms_are_among_the_levels(tiny: Tiny) -> None:
    configs = [tiny(**level) for level in LEVELS.values()]
    of_d = [config for config in configs if config.objective.has_discriminator]
    # A PatchGAN of another depth, an encoder-decoder, or a ResNet of more blocks, has the same operations.
    alike = {"encoder_decoder", "resnet9", "patch34", "image286"}
    assert {config.generator.name for config in configs} == {*GENERATOR_NAMES} - alike
    assert {config.discriminator.name for config in of_d} == {*DISCRIMINATOR_NAMES} - alike
    assert {config.objective.name for config in configs} >= {*OBJECTIVE_NAMES} - {"l2", "gan", "cgan"}
    assert {config.training.augment for config in of_d} == {*AUGMENTATIONS}


@pytest.mark.parametrize("level", LEVELS)
def test_a_step_has_nothing_of_the_host(level: str, tiny: Tiny) -> None:
    """From the places where the batch is cut to the updates: by SGD, for Adam asks whether the device is CUDA."""
    config = tiny(**LEVELS[level])
    networks = untrained_networks(config).each(lambda network: network.to(META))
    batches = Batches(pairs(config, np.uint16 if level == "spade of photographs" else np.uint8), config, META)
    crops = batches.crops(0)
    generator, *discriminator = (
        torch.optim.SGD(network.parameters(), foreach=False)
        for network in (networks.generator, networks.discriminator)
        if network is not None
    )
    optimisers = Optimisers(generator, discriminator[0] if discriminator else None)
    before = draws_of_the_host()
    with NothingOfTheHost():
        losses = train_step(networks, optimisers, *batches.cut(crops), config)
    assert losses.shape == (4,)
    assert draws_of_the_host() == before


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
class TestOnCuda:
    @pytest.fixture(autouse=True)
    def _deterministic_products(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """PyTorch looks once in a process, here before the first of these, whether cuBLAS is to be deterministic
        (``alertCuBLASConfigNotDeterministic`` in ATen's Context.cpp). A training that is to be has its own process."""
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

    def losses(self, config: RunConfig, n_steps: int) -> Tensor:
        engine = prepare_engine(config.training, threads=1)
        networks = place_networks(untrained_networks(config), engine)
        optimisers = build_optimisers(networks, config, capturable=engine.kind == "graph")
        torch.manual_seed(0)
        run = runner(engine, networks, optimisers, Batches(pairs(config), config, engine.device), config)
        assert run.kind == config.training.engine
        rows = []
        for step in range(n_steps):
            run.feed(step)
            rows.append(run.run().clone())
        run.end()
        return torch.stack(rows).cpu()

    @pytest.mark.parametrize("level", LEVELS)
    def test_a_graph_gives_the_eager_losses(self, level: str, tiny: Tiny) -> None:
        changes = {**LEVELS[level], "training__device": "cuda"}
        captured, eager = (self.losses(tiny(training__engine=kind, **changes), 4) for kind in ("graph", "eager"))
        torch.testing.assert_close(captured, eager, rtol=1e-2, atol=1e-2)

    @pytest.mark.parametrize(
        "level",
        ["attention, blur", "spade of labels, padded", "perceptual", "diffaugment", "CutMix", "projected D", "oasis"],
    )
    def test_a_deterministic_step_gives_the_same_bits(self, level: str, tiny: Tiny) -> None:
        """Of borders, resizing, pooling and gathering, whose gradients PyTorch computes in another way then."""
        changes = {**LEVELS[level], "training__device": "cuda", "training__deterministic": True}
        config = tiny(training__engine="graph", **changes)
        torch.testing.assert_close(self.losses(config, 3), self.losses(config, 3), rtol=0, atol=0)
