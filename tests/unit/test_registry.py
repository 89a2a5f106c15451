"""The registry's configuration, its container and the pod it is in."""

from __future__ import annotations

import pytest

from tests.unit.conftest import Deploy
from tests.unit.parts import DEPLOYMENT, mounts, registry_config, variables, volumes


def test_the_registry_is_told_where_to_store_to_drain_and_to_serve_tls(deploy: Deploy) -> None:
    config = registry_config(deploy())
    assert config["version"] == 0.1
    assert config["storage"] == {
        "filesystem": {"rootdirectory": "/var/lib/registry"},
        "delete": {"enabled": True},
        "maintenance": {"uploadpurging": {"enabled": False}},
    }
    assert config["http"]["addr"] == ":5000"
    assert config["http"]["draintimeout"] == "30s"
    assert config["http"]["debug"] == {
        "addr": "127.0.0.1:5001",
        "prometheus": {"enabled": True, "path": "/metrics"},
    }, "on loopback: it serves profiles too"
    assert config["http"]["tls"] == {
        "certificate": "/etc/registry-tls/tls.crt",
        "key": "/etc/registry-tls/tls.key",
        "minimumtls": "tls1.2",
    }


def test_the_cache_is_there_only_when_asked_for(deploy: Deploy) -> None:
    assert "cache" not in registry_config(deploy())["storage"]
    assert registry_config(deploy(cache="inmemory"))["storage"]["cache"] == {"blobdescriptor": "inmemory"}


def test_the_deployment_never_has_two_pods_on_one_tree(deploy: Deploy) -> None:
    deployment = deploy().one(DEPLOYMENT)
    spec = deployment.inputs["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert deployment.delete_before_replace


def test_the_pod_shares_its_processes_and_nothing_else(deploy: Deploy) -> None:
    pod = deploy().pod()
    assert pod["shareProcessNamespace"] is True
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] == 60
    assert not {"hostNetwork", "hostPID", "hostIPC", "affinity"} & set(pod)
    assert [container["name"] for container in pod["containers"]] == ["registry", "gc"]
    assert [container["name"] for container in pod["initContainers"]] == ["claim"]


@pytest.mark.parametrize("mode", ["online", "readonly"])
def test_every_container_is_restricted(deploy: Deploy, mode: str) -> None:
    pod = deploy(gcMode=mode).pod()
    assert pod["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
        assert container["imagePullPolicy"] == "IfNotPresent"


def test_the_registry_container(deploy: Deploy) -> None:
    graph = deploy(registryImage="registry.example.com/registry:2.8.3")
    container = graph.container("registry")
    assert container["image"] == "registry.example.com/registry:2.8.3"
    assert container["args"] == ["serve", "/etc/distribution/config.yml"]
    assert "command" not in container
    assert container["ports"] == [{"name": "https", "containerPort": 5000}]
    assert variables(graph, "registry")["OTEL_TRACES_EXPORTER"] == "none"
    assert mounts(graph, "registry") == {
        "/var/lib/registry": ("data", False),
        "/etc/distribution": ("config", True),
        "/etc/registry-tls": ("tls", True),
        "/etc/registry-auth": ("auth", True),
    }
    assert volumes(graph)["tls"]["secret"] == {
        "secretName": "registry-tls-0a1b2c3d",
        "defaultMode": 0o400,
        "items": [{"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"}],
    }


@pytest.mark.parametrize(
    ("probe", "seconds"), [("startupProbe", 120), ("readinessProbe", 10), ("livenessProbe", 60)]
)
def test_probes_go_over_https_and_bear_a_restart_in_place(deploy: Deploy, probe: str, seconds: int) -> None:
    found = deploy().container("registry")[probe]
    assert found["httpGet"] == {"path": "/", "port": "https", "scheme": "HTTPS"}
    assert found["periodSeconds"] * found["failureThreshold"] == seconds


def test_the_data_lies_on_the_node(deploy: Deploy) -> None:
    graph = deploy(storage={"kind": "hostPath", "path": "/srv/images", "node": "n1"})
    assert volumes(graph)["data"]["hostPath"] == {"path": "/srv/images", "type": "DirectoryOrCreate"}
    required = graph.pod()["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required == {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]
    }
