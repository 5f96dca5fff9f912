"""Pretrained nets: found, verified, fetched from a server on loopback; never believed without their hash."""

from __future__ import annotations

import gc
import hashlib
import json
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from program import invoke

from p2pbench.errors import WeightsError
from p2pbench.scoring import weights
from p2pbench.scoring.evaluate import evaluate
from p2pbench.scoring.lpips import backbone_tensors
from p2pbench.system.cache_dir import home

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


@pytest.mark.parametrize("fault", ["permissions", "directory", "truncated", "dangling link"])
def test_a_file_that_cannot_be_read_is_a_score_that_is_not_measured(
    fault: str, alexnet_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    if fault == "directory":
        path.mkdir()
    elif fault == "dangling link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.write_bytes(alexnet_file.read_bytes()[: -1 if fault == "truncated" else None])
    if fault == "permissions":  # as an ordinary user meets them; root may read everything
        read = Path.open

        def refusing(self: Path, *arguments: Any, **options: Any) -> Any:
            if self == path:
                raise PermissionError(13, "Permission denied", str(self))
            return read(self, *arguments, **options)

        monkeypatch.setattr(Path, "open", refusing)
    assert not weights.usable("alex", tmp_path)  # what a study asks before it begins
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    found = evaluate(images, images[::-1], list("abcd"), ["l1", "lpips"], weights_dir=tmp_path)
    assert found.scores["l1"].state == "measured"
    assert found.scores["lpips"].state == "not measured"
    assert str(path) in str(found.scores["lpips"].reason)
    assert rows("list", "--weights-dir", tmp_path)["alex"]["state"] == "wrong"
    assert rows("verify", "--weights-dir", tmp_path, code=3)["alex"]["state"] == "wrong"


def test_a_cache_that_cannot_be_written_is_a_score_that_is_not_measured(net: weights.Net) -> None:
    home().mkdir(exist_ok=True)
    (home() / "weights").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=r"not on this machine and .*weights cannot be written.*--weights-dir"):
        weights.obtain("test")


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
        assert set(backbone_tensors(path))


# ---- p2pbench weights


def weights_command(*arguments: str | Path, code: int = 0) -> Any:
    return invoke("weights", *arguments, code=code)


def rows(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    found = json.loads(weights_command(*arguments, "--json", code=code).stdout)["weights"]
    return {row["name"]: row for row in found}


def test_list_says_what_is_here_and_how_to_place_what_is_not(net: weights.Net, tmp_path: Path) -> None:
    assert rows("list")["test"]["state"] == "missing"
    assert rows("list")["inception"]["scores"] == [
        "kid-paired", "fid", "kid", "precision", "recall", "density", "coverage", "mind",
    ]  # fmt: skip
    assert rows("list")["alex"]["scores"] == ["lpips", "kid-paired-alexnet", "mind-alexnet", "fd-alexnet"]
    assert rows("list")["squeeze"]["trainings"] == ["objective.perceptual=squeeze", "discriminator.name=projected"]
    text = weights_command("list").stdout
    assert "  for trainings with objective.perceptual=vgg\n" in text
    assert "wanted: net-1.pth, SHA-256 begins" in text
    assert net.url in text
    assert str(home() / "weights") in text
    (tmp_path / "net_features.pth").write_bytes(CONTENT)
    found = rows("list", "--weights-dir", tmp_path)["test"]
    assert (found["state"], found["path"], found["sha256"]) == ("ready", str(tmp_path / "net_features.pth"), HASH)
    assert "test  ready" in weights_command("list", "--weights-dir", tmp_path).stdout


def test_list_names_a_file_that_cannot_be_read(net: weights.Net, tmp_path: Path) -> None:
    (tmp_path / "net_features.pth").symlink_to(tmp_path / "nothing")
    text = weights_command("list", "--weights-dir", tmp_path).stdout
    assert "test  wrong" in text
    assert f"  {tmp_path / 'net_features.pth'}\n  it cannot be read\n" in text
    found = rows("list", "--weights-dir", tmp_path)["test"]
    assert (found["state"], found["sha256"]) == ("wrong", None)
    assert "cannot be read" in found["reason"]


def test_lines_of_words_fit_eighty_columns() -> None:
    lines = weights_command("list").stdout.splitlines()
    assert [line for line in lines if len(line) > 80 and "/" not in line] == []


def test_fetch_brings_what_is_missing_and_leaves_what_is_there(net: weights.Net) -> None:
    result = weights_command("fetch", "test", "--json")
    path = str(home() / "weights" / "net-1.pth")
    assert json.loads(result.stdout)["weights"] == [{"name": "test", "state": "fetched", "path": path, "reason": None}]
    assert "test: a test network, 1 MB" in result.stderr
    assert weights_command("fetch", "test", "test").stdout == f"test: there, {path}\n"
    assert Server.requests == ["/good"]


def test_fetch_takes_scores_and_all_for_networks(
    net: weights.Net, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, known in list(weights.NETS.items()):
        wrong = replace(known, url=f"{server}/{'good' if name == 'test' else 'missing'}")
        monkeypatch.setitem(weights.NETS, name, wrong)
    assert list(rows("fetch", "fid", "kid", "lpips", code=3)) == ["inception", "alex"]
    everything = weights_command("fetch", "all", code=3)  # what can be had is, whatever fails
    assert everything.stdout == f"test: fetched, {home() / 'weights' / 'net-1.pth'}\n"
    assert "failed: vgg: the weights of VGG-16" in everything.stderr
    assert "answered 404" in everything.stderr


@pytest.mark.parametrize(("name", "message"), [("squeze", "did you mean 'squeeze'"), ("ssim", "needs no pretrained")])
def test_a_name_that_is_no_network_is_a_mistake_of_use(name: str, message: str) -> None:
    assert message in weights_command("fetch", "alex", name, code=2).stderr


def test_verify_finds_a_wrong_file_even_where_a_right_one_hides_it(
    net: weights.Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no file of weights was found" in weights_command("verify").stdout
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for folder, content in ((right, CONTENT), (wrong, CONTENT[:-1])):
        folder.mkdir()
        (folder / "net-1.pth").write_bytes(content)
    assert rows("verify", "--weights-dir", right)["test"]["state"] == "ready"
    monkeypatch.setenv("P2PBENCH_WEIGHTS", str(wrong))
    result = weights_command("verify", "--weights-dir", right, code=3)
    assert result.stdout.splitlines() == [f"ready  test  {right / 'net-1.pth'}", f"wrong  test  {wrong / 'net-1.pth'}"]
    assert "expected" in result.stderr
    assert json.loads(weights_command("verify", "--json", code=3).stdout)["weights"][0]["state"] == "wrong"
