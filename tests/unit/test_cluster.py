"""What the program asks of the cluster before it declares anything, over HTTP by real kubeconfigs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from docker_registry_stack.cluster import DEFINITION, OWNER_ANNOTATION, ClusterError
from tests.unit import program
from tests.unit.fakecluster import FakeCluster, definition, node, service
from tests.unit.program import Graph

DEFINITION_TYPE = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"


def run(provider: Mapping[str, str] | None = None, **config: object) -> Graph:
    return program.run(config, provider or {})


def test_addresses_for_the_outside_come_first_and_nodes_by_name(cluster: FakeCluster) -> None:
    cluster.nodes = [
        node("b", InternalIP=["10.0.0.2", "fd00::2"], Hostname="b"),
        node("a", InternalIP="10.0.0.1", ExternalIP="203.0.113.1", ExternalDNS="a.example"),
    ]
    outputs = run().outputs
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


@pytest.mark.parametrize("namespace", ["docker-registry", "the-namespace-it-moves-from"])
def test_the_stacks_own_service_takes_no_port_from_it(cluster: FakeCluster, namespace: str) -> None:
    owner = "organization/docker-registry/dev"
    cluster.services = [service(namespace, "registry", 32000, owner=owner)]
    graph = run()
    assert graph.outputs["address"] == "10.0.0.1:32000"
    metadata = graph.one("kubernetes:core/v1:Service").inputs["metadata"]
    assert metadata["annotations"] == {OWNER_ANNOTATION: owner}


def test_another_stacks_service_is_another_service(cluster: FakeCluster) -> None:
    cluster.services = [service("images", "registry", 32000, owner="organization/docker-registry/prod")]
    with pytest.raises(ClusterError, match="taken by the service images/registry"):
        run()


@pytest.mark.parametrize(
    ("found", "declared"),
    [
        ([], True),
        ([definition(DEFINITION, {OWNER_ANNOTATION: "organization/docker-registry/dev"})], True),
        ([definition(DEFINITION, {OWNER_ANNOTATION: "organization/docker-registry/other"})], False),
        ([definition(DEFINITION)], False),
        ([definition("others.docker-registry.internal")], True),
    ],
)
def test_the_definition_is_declared_by_its_owner_alone(
    cluster: FakeCluster, found: list[dict[str, object]], declared: bool
) -> None:
    cluster.definitions = found
    graph = run()
    assert bool(graph.all(DEFINITION_TYPE)) is declared
    assert graph.one("kubernetes:docker-registry.internal/v1:RegistryAddress")


def test_several_nodes_and_no_node_of_storage_are_warned_of(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.nodes = [node("a", InternalIP="10.0.0.1"), node("b", InternalIP="10.0.0.2")]
    with caplog.at_level(logging.WARNING):
        run()
        assert "set storage.node to one of a, b" in caplog.text
        caplog.clear()
        run(storage={"kind": "hostPath", "path": "/srv", "node": "b"})
        assert caplog.text == ""


def test_a_node_of_storage_that_is_not_there_is_told(cluster: FakeCluster) -> None:
    assert cluster.nodes
    with pytest.raises(
        ClusterError, match=r"storage\.node is 'b', which is not a node of the cluster: give n1"
    ):
        run(storage={"kind": "hostPath", "path": "/srv", "node": "b"})
