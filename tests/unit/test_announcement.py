"""What others in the cluster find: whom to trust, where the registry is, and nodes that trust it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from docker_registry_stack import DockerRegistry, DockerRegistryArgs, SettingsError
from docker_registry_stack.addresses import Node
from docker_registry_stack.args import NodeTrust
from docker_registry_stack.nodes import installer
from docker_registry_stack.nodes.folders import usual
from tests.unit import fakecluster, program
from tests.unit.conftest import Deploy
from tests.unit.fakecluster import FakeCluster
from tests.unit.parts import CONFIG_MAP, NAMESPACE
from tests.unit.program import Graph, read

DAEMON_SET = "kubernetes:apps/v1:DaemonSet"
HOSTING = "kubernetes:core/v1:ConfigMapPatch"
TRUSTED = {"enabled": True}


def pod(graph: Graph) -> dict[str, Any]:
    return graph.one(DAEMON_SET).inputs["spec"]["template"]["spec"]


def variables(graph: Graph) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in pod(graph)["containers"][0]["env"]}


def test_nothing_lies_in_namespaces_of_others_by_default(deploy: Deploy) -> None:
    graph = deploy()
    assert graph.all(DAEMON_SET) == graph.all(HOSTING) == []
    assert [each.name for each in graph.all(NAMESPACE)] == ["registry-namespace"]
    assert {each.inputs["metadata"]["namespace"] for each in graph.all(CONFIG_MAP)} == {"docker-registry"}


def test_whom_to_trust_lies_in_the_namespaces_that_are_named(deploy: Deploy) -> None:
    graph = deploy(caNamespaces=["cert-manager", "kube-system"], namespace="images")
    found = [
        each.inputs for each in graph.all(CONFIG_MAP) if each.inputs["metadata"].get("name") == "images-ca"
    ]
    assert {each["metadata"]["namespace"] for each in found} == {"images", "cert-manager", "kube-system"}
    assert {each["data"]["ca.crt"] for each in found} == {graph.outputs["caCertificate"]}
    assert not any(each.get("immutable") for each in found), "they change in place"


@pytest.mark.parametrize(
    ("namespaces", "sentence"),
    [
        ("cert-manager", "is not JSON"),
        (["Cert"], "'Cert' is not a namespace"),
        (["a", "a"], "'a' has it already"),
        (["docker-registry"], "'docker-registry' has it already"),
        ({"a": 1}, "is not a namespace"),
    ],
)
def test_namespaces_that_are_none_are_refused(namespaces: object, sentence: str) -> None:
    with pytest.raises(SettingsError, match=f"caNamespaces: .*({sentence})"):
        read(caNamespaces=namespaces)


def test_tools_are_told_of_the_registry_in_all_four_fields(deploy: Deploy) -> None:
    graph = deploy(
        localRegistryHosting="https://wiki.example.com/registry", externalHosts=["registry.example.com"]
    )
    patch = graph.one(HOSTING).inputs
    assert patch["metadata"] == {
        "name": "local-registry-hosting",
        "namespace": "kube-public",
        "annotations": {"pulumi.com/patchForce": "true"},
    }
    (content,) = patch["data"].items()
    assert content[0] == "localRegistryHosting.v1"
    assert yaml.safe_load(content[1]) == {
        "host": "registry.example.com:32000",
        "hostFromContainerRuntime": "registry.example.com:32000",
        "hostFromClusterNetwork": "registry.docker-registry.svc:5000",
        "help": "https://wiki.example.com/registry",
    }


@pytest.mark.parametrize("link", ["true", "wiki.example.com", "https://", "ftp://a/b", "https://a b"])
def test_a_link_that_is_none_is_refused(link: str) -> None:
    with pytest.raises(
        SettingsError, match=r"localRegistryHosting: .* is not a link: give one that begins with"
    ):
        read(localRegistryHosting=link)


def test_every_node_gets_a_pod_in_a_namespace_of_its_own(deploy: Deploy) -> None:
    graph = deploy(nodeTrust=TRUSTED, storage={"kind": "persistentVolumeClaim", "size": "1Gi"})
    own = graph.one(NAMESPACE, "registry-nodes-namespace").inputs["metadata"]
    assert own["name"] == "docker-registry-nodes"
    assert own["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    registrys = graph.one("kubernetes:core/v1:NamespacePatch", "registry-namespace").inputs["metadata"]
    assert registrys["labels"]["pod-security.kubernetes.io/enforce"] == "restricted", "it keeps its level"
    daemon_set = graph.one(DAEMON_SET).inputs
    assert daemon_set["metadata"]["namespace"] == "docker-registry-nodes"
    assert pod(graph)["tolerations"] == [{"operator": "Exists"}], "of every taint"
    assert daemon_set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == "100%"
    selector = daemon_set["spec"]["selector"]["matchLabels"]
    assert selector.items() <= daemon_set["spec"]["template"]["metadata"]["labels"].items()


def test_its_image_is_pulled_with_the_registrys_login_and_it_runs_on_every_node(deploy: Deploy) -> None:
    own = {
        "imagePullSecrets": ["mirror"],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "dedicated", "value": "registry"}],
        "priorityClassName": "high",
    }
    found = pod(deploy(nodeTrust=TRUSTED, pod=own))
    assert found["imagePullSecrets"] == [{"name": "mirror"}]
    assert found["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert found["tolerations"] == [{"operator": "Exists"}], "of every taint, and so of theirs"
    assert "priorityClassName" not in found
    assert "imagePullSecrets" not in pod(deploy(nodeTrust=TRUSTED))


def test_it_writes_to_folders_of_certificates_and_nothing_else(deploy: Deploy) -> None:
    graph = deploy(nodeTrust=TRUSTED)
    hosts = {v["name"]: v["hostPath"]["path"] for v in pod(graph)["volumes"] if "hostPath" in v}
    mounts = {m["name"]: m for m in pod(graph)["containers"][0]["volumeMounts"]}
    writable = {path for name, path in hosts.items() if not mounts[name]["readOnly"]}
    assert writable == {"/etc/containerd/certs.d", "/etc/docker/certs.d", "/etc/containers/certs.d"}
    assert set(hosts.values()) - writable == {"/etc/containerd"}
    assert variables(graph)["TRUST_FOLDERS"].split(":") == list(usual([]))
    for name, path in hosts.items():
        assert mounts[name]["mountPath"] == f"{variables(graph)['TRUST_ROOT']}{path}"
    security = pod(graph)["containers"][0]["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["readOnlyRootFilesystem"] is True
    assert not pod(graph).get("hostNetwork")
    assert not pod(graph).get("hostPID")


def test_it_knows_addresses_and_authorities_and_a_new_one_rolls_it(deploy: Deploy) -> None:
    graph = deploy(nodeTrust=TRUSTED, externalHosts=["a.example", "2001:db8::1"])
    assert variables(graph)["TRUST_ADDRESSES"] == "a.example:32000,[2001:db8::1]:32000"
    assert variables(graph)["TRUST_NAME"] == "docker-registry.crt"
    brought = graph.one(CONFIG_MAP, "registry-nodes-program").inputs
    assert brought["immutable"] is True
    assert "name" not in brought["metadata"]
    assert brought["data"]["ca.crt"] == graph.outputs["caCertificate"]
    assert brought["data"]["installer.py"] == Path(installer.__file__).read_text(encoding="utf-8")
    both = deploy(nodeTrust=TRUSTED, tls={"authorities": [1, 2]}).one(CONFIG_MAP, "registry-nodes-program")
    turned = deploy(nodeTrust=TRUSTED, tls={"authorities": [2, 1]}).one(CONFIG_MAP, "registry-nodes-program")
    assert both.inputs == turned.inputs, "what clients trust is the same while another one begins to sign"


def test_what_it_asks_the_cluster_by_outlives_it(deploy: Deploy) -> None:
    """Deleted in the reverse order, so that a pod can still ask whether its DaemonSet goes."""
    graph = deploy(nodeTrust=TRUSTED)
    daemon_set = graph.one(DAEMON_SET)
    needed = {
        each.urn
        for each in graph.resources
        if each.name in ("registry-nodes-going", "registry-nodes-runtime", "registry-nodes-account")
    }
    assert len(needed) == 5
    assert needed <= set(daemon_set.dependencies)
    (role,) = [
        r for r in graph.all("kubernetes:rbac.authorization.k8s.io/v1:Role") if r.name.endswith("going")
    ]
    assert role.inputs["rules"] == [
        {"apiGroups": ["apps"], "resources": ["daemonsets"], "resourceNames": ["trust"], "verbs": ["get"]}
    ]
    assert daemon_set.inputs["metadata"]["name"] == "trust"
    assert variables(graph)["TRUST_DAEMONSET"] == "docker-registry-nodes/trust"
    assert "pulumi.com/deletionPropagationPolicy" not in json.dumps(daemon_set.inputs)


def test_the_folders_of_k3s_and_rke2_are_there_where_the_nodes_are_theirs(cluster: FakeCluster) -> None:
    cluster.nodes = [
        fakecluster.node("a", InternalIP="10.0.0.1"),
        fakecluster.node("b", InternalIP="10.0.0.2"),
    ]
    cluster.nodes[1]["status"]["nodeInfo"] = {"kubeletVersion": "v1.33.4+k3s1"}
    graph = program.run({"nodeTrust": TRUSTED, "storage": {"node": "a"}}, {})
    k3s = "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"
    assert variables(graph)["TRUST_FOLDERS"].split(":") == [*usual([]), k3s]
    assert usual(["v1.33.4+rke2r1"])[-1] == "/var/lib/rancher/rke2/agent/etc/containerd/certs.d"
    assert Node("a", True, (), ()).kubelet == ""


def test_other_folders_take_the_place_of_the_usual_ones(deploy: Deploy) -> None:
    graph = deploy(nodeTrust={"enabled": True, "folders": ["/var/snap/microk8s/current/args/certs.d"]})
    hosts = [v["hostPath"]["path"] for v in pod(graph)["volumes"] if "hostPath" in v]
    assert hosts == ["/var/snap/microk8s/current/args/certs.d"]


@pytest.mark.parametrize(
    ("trust", "sentence"),
    [
        ({"enabled": "maybe"}, "'maybe' is not known"),
        ({"folders": ["/srv"]}, "folders are given and it is not enabled"),
        ({"enabled": True, "folders": []}, "give a list of absolute paths"),
        ({"enabled": True, "folders": ["certs.d"]}, "give an absolute path"),
        ({"enabled": True, "folders": ["/a", "/a/"]}, "names one twice"),
        ({"on": True}, "'on' is not a key here: the keys are enabled, folders"),
    ],
)
def test_what_is_wrong_with_it_is_told(trust: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=f"nodeTrust: .*{sentence}"):
        read(nodeTrust=trust)


def test_a_namespace_whose_neighbour_would_have_too_long_a_name_is_refused() -> None:
    read(nodeTrust=TRUSTED, namespace="n" * 57)
    with pytest.raises(SettingsError, match=r"nodeTrust: .* more than 63 characters: shorten namespace"):
        read(nodeTrust=TRUSTED, namespace="n" * 58)


def test_it_works_with_what_another_resource_gives(cluster: FakeCluster) -> None:
    assert cluster.nodes

    def main() -> None:
        args = DockerRegistryArgs(
            namespace=pulumi.Output.from_input("images"), node_trust=NodeTrust(enabled=True)
        )
        DockerRegistry("images", args)

    graph = program.run({}, {}, main)
    assert graph.one(NAMESPACE, "images-nodes-namespace").inputs["metadata"]["name"] == "images-nodes"
    assert variables(graph)["TRUST_NAME"] == "images.crt"
