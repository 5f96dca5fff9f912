"""A slot: what stands for the driver on a node of a Ray cluster, and carries out one cell after another there."""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import p2pbench
from p2pbench.errors import P2PBenchError
from p2pbench.runs.store import Store
from p2pbench.study.local import ENDS, LocalExecutor
from p2pbench.study.parcels import Piece, find_here, place, unpack
from p2pbench.study.plan import Cell
from p2pbench.system.cache_dir import home

NEWS_SECONDS = 2.0
"""How long a slot waits for news before it says that there are none."""

ENDING_SECONDS = 60.0
"""How long a process is waited for that has the run here and whose slot is gone."""


@dataclass(frozen=True)
class About:
    """What a slot says of its node."""

    host: str
    versions: dict[str, str]
    shares_store: bool
    """Whether the driver's store is this node's too."""
    data_at: dict[str, str]
    """Of the sources asked about those that are here, and where."""


@dataclass(frozen=True)
class Sent:
    """A parcel in Ray's object store."""

    key: str
    pieces: list[Any] = field(repr=False)
    """References to :data:`Piece`."""

    def received(self) -> Any:
        import ray

        return (ray.get(piece) for piece in self.pieces)


@dataclass(frozen=True)
class Order:
    """A cell to carry out."""

    cell: Cell
    modes: list[str]
    store: str
    """The driver's store; the cell is written there where it is this node's too."""
    shared: bool
    threads: int
    silence_seconds: float | None
    data: Sent | None
    """The pairs, where the node lacks them."""
    weights: Sent | None
    """The pretrained networks that the driver has."""
    code: Sent
    """Modules of the user's own, perhaps none: where the cell's process works, and not in a folder that happens to hold
    another p2pbench."""
    run: Sent | None
    """What the store holds of the run, where the node cannot look."""


@dataclass(frozen=True)
class News:
    events: list[tuple[str, dict[str, Any]]]
    """Kind of the event and what it says, in order."""
    files: Piece
    """Files of the run that are new or have changed, whole."""
    gone: list[str]


