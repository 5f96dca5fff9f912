"""Streamed batches are the resident ones, bit by bit, whichever step is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import DataConfig, RunConfig
from p2pbench.data import batches
from p2pbench.data.batches import Batch, Batches, StreamedBatches, open_batches
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset

Tiny = Callable[..., RunConfig]
CPU = torch.device("cpu")


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) and x.stride() == y.stride() for x, y in zip(a, b, strict=True))


def pairs(n: int, height: int = 18, width: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 6), dtype=np.uint8)


@given(
    n=st.integers(4, 9),
    batch_size=st.integers(1, 4),
    seed=st.integers(0, 99),
    mirror=st.booleans(),
    channels=st.sampled_from([(3, 3), (1, 3)]),
    steps=st.lists(st.integers(0, 12), min_size=1, max_size=8),
)
def test_streamed_batches_are_the_resident_ones(
    n: int, batch_size: int, seed: int, mirror: bool, channels: tuple[int, int], steps: list[int]
) -> None:
    settings = {
        "data.load_size": [18, 20], "data.crop_size": [16, 16], "data.mirror": mirror, "data.channels": channels,
        "training.batch_size": batch_size, "training.seed": seed, "discriminator.name": "patch16",
    }  # fmt: skip
    config = resolve([Layer("test", settings)]).config
    images = pairs(n)
    resident = open_batches(images, config, CPU, stream=False)
    streamed = open_batches(images, config, CPU, stream=True)
    assert isinstance(resident, Batches)
    assert isinstance(streamed, StreamedBatches)
    assert streamed.steps_per_epoch == resident.steps_per_epoch
    for step in (*range(7), *steps):
        assert same(streamed[step], resident[step]), step


def test_a_batch_stays_what_it_is_when_its_buffer_is_filled_anew(tiny: Tiny) -> None:
    streamed = open_batches(pairs(6, 18, 18), tiny(), CPU, stream=True)
    first = streamed[0]
    kept = first.condition.clone()
    for step in range(1, 6):
        streamed[step]
    assert torch.equal(first.condition, kept)


def test_pages_that_are_let_go_come_back(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LET_GO", 1)
    array = decoded(open_dataset(DataConfig(source="drawn:5", load_size=18, crop_size=16)), "train")
    resident = open_batches(np.array(array), tiny(), CPU, stream=False)
    streamed = open_batches(array, tiny(), CPU, stream=True)
    assert all(same(streamed[step], resident[step]) for step in range(15))
    assert streamed._unreturned == 0  # type: ignore[union-attr]  # it is a mapped file, so there was something to give


def test_what_is_too_large_is_streamed(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    images = pairs(6, 18, 18)
    for room, kind in ((images.nbytes, Batches), (images.nbytes - 1, StreamedBatches)):
        monkeypatch.setattr(batches, "MOST_MAPPED", room)
        assert type(open_batches(images, tiny(), CPU)) is kind


class IndexesNoUint16(TorchDispatchMode):
    """As CUDA does: ``index_kernel`` of IndexKernel.cu has no case for unsigned types of more than 8 bits."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.index.Tensor and args[0].dtype == torch.uint16:
            raise NotImplementedError("\"index_cuda\" not implemented for 'UInt16'")
        return func(*args, **(kwargs or {}))


def test_16_bits_are_cut_where_uint16_has_no_index(tiny: Tiny) -> None:
    images = np.random.default_rng(0).integers(0, 2**16, (6, 18, 18, 6), dtype=np.uint16)
    config = tiny(training__batch_size=2)
    with IndexesNoUint16():
        cut = [open_batches(images, config, CPU, stream=False)[step] for step in range(6)]
    streamed = open_batches(images, config, CPU, stream=True)
    assert all(same(batch, streamed[step]) for step, batch in enumerate(cut))


def test_processes_that_start_at_once_share_a_gpus_free_memory(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, asked = torch.device("cuda"), []
    images = pairs(6, 18, 18)
    monkeypatch.setattr(batches, "Batches", lambda *_: asked.append("resident"))
    monkeypatch.setattr(batches, "StreamedBatches", lambda *_: asked.append("streamed"))
    total = 10 * images.nbytes
    for free, sharers in ((total, 1), (total, 6), (total, 7), (images.nbytes, 1)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, total))
        open_batches(images, tiny(), cuda, sharers=sharers)
    assert asked == ["resident", "resident", "streamed", "streamed"]


@pytest.mark.parametrize("device", ["mps", "cuda"])
def test_copies_from_unpinned_memory_are_waited_for_but_on_cuda(
    device: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metal reads the host's memory after the call has returned, CUDA before (Copy.mm; cudaMemcpyAsync)."""
    asked: list[bool] = []
    to = torch.Tensor.to

    def note(tensor: torch.Tensor, where: torch.device, non_blocking: bool = False) -> torch.Tensor:
        asked.append(non_blocking)
        return to(tensor, "meta")

    config = tiny()
    resident = Batches(pairs(6, 18, 18), config, CPU)
    streamed = StreamedBatches(pairs(6, 18, 18), config, CPU)
    resident.images = torch.empty(resident.images.shape, dtype=torch.uint8, device="meta")
    streamed.device = torch.device(device)
    monkeypatch.setattr(torch.Tensor, "to", note)
    streamed[0]
    assert asked[0] is (device == "cuda")
    asked.clear()
    resident.crops(0)
    assert asked == [False]  # of another device than CUDA


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_on_cuda_streamed_batches_are_the_resident_ones(dtype: type, tiny: Tiny) -> None:
    cuda, config = torch.device("cuda"), tiny(data__load_size=286, data__crop_size=256, training__batch_size=4)
    images = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (40, 286, 286, 6), dtype, endpoint=True)
    resident, streamed = (open_batches(images, config, cuda, stream=stream) for stream in (False, True))
    held = [(resident[step], streamed[step]) for step in range(60)]  # enqueued, not waited for
    assert all(same(a, b) for a, b in held)
