"""Files that torch wrote, read as plain tensors and no other way: a pickle may run code as it is read."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from p2pbench.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors in a torch file, read with ``weights_only=True``. Raises :class:`WeightsError`."""
    import pickle

    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd pickles, which are refused anyway
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(f"{path} cannot be read as weights: {reason}") from None
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise WeightsError(f"{path} is not a dictionary of tensors")
    return tensors
