"""A Kubernetes API server as far as the pruner asks it: real HTTPS on loopback."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from tests.gc.processdoubles import server_tls

_UNAUTHORIZED = (401, json.dumps({"kind": "Status", "message": "Unauthorized"}).encode())


class FakeApi:
    """An API server: lists `objects` in pages of two, and reads and changes each object of `single`.

    The `failures` of a path, status and body, are answered first.
    """

    def __init__(self, identity: Path) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.single: dict[str, dict[str, Any]] = {}
        self.failures: dict[str, list[tuple[int, bytes]]] = {}
        self.requests: list[str] = []
        self.token = "first"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                self._send(*outer.answer(self.path, self.headers["Authorization"]))

            def do_PATCH(self) -> None:
                self._change("application/merge-patch+json")

            def do_POST(self) -> None:
                self._change("application/json")

            def _change(self, content_type: str) -> None:
                outer.requests.append(f"{self.command} {self.path}")
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                right = self.headers["Content-Type"] == content_type
                answer = outer.change(self.command, self.path, self.headers["Authorization"], body)
                self._send(*(answer if right else (415, b"{}")))

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "https://elsewhere.example/")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002, the parameter's name is inherited
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = server_tls(identity).wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def environ(self) -> dict[str, str]:
        host, port = self.server.server_address[:2]
        return {"KUBERNETES_SERVICE_HOST": str(host), "KUBERNETES_SERVICE_PORT": str(port)}

    def answer(self, target: str, authorization: str | None) -> tuple[int, bytes]:
        path, query = urlsplit(target).path.strip("/"), parse_qs(urlsplit(target).query)
        if self.failures.get(path):
            return self.failures[path].pop(0)
        if authorization != f"Bearer {self.token}":
            return _UNAUTHORIZED
        if path in self.single:
            return 200, json.dumps(self.single[path]).encode()
        if "limit" not in query:
            return 404, b"{}"
        objects, start = self.objects.get(path, []), int(query.get("continue", ["0"])[0])
        end = start + 2 if query["limit"] != ["0"] else len(objects)
        metadata = {"continue": str(end)} if end < len(objects) else {}
        return 200, json.dumps({"metadata": metadata, "items": objects[start:end]}).encode()

    def change(
        self, method: str, target: str, authorization: str | None, body: dict[str, Any]
    ) -> tuple[int, bytes]:
        path = target.strip("/")
        if self.failures.get(path):
            return self.failures[path].pop(0)
        if authorization != f"Bearer {self.token}":
            return _UNAUTHORIZED
        if method == "PATCH" and path not in self.single:
            return 404, b"{}"
        self.single[path] = _merged(self.single.get(path, {}), body)
        return 200, json.dumps(self.single[path]).encode()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(cast("dict[str, Any]", target)) if isinstance(target, dict) else {}
    for key, value in cast("dict[str, Any]", patch).items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged
