"""What the program asks of the cluster before it declares anything, over HTTP by real kubeconfigs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s
import pytest

from docker_registry_stack.connection import ClusterError, OutOfReachError
from docker_registry_stack.definition import NAME, SCHEMA, SCHEMA_ANNOTATION
from tests.unit import program
from tests.unit.fakecluster import FakeCluster, definition, node, service
from tests.unit.parts import ADDRESS
from tests.unit.program import Graph

DEFINITION_TYPE = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinitionPatch"


def run(provider: Mapping[str, str] | None = None, **config: object) -> Graph:
    return program.run(config, provider or {})


def test_addresses_for_the_outside_come_first_and_nodes_by_name(cluster: FakeCluster) -> None:
    cluster.nodes = [
        node("b", InternalIP=["10.0.0.2", "fd00::2"], Hostname="b"),
        node("a", InternalIP="10.0.0.1", ExternalIP="203.0.113.1", ExternalDNS="a.example"),
    ]
    outputs = run(storage={"node": "a"}).outputs
    assert outputs["addresses"] == [
        "203.0.113.1:32000",
        "10.0.0.1:32000",
        "10.0.0.2:32000",
        "[fd00::2]:32000",
    ]
    assert outputs["address"] == "203.0.113.1:32000"


def test_an_address_that_is_both_internal_and_external_is_published_once(cluster: FakeCluster) -> None:
    cluster.nodes = [node("a", InternalIP="192.0.2.1", ExternalIP="192.0.2.1")]
    assert run().outputs["addresses"] == ["192.0.2.1:32000"]


def test_hosts_of_the_configuration_replace_those_of_the_nodes(cluster: FakeCluster) -> None:
    assert cluster.nodes
    outputs = run(externalHosts=["registry.example.com", "192.0.2.9"], nodePort=30500).outputs
    assert outputs["addresses"] == ["registry.example.com:30500", "192.0.2.9:30500"]


def test_nodes_without_addresses_are_told(cluster: FakeCluster) -> None:
    cluster.nodes = [node("a", Hostname="a")]
    with pytest.raises(ClusterError, match="no node of the cluster has an address: set externalHosts"):
        run()


def test_kubeconfig_as_content_goes_before_the_environment(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    assert run({"kubeconfig": cluster.kubeconfig()}).outputs["address"] == "10.0.0.1:32000"


def test_kubeconfig_as_path_goes_before_the_environment(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").write_text(cluster.kubeconfig())
    assert run({"kubeconfig": "~/mine"}).outputs["address"] == "10.0.0.1:32000"


def test_the_providers_context_is_followed(cluster: FakeCluster) -> None:
    config = cluster.kubeconfig(broken_default=True)
    assert run({"kubeconfig": config, "context": "fake"}).outputs["address"] == "10.0.0.1:32000"


def test_a_cluster_that_does_not_answer_is_told_before_anything_is_declared(cluster: FakeCluster) -> None:
    told = r"^the cluster at http://127\.0\.0\.1:9 does not answer \(.* Connection refused\): start it"
    with pytest.raises(ClusterError, match=told) as caught:
        run({"kubeconfig": cluster.kubeconfig(), "context": "nowhere"})
    assert "\n" not in str(caught.value)
    assert cluster.asked == []


@pytest.mark.parametrize(
    "provider",
    [{"kubeconfig": "/nonexistent"}, {"kubeconfig": "a: [\n"}, {"context": "unknown"}, {"kubeconfig": "{}"}],
)
def test_an_unusable_kubeconfig_is_told(cluster: FakeCluster, provider: dict[str, str]) -> None:
    with pytest.raises(ClusterError, match=r"no usable kubeconfig \(.*\): choose another by KUBECONFIG"):
        run(provider)
    assert cluster.asked == []


def test_no_kubeconfig_at_all_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ClusterError, match="no usable kubeconfig"):
        run()


def test_the_provider_may_not_be_sent_to_another_cluster_than_the_one_that_was_asked(
    cluster: FakeCluster,
) -> None:
    with pytest.raises(ClusterError, match="kubernetes:cluster is not followed here"):
        run({"cluster": "other"})
    assert cluster.asked == []


def test_a_user_who_may_not_ask_is_told(cluster: FakeCluster) -> None:
    cluster.refuse = "/api/v1/services"
    with pytest.raises(ClusterError, match=r"refused to list what is on it \(403 Forbidden\)"):
        run()


@pytest.mark.parametrize(
    "taken", [service("web", "shop", 31000, 32000), service("web", "shop", 31000, health=32000)]
)
def test_a_port_that_is_taken_is_told_with_its_owner(cluster: FakeCluster, taken: dict[str, object]) -> None:
    cluster.services = [taken]
    with pytest.raises(
        ClusterError, match="port 32000 of the nodes is taken by the service web/shop: choose another"
    ):
        run()
    assert run(nodePort=32001).outputs["address"] == "10.0.0.1:32001"


def test_the_registrys_own_service_takes_no_port_from_it(cluster: FakeCluster) -> None:
    cluster.services = [service("docker-registry", "registry", 32000)]
    graph = run()
    assert graph.outputs["address"] == "10.0.0.1:32000"
    # Nothing that is declared names the stack, so a renamed one finds all of it as it is.
    for resource in graph.resources:
        if resource.type.startswith("kubernetes:"):
            assert f"{program.PROJECT}/{program.STACK}" not in str(resource.inputs), resource.name


@pytest.mark.parametrize(("stack", "organization"), [("other", "organization"), ("dev", "another-org")])
def test_a_renamed_stack_declares_the_same(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, stack: str, organization: str
) -> None:
    cluster.services = [service("docker-registry", "registry", 32000)]
    before = {r.name + r.type: r.inputs for r in run().resources}
    monkeypatch.setattr(program, "STACK", stack)
    monkeypatch.setattr(program, "ORGANIZATION", organization)
    after = {r.name + r.type: r.inputs for r in run().resources}
    named = {key for key in before if before[key] != after[key]}
    # The subject of the authority names the stack, and is not followed once it is made.
    assert all("SelfSignedCert" in key for key in named), named


def test_another_registrys_service_is_another_service(cluster: FakeCluster) -> None:
    cluster.services = [service("images", "registry", 32000)]
    with pytest.raises(ClusterError, match=r"taken by the service images/registry.*moves from there"):
        run()


# The definition of the address resource


def test_every_registry_declares_the_definition_and_none_takes_it_along(cluster: FakeCluster) -> None:
    for found in ([], [definition(NAME)], [definition(NAME, {SCHEMA_ANNOTATION: str(SCHEMA)})]):
        cluster.definitions = found
        graph = run()
        declared = graph.one(DEFINITION_TYPE)
        assert declared.retained
        assert declared.inputs["metadata"]["annotations"] == {
            SCHEMA_ANNOTATION: str(SCHEMA),
            "pulumi.com/patchForce": "true",
        }
        assert declared.inputs["spec"]["group"] == "docker-registry.internal"
        assert (
            declared.urn in graph.one("kubernetes:docker-registry.internal/v1:RegistryAddress").dependencies
        )


def test_the_definition_of_a_former_stack_is_taken_over_and_not_deleted(cluster: FakeCluster) -> None:
    assert cluster.nodes
    former = run().one(DEFINITION_TYPE).former_types
    assert DEFINITION_TYPE.removesuffix("Patch") in former


def test_a_newer_definition_stays_as_it_is(cluster: FakeCluster) -> None:
    newer = definition(NAME, {SCHEMA_ANNOTATION: str(SCHEMA + 1)})
    newer["spec"]["versions"][0]["additionalPrinterColumns"] = [{"name": "New", "type": "string"}]
    cluster.definitions = [newer]
    declared = run().one(DEFINITION_TYPE)
    assert declared.inputs["spec"] == newer["spec"]
    assert declared.inputs["metadata"]["annotations"][SCHEMA_ANNOTATION] == str(SCHEMA + 1)
    assert declared.retained


def test_another_definition_is_none_of_ours(cluster: FakeCluster) -> None:
    cluster.definitions = [definition("others.docker-registry.internal", {SCHEMA_ANNOTATION: "999"})]
    assert run().one(DEFINITION_TYPE).inputs["spec"]["names"]["kind"] == "RegistryAddress"


# Several nodes


def test_several_nodes_and_no_node_of_storage_are_refused(cluster: FakeCluster) -> None:
    cluster.nodes = [node("a", InternalIP="10.0.0.1"), node("b", InternalIP="10.0.0.2")]
    with pytest.raises(ClusterError, match=r"has 2 nodes and .* set storage\.node to one of a, b"):
        run()
    assert run(storage={"kind": "hostPath", "path": "/srv", "node": "b"}).outputs["data"] == "/srv on b"


def test_a_node_of_storage_that_is_not_there_is_told(cluster: FakeCluster) -> None:
    assert cluster.nodes
    with pytest.raises(
        ClusterError, match=r"storage\.node is 'b', which is not a node of the cluster: give n1"
    ):
        run(storage={"kind": "hostPath", "path": "/srv", "node": "b"})


# What is read is a check: hosts that are configured need no cluster to preview


@pytest.fixture
def preview(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: True)


@pytest.mark.parametrize("provider", [{"kubeconfig": "/nonexistent"}, {"context": "nowhere"}])
@pytest.mark.usefixtures("preview")
def test_a_preview_needs_no_cluster_with_hosts_and_says_what_was_not_checked(
    cluster: FakeCluster, provider: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    graph = run(provider, externalHosts=["registry.example.com"])
    assert graph.outputs["address"] == "registry.example.com:32000"
    assert "not checked: that the port is free, that storage.node is a node" in caplog.text
    with pytest.raises(OutOfReachError):
        run(provider)
    assert cluster.asked == []


def test_an_update_refuses_before_any_resource_without_a_cluster(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[str] = []
    register = cast("Any", pulumi.resource).register_resource

    def counted(resource: object, kind: str, *more: Any, **named: Any) -> None:
        registered.append(kind)
        register(resource, kind, *more, **named)

    monkeypatch.setattr("pulumi.resource.register_resource", counted)
    with pytest.raises(OutOfReachError, match="does not answer"):
        run({"kubeconfig": cluster.kubeconfig(), "context": "nowhere"}, externalHosts=["a.example.com"])
    assert registered == ["pulumi:pulumi:Stack"]
    run(externalHosts=["a.example.com"])
    assert len(registered) > 2, "what is counted"


@pytest.mark.usefixtures("preview")
def test_a_preview_refuses_what_the_cluster_has_no_room_for(cluster: FakeCluster) -> None:
    cluster.services = [service("web", "shop", 32000)]
    with pytest.raises(ClusterError, match="taken by the service web/shop"):
        run(externalHosts=["registry.example.com"])


def test_what_is_read_changes_nothing_where_hosts_are_configured(cluster: FakeCluster) -> None:
    hosts = ["registry.example.com"]
    before = {r.urn: r.inputs for r in run(externalHosts=hosts).resources}
    cluster.nodes = [node("other", InternalIP="10.9.9.9")]
    cluster.services = [service("web", "shop", 31000, families=("IPv6",))]
    cluster.definitions = [definition(NAME)]
    cluster.addresses = {"docker-registry": ["10.0.0.7:32000"]}
    assert {r.urn: r.inputs for r in run(externalHosts=hosts).resources} == before


# The provider


def test_one_provider_of_the_settings_that_the_check_used(cluster: FakeCluster) -> None:
    content = cluster.kubeconfig(broken_default=True)
    settings = {"kubeconfig": content, "context": "fake", "enableServerSideApply": "true"}
    graph = run(settings)
    made = graph.one("pulumi:providers:kubernetes")
    assert made.inputs["kubeconfig"] == content
    assert made.secret_paths == {"/kubeconfig"}
    assert made.inputs["context"] == "fake"
    assert made.inputs["enableServerSideApply"] == "true"
    for resource in graph.resources:
        if resource.type.startswith("kubernetes:"):
            assert resource.provider.startswith(made.urn), resource.name


def test_all_that_the_provider_can_be_told_reaches_it(cluster: FakeCluster) -> None:
    """Each but what is for charts, for what names no namespace, and what the check refuses."""
    known = set(inspect.signature(k8s.ProviderArgs).parameters)
    asked = known - {"helm_release_settings", "suppress_helm_hook_warnings", "namespace", "cluster"}
    values = {"clusterIdentifier": "c", "renderYamlToDirectory": "made", "kubeClientSettings": '{"qps": 5}'}
    own = {"kubeconfig": cluster.kubeconfig(), "context": "fake"}
    camel = {name.split("_")[0] + "".join(each.title() for each in name.split("_")[1:]) for name in asked}
    given = {name: {**values, **own}.get(name, "true") for name in camel}
    assert set(run(given).one("pulumi:providers:kubernetes").inputs) == camel


def test_nothing_of_this_machine_gets_into_the_provider(cluster: FakeCluster) -> None:
    assert cluster.port
    assert run().one("pulumi:providers:kubernetes").inputs == {
        "enableConfigMapMutable": "true",
        "enableSecretMutable": "true",
    }


OLD_FIELDS = {field: {"type": "string"} for field in ("address", "addresses", "caBundle", "serviceRef")}


def test_a_preview_shows_no_field_that_the_clusters_definition_does_not_know_yet(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server checks a preview by the definition of before, and would refuse all of it."""
    old = definition(NAME)
    spec = {"type": "object", "properties": OLD_FIELDS}
    old["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {"properties": {"spec": spec}}}
    cluster.definitions = [old]
    assert "auth" in run().one(ADDRESS).inputs["spec"]
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: True)
    assert run().one(ADDRESS).inputs["spec"].keys() == OLD_FIELDS.keys()
    cluster.definitions = []
    assert "auth" in run().one(ADDRESS).inputs["spec"]
