"""The whole program on Pulumi's mocks: its outputs, and how its resources hang together."""

from __future__ import annotations

from tests.unit import program
from tests.unit.conftest import Deploy
from tests.unit.fakecluster import FakeCluster
from tests.unit.parts import ACCOUNT, BINDING, CONFIG_MAP, DEFINITION, DEPLOYMENT, NAMESPACE, ROLE, SECRET


def test_outputs_are_the_address_the_ca_the_namespace_and_where_the_data_is(deploy: Deploy) -> None:
    graph = deploy(externalHosts=["registry.example.com", "2001:db8::7"], namespace="images")
    outputs = dict(graph.outputs)
    assert len(outputs.pop("password")) == 32
    assert outputs == {
        "auth": "htpasswd",
        "user": "admin",
        "address": "registry.example.com:32000",
        "addresses": ["registry.example.com:32000", "[2001:db8::7]:32000"],
        "caCertificate": "certificate registry-certificates-ca",
        "namespace": "images",
        "data": "/var/lib/docker-registry-images on the node that runs the registry",
    }
    assert graph.secret_outputs == {"password"}


def test_outputs_name_the_node_of_the_data(deploy: Deploy) -> None:
    graph = deploy(storage={"kind": "hostPath", "path": "/srv/images", "node": "n1"})
    assert graph.outputs["data"] == "/srv/images on n1"


def test_everything_has_a_component_as_parent(deploy: Deploy) -> None:
    graph = deploy()
    components = {r.urn: r.name for r in graph.resources if r.type.startswith("docker-registry:")}
    assert sorted(components.values()) == [
        "registry",
        "registry",
        "registry-address",
        "registry-announcement",
        "registry-certificates",
        "registry-monitoring",
        "registry-pruner",
    ]
    for resource in graph.resources:
        if resource.type != "docker-registry:index:DockerRegistry":
            assert resource.parent in components, resource.name


def test_all_that_has_a_namespace_lies_in_the_stacks(deploy: Deploy) -> None:
    graph = deploy(namespace="images")
    assert graph.one(NAMESPACE).inputs["metadata"]["name"] == "images"
    without = {NAMESPACE, DEFINITION, ROLE, BINDING}
    for resource in graph.resources:
        if resource.type.startswith("kubernetes:") and resource.type not in without:
            assert resource.inputs["metadata"]["namespace"] == "images", resource.name


def test_the_namespace_admits_a_host_path(deploy: Deploy) -> None:
    labels = deploy().one(NAMESPACE).inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


def test_what_a_change_must_roll_the_pod_for_is_named_by_the_provider_and_immutable(deploy: Deploy) -> None:
    graph = deploy()
    for type_, name in [
        (SECRET, "registry-config"),
        (CONFIG_MAP, "registry-pruner-program"),
        (SECRET, "registry-tls"),
        (SECRET, "registry-http"),
    ]:
        resource = graph.one(type_, name)
        assert "name" not in resource.inputs["metadata"], name
        assert resource.inputs["immutable"] is True, name
        assert resource.urn in graph.one(DEPLOYMENT).dependencies, name


def test_what_two_stacks_could_both_have_is_named_by_the_provider(deploy: Deploy) -> None:
    graph = deploy()
    for type_ in (ROLE, BINDING, ACCOUNT):
        assert "name" not in graph.one(type_).inputs["metadata"]


def test_two_runs_register_the_same(cluster: FakeCluster) -> None:
    assert cluster.nodes
    first, second = program.run({}, {}), program.run({}, {})
    assert {r.urn: r.inputs for r in first.resources} == {r.urn: r.inputs for r in second.resources}
    assert first.outputs == second.outputs
