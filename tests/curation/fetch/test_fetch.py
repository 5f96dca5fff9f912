"""Data sets: fetched from a server on loopback or taken from an archive; whole or absent, whatever goes wrong."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import program
import pytest
from PIL import Image
from reading import read_pair
from tiny_runs import write_pairs
from typer.testing import CliRunner

from p2pbench.cli.app import app
from p2pbench.curation.fetch import download
from p2pbench.data.catalogue import PAPER_SETS, datasets_folder
from p2pbench.data.pairs import find_pairs

COUNTS = {"train": 4, "test": 2}


def packed(root: Path, archive: Path, wrapper: str = "maps") -> Path:
    """The folder ``root`` as an archive, inside a folder ``wrapper``."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for path in sorted(root.rglob("*")):
                zipped.write(path, Path(wrapper) / path.relative_to(root))
        return archive
    with tarfile.open(archive, "w" if archive.suffix == ".tar" else "w:gz") as tar:
        tar.add(root, wrapper)
    return archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Four training pairs and two test pairs, as the authors pack them: maps.tar.gz with maps/train, maps/test."""
    return packed(write_pairs(tmp_path / "whole", COUNTS), tmp_path / "maps.tar.gz")


class Server(BaseHTTPRequestHandler):
    content: ClassVar[bytes]
    requests: ClassVar[list[str]] = []
    released: ClassVar[threading.Event]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        kind = self.path.split("/")[1]
        if kind in ("missing", "broken") or (kind == "moody" and len(self.requests) < 3):
            self.send_error(404 if kind == "missing" else 503)
            return
        body = b"<html>Sign in first</html>" if kind == "portal" else self.content
        self.send_response(200)
        if kind != "endless":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:500] if kind in ("cut", "endless", "slow") else body)
        if kind == "slow":
            self.wfile.flush()
            self.released.wait(30)
            self.wfile.write(body[500:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(download, "WAIT_SECONDS", 0.0)
    Server.content, Server.released = archive.read_bytes(), threading.Event()
    Server.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        Server.released.set()
        running.shutdown()
        thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # requests forgets its socket when an answer is cut short
        gc.collect()


@pytest.fixture(autouse=True)
def _maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue's maps, as small as the archive here, with no address of its own to ask."""
    monkeypatch.setitem(PAPER_SETS, "maps", replace(PAPER_SETS["maps"], pairs=COUNTS, mirrors=("http://127.0.0.1:9/",)))


def mirrored(monkeypatch: pytest.MonkeyPatch, *mirrors: str) -> None:
    monkeypatch.setitem(PAPER_SETS, "maps", replace(PAPER_SETS["maps"], mirrors=mirrors))


def run(*arguments: str | Path, code: int = 0) -> Any:
    return program.invoke("data", "fetch", *arguments, code=code)


def document(*arguments: str | Path) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def error_of(*arguments: str | Path, code: int = 3) -> str:
    """The error: one line, nothing on standard output, and nothing left where the data sets are kept."""
    result = run(*arguments, code=code)
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert kept() == []
    return str(line)


def kept(parent: Path | None = None) -> list[str]:
    """What lies where the data sets are kept, but for the lock."""
    folder = parent or datasets_folder()
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock") if folder.is_dir() else []


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- fetched


