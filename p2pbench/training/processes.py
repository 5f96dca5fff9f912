"""What the processes that share a training tell each other within a step (:mod:`p2pbench.training.distributed`)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from p2pbench.errors import TrainingError, first_line
from p2pbench.training.memory import is_of_the_machine


def of_whole_batch(share: Tensor) -> Tensor:
    """The sum of what each process has of its share of the batch, the same in all; ``share`` where one has it all.

    Gradients do not pass. The update of several processes is then that of one, where a loss is no mean over images.
    """
    if not dist.is_initialized():
        return share
    whole = share.detach().clone()
    with lost_processes_raise():
        dist.all_reduce(whole)
    return whole


@contextmanager
def lost_processes_raise() -> Iterator[None]:
    """Raise :class:`TrainingError` where another process of the group no longer takes part.

    An error of this process's own stays what it is: while a step is captured nothing is sent, and gloo, which has no
    class of errors, is not on the device.
    """
    own = torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()
    try:
        yield
    except RuntimeError as error:
        if own or is_of_the_machine(error):
            raise
        raise TrainingError(
            f"another process of this training has ended ({first_line(error)[:120]}); resume from the last checkpoint "
            "with --resume and as many processes"
        ) from error
