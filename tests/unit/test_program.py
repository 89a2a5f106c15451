"""The whole program on Pulumi's mocks: what it registers, field by field."""

from __future__ import annotations

import base64
import ipaddress
import json
from typing import Any

import pytest
import yaml

from docker_registry_stack import bundle
from tests.unit import program
from tests.unit.conftest import Deploy
from tests.unit.fakecluster import FakeCluster
from tests.unit.program import Graph

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"
NAMESPACE = "kubernetes:core/v1:Namespace"
SERVICE = "kubernetes:core/v1:Service"
ADDRESS = "kubernetes:docker-registry.internal/v1:RegistryAddress"
DEFINITION = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
ROLE = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"
BINDING = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
ACCOUNT = "kubernetes:core/v1:ServiceAccount"
REQUEST = "tls:index/certRequest:CertRequest"
CA = "tls:index/selfSignedCert:SelfSignedCert"
LEAF = "tls:index/locallySignedCert:LocallySignedCert"
KEY = "tls:index/privateKey:PrivateKey"


def volumes(graph: Graph) -> dict[str, dict[str, Any]]:
    return {volume["name"]: volume for volume in graph.pod()["volumes"]}


def mounts(graph: Graph, container: str) -> dict[str, tuple[str, bool]]:
    """Path -> volume and whether it is read-only."""
    found = graph.container(container)["volumeMounts"]
    return {mount["mountPath"]: (mount["name"], mount["readOnly"]) for mount in found}


def variables(graph: Graph, container: str) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in graph.container(container)["env"]}


def registry_config(graph: Graph) -> dict[str, Any]:
    return yaml.safe_load(graph.one(CONFIG_MAP, "registry-config").inputs["data"]["config.yml"])


def test_outputs_are_the_address_the_ca_the_namespace_and_where_the_data_is(deploy: Deploy) -> None:
    graph = deploy(externalHosts=["registry.example.com", "2001:db8::7"], namespace="images")
    assert graph.outputs == {
        "address": "registry.example.com:32000",
        "addresses": ["registry.example.com:32000", "[2001:db8::7]:32000"],
        "caCertificate": "certificate registry-certificates-ca",
        "namespace": "images",
        "data": "/var/lib/docker-registry on the node that runs the registry",
    }
    assert graph.secret_outputs == frozenset()


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
        "registry-certificates",
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
        (CONFIG_MAP, "registry-config"),
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


# Certificates


def test_the_certificate_covers_the_hosts_the_service_and_localhost(deploy: Deploy) -> None:
    hosts = ["registry.example.com", "192.0.2.1", "2001:db8::1", "localhost"]
    request = deploy(externalHosts=hosts, namespace="images").one(REQUEST).inputs
    assert request["dnsNames"] == [
        "registry.example.com",
        "localhost",
        "registry",
        "registry.images",
        "registry.images.svc",
        "registry.images.svc.cluster.local",
    ]
    assert request["ipAddresses"] == ["192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"]
    assert all(map(ipaddress.ip_address, request["ipAddresses"]))


def test_the_certificate_covers_the_nodes_when_no_host_is_given(deploy: Deploy) -> None:
    assert deploy().one(REQUEST).inputs["ipAddresses"][0] == "10.0.0.1"


def test_the_authority_signs_servers_alone_and_lasts(deploy: Deploy) -> None:
    ca = deploy().one(CA).inputs
    assert ca["isCaCertificate"] is True
    assert ca["setSubjectKeyId"] is True
    assert ca["maxPathLength"] == 0
    assert ca["allowedUses"] == ["cert_signing", "crl_signing"]
    assert ca["validityPeriodHours"] == 10 * 365 * 24
    assert ca["earlyRenewalHours"] == 365 * 24
    assert ca["subject"] == {"commonName": "docker-registry dev/registry", "organization": "docker-registry"}


def test_the_server_certificate_is_renewed_long_before_it_ends(deploy: Deploy) -> None:
    leaf = deploy().one(LEAF).inputs
    assert leaf["allowedUses"] == ["digital_signature", "server_auth"]
    assert leaf["validityPeriodHours"] == 825 * 24
    assert leaf["earlyRenewalHours"] == 180 * 24
    assert leaf["caCertPem"] == "certificate registry-certificates-ca"
    assert leaf["certRequestPem"] == "request registry-certificates-server-request"
    assert leaf["caPrivateKeyPem"] == "private key of registry-certificates-ca-key"
    assert not leaf.get("isCaCertificate")


