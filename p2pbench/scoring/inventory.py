"""The pretrained networks on this machine, for ``p2pbench weights``. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p2pbench.config.metrics import METRICS
from p2pbench.errors import ConfigError, P2PBenchError, WeightsError, unknown
from p2pbench.scoring import weights
from p2pbench.system.progress import Count


def inventory(weights_dir: Path | None) -> dict[str, Any]:
    """Where networks are looked for, and of each what needs it and the file that is used, by :func:`weights.locate`.

    Returns:
        ``search``, the folders in order, and ``weights``, a mapping for each network: ``name``, ``about``, ``scores``,
        ``megabytes``, ``url``, ``files`` (the names it may have, with the SHA-256 or the published beginning of it),
        ``state`` (``ready``, ``wrong`` or ``missing``), ``path`` and ``sha256`` (None where it is missing).
    """
    nets = []
    for name, net in weights.NETS.items():
        path = weights.locate(name, weights_dir)
        about = {"name": name, "about": net.about, "scores": scores_of(name), "megabytes": net.megabytes}
        nets.append({**about, "url": net.url, "files": net.files, **_file(name, path)})
    return {"search": [str(folder) for folder in weights.search_path(weights_dir)], "weights": nets}


def verify_all(weights_dir: Path | None) -> list[dict[str, Any]]:
    """Of every file on the search path that goes by a network's name: ``name``, ``state``, ``path``, ``sha256``,
    ``reason`` (why it is wrong, else None). Those that another one hides are among them."""
    found = []
    for name in weights.NETS:
        for path in weights.present(name, weights_dir):
            reason = None
            try:
                weights.verify(path, name)
            except WeightsError as error:
                reason = str(error)
            found.append({"name": name, **_file(name, path), "reason": reason})
    return found


def networks_of(names: Sequence[str]) -> list[str]:
    """The networks that ``names`` ask for: networks, scores that need one, or ``all``; each once.

    Raises:
        ConfigError: a name that is none of these.
    """
    asked = {name: [name] for name in weights.NETS}
    asked |= {score: [metric.net] for score, metric in METRICS.items() if metric.net}
    asked["all"] = list(weights.NETS)
    for name in names:
        if name in METRICS and METRICS[name].net is None:
            raise ConfigError(f"{name} needs no pretrained network")
        if name not in asked:
            raise ConfigError(unknown("network or score", name, asked))
    return list(dict.fromkeys(net for name in names for net in asked[name]))


def is_missing(name: str, weights_dir: Path | None) -> bool:
    """Whether no file, right or wrong, goes by a name of the network."""
    return weights.locate(name, weights_dir) is None


def fetch(name: str, weights_dir: Path | None, progress: Count) -> dict[str, Any]:
    """Have the network ``name`` on this machine: ``name``, ``state`` (``there``, ``fetched`` or ``failed``), ``path``
    and ``reason`` (why it failed)."""
    before = weights.locate(name, weights_dir)
    try:
        path = weights.obtain(name, weights_dir, progress=progress)
    except P2PBenchError as error:
        return {"name": name, "state": "failed", "path": None, "reason": str(error)}
    return {"name": name, "state": "there" if before else "fetched", "path": str(path), "reason": None}


def scores_of(name: str) -> list[str]:
    """The scores that need the network ``name``."""
    return [score for score, metric in METRICS.items() if metric.net == name]


def _file(name: str, path: Path | None) -> dict[str, Any]:
    if path is None:
        return {"state": "missing", "path": None, "sha256": None}
    state = "ready" if weights.is_right(path, name) else "wrong"
    return {"state": state, "path": str(path), "sha256": weights.sha256(path)}
