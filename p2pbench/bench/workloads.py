"""What is timed. ``step``: the update of D and G, ours beside a plain loop as people write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from p2pbench.bench.machine import describe_machine, versions
from p2pbench.bench.measure import Contestant, Step, race
from p2pbench.config import RunConfig
from p2pbench.cores import available_cores
from p2pbench.models import build_discriminator, build_generator
from p2pbench.objective import discriminator_input
from p2pbench.settings import Layer, Resolved, resolve
from p2pbench.training.engine import build_optimisers, place, prepare
from p2pbench.training.step import Networks, train_step

PLAIN = "plain loop"


def bench_step(
    resolved: Resolved, *, rounds: int = 12, round_seconds: float = 1.5, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """The documented JSON of ``bench step``: our step in each precision the device has, beside the plain loop.

    The images are random and already in memory: the step alone is timed. ``training.precision``, where it was set
    on purpose, leaves that row alone beside the plain loop.
    """
    config = resolved.config
    on_cuda = config.training.device == "cuda" or (config.training.device == "auto" and torch.cuda.is_available())
    precisions = ["fp32", "tf32", "bf16"] if on_cuda else ["fp32", "bf16"]
    if resolved.origin["training.precision"] == "--set":
        precisions = [config.training.precision]
    contestants = [Contestant(PLAIN, build_plain, (config,))]
    for precision in precisions:
        settings = {
            f"{section}.{key}": value
            for section, values in config.model_dump().items()
            for key, value in values.items()
        }
        ours = resolve([Layer("bench", {**settings, "training.precision": precision})]).config
        contestants.append(Contestant(precision, build_ours, (ours,)))
    timings = race(contestants, rounds=rounds, round_seconds=round_seconds, progress=progress)
    plain = timings[PLAIN]
    rows = [
        {
            "workload": "step",
            "name": f"{config.generator.name}, {_judge(config)}, {config.objective.name}",
            "size": config.data.crop_size,
            "batch_size": config.training.batch_size,
            "precision": "fp32" if name == PLAIN else name,
            "engine": "plain" if name == PLAIN else "eager",
            "images_per_second": timing.images_per_second,
            "ratio_to_plain": timing.ratio_to(plain),
            "peak_memory_bytes": timing.peak_memory_bytes,
            "seconds_per_step": sorted(timing.seconds),
        }
        for name, timing in timings.items()
    ]
    device = torch.device("cuda") if on_cuda else None
    return {"machine": {**describe_machine(device), "versions": versions(), "threads": _threads(config)}, "rows": rows}


def build_ours(config: RunConfig) -> tuple[Step, int]:
    """Our training step on random images, as ``train`` runs it."""
    engine = prepare(config.training, _threads(config))
    networks = place(Networks(build_generator(config), build_discriminator(config)), engine)
    optimisers = build_optimisers(networks, config)
    condition, target = (images.to(engine.device, memory_format=engine.memory_format) for images in _images(config))
    steps_since_reading = 0

    def step() -> None:
        nonlocal steps_since_reading
        losses = train_step(networks, optimisers, condition, target, config)
        steps_since_reading += 1
        if steps_since_reading % config.training.log_every == 0:
            losses.cpu()
        if engine.device.type == "cuda":
            torch.cuda.synchronize()

    return step, config.training.batch_size


def build_plain(config: RunConfig) -> tuple[Step, int]:
    """The loop that people write: eager float32 in PyTorch's own layout and defaults, Adam without fusion, D run again
    for G's update, and every loss read from the device each step.
    """
    torch.set_num_threads(_threads(config))
    cuda = config.training.device in ("auto", "cuda") and torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    generator = build_generator(config).to(device)
    discriminator = build_discriminator(config)
    lambda_l1 = config.objective.lambda_l1 if config.objective.has_l1 else 0.0
    adam = {"lr": config.training.learning_rate, "betas": (0.5, 0.999), "foreach": False, "fused": False}
    optimiser_g = torch.optim.Adam(generator.parameters(), **adam)  # type: ignore[arg-type]
    condition, target = (images.to(device) for images in _images(config))

    def step_without_d() -> None:
        optimiser_g.zero_grad()
        loss = lambda_l1 * l1_loss(generator(condition), target)
        loss.backward()
        optimiser_g.step()
        loss.item()

    if discriminator is None:
        return step_without_d, config.training.batch_size

    judge = discriminator.to(device)
    optimiser_d = torch.optim.Adam(judge.parameters(), **adam)  # type: ignore[arg-type]

    def verdict(image: Tensor, real: float) -> Tensor:
        logits = judge(discriminator_input(condition, image, conditional=config.objective.conditional))
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))

    def step() -> None:
        fake = generator(condition)
        judge.requires_grad_(True)
        optimiser_d.zero_grad()
        loss_fake = verdict(fake.detach(), 0.0)
        loss_real = verdict(target, 1.0)
        (0.5 * (loss_fake + loss_real)).backward()
        optimiser_d.step()
        judge.requires_grad_(False)
        optimiser_g.zero_grad()
        loss_adversarial = verdict(fake, 1.0)
        loss_l1 = lambda_l1 * l1_loss(fake, target)
        (loss_adversarial + loss_l1).backward()
        optimiser_g.step()
        for loss in (loss_fake, loss_real, loss_adversarial, loss_l1):
            loss.item()
        if cuda:
            torch.cuda.synchronize()

    return step, config.training.batch_size


def _images(config: RunConfig) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    condition, target = (
        torch.rand(config.training.batch_size, channels, *config.data.crop_shape, generator=random) * 2 - 1
        for channels in config.data.channels
    )
    return condition, target


def _judge(config: RunConfig) -> str:
    return config.discriminator.name if config.objective.has_discriminator else "no discriminator"


def _threads(config: RunConfig) -> int:
    return config.training.threads or available_cores()