def test_keys_are_elliptic_and_each_its_own(deploy: Deploy) -> None:
    keys = {key.name: key.inputs for key in deploy().all(KEY)}
    assert set(keys) == {
        "registry-certificates-ca-key",
        "registry-certificates-server-key",
        "registry-http-secret",
    }
    for name in ("registry-certificates-ca-key", "registry-certificates-server-key"):
        assert (keys[name]["algorithm"], keys[name]["ecdsaCurve"]) == ("ECDSA", "P256")


# Secrets


def test_no_key_leaves_a_secret(deploy: Deploy) -> None:
    graph = deploy()
    for resource in graph.resources:
        if "private key of" in json.dumps(resource.inputs):
            assert resource.type in {SECRET, REQUEST, CA, LEAF}, resource.name
            assert resource.secret_paths, resource.name
    assert "private key of" not in json.dumps(graph.outputs)


def test_the_tls_secret_holds_the_chain(deploy: Deploy) -> None:
    secret = deploy().one(SECRET, "registry-tls")
    assert secret.inputs["type"] == "kubernetes.io/tls"
    assert secret.inputs["stringData"] == {
        "tls.crt": "certificate registry-certificates-server",
        "tls.key": "private key of registry-certificates-server-key",
        "ca.crt": "certificate registry-certificates-ca",
    }
    assert secret.secret_paths == {"/stringData"}


def test_the_http_secret_is_a_digest_and_comes_from_its_secret(deploy: Deploy) -> None:
    graph = deploy()
    secret = graph.one(SECRET, "registry-http")
    assert secret.secret_paths == {"/stringData"}
    value = secret.inputs["stringData"]["secret"]
    assert len(bytes.fromhex(value)) == 32
    (entry,) = [e for e in graph.container("registry")["env"] if e["name"] == "REGISTRY_HTTP_SECRET"]
    assert entry == {
        "name": "REGISTRY_HTTP_SECRET",
        "valueFrom": {"secretKeyRef": {"name": "registry-http-0a1b2c3d", "key": "secret"}},
    }
    assert value not in json.dumps([r.inputs for r in graph.resources if r.type != SECRET])
    assert "secret" not in registry_config(graph)["http"]


# The registry's configuration


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
    assert config["http"]["tls"] == {
        "certificate": "/etc/registry-tls/tls.crt",
        "key": "/etc/registry-tls/tls.key",
        "minimumtls": "tls1.2",
    }


def test_the_cache_is_there_only_when_asked_for(deploy: Deploy) -> None:
    assert "cache" not in registry_config(deploy())["storage"]
    assert registry_config(deploy(cache="inmemory"))["storage"]["cache"] == {"blobdescriptor": "inmemory"}


# The pod


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
    assert not pod.get("initContainers")


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
    assert found["httpGet"] == {"path": "/v2/", "port": "https", "scheme": "HTTPS"}
    assert found["periodSeconds"] * found["failureThreshold"] == seconds


def test_the_data_lies_on_the_node(deploy: Deploy) -> None:
    graph = deploy(storage={"kind": "hostPath", "path": "/srv/images", "node": "n1"})
    assert volumes(graph)["data"]["hostPath"] == {"path": "/srv/images", "type": "DirectoryOrCreate"}
    required = graph.pod()["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required == {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]
    }


