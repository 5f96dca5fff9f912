"""Streamed batches are the resident ones, bit by bit, whichever step is asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_streamed_batches_are_the_resident_ones(tiny: Tiny) -> None:
    cuda, config = torch.device("cuda"), tiny(data__load_size=286, data__crop_size=256, training__batch_size=4)
    images = pairs(40, 286, 286)
    resident, streamed = (open_batches(images, config, cuda, stream=stream) for stream in (False, True))
    held = [(resident[step], streamed[step]) for step in range(60)]  # enqueued, not waited for
    assert all(same(a, b) for a, b in held)
