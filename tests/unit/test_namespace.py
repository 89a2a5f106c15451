"""A namespace that the stack does not make: found beforehand, left as it is, and never deleted."""

from __future__ import annotations

import pytest

from docker_registry_stack.connection import ClusterError
from tests.unit import fakecluster, program
from tests.unit.fakecluster import FakeCluster
from tests.unit.parts import DEPLOYMENT, NAMESPACE
from tests.unit.program import Graph, read

KEPT_NAMESPACE = "kubernetes:core/v1:NamespacePatch"
LEVEL = "pod-security.kubernetes.io/enforce"


def run(**config: object) -> Graph:
    return program.run({"createNamespace": False, "namespace": "images", **config}, {})


def test_a_namespace_that_is_there_is_filled_and_left_as_it_is(cluster: FakeCluster) -> None:
    cluster.namespaces["images"] = {"team": "a"}
    graph = run()
    assert graph.all(NAMESPACE) == []
    held = graph.one(KEPT_NAMESPACE)
    assert held.inputs["metadata"] == {"name": "images"}, "nothing of it is set"
    assert held.retained, "or a destroy would let go of what others set"
    assert NAMESPACE in held.former_types, (
        "or a stack that had made it would delete it, with the images' claim"
    )
    assert graph.one(DEPLOYMENT).inputs["metadata"]["namespace"] == "images"
    assert graph.outputs["namespace"] == "images"


def test_one_that_is_not_there_is_refused(cluster: FakeCluster) -> None:
    cluster.namespaces["other"] = {}
    with pytest.raises(ClusterError, match="the cluster has no namespace 'images': make it, or leave"):
        run()


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_one_that_does_not_admit_the_storage_is_refused(cluster: FakeCluster, level: str) -> None:
    cluster.namespaces["images"] = {LEVEL: level}
    with pytest.raises(
        ClusterError, match=f"Pod Security level {level}, which admits no hostPath: set storage"
    ):
        run()
    cluster.claims["images/disk"] = fakecluster.claim("5Gi")
    assert run(storage={"kind": "persistentVolumeClaim", "existingClaim": "disk"}).all(DEPLOYMENT)


def test_it_may_be_any_that_the_cluster_has() -> None:
    assert read(createNamespace="false", namespace="default").namespace == "default"