def test_the_gc_container(deploy: Deploy) -> None:
    graph = deploy(gcImage="registry.example.com/python:3.11")
    container = graph.container("gc")
    assert container["image"] == "registry.example.com/python:3.11"
    assert container["command"] == ["prune", "serve"]
    assert "args" not in container
    assert mounts(graph, "gc") == {
        "/var/lib/registry": ("data", False),
        "/etc/distribution": ("config", True),
        "/opt/prune/bin": ("prune", True),
        "/etc/registry-tls": ("ca", True),
        "/tmp": ("scratch", False),
        "/var/run/secrets/kubernetes.io/serviceaccount": ("cluster-access", True),
    }
    assert volumes(graph)["prune"]["configMap"] == {
        "name": "registry-pruner-program-0a1b2c3d",
        "defaultMode": 0o555,
    }
    assert volumes(graph)["ca"]["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    assert volumes(graph)["scratch"] == {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}}


def test_an_image_with_a_prune_of_its_own_wins_over_the_mounted_one(deploy: Deploy) -> None:
    path = variables(deploy(), "gc")["PATH"].split(":")
    assert path[-1] == "/opt/prune/bin"
    assert path.index("/usr/local/bin") < path.index("/opt/prune/bin")


def test_both_containers_read_the_same_configuration(deploy: Deploy) -> None:
    graph = deploy()
    assert mounts(graph, "gc")["/etc/distribution"] == mounts(graph, "registry")["/etc/distribution"]
    assert volumes(graph)["config"]["configMap"]["name"] == "registry-config-0a1b2c3d"
    assert variables(graph, "gc")["GC_CONFIG"] == "/etc/distribution/config.yml"


def test_the_bundle_is_what_the_pod_gets(deploy: Deploy) -> None:
    content = deploy().one(CONFIG_MAP, "registry-pruner-program").inputs["binaryData"]
    assert base64.b64decode(content["prune"]) == bundle.build()


def test_the_settings_reach_the_pruner_by_name(deploy: Deploy) -> None:
    graph = deploy(
        gcPeriod="2w",
        gcInitialDelay="0",
        gcGrace="90s",
        gcUntaggedAfter="1h30m",
        gcUploadsAfter="0.5",
        gcTrash="7d",
        gcMode="online",
        gcMaxFraction="0.25",
        gcProtectRunning=False,
        gcDanglingTags="remove",
        retention=[{"repositories": ["team/*"], "tags": ["*"], "keepLast": 3}],
    )
    found = {name: value for name, value in variables(graph, "gc").items() if name.startswith("GC_")}
    assert found == {
        "GC_CONFIG": "/etc/distribution/config.yml",
        "GC_MODE": "online",
        "GC_PERIOD": "1209600",
        "GC_INITIAL_DELAY": "0",
        "GC_GRACE": "90",
        "GC_UNTAGGED_AFTER": "5400",
        "GC_UPLOADS_AFTER": "0.5",
        "GC_TRASH": "604800",
        "GC_MAX_FRACTION": "0.25",
        "GC_PROTECT_RUNNING": "false",
        "GC_DANGLING_TAGS": "remove",
        "GC_RETENTION": '[{"keepLast":3,"repositories":["team/*"],"tags":["*"]}]',
    }


def test_another_spelling_of_a_duration_changes_nothing(deploy: Deploy) -> None:
    assert deploy(gcPeriod="7d").pod() == deploy(gcPeriod=604800).pod()


def test_two_runs_register_the_same(cluster: FakeCluster) -> None:
    assert cluster.nodes
    first, second = program.run({}, {}), program.run({}, {})
    assert {r.urn: r.inputs for r in first.resources} == {r.urn: r.inputs for r in second.resources}
    assert first.outputs == second.outputs


def test_in_readonly_mode_the_pruner_can_rewrite_the_configuration(deploy: Deploy) -> None:
    graph = deploy(gcMode="readonly")
    init = graph.container("config")
    assert init["command"] == [
        "prune",
        "init-config",
        "/etc/registry-config/config.yml",
        "/etc/distribution/config.yml",
    ]
    assert init["image"] == graph.container("gc")["image"]
    assert mounts(graph, "config") == {
        "/etc/registry-config": ("pristine-config", True),
        "/etc/distribution": ("config", False),
        "/opt/prune/bin": ("prune", True),
    }
    assert mounts(graph, "gc")["/etc/distribution"] == ("config", False)
    assert mounts(graph, "registry")["/etc/distribution"] == ("config", True)
    assert volumes(graph)["config"] == {"name": "config", "emptyDir": {"sizeLimit": "1Mi"}}
    assert volumes(graph)["pristine-config"]["configMap"]["name"] == "registry-config-0a1b2c3d"
    assert variables(graph, "gc")["GC_MODE"] == "readonly"


# Rights in the cluster


def test_the_pruner_may_list_what_names_an_image_and_nothing_else(deploy: Deploy) -> None:
    graph = deploy()
    assert graph.one(ROLE).inputs["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {
            "apiGroups": ["apps"],
            "resources": ["deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"],
            "verbs": ["list"],
        },
        {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": ["list"]},
    ]
    binding = graph.one(BINDING).inputs
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "registry-pruner-reader-0a1b2c3d",
    }
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "registry-pruner-account-0a1b2c3d", "namespace": "docker-registry"}
    ]
    assert graph.one(ACCOUNT).inputs["automountServiceAccountToken"] is False
    assert graph.pod()["serviceAccountName"] == "registry-pruner-account-0a1b2c3d"