@cache
def versions_here() -> dict[str, str]:
    """What two machines must agree on to give the same records: torch, and p2pbench to the letter."""
    digest = hashlib.sha256()
    folder = Path(p2pbench.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return {"p2pbench": f"{version('p2pbench')} ({digest.hexdigest()[:8]})", "torch": version("torch")}


class Slot:
    """The actor, as Ray calls it.

    Its methods are called from several threads: Ray's, and the one that carries out the cell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_to_stop = self._told = False
        self._executor: LocalExecutor | None = None
        self._data_at: dict[str, str] = {}
        self._events: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self._mirror: _Mirror | None = None

    def about(self, probe: str, sources: Sequence[tuple[str, str, str]]) -> About:
        """What this node is and has.

        Args:
            probe: a file that lies in the driver's store.
            sources: of each data set its name, its folder on the driver's machine, and its key.
        """
        found = {source: find_here(source, folder, key) for source, folder, key in sources}
        self._data_at = {source: str(folder) for source, folder in found.items() if folder is not None}
        return About(socket.gethostname(), versions_here(), Path(probe).is_file(), self._data_at)

    def begin(self, order: Order) -> News:
        """Carry out a cell, and tell of it as :meth:`news` does from then on."""
        self._executor, mirror, self._mirror = None, self._mirror, None
        if mirror is not None:  # of the cell before, which lies in the driver's store
            shutil.rmtree(mirror.folder, ignore_errors=True)
        threading.Thread(target=self._carry_out, args=(order,), daemon=True).start()
        return self.news()

    def news(self) -> News:
        """What has happened since it was last asked; waits a little for something to happen."""
        events = []
        try:
            events.append(self._events.get(timeout=NEWS_SECONDS))
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            pass
        files, gone = self._mirror.look() if self._mirror else ([], [])  # after the events: all of an end is seen
        return News(events, files, gone)

    def stop(self) -> None:
        """Ask the cell to write a checkpoint and end. No other is begun after that."""
        self._asked_to_stop = True
        self._pass_on_stop()

    def _pass_on_stop(self) -> None:
        with self._lock:  # once: a worker that is asked twice ends without a checkpoint
            executor = self._executor
            if self._asked_to_stop and not self._told and executor is not None and executor.at_work:
                executor.stop()
                self._told = True

    def _carry_out(self, order: Order) -> None:
        run_id, ended = str(order.cell.run_id), False
        try:
            self._executor = self._prepare(order)
            if self._asked_to_stop:
                self._executor.stopping = True
            for event in self._executor.run([order.cell], {run_id: order.modes}):
                self._pass_on_stop()
                if event.kind != "started":
                    ended = ended or event.kind in ENDS
                    about = dict(event.about)
                    if about.get("reason"):  # it may name the log
                        about["reason"] = about["reason"].replace(str(self._executor.store.root), order.store)
                    self._events.put((event.kind, about))
            if not ended:
                self._events.put(("interrupted", {"reason": "stopped"}))
        except P2PBenchError as error:
            self._events.put(("failed", {"reason": str(error), "died": True}))
        except Exception as error:  # told, not lost: the driver goes on with the other cells
            self._events.put(("failed", {"reason": f"{type(error).__name__}: {error}", "died": True}))

    def _prepare(self, order: Order) -> LocalExecutor:
        """Place what the node lacks, and make ready what carries out the cell."""
        source = order.cell.config.data.source
        if order.data is not None:
            self._data_at[source] = str(_placed(order.data))
        store = Store(Path(order.store)) if order.shared else Store(home() / "runs")
        if order.run is not None:
            run = store.run(str(order.cell.run_id))
            with run.lock(seconds=ENDING_SECONDS):  # one that was lost here may still be ending
                for path in run.path.iterdir():
                    if path.is_dir():
                        shutil.rmtree(path)
                    elif path.name != "lock":
                        path.unlink()
                unpack(run.path, order.run.received())
            self._mirror = _Mirror(run.path, (str(store.root).encode(), order.store.encode()))
        return LocalExecutor(
            store, jobs=1, threads=order.threads, silence_seconds=order.silence_seconds,
            weights_dir=_placed(order.weights) if order.weights else None, data_at=self._data_at,
            code=_placed(order.code),
        )  # fmt: skip


def _placed(sent: Sent) -> Path:
    return place(sent.key, sent.received())


class _Mirror:
    """What a cell has written since the driver was last told."""

    def __init__(self, folder: Path, renamed: tuple[bytes, bytes]) -> None:
        """``renamed``: this node's store and the driver's, for reasons that name a file."""
        self.folder, self.renamed = folder, renamed
        self.known = self._files()

    def _files(self) -> dict[str, tuple[int, int]]:
        found = {}
        for parent, _, names in os.walk(self.folder):
            for name in names:
                path = Path(parent, name)
                if name == "lock" or name.endswith(".part"):
                    continue
                try:
                    state = path.stat()
                except FileNotFoundError:
                    continue  # an older checkpoint, dropped meanwhile
                found[path.relative_to(self.folder).as_posix()] = (state.st_mtime_ns, state.st_size)
        return found

    def look(self) -> tuple[Piece, list[str]]:
        """New and changed files with their content, ``status.json`` last; and the names of those that are gone."""
        found = self._files()
        changed = [name for name, state in found.items() if self.known.get(name) != state]
        files = []
        for name in sorted(changed, key=lambda name: name == "status.json"):
            try:
                content = (self.folder / name).read_bytes()
            except FileNotFoundError:
                del found[name]
                continue
            files.append((name, content.replace(*self.renamed) if name == "status.json" else content))
        gone = [name for name in self.known if name not in found]
        self.known = found
        return files, gone
