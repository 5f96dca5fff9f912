"""How CUDA's libraries compute the steps of a training. Scores are made outside: in true float32, by any algorithm."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from p2pbench.config.schema import TrainingConfig


@contextmanager
def of_steps(training: TrainingConfig, *, search: bool = False) -> Iterator[None]:
    """In the block convolutions and products use TF32 where the precision is ``tf32``.

    With ``training.deterministic`` every algorithm gives the same bits each time; an operation that has none raises a
    RuntimeError.

    Args:
        search: let cuDNN time its algorithms for each new shape (``cudnn.benchmark``).
    """
    _set(tf32=training.precision == "tf32", search=search, deterministic=training.deterministic)
    try:
        yield
    finally:
        _set(tf32=False, search=False, deterministic=False)


def _set(*, tf32: bool, search: bool, deterministic: bool) -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = search
    torch.backends.cudnn.deterministic = deterministic
    if deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(deterministic)
