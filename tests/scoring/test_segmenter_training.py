"""The process that trains the segmentation network: the same bits from everywhere, an end with its parent's."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from processes import alive, children_of
from safetensors.torch import save

from p2pbench.errors import TrainingError
from p2pbench.scoring import segmenter_training
from p2pbench.scoring.segmenter_training import train_apart
from p2pbench.system.hardware import has_avx2
from p2pbench.system.progress import no_progress

RNG = np.random.default_rng(0)
PHOTOS = RNG.integers(0, 256, (8, 128, 128, 3), np.uint8)
CLASSES = RNG.integers(0, 4, (8, 128, 128), np.uint8)

WAITS = """
import time
import numpy as np
from p2pbench.scoring.segmenter_training import train_apart

def wait(*_):
    print("it trains", flush=True)
    time.sleep(600)

images = np.zeros((8, 16, 16, 3), np.uint8)
train_apart(images, images[..., 0], 3, images[:1], wait)
"""


@pytest.mark.skipif(not has_avx2(), reason="such a processor has bits of its own")
def test_the_bits_are_those_of_no_processor_and_of_no_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 128x128 they were another's with each: two machines' class scores of one study could not be compared."""
    monkeypatch.setattr(segmenter_training, "STEPS", 2)
    bits, read, steps = [], [], list[tuple[int, int]]()
    for threads, aten, onednn in (("1", "default", "SSE41"), ("3", "avx512", "AVX512_CORE")):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        monkeypatch.setenv("ATEN_CPU_CAPABILITY", aten)
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", onednn)
        weights, found = train_apart(PHOTOS, CLASSES, 4, PHOTOS[:3], lambda done, of: steps.append((done, of)))
        bits.append(save(weights))
        read.append(found)
    assert bits[0] == bits[1]
    assert (read[0] == read[1]).all()
    assert read[0].shape == (3, 128, 128)
    assert read[0].dtype == np.uint8
    assert steps == [(1, 2), (2, 2)] * 2


def test_a_process_that_fails_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TrainingError, match="ended with exit code 1; run this again, or leave fcn-pixel"):
        train_apart(PHOTOS[:, :16, :16], CLASSES[:4, :16, :16], 4, PHOTOS[:3, :16, :16], no_progress)
    assert "IndexError" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_it_ends_with_the_process_that_asked_for_it() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "it trains\n"
        (child,) = children_of(parent.pid)
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 60
    while alive(child):
        assert time.monotonic() < end, "it still runs"
        time.sleep(0.05)