def test_the_token_is_short_lived_and_the_gc_containers_alone(deploy: Deploy) -> None:
    graph = deploy()
    sources = volumes(graph)["cluster-access"]["projected"]["sources"]
    assert sources == [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    assert "cluster-access" not in [volume for volume, _ in mounts(graph, "registry").values()]


def test_without_protection_of_what_runs_there_are_no_rights_at_all(deploy: Deploy) -> None:
    graph = deploy(gcProtectRunning=False)
    assert not [*graph.all(ROLE), *graph.all(BINDING), *graph.all(ACCOUNT)]
    assert "serviceAccountName" not in graph.pod()
    assert "cluster-access" not in volumes(graph)
    assert "/var/run/secrets/kubernetes.io/serviceaccount" not in mounts(graph, "gc")
    assert variables(graph, "gc")["GC_PROTECT_RUNNING"] == "false"


# Service and address


def test_the_service_opens_the_node_port(deploy: Deploy) -> None:
    graph = deploy(nodePort=31234)
    service = graph.one(SERVICE)
    assert service.inputs["metadata"]["name"] == "registry"
    assert service.inputs["spec"]["type"] == "NodePort"
    assert service.inputs["spec"]["publishNotReadyAddresses"], "whatever becomes of the pruner"
    assert service.inputs["spec"]["ports"] == [
        {"name": "https", "port": 5000, "targetPort": "https", "nodePort": 31234}
    ]
    template = graph.one(DEPLOYMENT).inputs["spec"]["template"]
    assert service.inputs["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert service.delete_before_replace


def test_the_address_is_published_in_the_cluster(deploy: Deploy) -> None:
    graph = deploy(externalHosts=["registry.example.com", "192.0.2.1"], namespace="images")
    address = graph.one(ADDRESS)
    assert address.inputs["metadata"]["name"] == "registry"
    assert address.inputs["apiVersion"] == "docker-registry.internal/v1"
    assert address.inputs["kind"] == "RegistryAddress"
    assert address.inputs["spec"] == {
        "address": "registry.example.com:32000",
        "addresses": ["registry.example.com:32000", "192.0.2.1:32000"],
        "caBundle": "certificate registry-certificates-ca",
        "serviceRef": {"name": "registry", "namespace": "images", "port": 5000},
    }
    assert graph.one(DEFINITION).urn in address.dependencies
    assert address.inputs["spec"]["address"] == graph.outputs["address"]
    assert address.inputs["spec"]["addresses"] == graph.outputs["addresses"]
    assert address.inputs["spec"]["caBundle"] == graph.outputs["caCertificate"]


def test_the_definition_has_a_structural_schema_and_columns(deploy: Deploy) -> None:
    inputs = deploy().one(DEFINITION).inputs
    assert inputs["metadata"]["name"] == "registryaddresses.docker-registry.internal"
    assert inputs["metadata"]["annotations"] == {
        "docker-registry.internal/owned-by": "organization/docker-registry/dev"
    }
    spec = inputs["spec"]
    assert (spec["group"], spec["scope"]) == ("docker-registry.internal", "Namespaced")
    assert spec["names"] == {
        "kind": "RegistryAddress",
        "listKind": "RegistryAddressList",
        "plural": "registryaddresses",
        "singular": "registryaddress",
    }
    (version,) = spec["versions"]
    assert (version["name"], version["served"], version["storage"]) == ("v1", True, True)
    assert [(c["name"], c["jsonPath"]) for c in version["additionalPrinterColumns"]] == [
        ("Address", ".spec.address"),
        ("Addresses", ".spec.addresses"),
        ("Service", ".spec.serviceRef.name"),
        ("Age", ".metadata.creationTimestamp"),
    ]
    schema = version["schema"]["openAPIV3Schema"]
    _assert_structural(schema, "")
    assert schema["properties"]["spec"]["required"] == ["address", "addresses", "caBundle", "serviceRef"]


def _assert_structural(schema: dict[str, Any], where: str) -> None:
    """Every field has a type, and every array its items: what the API server asks of a v1 definition."""
    assert schema["type"] in {"object", "array", "string", "integer"}, where
    assert schema["description"], where
    assert ("items" in schema) == (schema["type"] == "array"), where
    for name, field in schema.get("properties", {}).items():
        _assert_structural(field, f"{where}.{name}")
    if "items" in schema:
        _assert_structural(schema["items"], f"{where}[]")
