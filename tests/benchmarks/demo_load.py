"""The demo under load: 32 clients at once, the health check beside them, the server's memory, a single answer's time.

    python tests/benchmarks/demo_load.py [--seconds 60] [--side 256] [--ngf 64] [--clients 32]

A U-Net without training, since that takes the same time, behind the real server in a process of its own. Prints one
JSON document; fails where an answer is neither a picture nor 503.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import multiprocessing
import os
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def model_of(side: int, ngf: int) -> Any:
    from p2pbench.config.resolve import Layer, resolve
    from p2pbench.inference.generator import Model
    from p2pbench.models.build import build_generator

    settings = {"data.crop_size": side, "data.load_size": side, "generator.ngf": ngf, "data.source": "drawn"}
    config = resolve([Layer("load", settings)]).config
    return Model("unet", config, build_generator(config), None)


def serve(side: int, ngf: int, address: Any) -> None:
    from p2pbench.demo.server import Server

    server = Server([model_of(side, ngf)], "127.0.0.1", 0)
    address.put(server.url.removeprefix("http://"))
    server.run()


def form(content: bytes) -> tuple[bytes, dict[str, str]]:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="p.png"\r\n\r\n'
    return head + content + b"\r\n--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}


def bare(side: int, ngf: int, content: bytes, repeats: int) -> list[float]:
    """Seconds of decoding, one forward pass as the demo runs it, and encoding: nothing else."""
    import torch

    from p2pbench.data.transforms import to_integers, to_network
    from p2pbench.demo.upload import encode
    from p2pbench.inference.modes import inference, noise
    from p2pbench.system.hardware import available_cores
    from p2pbench.training.engine import prepare_engine

    model, times = model_of(side, ngf), []
    prepare_engine(model.config.training, available_cores())
    with inference(model.generator, "paper") as (network, random):
        for _ in range(repeats + 2):
            start = time.perf_counter()
            image = np.array(Image.open(io.BytesIO(content)))
            random[:] = [noise(0, 0)]
            output = to_integers(network(to_network(torch.from_numpy(image).permute(2, 0, 1)[None])))
            encode(output[0].permute(1, 2, 0).numpy())
            times.append(time.perf_counter() - start)
    return times[2:]


def answers(address: str, body: bytes, headers: dict[str, str], repeats: int) -> list[float]:
    """Seconds of single answers, one after another."""
    times = []
    connection = http.client.HTTPConnection(address, timeout=120)
    for _ in range(repeats + 2):
        start = time.perf_counter()
        connection.request("POST", "/api/translate", body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        times.append(time.perf_counter() - start)
    return times[2:]


def client(address: str, body: bytes, headers: dict[str, str], until: float, seen: list[Any]) -> None:
    """Asks again and again, and waits as it is told where it is sent away."""
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection(address, timeout=120)
            connection.request("POST", "/api/translate", body, headers)
            response = connection.getresponse()
            response.read()
            seen.append(response.status)
            if response.status == 503:
                time.sleep(min(float(response.headers["Retry-After"]), 1.0))
            connection.close()
        except OSError as error:
            seen.append(type(error).__name__)


def healths(address: str, until: float) -> list[float]:
    times = []
    while time.monotonic() < until:
        start = time.perf_counter()
        connection = http.client.HTTPConnection(address, timeout=30)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
        times.append(time.perf_counter() - start)
        time.sleep(0.1)
    return times


def resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("seconds", 60), ("side", 256), ("ngf", 64), ("clients", 32), ("repeats", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    server = context.Process(target=serve, args=(asked.side, asked.ngf, queue), daemon=True)
    server.start()
    address = queue.get(timeout=120)
    picture = np.random.default_rng(0).integers(0, 256, (asked.side // 8, asked.side // 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture.repeat(8, 0).repeat(8, 1)).save(stream, "PNG")
    body, headers = form(stream.getvalue())
    alone, through = [], []
    for _ in range(3):  # in turns: the machine may be shared
        alone += bare(asked.side, asked.ngf, stream.getvalue(), asked.repeats)
        through += answers(address, body, headers, asked.repeats)
    assert server.pid is not None
    seen: list[Any] = []
    memory = [resident(server.pid)]
    until = time.monotonic() + asked.seconds
    clients = [
        threading.Thread(target=client, args=(address, body, headers, until, seen)) for _ in range(asked.clients)
    ]
    for thread in clients:
        thread.start()
    half = threading.Timer(asked.seconds / 2, lambda: memory.append(resident(server.pid or 0)))
    half.start()
    health = healths(address, until)
    for thread in clients:
        thread.join()
    memory.append(resident(server.pid))
    server.terminate()
    count = {str(status): seen.count(status) for status in sorted(set(seen), key=str)}
    print(json.dumps({
        "load_average": os.getloadavg(), "cores": len(os.sched_getaffinity(0)),
        "bare_median_ms": 1000 * statistics.median(alone), "answer_median_ms": 1000 * statistics.median(through),
        "ratio": statistics.median(through) / statistics.median(alone), "answers": count,
        "healthz_ms": {"n": len(health), "median": 1000 * statistics.median(health),
                       "p99": 1000 * float(np.quantile(health, 0.99)), "max": 1000 * max(health)},
        "resident_mib": {"before": memory[0], "half way": memory[1], "after": memory[-1]},
    }, indent=2))  # fmt: skip
    if not set(count) <= {"200", "503"}:
        raise SystemExit(f"answers that are neither a picture nor 503: {count}")


if __name__ == "__main__":
    main()
