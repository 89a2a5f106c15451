"""What is pruned is forgotten in redis, of every kind, and a real registry takes the push again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from pruner.errors import RegistryError
from pruner.registry import caches, config
from pruner.registry.caches import forget_redis
from pruner.registry.redisconfig import RedisConfig
from tests.gc.conftest import StartRegistry
from tests.gc.images import digest_of, layer
from tests.gc.processdoubles import self_signed
from tests.gc.realregistry import RealRegistry, Redis, free_port, program
from tests.gc.waiting import until

SHA = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis") as server:
        yield server


def client(port: int, **options: Any) -> Any:
    return redis.Redis(host="127.0.0.1", port=port, decode_responses=True, **options)


def fill(cache: Any) -> None:
    """What a registry keeps of two blobs in two repositories."""
    for digest in (SHA, OTHER):
        cache.hset(f"blobs::{digest}", mapping={"digest": digest, "size": 1, "mediatype": "m"})
        for repository in ("a", "a/b"):
            cache.sadd(f"repository::{repository}::blobs", digest)
            cache.hset(f"repository::{repository}::blobs::{digest}", "mediatype", "m")


def left(cache: Any, digest: str) -> set[str]:
    """The repositories that the cache still counts the blob to, and `blob` for the blob itself."""
    keys = {"blob"} if cache.exists(f"blobs::{digest}") else set[str]()
    for repository in ("a", "a/b"):
        if cache.sismember(f"repository::{repository}::blobs", digest):
            keys.add(repository)
        assert cache.exists(f"repository::{repository}::blobs::{digest}") == (repository in keys)
    return keys


@pytest.mark.parametrize(
    ("removed", "remains"),
    [
        ([("a", SHA)], {"a/b"}),
        ([("a", SHA), ("a/b", SHA)], set[str]()),
        ([(None, SHA)], {"a", "a/b"}),
        ([("a", SHA), ("a", SHA), ("unknown", SHA)], {"a/b"}),
        ([], {"blob", "a", "a/b"}),
    ],
)
def test_what_is_removed_is_forgotten_and_nothing_else(
    server: Redis, removed: list[tuple[str | None, str]], remains: set[str]
) -> None:
    fill(client(server.port))
    forget_redis(RedisConfig((("127.0.0.1", server.port),)), iter(removed))
    assert left(client(server.port), SHA) == remains
    assert left(client(server.port), OTHER) == {"blob", "a", "a/b"}


def test_many_are_forgotten_in_batches(server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "_BATCH", 3)
    cache = client(server.port)
    for number in range(10):
        cache.hset(f"blobs::{number}", "size", 1)
    forget_redis(RedisConfig((("127.0.0.1", server.port),)), ((None, str(number)) for number in range(10)))
    assert cache.keys() == []


def test_another_database_is_left_alone(server: Redis) -> None:
    for database in (0, 2):
        fill(client(server.port, db=database))
    forget_redis(RedisConfig((("127.0.0.1", server.port),), db=2), [("a", SHA)])
    assert left(client(server.port, db=2), SHA) == {"a/b"}
    assert left(client(server.port), SHA) == {"blob", "a", "a/b"}


def test_a_server_that_is_away_is_an_error() -> None:
    port = free_port()
    with pytest.raises(RegistryError, match=rf"127\.0\.0\.1:{port}.* could not be made to forget.*refused"):
        forget_redis(RedisConfig((("127.0.0.1", port),)), [("a", SHA)])


def test_a_login_is_used_and_its_password_never_told(server: Redis) -> None:
    fill(client(server.port))
    client(server.port).acl_setuser(
        "registry", enabled=True, passwords=["+hush"], keys=["*"], commands=["+@all"]
    )
    client(server.port).config_set("requirepass", "quiet")
    where = (("127.0.0.1", server.port),)
    for wrong in (
        RedisConfig(where),
        RedisConfig(where, password="loud"),
        RedisConfig(where, "registry", "loud"),
    ):
        with pytest.raises(RegistryError) as refusal:
            forget_redis(wrong, [("a", SHA)])
        assert "loud" not in str(refusal.value)
    forget_redis(RedisConfig(where, password="quiet"), [("a", SHA)])
    forget_redis(RedisConfig(where, "registry", "hush"), [("a/b", SHA)])
    assert left(client(server.port, password="quiet"), SHA) == set()


@contextlib.contextmanager
def redis_server(folder: Path, port: int, *arguments: str) -> Generator[None]:
    """A redis-server with these arguments, from when it accepts connections."""
    command = [program("redis-server"), *arguments, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until(lambda: accepts(port))
        yield
    finally:
        process.kill()
        process.wait()


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_tls(tmp_path: Path) -> None:
    identity, port = self_signed(tmp_path, "127.0.0.1"), free_port()
    pem, ca = str(identity / "tls.pem"), str(identity / "ca.crt")
    files = ("--tls-cert-file", pem, "--tls-key-file", pem, "--tls-ca-cert-file", ca)
    where = (("127.0.0.1", port),)
    with redis_server(tmp_path, port, "--port", "0", "--tls-port", str(port), *files):
        cache = client(port, ssl=True, ssl_ca_certs=ca, ssl_certfile=pem, ssl_keyfile=pem)
        fill(cache)
        forget_redis(RedisConfig(where, certificate=pem, key=pem, root_cas=(ca,)), [("a", SHA)])
        assert left(cache, SHA) == {"a/b"}
        for wrong in (
            RedisConfig(where, certificate=pem, key=pem),
            RedisConfig(where, root_cas=(f"{ca}.missing",)),
        ):
            with pytest.raises(RegistryError):
                forget_redis(wrong, [("a/b", SHA)])


def test_a_cluster(tmp_path: Path) -> None:
    port = free_port()
    # The node's bus for its peers listens 10000 ports above, by default beyond the last one.
    arguments = ("--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with redis_server(tmp_path, port, *arguments):
        client(port).execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(lambda: "cluster_state:ok" in str(client(port).execute_command("CLUSTER", "INFO")))
        fill(client(port))
        forget_redis(RedisConfig((("127.0.0.1", port), ("127.0.0.1", port))), [("a", SHA)])
        assert left(client(port), SHA) == {"a/b"}


def test_sentinels(server: Redis, tmp_path: Path) -> None:
    port = free_port()
    settings = tmp_path / "sentinel.conf"
    settings.write_text(f"port {port}\nsentinel monitor cache 127.0.0.1 {server.port} 1\n")
    fill(client(server.port))
    with redis_server(tmp_path, port, str(settings), "--sentinel"):
        forget_redis(RedisConfig((("127.0.0.1", port),), master="cache"), [("a", SHA)])
    assert left(client(server.port), SHA) == {"a/b"}


def remove(registry: RealRegistry, repository: str, digest: str) -> None:
    """Take the blob and its link from the storage, as a pruner does."""
    root, (algorithm, hexadecimal) = registry.data / "docker/registry/v2", digest.split(":")
    shutil.rmtree(root / "repositories" / repository / "_layers" / algorithm / hexadecimal)
    shutil.rmtree(root / "blobs" / algorithm / hexadecimal[:2] / hexadecimal)


def takes_a_pruned_blob_again(registry: RealRegistry) -> None:
    content = layer("a blob that goes and comes back")
    digest = digest_of(content)
    settings = config.load(str(registry.config), {}).redis
    assert settings
    with registry.client() as registry_client:
        registry_client.push_blob("team/app", content)
        assert registry_client.get_blob("team/app", digest) == content
        remove(registry, "team/app", digest)
        assert registry_client.has_blob("team/app", digest), "without the trap this proves nothing"
        forget_redis(settings, [("team/app", digest), (None, digest)])
        assert not registry_client.has_blob("team/app", digest)
        registry_client.push_blob("team/app", content)
        assert registry_client.get_blob("team/app", digest) == content


def test_a_registry_takes_a_pruned_blob_again(start_registry: StartRegistry) -> None:
    takes_a_pruned_blob_again(start_registry("redis"))


def registry_with(folder: Path, redis_settings: Mapping[str, object]) -> RealRegistry:
    """One of version 3, which alone knows TLS and sentinels, not started yet."""
    registry = RealRegistry("3.1.2", folder / "registry", "redis", redis_port=1)
    registry.write_config()
    document = yaml.safe_load(registry.config.read_text())
    registry.config.write_text(yaml.safe_dump(document | {"redis": redis_settings}))
    return registry


def test_a_registry_and_its_pruner_speak_tls_with_the_authority_of_its_configuration(tmp_path: Path) -> None:
    """As a stack sets it up with redis.caCertificate, and a password."""
    identity, port = self_signed(tmp_path, "127.0.0.1"), free_port()
    pem, ca = str(identity / "tls.pem"), str(identity / "ca.crt")
    files = (
        "--tls-cert-file",
        pem,
        "--tls-key-file",
        pem,
        "--tls-ca-cert-file",
        ca,
        "--tls-auth-clients",
        "no",
    )
    secured = ("--port", "0", "--tls-port", str(port), "--requirepass", "quiet", *files)
    where = {"addrs": [f"127.0.0.1:{port}"], "password": "quiet", "tls": {"rootcas": [ca]}}
    with redis_server(tmp_path, port, *secured), registry_with(tmp_path, where) as registry:
        takes_a_pruned_blob_again(registry)
        assert client(port, ssl=True, ssl_ca_certs=ca, password="quiet").keys(), "it is used"


def test_a_registry_and_its_pruner_ask_sentinels_for_the_master(server: Redis, tmp_path: Path) -> None:
    port = free_port()
    settings = tmp_path / "sentinel.conf"
    settings.write_text(f"port {port}\nsentinel monitor cache 127.0.0.1 {server.port} 1\n")
    where = {"addrs": [f"127.0.0.1:{port}"], "mastername": "cache"}
    with (
        redis_server(tmp_path, port, str(settings), "--sentinel"),
        registry_with(tmp_path, where) as registry,
    ):
        takes_a_pruned_blob_again(registry)
        assert client(server.port).keys(), "it is used"


def test_the_keys_are_those_of_the_registry(start_registry: StartRegistry) -> None:
    registry = start_registry("redis")
    digest = digest_of(layer("keys"))
    with registry.client() as registry_client:
        registry_client.push_blob("team/app", layer("keys"))
        assert registry_client.has_blob("team/app", digest)
    assert registry.redis_port
    cache = client(registry.redis_port)
    assert sorted(cache.keys()) == [
        f"blobs::{digest}",
        "repository::team/app::blobs",
        f"repository::team/app::blobs::{digest}",
    ]
    settings = config.load(str(registry.config), {}).redis
    assert settings
    forget_redis(settings, [("team/app", digest)])
    assert cache.keys() == []
