"""Download an archive through pooch: mirrors in turn, and failed connections again. Its content is verified later."""

import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from p2pbench.curation.fetch import cityscapes
from p2pbench.data.catalogue import PAPER_SETS
from p2pbench.errors import DataError, StorageError
from p2pbench.system.console import bytes_text
from p2pbench.system.progress import Megabytes, counted

ATTEMPTS = 3
"""Maximum attempts at each mirror while the connection fails."""
WAIT_SECONDS = 2.0
TIMEOUT_SECONDS = (10.0, 60.0)
"""Time-outs for connecting, and between two pieces of the answer."""


def download(name: str, url: str | None, work: Path, console: Console) -> tuple[Path, str]:
    """Download the archive of the set ``name`` into the new folder ``work``, from ``url`` or from its mirrors in turn.

    Returns:
        The file, whose content is yet to be verified, and the address it came from.

    Raises:
        DataError: none of the addresses gave it, or the set has none (see :data:`cityscapes.BY_HAND`).
        StorageError: too little space for it and what it holds.
        OSError: ``work`` cannot be written.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    entry = PAPER_SETS[name]
    if url is None and not entry.mirrors:
        raise DataError(cityscapes.BY_HAND)
    work.mkdir()
    if url is None and entry.megabytes is not None:
        needed, free = 2_000_000 * entry.megabytes, shutil.disk_usage(work).free  # the archive, and what it holds
        if needed > free:
            raise StorageError(
                f"{name} needs {bytes_text(needed)} while it is fetched, but the disk has {bytes_text(free)} free; "
                "make room, or name another place with --data-dir"
            )
        console.print(f"{name}: about {entry.megabytes:,} MB")
    problems = []
    for address in (url,) if url is not None else entry.mirrors:
        file = Path(urlsplit(address).path).name
        file = file if file.strip(".") else f"{name}.tar.gz"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with counted(console, f"fetching {name}" + ", MB" * console.is_terminal, "MB") as progress:
                    downloader = pooch.HTTPDownloader(
                        progressbar=Megabytes(progress),
                        chunk_size=2**20,
                        timeout=TIMEOUT_SECONDS,
                        headers={"Accept-Encoding": "identity"},  # compression on the way would change the hash
                    )
                    found = pooch.retrieve(address, known_hash=None, fname=file, path=work, downloader=downloader)
                    return Path(found), address
            except requests.RequestException as error:
                problem, again = _what_failed(error)
                if not again or attempt == ATTEMPTS:
                    break
                console.print(f"{urlsplit(address).hostname} {problem}; trying again", markup=False)
                time.sleep(WAIT_SECONDS * attempt)
        problems.append(f"{address} {problem}")
    raise DataError(
        f"{name} could not be fetched ({'; '.join(problems)}); get the archive in another way and give it with "
        "--from ARCHIVE, or another address with --url"
    )


def _what_failed(error: Exception) -> tuple[str, bool]:
    """What failed, in words, and whether another attempt is worthwhile."""
    import requests

    response = getattr(error, "response", None)
    if response is not None:
        return f"answered {response.status_code}", response.status_code >= 500
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off in the middle", True
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "stopped answering", True
    if isinstance(error, requests.exceptions.SSLError):
        return "has a certificate that is not valid", False
    return "did not answer", isinstance(error, requests.ConnectionError)
