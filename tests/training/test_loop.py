"""Training as a whole: it learns, it resumes to the same bits, it stops on what is not finite."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from p2pbench.config.schema import RunConfig
from p2pbench.data import batches
from p2pbench.errors import ConfigError, Interrupted, TrainingError, WeightsError
from p2pbench.training import engine, loop
from p2pbench.training.engine import prepare_engine
from p2pbench.training.loop import Reporter, TrainingResult, learning_rate, train

Tiny = Callable[..., RunConfig]


def images(n: int = 6, size: int = 18) -> np.ndarray:
    """Pairs in which the target is the condition's negative."""
    blocks = np.random.default_rng(0).integers(0, 256, (n, size // 6, size // 6, 3), dtype=np.uint8)
    a = blocks.repeat(6, 1).repeat(6, 2)
    return np.concatenate([a, 255 - a], axis=3)


def run(
    config: RunConfig, folder: Path, pairs: np.ndarray | None = None, *, stop_at: int | None = None
) -> tuple[TrainingResult, list[int]]:
    """Train; ``stop_at`` asks for a stop after so many steps of this sitting."""
    sampled: list[int] = []
    steps = 0

    def progress(done: int, total: int) -> None:
        nonlocal steps
        steps += 1

    reporter = Reporter(
        progress, lambda epochs, _: sampled.append(epochs), lambda: stop_at is not None and steps + 1 >= stop_at
    )
    engine = prepare_engine(config.training, threads=1)
    return train(config, images() if pairs is None else pairs, folder, "id", engine, reporter), sampled


def read_losses(folder: Path) -> list[dict[str, str]]:
    with (folder / "losses.csv").open() as stream:
        return list(csv.DictReader(stream))


def weights_of(network: nn.Module) -> torch.Tensor:
    return torch.cat([tensor.flatten().double() for tensor in network.state_dict().values()])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("objective", ["l1", "l1+cgan"])
@pytest.mark.parametrize("stops", [[1], [5], [3, 1, 4]])
def test_an_interrupted_training_ends_with_the_same_bits(
    objective: str, precision: str, stops: list[int], tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny(objective__name=objective, training__precision=precision)
    whole, _ = run(config, tmp_path / "whole")
    for stop in stops:
        with pytest.raises(Interrupted, match="stopped at step"):
            run(config, tmp_path / "parts", stop_at=stop)
        torch.manual_seed(99)  # what happens in between must not matter
    parts, _ = run(config, tmp_path / "parts")
    assert torch.equal(weights_of(whole.generator), weights_of(parts.generator))
    assert (tmp_path / "whole/losses.csv").read_bytes() == (tmp_path / "parts/losses.csv").read_bytes()
    assert parts.steps == whole.steps == 12


@pytest.mark.parametrize("stop_at", [None, 3])
def test_what_runs_the_steps_is_told_of_the_end(
    stop_at: int | None, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it comes: an exception keeps what ran the steps alive, and with it a CUDA graph that NCCL waits for."""
    ended = []
    monkeypatch.setattr(engine.Eager, "end", lambda steps: ended.append(steps.kind))
    with pytest.raises(Interrupted) if stop_at else nullcontext():
        run(tiny(), tmp_path, stop_at=stop_at)
    assert ended == ["eager"]


def test_a_set_that_is_streamed_trains_and_resumes_to_the_bits_of_one_on_the_device(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(training__batch_size=2)
    resident, _ = run(config, tmp_path / "resident")
    monkeypatch.setattr(batches, "MOST_MAPPED", 0)
    streamed, _ = run(config, tmp_path / "streamed")
    with pytest.raises(Interrupted):
        run(config, tmp_path / "parts", stop_at=3)
    parts, _ = run(config, tmp_path / "parts")
    for other in (streamed, parts):
        assert torch.equal(weights_of(resident.generator), weights_of(other.generator))


def test_the_share_of_time_spent_waiting_for_data(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, _ = run(tiny(), tmp_path / "quick")
    assert 0 < quick.data_wait_share < 0.5
    get = batches.Batches.__getitem__

    def slow(self: batches.Batches, step: int) -> batches.Batch:
        time.sleep(0.3)
        return get(self, step)

    monkeypatch.setattr(batches.Batches, "__getitem__", slow)
    waiting, _ = run(tiny(), tmp_path / "waiting")
    assert 0.5 < waiting.data_wait_share < 1


def test_checkpoints_on_the_way_change_nothing(tiny: Tiny, tmp_path: Path) -> None:
    rare, _ = run(tiny(), tmp_path / "rare")
    often, _ = run(tiny(training__checkpoint_seconds=0.0, training__log_every=1), tmp_path / "often")
    assert torch.equal(weights_of(rare.generator), weights_of(often.generator))
    kept = sorted(path.name for path in (tmp_path / "often/checkpoint").iterdir())
    assert kept == ["step-00000010.safetensors", "step-00000011.safetensors"]


@pytest.mark.parametrize("stop", [3, 6, 7])
def test_the_epoch_that_does_best_is_kept_and_survives_an_interruption(stop: int, tiny: Tiny, tmp_path: Path) -> None:
    """The generator after the second of four epochs; stopped before that, at its very end, and after it."""
    config = tiny(training__epochs=4, data__mirror=False, training__select="best-on-val")
    pairs = images(3)
    judged = {1: 0.4, 2: 0.2, 3: 0.2, 4: 0.3}

    def run_judged(folder: Path, stop_at: int | None) -> TrainingResult:
        steps = 0

        def progress(done: int, _total: int) -> None:
            nonlocal steps
            steps = done

        def judge(generator: nn.Module) -> float:
            epoch = (steps + 1) // 3
            torch.save(generator.state_dict(), tmp_path / f"epoch-{epoch}.pt")
            return judged[epoch]

        reporter = Reporter(progress, lambda _e, _g: None, lambda: steps + 1 == stop_at, judge)
        return train(config, pairs, folder, "id", prepare_engine(config.training, threads=1), reporter)

    whole = run_judged(tmp_path / "whole", None)
    assert whole.selected is not None
    assert (whole.selected.epoch, whole.selected.value) == (2, 0.2)
    best = torch.load(tmp_path / "epoch-2.pt", weights_only=True)
    assert all(torch.equal(best[name], tensor) for name, tensor in whole.generator.state_dict().items())
    with pytest.raises(Interrupted):
        run_judged(tmp_path / "parts", stop)
    parts = run_judged(tmp_path / "parts", None)
    assert parts.selected is not None
    assert parts.selected.epoch == 2
    assert torch.equal(weights_of(parts.generator), weights_of(whole.generator))


def test_a_clock_that_is_set_back_and_forth_changes_nothing(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run(tiny(), tmp_path / "whole")
    steps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 + (-1) ** next(steps) * 1e8)
    with pytest.raises(Interrupted):
        run(tiny(), tmp_path / "parts", stop_at=5)
    parts, _ = run(tiny(), tmp_path / "parts")
    assert torch.equal(weights_of(whole.generator), weights_of(parts.generator))
    assert 0 < parts.seconds < 3600


def test_a_resumed_run_may_read_its_losses_more_or_less_often(tiny: Tiny, tmp_path: Path) -> None:
    whole, _ = run(tiny(), tmp_path / "whole")
    for first, then in ((8, 2), (2, 8)):
        folder = tmp_path / f"{first}-{then}"
        with pytest.raises(Interrupted):
            run(tiny(training__log_every=first), folder, stop_at=5)
        parts, _ = run(tiny(training__log_every=then), folder)
        assert torch.equal(weights_of(whole.generator), weights_of(parts.generator))
        steps = [int(row["step"]) for row in read_losses(folder)]
        assert steps[-1] == 12
        counts = np.diff([0, *steps])
        each = read_losses(tmp_path / "whole")  # every two steps
        assert sum(float(r["g_l1"]) * n for r, n in zip(read_losses(folder), counts, strict=True)) == pytest.approx(
            sum(2 * float(row["g_l1"]) for row in each), rel=1e-4
        )


def test_moments_come_back_in_their_parameters_memory_format(tiny: Tiny, tmp_path: Path) -> None:
    """As on CUDA, where networks are channels-last: fused Adam reads weights and moments as if laid out alike."""
    from p2pbench.models.build import build_discriminator, build_generator
    from p2pbench.training import checkpoint
    from p2pbench.training.engine import Engine, build_optimisers, place_networks
    from p2pbench.training.step import Networks, train_step

    config = tiny()
    engine = Engine(torch.device("cpu"), torch.channels_last, 1)
    x, y = (torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(s)) * 2 - 1 for s in (1, 2))

    def fresh() -> tuple[Networks, loop.Optimisers]:
        networks = place_networks(Networks(build_generator(config), build_discriminator(config)), engine)
        return networks, build_optimisers(networks, config)

    networks, optimisers = fresh()
    torch.manual_seed(0)
    train_step(networks, optimisers, x, y, config)
    progress = checkpoint.Progress(1, [], torch.zeros(0, 4), 0.0)
    checkpoint.write(tmp_path, "id", progress, checkpoint.state_of(networks, optimisers, progress), keep=1)
    train_step(networks, optimisers, x, y, config)
    resumed, its_optimisers = fresh()
    assert checkpoint.load(tmp_path, "id", resumed, its_optimisers, steps=9) is not None
    train_step(resumed, its_optimisers, x, y, config)
    assert torch.equal(weights_of(networks.generator), weights_of(resumed.generator))


def test_the_same_seed_gives_the_same_losses_and_another_does_not(tiny: Tiny, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tiny(training__seed=seed), tmp_path / name)
    a, b, c = ((tmp_path / name / "losses.csv").read_text() for name in "abc")
    assert a == b != c


def test_losses_are_the_means_of_their_steps(tiny: Tiny, tmp_path: Path) -> None:
    run(tiny(training__log_every=1), tmp_path / "each")
    run(tiny(training__log_every=5), tmp_path / "five")
    each, five = (read_losses(tmp_path / name) for name in ("each", "five"))
    assert [int(row["step"]) for row in each] == list(range(1, 13))
    assert [int(row["step"]) for row in five] == [5, 10, 12]
    assert float(five[0]["epoch"]) == pytest.approx(5 / 6, abs=1e-4)
    for name in loop.LOSS_NAMES:
        mean = np.mean([float(row[name]) for row in each[5:10]])
        assert float(five[1][name]) == pytest.approx(mean, rel=1e-4)


def test_an_objective_without_d_leaves_its_columns_empty(tiny: Tiny, tmp_path: Path) -> None:
    run(tiny(objective__name="l1"), tmp_path)
    row = read_losses(tmp_path)[0]
    assert row["d_loss"] == row["g_adversarial"] == ""
    assert float(row["g_loss"]) == pytest.approx(100 * float(row["g_l1"]), rel=1e-4)


def test_one_pair_can_be_learned_by_heart(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(
        objective__name="l1", generator__ngf=16, generator__dropout="none", data__load_size=16, data__mirror=False,
        training__epochs=150, training__learning_rate=2e-3, training__log_every=10,
    )  # fmt: skip
    run(config, tmp_path, images(1, 18)[:, :16, :16])
    rows = read_losses(tmp_path)
    assert float(rows[-1]["g_l1"]) < 0.15 * float(rows[0]["g_l1"])


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0
    real = engine.train_step

    def poisoned(*arguments: object) -> torch.Tensor:
        nonlocal count
        count += 1
        losses = real(*arguments)  # type: ignore[arg-type]
        return losses * torch.tensor([1.0, 1.0, 1.0, float("nan")]) if count == 6 else losses

    monkeypatch.setattr(engine, "train_step", poisoned)
    with pytest.raises(TrainingError, match=r"g_l1 of step 6 is not finite"):
        run(tiny(training__checkpoint_seconds=0.0, training__log_every=4), tmp_path)
    # The checkpoint of step 4 is from before; none was written after.
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["step-00000004.safetensors"]


def test_divergence_for_real(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not finite"):
        run(tiny(training__learning_rate=1e30, training__epochs=20), tmp_path)


def test_samples_are_asked_for_before_during_and_at_the_end(tiny: Tiny, tmp_path: Path) -> None:
    _, sampled = run(tiny(training__epochs=5, training__sample_every=2), tmp_path)
    assert sampled == [0, 2, 4, 5]


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny()
    with pytest.raises(Interrupted):
        run(config, tmp_path, stop_at=3)
    (path,) = (tmp_path / "checkpoint").iterdir()
    content = path.read_bytes()
    engine = prepare_engine(config.training, threads=1)
    reporter = Reporter(lambda done, total: None, lambda epochs, generator: None, lambda: False)
    with pytest.raises(WeightsError, match="another run"):
        train(config, images(), tmp_path, "other id", engine, reporter)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="cannot be read"):
        run(config, tmp_path)


def test_schedules(tiny: Tiny) -> None:
    constant = tiny(training__epochs=200).training
    assert {learning_rate(constant, epoch) for epoch in range(200)} == {2e-4}
    decay = tiny(training__epochs=200, training__preset="pytorch").training
    assert learning_rate(decay, 0) == learning_rate(decay, 99) == 2e-4
    # The port: 1 - max(0, epoch + 1 - 100) / 101, with epochs counted from 0.
    assert learning_rate(decay, 100) == pytest.approx(2e-4 * (1 - 1 / 101))
    assert learning_rate(decay, 199) == pytest.approx(2e-4 * (1 - 100 / 101))


def test_precisions_and_devices_that_are_not_here(tiny: Tiny) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="does not have"):
            prepare_engine(tiny(training__device="cuda").training, threads=1)
    with pytest.raises(ConfigError, match="needs CUDA"):
        prepare_engine(tiny(training__precision="tf32", training__device="cpu").training, threads=1)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_training_on_cuda_resumes_and_agrees_with_the_cpu(precision: str, tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(training__precision=precision, training__device="cuda", generator__dropout="none")
    whole, _ = run(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(config, tmp_path / "parts", stop_at=4)
    run(config, tmp_path / "parts")
    reference, _ = run(tiny(generator__dropout="none", training__device="cpu"), tmp_path / "cpu")
    a, b = (read_losses(tmp_path / name) for name in ("whole", "cpu"))
    tolerance = {"fp32": 1e-3, "tf32": 2e-2, "bf16": 5e-2}[precision]
    for ours, theirs in zip(a, b, strict=True):
        assert float(ours["g_l1"]) == pytest.approx(float(theirs["g_l1"]), rel=tolerance)
    assert whole.steps == reference.steps
