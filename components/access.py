"""The service account of the pod: what it may do in the cluster, and the token that some containers get."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from . import definition
from .cluster import SERVICE

TOKEN = "cluster-access"
"""The volume with the token."""

TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"

# What tells this cluster from another: the UID of the namespace that every cluster has from its beginning.
_IDENTITY = k8s.rbac.v1.PolicyRuleArgs(
    api_groups=[""], resources=["namespaces"], resource_names=["kube-system"], verbs=["get"]
)

# What names an image: the workloads, the revisions kept for a rollback, and the pods themselves.
_READABLE = (
    ("", ["pods", "podtemplates", "replicationcontrollers"]),
    ("apps", ["deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"]),
    ("batch", ["jobs", "cronjobs"]),
)

_LEASES = k8s.rbac.v1.PolicyRuleArgs(
    api_groups=["coordination.k8s.io"], resources=["leases"], verbs=["get", "create", "update", "patch"]
)

Marks = Mapping[str, pulumi.Input[str]]


def account(
    name: str,
    *,
    namespace: pulumi.Input[str],
    record: pulumi.Input[str],
    deployment: str,
    protect_running: bool,
    of_bucket: bool,
    annotations: Mapping[str, str],
    marks: Marks,
    child: pulumi.ResourceOptions,
) -> pulumi.Output[str]:
    """A service account that may read and patch the ConfigMap `record`, write the status of its own address
    and Events of its `deployment`, tell the cluster, and little else.

    To protect what runs it may also list what names an image, in every namespace; with the images `of_bucket`
    it holds a Lease, as no lock of a file does. By its `annotations` a cloud gives it a role.
    """
    made = k8s.core.v1.ServiceAccount(
        f"{name}-account",
        metadata=k8s.meta.v1.ObjectMetaArgs(
            namespace=namespace, labels=marks, annotations=dict(annotations) or None
        ),
        automount_service_account_token=False,
        opts=child,
    )
    subjects = [
        k8s.rbac.v1.SubjectArgs(
            kind="ServiceAccount", name=made.metadata.name, namespace=made.metadata.namespace
        )
    ]
    listing = [
        k8s.rbac.v1.PolicyRuleArgs(api_groups=[group], resources=resources, verbs=["list"])
        for group, resources in _READABLE
    ]
    # Named by the provider, like its binding: neither has a namespace to keep two stacks apart.
    reader = k8s.rbac.v1.ClusterRole(
        f"{name}-reader",
        metadata=k8s.meta.v1.ObjectMetaArgs(labels=marks),
        rules=[_IDENTITY, *(listing if protect_running else [])],
        opts=child,
    )
    k8s.rbac.v1.ClusterRoleBinding(
        f"{name}-reader",
        metadata=k8s.meta.v1.ObjectMetaArgs(labels=marks),
        role_ref=role("ClusterRole", reader.metadata.name),
        subjects=subjects,
        opts=child,
    )
    keeper = k8s.rbac.v1.Role(
        f"{name}-record",
        metadata=k8s.meta.v1.ObjectMetaArgs(namespace=namespace, labels=marks),
        rules=[
            k8s.rbac.v1.PolicyRuleArgs(
                api_groups=[""], resources=["configmaps"], resource_names=[record], verbs=["get", "patch"]
            ),
            _rule(definition.GROUP, definition.PLURAL, "get", SERVICE),
            _rule(definition.GROUP, f"{definition.PLURAL}/status", "patch", SERVICE),
            _rule("apps", "deployments", "get", deployment),
            # What is created has no name yet that a rule could be about.
            _rule("", "events", "create"),
            *([_LEASES] if of_bucket else []),
        ],
        opts=child,
    )
    k8s.rbac.v1.RoleBinding(
        f"{name}-record",
        metadata=k8s.meta.v1.ObjectMetaArgs(namespace=namespace, labels=marks),
        role_ref=role("Role", keeper.metadata.name),
        subjects=subjects,
        opts=child,
    )
    return made.metadata.name


def _rule(group: str, resource: str, verb: str, name: str | None = None) -> k8s.rbac.v1.PolicyRuleArgs:
    return k8s.rbac.v1.PolicyRuleArgs(
        api_groups=[group], resources=[resource], verbs=[verb], resource_names=[name] if name else None
    )


def role(kind: str, name: pulumi.Input[str]) -> k8s.rbac.v1.RoleRefArgs:
    """What a binding refers to."""
    return k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind=kind, name=name)


def token_volume() -> k8s.core.v1.VolumeArgs:
    """What an automatic mount would hold, for the containers that mount it."""
    return k8s.core.v1.VolumeArgs(
        name=TOKEN,
        projected=k8s.core.v1.ProjectedVolumeSourceArgs(
            default_mode=0o444,
            sources=[
                k8s.core.v1.VolumeProjectionArgs(
                    service_account_token=k8s.core.v1.ServiceAccountTokenProjectionArgs(
                        path="token", expiration_seconds=3600
                    )
                ),
                k8s.core.v1.VolumeProjectionArgs(
                    config_map=k8s.core.v1.ConfigMapProjectionArgs(
                        name="kube-root-ca.crt",
                        items=[k8s.core.v1.KeyToPathArgs(key="ca.crt", path="ca.crt")],
                    )
                ),
                k8s.core.v1.VolumeProjectionArgs(
                    downward_api=k8s.core.v1.DownwardAPIProjectionArgs(
                        items=[
                            k8s.core.v1.DownwardAPIVolumeFileArgs(
                                path="namespace",
                                field_ref=k8s.core.v1.ObjectFieldSelectorArgs(
                                    field_path="metadata.namespace"
                                ),
                            )
                        ]
                    )
                ),
            ],
        ),
    )
