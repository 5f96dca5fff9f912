"""How much memory a training needs, and the message for where there is too little."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from p2pbench.config.schema import RunConfig, size_text
from p2pbench.errors import TrainingError
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.system import hardware
from p2pbench.system.console import bytes_text
from p2pbench.training.losses import discriminator_input

STATE_BYTES = 16
"""Bytes per parameter: its weight, gradient and two moments, float32."""
TRANSIENT = 1.3
"""Peak memory as a multiple of the activations that the forward passes keep: gradients and workspaces come and go."""
LARGEST_BATCH = 4096
"""The largest batch size that a message suggests."""


@contextmanager
def out_of_memory_explained(config: RunConfig, device: torch.device) -> Iterator[None]:
    """Raise running out of memory in the block as a :class:`TrainingError` that says what would fit."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(shortage(config, device)) from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out: in PyTorch's allocators, or in CUDA's runtime, cuBLAS, cuDNN or Metal, which use words.

    ``CUDA error: out of memory`` is an ``AcceleratorError`` (c10/cuda/CUDAException.cpp), as all errors of CUDA's are.
    """
    words = ("out of memory", "DefaultCPUAllocator", "STATUS_ALLOC_FAILED", "ALLOCATION_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def is_of_the_machine(error: Exception) -> bool:
    """Whether memory ran out or the GPU failed, whatever was asked of them."""
    return isinstance(error, RuntimeError) and (is_out_of_memory(error) or isinstance(error, torch.AcceleratorError))


def shortage(config: RunConfig, device: torch.device) -> str:
    """The message for ``config`` running out of memory on ``device``, with an estimate of what would fit."""
    training, memory = config.training, memory_bytes(device)
    asked = (
        f"out of memory: training.batch_size is {training.batch_size}, training.precision {training.precision}, "
        f"data.crop_size {size_text(config.data.crop_size)}, and {device.type} has {bytes_text(memory)}"
    )
    most = largest_batch(config, memory, training.precision)
    in_bf16 = largest_batch(config, memory, "bf16")
    if most >= training.batch_size:
        return f"{asked}; alone, about batch_size {most} would fit: other processes hold the rest, so use fewer --jobs"
    if most == in_bf16 == 0:
        return f"{asked}; not even batch_size 1 would fit: use a smaller data.crop_size, generator.ngf or ndf"
    ways = [f"batch_size {most}"] if most else []
    if in_bf16 > most:
        ways.append(f"batch_size {in_bf16} with training.precision bf16")
    return f"{asked}; about {' or '.join(ways)} would fit"


def largest_batch(config: RunConfig, memory: int, precision: str) -> int:
    """The largest batch size that ``memory`` bytes hold, at most ``LARGEST_BATCH``; 0 where not even one image does."""
    n_parameters, kept = sizes(config)
    each = TRANSIENT * kept * (0.5 if precision == "bf16" else 1.0)
    return max(0, min(LARGEST_BATCH, int((memory - STATE_BYTES * n_parameters) / each)))


def sizes(config: RunConfig) -> tuple[int, int]:
    """Parameters of both networks, and the bytes that the forward passes of one step keep for one image in float32.

    They are counted on the meta device, where nothing is computed and no memory is taken.
    """
    generator, discriminator = build_generator(config).to("meta"), build_discriminator(config)
    parameters = list(generator.parameters())
    if discriminator is not None:
        parameters += discriminator.to("meta").parameters()
    own = {parameter.untyped_storage()._cdata for parameter in parameters}
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    # Batch norm needs more than one value per channel, hence two images.
    condition, target = (torch.empty(2, c, *config.data.crop_shape, device="meta") for c in config.data.channels)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        fake = generator(condition)
        if discriminator is not None:
            conditional = config.objective.conditional
            graphs = [discriminator(discriminator_input(condition, i, conditional=conditional)) for i in (target, fake)]
            assert graphs
    n_bytes = sum(t.untyped_storage().nbytes() for storage, t in kept.items() if storage not in own)
    return sum(parameter.numel() for parameter in parameters), n_bytes // 2


def memory_bytes(device: torch.device) -> int:
    """All the memory of a CUDA device; for other devices what this process may use of the machine's."""
    if device.type == "cuda":  # mem_get_info would create a context, some hundred MiB, in a process that has none
        return int(torch.cuda.get_device_properties(device).total_memory)
    return hardware.memory_bytes() or sys.maxsize
