"""A persistentVolumeClaim in place of a folder: what is declared for it, and what is refused beforehand."""

from __future__ import annotations

import pytest

from docker_registry_stack.connection import ClusterError
from docker_registry_stack.keeping import ExistingClaim, NewClaim
from tests.unit import fakecluster, program
from tests.unit.conftest import Deploy
from tests.unit.fakecluster import FakeCluster
from tests.unit.parts import DEPLOYMENT, NAMESPACE, volumes
from tests.unit.program import Graph, read

CLAIM = "kubernetes:core/v1:PersistentVolumeClaimPatch"
KEPT_NAMESPACE = "kubernetes:core/v1:NamespacePatch"
LEVEL = "pod-security.kubernetes.io/enforce"
ON_CLAIM = {"kind": "persistentVolumeClaim", "size": "50Gi"}
RESTRICTED_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}


def run(**storage: object) -> Graph:
    return program.run({"storage": {"kind": "persistentVolumeClaim", **storage}}, {})


def test_what_is_left_out_of_a_claim_is_what_most_have() -> None:
    assert read(storage=ON_CLAIM).storage == NewClaim("50Gi", None, ("ReadWriteOnce",), True, None)
    given = {**ON_CLAIM, "storageClass": "fast", "accessModes": ["ReadWriteMany"], "retain": False}
    assert read(storage=given).storage == NewClaim("50Gi", "fast", ("ReadWriteMany",), False, None)
    existing = {"kind": "persistentVolumeClaim", "existingClaim": "disk", "adopt": "c0123abc"}
    assert read(storage=existing).storage == ExistingClaim("disk", "c0123abc")


def test_the_claim_is_made_mounted_and_kept(deploy: Deploy) -> None:
    graph = deploy(storage={**ON_CLAIM, "storageClass": "standard"})
    claim = graph.one(CLAIM)
    assert claim.inputs["metadata"]["name"] == "registry-data"
    assert claim.inputs["metadata"]["namespace"] == "docker-registry"
    assert claim.inputs["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "standard",
        "resources": {"requests": {"storage": "50Gi"}},
    }
    assert claim.retained
    assert volumes(graph)["data"] == {
        "name": "data",
        "persistentVolumeClaim": {"claimName": "registry-data"},
    }
    assert graph.one(DEPLOYMENT).inputs["spec"]["strategy"] == {"type": "Recreate"}, "or Multi-Attach"
    assert "affinity" not in graph.pod(), "the volume says where it can be"
    assert graph.outputs["data"] == "persistentVolumeClaim docker-registry/registry-data"


def test_the_default_class_is_the_clusters_to_choose(deploy: Deploy) -> None:
    assert "storageClassName" not in deploy(storage=ON_CLAIM).one(CLAIM).inputs["spec"]


def test_the_tree_of_a_claim_is_claimed_by_its_name(deploy: Deploy) -> None:
    graph = deploy(storage={**ON_CLAIM, "adopt": "c0123abc"})
    command = graph.container("claim")["command"]
    assert "--called=persistentVolumeClaim registry-data" in command
    assert "--adopt=c0123abc" in command


@pytest.mark.parametrize("mode", ["online", "readonly"])
def test_nobody_is_root_on_a_claim_and_the_namespace_is_restricted(deploy: Deploy, mode: str) -> None:
    graph = deploy(storage=ON_CLAIM, gcMode=mode)
    pod = graph.pod()
    assert pod["securityContext"] == {
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "runAsNonRoot": True,
        "fsGroup": 1000,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert all(
        "runAsUser" not in each["securityContext"] for each in [*pod["containers"], *pod["initContainers"]]
    )
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} <= RESTRICTED_VOLUMES
    assert graph.one(KEPT_NAMESPACE).inputs["metadata"]["labels"][LEVEL] == "restricted"


def test_a_namespace_stays_with_the_claim_in_it_and_else_goes_with_the_stack(deploy: Deploy) -> None:
    kept = deploy(storage=ON_CLAIM).one(KEPT_NAMESPACE)
    assert kept.retained
    assert kept.inputs["metadata"]["name"] == "docker-registry"
    assert kept.inputs["metadata"]["annotations"] == {"pulumi.com/patchForce": "true"}
    for graph in (deploy(), deploy(storage={**ON_CLAIM, "retain": False})):
        own = graph.one(NAMESPACE)
        assert not own.retained
        assert own.former_types == (KEPT_NAMESPACE,), "to the engine it is the resource it was"
    assert NAMESPACE in kept.former_types


def test_an_existing_claim_is_mounted_and_none_is_made(cluster: FakeCluster) -> None:
    cluster.claims["docker-registry/disk"] = fakecluster.claim("5Gi")
    graph = run(existingClaim="disk")
    assert graph.one(KEPT_NAMESPACE).retained
    assert graph.all(CLAIM) == []
    assert volumes(graph)["data"]["persistentVolumeClaim"] == {"claimName": "disk"}


def test_an_existing_claim_that_is_not_there_is_refused(cluster: FakeCluster) -> None:
    cluster.claims["elsewhere/disk"] = fakecluster.claim("5Gi")
    with pytest.raises(ClusterError, match="'disk', which the namespace docker-registry does not have: make"):
        run(existingClaim="disk")


@pytest.mark.parametrize(
    ("classes", "storage", "told"),
    [
        ([], {}, "storageClass is missing and the cluster has no default: the cluster has none"),
        (["a", "b"], {}, "storageClass is missing and the cluster has no default: give a or b"),
        (["a"], {"storageClass": "b"}, "storageClass is 'b', which the cluster does not have: give a"),
    ],
)
def test_a_class_that_is_not_there_is_refused(
    cluster: FakeCluster, classes: list[str], storage: dict[str, str], told: str
) -> None:
    cluster.classes = [fakecluster.storage_class(name) for name in classes]
    with pytest.raises(ClusterError, match=told):
        run(size="5Gi", **storage)


def test_a_claim_grows_and_never_shrinks(cluster: FakeCluster) -> None:
    cluster.claims["docker-registry/registry-data"] = fakecluster.claim("10Gi")
    for size in ("10Gi", "11Gi", "1Ti", "20G"):
        assert run(size=size).one(CLAIM).inputs["spec"]["resources"]["requests"]["storage"] == size
    for size in ("9Gi", "10G", "10000Mi"):
        with pytest.raises(ClusterError, match=f"size is '{size}', less than the 10Gi of the claim"):
            run(size=size)


def test_a_claim_keeps_its_class(cluster: FakeCluster) -> None:
    cluster.claims["docker-registry/registry-data"] = fakecluster.claim("10Gi", "slow")
    cluster.classes.append(fakecluster.storage_class("fast"))
    assert run(size="10Gi", storageClass="slow").all(CLAIM)
    assert run(size="10Gi").all(CLAIM)
    with pytest.raises(ClusterError, match="'fast', but the claim registry-data is of the class 'slow'"):
        run(size="10Gi", storageClass="fast")


def test_a_claim_needs_no_node_on_a_cluster_of_several_and_a_folder_is_led_to_it(
    cluster: FakeCluster,
) -> None:
    cluster.nodes = [
        fakecluster.node("a", InternalIP="10.0.0.1"),
        fakecluster.node("b", InternalIP="10.0.0.2"),
    ]
    assert run(size="5Gi").all(CLAIM)
    with pytest.raises(ClusterError, match="for a volume of the default class standard that follows"):
        program.run({}, {})
    cluster.classes = []
    with pytest.raises(ClusterError, match="the cluster has no default StorageClass"):
        program.run({}, {})
