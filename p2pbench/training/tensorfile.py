"""A safetensors file, written tensor by tensor; what was written leaves the page cache, which is for the images.

The library's own writer tells a full disk from other faults in words alone, and its older versions copy each tensor
into a string. The library reads the files: https://huggingface.co/docs/safetensors/index#format
"""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
"""The dtypes that every version of the library reads; tensors of others are stored as their bytes."""


def as_storable(tensor: Tensor) -> Tensor:
    """``tensor``, or where its dtype is not in ``DTYPES``, its bytes: (n,), uint8, on the same memory if contiguous."""
    return tensor if tensor.dtype in DTYPES else tensor.detach().reshape(-1).view(torch.uint8)


def from_stored(stored: Tensor, like: Tensor) -> Tensor:
    """The tensor that :func:`as_storable` was given; ``like`` has its dtype and shape.

    Raises:
        RuntimeError: ``stored`` holds another number of bytes.
    """
    if like.dtype in DTYPES:
        return stored
    return stored.clone().view(like.dtype).reshape(like.shape)  # a copy, because bytes in a file may lie unaligned


def on_host(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU and contiguous, which channels-last weights are not; copied only where necessary."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def checksum(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> int:
    """The CRC-32 of everything in a file, to notice a bit that a disk has flipped. 1 GiB takes half a second."""
    crc = zlib.crc32(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        crc = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), crc)
        if tensor.numel():
            crc = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, crc)
    return crc


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write ``tensors`` and ``metadata`` to the file ``path``, and to the disk.

    Args:
        tensors: on the CPU and contiguous, each of a dtype in ``DTYPES`` (see :func:`as_storable`).
    Raises:
        OSError: the disk is full, or ``path`` cannot be written.
    """
    with path.open("wb") as stream:
        for part in _parts(tensors, metadata):
            stream.write(part.data)
        stream.flush()
        os.fsync(stream.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _parts(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[NDArray[np.uint8]]:
    """The bytes of the file: the header's length, the header, and the tensors."""
    # The widest dtypes come first, so that all tensors are aligned.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in ordered:
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield np.frombuffer(len(text).to_bytes(8, "little") + text, np.uint8)
    for _, tensor in ordered:
        if tensor.numel():
            yield tensor.reshape(-1).view(torch.uint8).numpy()
