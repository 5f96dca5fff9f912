"""The demo on a socket: waitress, with a queue that is shorter than its threads, so that it always answers."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
from collections.abc import Sequence
from typing import Any

from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import create_server

from p2pbench.demo.app import LOOPBACK, create_app, name_models
from p2pbench.demo.queue import QUEUE
from p2pbench.demo.upload import MAX_BYTES
from p2pbench.errors import ConfigError
from p2pbench.inference.generator import Model, place_model

THREADS = QUEUE + 5
"""One a place in the queue, and four for whoever is sent away or asks for something quick."""
KEPT = MAX_BYTES + 1
"""Bytes of a request's body that are kept: enough to see that it is too large."""


class _Body(OverflowableBuffer):  # type: ignore[misc]
    """What was sent, in memory, up to ``KEPT`` bytes; the rest is let go."""

    def append(self, s: bytes) -> None:
        super().append(s[: KEPT - len(self)])


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Reads a body that is too large to its end, so that whoever sent it is still there to read the answer."""

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.body_rcv is not None:
            self.body_rcv.buf = _Body(2 * KEPT)


class _Channel(HTTPChannel):  # type: ignore[misc]
    parser_class = _Parser


class Server:
    """Listens from the moment it is made; :meth:`run` answers."""

    def __init__(self, models: Sequence[Model], host: str, port: int) -> None:
        """Raises :class:`ConfigError` for an address that cannot be listened on."""
        self.loopback = _is_loopback(host)
        for model in models:
            place_model(model)
        app = create_app(models, hosts=LOOPBACK if self.loopback else None)
        self.names = [one.name for one in name_models(models)]
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full queue is what 503 is for
        listening = _listen(host, port)
        # The limit on bodies is the application's, whose answer is JSON.
        self._server: Any = create_server(
            app, sockets=[listening], threads=THREADS, ident="", max_request_body_size=2**62,
            channel_request_lookahead=1, clear_untrusted_proxy_headers=True,
        )  # fmt: skip
        self._server.channel_class = _Channel
        name = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
        self.url = f"http://{name}:{listening.getsockname()[1]}"

    def run(self) -> None:
        """Answer until Ctrl+C."""
        self._server.run()


def _listen(host: str, port: int) -> socket.socket:
    """A socket at the address. Raises :class:`ConfigError` where there can be none."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"--port {port} is in use by another program; choose another, or 0 for any") from None
        raise ConfigError(f"--host {host} --port {port} cannot be listened on: {error.strerror or error}") from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
