"""The work of a step in FLOPs and bytes, and the machine's ceilings: the roofline that a step is compared with."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from p2pbench.bench.clock import Contestant, Step, Timing
from p2pbench.config.schema import RunConfig
from p2pbench.models.flops import Flops
from p2pbench.scoring.lpips_loss import untrained_lpips_loss
from p2pbench.system.hardware import fast_bf16
from p2pbench.training.engine import build_networks
from p2pbench.training.pretrained import Pretrained
from p2pbench.training.step import Networks, Optimisers, train_step

ADAM_BYTES, SGD_BYTES = 28, 12
"""Bytes that an optimiser moves for a parameter. Adam reads the weight, the gradient and two moments and writes three
of them. SGD, which stands in for Adam while operations are counted, moves only the weight and the gradient."""
COPY = "copy"
SIZES = {"cuda": (8192, 2**26), "cpu": (2048, 2**27)}
"""For each device the side of the matrices, and how many floats are copied: more than a cache holds."""
EMULATED_SIDE = 512
"""The side of bf16 matrices on a CPU that multiplies them in software: the usual ones would take it minutes."""


@dataclass(frozen=True)
class Work:
    """What one update of D and G has to do."""

    flops: int
    """Two for each multiply-add of the convolutions, as torch counts them."""
    n_bytes: float
    """What the operations read and write one by one, as if nothing stayed in a cache."""


def work_of(config: RunConfig) -> Work:
    """The work of our step, counted on the meta device; the plain loop needs more for the same update.

    In bf16 all bytes but Adam's count half.
    """
    single = config.changed("training", precision="fp32")
    networks = replace(untrained_networks(config), average=None)
    networks = networks.each(lambda network: network.to("meta"))
    both = [network for network in (networks.generator, networks.discriminator) if network is not None]
    sgd = [torch.optim.SGD(network.parameters(), lr=0.0, foreach=False) for network in both]
    optimisers = Optimisers(sgd[0], sgd[1] if len(sgd) > 1 else None)
    condition, target = (
        torch.empty(config.training.batch_size, channels, *config.data.crop_shape, device="meta")
        for channels in config.data.channels
    )
    counted = _Counted()
    with counted:
        train_step(networks, optimisers, condition, target, single)
    n_parameters = sum(p.numel() for network in both for p in network.parameters())
    passes = (counted.n_bytes - SGD_BYTES * n_parameters) * (0.5 if config.training.precision == "bf16" else 1.0)
    return Work(counted.total, passes + ADAM_BYTES * n_parameters)


def untrained_networks(config: RunConfig) -> Networks:
    """The networks of a training; those that it looks through have random weights too, and take the same time."""
    net = config.objective.perceptual
    return build_networks(config, Pretrained(None if net is None else untrained_lpips_loss(net)))


class _Counted(Flops):
    """Also adds up the bytes of each operation's tensors. Views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.n_bytes = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_dispatch__(operation, types, args, kwargs)
        if not (operation.is_view or "empty" in operation.name() or "detach" in operation.name()):
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
            self.n_bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return result


def ceilings(device: str, threads: int, precisions: list[str]) -> list[Contestant]:
    """What is timed to find the machine's ceilings: a square matrix product in each precision, and a copy."""
    return [
        Contestant(name, build_ceiling, (device, threads, name, sizes_of(device, name))) for name in (*precisions, COPY)
    ]


def sizes_of(device: str, name: str) -> tuple[int, int]:
    """The side of the matrices and how many floats are copied, for the ceiling ``name``."""
    side, n_copied = SIZES.get(device, SIZES["cpu"])
    return EMULATED_SIDE if name == "bf16" and device == "cpu" and not fast_bf16() else side, n_copied


def limits_of(timings: dict[str, Timing], device: str) -> dict[str, Any]:
    """The ceilings as they stand in the JSON: FLOPs per second of each precision, and bytes per second of the copy."""
    fastest = {name: min(timing.seconds) for name, timing in timings.items()}
    products = {name: 2 * sizes_of(device, name)[0] ** 3 / s for name, s in fastest.items() if name != COPY}
    return {
        "product_flops_per_second": products,
        "copy_bytes_per_second": 2 * 4 * sizes_of(device, COPY)[1] / fastest[COPY],
    }


def against_ceilings(work: Work, seconds: float, precision: str, limits: dict[str, Any]) -> dict[str, float]:
    """The work of a step that takes ``seconds``, and how much of the ceilings it reaches.

    Returns:
        ``flops_per_step`` and ``bytes_per_step``. ``share_of_product``: its FLOPs per second as a share of the matrix
        product's. ``share_of_roofline``: as a share of what is possible where every byte that the operations touch
        comes from memory; above 1 where caches save that.
    """
    peak, bandwidth = limits["product_flops_per_second"][precision], limits["copy_bytes_per_second"]
    speed, roof = work.flops / seconds, min(peak, bandwidth * work.flops / work.n_bytes)
    return {
        "flops_per_step": work.flops,
        "bytes_per_step": work.n_bytes,
        "share_of_product": speed / peak,
        "share_of_roofline": speed / roof,
    }


def build_ceiling(device: str, threads: int, name: str, sizes: tuple[int, int]) -> tuple[Step, int]:
    """A matrix product in the precision ``name``, or the copy."""
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
    side, n_copied = sizes
    if name == COPY:
        source = torch.ones(n_copied, device=device)
        target = torch.zeros_like(source)
    else:
        dtype = torch.bfloat16 if name == "bf16" else torch.float32
        a, b, target = (torch.randn(side, side, device=device).to(dtype) for _ in range(3))

    def step() -> None:
        if name == COPY:
            target.copy_(source)
        else:
            torch.mm(a, b, out=target)

    return step, 1
