"""The pruner's container in the registry's pod: its program, its settings, its mounts and its rights."""

from __future__ import annotations

import base64

import pulumi
import pulumi_kubernetes as k8s

from . import bundle, pod
from .labels import Labels
from .settings import Pruning, Settings

_BUNDLE = "prune"
_BUNDLE_FOLDER = "/opt/prune/bin"
_CA = "ca"
_SCRATCH = "scratch"
_TOKEN = "cluster-access"
_TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"

# The bundle comes last: an image built from gc/Dockerfile has a `prune` of its own, which wins.
_PATH = f"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{_BUNDLE_FOLDER}"

# What names an image: the workloads, the revisions kept for a rollback, and the pods themselves.
_READABLE = (
    ("", ["pods"]),
    ("apps", ["deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"]),
    ("batch", ["jobs", "cronjobs"]),
)


class Pruner(pulumi.ComponentResource):
    """What the Deployment takes over: containers, volumes and the service account (None for none).

    The volumes `data` and `config`, and in read-only mode `pristine-config`, are the Deployment's own.
    """

    container: k8s.core.v1.ContainerArgs
    init_containers: list[k8s.core.v1.ContainerArgs]
    volumes: list[k8s.core.v1.VolumeArgs]
    service_account: pulumi.Output[str] | None

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        labels: Labels,
        namespace: pulumi.Input[str],
        tls_secret: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`tls_secret` is the Secret whose `ca.crt` the pruner asks the registry with."""
        inputs = {"image": settings.gc_image, "environment": environment(settings.pruning)}
        super().__init__("docker-registry:index:Pruner", name, inputs, opts)
        child = pulumi.ResourceOptions(parent=self)
        marks = labels.of("pruner")
        # Named by the provider: another program is another name, which rolls the pod.
        program = k8s.core.v1.ConfigMap(
            f"{name}-program",
            metadata=k8s.meta.v1.ObjectMetaArgs(namespace=namespace, labels=marks),
            binary_data={_BUNDLE: base64.b64encode(_program()).decode()},
            immutable=True,
            opts=child,
        )
        protect = settings.pruning.protect_running
        self.service_account = _reader(name, namespace, marks, child) if protect else None
        self.container = _container(settings)
        self.init_containers = [_first_config(settings)] if settings.pruning.mode == "readonly" else []
        self.volumes = [
            pod.config_map_volume(_BUNDLE, program, 0o555),
            _ca_volume(tls_secret),
            k8s.core.v1.VolumeArgs(
                name=_SCRATCH, empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit="64Mi")
            ),
            *([_token_volume()] if protect else []),
        ]
        self.register_outputs({"program": program.metadata.name})


def environment(pruning: Pruning) -> dict[str, str]:
    """The pruner's settings as it reads them; durations in seconds."""
    return {
        "GC_CONFIG": f"{pod.CONFIG_FOLDER}/{pod.CONFIG_FILE}",
        "GC_MODE": pruning.mode,
        "GC_PERIOD": _number(pruning.period),
        "GC_INITIAL_DELAY": _number(pruning.initial_delay),
        "GC_GRACE": _number(pruning.grace),
        "GC_UNTAGGED_AFTER": _number(pruning.untagged_after),
        "GC_UPLOADS_AFTER": _number(pruning.uploads_after),
        "GC_TRASH": _number(pruning.trash),
        "GC_MAX_FRACTION": _number(pruning.max_fraction),
        "GC_PROTECT_RUNNING": "true" if pruning.protect_running else "false",
        "GC_DANGLING_TAGS": pruning.dangling_tags,
        "GC_RETENTION": pruning.retention,
    }


def _number(value: float) -> str:
    # 7d and 604800 are one setting, and changing the one for the other rolls no pod.
    return str(int(value)) if value.is_integer() else repr(value)


def _program() -> bytes:
    program = bundle.build()
    if len(program) > bundle.LIMIT:
        raise pulumi.RunError(
            f"the pruner's bundle has {len(program)} bytes, more than the {bundle.LIMIT} a ConfigMap holds: "
            "set gcImage to an image built from gc/Dockerfile and leave a library out of components/bundle.py"
        )
    return program