def test_a_set_is_fetched_once_and_found_by_its_name(
    server: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored(monkeypatch, f"{server}/good/maps.tar.gz")
    found = document("maps")
    assert found == {
        "source": "maps", "folder": str(datasets_folder() / "maps"), "state": "fetched", "pairs": COUNTS,
        "origin": f"{server}/good/maps.tar.gz", "sha256": sha256(archive), "verified": "nothing", "warnings": [],
    }  # fmt: skip
    assert kept() == ["maps", "maps.sha256"]
    for split in COUNTS:
        for path in (datasets_folder() / "maps" / split).iterdir():
            assert path.read_bytes() == (tmp_path / "whole" / split / path.name).read_bytes()
    again = document("maps")
    assert (again["state"], again["pairs"], again["warnings"]) == ("already there", COUNTS, [])
    assert Server.requests == ["/good/maps.tar.gz"]
    plan = CliRunner().invoke(app, ["ablate", "--grid", "loss", "--set", "data.source=maps", "--plan", "--json"])
    assert {cell["state"] for cell in json.loads(plan.stdout)["cells"]} == {"to run"}


def test_what_a_person_reads(server: str) -> None:
    result = run("maps", "--url", f"{server}/good/maps.tar.gz")
    for words in ("train 4, test 2", "SHA-256", "published nowhere", "terms:", "data.source=maps", "direction=AtoB"):
        assert words in result.stdout
    assert "already there" in run("maps").stdout


def test_mirrors_are_tried_in_order_and_a_bad_moment_is_waited_out(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored(monkeypatch, f"{server}/missing/maps.tar.gz", f"{server}/moody/maps.tar.gz")
    assert document("maps")["origin"] == f"{server}/moody/maps.tar.gz"
    assert Server.requests == ["/missing/maps.tar.gz", *["/moody/maps.tar.gz"] * 2]


@pytest.mark.parametrize("name", ["own.zip", "own.tar", "[bold]own.tgz"])
@pytest.mark.parametrize("wrapper", ["maps", ".", "a/b"])
def test_an_archive_that_is_here_is_taken(name: str, wrapper: str, tmp_path: Path) -> None:
    given = packed(write_pairs(tmp_path / "whole", COUNTS), tmp_path / name, wrapper)
    before = sha256(given)
    result = run("maps", "--from", given, "--data-dir", tmp_path / "elsewhere", "--json")
    assert f"verifying {name}" in result.stderr
    found = json.loads(result.stdout)
    assert (found["pairs"], found["origin"]) == (COUNTS, str(given))
    assert sha256(given) == before
    assert kept(tmp_path / "elsewhere") == ["maps", "maps.sha256"]
    assert find_pairs(tmp_path / "elsewhere" / "maps").keys() == COUNTS.keys()


def test_other_counts_than_the_papers_are_a_warning(tmp_path: Path) -> None:
    given = packed(write_pairs(tmp_path / "few", {"train": 3, "test": 2}), tmp_path / "few.zip")
    result = run("maps", "--from", given)
    assert "warning: train has 3 pairs, where maps has 4" in result.stderr
    assert len(document("maps")["warnings"]) == 1


# ---- verified


def test_the_hash_of_the_first_fetch_is_kept_and_compared(server: str, archive: Path, tmp_path: Path) -> None:
    import shutil

    url = f"{server}/good/maps.tar.gz"
    assert document("maps", "--url", url)["verified"] == "nothing"
    record = datasets_folder() / "maps.sha256"
    assert record.read_text() == f"{sha256(archive)}  maps.tar.gz\n"
    shutil.rmtree(datasets_folder() / "maps")
    assert document("maps", "--url", url)["verified"] == "recorded"
    shutil.rmtree(datasets_folder() / "maps")
    own = packed(tmp_path / "whole", tmp_path / "own.zip")
    assert document("maps", "--from", own)["verified"] == "nothing"
    assert record.read_text().splitlines()[1] == f"{sha256(own)}  own.zip"
    shutil.rmtree(datasets_folder() / "maps")
    Server.content = packed(write_pairs(tmp_path / "other", {"train": 1, "test": 1}), tmp_path / "o.tgz").read_bytes()
    result = run("maps", "--url", url, code=3)
    assert "as at the first fetch" in result.stderr
    assert f"remove {record} and fetch again" in result.stderr
    assert kept() == ["maps.sha256"]


# ---- what goes wrong


@pytest.mark.parametrize(
    ("kind", "message", "n_requests"),
    [
        ("missing", "answered 404", 1),
        ("broken", "answered 503", 3),
        ("cut", "broke off in the middle", 3),
        ("endless", "is damaged", 1),
        ("portal", "no tar, tar.gz or zip archive", 1),
    ],
)
def test_a_failed_download_is_one_clear_line_and_leaves_nothing(
    kind: str, message: str, n_requests: int, server: str
) -> None:
    assert message in error_of("maps", "--url", f"{server}/{kind}/maps.tar.gz")
    assert len(Server.requests) == n_requests


def test_a_server_that_stops_answering_is_given_up(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (1.0, 0.2))
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    result = run("maps", "--url", f"{server}/slow/maps.tar.gz", code=3)
    assert "127.0.0.1 stopped answering; trying again" in result.stderr
    assert "get the archive in another way and give it with --from" in result.stderr
    assert kept() == []


def test_no_network_names_every_mirror_and_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAIT_SECONDS", 0.0)
    mirrored(monkeypatch, "http://127.0.0.1:9/a/maps.tar.gz", "http://127.0.0.1:9/b/maps.tar.gz")
    message = error_of("maps")
    assert "/a/maps.tar.gz did not answer; http://127.0.0.1:9/b/maps.tar.gz did not answer" in message
    assert "--from ARCHIVE" in message


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("facade",), 2, "unknown data set 'facade'; did you mean 'facades'?"),
        (("photos",), 2, "built in and needs no fetch"),
        (("maps", "--from", "missing.zip"), 2, "there is no such file"),
        (("maps", "--from", "."), 2, "a folder of pairs needs no fetch"),
        (("maps", "--from", "x", "--url", "http://127.0.0.1:9/x"), 2, "were both given"),
        (("maps", "--url", "file:///etc/passwd"), 2, "give an http:// or https:// address"),
        (("maps", "--url", "http:///x"), 2, "give an http:// or https:// address"),
        (("maps", "--url", "http://[x"), 2, "give an http:// or https:// address"),
        (("cityscapes",), 3, "data fetch cityscapes --from FOLDER"),
    ],
)
def test_mistakes_are_one_line_with_the_way_out(arguments: tuple[str, ...], code: int, message: str) -> None:
    assert message in error_of(*arguments, code=code)


