"""Real registries, found, asked and restarted."""

from __future__ import annotations

from pruner import config
from pruner.clock import SystemClock
from pruner.config import RegistryConfig
from pruner.process import RunningRegistry, find
from tests.gc.conftest import StartRegistry
from tests.gc.images import digest_of
from tests.gc.realregistry import RealRegistry


def read(registry: RealRegistry) -> RegistryConfig:
    return config.load(str(registry.config), {})


def test_the_registry_is_found_among_others(registry: RealRegistry) -> None:
    found = find(config=str(registry.config))
    assert found and found.pid == registry.pid


def test_a_supervised_registry_is_restarted_in_place(start_registry: StartRegistry) -> None:
    registry = start_registry(supervised=True)
    before = find(config=str(registry.config))
    after = RunningRegistry(SystemClock()).restart(read(registry))
    assert before and before != after
    assert (after.pid, registry.starts) == (registry.pid, 2)


def test_an_upload_in_flight_ends_well_over_a_restart(start_registry: StartRegistry) -> None:
    registry = start_registry(supervised=True)
    with registry.client() as client:
        upload = client.append(client.start_upload("a/b"), b"first half, ")
        RunningRegistry(SystemClock()).restart(read(registry))
    with registry.client() as client:
        whole = b"first half, second half"
        digest = digest_of(whole)
        client.finish_upload(upload, digest, b"second half")
        assert client.get_blob("a/b", digest) == whole


def test_whether_it_takes_writes_is_asked_without_a_trace(registry: RealRegistry) -> None:
    before = sorted(registry.data.rglob("*"))
    assert RunningRegistry(SystemClock()).takes_writes(read(registry)) is True
    assert sorted(registry.data.rglob("*")) == before
