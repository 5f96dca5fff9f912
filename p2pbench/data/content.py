"""A key of what the files of a data set hold; each file is hashed once, and again when it may have changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from p2pbench.data.pairs import Pair
from p2pbench.errors import StorageError
from p2pbench.system.cache_dir import home
from p2pbench.system.files import sha256_of, write_text

RACY_NS = 2_000_000_000
"""A file changed less than two seconds ago may change again under the same time stamp; FAT has the coarsest."""


def content_key(root: Path, splits: Mapping[str, Sequence[Pair]]) -> str:
    """A hash of all files' content in their order, by split: the same wherever the data lie and whatever their names.

    Hashes are remembered, for each data set folder ``root`` in a file of its own.
    """
    memory = _Memory(root)
    digest = hashlib.sha256()
    for split in sorted(splits):
        digest.update(f"{split}:".encode())
        for pair in splits[split]:
            digest.update("+".join(memory.sha256(path) for path in pair.files).encode() + b";")
    memory.save()
    return digest.hexdigest()


class _Memory:
    """Hashes of the files of one folder, each with what changes when the file does: as git's index has them."""

    def __init__(self, root: Path) -> None:
        name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:24]
        self.path = home() / "hashes" / f"{name}.json"
        self.root = str(root)
        try:
            known = json.loads(self.path.read_text())
        except (OSError, ValueError):
            known = {}
        self.known: dict[str, list[object]] = known if isinstance(known, dict) else {}
        self.seen: dict[str, list[object]] = {}

    def sha256(self, path: Path) -> str:
        name, now = str(path), time.time_ns()
        stat = os.stat(name)  # noqa: PTH116 - of ten thousand files, this is what takes the time
        name = name[len(self.root) :]
        # Not size and time of change alone: a copy can bring its own. st_ctime cannot be set.
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        known = self.known.get(name)
        if isinstance(known, list) and known[:4] == state and len(known) == 5:
            self.seen[name] = known
            return str(known[4])
        digest = sha256_of(path)
        if max(stat.st_mtime_ns, stat.st_ctime_ns) < now - RACY_NS:
            self.seen[name] = [*state, digest]
        return digest

    def save(self) -> None:
        if self.seen != self.known:
            with contextlib.suppress(StorageError):  # only a convenience: without it the files are hashed again
                write_text(self.path, json.dumps(self.seen))
