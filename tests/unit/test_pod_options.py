"""The pod's options: what is added to it, and what of the stack's own stays whatever is set."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from docker_registry_stack import podoptions
from docker_registry_stack.args import DockerRegistryArgs
from docker_registry_stack.objects import Container, Pod, Resources, Toleration
from docker_registry_stack.settings import settle
from tests.unit.conftest import Deploy
from tests.unit.parts import DEPLOYMENT, variables
from tests.unit.program import Graph, read

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
ON_SSD = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
HERE = {"key": "metadata.name", "operator": "In", "values": ["n1"]}


def template(graph: Graph) -> dict[str, Any]:
    return graph.one(DEPLOYMENT).inputs["spec"]["template"]


def test_nothing_is_added_by_default(deploy: Deploy) -> None:
    added = {"nodeSelector", "tolerations", "affinity", "priorityClassName", "runtimeClassName"}
    assert not {*added, "imagePullSecrets"} & set(deploy().pod())


def test_the_pod_is_put_where_it_is_wanted(deploy: Deploy) -> None:
    pod = deploy(
        pod={
            "nodeSelector": {"disk": "ssd", "example.com/zone": ""},
            "tolerations": [
                {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
                {"key": "dedicated", "value": "registry"},
            ],
            "affinity": {"podAntiAffinity": {REQUIRED: [{"topologyKey": "zone", "labelSelector": {}}]}},
            "priorityClassName": "system-cluster-critical",
            "runtimeClassName": "gvisor",
            "imagePullSecrets": ["mirror"],
        }
    ).pod()
    assert pod["nodeSelector"] == {"disk": "ssd", "example.com/zone": ""}
    assert pod["tolerations"] == [
        {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
        {"key": "dedicated", "operator": "Equal", "value": "registry"},
    ]
    assert pod["affinity"] == {"podAntiAffinity": {REQUIRED: [{"topologyKey": "zone", "labelSelector": {}}]}}
    assert pod["priorityClassName"] == "system-cluster-critical"
    assert pod["runtimeClassName"] == "gvisor"
    assert pod["imagePullSecrets"] == [{"name": "mirror"}]


def test_the_node_of_the_storage_holds_beside_an_affinity(deploy: Deploy) -> None:
    other = {"weight": 1, "preference": ON_SSD}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [other]}
    by_field = {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n2"]}]}
    affinity = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [ON_SSD, by_field]}, **preferred}}
    found = deploy(storage={"node": "n1"}, pod={"affinity": affinity}).pod()["affinity"]
    assert found == {
        "nodeAffinity": {
            REQUIRED: {
                "nodeSelectorTerms": [
                    {**ON_SSD, "matchFields": [HERE]},
                    {"matchFields": [*by_field["matchFields"], HERE]},
                ]
            },
            **preferred,
        }
    }


def test_an_affinity_to_pods_stays_beside_the_node_of_the_storage(deploy: Deploy) -> None:
    to_pods = {"podAffinity": {REQUIRED: [{"topologyKey": "zone"}]}}
    found = deploy(storage={"node": "n1"}, pod={"affinity": to_pods}).pod()["affinity"]
    assert found == {**to_pods, "nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchFields": [HERE]}]}}}


def test_labels_and_annotations_come_beside_the_stacks(deploy: Deploy) -> None:
    graph = deploy(
        pod={"labels": {"team": "images"}, "annotations": {"prometheus.io/port": "1", "example.com/a": "b c"}}
    )
    metadata = template(graph)["metadata"]
    plain = template(deploy())["metadata"]
    assert metadata["labels"] == {**plain["labels"], "team": "images"}
    assert metadata["annotations"] == {
        **plain["annotations"],
        "prometheus.io/port": "1",
        "example.com/a": "b c",
    }
    assert (
        graph.one(DEPLOYMENT).inputs["spec"]["selector"]
        == deploy().one(DEPLOYMENT).inputs["spec"]["selector"]
    )


def test_resources_stand_in_place_of_the_stacks(deploy: Deploy) -> None:
    asked = {"cpu": "1", "memory": "1.5Gi", "example.com/fast": "1"}
    graph = deploy(
        pod={
            "registry": {"resources": {"requests": asked, "limits": {"memory": "1.5Gi"}}},
            "gc": {"resources": {"limits": {}}},
        }
    )
    assert graph.container("registry")["resources"] == {"requests": asked, "limits": {"memory": "1.5Gi"}}
    assert graph.container("gc")["resources"] == {"requests": {"cpu": "10m", "memory": "45Mi"}}, "no limit"
    assert graph.container("claim")["resources"] == deploy().container("claim")["resources"]


def test_variables_are_added_each_to_its_container(deploy: Deploy) -> None:
    graph = deploy(
        pod={
            "registry": {"environment": {"OTEL_TRACES_EXPORTER": "otlp", "GOGC": "50"}},
            "gc": {"environment": {"HTTPS_PROXY": "http://proxy.example.com:3128"}},
        }
    )
    registry, gc = variables(graph, "registry"), variables(graph, "gc")
    assert registry["OTEL_TRACES_EXPORTER"] == "otlp"
    assert registry["GOGC"] == "50"
    assert gc == {**variables(deploy(), "gc"), "HTTPS_PROXY": "http://proxy.example.com:3128"}
    for container in (graph.container("registry"), graph.container("gc")):
        names = [entry["name"] for entry in container["env"]]
        assert len(names) == len(set(names)), "a variable that is there twice has no certain value"


def test_every_pod_of_several_is_put_where_it_is_wanted(deploy: Deploy) -> None:
    graph = deploy(
        replicas=2,
        cache="redis",
        storage={"kind": "persistentVolumeClaim", "size": "5Gi", "accessModes": ["ReadWriteMany"]},
        pod={
            "nodeSelector": {"disk": "ssd"},
            "annotations": {"example.com/a": "b"},
            "gc": {"environment": {"TZ": "UTC"}},
            "affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [ON_SSD]}}},
        },
    )
    templates = {
        each.inputs["metadata"]["name"]: each.inputs["spec"]["template"] for each in graph.all(DEPLOYMENT)
    }
    assert len(templates) == 3
    assert all(each["spec"]["nodeSelector"] == {"disk": "ssd"} for each in templates.values())
    registry, pruner = templates["registry"], templates["registry-pruner"]
    assert set(registry["spec"]["affinity"]) == {"nodeAffinity", "podAntiAffinity"}, "apart from each other"
    assert set(pruner["spec"]["affinity"]) == {"nodeAffinity"}
    for each in (registry, pruner):
        assert each["metadata"]["annotations"]["example.com/a"] == "b"
    (gc,) = pruner["spec"]["containers"]
    assert {"name": "TZ", "value": "UTC"} in gc["env"]


def test_args_mean_what_the_configuration_means() -> None:
    args = DockerRegistryArgs(
        pod=Pod(
            tolerations=[Toleration(key="a", operator="Exists", effect="NoExecute", toleration_seconds=5)],
            image_pull_secrets=["mirror"],
            gc=Container(resources=Resources(limits={"cpu": "2"}), environment={"A": "b"}),
        )
    )
    mapping = {
        "pod": {
            "tolerations": [
                {"key": "a", "operator": "Exists", "effect": "NoExecute", "toleration_seconds": 5.0}
            ],
            "image_pull_secrets": ["mirror"],
            "gc": {"resources": {"limits": {"cpu": "2"}}, "environment": {"A": "b"}},
        }
    }
    config = {
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
        "imagePullSecrets": ["mirror"],
        "gc": {"resources": {"limits": {"cpu": "2"}}, "environment": {"A": "b"}},
    }
    assert settle(args) == settle(mapping) == read(pod=config)


def test_the_name_of_a_pull_secret_may_come_from_its_resource() -> None:
    name = pulumi.Output.from_input("mirror")
    (secret,) = podoptions.read(Pod(image_pull_secrets=[name])).image_pull_secrets
    assert isinstance(secret, pulumi.Output)


@pytest.mark.parametrize(
    ("smaller", "larger"), [("999m", "1"), ("1M", "1Mi"), ("1.5k", "1.5Ki"), ("1Gi", "1.1Gi")]
)
def test_a_request_is_compared_with_its_limit_as_a_quantity(smaller: str, larger: str) -> None:
    def resources(request: str, limit: str) -> dict[str, Any]:
        return {"gc": {"resources": {"requests": {"memory": request}, "limits": {"memory": limit}}}}

    podoptions.read(resources(smaller, larger))
    podoptions.read(resources(smaller, smaller))
    with pytest.raises(ValueError, match=f"is {larger}, more than the limit {smaller}"):
        podoptions.read(resources(larger, smaller))
