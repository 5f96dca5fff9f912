"""The whole step, from index to both of Adam's updates, as one CUDA graph: captured once, replayed every step.

At batch 1 a step is some 1,500 short kernels, and Python takes longer to launch them than the GPU to run them. A replay
launches them all at once. Its inputs lie at fixed addresses: the places where the batch is cut (or the batch itself, if
it is streamed), the learning rate, and the state of the generator that dropout draws from, which CUDA's graphs register
and advance as eager steps do. So order, jitter and noise are those of the eager engine.
"""

import warnings

import torch
from torch import Tensor, nn

from p2pbench.config.schema import RunConfig
from p2pbench.data.batches import Batches, StreamedBatches
from p2pbench.errors import CaptureFailed, first_line
from p2pbench.training.arithmetic import of_steps
from p2pbench.training.memory import is_out_of_memory
from p2pbench.training.step import Networks, Optimisers, train_step

WARM_UP = 3
"""Steps before the capture, which choose cuDNN's algorithms and create Adam's moments; they are undone."""


class NotCapturable(Exception):
    """The step does something that a CUDA graph cannot capture."""


class Captured:
    """Replays the captured step of ``config``.

    Capturing leaves weights, moments, statistics and random state as they were.

    Args:
        optimisers: built as ``capturable``.
        kind: what the steps are recorded as.
        search: as of :func:`p2pbench.training.arithmetic.of_steps`.
    Raises:
        NotCapturable: the step waits for the device, as a user's own network may; nothing has been captured then.
        CaptureFailed: it does something else that cannot be captured. A failed capture may leave its stream the
            current one and the random generator in the middle of the capture (torch 2.11: ``graph.__exit__`` in
            torch/cuda/graphs.py, ``capture_end`` in CUDAGraph.cpp), so that this process is of no more use.
    """

    def __init__(
        self,
        networks: Networks,
        optimisers: Optimisers,
        batches: Batches | StreamedBatches,
        config: RunConfig,
        kind: str = "graph",
        *,
        search: bool = False,
    ) -> None:
        self.kind = kind
        self.networks, self.optimisers, self.batches, self.config = networks, optimisers, batches, config
        device = next(networks.generator.parameters()).device
        self._inputs = tuple(tensor.clone(memory_format=torch.preserve_format) for tensor in self._inputs_of(0))
        before = State(networks, optimisers)
        with of_steps(config.training, search=search):
            try:
                self._warm_up(device)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                raise NotCapturable(f"this step cannot be captured in a CUDA graph ({first_line(error)})") from error
            finally:
                before.restore()
            self._capture()
        before.restore()

    def _capture(self) -> None:
        self._graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):  # a thread may read batches
                self._losses = self._step()
        except RuntimeError as error:
            first = error.__context__ or error  # graph.__exit__ has an error of its own, of a capture that was broken
            if isinstance(first, RuntimeError) and is_out_of_memory(first):
                raise first from error
            raise CaptureFailed(
                f"this step cannot be captured in a CUDA graph ({first_line(first)}); use training.engine eager"
            ) from error

    def feed(self, step: int) -> None:
        for static, fresh in zip(self._inputs, self._inputs_of(step), strict=True):
            static.copy_(fresh)

    def run(self) -> Tensor:
        self._graph.replay()
        return self._losses

    def end(self) -> None:
        """Destroy the graph. While one lives NCCL destroys no communicator that it uses (``commDestroySync`` in NCCL's
        init.cc), and that of an interrupted training would live for as long as the exception, which has its frame."""
        self._graph.reset()

    def _warm_up(self, device: torch.device) -> None:
        """Run a few steps on a separate stream, as a capture requires. Raises RuntimeError where one waits."""
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        for optimiser in self.optimisers.by_name().values():  # not captured yet, on purpose
            optimiser._warned_capturable_if_run_uncaptured = True
        try:
            with torch.cuda.stream(stream):
                self._step()  # loads libraries and compiles, which may wait
                # What would end a capture is refused while it still does no harm. But PyTorch's norm of several
                # processes waits outside of captures alone (torch/nn/modules/_functions.py).
                _refuse_to_wait(not self._synchronises_norms())
                for _ in range(WARM_UP - 1):
                    self._step()
        finally:
            _refuse_to_wait(False)
            torch.cuda.current_stream(device).wait_stream(stream)

    def _synchronises_norms(self) -> bool:
        networks = self.networks.by_name().values()
        return any(isinstance(module, nn.SyncBatchNorm) for network in networks for module in network.modules())

    def _step(self) -> Tensor:
        condition, target = self.batches.cut(*self._inputs) if isinstance(self.batches, Batches) else self._inputs
        return train_step(self.networks, self.optimisers, condition, target, self.config)

    def _inputs_of(self, step: int) -> tuple[Tensor, ...]:
        """The places where the batch of ``step`` is cut, or the batch itself if it is streamed."""
        return (self.batches.crops(step),) if isinstance(self.batches, Batches) else self.batches[step]


def _refuse_to_wait(refuse: bool) -> None:
    """Have CUDA operations that make the host wait raise a RuntimeError, or no more."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype feature", UserWarning)
        torch.cuda.set_sync_debug_mode("error" if refuse else "default")


class State:
    """A copy of what a step changes: weights, statistics, moments, random states. ``restore`` puts it back in place."""

    def __init__(self, networks: Networks, optimisers: Optimisers) -> None:
        self.networks, self.optimisers = networks, optimisers
        self.device = next(networks.generator.parameters()).device
        # The copy is on the host, so that the device's peak of memory is that of the step alone.
        self._copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in self._tensors().items()}
        self._random = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None

    @torch.no_grad()
    def restore(self) -> None:
        for name, tensor in self._tensors().items():
            if name in self._copies:
                tensor.copy_(self._copies[name])
            else:
                tensor.zero_()  # a moment or a step counter that was created since; they begin at 0
        self.optimisers.zero_grad()
        torch.set_rng_state(self._random)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self.device)

    def _tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        optimisers = self.optimisers.by_name()
        for role, network in self.networks.by_name().items():
            found |= {f"{role}.{name}": tensor for name, tensor in network.state_dict(keep_vars=True).items()}
            if (optimiser := optimisers.get(role)) is None:
                continue
            parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
            for index, parameter in enumerate(parameters):
                state = optimiser.state.get(parameter, {})
                found |= {f"{role}.{index}.{name}": tensor for name, tensor in state.items()}
        return found
