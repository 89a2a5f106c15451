"""Real registries, found, asked and restarted."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from pruner.clock import SystemClock
from pruner.registry import config
from pruner.registry.config import RegistryConfig
from pruner.registry.registries import Registries
from tests.gc.conftest import StartRegistry
from tests.gc.images import digest_of
from tests.gc.processdoubles import self_signed
from tests.gc.realregistry import RealRegistry, Version, binary, free_port


def read(registry: RealRegistry) -> RegistryConfig:
    return config.load(str(registry.config), {})


def nearby() -> Registries:
    """The registries here have a thread that starts them again."""
    return Registries(SystemClock(), restart="allowed")


def pids(registry: RealRegistry) -> list[int]:
    return [each.process.pid for each in nearby().survey(read(registry)).ours]


def test_the_registry_is_found_among_others(registry: RealRegistry) -> None:
    assert pids(registry) == [registry.pid]


def test_a_supervised_registry_is_restarted_in_place(start_registry: StartRegistry) -> None:
    registry = start_registry(supervised=True)
    before = pids(registry)
    nearby().restart(read(registry))
    assert before != pids(registry) == [registry.pid]
    assert registry.starts == 2


def test_an_upload_in_flight_ends_well_over_a_restart(start_registry: StartRegistry) -> None:
    registry = start_registry(supervised=True)
    with registry.client() as client:
        upload = client.append(client.start_upload("a/b"), b"first half, ")
        nearby().restart(read(registry))
    with registry.client() as client:
        whole = b"first half, second half"
        digest = digest_of(whole)
        client.finish_upload(upload, digest, b"second half")
        assert client.get_blob("a/b", digest) == whole


def test_whether_it_takes_writes_is_asked_without_a_trace(registry: RealRegistry) -> None:
    before = sorted(registry.data.rglob("*"))
    assert nearby().takes_writes(read(registry)) is True
    assert sorted(registry.data.rglob("*")) == before


@pytest.mark.parametrize(
    ("settings", "writable"),
    [
        ("http: {addr: ':@port', prefix: /hub/}", True),
        ("http: {net: unix, addr: @folder/socket}", True),
        ("http: {addr: 'localhost:@port', tls: {certificate: @pem, key: @pem}}", True),
        ("http: {addr: ':@port', tls: {certificate: @pem, key: @pem, clientcas: [@ca]}}", True),
        ("http: {addr: ':@port'}\nauth: {silly: {realm: r, service: s}}", True),
    ],
)
def test_a_registry_is_asked_however_it_listens(
    version: Version, tmp_path: Path, settings: str, writable: bool
) -> None:
    self_signed(tmp_path)
    for name, value in {
        "@port": free_port(),
        "@folder": tmp_path,
        "@pem": tmp_path / "tls.pem",
        "@ca": tmp_path / "ca.crt",
    }.items():
        settings = settings.replace(name, str(value))
    file = tmp_path / "config.yml"
    file.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/data}}}}\n{settings}\n"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    time.sleep(0.05)  # when a process began is known to a hundredth of a second
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [binary(version), "serve", str(file)],
            env=environ | {"OTEL_TRACES_EXPORTER": "none"},
            stdout=log,
            stderr=log,
        )
    try:
        running = Registries(SystemClock(), ca=str(tmp_path / "ca.crt"))
        parsed = config.load(str(file), {})
        assert running.wait(parsed).process.pid == process.pid
        assert running.takes_writes(parsed) is writable
        assert running.present(parsed)
    finally:
        process.kill()
        process.wait()
