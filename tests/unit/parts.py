"""What the graph of a registry is made of, by kind, and the parts of its pod."""

from __future__ import annotations

from typing import Any, cast

import yaml

from tests.unit.program import Graph

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"
NAMESPACE = "kubernetes:core/v1:Namespace"
SERVICE = "kubernetes:core/v1:Service"
ADDRESS = "kubernetes:docker-registry.internal/v1:RegistryAddress"
DEFINITION = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinitionPatch"
ROLE = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"
BINDING = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
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
    return yaml.safe_load(graph.one(SECRET, "registry-config").inputs["stringData"]["config.yml"])


def assert_hidden(graph: Graph, secret: str) -> None:
    """Whoever has the text has it marked as a secret, and no ConfigMap has it."""
    for resource in graph.resources:
        for path in _where(resource.inputs, secret, ""):
            assert any(path.startswith(marked) for marked in resource.secret_paths), (resource.name, path)
            assert resource.type != CONFIG_MAP


def _where(value: Any, wanted: str, path: str) -> list[str]:
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return [found for key, entry in entries.items() for found in _where(entry, wanted, f"{path}/{key}")]
    if isinstance(value, list):
        return [found for entry in cast("list[Any]", value) for found in _where(entry, wanted, path)]
    return [path] if wanted in str(value) else []
