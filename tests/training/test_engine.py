"""Engines: which one runs where, that they agree, that a capture leaves no trace, and what fits into memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from p2pbench.config.schema import RunConfig
from p2pbench.data import batches
from p2pbench.data.batches import Batch, Batches
from p2pbench.errors import ConfigError, Interrupted, TrainingError
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.training import cuda_graph, memory
from p2pbench.training.cuda_graph import State
from p2pbench.training.engine import (
    Eager,
    Engine,
    available_engine,
    build_optimisers,
    compile_networks,
    engine_for,
    place_networks,
    prepare_engine,
    runner,
)
from p2pbench.training.loop import Reporter, TrainingResult, train
from p2pbench.training.step import Networks, Optimisers, train_step

Tiny = Callable[..., RunConfig]
CPU = torch.device("cpu")
needs_cuda = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
needs_compiler = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")


def images(n: int = 6, size: int = 18) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 6), dtype=np.uint8)


def setting(config: RunConfig, engine: Engine) -> tuple[Networks, Optimisers, Batches]:
    networks = place_networks(Networks(build_generator(config), build_discriminator(config)), engine)
    optimisers = build_optimisers(networks, config, capturable=engine.kind == "graph")
    torch.manual_seed(config.training.seed)
    return networks, optimisers, Batches(images(), config, engine.device)


def losses_of(config: RunConfig, n_steps: int) -> Tensor:
    engine = prepare_engine(config.training, threads=1)
    networks, optimisers, batches = setting(config, engine)
    run = runner(engine, networks, optimisers, batches, config)
    assert run.kind == engine.kind
    rows = []
    for step in range(n_steps):
        run.feed(step)
        rows.append(run.run().clone())
    return torch.stack(rows).cpu()


def training(config: RunConfig, folder: Path, stop_at: int | None = None) -> TrainingResult:
    done = 0

    def progress(n: int, _: int) -> None:
        nonlocal done
        done = n

    reporter = Reporter(progress, lambda *_: None, lambda: stop_at is not None and done + 1 >= stop_at)
    return train(config, images(), folder, "id", prepare_engine(config.training, threads=1), reporter)


def test_auto_is_eager_on_the_cpu_and_a_graph_on_cuda() -> None:
    assert [available_engine("auto", torch.device(device)) for device in ("cpu", "mps", "cuda")] == [
        "eager", "eager", "graph",
    ]  # fmt: skip


def test_engines_that_the_device_cannot_run_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="a CUDA graph, and the device is cpu; use auto or eager"):
        available_engine("graph", CPU)
    with pytest.raises(ConfigError, match="not supported on mps"):
        available_engine("compile", torch.device("mps"))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler.*CXX"):
        available_engine("compile", CPU)


@pytest.mark.parametrize("kind", ["bce", "wgan-gp"])
def test_warming_up_leaves_no_trace(kind: str, tiny: Tiny) -> None:
    """From a fresh start, where Adam has no moments yet, and from step 2: the steps after it are the same bits."""
    config = tiny(objective__adversarial=kind, discriminator__norm="instance", discriminator__spectral_norm=True)
    engine = prepare_engine(config.training, threads=1)

    def after(n_before: int, *, warm: bool) -> dict[str, Tensor]:
        networks, optimisers, batches = setting(config, engine)
        for step in range(n_before):
            train_step(networks, optimisers, *batches[step], config)
        if warm:
            state = State(networks, optimisers)
            for step in range(cuda_graph.WARM_UP):
                train_step(networks, optimisers, *batches[step], config)
            state.restore()
        train_step(networks, optimisers, *batches[n_before], config)
        random = {"random": torch.get_rng_state()}
        return {
            name: tensor.detach().clone() for name, tensor in (State(networks, optimisers)._copies | random).items()
        }

    for n_before in (0, 2):
        plain, warmed = after(n_before, warm=False), after(n_before, warm=True)
        assert plain.keys() == warmed.keys()
        assert sum("exp_avg_sq" in name for name in plain) > 10
        for name, tensor in plain.items():
            assert torch.equal(tensor, warmed[name]), name


def test_a_step_that_cannot_be_captured(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise cuda_graph.NotCapturable("this step cannot be captured in a CUDA graph (it waits)")

    monkeypatch.setattr(cuda_graph, "Captured", refuse)
    engine = Engine(CPU, torch.contiguous_format, 1, "graph")
    for asked in ("graph", "auto"):
        config = tiny(training__engine=asked)
        networks = Networks(build_generator(config), build_discriminator(config))
        arguments = (engine, networks, build_optimisers(networks, config), Batches(images(), config, CPU), config)
        if asked == "graph":
            with pytest.raises(ConfigError, match=r"captured.*\(it waits\); use training.engine eager"):
                runner(*arguments)
        else:
            assert runner(*arguments).kind == "eager"
            assert "using the eager engine" in caplog.text


def test_a_network_of_ones_own_is_run_as_it_is_written(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph would replay what Python drew while it was captured."""
    monkeypatch.setattr("p2pbench.training.engine.available_device", lambda _: "cuda")

    def kind(**changes: str) -> str:
        return engine_for(tiny(training__device="cuda", **changes)).kind

    own = {"generator__name": "mine:build"}
    assert kind() == "graph"
    assert kind(**own) == kind(discriminator__name="mine:build") == "eager"
    assert kind(discriminator__name="mine:build", objective__name="l1") == "graph"  # it has none
    assert kind(training__engine="graph", **own) == "graph"  # as it was asked for


