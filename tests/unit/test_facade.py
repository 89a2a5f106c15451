"""`DockerRegistry` in programs of others: names, providers, values from elsewhere, what is recorded."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s
import pytest

from docker_registry_stack import ClusterError, DockerRegistry, DockerRegistryArgs, SettingsError, Storage
from tests.unit import program
from tests.unit.fakecluster import FakeCluster
from tests.unit.program import Graph

FACADE = "docker-registry:index:DockerRegistry"


def test_children_are_named_after_it_and_it_is_above_all_of_them(cluster: FakeCluster) -> None:
    assert cluster.nodes
    graph = program.run({}, {}, lambda: DockerRegistry("images", DockerRegistryArgs()))
    top = graph.one(FACADE, "images")
    parents = {resource.urn: resource.parent for resource in graph.resources}
    for resource in graph.resources:
        assert resource.name == "images" or resource.name.startswith("images-"), resource.name
        above = resource.urn
        while above != top.urn:
            above = parents[above]


def test_only_the_projects_own_program_claims_former_names(cluster: FakeCluster) -> None:
    assert cluster.nodes
    graph = program.run({}, {}, lambda: DockerRegistry("registry", DockerRegistryArgs()))
    # Those without a name are of other versions of a type, and the provider's SDK's own.
    assert {name for resource in graph.resources for name, _ in resource.aliases} == {""}


def test_a_provider_is_for_all_of_it(cluster: FakeCluster) -> None:
    assert cluster.nodes

    def main() -> None:
        mine = k8s.Provider("mine")
        DockerRegistry(
            "images",
            DockerRegistryArgs(external_hosts=["registry.example.com"]),
            pulumi.ResourceOptions(provider=mine),
        )

    graph = program.run({}, {}, main)
    providers = {r.provider for r in graph.resources if r.type.startswith("kubernetes:")}
    assert [provider.rpartition("::")[0].rpartition("::")[2] for provider in providers] == ["mine"]
    assert cluster.asked == [], "which cluster that is, is not known beforehand"


@pytest.mark.parametrize("how", ["list", "mapping", "parent"])
def test_a_provider_is_found_however_it_is_given(cluster: FakeCluster, how: str) -> None:
    def main() -> None:
        mine = k8s.Provider("mine")
        above = pulumi.ComponentResource("a:b:C", "above", None, pulumi.ResourceOptions(providers=[mine]))
        opts = {
            "list": pulumi.ResourceOptions(providers=[mine]),
            "mapping": pulumi.ResourceOptions(providers={"kubernetes": mine}),
            "parent": pulumi.ResourceOptions(parent=above),
        }[how]
        DockerRegistry("images", DockerRegistryArgs(external_hosts=["registry.example.com"]), opts)

    graph = program.run({}, {}, main)
    assert [resource.name for resource in graph.all("pulumi:providers:kubernetes")] == ["mine"]
    assert cluster.asked == []


def test_nodes_behind_a_provider_of_the_program_are_not_discovered(cluster: FakeCluster) -> None:
    assert cluster.nodes

    def main() -> None:
        mine = k8s.Provider("mine")
        DockerRegistry("images", DockerRegistryArgs(), pulumi.ResourceOptions(provider=mine))

    with pytest.raises(ClusterError, match=r"a provider of the program leads to .* set externalHosts"):
        program.run({}, {}, main)


def test_what_other_resources_give_reaches_every_place(cluster: FakeCluster) -> None:
    assert cluster.nodes

    def main() -> None:
        there = k8s.core.v1.ConfigMap("there", data={"host": "2001:db8::7", "path": "/srv/images"})
        DockerRegistry(
            "images",
            DockerRegistryArgs(
                external_hosts=[there.data["host"], "registry.example.com"],
                namespace=pulumi.Output.from_input("images"),
                node_port=pulumi.Output.from_input(31000),
                registry_image=pulumi.Output.from_input("registry:2.8.3"),
                storage=Storage(path=there.data["path"]),
            ),
        )

    graph = program.run({}, {}, main)
    (address,) = graph.all("kubernetes:docker-registry.internal/v1:RegistryAddress")
    assert address.inputs["spec"]["addresses"] == ["[2001:db8::7]:31000", "registry.example.com:31000"]
    request = graph.one("tls:index/certRequest:CertRequest").inputs
    assert request["ipAddresses"][0] == "2001:db8::7"
    assert request["dnsNames"][:2] == ["registry.example.com", "registry"]
    assert "registry.images.svc" in request["dnsNames"]
    assert graph.container("registry")["image"] == "registry:2.8.3"
    (data,) = [volume for volume in graph.pod()["volumes"] if volume["name"] == "data"]
    assert data["hostPath"]["path"] == "/srv/images"


def test_a_wrong_arg_is_refused_before_anything_is_declared(cluster: FakeCluster) -> None:
    assert cluster.nodes
    with pytest.raises(SettingsError, match="images: nodePort: 80 is not a NodePort") as caught:
        program.run({}, {}, lambda: DockerRegistry("images", DockerRegistryArgs(node_port=80, cache="disk")))
    assert len(caught.value.problems) == 2


def test_the_state_records_what_was_given(cluster: FakeCluster) -> None:
    assert cluster.nodes
    args = DockerRegistryArgs(node_port=31000, storage=Storage(path="/srv", node="n1"))
    inputs = program.run({}, {}, lambda: DockerRegistry("images", args)).one(FACADE).inputs
    assert inputs["nodePort"] == 31000
    assert inputs["storage"] == {"kind": "hostPath", "path": "/srv", "node": "n1"}
    assert "retention" not in inputs


LABELS = {"name", "instance", "version", "component", "part-of", "managed-by"}


def label(resource: program.Resource, name: str) -> str | None:
    return resource.inputs["metadata"].get("labels", {}).get(f"app.kubernetes.io/{name}")


def kubernetes_objects(graph: Graph) -> list[program.Resource]:
    return [resource for resource in graph.resources if resource.type.startswith("kubernetes:")]


def test_every_object_has_the_standard_labels(cluster: FakeCluster) -> None:
    assert cluster.nodes
    args = DockerRegistryArgs(namespace="images", registry_image="registry.example.com:5000/registry:2.8.3")
    graph = program.run({}, {}, lambda: DockerRegistry("images", args))
    for resource in kubernetes_objects(graph):
        if "CustomResourceDefinition" in resource.type:
            # Shared by every registry of the cluster, so it is no instance's and has no version of one.
            assert label(resource, "part-of") == "docker-registry"
            continue
        assert {name for name in LABELS if label(resource, name)} == LABELS, resource.name
        assert label(resource, "instance") == "images"
        assert label(resource, "version") == "2.8.3"
        assert label(resource, "managed-by") == "pulumi"


def test_selectors_have_nothing_that_ever_changes(cluster: FakeCluster) -> None:
    assert cluster.nodes
    graphs = [
        program.run({}, {}, lambda args=args: DockerRegistry("images", args))
        for args in (
            DockerRegistryArgs(),
            DockerRegistryArgs(namespace="other", registry_image="registry:2", gc_mode="readonly"),
        )
    ]
    selectors = [
        (
            graph.one("kubernetes:apps/v1:Deployment").inputs["spec"]["selector"]["matchLabels"],
            graph.one("kubernetes:core/v1:Service").inputs["spec"]["selector"],
        )
        for graph in graphs
    ]
    # What a stack of any earlier version has, too: a Deployment's selector can never be changed.
    held = {"app.kubernetes.io/name": "docker-registry", "app.kubernetes.io/component": "registry"}
    assert selectors == [(held, held), (held, held)]
