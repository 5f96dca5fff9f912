"""How a generator runs after training: what its norm layers and its dropout do, by inference mode."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import instance_norm

from p2pbench.config.sections import passes_of
from p2pbench.inference.euler import EulerSampler
from p2pbench.models.noise import Noise
from p2pbench.models.timed import TimedGenerator


class PerImageNorm(nn.Module):
    """Batch norm as the paper runs it at test time: each image is normalised by its own statistics (§3.3).

    Its scale and shift are those of ``norm``; running statistics are neither used nor changed. For a single image it is
    what ``norm`` computes in training mode.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        return instance_norm(x, weight=self.weight, bias=self.bias, use_input_stats=True, eps=self.eps)


class KeyedDropout(nn.Module):
    """Dropout whose mask depends on an image's own generator: not on the batch the image is in, nor on the device."""

    def __init__(self, p: float, generators: list[torch.Generator], *, whole_channels: bool = False) -> None:
        super().__init__()
        self.p = p
        self.whole_channels = whole_channels
        """Drop maps instead of single values, as ``nn.Dropout2d`` does."""
        self.generators = generators
        """One for each image of the current batch; :func:`translate` fills it."""

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape[1:] if not self.whole_channels else (x.shape[1], 1, 1)
        masks = [torch.empty(shape).bernoulli_(1 - self.p, generator=g) for g in self.generators]
        return x * torch.stack(masks).to(x) / (1 - self.p)


class KeyedNoise(nn.Module):
    """A generator's noise, drawn as :class:`KeyedDropout` draws its masks, and first."""

    def __init__(self, channels: int, generators: list[torch.Generator]) -> None:
        super().__init__()
        self.channels, self.generators = channels, generators

    def forward(self, condition: Tensor) -> Tensor:
        vectors = [torch.randn(self.channels, 1, 1, generator=one) for one in self.generators]
        return torch.stack(vectors).to(condition).expand(-1, -1, *condition.shape[2:])


class NoNoise(nn.Module):
    """Zeros, the mean of the noise, in modes that draw none."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, condition: Tensor) -> Tensor:
        return torch.zeros_like(condition[:, :1]).expand(-1, self.channels, -1, -1)


@contextmanager
def inference(generator: nn.Module, mode: str) -> Iterator[tuple[nn.Module, list[torch.Generator]]]:
    """A copy of ``generator`` in an inference mode, a value of ``scoring.inference``.

    Yields the copy and the list in which its dropout, or a flow, looks for one random generator per image. The copy's
    weights are the original's; the original, its running statistics included, is not touched.
    """
    random: list[torch.Generator] = []
    memo = {id(tensor): tensor for tensor in (*generator.parameters(), *generator.buffers())}  # shared, not copied
    twin = copy.deepcopy(generator, memo)
    twin.eval()
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and mode != "eval":
                setattr(parent, name, PerImageNorm(child))
            elif isinstance(child, Noise):
                setattr(
                    parent, name, KeyedNoise(child.channels, random) if mode == "paper" else NoNoise(child.channels)
                )
            elif isinstance(child, nn.Dropout | nn.Dropout2d) and mode == "paper":
                setattr(parent, name, KeyedDropout(child.p, random, whole_channels=isinstance(child, nn.Dropout2d)))
    if isinstance(twin, TimedGenerator):
        twin = EulerSampler(twin, passes_of(mode), random)
    devices = {tensor.device for tensor in generator.parameters() if tensor.device.type == "cuda"}
    # A network of the user's own may draw noise by itself: training's random state is not to feel it.
    with torch.inference_mode(), torch.random.fork_rng(devices=devices):
        yield twin, random


def noise(seed: int, key: int) -> torch.Generator:
    """The random generator of one image's dropout."""
    # Hashed: torch's CPU generator reads no more than the lower 32 bits of its seed.
    return torch.Generator().manual_seed(int(np.random.SeedSequence([seed, key]).generate_state(1)[0]))
