"""Asks the sandbox's API server, with the kubeconfig's own credentials and no proxy between."""

from __future__ import annotations

import base64
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TIMEOUT = 2.0  # seconds; the API server is one hop away


@dataclass(frozen=True, slots=True)
class Api:
    """One cluster's API: `server` is its URL, `context` holds the authority and the client's certificate."""

    server: str
    context: ssl.SSLContext

    def get(self, path: str) -> bytes | None:
        """The body of an answer with status 200, or None when there is no such answer yet."""
        try:
            with self._opener().open(self.server + path, timeout=TIMEOUT) as answer:
                return answer.read()
        except (OSError, urllib.error.HTTPError):
            return None

    def _opener(self) -> urllib.request.OpenerDirector:
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context)
        )


def api_of(kubeconfig: Path) -> Api:
    """Read a kubeconfig with one cluster and one user, as the sandbox writes it."""
    document: Any = yaml.safe_load(kubeconfig.read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    context = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
    with tempfile.TemporaryDirectory() as folder:
        # The ssl module takes a client's key from files alone.
        pem = Path(folder) / "client.pem"
        pem.touch(mode=0o600)
        pem.write_text(_decoded(user["client-key-data"]) + _decoded(user["client-certificate-data"]))
        context.load_cert_chain(pem)
    return Api(cluster["server"], context)


def is_ready(api: Api) -> bool:
    """Whether the API server says that it is ready."""
    return api.get("/readyz") == b"ok"


def wait_until(
    condition: Callable[[], bool], deadline: float, clock: Callable[[], float], pause: Callable[[float], None]
) -> bool:
    """Poll until the condition holds (True) or the clock has passed `deadline` seconds (False)."""
    while not condition():
        if clock() > deadline:
            return False
        pause(0.1)
    return True


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
