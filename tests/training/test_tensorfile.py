"""Tensors written past the page cache: what the safetensors library reads, on disks that can and that cannot do so."""

from __future__ import annotations

import errno
import mmap
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


@pytest.mark.parametrize("beyond", [-mmap.PAGESIZE - 1, -1, 0, 1, mmap.PAGESIZE])
def test_files_that_end_anywhere_in_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beyond: int) -> None:
    monkeypatch.setattr(tensorfile, "BLOCK", 2 * mmap.PAGESIZE)
    path = tmp_path / "x"
    written(path, {"x": some(1)})
    header = path.stat().st_size - 1
    tensors = {"x": some(6 * mmap.PAGESIZE + beyond - header)}  # the file, not the tensor, ends at a block's end
    path.write_bytes(bytes(10 * mmap.PAGESIZE))  # what was there goes
    assert_same(written(path, tensors), tensors)
    assert abs(path.stat().st_size - 6 * mmap.PAGESIZE - beyond) <= 8


def test_the_page_cache_is_left_where_the_system_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "O_DIRECT"):
        pytest.skip("this system has no direct writes")
    import fcntl

    flags = []
    write = os.write

    def seen(descriptor: int, data: memoryview) -> int:
        flags.append(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", seen)
    written(tmp_path / "x", {"x": some(100)})
    probe = os.open(tmp_path / "x", os.O_RDONLY)
    can = tensorfile._set_direct(probe, True)
    os.close(probe)
    assert flags == [os.O_DIRECT if can else 0]


def test_a_file_system_that_takes_the_flag_and_refuses_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(os, "O_DIRECT"):
        pytest.skip("this system has no direct writes")
    import fcntl

    write = os.write
    refused = []

    def refusing(descriptor: int, data: memoryview) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(len(data))
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", refusing)
    tensors = {"x": some(100_000)}
    assert_same(written(tmp_path / "x", tensors), tensors)
    assert len(refused) <= 1  # none where the file system has no direct writes at all


def test_writes_that_are_cut_short_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(
        os, "write", lambda descriptor, data: write(descriptor, data[: max(mmap.PAGESIZE, len(data) // 3)])
    )
    tensors = {"x": some(100_000), "y": torch.rand(3, 5)}
    assert_same(written(tmp_path / "x", tensors), tensors)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EINVAL])
def test_what_cannot_be_written_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=os.strerror(number)):
        written(tmp_path / "x", {"x": some(10)})
