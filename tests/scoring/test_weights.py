"""Pretrained nets: found, verified, fetched from a server on loopback; never believed without their hash."""

from __future__ import annotations

import gc
import hashlib
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from p2pbench.errors import WeightsError
from p2pbench.home import home
from p2pbench.scoring import weights

CONTENT = b"the weights of a network" * 100
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    requests: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        body = {"/good": CONTENT, "/wrong": b"something else", "/cut": CONTENT}[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:50] if self.path == "/cut" else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Server.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # requests forgets its socket when an answer is cut short
        gc.collect()


@pytest.fixture
def net(server: str, monkeypatch: pytest.MonkeyPatch) -> weights.Net:
    made = weights.Net("a test network", f"{server}/good", 1, {"net-1.pth": HASH[:8], "net_features.pth": HASH})
    monkeypatch.setitem(weights.NETS, "test", made)
    return made


def test_the_search_goes_from_the_named_folder_to_the_caches(
    net: weights.Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, env, torch_home = tmp_path / "named", tmp_path / "env", tmp_path / "torch"
    monkeypatch.setenv("P2PBENCH_WEIGHTS", str(env))
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    places = [home() / "weights", torch_home / "hub" / "checkpoints", env, named]
    assert weights.locate("test", named) is None
    for place in places:  # each comes before those already there
        place.mkdir(parents=True)
        (place / "net-1.pth").write_bytes(CONTENT)
        assert weights.locate("test", named) == place / "net-1.pth"
    assert weights.obtain("test", named) == named / "net-1.pth"
    assert Server.requests == []


def test_a_features_only_file_serves(net: weights.Net, tmp_path: Path) -> None:
    (tmp_path / "net_features.pth").write_bytes(CONTENT)
    assert weights.obtain("test", tmp_path, fetch=False) == tmp_path / "net_features.pth"


def test_a_file_with_another_hash_is_refused(net: weights.Net, tmp_path: Path) -> None:
    (tmp_path / "net-1.pth").write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsError, match="SHA-256 begins"):
        weights.obtain("test", tmp_path)


def test_a_wrong_file_does_not_hide_a_right_one(
    net: weights.Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, right = tmp_path / "wrong", tmp_path / "right"
    for folder, content in ((wrong, b"?"), (right, CONTENT)):
        folder.mkdir()
        (folder / "net-1.pth").write_bytes(content)
    monkeypatch.setenv("P2PBENCH_WEIGHTS", str(right))
    assert weights.usable("test", wrong)
    assert weights.obtain("test", wrong) == right / "net-1.pth"


def test_what_is_missing_is_fetched_once_and_verified(net: weights.Net) -> None:
    path = weights.obtain("test")
    assert path == home() / "weights" / "net-1.pth"
    assert path.read_bytes() == CONTENT
    assert weights.obtain("test") == path
    assert Server.requests == ["/good"]


@pytest.mark.parametrize(
    ("answer", "message"), [("wrong", "SHA-256 begins"), ("missing", "answered 404"), ("cut", "could not be fetched")]
)
def test_a_failed_fetch_is_one_clear_line_and_leaves_nothing(
    answer: str, message: str, net: weights.Net, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(weights.NETS, "test", replace(net, url=f"{server}/{answer}"))
    with pytest.raises(WeightsError, match=message) as caught:
        weights.obtain("test")
    assert "\n" not in str(caught.value)
    assert [path for path in (home() / "weights").iterdir() if path.suffix != ".lock"] == []


def test_no_network_says_how_to_place_the_file_by_hand(net: weights.Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(weights.NETS, "test", replace(net, url="http://127.0.0.1:9/closed"))
    with pytest.raises(WeightsError, match=r"did not answer.*put net-1\.pth .*--weights-dir"):
        weights.obtain("test")


def test_fetching_can_be_forbidden(net: weights.Net) -> None:
    with pytest.raises(WeightsError, match="not on this machine"):
        weights.obtain("test", fetch=False)
    assert Server.requests == []


@pytest.mark.shared
def test_the_shared_backbones_have_the_known_hashes(shared: Path) -> None:
    for name in ("alex", "squeeze"):
        path = weights.locate(name, shared / "weights")
        assert path is not None
        assert weights.verify(path, name) == weights.NETS[name].files[path.name]
        assert set(weights.load_backbone(path))
