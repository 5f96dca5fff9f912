"""Carry out cells on a Ray cluster: as :mod:`p2pbench.study.local` does, but on every node that has room."""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2pbench.config.metrics import METRICS
from p2pbench.config.plugins import is_reference
from p2pbench.data.dataset import DataSet, open_dataset
from p2pbench.errors import ConfigError, RunBusy
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.store import Store
from p2pbench.study import parcels
from p2pbench.study.cluster import check_room, room, share_of, threads_per_cell
from p2pbench.study.local import ENDS, Event
from p2pbench.study.parcels import Parcel
from p2pbench.study.plan import Cell
from p2pbench.study.slot import About, News, Order, Sent, Slot, versions_here
from p2pbench.system.files import atomic
from p2pbench.system.hardware import available_cores

MOST_LOSSES = 3
"""So often a cell is begun again that was lost with its node; then the fault may be its own."""

PATIENCE_SECONDS = 60.0
"""How long a cluster that has lost all its nodes is waited for."""

LOOK_SECONDS = 2.0
"""Least time between two looks at what the cluster has room for."""


@dataclass(eq=False)
class _Place:
    """A slot as the driver sees it: starting, free, or at work on ``cell``."""

    actor: Any
    threads: int
    pending: Any
    """What it was asked: at first what it is, then for news of its cell; None where it is free."""
    about: About | None = None
    cell: Cell | None = None
    lock: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """The run's, held here where the slot cannot hold it in the store."""