def hostile(path: Path, kind: str) -> Path:
    link = tarfile.TarInfo("maps/train/link.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    outside = tarfile.TarInfo("../../outside.png")
    nothing = tarfile.TarInfo("maps/README")
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile({"link": link, "outside": outside, "no pairs": nothing}[kind], io.BytesIO())
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("link", "is a link or another special file"),
        ("outside", "leads out"),
        ("no pairs", "x.tgz/maps: no training pairs"),
    ],
)
def test_a_hostile_or_empty_archive_leaves_nothing(kind: str, message: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    given = hostile(tmp_path / "x.tgz", kind)
    assert message in error_of("maps", "--from", given)
    assert sorted(tmp_path.rglob("*")) == [*before, given]


def test_a_place_that_cannot_be_written_is_said(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("maps", "--from", archive, "--data-dir", tmp_path / "file" / "data", code=3)
    assert "cannot be written: Not a directory" in result.stderr
    assert "--data-dir" in result.stderr


def test_a_disk_that_is_too_full_is_said_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PAPER_SETS, "maps", replace(PAPER_SETS["maps"], megabytes=10**9))
    assert "GiB while it is fetched, but the disk has" in error_of("maps")


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    """The limit is a real one, on the size of a file, in a process of its own."""
    given = packed(write_pairs(tmp_path / "whole", COUNTS, size=80), tmp_path / "maps.tar.gz")
    code = (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
        "from p2pbench.cli.app import main\nmain()\n"
    )
    command = [sys.executable, "-c", code, "data", "fetch", "maps", "--from", str(given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    assert "of maps.tar.gz cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert kept() == []


def test_what_is_there_and_unusable_is_not_touched(archive: Path) -> None:
    (datasets_folder() / "maps" / "train").mkdir(parents=True)
    (datasets_folder() / "maps" / "train" / "notes.txt").write_text("mine")
    assert "is there but unusable; remove it and fetch again" in run("maps", "--from", archive, code=3).stderr
    assert (datasets_folder() / "maps" / "train" / "notes.txt").read_text() == "mine"


# ---- interrupted, and two at once


def start(url: str) -> subprocess.Popen[str]:
    """``data fetch maps`` in a process of its own, which has begun to download."""
    before = len(Server.requests)
    process = subprocess.Popen(
        [sys.executable, "-m", "p2pbench", "data", "fetch", "maps", "--url", url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while len(Server.requests) == before and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


def test_ctrl_c_leaves_nothing(server: str) -> None:
    process = start(f"{server}/slow/maps.tar.gz")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert kept() == []


def test_what_a_killed_fetch_leaves_is_never_a_set_and_goes_with_the_next(server: str) -> None:
    process = start(f"{server}/slow/maps.tar.gz")
    process.kill()
    process.communicate(timeout=30)
    (leftover,) = kept()
    assert leftover.startswith(".maps.")
    listed = json.loads(CliRunner().invoke(app, ["data", "list", "--json"]).stdout)["sources"]
    assert leftover not in {row["source"] for row in listed}
    assert document("maps", "--url", f"{server}/good/maps.tar.gz")["pairs"] == COUNTS
    assert kept() == ["maps", "maps.sha256"]
    (datasets_folder() / ".maps.killed.part" / "download").mkdir(parents=True)  # killed after the rename
    assert document("maps")["state"] == "already there"
    assert kept() == ["maps", "maps.sha256"]


def test_of_two_fetches_at_once_the_second_uses_what_the_first_brought(server: str) -> None:
    first = start(f"{server}/slow/maps.tar.gz")
    second = subprocess.Popen(
        [sys.executable, "-m", "p2pbench", "data", "fetch", "maps", "--json", "--url", f"{server}/good/maps.tar.gz"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    assert second.stderr is not None
    assert "another fetch of maps is running" in second.stderr.readline()
    Server.released.set()
    found, _ = second.communicate(timeout=30)
    told, errors = first.communicate(timeout=30)
    assert first.returncode == 0, errors
    assert "maps: fetched" in told
    assert json.loads(found)["state"] == "already there"
    assert Server.requests == ["/slow/maps.tar.gz"]


# ---- cityscapes

SCENES = {"train": ["aachen_000000_000019", "bochum_000000_000313"], "val": ["munster_000000_000019"]}
COLOURS = {"left": (128, 64, 128), "right": (0, 0, 142)}
"""Of Cityscapes' classes road and car."""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A download of Cityscapes as it is unzipped, smaller: labels RGBA, left half road and right half car."""
    labels = np.zeros((64, 128, 4), np.uint8)
    labels[:, :64], labels[:, 64:] = (*COLOURS["left"], 255), (*COLOURS["right"], 255)
    ramp = np.linspace(0, 255, 128).astype(np.uint8)[None, :, None] * np.ones((64, 1, 3), np.uint8)
    for split, scenes in {**SCENES, "test": ["berlin_000000_000019"]}.items():
        for scene in scenes:
            for folder, suffix, pixels in (("leftImg8bit", "leftImg8bit", ramp), ("gtFine", "gtFine_color", labels)):
                if (folder, split) != ("gtFine", "test"):
                    path = tmp_path / "own" / folder / split / scene.split("_")[0] / f"{scene}_{suffix}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path)
                    Image.new("L", (128, 64)).save(path.with_name(f"{scene}_gtFine_labelIds.png"))
    return tmp_path / "own"


def test_cityscapes_is_made_from_ones_own_download(own: Path) -> None:
    found = document("cityscapes", "--from", own)
    assert found["pairs"] == {"train": 2, "test": 1}
    assert found["sha256"] is None
    assert len(found["warnings"]) == 2
    assert kept() == ["cityscapes"]
    pairs = find_pairs(datasets_folder() / "cityscapes")
    assert [pair.name for pair in pairs["train"]] == SCENES["train"]
    photo, labels = read_pair(pairs["test"][0])
    assert photo.shape == labels.shape == (256, 256, 3)
    assert {tuple(colour) for colour in labels.reshape(-1, 3).tolist()} == set(COLOURS.values())
    assert (labels[:, 127] == COLOURS["left"]).all()
    assert (labels[:, 128] == COLOURS["right"]).all()
    assert (np.diff(photo[0, :, 0].astype(int)) >= 0).all()  # a smooth ramp stays one
    assert len(np.unique(photo[0, :, 0])) > 128
    assert "already there" in run("cityscapes").stdout


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("gtFine/train/aachen/aachen_000000_000019_gtFine_color.png", "aachen_000000_000019_leftImg8bit.png is photo"),
        ("leftImg8bit/val/munster/munster_000000_000019_leftImg8bit.png", "holds no CITY/*_leftImg8bit.png"),
    ],
)
def test_what_cityscapes_lacks_is_named(lost: str, message: str, own: Path) -> None:
    (own / lost).unlink()
    assert message in error_of("cityscapes", "--from", own)


def test_a_damaged_image_of_cityscapes_is_named(own: Path) -> None:
    path = next((own / "gtFine").rglob("bochum*_gtFine_color.png"))
    path.write_bytes(path.read_bytes()[:200])
    assert f"{path} cannot be read as an image" in error_of("cityscapes", "--from", own)


def test_a_zip_of_cityscapes_is_told_to_be_unzipped(own: Path, tmp_path: Path) -> None:
    given = packed(own / "gtFine", tmp_path / "gtFine_trainvaltest.zip", "gtFine")
    message = error_of("cityscapes", "--from", given)
    assert "no training pairs" in message
    assert "unzip both into one folder" in message


# ---- the real data


@pytest.mark.shared
def test_the_real_facades_are_fetched_whole(shared: Path, tmp_path: Path) -> None:
    given = packed(shared / "data" / "facades", tmp_path / "facades.tar", "facades")
    found = document("facades", "--from", given)
    assert found["pairs"] == {"train": 400, "val": 100, "test": 106}
    assert found["warnings"] == []
    for line in (shared / "data" / "facades.sha256").read_text().splitlines():
        digest, name = line.split()
        assert sha256(datasets_folder() / "facades" / name) == digest
