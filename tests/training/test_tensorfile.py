"""Tensors in a file: what the safetensors library reads back, and a disk that is full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor

from p2pbench.training import tensorfile


def written(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> dict[str, Tensor]:
    """The tensors that the safetensors library reads back."""
    path.touch()
    tensorfile.write(path, tensors, metadata or {})
    with safe_open(path, framework="pt") as stored:
        assert (stored.metadata() or {}) == (metadata or {})
        return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert (tensor.dtype, tensor.shape) == (b[name].dtype, b[name].shape)
        assert tensor.reshape(-1).view(torch.uint8).tolist() == b[name].reshape(-1).view(torch.uint8).tolist()


def some(nbytes: int) -> Tensor:
    return torch.randint(0, 256, (nbytes,), dtype=torch.uint8, generator=torch.Generator().manual_seed(nbytes))


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(list(tensorfile.DTYPES)), st.lists(st.integers(0, 3), max_size=3)),
        max_size=5,
    ),
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))
    ),
)
def test_any_tensors_are_read_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory,
    kinds: dict[str, tuple[torch.dtype, list[int]]],
    metadata: dict[str, str],
) -> None:
    random = torch.Generator().manual_seed(0)
    tensors = {
        name: (torch.rand(shape, generator=random) * 100 - 50).to(dtype) for name, (dtype, shape) in kinds.items()
    }
    assert_same(written(tmp_path_factory.mktemp("any") / "x", tensors, metadata), tensors)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_raised() -> None:
    for n_bytes in (10, 1_000_000):  # what a buffer holds, and what it does not
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            tensorfile.write(Path("/dev/full"), {"x": some(n_bytes)}, {})
