"""The pruner's container, beside the registry or in a pod of its own: program, settings, mounts, rights."""

from __future__ import annotations

import base64

import pulumi
import pulumi_kubernetes as k8s

from . import access, bundle, pod, storage
from .cluster import SERVICE
from .inputs import endpoint
from .labels import Labels
from .settings import Pruning, Settings

_BUNDLE = "prune"
_BUNDLE_FOLDER = "/opt/prune/bin"
_ARCHIVE = "library.zip"
_ARCHIVE_FOLDER = "/opt/prune/lib"
_CA = "ca"
_SCRATCH = "scratch"
_RECORD = f"{SERVICE}-storage"

# The bundle comes last: an image built from gc/Dockerfile has a `prune` of its own, which wins.
_PATH = f"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{_BUNDLE_FOLDER}"


class Pruner(pulumi.ComponentResource):
    """What the Deployment takes over: containers, volumes and the service account.

    `init_volumes` are those of the `init_containers`, which every registry's pod has. What is shared with the
    registry is the Deployment's own.
    """

    container: k8s.core.v1.ContainerArgs
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
        tls_secret: pulumi.Input[str],
        registry: pulumi.Input[str] | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`tls_secret` is the Secret whose `ca.crt` the pruner asks the registry with.

        `registry` is the address of the registries' Service, None where the pruner is beside the only one.
        """
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
            marks=marks,
            child=child,
        )
        # Large, and needed by few: each in a ConfigMap of its own, of which one holds 1 MiB.
        libraries = {
            archive: k8s.core.v1.ConfigMap(
                f"{name}-{archive}",
                metadata=k8s.meta.v1.ObjectMetaArgs(namespace=namespace, labels=marks),
                binary_data={_ARCHIVE: base64.b64encode(bundle.archive(archive)).decode()},
                immutable=True,
                opts=child,
            )
            for archive in _archives(settings)
        }
        self.container = _container(settings, shared, namespace, registry)
        self.init_containers = [
            *([_first_config(settings)] if settings.pruning.mode == "readonly" else []),
            _claim(settings, shared, namespace, record.metadata.name),
        ]
        self.init_volumes = [
            pod.config_map_volume(_BUNDLE, program, 0o555),
            *(
                pod.config_map_volume(f"{_BUNDLE}-{archive}", content, 0o444)
                for archive, content in libraries.items()
            ),
            access.token_volume(),
        ]
        self.volumes = [
            *self.init_volumes,
            # The CA alone: the server's key is none of the pruner's business.
            pod.secret_volume(_CA, tls_secret, 0o444, ("ca.crt",)),
            k8s.core.v1.VolumeArgs(
                name=_SCRATCH, empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit="64Mi")
            ),
        ]
        self.register_outputs({"program": program.metadata.name})


def deployment_of(settings: Settings) -> str:
    """The name of the Deployment that the pruner is in."""
    return SERVICE if settings.replicas == 1 else f"{SERVICE}-pruner"


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


def _archives(settings: Settings) -> list[str]:
    """The archives of libraries that the pruner needs of this stack's registry."""
    return ["redis"] if settings.cache == "redis" else []


def _program_mounts(settings: Settings) -> list[k8s.core.v1.VolumeMountArgs]:
    return [
        pod.mount(_BUNDLE, _BUNDLE_FOLDER, read_only=True),
        *(
            pod.mount(f"{_BUNDLE}-{archive}", f"{_ARCHIVE_FOLDER}/{archive}", read_only=True)
            for archive in _archives(settings)
        ),
    ]


def _program_variables(settings: Settings) -> dict[str, str]:
    path = ":".join(f"{_ARCHIVE_FOLDER}/{archive}/{_ARCHIVE}" for archive in _archives(settings))
    return {"PATH": _PATH, **({"PYTHONPATH": path} if path else {})}


def _program() -> bytes:
    program = bundle.build()
    if len(program) > bundle.LIMIT:
        raise pulumi.RunError(
            f"the pruner's bundle has {len(program)} bytes, more than the {bundle.LIMIT} a ConfigMap holds: "
            "set gcImage to an image built from gc/Dockerfile and leave a library out of components/bundle.py"
        )
    return program


