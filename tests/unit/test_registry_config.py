"""What is added to the registry's configuration: merged last, and refused where it contradicts the stack."""

from __future__ import annotations

import json
from typing import cast

import pulumi
import pytest

from docker_registry_stack.config import read_args
from docker_registry_stack.overlay import merged
from docker_registry_stack.settings import SettingsError, settle
from tests.unit import program
from tests.unit.conftest import Deploy
from tests.unit.parts import DEPLOYMENT, ROLE, SECRET, mounts, registry_config, volumes
from tests.unit.program import read

UPSTREAM = {"proxy": {"remoteurl": "https://registry-1.docker.io", "password": "s3cret of upstream"}}


def refusal(**keys: object) -> str:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in keys.items()}
    with pytest.raises(SettingsError) as caught:
        settle(read_args(program.PROJECT, texts))
    return str(caught.value)


def test_it_is_merged_object_by_object_over_the_stacks(deploy: Deploy) -> None:
    given = {
        "log": {"formatter": "json", "level": "debug"},
        "http": {"headers": {"X-Team": ["images"]}, "tls": {"minimumtls": "tls1.3"}, "relativeurls": True},
        "storage": {"redirect": {"disable": True}, "maintenance": {"readonly": {"enabled": True}}},
        "notifications": {"endpoints": [{"name": "hook", "url": "https://hook.example.com"}]},
        "health": None,
    }
    before, after = registry_config(deploy()), registry_config(deploy(registryConfig=given))
    assert after["log"] == {**before["log"], "formatter": "json", "level": "debug"}
    assert after["http"]["headers"] == {"X-Content-Type-Options": ["nosniff"], "X-Team": ["images"]}
    assert after["http"]["tls"] == {**before["http"]["tls"], "minimumtls": "tls1.3"}
    assert after["http"]["relativeurls"] is True
    assert after["http"]["debug"] == before["http"]["debug"]
    assert after["storage"]["filesystem"] == before["storage"]["filesystem"]
    assert after["storage"]["maintenance"] == {
        "uploadpurging": {"enabled": False},
        "readonly": {"enabled": True},
    }
    assert after["notifications"] == given["notifications"]
    assert "health" not in after


def test_what_is_merged_leaves_what_it_was_merged_into() -> None:
    base = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert merged(base, {"a": {"b": None, "c": [2]}, "e": {}}) == {"a": {"c": [2]}, "d": 2, "e": {}}
    assert base == {"a": {"b": 1, "c": [1]}, "d": 2}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"version": 0.2}, "version is the format's"),
        ({"prxoy": {}}, "'prxoy' is not a key of the registry's configuration: give version, log"),
        ({"auth": {}}, "auth is who is let in: set auth"),
        ({"redis": {"addr": "a"}}, "redis is where the cache is: set redis"),
        ({"storage": {"s3": {}}}, "storage.s3 is where the images are: set storage"),
        ({"storage": {"filesystem": {"rootdirectory": "/"}}}, "storage.filesystem is where the images are"),
        ({"storage": {"cache": {"blobdescriptor": "redis"}}}, "storage.cache.blobdescriptor is the cache"),
        ({"storage": {"cache": "redis"}}, "storage.cache is not an object"),
        ({"storage": None}, "storage is not an object: give one, or leave it out"),
        ({"storage": {"maintenance": {"uploadpurging": {}}}}, "is the pruner's: set gcUploadsAfter"),
        ({"http": {"addr": ":80"}}, "http.addr is where the Service, the probes and the pruner reach it"),
        ({"http": {"prefix": "/a/"}}, "http.prefix is where"),
        (
            {"http": {"debug": {"addr": ":5001"}}},
            "http.debug serves the metrics to the pruner, and profiles to",
        ),
        ({"http": {"tls": {"key": "/a"}}}, "http.tls.key is how the registry serves HTTPS"),
        ({"http": {"tls": {"clientcas": []}}}, "http.tls.clientcas would shut out the probes and the pruner"),
        ({"http": {"tls": None}}, "http.tls is not an object"),
        ([], "it is not an object: give one with keys of the registry's configuration"),
    ],
)
def test_what_contradicts_the_stack_is_refused_by_its_key(given: object, told: str) -> None:
    problem = refusal(registryConfig=given)
    assert problem.startswith("docker-registry:registryConfig: ")
    assert told in problem
    assert "\n" not in problem


