"""The plain loop that version 0.1 compared with, kept so that speed can be followed from then on.

It is slower than what people run: Adam goes over the parameters one by one, every loss is read in every step, the first
batch of each short epoch is waited for. ``python tests/benchmarks/plain_loop_0_1.py [SETTING=VALUE ...]`` times our
step beside it and beside the plain loop of today, in turns.
"""

from __future__ import annotations

import itertools
import sys

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss
from torch.utils.data import DataLoader

from p2pbench.bench.clock import Contestant, Step, race
from p2pbench.bench.plain_loop import JpegPairs, build_plain
from p2pbench.bench.step import build_ours
from p2pbench.config.resolve import Layer, parse_set, resolve
from p2pbench.config.schema import RunConfig
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.system.hardware import available_cores
from p2pbench.training.losses import discriminator_input


class FewPairs(JpegPairs):
    """An epoch has each pair once."""

    def __len__(self) -> int:
        return len(self.files)


def build_plain_0_1(config: RunConfig) -> tuple[Step, int]:
    """As 0.1 had it; its float32 was TF32 where cuDNN has that."""
    torch.set_num_threads(config.training.threads or available_cores())
    cuda = config.training.device in ("auto", "cuda") and torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    generator, discriminator = build_generator(config).to(device), build_discriminator(config)
    lambda_l1 = config.objective.lambda_l1 if config.objective.has_l1 else 0.0
    adam = {"lr": config.training.learning_rate, "betas": (0.5, 0.999), "foreach": False, "fused": False}
    optimiser_g = torch.optim.Adam(generator.parameters(), **adam)  # type: ignore[arg-type]
    if discriminator is not None:
        discriminator.to(device)
        optimiser_d = torch.optim.Adam(discriminator.parameters(), **adam)  # type: ignore[arg-type]
    loader = DataLoader(
        FewPairs(config), config.training.batch_size, shuffle=True, drop_last=True,
        num_workers=4 if cuda else 0, persistent_workers=cuda,
    )  # fmt: skip
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    def gan_loss(discriminator: nn.Module, condition: Tensor, image: Tensor, real: float) -> Tensor:
        logits = discriminator(discriminator_input(condition, image, conditional=config.objective.conditional))
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))

    def step() -> None:
        condition, target = (images.to(device) for images in next(batches))
        fake = generator(condition)
        losses = []
        if discriminator is not None:
            discriminator.requires_grad_(True)
            optimiser_d.zero_grad()
            losses += [gan_loss(discriminator, condition, fake.detach(), 0.0)]
            losses += [gan_loss(discriminator, condition, target, 1.0)]
            (0.5 * (losses[0] + losses[1])).backward()
            optimiser_d.step()
            discriminator.requires_grad_(False)
            losses += [gan_loss(discriminator, condition, fake, 1.0)]
        optimiser_g.zero_grad()
        losses += [lambda_l1 * l1_loss(fake, target)]
        torch.stack(losses[-2:]).sum().backward()  # those of G: the adversarial one, where there is D, and L1
        optimiser_g.step()
        for loss in losses:
            loss.item()

    return step, config.training.batch_size


def main() -> None:
    config = resolve([Layer("--set", parse_set(sys.argv[1:]))]).config
    builds = {"0.1's plain loop": build_plain_0_1, "plain loop": build_plain, "ours": build_ours}
    timings = race([Contestant(name, build, (config,)) for name, build in builds.items()], rounds=20, round_seconds=0.6)
    ours = timings.pop("ours")
    for name, timing in timings.items():
        ratio = sorted(ours.ratios_to(timing))[len(ours.seconds) // 2]
        print(f"{ours.speeds.mean():.3g} images/s, {ratio:.2f} times {name}")


if __name__ == "__main__":
    main()
