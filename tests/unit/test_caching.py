"""The cache redis: a server of somebody's or one of the stack's, as both versions of the registry take it."""

from __future__ import annotations

import json

import pytest

from docker_registry_stack.config import read_args
from docker_registry_stack.settings import SettingsError
from pruner.registry import config as registry_config_of_pruner
from tests.unit import program
from tests.unit.conftest import Deploy
from tests.unit.parts import CONFIG_MAP, DEPLOYMENT, SECRET, assert_hidden, mounts, registry_config, volumes
from tests.unit.program import Graph, read

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
PASSWORD = "correct horse: #battery"
THEIRS = {
    "addresses": ["redis.example.com:6380"],
    "username": "registry",
    "password": PASSWORD,
    "database": 3,
    "caCertificate": CA,
}
SENTINELS = {
    "addresses": ["s1.example.com:26379", "[2001:db8::2]:26379"],
    "sentinelMaster": "main",
    "sentinelPassword": "of the sentinels",
    "password": PASSWORD,
}


def understood(graph: Graph) -> registry_config_of_pruner.RegistryConfig:
    """What the pruner makes of the configuration."""
    text = json.dumps(registry_config(graph)).encode()
    return registry_config_of_pruner.parse(text, "config.yml", {})


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"redis": {"addresses": ["a:1"]}}, "redis: it is only for the cache redis: set cache to redis"),
        (
            {"cache": "redis", "redis": {"password": PASSWORD}},
            "password is of a server of your own: give its addr",
        ),
        (
            {"cache": "redis", "redis": {"addresses": ["a:1"], "image": "redis:7"}},
            "image is of the server that the stack runs",
        ),
        ({"cache": "redis", "redis": {"addresses": []}}, "addresses is not a list: give host:port"),
        ({"cache": "redis", "redis": {"addresses": 5}}, "addresses is not a list: give host:port"),
        ({"cache": "redis", "redis": {"addresses": ["a"]}}, "addresses has 'a': give host:port"),
        ({"cache": "redis", "redis": {"addresses": ["redis://a:1"]}}, "addresses has 'redis://a:1'"),
        ({"cache": "redis", "redis": {"addresses": ["a:70000"]}}, "addresses has 'a:70000'"),
        ({"cache": "redis", "redis": {**THEIRS, "database": "x"}}, "database is 'x': give its number"),
        (
            {"cache": "redis", "redis": {**THEIRS, "caCertificate": "/ca"}},
            "caCertificate is not a certificate",
        ),
        (
            {"cache": "redis", "redis": {"addresses": ["a:1"], "sentinelPassword": "x"}},
            "sentinelMaster is missing",
        ),
        ({"cache": "redis", "redis": {"addresses": ["a:1"], "host": "x"}}, "'host' is not a key here"),
        ({"cache": "memcached"}, "cache: 'memcached' is not known: give none or inmemory or redis"),
        (
            {"cache": "redis", "redis": THEIRS, "registryImage": "registry:2.8.3"},
            "redis: version 2 of the registry does not know username: leave it out, or use version 3",
        ),
        (
            {"cache": "redis", "redis": {"addresses": ["a:1", "b:1"]}, "registryImage": "registry:2.8"},
            "version 2 of the registry does not know several addresses",
        ),
    ],
)
def test_what_is_wrong_is_told(config: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read(**config)
    assert told in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        '{"addresses": ["a:1"], "password": "very secret",}',
        '{"addresses": ["a:1"], "password": {"very secret": 1}}',
        '{"addresses": ["a:1"], "password": "very secret\\n"}',
        '{"addresses": ["a:1"], "sentinelMaster": "m", "sentinelPassword": ["very secret"]}',
    ],
)
def test_no_sentence_quotes_a_password(text: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read_args(program.PROJECT, {"cache": "redis", "redis": text})
    assert "very secret" not in str(refusal.value)


def test_a_server_of_somebodys_is_configured_for_both_versions_and_the_pruner_finds_it(
    deploy: Deploy,
) -> None:
    graph = deploy(cache="redis", redis=THEIRS)
    config = registry_config(graph)
    assert config["storage"]["cache"] == {"blobdescriptor": "redis"}
    assert config["redis"] == {
        "addrs": ["redis.example.com:6380"],
        "addr": "redis.example.com:6380",
        "username": "registry",
        "password": PASSWORD,
        "db": 3,
        "dialtimeout": "2s",
        "readtimeout": "2s",
        "writetimeout": "2s",
        "pool": {"maxidle": 16, "maxactive": 64, "idletimeout": "300s"},
        "tls": {"rootcas": ["/etc/redis-ca/ca.crt"]},
    }
    found = understood(graph).redis
    assert found is not None
    assert found.addresses == (("redis.example.com", 6380),)
    assert (found.username, found.password, found.db) == ("registry", PASSWORD, 3)
    assert found.root_cas == ("/etc/redis-ca/ca.crt",)


def test_the_authority_of_redis_is_where_registry_and_pruner_look_for_it(deploy: Deploy) -> None:
    graph = deploy(cache="redis", redis=THEIRS)
    for container in ("registry", "gc", "claim"):
        assert mounts(graph, container)["/etc/redis-ca"] == ("redis-ca", True)
    assert volumes(graph)["redis-ca"]["configMap"]["name"] == "registry-redis-ca-0a1b2c3d"
    assert graph.one(CONFIG_MAP, "registry-redis-ca").inputs["data"] == {"ca.crt": CA}


def test_sentinels_are_configured_as_version_3_takes_them(deploy: Deploy) -> None:
    graph = deploy(cache="redis", redis=SENTINELS)
    assert "addr" not in registry_config(graph)["redis"]
    found = understood(graph).redis
    assert found is not None
    assert found.addresses == (("s1.example.com", 26379), ("2001:db8::2", 26379))
    assert (found.master, found.sentinel_password) == ("main", "of the sentinels")
    assert "redis-ca" not in volumes(graph)


def test_without_addresses_the_stack_runs_a_small_server_with_a_password(deploy: Deploy) -> None:
    graph = deploy(cache="redis", redis={"image": "registry.example.com/redis:7"})
    secret = graph.one(SECRET, "registry-redis-config")
    lines = secret.inputs["stringData"]["redis.conf"].splitlines()
    (password,) = [line.removeprefix("requirepass ") for line in lines if line.startswith("requirepass")]
    assert len(password) == 64
    assert {'save ""', "appendonly no", "maxmemory-policy allkeys-lru"} <= set(lines)
    assert "/stringData" in secret.secret_paths or "/stringData/redis.conf" in secret.secret_paths
    found = understood(graph).redis
    assert found is not None
    assert found.addresses == (("10.96.0.10", 6379),)
    assert found.password == password
    deployment = graph.one(DEPLOYMENT, "registry-redis-deployment").inputs
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.com/redis:7"
    assert container["command"] == ["redis-server", "/etc/redis/redis.conf"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    service = graph.one("kubernetes:core/v1:Service", "registry-redis-service").inputs["spec"]
    assert service["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert service["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_another_tree_has_another_server_since_what_is_remembered_of_one_is_wrong_of_the_other(
    deploy: Deploy,
) -> None:
    one, other = (deploy(cache="redis", storage={"path": path}) for path in ("/srv/one", "/srv/other"))
    for type_, name in (
        (DEPLOYMENT, "registry-redis-deployment"),
        ("kubernetes:core/v1:Service", "registry-redis-service"),
    ):
        first, second = one.one(type_, name), other.one(type_, name)
        assert first.inputs["metadata"]["name"] != second.inputs["metadata"]["name"]
        assert first.inputs["spec"]["selector"] != second.inputs["spec"]["selector"]
        assert not first.delete_before_replace, (
            "pods of the old tree run until those of the new one are there"
        )


def test_the_password_stands_in_plain_text_nowhere(deploy: Deploy) -> None:
    for graph in (
        deploy(cache="redis", redis=THEIRS),
        deploy(cache="redis", redis=SENTINELS),
        deploy(cache="redis"),
    ):
        config = registry_config(graph)["redis"]
        password = config.get("sentinelpassword") or config["password"]
        assert_hidden(graph, password)


def test_no_redis_without_the_cache(deploy: Deploy) -> None:
    graph = deploy()
    assert "redis" not in registry_config(graph)
    assert [each.name for each in graph.all(DEPLOYMENT)] == ["registry"]
