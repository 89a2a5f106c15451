"""The pruner's container, beside the registry or in a pod of its own: program, settings, mounts, rights."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from . import access, initial, pod, program, trust
from .bucket import Bucket
from .cluster import SERVICE
from .inputs import endpoint
from .labels import Labels
from .settings import Pruning, Settings

_RECORD = f"{SERVICE}-storage"


class Pruner(pulumi.ComponentResource):
    """What the Deployment takes over: containers, volumes and the service account.

    `init_volumes` are those of the `init_containers`, which every registry's pod has. What is shared with the
    registry is the Deployment's own. The `relay` shows the metrics of a registry without a pruner beside it.
    """

    container: k8s.core.v1.ContainerArgs
    relay: k8s.core.v1.ContainerArgs | None
    init_containers: list[k8s.core.v1.ContainerArgs]
    volumes: list[k8s.core.v1.VolumeArgs]
    init_volumes: list[k8s.core.v1.VolumeArgs]
    service_account: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        shared: pod.Shared,
        labels: Labels,
        namespace: pulumi.Input[str],
        ca_volume: k8s.core.v1.VolumeArgs,
        registry: pulumi.Input[str] | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`ca_volume` has the authorities that the pruner asks the registry with.

        `registry` is the address of the registries' Service, None where the pruner is beside the only one.
        """
        inputs = {"image": settings.gc_image, "environment": environment(settings.pruning)}
        super().__init__("docker-registry:index:Pruner", name, inputs, opts)
        child = pulumi.ResourceOptions(parent=self)
        marks, kept = labels.of("pruner"), settings.storage
        called = program.declare(name, settings, namespace, marks, child)
        # The pod writes its data, so none is declared: what the registry claimed outlives every `up`.
        record = k8s.core.v1.ConfigMap(
            f"{name}-record",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=_RECORD, namespace=namespace, labels=marks),
            opts=child,
        )
        self.service_account = access.account(
            name,
            namespace=namespace,
            record=record.metadata.name,
            deployment=deployment_of(settings),
            protect_running=settings.pruning.protect_running and not settings.pull_through,
            of_bucket=isinstance(kept, Bucket),
            annotations=kept.annotations if isinstance(kept, Bucket) else {},
            marks=marks,
            child=child,
        )
        self.container = _container(settings, called.and_(shared), namespace, registry)
        self.relay = _relay(settings, called) if relays(settings) else None
        self.init_containers = [
            *([initial.first_config(settings, called)] if settings.pruning.mode == "readonly" else []),
            initial.claim(settings, called, shared, namespace, record.metadata.name),
        ]
        self.init_volumes = [*called.volumes, access.token_volume()]
        self.volumes = [*self.init_volumes, ca_volume]
        self.register_outputs({"serviceAccount": self.service_account})


def deployment_of(settings: Settings) -> str:
    """The name of the Deployment that the pruner is in."""
    return SERVICE if settings.replicas == 1 else f"{SERVICE}-pruner"


def relays(settings: Settings) -> bool:
    """Whether each registry's pod shows the metrics of its own registry."""
    return settings.replicas > 1 and not settings.pull_through and settings.seen.metrics != "none"


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
        "GC_OPS_PER_SECOND": str(pruning.ops_per_second),
        "GC_PROTECT_RUNNING": "true" if pruning.protect_running else "false",
        "GC_DANGLING_TAGS": pruning.dangling_tags,
        "GC_RETENTION": pruning.retention,
        # The kubelet starts every container of a Deployment's pod anew.
        "GC_RESTART": "allowed",
    }


def _number(value: float) -> str:
    # 7d and 604800 are one setting, and changing the one for the other rolls no pod.
    return str(int(value)) if value.is_integer() else repr(value)


def _visible(settings: Settings, namespace: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """Where the pruner shows what it does, and what it is called there."""
    here = pulumi.Output.concat(namespace, "/", SERVICE)
    return {
        "GC_METRICS_PORT": str(pod.METRICS_PORT),
        "GC_PAGE_PORT": str(pod.PAGE_PORT),
        "GC_REPOSITORY_METRICS": "true" if settings.seen.repository_metrics else "false",
        "GC_RENEWALS": "true" if settings.tls.renewed_by_others else "false",
        "GC_ADDRESS": here,
        "GC_DEPLOYMENT": pulumi.Output.concat(namespace, "/", deployment_of(settings)),
    }


def _container(
    settings: Settings,
    shared: pod.Shared,
    namespace: pulumi.Input[str],
    registry: pulumi.Input[str] | None,
) -> k8s.core.v1.ContainerArgs:
    readonly_mode = settings.pruning.mode == "readonly"
    variables: dict[str, pulumi.Input[str]] = {
        "PYTHONUNBUFFERED": "1",
        **environment(settings.pruning),
        **_visible(settings, namespace),
        **settings.pod.gc.environment,
    }
    if registry is not None:
        # An override, as the registry has them of its file: to the pruner, this is where the registry is.
        variables["REGISTRY_HTTP_ADDR"] = pulumi.Output.from_input(registry).apply(
            lambda host: endpoint(host, pod.PORT)
        )
        # None is beside it that it could end.
        variables["GC_RESTART"] = "never"
    return k8s.core.v1.ContainerArgs(
        name="gc",
        image=settings.gc_image,
        image_pull_policy="IfNotPresent",
        command=["prune", "serve"],
        env=[*pod.variables(variables), *shared.variables],
        ports=[k8s.core.v1.ContainerPortArgs(name=pod.METRICS, container_port=pod.METRICS_PORT)],
        # It fails when the loop or its run gives no sign of life, as on a disk that does not answer.
        liveness_probe=pod.liveness(),
        resources=settings.pod.gc.resources,
        security_context=pod.container_security(),
        volume_mounts=[
            *shared.mounts,
            # In read-only mode it is the pruner that switches the registry's configuration.
            pod.mount(pod.CONFIG, pod.CONFIG_FOLDER, read_only=not readonly_mode),
            pod.mount(trust.CA, pod.TLS_FOLDER, read_only=True),
            pod.mount(access.TOKEN, access.TOKEN_FOLDER, read_only=True),
        ],
    )


def _relay(settings: Settings, program: pod.Shared) -> k8s.core.v1.ContainerArgs:
    # The registry's debug port serves profiles too, so it stays on the pod's loopback.
    return k8s.core.v1.ContainerArgs(
        name="metrics",
        image=settings.gc_image,
        image_pull_policy="IfNotPresent",
        command=["prune", "metrics", f"--port={pod.METRICS_PORT}"],
        env=[*pod.variables({"GC_CONFIG": f"{pod.CONFIG_FOLDER}/{pod.CONFIG_FILE}"}), *program.variables],
        ports=[k8s.core.v1.ContainerPortArgs(name=pod.METRICS, container_port=pod.METRICS_PORT)],
        liveness_probe=pod.liveness(),
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "5m", "memory": "32Mi"}, limits={"cpu": "500m", "memory": "128Mi"}
        ),
        security_context=pod.container_security(),
        volume_mounts=[*program.mounts, pod.mount(pod.CONFIG, pod.CONFIG_FOLDER, read_only=True)],
    )
