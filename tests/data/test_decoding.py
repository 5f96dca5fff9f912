"""Arrays are built by threads or by processes, to the same bits; whatever ends a build, nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from p2pbench.config.schema import DataConfig
from p2pbench.data import cache, decoding
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset
from p2pbench.data.decoding import ArrayFile, side_by_side
from p2pbench.errors import DataError

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(params=["threads", "processes"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Build by two threads, or by two processes, whatever the size of the set."""
    monkeypatch.setattr(decoding, "available_cores", lambda: 2)
    monkeypatch.setattr(decoding, "PROCESSES_FROM", 1 if request.param == "processes" else 10**9)
    return str(request.param)


def small(source: object) -> DataConfig:
    return DataConfig(source=str(source), load_size=18, crop_size=16)


def left() -> list[str]:
    return [path.name for path in cache.folder().iterdir() if path.suffix != ".lock"]


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_threads_and_processes_write_each_pair_in_its_place(by: str, direction: str, pairs_folder: Path) -> None:
    dataset = open_dataset(small(pairs_folder).model_copy(update={"direction": direction}))
    found = decoded(dataset, "train")
    for index, file in enumerate(sorted((pairs_folder / "train").iterdir())):
        with Image.open(file) as image:
            halves = [image.crop((x, 0, x + 20, 20)).resize((18, 18), Image.Resampling.BILINEAR) for x in (0, 20)]
        a, b = (np.asarray(half) for half in halves)
        assert np.array_equal(found[index], np.concatenate([a, b] if direction == "AtoB" else [b, a], axis=2))


@pytest.mark.parametrize("source", ["drawn:9", "photos"])
def test_built_ins_are_built_by_processes_as_by_threads(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(small(source))
    by_threads = np.array(decoded(dataset, "train"))
    for path in cache.folder().glob("*.npy"):
        path.unlink()
    monkeypatch.setattr(decoding, "available_cores", lambda: 2)
    monkeypatch.setattr(decoding, "PROCESSES_FROM", 1)
    seen: list[tuple[int, int]] = []
    assert np.array_equal(decoded(dataset, "train", lambda *done: seen.append(done)), by_threads)
    assert seen == sorted(seen)
    assert seen[-1] == (len(by_threads), len(by_threads))


def test_a_corrupt_image_is_named_and_nothing_left(by: str, pairs_folder: Path) -> None:
    for name in ("002.png", "004.png"):
        (pairs_folder / "train" / name).write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"002\.png cannot be read"):
        decoded(open_dataset(small(pairs_folder)), "train")
    assert left() == []


def test_an_image_that_changes_meanwhile_is_noticed(by: str, pairs_folder: Path) -> None:
    def change(done: int, total: int) -> None:
        if done == total:
            Image.new("RGB", (40, 20)).save(pairs_folder / "train" / "005.png")

    with pytest.raises(DataError, match="changed while its pairs were decoded"):
        decoded(open_dataset(small(pairs_folder)), "train", change)
    assert left() == []


def test_an_interrupted_build_leaves_no_file_and_no_process(
    by: str, pairs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return started[-1]

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt):
        decoded(open_dataset(small(pairs_folder)), "train", interrupt)
    assert left() == []
    assert len(started) == (2 if by == "processes" else 0)
    assert all(process.poll() is not None for process in started)


def kill_oneself() -> tuple[np.ndarray, np.ndarray]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@posix
def test_a_killed_process_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "available_cores", lambda: 2)
    monkeypatch.setattr(decoding, "PROCESSES_FROM", 1)
    (tmp_path / "x").touch()
    file = ArrayFile(tmp_path / "x", 0, (8, 8), "bilinear", "AtoB", deep=False)
    with pytest.raises(DataError, match=r"ended \(exit code -9\).* out of memory"):
        decoding.decode_all(file, iter([kill_oneself] * 4), 4, lambda done, total: None)


PARENT = """
import os, signal, sys
from functools import partial
from pathlib import Path
from p2pbench.data import decoding
from p2pbench.data.decoding import ArrayFile
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
decoding.available_cores = lambda: 2
decoding.PROCESSES_FROM = 1
start = decoding.DecodingProcess.__enter__
def told(self):
    start(self)
    print(self._program.pid, flush=True)
    return self
decoding.DecodingProcess.__enter__ = told
file = ArrayFile(Path(sys.argv[1]), 0, (8, 8), "bilinear", "AtoB", deep=False)
from time import sleep
decoding.decode_all(file, iter([partial(sleep, 600)] * 4), 4, lambda done, total: None)
"""


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_their_parent_however_it_ends(number: int, tmp_path: Path) -> None:
    """Even in the middle of a pair that takes ten minutes."""
    (tmp_path / "x").touch()
    command = [sys.executable, "-c", PARENT, str(tmp_path / "x")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        children = [int(parent.stdout.readline()) for _ in range(2)]
        time.sleep(0.3)
        assert all(alive(child) for child in children)
        parent.send_signal(number)
        assert parent.wait(timeout=20) != 0
    wait_until(lambda: not any(alive(child) for child in children))


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat")
        return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def black() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)


def test_an_error_of_the_system_is_the_same_in_a_process_as_in_a_thread(by: str, tmp_path: Path) -> None:
    file = ArrayFile(tmp_path / "absent", 0, (8, 8), "bilinear", "AtoB", deep=False)
    with pytest.raises(FileNotFoundError, match="absent"):
        decoding.decode_all(file, iter([black] * 4), 4, lambda done, total: None)


def test_processes_that_decode_import_no_torch() -> None:
    code = (
        "import sys; from p2pbench.data import decoding, pairs\nfrom p2pbench.data.facades import drawn\n"
        "drawn.draw(drawn.Drawn(), 'train', 0)\n"
        "assert not {'torch', 'pydantic', 'scipy', 'skimage'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@given(
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    kind=st.sampled_from([np.uint8, np.uint16]),
)
def test_side_by_side_is_concatenation(
    height: int, width: int, channels: tuple[int, int], kind: type[np.generic]
) -> None:
    random = np.random.default_rng(0)
    a, b = (random.integers(0, 255, (height, 2 * width, c)).astype(kind)[:, width:] for c in channels)
    found = side_by_side(a, b)
    assert found.dtype == kind
    assert np.array_equal(found, np.concatenate([a, b], axis=2))