def _container(settings: Settings) -> k8s.core.v1.ContainerArgs:
    readonly_mode = settings.pruning.mode == "readonly"
    variables = {"PATH": _PATH, "PYTHONUNBUFFERED": "1"} | environment(settings.pruning)
    return k8s.core.v1.ContainerArgs(
        name="gc",
        image=settings.gc_image,
        image_pull_policy="IfNotPresent",
        command=["prune", "serve"],
        env=[k8s.core.v1.EnvVarArgs(name=name, value=value) for name, value in variables.items()],
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "10m", "memory": "40Mi"}, limits={"cpu": "1", "memory": "1Gi"}
        ),
        security_context=pod.container_security(),
        volume_mounts=[
            pod.mount(pod.DATA, pod.DATA_FOLDER, read_only=False),
            # In read-only mode it is the pruner that switches the registry's configuration.
            pod.mount(pod.CONFIG, pod.CONFIG_FOLDER, read_only=not readonly_mode),
            pod.mount(_BUNDLE, _BUNDLE_FOLDER, read_only=True),
            pod.mount(_CA, pod.TLS_FOLDER, read_only=True),
            pod.mount(_SCRATCH, "/tmp", read_only=False),
            *([pod.mount(_TOKEN, _TOKEN_FOLDER, read_only=True)] if settings.pruning.protect_running else []),
        ],
    )


def _first_config(settings: Settings) -> k8s.core.v1.ContainerArgs:
    source = f"{pod.PRISTINE_CONFIG_FOLDER}/{pod.CONFIG_FILE}"
    return k8s.core.v1.ContainerArgs(
        name="config",
        image=settings.gc_image,
        image_pull_policy="IfNotPresent",
        command=["prune", "init-config", source, f"{pod.CONFIG_FOLDER}/{pod.CONFIG_FILE}"],
        env=[k8s.core.v1.EnvVarArgs(name="PATH", value=_PATH)],
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "10m", "memory": "40Mi"}, limits={"cpu": "1", "memory": "128Mi"}
        ),
        security_context=pod.container_security(),
        volume_mounts=[
            pod.mount(pod.PRISTINE_CONFIG, pod.PRISTINE_CONFIG_FOLDER, read_only=True),
            pod.mount(pod.CONFIG, pod.CONFIG_FOLDER, read_only=False),
            pod.mount(_BUNDLE, _BUNDLE_FOLDER, read_only=True),
        ],
    )


def _ca_volume(tls_secret: pulumi.Input[str]) -> k8s.core.v1.VolumeArgs:
    # The CA alone: the server's key is none of the pruner's business.
    return k8s.core.v1.VolumeArgs(
        name=_CA,
        secret=k8s.core.v1.SecretVolumeSourceArgs(
            secret_name=tls_secret,
            default_mode=0o444,
            items=[k8s.core.v1.KeyToPathArgs(key="ca.crt", path="ca.crt")],
        ),
    )


def _reader(
    name: str,
    namespace: pulumi.Input[str],
    marks: dict[str, pulumi.Input[str]],
    child: pulumi.ResourceOptions,
) -> pulumi.Output[str]:
    """A service account that may list what names an image, in every namespace, and nothing else."""
    account = k8s.core.v1.ServiceAccount(
        f"{name}-account",
        metadata=k8s.meta.v1.ObjectMetaArgs(namespace=namespace, labels=marks),
        automount_service_account_token=False,
        opts=child,
    )
    # Named by the provider, like its binding: neither has a namespace to keep two stacks apart.
    role = k8s.rbac.v1.ClusterRole(
        f"{name}-reader",
        metadata=k8s.meta.v1.ObjectMetaArgs(labels=marks),
        rules=[
            k8s.rbac.v1.PolicyRuleArgs(api_groups=[group], resources=resources, verbs=["list"])
            for group, resources in _READABLE
        ],
        opts=child,
    )
    k8s.rbac.v1.ClusterRoleBinding(
        f"{name}-reader",
        metadata=k8s.meta.v1.ObjectMetaArgs(labels=marks),
        role_ref=k8s.rbac.v1.RoleRefArgs(
            api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=role.metadata.name
        ),
        subjects=[
            k8s.rbac.v1.SubjectArgs(
                kind="ServiceAccount", name=account.metadata.name, namespace=account.metadata.namespace
            )
        ],
        opts=child,
    )
    return account.metadata.name


def _token_volume() -> k8s.core.v1.VolumeArgs:
    # What an automatic mount would hold, for this container alone.
    return k8s.core.v1.VolumeArgs(
        name=_TOKEN,
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
