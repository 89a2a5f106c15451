"""A proxy in front of an HTTP server that counts what is asked, and does to it what networks do."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Fault = Literal["", "503", "reset", "cut", "lost", "denied"]
"""Busy; the connection is cut before the request is passed on; in the middle of the answer; instead of the
answer of a request that was passed on; the right is missing."""

_BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class FaultProxy:
    """Passes requests on to `target` (http://host:port); `fault` decides by method, path and number."""

    def __init__(self, target: str) -> None:
        host = urlsplit(target)
        self.target = (str(host.hostname), int(host.port or 80))
        self.delay = 0.0
        self.fault: Callable[[str, str, int], Fault] = lambda _method, _path, _number: ""
        self.requests: list[tuple[str, str]] = []
        self._counting = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def setup(self) -> None:
                super().setup()
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.upstream: http.client.HTTPConnection | None = None

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                proxy.serve(self)

            def finish(self) -> None:
                with suppress(OSError):
                    super().finish()
                if self.upstream is not None:
                    self.upstream.close()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def serve(self, handler: Any) -> None:
        with self._counting:
            self.requests.append((handler.command, handler.path))
            number = len(self.requests)
        if self.delay:
            time.sleep(self.delay)
        if handler.headers.get("Expect", "").lower() == "100-continue":
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            handler.wfile.flush()
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        fault = self.fault(handler.command, handler.path, number)
        if fault == "reset":
            self._cut(handler)
        elif fault in ("503", "denied"):
            self._answer(handler, 503 if fault == "503" else 403, _BUSY if fault == "503" else _DENIED)
        else:
            self._pass_on(handler, body, fault)

    def _pass_on(self, handler: Any, body: bytes, fault: Fault) -> None:
        if handler.upstream is None:
            handler.upstream = http.client.HTTPConnection(*self.target, timeout=60)
        upstream = handler.upstream
        upstream.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            if name.lower() not in ("connection", "expect"):
                upstream.putheader(name, value)
        upstream.endheaders(body or None)
        answer = upstream.getresponse()
        content = answer.read()
        if fault == "lost":
            self._cut(handler)
            return
        handler.send_response_only(answer.status, answer.reason)
        length = len(content)
        for name, value in answer.getheaders():
            if name.lower() == "content-length":
                length = int(value)
            elif name.lower() not in ("transfer-encoding", "connection"):
                handler.send_header(name, value)
        if answer.status != 204:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        if fault == "cut" and content:
            handler.wfile.write(content[: len(content) // 2])
            handler.wfile.flush()
            self._cut(handler)
            return
        handler.wfile.write(content)
        handler.wfile.flush()

    def _answer(self, handler: Any, status: int, content: bytes) -> None:
        handler.send_response_only(status)
        handler.send_header("Content-Type", "application/xml")
        handler.send_header("Content-Length", "0" if handler.command == "HEAD" else str(len(content)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(content)
        handler.wfile.flush()

    @staticmethod
    def _cut(handler: Any) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        handler.connection.close()

    @contextmanager
    def running(self) -> Generator[FaultProxy]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