def test_resnets_have_no_deterministic_gradient_on_cuda(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(training__deterministic=True, generator__name="resnet6", training__device="auto")
    monkeypatch.setattr("p2pbench.training.engine.available_device", lambda _: "cpu")
    assert engine_for(config, 1).kind == "eager"
    monkeypatch.setattr("p2pbench.training.engine.available_device", lambda _: "cuda")
    monkeypatch.setitem(os.environ, "CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with pytest.raises(ConfigError, match=r"deterministic is true, and generator\.name resnet6"):
        engine_for(config, 1)


def flags() -> tuple[bool, ...]:
    cudnn = torch.backends.cudnn
    return (
        cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32, cudnn.benchmark, cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
    )  # fmt: skip


def test_scores_are_made_without_what_the_steps_are_run_with(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that says that it is on CUDA, and a step that looks at the flags."""
    config = tiny(training__precision="tf32", training__deterministic=True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)  # a plain loop that was timed here before has it on
    seen = []
    monkeypatch.setattr("p2pbench.training.engine.train_step", lambda *_: seen.append(flags()))
    prepare_engine(tiny(training__device="cpu").training, threads=1)
    steps = Eager(*(None,) * 3, config, search=True)  # type: ignore[arg-type]
    steps._batch = Batch(torch.empty(0), type("OnCuda", (), {"device": torch.device("cuda")}))  # type: ignore[arg-type]
    assert not any(flags())
    steps.run()
    assert seen == [(True,) * 5]
    assert not any(flags())


def test_spectral_norm_is_float32_in_bf16_too(tiny: Tiny) -> None:
    config = tiny(discriminator__spectral_norm=True)
    networks = [build_discriminator(config) for _ in range(2)]
    for network, enabled in zip(networks, (False, True), strict=True):
        assert network is not None
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            network(torch.ones(1, 6, 16, 16))
    single, half = (network.state_dict() for network in networks if network is not None)
    vectors = [name for name in single if name.endswith(("_u", "_v"))]
    assert vectors
    assert all(torch.equal(single[name], half[name]) for name in vectors)


@needs_compiler
@pytest.mark.timeout(900)  # a C++ compiler at work
@pytest.mark.skipif("P2PBENCH_COMPILE" not in os.environ, reason="a minute of g++: nox -s bench runs it")
def test_compiled_losses_are_the_eager_ones_to_rounding(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Dropout's masks among them, and the stale gradient, for which D's graph is gone through twice."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    small = {"generator__depth": 2, "data__load_size": 16, "training__device": "cpu"}
    compiled = losses_of(tiny(training__engine="compile", **small), 3)
    eager = losses_of(tiny(training__engine="eager", **small), 3)
    torch.testing.assert_close(compiled, eager, rtol=1e-3, atol=1e-4)


def test_the_penalty_is_not_compiled(tiny: Tiny) -> None:
    config = tiny(objective__adversarial="wgan-gp", discriminator__norm="none", training__engine="compile")
    networks = Networks(build_generator(config), build_discriminator(config))
    with pytest.raises(ConfigError, match=r"engine is compile and objective.adversarial wgan-gp.*eager"):
        compile_networks(networks, config)


def test_what_the_passes_keep_is_what_they_keep_on_the_cpu(tiny: Tiny) -> None:
    config = tiny(data__crop_size=32, data__load_size=32, generator__ngf=8, discriminator__ndf=8)
    networks = Networks(build_generator(config), build_discriminator(config))
    assert networks.discriminator is not None
    kept: dict[int, Tensor] = {}
    own = {p.untyped_storage()._cdata for n in (networks.generator, networks.discriminator) for p in n.parameters()}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    x, y = torch.rand(2, 2, 3, 32, 32)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        fake = networks.generator(x)
        logits = [networks.discriminator(torch.cat([x, image], 1)) for image in (y, fake)]
    assert logits
    n_bytes = sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in own)
    n_parameters, each = memory.sizes(config)
    assert n_parameters == sum(p.numel() for n in (networks.generator, networks.discriminator) for p in n.parameters())
    assert each == pytest.approx(n_bytes / 2, rel=0.25)  # products keep unfolded maps where a map is small


def test_out_of_memory_names_what_would_fit(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(training__batch_size=64)
    n_parameters, each = memory.sizes(config)
    available = {"bytes": 0}
    monkeypatch.setattr(memory, "memory_bytes", lambda _: available["bytes"])
    for images_fit, words in (
        (8.6, "about batch_size 8 or batch_size 17 with training.precision bf16 would fit"),
        (0.6, "about batch_size 1 with training.precision bf16 would fit"),
        (0.1, "not even batch_size 1 would fit"),
        (99.5, "alone, about batch_size 99 would fit"),
    ):
        available["bytes"] = int(memory.STATE_BYTES * n_parameters + images_fit * memory.TRANSIENT * each)
        for error in (
            torch.OutOfMemoryError("CUDA"),
            torch.AcceleratorError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"),
            RuntimeError("[enforce fail] DefaultCPUAllocator: no memory"),
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
            RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        ):
            with (
                pytest.raises(
                    TrainingError, match=r"batch_size is 64, training.precision fp32, data.crop_size 16"
                ) as e,
                memory.out_of_memory_explained(config, CPU),
            ):
                raise error
            assert words in str(e.value)
    for other in (RuntimeError("something else"), torch.AcceleratorError("CUDA error: an illegal memory access")):
        with pytest.raises(type(other), match=str(other)), memory.out_of_memory_explained(config, CPU):
            raise other


def test_the_memory_of_a_gpu_is_known_without_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """cudaMemGetInfo creates one, cudaGetDeviceProperties does not."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: pytest.fail("a context"))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=2**36))
    assert memory.memory_bytes(torch.device("cuda")) == 2**36


CASES = [
    {"objective__generator_gradient": "stale"},
    {"objective__generator_gradient": "fresh"},
    {"objective__name": "l1"},
    {"objective__adversarial": "wgan-gp", "discriminator__norm": "instance"},
    {"discriminator__spectral_norm": True},
]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
class TestOnCuda:
    pytestmark = needs_cuda

    def test_a_graph_gives_the_eager_losses_for_100_steps(
        self, case: dict[str, object], precision: str, tiny: Tiny
    ) -> None:
        """Dropout and jitter among them; to rounding, which a GAN's steps make larger."""
        changes = {**case, "training__precision": precision, "training__device": "cuda", "training__epochs": 20}
        captured = losses_of(tiny(training__engine="graph", **changes), 100)
        eager = losses_of(tiny(training__engine="eager", **changes), 100)
        tolerance = {"fp32": 1e-3, "bf16": 3e-2}[precision]
        torch.testing.assert_close(captured[:10], eager[:10], rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(captured.mean(0), eager.mean(0), rtol=10 * tolerance, atol=10 * tolerance)

    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_graph_resumes_to_the_same_bits(
        self,
        case: dict[str, object],
        precision: str,
        streamed: bool,
        tiny: Tiny,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if streamed:
            monkeypatch.setattr(batches, "MOST_OF_FREE", 0.0)
        changes = {"training__engine": "graph", "training__precision": precision, "training__deterministic": True}
        config = tiny(training__device="cuda", **changes, **case)
        whole = training(config, tmp_path / "whole")
        assert whole.engine == "graph"
        with pytest.raises(Interrupted):
            training(config, tmp_path / "parts", stop_at=5)
        parts = training(config, tmp_path / "parts")
        ours, theirs = (trained.generator.state_dict() for trained in (whole, parts))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
