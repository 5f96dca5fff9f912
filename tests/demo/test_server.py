"""The demo as a process: started by its command, asked over a socket."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from program import error_of
from trained_run import train_run

from p2pbench.demo.upload import MAX_BYTES


@contextmanager
def serving(run: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address (host:port) of a demo of ``run``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "p2pbench", "demo", "--model", str(run), "--port", "0", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"].removeprefix("http://"), process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def ask(address: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """The status and the body of an answer."""
    with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()


def test_it_serves_and_survives_what_is_too_large(tmp_path: Path) -> None:
    run = train_run(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with serving(run) as (address, process):
        assert ask(address, "GET", "/healthz")[0] == 200
        assert b"p2pbench demo" in ask(address, "GET", "/")[1]
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        for body in (bytes(100 * 2**20), iter([bytes(2**20)] * (MAX_BYTES // 2**20 + 2))):  # told before, and chunked
            status, answer = ask(address, "POST", "/api/translate", body, form)
            assert status == 413
            assert "larger than 10 MiB" in json.loads(answer)["error"]
        assert ask(address, "GET", "/healthz")[0] == 200
        port = address.rpartition(":")[2]
        message = error_of("demo", "--model", run, "--port", port, code=2)
        assert f"--port {port} is in use" in message
        assert process.poll() is None
    assert sorted(tmp_path.rglob("*")) == before


def test_models_that_are_not_there_or_broken_are_named(tmp_path: Path) -> None:
    assert "neither a run folder nor the id" in error_of("demo", "--model", "nothing", code=2)
    run = train_run(tmp_path)
    weights, settings = run / "generator.safetensors", run / "config.yaml"
    whole = weights.read_bytes()
    weights.write_bytes(b"broken")
    assert "is not what training left" in error_of("demo", "--model", run, code=3)
    weights.write_bytes(whole)
    settings.write_text(settings.read_text().replace("ngf: ", "ngf: 1"))
    assert "does not fit the run's configuration" in error_of("demo", "--model", run, code=3)
    (run / "generator.safetensors").unlink()
    assert "its training has not finished" in error_of("demo", "--model", run, code=3)


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_refused(tmp_path: Path, host: str) -> None:
    message = error_of("demo", "--model", train_run(tmp_path), "--host", host, code=2)
    assert f"--host {host}" in message
