"""What a stack adds to the registry's configuration, on real registries of both versions."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pruner.registry import config as registry_config
from tests.gc.images import digest_of, image, layer
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.realregistry import RealRegistry, Version
from tests.gc.registryclient import RefusalError
from tests.gc.stackregistry import registry_of_a_stack
from tests.gc.waiting import until

IMAGE = image([layer("configured", 1 << 12)], "configured")


@contextmanager
def hook() -> Generator[tuple[str, list[dict[str, Any]]]]:
    """An endpoint for notifications: its URL, and the events that came."""
    events: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            events.extend(json.loads(body)["events"])
            self.send_response(200)
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", events
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_headers_log_and_notifications_are_in_force_beside_the_stacks_own(
    version: Version, tmp_path: Path
) -> None:
    with hook() as (url, events):
        endpoint = {"name": "hook", "url": url, "timeout": "1s", "threshold": 3, "backoff": "1s"}
        added = {
            "http": {"headers": {"X-Team": ["images"]}},
            "log": {"formatter": "json"},
            "notifications": {"endpoints": [endpoint]},
        }
        with (
            registry_of_a_stack(version, tmp_path / "registry", registryConfig=added) as registry,
            registry.client() as client,
        ):
            client.push("app", IMAGE, "1")
            answer = client.request("GET", "/v2/", 200)
            assert answer.headers["X-Team"] == "images"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            until(lambda: any(e["target"].get("tag") == "1" for e in events), 20, what=lambda: str(events))
        lines = [json.loads(line) for line in registry.log.read_text().splitlines() if line.startswith("{")]
        assert any(line.get("service") == "registry" for line in lines)


def test_a_pull_through_cache_serves_another_registry_and_takes_no_pushes(
    version: Version, tmp_path: Path
) -> None:
    with RealRegistry(version, tmp_path / "upstream") as upstream, upstream.client() as client:
        client.push("team/app", IMAGE, "1")
        added = {"proxy": {"remoteurl": f"http://{upstream.address}"}}
        cache = registry_of_a_stack(version, tmp_path / "cache", registryConfig=added)
        prune = PrunerProcess(cache.config)
        assert registry_config.load(str(cache.config), {}).proxy == f"http://{upstream.address}"
        # As in the pod: the tree is claimed before the registry starts on it.
        prune.report("claim", "--owner", "images/registry")
        with cache, cache.client() as cached:
            cached.check("team/app", "1", IMAGE)
            value = digest_of(IMAGE.blobs[0]).partition(":")[2]
            kept = cache.data / "docker/registry/v2/blobs/sha256" / value[:2] / value / "data"
            until(kept.exists, 20, what=lambda: f"{kept} is kept")
            with pytest.raises(RefusalError):
                cached.push("team/app", image([layer("pushed", 1 << 10)], "pushed"), "2")
        prune.report("claim", "--owner", "images/registry")
        prune.report("plan", expected=(6,))
