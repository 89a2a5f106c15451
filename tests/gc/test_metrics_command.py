"""`prune metrics` beside real registries: their metrics for others, and none of their profiles."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import requests

from tests.gc.observed import until
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.realregistry import RealRegistry, Version, free_port


def test_a_registrys_metrics_are_passed_on_and_nothing_else_of_the_port(
    version: Version, tmp_path: Path
) -> None:
    port = free_port()
    registry = RealRegistry(version, tmp_path / "registry", debug_port=free_port())
    registry.write_config()
    relay = PrunerProcess(registry.config).start("metrics", f"--port={port}")

    def status(path: str) -> int:
        try:
            return requests.get(f"http://127.0.0.1:{port}{path}", timeout=10).status_code
        except requests.ConnectionError:
            assert relay.poll() is None, relay.communicate()
            return 0

    try:
        until(lambda: status("/healthz") == 200, "it serves")
        assert status("/metrics") == 503, "there is no registry yet"
        with registry, registry.client() as client:
            client.ping()
            answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
            assert answer.status_code == 200
            assert "registry_http_requests_total" in answer.text
            assert [status(path) for path in ("/", "/debug/pprof/", "/debug/vars")] == [404] * 3
    finally:
        relay.send_signal(signal.SIGTERM)
        relay.communicate(timeout=10)


def test_a_port_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    registry = RealRegistry("3.1.2", tmp_path / "registry", debug_port=free_port())
    registry.write_config()
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        relay = PrunerProcess(registry.config).start("metrics", f"--port={taken.getsockname()[1]}")
        _, errors = relay.communicate(timeout=60)
    assert relay.returncode == 9
    assert "cannot be had: give another as --port" in errors
