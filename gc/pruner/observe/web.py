"""The two small servers of `serve`: metrics and liveness for the cluster, the page for who forwards a port.

They run in threads of their own, answer from memory, and never take part in a run. A port that cannot be had
is logged once, and pruning goes on.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

_log = logging.getLogger("pruner")

_AT_ONCE = 16
"""Requests that are answered at the same time; whoever comes beyond that is turned away."""

_PATIENCE = 10.0  # seconds for a client to say what it wants


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    content: bytes
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Route = Callable[[], Answer]

TEXT = "text/plain; charset=utf-8"


class Server(ThreadingMixIn, TCPServer):
    """Serves `routes` (path -> answer) in a thread; `hosts` are the names it goes by, None for any.

    A request under a foreign name is refused: else a web site could have its own name point here, and read in
    a person's browser what only that person may see.
    """

    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def __init__(
        self, address: str, port: int, routes: Mapping[str, Route], hosts: frozenset[str] | None
    ) -> None:
        """`address` may be `::` for every address of both families. Raises OSError."""
        if ":" in address:
            self.address_family = socket.AF_INET6
        self.routes = routes
        self.hosts = hosts
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__((address, port), _Handler)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def server_bind(self) -> None:
        """Take IPv4 as well where the address is every one of IPv6."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def start(self) -> None:
        """Answer from now on."""
        threading.Thread(target=self.serve_forever, name="server", daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or not at all when there are too many."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Give the place back at the end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is nothing to speak of."""
        del request, client_address


def listen(port: int, routes: Mapping[str, Route], what: str, *, own_machine_only: bool) -> Server | None:
    """A started server, or None when the port is 0 or cannot be had, which is logged."""
    if not port:
        return None
    names = frozenset({"localhost", "127.0.0.1", "[::1]"}) if own_machine_only else None
    addresses = ("127.0.0.1",) if own_machine_only else ("::", "0.0.0.0")
    trouble = ""
    for address in addresses:
        try:
            server = Server(address, port, routes, names)
        except OSError as error:
            trouble = error.strerror or str(error)
            continue
        server.start()
        return server
    _log.error("%s cannot be served on port %s (%s): pruning goes on without", what, port, trouble)
    return None


class _Handler(BaseHTTPRequestHandler):
    server_version = "prune"
    sys_version = ""
    timeout = _PATIENCE

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the library's)
        """Keep requests out of the log, where they would drown what the runs say."""

    def _answer(self, *, with_content: bool) -> None:
        answer = self._found()
        self.send_response(answer.status)
        headers = {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.content)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **answer.headers,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_content:
            self.wfile.write(answer.content)

    def _found(self) -> Answer:
        server = self.server
        assert isinstance(server, Server)
        if server.hosts is not None and _host(self.headers.get("Host", "")) not in server.hosts:
            return Answer(b"this page is asked for as localhost or 127.0.0.1 only\n", TEXT, 421)
        route = server.routes.get(self.path.partition("?")[0])
        if route is None:
            return Answer(b"there is no such page\n", TEXT, 404)
        try:
            return route()
        except Exception as error:  # noqa: BLE001 (whatever it is, the next request may go well)
            _log.error("%s could not be answered: %r", self.path.partition("?")[0], error)
            return Answer(b"it could not be answered: the pruner's log says why\n", TEXT, 500)


def _host(header: str) -> str:
    """The name in a Host header without the port; empty when it is not one."""
    found = re.fullmatch(r"(\[[0-9a-f:]+\]|[^:\[\]]+)(:[0-9]+)?", header.strip().lower())
    return found[1] if found else ""
