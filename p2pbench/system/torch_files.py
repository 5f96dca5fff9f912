"""Files that torch wrote, read as plain tensors only: unpickling anything else may run code."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from p2pbench.errors import WeightsError, first_line

if TYPE_CHECKING:
    from torch import Tensor


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors in a torch file, on the CPU, read with ``weights_only=True``.

    Raises:
        WeightsError: the file cannot be read, or is not a dictionary of tensors.
    """
    import pickle

    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd pickles, which are refused anyway
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # torch's own message is of many lines, and shows how to run what the file holds.
        raise WeightsError(
            f"{path} cannot be read as weights: it holds Python objects, such as a whole network, which could run code "
            "when they are read, or is damaged; save the tensors alone: torch.save(network.state_dict(), file)"
        ) from None
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise WeightsError(f"{path} cannot be read as weights: {first_line(error)}") from None
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise WeightsError(
            f"{path} is not a dictionary of tensors alone: torch.save(network.state_dict(), file) makes one"
        )
    return tensors
