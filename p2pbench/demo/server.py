"""The demo on a socket: waitress, with a queue that is shorter than its threads, so that it always answers."""

import errno
import ipaddress
import logging
import socket
from collections.abc import Sequence
from typing import Any

from waitress.server import create_server

from p2pbench.demo.app import LOOPBACK, create_app, name_models
from p2pbench.demo.queue import QUEUE
from p2pbench.demo.upload import MAX_BYTES
from p2pbench.errors import ConfigError
from p2pbench.inference.generator import Model, place_model

THREADS = QUEUE + 5
"""A thread for each place in the queue, and four for requests that are refused or quickly answered."""
MOST_READ = 128 * 2**20
"""The most bytes of a body that are read. A body over ``MAX_BYTES`` is refused by the application, in JSON, up to here;
beyond, waitress refuses it at once and closes the connection."""


class Server:
    """A socket that listens from the moment it is made; :meth:`run` answers the requests."""

    def __init__(self, models: Sequence[Model], host: str, port: int) -> None:
        """Raises :class:`ConfigError` for an address that cannot be listened on."""
        for model in models:
            place_model(model)
        listening = _listen(host, port)
        self.loopback = ipaddress.ip_address(listening.getsockname()[0]).is_loopback
        app = create_app(models, hosts=[*LOOPBACK, host] if self.loopback else None)
        self.names = list(name_models(models))
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full queue is what 503 is for
        self._server: Any = create_server(
            app, sockets=[listening], threads=THREADS, ident="", max_request_body_size=MOST_READ,
            inbuf_overflow=MAX_BYTES, channel_request_lookahead=1, clear_untrusted_proxy_headers=True,
        )  # fmt: skip
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