def _visible(settings: Settings, namespace: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """Where the pruner shows what it does, and what it is called there."""
    here = pulumi.Output.concat(namespace, "/", SERVICE)
    return {
        "GC_METRICS_PORT": str(pod.METRICS_PORT),
        "GC_PAGE_PORT": str(pod.PAGE_PORT),
        "GC_REPOSITORY_METRICS": "true" if settings.seen.repository_metrics else "false",
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
        **_program_variables(settings),
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
        env=pod.variables(variables),
        ports=[k8s.core.v1.ContainerPortArgs(name=pod.METRICS, container_port=pod.METRICS_PORT)],
        # It fails when the loop or its run gives no sign of life, as on a disk that does not answer.
        liveness_probe=k8s.core.v1.ProbeArgs(
            http_get=k8s.core.v1.HTTPGetActionArgs(path="/healthz", port=pod.METRICS),
            initial_delay_seconds=30,
            period_seconds=30,
            timeout_seconds=10,
            failure_threshold=6,
        ),
        resources=settings.pod.gc.resources,
        security_context=pod.container_security(),
        volume_mounts=[
            *shared.mounts,
            # In read-only mode it is the pruner that switches the registry's configuration.
            pod.mount(pod.CONFIG, pod.CONFIG_FOLDER, read_only=not readonly_mode),
            *_program_mounts(settings),
            pod.mount(_CA, pod.TLS_FOLDER, read_only=True),
            pod.mount(_SCRATCH, "/tmp", read_only=False),
            pod.mount(access.TOKEN, access.TOKEN_FOLDER, read_only=True),
        ],
    )


def _init_container(
    name: str,
    settings: Settings,
    command: list[pulumi.Input[str]],
    mounts: list[k8s.core.v1.VolumeMountArgs],
) -> k8s.core.v1.ContainerArgs:
    variables = {**_program_variables(settings), "GC_CONFIG": f"{pod.CONFIG_FOLDER}/{pod.CONFIG_FILE}"}
    return k8s.core.v1.ContainerArgs(
        name=name,
        image=settings.gc_image,
        image_pull_policy="IfNotPresent",
        command=command,
        env=pod.variables(variables),
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "10m", "memory": "40Mi"}, limits={"cpu": "1", "memory": "128Mi"}
        ),
        security_context=pod.container_security(),
        volume_mounts=[*mounts, *_program_mounts(settings)],
    )


def _first_config(settings: Settings) -> k8s.core.v1.ContainerArgs:
    source = f"{pod.PRISTINE_CONFIG_FOLDER}/{pod.CONFIG_FILE}"
    return _init_container(
        "config",
        settings,
        ["prune", "init-config", source, f"{pod.CONFIG_FOLDER}/{pod.CONFIG_FILE}"],
        [
            pod.mount(pod.PRISTINE_CONFIG, pod.PRISTINE_CONFIG_FOLDER, read_only=True),
            pod.mount(pod.CONFIG, pod.CONFIG_FOLDER, read_only=False),
        ],
    )


def _claim(
    settings: Settings, shared: pod.Shared, namespace: pulumi.Input[str], record: pulumi.Input[str]
) -> k8s.core.v1.ContainerArgs:
    """What has to succeed before the registry starts: the tree is this registry's, and the one it had."""
    # Who owns it is known by what lasts: no name of a stack, a project or an organization.
    command: list[pulumi.Input[str]] = [
        "prune",
        "claim",
        pulumi.Output.concat("--owner=", namespace, "/", SERVICE),
        pulumi.Output.concat("--record=", namespace, "/", record),
        pulumi.Output.concat("--called=", storage.called(settings.storage)),
        "--message=/dev/termination-log",
    ]
    if settings.storage.adopt:
        command.append(f"--adopt={settings.storage.adopt}")
    return _init_container(
        "claim",
        settings,
        command,
        [
            *shared.mounts,
            pod.mount(pod.CONFIG, pod.CONFIG_FOLDER, read_only=True),
            pod.mount(access.TOKEN, access.TOKEN_FOLDER, read_only=True),
        ],
    )
