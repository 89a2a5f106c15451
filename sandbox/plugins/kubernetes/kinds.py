"""Kinds of objects: from Pulumi's type tokens, and what is known of a kind without asking a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.plugins.differences import Path
from sandbox.plugins.protocol import PluginError
from sandbox.plugins.values import Properties


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of objects; the core group is the empty string. A `patch` resource owns a part of its object."""

    group: str
    version: str
    kind: str
    patch: bool = False

    @property
    def api_version(self) -> str:
        """As objects say it: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def is_core(self, *kinds: str) -> bool:
        """Whether this is one of these kinds of the core group."""
        return self.group == "" and self.kind in kinds

    def is_definition(self) -> bool:
        """Whether this is the kind CustomResourceDefinition."""
        return self.group == "apiextensions.k8s.io" and self.kind == "CustomResourceDefinition"

    def __str__(self) -> str:
        return f"{self.api_version}/{self.kind}"


def kind_of(token: str, inputs: Properties) -> Kind:
    """The kind behind a token such as `kubernetes:apps/v1:Deployment` or `kubernetes:core/v1:ConfigMapPatch`.

    Raises PluginError for a token that stands for no object (a Helm release, a list).
    """
    _, module, name = token.split(":", 2)
    group, _, version = module.rpartition("/")
    stated = inputs.get("kind")
    if group in ("", "helm.sh", "yaml", "kustomize") or (name.endswith("List") and "items" in inputs):
        raise PluginError(f"the sandbox's kubernetes plugin makes single objects, and {token} is none")
    patch = name.endswith("Patch") and stated != name
    kind = stated if isinstance(stated, str) else name.removesuffix("Patch") if patch else name
    return Kind("" if group == "core" else group, version, kind, patch)


# Kinds without a namespace, for when no cluster can be asked.
_CLUSTER_SCOPED = frozenset(
    {
        ("", "Namespace"),
        ("", "Node"),
        ("", "PersistentVolume"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
        ("networking.k8s.io", "IngressClass"),
        ("node.k8s.io", "RuntimeClass"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "CSIDriver"),
        ("storage.k8s.io", "StorageClass"),
    }
)


def assumed_namespaced(kind: Kind) -> bool:
    """Whether objects of the kind lie in a namespace, as far as can be told without a cluster."""
    return (kind.group, kind.kind) not in _CLUSTER_SCOPED


_IDENTITY: tuple[Path, ...] = (("metadata", "name"), ("metadata", "namespace"))
_CONTAINER = (
    *("args", "command", "env", "imagePullPolicy", "image", "lifecycle", "livenessProbe", "ports"),
    *("readinessProbe", "resources", "securityContext", "stdin", "stdinOnce", "terminationMessagePath"),
    *("terminationMessagePolicy", "tty", "volumeDevices", "volumeMounts", "workingDir"),
)
_POD = (
    *("affinity", "automountServiceAccountToken", "dnsConfig", "dnsPolicy", "enableServiceLinks"),
    *("hostAliases", "hostIPC", "hostNetwork", "hostPID", "hostname", "imagePullSecrets", "nodeName"),
    *("nodeSelector", "overhead", "preemptionPolicy", "priority", "priorityClassName", "readinessGates"),
    *("restartPolicy", "runtimeClassName", "schedulerName", "securityContext", "serviceAccount"),
    *("serviceAccountName", "shareProcessNamespace", "subdomain", "terminationGracePeriodSeconds", "volumes"),
)
_VOLUME_SOURCES = ("csi", "fc", "hostPath", "iscsi", "local", "nfs")

# Fields that no update may change, so that the object is made anew: those that the official plugin lists.
_REPLACING: dict[tuple[str, str], tuple[Path, ...]] = {
    ("", "PersistentVolume"): tuple(("spec", source) for source in _VOLUME_SOURCES),
    ("", "PersistentVolumeClaim"): (
        ("spec", "accessModes"),
        ("spec", "selector"),
        ("spec", "storageClassName"),
        ("spec", "volumeName"),
    ),
    ("", "Pod"): (
        *(("spec", field) for field in _POD),
        *(("spec", "containers", "*", field) for field in _CONTAINER),
        *(("spec", "initContainers", "*", field) for field in _CONTAINER),
    ),
    ("", "ResourceQuota"): (("spec", "scopes"),),
    ("", "Service"): (("spec", "clusterIP"),),
    ("apps", "DaemonSet"): (("spec", "selector"),),
    ("apps", "Deployment"): (("spec", "selector"),),
    ("apps", "StatefulSet"): (
        ("spec", "podManagementPolicy"),
        ("spec", "revisionHistoryLimit"),
        ("spec", "selector"),
        ("spec", "serviceName"),
        ("spec", "volumeClaimTemplates"),
    ),
    ("batch", "Job"): (
        ("spec", "completions"),
        ("spec", "parallelism"),
        ("spec", "selector"),
        ("spec", "template"),
    ),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (("roleRef",),),
    ("rbac.authorization.k8s.io", "RoleBinding"): (("roleRef",),),
    ("storage.k8s.io", "StorageClass"): (("parameters",), ("provisioner",)),
}


def replacing(kind: Kind, inputs: Properties, mutable: frozenset[str]) -> tuple[Path, ...]:
    """The fields whose change makes a new object. `mutable` has the kinds whose data may change in place."""
    if kind.patch:
        return _IDENTITY
    fixed = kind.kind not in mutable or inputs.get("immutable") is True
    if kind.is_core("ConfigMap"):
        return (*_IDENTITY, ("data",), ("binaryData",)) if fixed else _IDENTITY
    if kind.is_core("Secret"):
        return (*_IDENTITY, ("type",), *((("data",), ("stringData",)) if fixed else ()))
    return _IDENTITY + _REPLACING.get((kind.group, kind.kind), ())
