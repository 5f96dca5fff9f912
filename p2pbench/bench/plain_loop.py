"""The plain loop: pix2pix as people write it, which every row of ``bench step`` is compared with."""

import io
import itertools

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss
from torch.utils.data import DataLoader, Dataset

from p2pbench.bench.clock import Step
from p2pbench.config.schema import RunConfig
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.models.judgement import judgement
from p2pbench.system.hardware import available_cores
from p2pbench.training.device import available_device
from p2pbench.training.losses import discriminator_input

N_PAIRS = 16
"""Pairs that are trained on; more where a batch has more."""
N_BATCHES = 16
"""Batches of an epoch; at its end the workers begin anew."""
MOST_WORKERS = 4
"""The port's ``--num_threads``."""


def why_no_plain_loop(config: RunConfig) -> str | None:
    """Why the plain loop cannot train the networks of ``config``, in words; None where it can."""
    if config.objective.is_transport:
        return f"objective {config.objective.name} asks its generator for a way, not for an image"
    if config.objective.has_discriminator and config.discriminator.name == "oasis":
        return "discriminator oasis says which class a pixel has, not whether it is real"
    return None


def left_out(config: RunConfig) -> list[str]:
    """What our step of ``config`` has and the plain loop has not: it trains the same networks by pix2pix's losses."""
    objective, training = config.objective, config.training
    of_d = {
        f"adversarial {objective.adversarial}": objective.adversarial != "bce",
        f"pairing {objective.pairing}": objective.pairing != "absolute",
        "r1": objective.r1 > 0,
        "r2": objective.r2 > 0,
        "feature matching": objective.lambda_features > 0,
        "cutmix": objective.cutmix is not None,
        f"augment {training.augment}": training.augment != "none",
    }
    rest = {f"perceptual {objective.perceptual}": objective.perceptual is not None, "ema": training.ema is not None}
    found = rest | of_d if objective.has_discriminator else rest
    return [name for name, there in found.items() if there]


class JpegPairs(Dataset[tuple[Tensor, Tensor]]):
    """Side-by-side JPEG files, held in memory as the system caches them, and read, resized and cropped by Pillow."""

    def __init__(self, config: RunConfig) -> None:
        self.data, self.batch_size = config.data, config.training.batch_size
        self.files: list[bytes] = []
        for pair in random_pairs(config)[..., :3]:
            stream = io.BytesIO()
            Image.fromarray(np.concatenate([pair, pair], axis=1)).save(stream, "JPEG", quality=95)
            self.files.append(stream.getvalue())

    def __len__(self) -> int:
        return N_BATCHES * self.batch_size

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with Image.open(io.BytesIO(self.files[index % len(self.files)])) as file:
            image = file.convert("RGB")
        (height, width), (load_height, load_width) = self.data.crop_shape, self.data.load_shape
        if not self.data.jitter:
            load_height, load_width = height, width
        top = int(torch.randint(0, load_height - height + 1, ()))
        left = int(torch.randint(0, load_width - width + 1, ()))
        mirror = self.data.mirror and bool(torch.rand(()) < 0.5)

        def side(which: int) -> Tensor:
            half = image.crop((which * image.width // 2, 0, (which + 1) * image.width // 2, image.height))
            cut = half.resize((load_width, load_height), Image.Resampling.BICUBIC)
            cut = cut.crop((left, top, left + width, top + height))
            if mirror:
                cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            pixels = torch.from_numpy(np.array(cut)).permute(2, 0, 1)[: self.data.channels[which]]
            return pixels.float() / 127.5 - 1

        return side(0), side(1)


def random_pairs(config: RunConfig) -> np.ndarray:
    """Pairs (N, H, W, 6), uint8, of the size that training pairs are cached in: smooth noise, which JPEG can hold."""
    height, width = config.data.load_shape if config.data.jitter else config.data.crop_shape
    n = max(N_PAIRS, config.training.batch_size)
    coarse = np.random.default_rng(0).integers(
        0, 256, (n, -(-height // 8), -(-width // 8), sum(config.data.stored)), dtype=np.uint8
    )
    return np.ascontiguousarray(coarse.repeat(8, 1).repeat(8, 2)[:, :height, :width])


def build_plain(config: RunConfig, workers: int | None = None) -> tuple[Step, int]:
    """A step as people run it: eager, with PyTorch's own layout, Adam and float32, which cuDNN may make TF32.

    Workers decode pairs by Pillow ahead of their steps, ``cudnn.benchmark`` is on as in the port, D is run again for
    G's update, and losses are read every ``log_every`` steps.

    Args:
        workers: processes that decode; by default as many as the port has, or as there are cores.
    """
    torch.set_num_threads(config.training.threads or available_cores())
    device = torch.device(available_device(config.training.device))
    generator, discriminator = build_generator(config).to(device), build_discriminator(config)
    lambda_l1 = config.objective.lambda_l1 if config.objective.has_l1 or discriminator is None else 0.0
    adam = {"lr": config.training.learning_rate, "betas": (0.5, 0.999)}
    optimiser_g = torch.optim.Adam(generator.parameters(), **adam)  # type: ignore[arg-type]
    if discriminator is not None:
        discriminator.to(device)
        optimiser_d = torch.optim.Adam(discriminator.parameters(), **adam)  # type: ignore[arg-type]
    workers = min(MOST_WORKERS, available_cores()) if workers is None else workers
    loader = DataLoader(
        JpegPairs(config), config.training.batch_size, shuffle=True, drop_last=True, num_workers=workers,
        persistent_workers=workers > 0,
    )  # fmt: skip
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    steps = itertools.count(1)

    def gan_loss(discriminator: nn.Module, condition: Tensor, image: Tensor, real: float) -> Tensor:
        seen = discriminator_input(condition, image, conditional=config.objective.conditional)
        said = judgement(discriminator, seen)
        losses = [binary_cross_entropy_with_logits(one, torch.full_like(one, real)) for one in said.logits]
        return said.weight * torch.stack(losses).sum()

    @torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=True)
    def step() -> None:  # it takes turns with our steps, which have flags of their own
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
        if next(steps) % config.training.log_every == 0:
            for loss in losses:
                loss.item()

    return step, config.training.batch_size
