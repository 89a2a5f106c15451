"""The kubernetes stand-in through the real engine on a sandbox cluster, against what the official one did."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
import yaml

from sandbox.cluster import kubectl
from sandbox.images import PYTHON_REFERENCE
from sandbox.place import Place
from tests.plugins.stack import Failed, Stack

# Plain dictionaries with the API's own field names: the SDK's types know the Python spelling alone.
Spec = Any


@pytest.fixture
def run(cluster: Place) -> Callable[..., str]:
    """Runs kubectl as the cluster's administrator."""

    def run(*arguments: str, text: str | None = None) -> str:
        command = [str(kubectl(cluster)), "--kubeconfig", str(cluster.kubeconfig), *arguments]
        return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout

    return run


@dataclass(slots=True)
class Application:
    """A Deployment that mounts a ConfigMap, a Service before it, a definition and one object of it."""

    text: str = "one"
    ports: list[int] = field(default_factory=lambda: [8000])

    def __call__(self) -> None:
        space = k8s.core.v1.Namespace("space", metadata={"name": "application"})
        within: Spec = {"namespace": space.metadata["name"]}

        def named(name: str) -> Spec:
            return {**within, "name": name}

        config = k8s.core.v1.ConfigMap("config", metadata=within, data={"config.yml": self.text})
        k8s.core.v1.ConfigMap("fixed", metadata=named("fixed"), data={"key": self.text})
        secret = k8s.core.v1.Secret(
            "secret", metadata=within, string_data={"password": pulumi.Output.secret("swordfish")}
        )
        pod: Spec = {
            "volumes": [{"name": "config", "configMap": {"name": config.metadata["name"]}}],
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "server",
                    "image": PYTHON_REFERENCE,
                    "command": ["python3", "-m", "http.server"],
                    "ports": [{"containerPort": port} for port in self.ports],
                    "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
                    "volumeMounts": [{"name": "config", "mountPath": "/config"}],
                    "resources": {"requests": {"cpu": "10m", "memory": "0.0625Gi"}},
                }
            ],
        }
        labels = {"app": "server"}
        deployment: Spec = {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        k8s.apps.v1.Deployment("server", metadata=named("server"), spec=deployment)
        ports: Spec = [{"name": f"p{port}", "port": port} for port in self.ports]
        service = k8s.core.v1.Service(
            "service", metadata=named("service"), spec={"selector": labels, "ports": ports}
        )
        schema = {"type": "object", "x_kubernetes_preserve_unknown_fields": True}
        definition: Spec = {
            "group": "plugins.test",
            "scope": "Namespaced",
            "names": {"plural": "notes", "kind": "Note"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        }
        k8s.apiextensions.v1.CustomResourceDefinition(
            "definition", metadata={"name": "notes.plugins.test"}, spec=definition
        )
        k8s.apiextensions.CustomResource(
            "note",
            api_version="plugins.test/v1",
            kind="Note",
            metadata=named("note"),
            spec={"address": "10.0.0.1:32000", "more": ["a", "b"]},
        )
        pulumi.export("config", config.metadata["name"])
        pulumi.export("data", secret.data)
        pulumi.export("address", service.spec.cluster_ip)


def test_an_application_from_its_first_up_to_its_end(cluster_stack: Stack, run: Callable[..., str]) -> None:
    previewed = cluster_stack.preview(Application())
    first = cluster_stack.up(Application())
    assert set(first.changed.values()) == {"create"}
    assert previewed.changed == first.changed
    assert (
        first.outputs["config"].startswith("config-") and len(first.outputs["config"]) == len("config-") + 8
    )
    assert first.outputs["data"] == {"password": base64.b64encode(b"swordfish").decode()}
    assert first.secrets == {"data"}
    assert "swordfish" not in first.display + str(cluster_stack.state())
    server = json.loads(run("-n", "application", "get", "deployment", "server", "-o", "json"))
    assert server["status"]["readyReplicas"] == 1, "the update ends when the Pods are ready"
    note = json.loads(run("-n", "application", "get", "notes", "note", "-o", "json"))
    assert note["spec"] == {"address": "10.0.0.1:32000", "more": ["a", "b"]}

    # An unchanged program changes nothing; what others set is theirs, and is neither seen nor undone.
    run("-n", "application", "label", "deployment", "server", "theirs=yes")
    run("-n", "application", "set", "env", "deployment/server", "THEIRS=yes")
    assert cluster_stack.up(Application()).changed == {}

    second = cluster_stack.up(Application("two", ports=[8000, 8001]))
    changed = second.changed
    assert set(changed) == {"config", "fixed", "server", "service"}
    assert "replac" in changed["config"] and "replac" in changed["fixed"]
    assert (changed["server"], changed["service"]) == ("update", "update")
    assert second.outputs["config"] != first.outputs["config"]
    assert second.outputs["address"] == first.outputs["address"]
    maps = json.loads(run("-n", "application", "get", "configmaps", "-o", "json"))["items"]
    data = {item["metadata"]["name"]: item["data"] for item in maps}
    assert data["fixed"] == {"key": "two"}
    assert data[second.outputs["config"]] == {"config.yml": "two"}
    assert first.outputs["config"] not in data
    server = json.loads(run("-n", "application", "get", "deployment", "server", "-o", "json"))
    assert server["metadata"]["labels"]["theirs"] == "yes"
    container = server["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "THEIRS", "value": "yes"}]

    # A refresh finds nothing new, and what the program no longer sets goes, although a creation made it.
    cluster_stack.refresh(Application("two", ports=[8000, 8001]))
    third = cluster_stack.up(Application("two"))
    assert third.changed == {"server": "update", "service": "update"}
    service = json.loads(run("-n", "application", "get", "service", "service", "-o", "json"))
    assert [port["port"] for port in service["spec"]["ports"]] == [8000]

    cluster_stack.destroy()
    assert "application" not in run("get", "namespaces", "-o", "name")
    assert "notes.plugins.test" not in run("get", "customresourcedefinitions", "-o", "name")


@dataclass(slots=True)
class Port:
    """A NodePort Service without Pods, and an object beside it."""

    port: int

    def __call__(self) -> None:
        k8s.core.v1.ConfigMap("beside", metadata={"name": "beside"}, data={"a": "b"})
        ports: Spec = [{"port": 80, "nodePort": self.port}]
        k8s.core.v1.Service("ported", metadata={"name": "ported"}, spec={"type": "NodePort", "ports": ports})


def test_a_taken_node_port_is_told_in_the_servers_words_and_mended_by_another(
    cluster_stack: Stack, run: Callable[..., str]
) -> None:
    run("create", "service", "nodeport", "taker", "--tcp=80", "--node-port=32471")
    try:
        with pytest.raises(Failed) as failed:
            cluster_stack.up(Port(32471))
        expected = 'Service "ported" is invalid: spec.ports[0].nodePort: Invalid value: 32471: '
        assert expected + "provided port is already allocated" in str(failed.value)
        state = cluster_stack.state()
        assert "beside" in state and "ported" not in state
        assert cluster_stack.up(Port(32472)).changed == {"ported": "create"}
    finally:
        run("delete", "service", "taker")


def _existing() -> None:
    k8s.core.v1.ConfigMap("existing", metadata={"name": "existing"}, data={"mine": "1"})


@dataclass(slots=True)
class Patches:
    """A part of an object that is there, and the whole of one that is not."""

    value: str

    def __call__(self) -> None:
        for name in ("existing", "absent"):
            k8s.core.v1.ConfigMapPatch(
                f"{name}-patch",
                metadata={"name": name, "annotations": {"pulumi.com/patchForce": "true"}},
                data={"mine": self.value},
            )


def test_what_exists_is_not_taken_but_patched(cluster_stack: Stack, run: Callable[..., str]) -> None:
    def data(name: str) -> dict[str, str]:
        found = json.loads(run("get", "configmaps", "-o", "json"))["items"]
        return next(item.get("data", {}) for item in found if item["metadata"]["name"] == name)

    run("create", "configmap", "existing", "--from-literal=theirs=1")
    try:
        with pytest.raises(Failed, match='configmaps "existing" already exists'):
            cluster_stack.up(_existing)
        assert data("existing") == {"theirs": "1"}

        assert set(cluster_stack.up(Patches("1")).changed.values()) == {"create"}
        assert data("existing") == {"theirs": "1", "mine": "1"}
        assert data("absent") == {"mine": "1"}
        assert set(cluster_stack.up(Patches("2")).changed.values()) == {"update"}
        assert data("existing") == {"theirs": "1", "mine": "2"}
        cluster_stack.destroy()
        assert data("existing") == {"theirs": "1"}
    finally:
        run("delete", "configmap", "existing", "absent")


def _broken() -> None:
    labels = {"app": "broken"}
    container = {"name": "server", "image": "localhost/no-such-image:1", "imagePullPolicy": "Never"}
    deployment: Spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    k8s.apps.v1.Deployment(
        "broken",
        metadata={"name": "broken", "namespace": "default"},
        spec=deployment,
        opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="3s")),
    )


def test_a_rollout_that_fails_shows_the_pods_reason(cluster_stack: Stack) -> None:
    with pytest.raises(Failed) as failed:
        cluster_stack.up(_broken)
    assert "Deployment 'default/broken' was made, but did not become ready" in str(failed.value)
    assert "ErrImageNeverPull" in str(failed.value)
    assert cluster_stack.state()["broken"]["initErrors"]


def test_a_cluster_that_does_not_answer_stops_an_up_and_no_preview(
    cluster: Place, engine: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    del engine
    folder = tmp_path_factory.mktemp("silent")
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    silent = folder / "kubeconfig"
    silent.write_text(yaml.safe_dump(document))
    environment = {"KUBECONFIG": str(silent), "DOCKER_REGISTRY_SANDBOX_KUBECONFIG": str(silent)}
    stack = Stack(folder, environment)
    assert stack.preview(_existing).changed == {"existing": "create"}
    with pytest.raises(Failed, match="the Kubernetes cluster is unreachable"):
        stack.up(_existing)