def test_it_is_a_secret_wherever_it_goes(deploy: Deploy) -> None:
    graph = deploy(registryConfig=UPSTREAM)
    secret = UPSTREAM["proxy"]["password"]
    assert secret in graph.one(SECRET, "registry-config").inputs["stringData"]["config.yml"]
    for resource in graph.resources:
        for path in paths_with(secret, resource.inputs):
            assert any(path.startswith(held) for held in resource.secret_paths), f"{resource.type} {path}"


def paths_with(text: str, value: object, path: str = "") -> list[str]:
    """Where `text` stands in the value."""
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        return [found for key, entry in entries.items() for found in paths_with(text, entry, f"{path}/{key}")]
    if isinstance(value, list):
        return [found for entry in cast("list[object]", value) for found in paths_with(text, entry, path)]
    return [path] if text in str(value) else []


def test_no_sentence_has_a_value_of_it() -> None:
    assert "s3cret" not in refusal(registryConfig='{"proxy": {"password": "s3cret"')
    assert "s3cret" not in refusal(registryConfig={**UPSTREAM, "redis": {"password": "s3cret"}})
    assert "s3cret" not in refusal(registryConfig='"s3cret"')


def test_a_password_may_come_from_another_resource() -> None:
    password = pulumi.Output.secret("from elsewhere")
    settings = settle(
        {"registry_config": {"proxy": {"remoteurl": "https://a.example", "password": password}}}
    )
    assert settings.pull_through
    assert settings.registry_config["proxy"]["password"] is password
    assert not read().pull_through


def test_a_pull_through_cache_has_no_pruner_and_a_claim(deploy: Deploy) -> None:
    graph = deploy(registryConfig=UPSTREAM)
    pod = graph.pod()
    assert [each["name"] for each in pod["containers"]] == ["registry"]
    assert [each["name"] for each in pod["initContainers"]] == ["claim"]
    assert "shareProcessNamespace" not in pod
    assert set(volumes(graph)) == {
        "data",
        "config",
        "tls",
        "auth",
        "prune",
        "cluster-access",
        "scratch",
    }
    used = {volume for name in ("registry", "claim") for volume, _ in mounts(graph, name).values()}
    assert used == set(volumes(graph))
    metadata = graph.one(DEPLOYMENT).inputs["spec"]["template"]["metadata"]
    assert "annotations" not in metadata, "there are no metrics"
    assert [rule["resources"] for rule in graph.one(ROLE).inputs["rules"]] == [["namespaces"]]
    policy = graph.one("kubernetes:networking.k8s.io/v1:NetworkPolicy").inputs["spec"]
    assert [rule["ports"][0]["port"] for rule in policy["ingress"]] == [5000]


def test_a_pull_through_cache_is_said_to_be_one(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", told.append)
    deploy(registryConfig={"proxy": {"remoteurl": "https://b.example"}})
    assert [line for line in told if "pull-through cache" in line and "the pruner is off" in line]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gcMode", "readonly"),
        ("retention", [{"keepLast": 3}]),
        ("alerts", "configMap"),
        ("dashboard", True),
        ("repositoryMetrics", True),
        ("metrics", "podMonitor"),
        ("replicas", 2),
    ],
)
def test_what_is_of_the_pruner_is_refused_for_a_pull_through_cache(key: str, value: object) -> None:
    shared = {"kind": "persistentVolumeClaim", "size": "5Gi", "accessModes": ["ReadWriteMany"]}
    problem = refusal(registryConfig=UPSTREAM, storage=shared, **{key: value})
    assert problem.startswith(f"docker-registry:{key}: ")
    assert "pull-through cache" in problem