class RayExecutor:
    """Runs as many cells at once as the cluster has room for, each in a process with its share of a node.

    A node that shares the store writes there. From others what a cell writes comes back through Ray's object store, its
    checkpoints too, and is written here. A cell whose node is lost is begun again from its last checkpoint.
    """

    def __init__(
        self,
        store: Store,
        *,
        jobs: int | None,
        weights_dir: Path | None,
        gpus_per_cell: float | None = None,
        memory_gib: float | None = None,
        silence_seconds: float | None = None,
        shares_store: bool | None = None,
    ) -> None:
        """To be made while a cluster is connected.

        Args:
            jobs: cells at once at most; as many as there is room for unless given.
            gpus_per_cell: 0.25 for four cells to a GPU; a whole one unless given, where the cluster has any.
            memory_gib: of the node's memory; not counted unless given.
            shares_store: whether the nodes write to this very store; found out unless given.
        """
        self.store = Store(store.root.resolve())
        self.jobs = jobs
        self.weights_dir = weights_dir
        self.gpus_per_cell, self.memory_gib = gpus_per_cell, memory_gib
        self.silence_seconds = silence_seconds
        self.shares_store = shares_store
        self.stopping = False
        self._ending = self._told = False
        self._places: list[_Place] = []
        self._losses: dict[str, int] = {}
        self._sent: dict[str, Sent] = {}
        self._limit, self._looked = 0, 0.0

    def run(self, cells: list[Cell], modes: Mapping[str, list[str]]) -> Iterator[Event]:
        """Carry out ``cells`` and yield what happens, in the order of happening. Ends when all have ended.

        A cell may be ``lost``, which is no end: it is begun again.

        Args:
            modes: for each cell's run_id the inference modes to score it under.
        Raises:
            ConfigError: no node has room for a cell, or one is not fit to carry it out.
        """
        if not cells:
            return
        self.check(cells)
        self._datasets = _folders(cells)
        self._nets = list(dict.fromkeys(net for cell in cells for name in cell.config.scoring.wanted
                                        if name in METRICS and (net := METRICS[name].net) is not None))  # fmt: skip
        waiting, self._roomy = deque(cells), time.monotonic()
        with self._probe() as self._probed:
            try:
                while self._busy() or (waiting and not self.stopping):
                    if not self.stopping:
                        self._arrange(waiting)
                        yield from self._hand_out(waiting, modes)
                        yield from self._give_up(waiting)
                    yield from self._listen(waiting)
            finally:
                for place in list(self._places):
                    self._close(place)

    def check(self, cells: list[Cell]) -> None:
        """Raises :class:`ConfigError` where no node has room for one of ``cells``. Begins nothing."""
        device = next((cell.config.training.device for cell in cells), "auto")
        self._share = share_of(self.gpus_per_cell, self.memory_gib, device)
        # As under the local executor, where --jobs says how many share the cores: other threads, other bits.
        self._threads = max(1, available_cores() // self.jobs) if self.jobs else threads_per_cell(self._share)
        for threads in {self._threads_of(cell) for cell in cells}:
            check_room(self._share, threads)

    def stop(self) -> None:
        """Start no more cells, and ask the running ones to write a checkpoint and end."""
        self.stopping = True  # told to the slots by the loop: a signal handler must not call Ray

    def kill(self) -> None:
        self.stopping = self._ending = True

    def _busy(self) -> list[_Place]:
        return [place for place in self._places if place.cell is not None]

    def _threads_of(self, cell: Cell) -> int:
        recorded = self.store.run(str(cell.run_id)).recorded_threads()
        return cell.config.training.threads or recorded or self._threads

    @contextlib.contextmanager
    def _probe(self) -> Iterator[str]:
        """A file in the store, which shows whether a node has the same one."""
        path = self.store.root / f".{uuid.uuid4().hex}.probe"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        try:
            yield str(path)
        finally:
            path.unlink(missing_ok=True)

    def _arrange(self, waiting: deque[Cell]) -> None:
        """Have slots for the cells that come next, as far as there is room; close those that suit none."""
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:  # nodes come and go
            self._looked = now
            most = max((self._threads_of(cell) for cell in waiting), default=1)
            self._limit = room(self._share, most)
        limit = min(self.jobs or self._limit, self._limit)
        needs = [self._threads_of(cell) for cell in itertools.islice(waiting, max(0, limit - len(self._busy())))]
        for place in [place for place in self._places if place.cell is None]:
            if place.threads in needs:
                needs.remove(place.threads)
            else:
                self._close(place)
        for threads in needs:
            self._open(threads)

    def _open(self, threads: int) -> None:
        import ray

        remote: Any = ray.remote(Slot)
        actor = remote.options(  # several threads: one waits for news while another asks it to stop
            num_cpus=threads, num_gpus=self._share.gpus, memory=self._share.memory_bytes or None, max_concurrency=4
        ).remote()
        asked = [(source, str(root), dataset.key) for source, (root, dataset) in self._datasets.items()]
        self._places.append(_Place(actor, threads, actor.about.remote(self._probed, asked)))

    def _close(self, place: _Place) -> None:
        import ray

        self._places.remove(place)
        place.lock.close()
        with contextlib.suppress(Exception):  # its node is gone, or Ray itself
            ray.kill(place.actor)

    def _hand_out(self, waiting: deque[Cell], modes: Mapping[str, list[str]]) -> Iterator[Event]:
        for place in self._places:
            if place.about is None or place.cell is not None:
                continue
            for cell in [cell for cell in waiting if self._threads_of(cell) == place.threads]:
                if self._begin(place, cell, modes[str(cell.run_id)]):
                    waiting.remove(cell)
                    yield Event(cell, "started")
                    break

    def _begin(self, place: _Place, cell: Cell, modes: list[str]) -> bool:
        """Whether ``cell`` could be begun: not where another process has its run."""
        assert place.about is not None
        shared = place.about.shares_store if self.shares_store is None else self.shares_store
        run = self.store.run(str(cell.run_id))
        if not shared:
            try:
                place.lock.enter_context(run.lock(seconds=0))
            except RunBusy:
                return False
        config = cell.config
        source, named = config.data.source, [config.generator.name, config.discriminator.name, *config.scoring.wanted]
        own = sorted({name for name in named if is_reference(name)})
        lacks = source in self._datasets and source not in place.about.data_at
        weights = parcels.of_weights(self._nets, self.weights_dir)
        order = Order(
            cell, modes, str(self.store.root), shared, place.threads, self.silence_seconds,
            data=self._send(parcels.of_data(self._datasets[source][1])) if lacks else None,
            weights=self._send(weights) if weights.files else None,
            code=self._send(parcels.of_code(own)),
            run=None if shared else self._send_run(run),
        )  # fmt: skip
        place.cell = cell
        place.pending = place.actor.begin.remote(order)
        return True

    def _send(self, parcel: Parcel) -> Sent:
        """``parcel`` in Ray's object store, where it is put once."""
        import ray

        if parcel.key not in self._sent:
            self._sent[parcel.key] = Sent(parcel.key, [ray.put(piece) for piece in parcel.pieces()])
        return self._sent[parcel.key]

    @staticmethod
    def _send_run(run: RunFolder) -> Sent:
        """What the store holds of a run, for a node to go on with."""
        import ray

        files = [path for path in sorted(run.path.rglob("*")) if path.is_file() and path.name != "lock"]
        parcel = Parcel("", tuple((path.relative_to(run.path).as_posix(), path) for path in files))
        return Sent("", [ray.put(piece) for piece in parcel.pieces()])

    def _listen(self, waiting: deque[Cell]) -> Iterator[Event]:
        """Wait for what a slot has to say, and take it in."""
        import ray

        if self._ending:
            for place in self._busy():
                yield from self._lose(place, "", waiting)
            return
        if self.stopping and not self._told:
            self._told = True
            for place in self._busy():
                place.actor.stop.remote()
        asked = {place.pending: place for place in self._places if place.pending is not None}
        if not asked:
            time.sleep(0.5)  # another process has the runs, or the cluster no room
            return
        ray.wait(list(asked), timeout=1.0)
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
        for answer in ready:
            place = asked[answer]
            try:
                said = ray.get(answer)
            except ray.exceptions.RayError as error:
                yield from self._lose(place, str(error), waiting)
                continue
            if isinstance(said, About):
                check_versions(said)
                place.about, place.pending = said, None
            else:
                yield from self._hear(place, said)

    def _hear(self, place: _Place, news: News) -> Iterator[Event]:
        assert place.cell is not None
        cell, run = place.cell, self.store.run(str(place.cell.run_id))
        for name, content in news.files:
            with atomic(run.path / name) as part:
                part.write_bytes(content)
        for name in news.gone:
            (run.path / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the last one of its folder goes with it
                (run.path / name).parent.rmdir()
        ended = any(kind in ENDS for kind, _ in news.events)
        if ended:
            place.lock.close()
            place.cell = place.pending = None
        else:
            place.pending = place.actor.news.remote()
        for kind, about in news.events:
            yield Event(cell, kind, about)

    def _lose(self, place: _Place, why: str, waiting: deque[Cell]) -> Iterator[Event]:
        """Part with a slot that does not answer; its cell comes next."""
        cell, started = place.cell, place.about is not None
        self._close(place)
        if not started:
            self._look_into(why)
        if cell is None:
            return
        name = str(cell.run_id)
        self._losses[name] = self._losses.get(name, 0) + 1
        if self.stopping:
            yield Event(cell, "interrupted", {"reason": "ended with its node", "died": True})
        elif self._losses[name] > MOST_LOSSES:
            reason = f"its node, or its process there, was lost {self._losses[name]} times: {_gist(why)}"
            yield Event(cell, "failed", {"reason": reason, "died": True})
        else:
            waiting.appendleft(cell)
            yield Event(cell, "lost", {"reason": "its node was lost; begun again from its last checkpoint"})

    def _look_into(self, why: str) -> None:
        """Raise :class:`ConfigError` where a slot cannot start: it was not its node that went away."""
        if "No module named" in why or "creation task" in why:
            raise ConfigError(
                f"a node of the Ray cluster cannot carry out cells: {_gist(why)}; install the same p2pbench there"
            )

    def _give_up(self, waiting: deque[Cell]) -> Iterator[Event]:
        """Let the cells fail that no node has had room for, for a while."""
        now = time.monotonic()
        if self._limit or self._busy():
            self._roomy = now
        elif now - self._roomy > PATIENCE_SECONDS:
            while waiting:
                reason = f"the Ray cluster has had no room for it for {PATIENCE_SECONDS:.0f} s; run it again"
                yield Event(waiting.popleft(), "failed", {"reason": reason, "died": True})


def _folders(cells: list[Cell]) -> dict[str, tuple[Path, DataSet]]:
    """The data sets of ``cells`` that are folders here, by their source, and where they lie."""
    found = {}
    for cell in cells:
        data = cell.config.data
        if data.source not in found:
            dataset = open_dataset(data)
            if dataset.found is not None:
                found[data.source] = parcels.find_folder(data.source).resolve(), dataset
    return found


def check_versions(about: About) -> None:
    """Raises :class:`ConfigError` where a node would give other records than this machine."""
    for name, ours in versions_here().items():
        theirs = about.versions.get(name)
        if theirs != ours:
            raise ConfigError(
                f"the node {about.host} of the Ray cluster has {name} {theirs}, this machine {ours}: records would "
                "differ; install the same on both"
            )


def _gist(why: str) -> str:
    """The line of Ray's account that says what happened."""
    lines = [line.strip() for line in why.splitlines() if line.strip()]
    telling = [line for line in lines if "Error" in line and not line.startswith(("The actor died", "ray.exceptions"))]
    return (telling or lines or ["it does not answer"])[-1 if telling else 0][:200]
