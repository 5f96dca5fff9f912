"""The race: each in its own process, turns counted, failures told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contestants import broken, leaving, sleeper
from torch.nn.functional import l1_loss

from p2pbench.bench.clock import Contestant, Timing, crowd, race
from p2pbench.bench.plain_loop import JpegPairs, build_plain
from p2pbench.bench.rows import figures
from p2pbench.bench.step import build_ours
from p2pbench.config.schema import RunConfig
from p2pbench.errors import P2PBenchError
from p2pbench.system.hardware import describe_machine, peak_resident_bytes, versions
from p2pbench.training.arithmetic import of_steps

Tiny = Callable[..., RunConfig]


def test_a_race_tells_the_slow_from_the_fast() -> None:
    seen: list[tuple[int, int]] = []
    timings = race(
        [Contestant("slow", sleeper, (0.2,)), Contestant("fast", sleeper, (0.005,))],  # a busy machine adds to both
        rounds=4, round_seconds=0.05, progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(n, 8) for n in range(1, 9)]
    assert [len(timing.seconds) for timing in timings.values()] == [4, 4]
    assert np.median(timings["fast"].ratios_to(timings["slow"])) > 1.5
    assert np.median(timings["slow"].speeds) < 2 / 0.2
    assert timings["slow"].peak_memory_bytes > 2**20


def test_a_contestant_ends_by_itself(tmp_path: Path) -> None:
    """And so do the workers that it started, for each of which a DataLoader may wait 5 seconds; killed, they would
    leave semaphores behind."""
    race([Contestant("leaving", leaving, (str(tmp_path / "left"), 5.5))], rounds=1, round_seconds=0.001)
    assert (tmp_path / "left").exists()


def test_a_contestant_that_fails_is_named() -> None:
    with pytest.raises(P2PBenchError, match="wrong failed: RuntimeError: cannot be built"):
        race([Contestant("wrong", broken, ())], rounds=1, round_seconds=0.01)


INTERRUPTED_RACE = """
import sys

from contestants import sleeper

from p2pbench.bench.clock import Contestant, race

if __name__ == "__main__":
    try:
        race([Contestant(name, sleeper, (0.05,)) for name in "ab"], rounds=10_000, round_seconds=0.05,
             progress=lambda done, total: print(done, flush=True))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
"""


def test_ctrl_c_ends_a_race_without_tracebacks_of_its_processes(tmp_path: Path) -> None:
    """A terminal sends it to every process of the command."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED_RACE)
    racing = subprocess.Popen(
        [sys.executable, str(tmp_path / "interrupted.py")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert racing.stdout is not None
    assert racing.stdout.readline() == "1\n"
    os.killpg(racing.pid, signal.SIGINT)
    assert racing.communicate(timeout=60)[1] == "interrupted\n"


def test_ratios_are_taken_round_by_round() -> None:
    """The machine became twice as slow half-way: the ratio does not see it."""
    ours, plain = Timing([1.0, 1.0, 2.0, 2.0], 1, 0), Timing([3.0, 3.0, 6.0, 6.0], 1, 0)
    assert ours.ratios_to(plain).tolist() == [3.0] * 4
    assert Timing([1.0], 4, 0).ratios_to(Timing([1.0], 1, 0)).tolist() == [4.0]


def test_a_row_has_medians_and_quartiles() -> None:
    row = figures(Timing([1.0, 2.0, 3.0, 4.0, 5.0], 2, 7), Timing([2.0, 4.0, 6.0, 8.0, 5.0], 2, 0))
    assert (row["images_per_second"], row["ratio_to_plain"], row["repeats"]) == (2 / 3, 2.0, 5)
    assert row["images_per_second_quartiles"] == [2 / 4, 2 / 2]
    assert row["ratio_quartiles"] == [2.0, 2.0]
    assert row["peak_memory_bytes"] == 7
    uneven = figures(Timing([1.0, 10.0], 2, 0), Timing([1.0, 1.0], 2, 0))  # two rounds, one beside another process
    assert uneven["images_per_second"] == pytest.approx(1.1)  # the median of speeds, which lies between their quartiles


def test_a_crowd_runs_at_once() -> None:
    """Two sleepers do twice the steps of one."""
    speed, memory = crowd([Contestant("s", sleeper, (0.2,)) for _ in range(2)], seconds=0.6)
    assert speed > 1.2 / 0.2
    assert memory > 2**20
    with pytest.raises(P2PBenchError, match="cannot be built"):
        crowd([Contestant("wrong", broken, ())], seconds=0.1)


def test_the_plain_loop_reads_jpegs_by_pillow(tiny: Tiny) -> None:
    pairs = JpegPairs(tiny(training__batch_size=20, data__channels=[1, 3]))
    assert (len(pairs.files), len(pairs)) == (20, 16 * 20)
    condition, target = pairs[3]
    assert (condition.shape, target.shape) == ((1, 16, 16), (3, 16, 16))
    assert -1 <= float(target.min()) < float(target.max()) <= 1


@pytest.mark.parametrize("objective", ["l1", "gan", "l1+cgan"])
def test_both_steps_run_as_they_are_timed(objective: str, tiny: Tiny) -> None:
    config = tiny(objective__name=objective, training__batch_size=2)
    for build in (build_ours, partial(build_plain, workers=0)):
        step, images = build(config)
        step()
        step()
        assert images == 2


def test_the_machine_is_described_without_its_name_or_user() -> None:
    import getpass
    import platform

    text = repr(describe_machine()).split()
    assert platform.node() not in text
    assert getpass.getuser() not in text
    assert versions()["p2pbench"]


def test_the_plain_loop_is_what_people_run(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's own Adam; losses that are read now and then."""
    config, built = tiny(training__log_every=2), list[dict[str, Any]]()
    read: list[bool] = []
    adam, item = torch.optim.Adam, torch.Tensor.item

    def build(*arguments: Any, **settings: Any) -> torch.optim.Adam:
        built.append(settings)
        return adam(*arguments, **settings)

    monkeypatch.setattr(torch.optim, "Adam", build)
    step, _ = build_plain(config, workers=0)
    assert [set(settings) for settings in built] == [{"lr", "betas"}] * 2

    def note(tensor: torch.Tensor) -> Any:
        read.append(tensor.grad_fn is not None)  # the sampler and Adam read numbers too
        return item(tensor)

    monkeypatch.setattr(torch.Tensor, "item", note)
    counts = []
    for _ in range(4):
        step()
        counts.append(sum(read))
    assert counts == [0, 4, 4, 8]


def test_the_plain_loop_has_its_flags_of_cudnn_in_each_step_and_only_there(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left on they would be those of scores; set once, our steps in turns with it would have turned them off."""
    cudnn, config, seen = torch.backends.cudnn, tiny(training__device="cpu"), []

    def noted(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append((cudnn.benchmark, cudnn.allow_tf32))
        return l1_loss(output, target)

    monkeypatch.setattr("p2pbench.bench.plain_loop.l1_loss", noted)
    step, _ = build_plain(config, workers=0)
    for _ in range(2):
        with of_steps(config.training):
            pass
        step()
        assert not cudnn.benchmark
        assert not cudnn.allow_tf32
    assert seen == [(True, True)] * 2


def test_the_peak_of_memory_is_a_processs_own_and_not_its_parents() -> None:
    held = bytearray(os.urandom(1) * 300_000_000)
    ask = "from p2pbench.system.hardware import peak_resident_bytes as peak; print(peak())"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < len(held) < peak_resident_bytes()
