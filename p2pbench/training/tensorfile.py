"""A safetensors file written past the page cache, so that training keeps its cores, and its images their place there.

The library's own writer copies each tensor into a string and that into the page cache. For the state of U-Net-256 with
its Adam (0.64 GiB) that took a core 1.6 s where pages were new, and of two cores training lost most of it; this takes
0.1 s. What it writes, ``safetensors`` reads: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import errno
import json
import mmap
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 4 << 20
"""Bytes in one write; a multiple of any disk's sector, as direct writes must be."""
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write ``tensors`` to the file ``path``, which exists.

    Args:
        tensors: on the CPU and contiguous, each of a dtype in ``DTYPES``.
    Raises:
        OSError: the disk is full, or ``path`` cannot be written.
    """
    block = np.frombuffer(mmap.mmap(-1, BLOCK), np.uint8)  # begins at a page, as direct writes must
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
        os.ftruncate(descriptor, written + filled)  # off comes what filled the last page up
    finally:
        os.close(descriptor)


def _parts(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[NDArray[np.uint8]]:
    """The bytes of the file: its header's length, its header, and the tensors, the widest dtypes first."""
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))  # so that all are aligned
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
    """Have writes go past the page cache, or through it; False if they do already or this system only has one way."""
    if not hasattr(os, "O_DIRECT"):
        return False
    import fcntl  # Unix alone has it

    before = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    after = before | os.O_DIRECT if direct else before & ~os.O_DIRECT
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, after)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False  # a file system that has no direct writes, as tmpfs before Linux 6.6
    return after != before


def _write_all(descriptor: int, block: NDArray[np.uint8]) -> None:
    rest = block.data
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            # Some file systems take the flag and refuse the write; one that was cut short may end inside a sector.
            if error.errno != errno.EINVAL or not _set_direct(descriptor, False):
                raise
