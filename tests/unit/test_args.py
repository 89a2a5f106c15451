"""What a registry is made from: its defaults, and that args and configuration mean the same."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, cast

import pulumi
import pytest
import yaml

from docker_registry_stack.accepted import camel_case
from docker_registry_stack.args import DockerRegistryArgs
from docker_registry_stack.inputs import known
from docker_registry_stack.keeping import HostPath
from docker_registry_stack.objects import RetentionPolicy, Storage
from docker_registry_stack.settings import SettingsError, settle
from pruner.settings.policies import parse_policies
from pruner.settings.table import Settings as PrunerSettings
from tests.unit import program
from tests.unit.program import read


def test_the_defaults_are_accepted_and_the_pruners_are_its_own() -> None:
    settings = read()
    assert settings.exposure.node_port == 32000
    assert settings.external_hosts == ()
    assert settings.namespace == "docker-registry"
    assert settings.storage == HostPath("/var/lib/docker-registry", None, None)
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
    assert (pruning.max_fraction, pruning.ops_per_second) == (pruner.max_fraction, pruner.ops_per_second)
    assert pruning.retention == "[]"
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
        assert known(settings.exposure.node_port) is None
        assert isinstance(settings.storage, HostPath)
        return [
            settings.exposure.node_port,
            settings.external_hosts,
            settings.namespace,
            settings.storage.path,
        ]

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
        SettingsError, match="storage: 'colour' is not a key here: the keys are kind, path, node"
    ):
        settle({"storage": {"colour": "red"}})


def test_a_policy_has_the_keys_that_the_pruner_knows_and_no_other() -> None:
    with pytest.raises(ValueError, match="the keys are ") as caught:
        parse_policies([{"none": 1}])
    fields = [camel_case(field.name) for field in dataclasses.fields(RetentionPolicy)]
    assert str(caught.value).partition("the keys are ")[2].split(", ") == fields
