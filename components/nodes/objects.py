"""The DaemonSet that has every node trust the registry, in a namespace of its own.

A hostPath would cost the registry's namespace its Pod Security level. A pod takes away what it installed only
when its DaemonSet is deleted, and asks the API server for that, so what it asks by has to outlive it: the
DaemonSet depends on its rights, and Pulumi deletes in the foreground, after the last pod.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

from .. import access, pod, trust
from ..labels import Labels
from ..settings import Settings
from .folders import SUFFIX

_NAME = "trust"
_PROGRAM, _PROGRAM_FOLDER = "installer.py", "/opt/trust"
_READY, _READY_FOLDER = "/run/trust/ready", "/run/trust"
_HOST = "/host"
_CONFIG_FOLDER = "/etc/containerd"
_SECONDS_TO_END = 45


class NodeTrust(pulumi.ComponentResource):
    """A namespace with a pod for each node, tainted and new ones too."""

    namespace: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        folders: Sequence[str],
        labels: Labels,
        addresses: pulumi.Input[Sequence[str]],
        ca_pem: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Has nodes trust `addresses` (host:port) by `ca_pem`, in `folders` as the nodes call them."""
        super().__init__("docker-registry:index:NodeTrust", name, {"folders": list(folders)}, opts)
        child = pulumi.ResourceOptions(parent=self)
        marks = labels.of("node-trust")
        own = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=pulumi.Output.concat(settings.namespace, SUFFIX),
                labels={**marks, "pod-security.kubernetes.io/enforce": "privileged"},
            ),
            opts=child,
        )
        home = own.metadata.name
        metadata = k8s.meta.v1.ObjectMetaArgs(namespace=home, labels=marks)
        # Named by the provider: another authority or program is another name, which rolls the pods, so that
        # an `up` ends when every node has it.
        program = k8s.core.v1.ConfigMap(
            f"{name}-program",
            metadata=metadata,
            data={
                _PROGRAM: Path(__file__).with_name(_PROGRAM).read_text(encoding="utf-8"),
                trust.CA_FILE: ca_pem,
            },
            immutable=True,
            opts=child,
        )
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account", metadata=metadata, automount_service_account_token=False, opts=child
        )
        rights = _rights(name, account, metadata, child)
        variables: dict[str, pulumi.Input[str]] = {
            "PYTHONUNBUFFERED": "1",
            "TRUST_ADDRESSES": pulumi.Output.from_input(addresses).apply(",".join),
            "TRUST_FOLDERS": ":".join(folders),
            "TRUST_NAME": pulumi.Output.concat(settings.namespace, ".crt"),
            "TRUST_CA": f"{_PROGRAM_FOLDER}/{trust.CA_FILE}",
            "TRUST_READY": _READY,
            "TRUST_ROOT": _HOST,
            "TRUST_ACCOUNT": access.TOKEN_FOLDER,
            "TRUST_DAEMONSET": pulumi.Output.concat(home, "/", _NAME),
        }
        k8s.apps.v1.DaemonSet(
            name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=_NAME, namespace=home, labels=marks),
            spec=k8s.apps.v1.DaemonSetSpecArgs(
                selector=k8s.meta.v1.LabelSelectorArgs(
                    match_labels={"app.kubernetes.io/component": "node-trust"}
                ),
                # Nothing is without trust while a pod is exchanged: the file stays.
                update_strategy=k8s.apps.v1.DaemonSetUpdateStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDaemonSetArgs(max_unavailable="100%"),
                ),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(labels=marks),
                    spec=_pod(settings, folders, account.metadata.name, program, variables),
                ),
            ),
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=rights)),
        )
        self.namespace = home
        self.register_outputs({"namespace": self.namespace})


