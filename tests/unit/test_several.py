"""Several pods for one registry: what is refused, how they roll, and the pruner in a pod of its own."""

from __future__ import annotations

import pytest

from docker_registry_stack.connection import ClusterError
from docker_registry_stack.settings import SettingsError
from tests.unit import fakecluster, program
from tests.unit.conftest import Deploy
from tests.unit.fakecluster import FakeCluster
from tests.unit.parts import DEPLOYMENT, SERVICE, mounts, registry_config, variables
from tests.unit.program import Graph, read

POD_MONITOR = "kubernetes:monitoring.coreos.com/v1:PodMonitor"
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"
SHARED = {"kind": "persistentVolumeClaim", "size": "50Gi", "accessModes": ["ReadWriteMany"]}


def pruners(graph: Graph) -> dict[str, str]:
    found = graph.container("gc", "registry-pruner")["env"]
    return {entry["name"]: entry.get("value", "") for entry in found}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"replicas": 2},
            "replicas: 2 pods cannot share a hostPath: set storage to s3 or to a claim with ReadWriteMany",
        ),
        (
            {"replicas": 3, "storage": {**SHARED, "accessModes": ["ReadWriteOnce"]}},
            "replicas: 3 pods cannot share a claim of ReadWriteOnce: give storage.accessModes",
        ),
        (
            {"replicas": 2, "storage": SHARED, "cache": "inmemory"},
            "cache: inmemory cannot be cleared in 2 pods, which would vouch for what was pruned",
        ),
        (
            {"replicas": 2, "storage": SHARED, "gcMode": "readonly"},
            "gcMode: readonly closes one registry, and there are 2",
        ),
        ({"replicas": 0}, "replicas: '0' is not a number of pods"),
        ({"replicas": "two"}, "replicas: 'two' is not a number of pods"),
    ],
)
def test_what_several_pods_cannot_have_is_refused(config: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read(**config)
    assert len(refusal.value.problems) == 1
    assert told in refusal.value.problems[0]


def test_a_claim_that_is_there_must_be_one_that_several_pods_can_write_to(cluster: FakeCluster) -> None:
    config = {"replicas": 2, "storage": {"kind": "persistentVolumeClaim", "existingClaim": "disk"}}
    cluster.claims["docker-registry/disk"] = fakecluster.claim("5Gi")
    with pytest.raises(
        ClusterError, match="claim disk is of ReadWriteOnce, and 2 replicas need ReadWriteMany"
    ):
        program.run(config, {})
    cluster.claims["docker-registry/disk"] = fakecluster.claim("5Gi", "standard", "ReadWriteMany")
    assert program.run(config, {}).all(BUDGET)


def test_the_pods_follow_each_other_so_that_nobody_notices(deploy: Deploy) -> None:
    graph = deploy(replicas=3, storage=SHARED)
    spec = graph.one(DEPLOYMENT, "registry").inputs["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    pod, container = graph.pod(), graph.container("registry")
    first = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = int(registry_config(graph)["http"]["draintimeout"].removesuffix("s"))
    assert drain == 300, "a large layer's upload ends in it"
    assert pod["terminationGracePeriodSeconds"] >= first + drain + 10
    assert graph.one(SERVICE).inputs["spec"]["publishNotReadyAddresses"] is False
    assert graph.one(BUDGET).inputs["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": spec["selector"]["matchLabels"]},
    }


def test_the_pods_are_on_different_nodes_and_zones_where_there_are_some(deploy: Deploy) -> None:
    graph = deploy(replicas=2, storage=SHARED)
    pod = graph.pod()
    selector = graph.one(DEPLOYMENT, "registry").inputs["spec"]["selector"]
    (rather,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert rather["podAffinityTerm"] == {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": selector,
    }
    assert pod["topologySpreadConstraints"] == [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": selector,
            "matchLabelKeys": ["pod-template-hash"],
        }
    ]


def test_one_pod_is_as_it_was(deploy: Deploy) -> None:
    graph = deploy(replicas=1)
    assert graph.one(DEPLOYMENT).inputs["spec"]["strategy"] == {"type": "Recreate"}
    assert graph.one(SERVICE).inputs["spec"]["publishNotReadyAddresses"] is True
    assert not graph.all(BUDGET)
    assert "lifecycle" not in graph.container("registry")
    assert "topologySpreadConstraints" not in graph.pod()
    assert "REGISTRY_HTTP_ADDR" not in variables(graph, "gc")


def test_the_pruner_is_in_a_pod_of_its_own_of_which_there_is_one(deploy: Deploy) -> None:
    graph = deploy(replicas=2, storage=SHARED)
    deployment = graph.one(DEPLOYMENT, "registry-pruner-deployment").inputs
    assert deployment["metadata"]["name"] == "registry-pruner"
    spec = deployment["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    registries = graph.one(DEPLOYMENT, "registry").inputs["spec"]
    assert spec["selector"] != registries["selector"], "the Service leads to registries alone"
    pod = graph.pod("registry-pruner")
    assert [container["name"] for container in pod["containers"]] == ["gc"]
    assert [container["name"] for container in graph.pod()["containers"]] == ["registry", "metrics"]
    for each in (pod, graph.pod()):
        assert "shareProcessNamespace" not in each
        assert [container["name"] for container in each["initContainers"]] == ["claim"]
    assert pod["serviceAccountName"] == graph.pod()["serviceAccountName"]
    assert pod["securityContext"] == graph.pod()["securityContext"]


def test_the_pruner_works_with_the_registries_own_configuration(deploy: Deploy) -> None:
    graph = deploy(replicas=2, storage=SHARED)
    for name in ("data", "config"):
        ours, theirs = (
            next(volume for volume in graph.pod(deployment)["volumes"] if volume["name"] == name)
            for deployment in ("registry-pruner", "registry")
        )
        assert ours == theirs
    found = pruners(graph)
    assert found["GC_CONFIG"] == "/etc/distribution/config.yml"
    assert found["REGISTRY_HTTP_ADDR"] == "10.96.0.10:5000", "asked by their Service's address"
    assert found["GC_RESTART"] == "never"
    assert found["GC_ADDRESS"] == "docker-registry/registry"
    assert found["GC_DEPLOYMENT"] == "docker-registry/registry-pruner"
    alone = variables(deploy(storage=SHARED), "gc")
    differing = {"GC_RESTART", "GC_DEPLOYMENT", "REGISTRY_HTTP_ADDR"}
    assert {name: value for name, value in found.items() if name not in differing} == {
        name: value for name, value in alone.items() if name not in differing
    }


def test_every_volume_that_is_mounted_is_there_and_none_else(deploy: Deploy) -> None:
    graph = deploy(replicas=2, storage=SHARED)
    for deployment in ("registry", "registry-pruner"):
        volumes = {volume["name"] for volume in graph.pod(deployment)["volumes"]}
        assert volumes == graph.mounted(deployment)


def test_what_shows_the_pruner_follows_it(deploy: Deploy) -> None:
    graph = deploy(replicas=2, storage=SHARED, metrics="podMonitor", alerts="prometheusRule")
    rules = graph.one("kubernetes:monitoring.coreos.com/v1:PrometheusRule").inputs["spec"]["groups"][0][
        "rules"
    ]
    assert {rule["annotations"]["pruner"] for rule in rules} == {
        "kubectl -n docker-registry exec deploy/registry-pruner -c gc -- prune"
    }
    monitor = graph.one(POD_MONITOR, "registry-monitoring-pods").inputs["spec"]
    template = graph.one(DEPLOYMENT, "registry-pruner-deployment").inputs["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    role = graph.one("kubernetes:rbac.authorization.k8s.io/v1:Role").inputs["rules"]
    assert [rule["resourceNames"] for rule in role if rule["resources"] == ["deployments"]] == [
        ["registry-pruner"]
    ]
    annotated = deploy(replicas=2, storage=SHARED)
    templates = {each.name: each.inputs["spec"]["template"] for each in annotated.all(DEPLOYMENT)}
    assert "prometheus.io/scrape" in templates["registry-pruner-deployment"]["metadata"]["annotations"]


def test_each_registry_shows_its_own_metrics_and_nothing_else(deploy: Deploy) -> None:
    graph = deploy(replicas=2, storage=SHARED, metrics="podMonitor")
    monitor = graph.one(POD_MONITOR, "registry-monitoring-registries").inputs["spec"]
    template = graph.one(DEPLOYMENT, "registry").inputs["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (other,) = [each for each in graph.all(POD_MONITOR) if each.name == "registry-monitoring-pods"]
    assert other.inputs["spec"]["selector"] != monitor["selector"]
    relay = graph.container("metrics")
    assert relay["command"] == ["prune", "metrics", "--port=9090"]
    assert monitor["podMetricsEndpoints"] == [{"port": relay["ports"][0]["name"], "path": "/metrics"}]
    assert set(mounts(graph, "metrics")) == {"/etc/distribution", "/opt/prune/bin", "/tmp"}, "no images"
    assert registry_config(graph)["http"]["debug"]["addr"] == "127.0.0.1:5001"
    annotated = deploy(replicas=2, storage=SHARED).one(DEPLOYMENT, "registry").inputs["spec"]["template"]
    assert annotated["metadata"]["annotations"]["prometheus.io/port"] == "9090"
    silent = deploy(replicas=2, storage=SHARED, metrics="none")
    assert [container["name"] for container in silent.pod()["containers"]] == ["registry"]
    assert not silent.one(DEPLOYMENT, "registry").inputs["spec"]["template"]["metadata"].get("annotations")
