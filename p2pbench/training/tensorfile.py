"""A safetensors file written past the page cache, so that training keeps its cores and the cache keeps its images.

The library's own writer copies each tensor into a string and that string into the page cache. For the state of
U-Net-256 with its Adam (0.64 GiB) that occupied one core for 1.6 s, most of which a training on two cores lost; this
takes 0.1 s.
The ``safetensors`` library reads the files: https://huggingface.co/docs/safetensors/index#format
"""

import errno
import json
import mmap
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 4 << 20
"""Bytes in one write: a multiple of any disk's sector, as direct writes require."""
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
    """Write ``tensors`` and ``metadata`` to the existing file ``path``.

    Args:
        tensors: on the CPU and contiguous, each of a dtype in ``DTYPES`` (see :func:`as_storable`).
    Raises:
        OSError: the disk is full, or ``path`` cannot be written.
    """
    block = np.frombuffer(mmap.mmap(-1, BLOCK), np.uint8)  # starts at a page, as direct writes require
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
    try:
        _set_direct(descriptor, True)
        written = filled = 0
        for part in _parts(tensors, metadata):
            done = 0
            while done < len(part):
                n = min(len(part) - done, BLOCK - filled)
                block[filled : filled + n] = part[done : done + n]
                filled, done = filled + n, done + n
                if filled == BLOCK:
                    _write_all(descriptor, block)
                    written, filled = written + BLOCK, 0
        if filled:
            _write_all(descriptor, block[: -(-filled // mmap.PAGESIZE) * mmap.PAGESIZE])
        os.ftruncate(descriptor, written + filled)  # removes the padding of the last page
    finally:
        os.close(descriptor)


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


def _set_direct(descriptor: int, direct: bool) -> bool:
    """Let writes bypass the page cache, or not. False if they already do, or if this system has no choice."""
    if not hasattr(os, "O_DIRECT"):
        return False
    import fcntl  # exists on Unix only

    before = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    after = before | os.O_DIRECT if direct else before & ~os.O_DIRECT
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, after)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False  # a file system without direct writes, such as tmpfs before Linux 6.6
    return after != before


def _write_all(descriptor: int, block: NDArray[np.uint8]) -> None:
    rest = block.data
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            # Some file systems accept the flag and refuse the write; a partial write may also end inside a sector.
            if error.errno != errno.EINVAL or not _set_direct(descriptor, False):
                raise