def _rights(
    name: str,
    account: k8s.core.v1.ServiceAccount,
    metadata: k8s.meta.v1.ObjectMetaArgs,
    child: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """To see whether its DaemonSet is going, and which runtime a node has; nothing else."""
    subjects = [
        k8s.rbac.v1.SubjectArgs(
            kind="ServiceAccount", name=account.metadata.name, namespace=account.metadata.namespace
        )
    ]
    going = k8s.rbac.v1.Role(
        f"{name}-going",
        metadata=metadata,
        rules=[
            k8s.rbac.v1.PolicyRuleArgs(
                api_groups=["apps"], resources=["daemonsets"], resource_names=[_NAME], verbs=["get"]
            )
        ],
        opts=child,
    )
    runtime = k8s.rbac.v1.ClusterRole(
        f"{name}-runtime",
        metadata=k8s.meta.v1.ObjectMetaArgs(labels=metadata.labels),
        rules=[k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["nodes"], verbs=["get"])],
        opts=child,
    )
    return [
        going,
        runtime,
        k8s.rbac.v1.RoleBinding(
            f"{name}-going",
            metadata=metadata,
            role_ref=access.role("Role", going.metadata.name),
            subjects=subjects,
            opts=child,
        ),
        k8s.rbac.v1.ClusterRoleBinding(
            f"{name}-runtime",
            metadata=k8s.meta.v1.ObjectMetaArgs(labels=metadata.labels),
            role_ref=access.role("ClusterRole", runtime.metadata.name),
            subjects=subjects,
            opts=child,
        ),
    ]


def _pod(
    settings: Settings,
    folders: Sequence[str],
    account: pulumi.Input[str],
    program: k8s.core.v1.ConfigMap,
    variables: dict[str, pulumi.Input[str]],
) -> k8s.core.v1.PodSpecArgs:
    # The configuration of containerd is looked at, its folder of certificates written to.
    reads = [_CONFIG_FOLDER] if any(each.startswith(f"{_CONFIG_FOLDER}/") for each in folders) else []
    on_node = {path: f"node-{number}" for number, path in enumerate([*reads, *folders])}
    return k8s.core.v1.PodSpecArgs(
        service_account_name=account,
        automount_service_account_token=False,
        enable_service_links=False,
        # Its image is one of the registry's pod, so it may need the same login; nothing else of where that
        # pod runs holds for one on every node.
        image_pull_secrets=settings.pod.placement["image_pull_secrets"],
        termination_grace_period_seconds=_SECONDS_TO_END,
        # Whatever a node is tainted with, it pulls images.
        tolerations=[k8s.core.v1.TolerationArgs(operator="Exists")],
        node_selector={"kubernetes.io/os": "linux"},
        security_context=k8s.core.v1.PodSecurityContextArgs(
            # The folders are root's. On a node with SELinux no other type may write there.
            run_as_user=0,
            run_as_group=0,
            se_linux_options=k8s.core.v1.SELinuxOptionsArgs(type="spc_t"),
            seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        containers=[
            k8s.core.v1.ContainerArgs(
                name="trust",
                image=settings.gc_image,
                image_pull_policy="IfNotPresent",
                command=["python3", f"{_PROGRAM_FOLDER}/{_PROGRAM}"],
                env=[
                    k8s.core.v1.EnvVarArgs(
                        name="NODE_NAME",
                        value_from=k8s.core.v1.EnvVarSourceArgs(
                            field_ref=k8s.core.v1.ObjectFieldSelectorArgs(field_path="spec.nodeName")
                        ),
                    ),
                    *(k8s.core.v1.EnvVarArgs(name=key, value=value) for key, value in variables.items()),
                ],
                # Asked until it has done its work once, so that an `up` ends when every node has it.
                startup_probe=k8s.core.v1.ProbeArgs(
                    exec_=k8s.core.v1.ExecActionArgs(command=["python3", "-c", f"open({_READY!r})"]),
                    period_seconds=1,
                    timeout_seconds=10,
                    failure_threshold=600,
                ),
                resources=k8s.core.v1.ResourceRequirementsArgs(
                    requests={"cpu": "1m", "memory": "24Mi"}, limits={"cpu": "200m", "memory": "64Mi"}
                ),
                security_context=pod.container_security(),
                volume_mounts=[
                    pod.mount("program", _PROGRAM_FOLDER, read_only=True),
                    pod.mount("ready", _READY_FOLDER, read_only=False),
                    pod.mount(access.TOKEN, access.TOKEN_FOLDER, read_only=True),
                    *(
                        pod.mount(volume, f"{_HOST}{path}", read_only=path in reads)
                        for path, volume in on_node.items()
                    ),
                ],
            )
        ],
        volumes=[
            pod.config_map_volume("program", program, 0o444),
            k8s.core.v1.VolumeArgs(
                name="ready",
                empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(medium="Memory", size_limit="1Mi"),
            ),
            access.token_volume(),
            *(
                k8s.core.v1.VolumeArgs(
                    name=volume,
                    host_path=k8s.core.v1.HostPathVolumeSourceArgs(path=path, type="DirectoryOrCreate"),
                )
                for path, volume in on_node.items()
            ),
        ],
    )
