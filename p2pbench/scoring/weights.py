"""Pretrained networks: which score or training needs which, and how their files are found, verified and fetched.

Files are looked for in ``--weights-dir``, ``P2PBENCH_WEIGHTS``, torch's hub cache and p2pbench's own cache, and fetched
if they are in none of them. A file counts only if its hash is the published one; a file that cannot be read counts as a
wrong one. Nothing here imports torch.
"""

import os
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from p2pbench.config.metrics import METRICS
from p2pbench.config.sections import PERCEPTUAL, PROJECTED
from p2pbench.errors import ConfigError, P2PBenchError, StorageError, WeightsError, unknown
from p2pbench.system.cache_dir import home
from p2pbench.system.files import locked, remembered_sha256
from p2pbench.system.progress import Count, Megabytes


@dataclass(frozen=True)
class Net:
    """A pretrained network."""

    about: str
    url: str
    megabytes: int
    files: dict[str, str]
    """The names its file may have, the fetched one first, with the SHA-256 of each or its published beginning."""


NETS = {
    name: Net(**about) for name, about in tomllib.loads((Path(__file__).parent / "networks.toml").read_text()).items()
}


def search_path(weights_dir: Path | None) -> list[Path]:
    """The folders where weights are looked for, in order."""
    folders = [weights_dir] if weights_dir else []
    if named := os.environ.get("P2PBENCH_WEIGHTS"):
        folders.append(Path(named).expanduser())
    torch_home = os.environ.get("TORCH_HOME") or f"{os.environ.get('XDG_CACHE_HOME', '~/.cache')}/torch"
    return [*folders, Path(torch_home).expanduser() / "hub" / "checkpoints", home() / "weights"]


def locate(name: str, weights_dir: Path | None = None) -> Path | None:
    """The file of network ``name`` that is used: the first right one on the search path.

    Where all are wrong it is the first of them, which :func:`verify` refuses; None where there is none at all.
    """
    there = present(name, weights_dir)
    return next((path for path in there if is_right(path, name)), there[0] if there else None)


def present(name: str, weights_dir: Path | None = None) -> list[Path]:
    """All files on the search path that have a name of network ``name``, right or wrong, in the search's order."""
    folders = dict.fromkeys(search_path(weights_dir))
    return [folder / file for folder in folders for file in NETS[name].files if os.path.lexists(folder / file)]


def usable(name: str, weights_dir: Path | None = None) -> bool:
    """Whether a verified file of network ``name`` is on this machine."""
    return any(is_right(path, name) for path in present(name, weights_dir))


def is_right(path: Path, name: str) -> bool:
    """Whether the file at ``path`` can be read and has the published hash of network ``name``."""
    try:
        verify(path, name)
    except WeightsError:
        return False
    return True


