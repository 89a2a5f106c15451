"""Hazard 36: push, delete, prune, push again, pull; a registry's cache must not vouch for what is gone."""

from __future__ import annotations

import pytest
import redis

from tests.gc.conftest import StartRegistry
from tests.gc.images import Image, digest_of, image, index, layer
from tests.gc.prunerprocess import PrunerProcess
from tests.gc.realregistry import CACHES, Cache, RealRegistry
from tests.gc.registryclient import RefusalError, RegistryClient, UnansweredError

KEPT = image([layer("shared"), layer("kept")], "kept")
GONE = index(
    [image([layer("shared"), layer("gone")], "gone"), image([layer("gone too")], "gone too", oci=True)]
)
LAYER = digest_of(layer("gone"))
every_cache = pytest.mark.parametrize("cache", CACHES)


def delete_after_warming(client: RegistryClient) -> None:
    """Push twice, so that the cache has seen every digest in both repositories, then delete one image."""
    for repository in ("app", "other/app"):
        client.push(repository, KEPT, "kept")
        client.push(repository, GONE, "gone", mount_from="app" if repository != "app" else None)
        client.check(repository, "gone", GONE)
        client.push(repository, GONE, "gone")
    for repository in ("app", "other/app"):
        for manifest in GONE.family():
            client.delete_manifest(repository, manifest.digest)


def pushes_again(client: RegistryClient, pushed: Image) -> None:
    for repository in ("app", "other/app"):
        client.push(repository, pushed, "again")
        client.check(repository, "again", pushed)
        client.check(repository, "kept", KEPT)


@pytest.mark.parametrize("on_s3", [False, True])
@every_cache
def test_hazard_36_what_was_pruned_is_uploaded_again(
    start_registry: StartRegistry, cache: Cache, on_s3: bool
) -> None:
    registry = start_registry(cache, supervised=True, on_s3=on_s3)
    with registry.client() as client:
        delete_after_warming(client)
    PrunerProcess(registry.config).prune_at_once()
    registry.wait_ready()
    with registry.client() as client:
        assert not client.has_blob("app", LAYER)
        assert not client.has_blob("other/app", LAYER)
        pushes_again(client, GONE)
    restarts = (2 if on_s3 else 1) if cache == "inmemory" else 0
    assert registry.starts == 1 + restarts, "only an in-memory cache is worth a restart"


@every_cache
def test_a_run_that_removes_nothing_restarts_nothing(start_registry: StartRegistry, cache: Cache) -> None:
    registry = start_registry(cache, supervised=True)
    with registry.client() as client:
        client.push("app", KEPT, "kept")
        PrunerProcess(registry.config).prune_at_once()
        client.check("app", "kept", KEPT)
    assert registry.starts == 1


def test_redis_forgets_what_was_pruned_and_nothing_else(start_registry: StartRegistry) -> None:
    registry = start_registry("redis")
    assert registry.redis_port
    with (
        registry.client() as client,
        redis.Redis(port=registry.redis_port, decode_responses=True) as database,
    ):
        delete_after_warming(client)
        kept = digest_of(layer("kept"))
        assert database.exists(f"blobs::{LAYER}"), (
            "the registry writes other keys than the ones looked at here"
        )
        PrunerProcess(registry.config).prune_at_once()
        assert not database.exists(f"blobs::{LAYER}")
        for repository in ("app", "other/app"):
            assert not database.exists(f"repository::{repository}::blobs::{LAYER}")
            assert not database.sismember(f"repository::{repository}::blobs", LAYER)
        assert database.exists(f"blobs::{kept}")
        assert database.sismember("repository::app::blobs", kept)


@pytest.mark.parametrize("cache", ["inmemory", "redis"])
def test_the_hazard_is_real_the_registrys_own_collector_falls_into_it(
    start_registry: StartRegistry, cache: Cache
) -> None:
    registry: RealRegistry = start_registry(cache, supervised=True)
    with registry.client() as client:
        delete_after_warming(client)
        code, output = registry.collect()
        assert code == 0, output
        assert client.has_blob("app", LAYER), "the cache vouches for a blob that is gone"
        with pytest.raises((RefusalError, UnansweredError)):
            pushes_again(client, GONE)
