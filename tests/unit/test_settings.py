"""The stack configuration: what is accepted, what a wrong value is told, what comes from elsewhere."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any, cast

import pulumi
import pytest
import yaml

from docker_registry_stack.accepted import camel_case
from docker_registry_stack.args import DockerRegistryArgs, RetentionPolicy, Storage
from docker_registry_stack.config import read_args
from docker_registry_stack.settings import HostPath, Settings, SettingsError, known, settle
from pruner.settings.policies import parse_policies
from pruner.settings.table import Settings as PrunerSettings
from tests.unit import program

PROJECT = program.PROJECT


def read(**config: object) -> Settings:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    return settle(read_args(PROJECT, texts))


def test_the_defaults_are_accepted_and_the_pruners_are_its_own() -> None:
    settings = read()
    assert settings.node_port == 32000
    assert settings.external_hosts == ()
    assert settings.namespace == "docker-registry"
    assert settings.storage == HostPath("/var/lib/docker-registry", None)
    assert settings.cache == "none"
    pruning, pruner = settings.pruning, PrunerSettings()
    assert (pruning.mode, pruning.dangling_tags) == (pruner.mode, pruner.dangling_tags)
    assert (pruning.period, pruning.initial_delay, pruning.grace) == (
        pruner.period,
        pruner.initial_delay,
        pruner.grace,
    )
    assert (pruning.untagged_after, pruning.uploads_after, pruning.trash) == (
        pruner.untagged_after,
        pruner.uploads_after,
        pruner.trash,
    )
    assert (pruning.max_fraction, pruning.retention) == (pruner.max_fraction, "[]")
    assert pruning.protect_running is True, "in a cluster there is something to protect"


def test_the_default_registry_is_the_version_that_the_tests_run() -> None:
    module = (program.ROOT / "sandbox/go/registry/go.mod").read_text()
    version = re.search(r"distribution/distribution/v3 v(\S+)", module)
    assert version
    assert read().registry_image == f"docker.io/library/registry:{version[1]}"


def test_the_project_declares_no_key_since_it_would_then_need_a_second_default() -> None:
    assert "config" not in yaml.safe_load((program.ROOT / "Pulumi.yaml").read_text())


def test_none_is_the_default() -> None:
    # Other languages give nothing but the fields that a program sets; some give null.
    args = DockerRegistryArgs(node_port=None, storage=None, gc_period=None, cache=None)
    assert settle(args) == settle({}) == settle(DockerRegistryArgs()) == read()
    assert settle({"storage": {"kind": None, "path": None}}) == read()


def test_args_and_configuration_mean_the_same() -> None:
    config = {
        "nodePort": "31000",
        "storage": {"kind": "hostPath", "path": "/srv", "node": "n1"},
        "gcPeriod": "604800",
        "gcMaxFraction": "0.25",
        "gcProtectRunning": "false",
        "retention": [{"repositories": ["ci/*"], "keepLast": 3, "untagged": "after 2h"}],
    }
    args = DockerRegistryArgs(
        node_port=31000,
        storage=Storage(path="/srv", node="n1"),
        gc_period="7d",
        gc_max_fraction=0.25,
        gc_protect_running=False,
        retention=[RetentionPolicy(repositories=["ci/*"], keep_last=3, untagged="after 2h")],
    )
    # As the engine hands args of other languages over: mappings, and every number a float.
    mapping = {
        "node_port": 31000.0,
        "storage": {"path": "/srv", "node": "n1"},
        "gc_period": "7d",
        "gc_max_fraction": 0.25,
        "gc_protect_running": False,
        "retention": [{"repositories": ["ci/*"], "keep_last": 3, "untagged": "after 2h"}],
    }
    assert settle(args) == settle(mapping) == read(**config)


def eventually(outputs: Callable[[], list[Any]]) -> list[Any]:
    """What the outputs of a program come to."""
    found: list[Any] = []

    @cast("Any", pulumi.runtime).test
    def program() -> object:
        return pulumi.Output.all(*outputs()).apply(found.extend)

    program()
    return found


def test_what_another_resource_gives_is_checked_when_it_is_known() -> None:
    def outputs() -> list[Any]:
        port: pulumi.Output[Any] = pulumi.Output.from_input(31000.0)
        settings = settle(
            DockerRegistryArgs(
                node_port=port,
                external_hosts=[pulumi.Output.from_input("2001:DB8::1"), "registry.example.com"],
                namespace=pulumi.Output.from_input("images"),
                storage=Storage(path=pulumi.Output.from_input("/srv/")),
            )
        )
        assert known(settings.node_port) is None
        return [settings.node_port, settings.external_hosts, settings.namespace, settings.storage.path]

    assert eventually(outputs) == [31000, ("2001:db8::1", "registry.example.com"), "images", "/srv"]


def test_a_wrong_value_of_another_resource_is_refused_when_it_is_known() -> None:
    none: list[pulumi.Input[str]] = []
    with pytest.raises(ValueError, match="came out empty"):
        eventually(
            lambda: [settle(DockerRegistryArgs(external_hosts=pulumi.Output.from_input(none))).external_hosts]
        )


def test_an_unknown_arg_is_named() -> None:
    with pytest.raises(SettingsError, match="'gc_periode' is not a key here"):
        settle({"gc_periode": "7d"})
    with pytest.raises(
        SettingsError, match="storage: 'size' is not a key here: the keys are kind, path, node"
    ):
        settle({"storage": {"size": "1Gi"}})


def test_a_policy_has_the_keys_that_the_pruner_knows_and_no_other() -> None:
    with pytest.raises(ValueError, match="the keys are ") as caught:
        parse_policies([{"none": 1}])
    fields = [camel_case(field.name) for field in dataclasses.fields(RetentionPolicy)]
    assert str(caught.value).partition("the keys are ")[2].split(", ") == fields


@pytest.mark.parametrize(
    ("key", "text", "seconds"),
    [
        ("gcPeriod", "604800", 604800),
        ("gcPeriod", "2w", 1209600),
        ("gcPeriod", "0.5", 0.5),
        ("gcInitialDelay", "0", 0),
        ("gcGrace", "0", 0),
        ("gcGrace", "1h30m", 5400),
        ("gcUntaggedAfter", "0s", 0),
        ("gcUploadsAfter", "0", 0),
        ("gcTrash", "0", 0),
        ("gcTrash", "15m", 900),
    ],
)
def test_durations_are_seconds_or_text(key: str, text: str, seconds: float) -> None:
    field = re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", key.removeprefix("gc")).lstrip("_")
    assert getattr(read(**{key: text}).pruning, field) == seconds


@pytest.mark.parametrize(
    "image",
    [
        "registry",
        "registry:2",
        "registry:3.0.0",
        "localhost/registry:dev",
        "localhost:5000/a/b_c/d__e/f-g.h:V1.0",
        "[::1]:5000/registry",
        "registry.example.com/team/app@sha256:" + "a" * 64,
        "registry.example.com:443/team/app:1@sha256:" + "0" * 64,
    ],
)
def test_image_references(image: str) -> None:
    assert read(registryImage=image).registry_image == image


def test_hosts_are_names_and_addresses() -> None:
    hosts = ["registry.example.com", "10.1.2.3", "2001:DB8::1", "localhost"]
    assert read(externalHosts=hosts).external_hosts == (
        "registry.example.com",
        "10.1.2.3",
        "2001:db8::1",
        "localhost",
    )


def test_storage_may_name_its_node_and_loses_a_trailing_slash() -> None:
    storage = {"kind": "hostPath", "path": "/srv/registry/", "node": "worker-1.example.com"}
    assert read(storage=storage).storage == HostPath("/srv/registry", "worker-1.example.com")


def test_retention_becomes_json_that_does_not_depend_on_the_order_of_keys() -> None:
    one = read(retention=[{"repositories": ["a/*"], "keepLast": 3}]).pruning.retention
    other = read(retention=[{"keepLast": 3, "repositories": ["a/*"]}]).pruning.retention
    assert one == other
    assert json.loads(one) == [{"repositories": ["a/*"], "keepLast": 3}]


@pytest.mark.parametrize(
    ("key", "text", "accepted"),
    [
        ("nodePort", "29999", "an integer from 30000 to 32767"),
        ("nodePort", "32768", "an integer from 30000 to 32767"),
        ("nodePort", "-32000", "an integer from 30000 to 32767"),
        ("nodePort", "32000.5", "an integer from 30000 to 32767"),
        ("nodePort", "https", "an integer from 30000 to 32767"),
        ("nodePort", "", "an integer from 30000 to 32767"),
        ("gcPeriod", "0", "a duration above 0"),
        ("gcPeriod", "0s", "a duration above 0"),
        ("gcPeriod", "weekly", "such as 90s, 15m, 24h, 7d"),
        ("gcPeriod", "-1", "not below 0"),
        ("gcPeriod", "7 d", "such as 90s, 15m, 24h, 7d"),
        ("gcPeriod", "inf", "such as 90s"),
        ("gcInitialDelay", "2y", "such as 90s, 15m, 24h, 7d"),
        ("gcGrace", "nan", "such as 90s"),
        ("gcUntaggedAfter", "", "such as 90s"),
        ("gcUploadsAfter", "1h30", "such as 90s"),
        ("gcTrash", "true", "such as 90s"),
        ("gcMaxFraction", "0", "above 0 and up to 1"),
        ("gcMaxFraction", "1.01", "above 0 and up to 1"),
        ("gcMaxFraction", "nan", "above 0 and up to 1"),
        ("gcMaxFraction", "half", "above 0 and up to 1"),
        ("gcMode", "offline", "online or readonly"),
        ("gcDanglingTags", "delete", "keep or remove"),
        ("gcProtectRunning", "yes", "neither true nor false"),
        ("cache", "redis", "none or inmemory"),
        ("namespace", "Registry", "lower-case letters, digits and dashes"),
        ("namespace", "a.b", "lower-case letters, digits and dashes"),
        ("namespace", "", "lower-case letters, digits and dashes"),
        ("namespace", "a" * 64, "at most 63"),
        ("namespace", "default", "may create and delete"),
        ("namespace", "kube-system", "may create and delete"),
        ("registryImage", "", "one such as registry.example.com/team/name:tag"),
        ("registryImage", "Registry:2", "one such as registry.example.com/team/name:tag"),
        ("registryImage", "registry:", "one such as registry.example.com/team/name:tag"),
        ("registryImage", "registry@sha256:abc", "one such as registry.example.com/team/name:tag"),
        ("gcImage", "https://example.com/python", "one such as registry.example.com/team/name:tag"),
        ("gcImage", "python 3", "one such as registry.example.com/team/name:tag"),
        ("gcImage", "a//b", "one such as registry.example.com/team/name:tag"),
        ("storage", '{"kind": "s3"}', "give hostPath"),
        ("storage", '{"kind": "hostPath", "path": "/"}', "an absolute path other than /"),
        ("storage", '{"kind": "hostPath", "path": "//"}', "an absolute path other than /"),
        ("storage", '{"kind": "hostPath", "path": "srv"}', "an absolute path other than /"),
        ("storage", '{"kind": "hostPath", "path": "/srv/../etc"}', "without . and .."),
        ("storage", '{"kind": "hostPath", "path": "/srv/./a"}', "without . and .."),
        ("storage", '{"kind": "hostPath", "path": "/srv//a"}', "an absolute path other than /"),
        ("storage", '{"kind": "hostPath", "path": 7}', "an absolute path other than /"),
        ("storage", '{"kind": "hostPath", "path": "/srv", "size": "1Gi"}', "the keys are kind, path, node"),
        ("storage", '{"kind": "hostPath", "path": "/srv", "node": "A b"}', "lower-case letters"),
        ("storage", "/srv", "not JSON"),
        ("storage", '"/srv"', "give one with some of kind, path, node"),
        ("externalHosts", '["https://registry.example.com"]', "without scheme and port"),
        ("externalHosts", '["registry.example.com:32000"]', "without scheme and port"),
        ("externalHosts", '["10.0.0.1:32000"]', "without scheme and port"),
        ("externalHosts", '["10.0.0.300"]', "without scheme and port"),
        ("externalHosts", '["0.0.0.0"]', "without scheme and port"),
        ("externalHosts", '["224.0.0.1"]', "without scheme and port"),
        ("externalHosts", '["*.example.com"]', "without scheme and port"),
        ("externalHosts", '["a..b"]', "without scheme and port"),
        ("externalHosts", '[""]', "without scheme and port"),
        ("externalHosts", "[1]", "without scheme and port"),
        ("externalHosts", '["a.example", "a.example"]', "name each host once"),
        ("externalHosts", '["2001:db8::1", "2001:DB8:0::1"]', "name each host once"),
        ("externalHosts", '["localhost"]', "add a name or address of the nodes"),
        ("externalHosts", '["localhost", "127.0.0.1", "::1"]', "add a name or address of the nodes"),
        ("externalHosts", '"registry.example.com"', "a list of DNS names or IP addresses"),
        ("externalHosts", "registry.example.com", "not JSON"),
        ("retention", '{"keepLast": 1}', "a list of policies"),
        ("retention", '[{"keep": 1}]', "retention[0]"),
        ("retention", '[{"keepLast": 1}, {"keepWithin": "soon"}]', "retention[1]"),
        ("retention", "[", "not JSON"),
    ],
)
def test_a_wrong_value_names_the_key_the_value_and_what_is_accepted(
    key: str, text: str, accepted: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_args(PROJECT, {key: text})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{PROJECT}:{key}: ")
    assert accepted in problem
    assert "\n" not in problem


def test_every_problem_is_told_at_once() -> None:
    wrong = {"nodePort": "80", "gcGrace": "x", "cache": "redis", "gcPeriode": "7d"}
    with pytest.raises(SettingsError) as caught:
        read_args(PROJECT, wrong)
    assert len(caught.value.problems) == 4
    assert str(caught.value).splitlines() == caught.value.problems


def test_an_unknown_key_is_named_with_the_keys_there_are() -> None:
    with pytest.raises(
        SettingsError, match="docker-registry:gcPeriode is not a key of this project"
    ) as caught:
        read_args(PROJECT, {"gcPeriode": "7d"})
    assert "gcPeriod," in str(caught.value)