def sha256(path: Path) -> str:
    """The SHA-256 of a file of weights, read once a process unless it changes. Raises :class:`WeightsError`."""
    try:
        return remembered_sha256(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None


def verify(path: Path, name: str) -> str:
    """The SHA-256 of the file at ``path``. Raises :class:`WeightsError` unless it is that of network ``name``."""
    expected = NETS[name].files.get(path.name, next(iter(NETS[name].files.values())))
    found = sha256(path)
    if not found.startswith(expected):
        raise WeightsError(
            f"{path} is not {NETS[name].about}: its SHA-256 begins {found[:12]}, expected {expected[:12]}; "
            "remove it or put the right file in its place"
        )
    return found


def obtain(name: str, weights_dir: Path | None = None, *, fetch: bool = True, progress: Count | None = None) -> Path:
    """A verified file of network ``name``, fetched if no folder of the search path has one.

    Args:
        fetch: whether it may be fetched.
        progress: called while fetching; without it a terminal shows pooch's own bar.
    Raises:
        WeightsError: it is not on this machine and cannot be fetched, or cannot be read, or has a wrong hash.
    """
    path = locate(name, weights_dir) or (_fetch(name, progress) if fetch else None)
    if path is None:
        raise _missing(name)
    verify(path, name)
    return path


def _missing(name: str, problem: str = "") -> WeightsError:
    net = NETS[name]
    return WeightsError(
        f"the weights of {net.about} are not on this machine{problem}; put {next(iter(net.files))} "
        f"({net.megabytes} MB, {net.url}) into a folder and name it with --weights-dir"
    )


def _fetch(name: str, progress: Count | None) -> Path:
    import pooch
    import requests

    net = NETS[name]
    file = next(iter(net.files))
    folder = home() / "weights"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f"{file}.lock"), tempfile.TemporaryDirectory(dir=folder) as part:
            if (folder / file).is_file():  # another process has fetched it meanwhile
                return folder / file
            pooch.get_logger().setLevel("ERROR")
            bar = Megabytes(progress) if progress else sys.stderr.isatty()
            downloader = pooch.HTTPDownloader(timeout=(10, 60), chunk_size=2**20, progressbar=bar)
            fetched = Path(pooch.retrieve(net.url, known_hash=None, fname=file, path=part, downloader=downloader))
            verify(fetched, name)
            fetched.replace(folder / file)
    except requests.RequestException as error:
        status = getattr(error.response, "status_code", None)
        problem = f"answered {status}" if status else "did not answer"
        raise _missing(name, f" and could not be fetched ({urlsplit(net.url).hostname} {problem})") from None
    except (OSError, StorageError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _missing(name, f" and {folder} cannot be written: {reason}") from None
    return folder / file


def inventory(weights_dir: Path | None) -> dict[str, Any]:
    """Where networks are looked for, and of each what needs it and the file that :func:`locate` finds.

    Returns:
        ``search``, the folders in order, and ``weights``, a mapping for each network: ``name``, ``about``, ``scores``,
        ``trainings`` (settings under which a training needs it), ``megabytes``, ``url``, ``files`` (the names it may
        have, with the SHA-256 or the published beginning of it), ``state`` (``ready``, ``wrong`` or ``missing``),
        ``path``, ``sha256`` (None where it cannot be read) and ``reason`` (why it is wrong, else None).
    """
    nets = [
        {
            "name": name,
            "scores": scores_of(name),
            "trainings": trainings_of(name),
            **asdict(net),
            **_file(name, locate(name, weights_dir)),
        }
        for name, net in NETS.items()
    ]
    return {"search": [str(folder) for folder in search_path(weights_dir)], "weights": nets}


def verify_all(weights_dir: Path | None) -> list[dict[str, Any]]:
    """Every file on the search path that has a network's name, also those that an earlier one hides.

    Returns:
        A mapping for each: ``name``, ``state``, ``path``, ``sha256``, ``reason`` (why it is wrong, else None).
    """
    return [{"name": name, **_file(name, path)} for name in NETS for path in present(name, weights_dir)]


def networks_of(names: Sequence[str]) -> list[str]:
    """The networks that ``names`` stand for: names of networks, of scores that need one, or ``all``; each once.

    Raises:
        ConfigError: a name is none of these.
    """
    asked = {name: [name] for name in NETS}
    asked |= {score: [metric.net] for score, metric in METRICS.items() if metric.net}
    asked["all"] = list(NETS)
    for name in names:
        if name in METRICS and METRICS[name].net is None:
            raise ConfigError(f"{name} needs no pretrained network")
        if name not in asked:
            raise ConfigError(unknown("network or score", name, asked))
    return list(dict.fromkeys(net for name in names for net in asked[name]))


def fetch(name: str, weights_dir: Path | None, progress: Count) -> dict[str, Any]:
    """Fetch the network ``name`` unless it is on this machine.

    Returns:
        ``name``, ``state`` (``there``, ``fetched`` or ``failed``), ``path`` and ``reason`` (why it failed).
    """
    before = locate(name, weights_dir)
    try:
        path = obtain(name, weights_dir, progress=progress)
    except P2PBenchError as error:
        return {"name": name, "state": "failed", "path": None, "reason": str(error)}
    return {"name": name, "state": "there" if before else "fetched", "path": str(path), "reason": None}


def scores_of(name: str) -> list[str]:
    """The scores that need the network ``name``."""
    return [score for score, metric in METRICS.items() if metric.net == name]


def trainings_of(name: str) -> list[str]:
    """The settings, as ``--set`` takes them, under which a training looks through the network ``name``."""
    perceptual = [f"objective.perceptual={name}"] if name in PERCEPTUAL else []
    return [*perceptual, *(["discriminator.name=projected"] if name == PROJECTED else [])]


def _file(name: str, path: Path | None) -> dict[str, Any]:
    if path is None:
        return {"state": "missing", "path": None, "sha256": None, "reason": None}
    digest = reason = None
    try:
        digest = sha256(path)
        verify(path, name)
    except WeightsError as error:
        reason = str(error)
    return {"state": "wrong" if reason else "ready", "path": str(path), "sha256": digest, "reason": reason}
