"""The registry: its configuration and secrets, the Deployment it shares with the pruner, and its Service."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s
import pulumi_tls as tls
import yaml

from . import namespace, pod, service, storage
from .certificates import Certificates
from .cluster import SERVICE
from .labels import SELECTOR, Labels
from .settings import Settings
from .sidecar import Pruner

# Seconds. On SIGTERM the registry takes no new request and lets those in flight end; the pod gives it, and
# the pruner's step at hand, a little longer than that.
_DRAIN = 30
_TERMINATION = 60

_TLS = "tls"


class Registry(pulumi.ComponentResource):
    """A namespace with the registry and its pruner in one pod, behind a Service."""

    namespace: pulumi.Output[str]
    service: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        hosts: pulumi.Input[Sequence[str]],
        labels: Labels,
        certificates: Certificates,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares all that lies in the namespace but the address; `hosts` are the external ones."""
        inputs = {
            "namespace": settings.namespace,
            "port": settings.exposure.port,
            "image": settings.registry_image,
        }
        super().__init__("docker-registry:index:Registry", name, inputs, opts)
        child = pulumi.ResourceOptions(parent=self)
        marks = labels.of("registry")
        home = namespace.declare(f"{name}-namespace", settings, marks, child)
        storage.declare(f"{name}-data", settings.storage, home, marks, child)
        metadata = k8s.meta.v1.ObjectMetaArgs(namespace=home, labels=marks)
        # These three are named by the provider: other content is another name, which rolls the pod.
        config = k8s.core.v1.Secret(
            f"{name}-config",
            metadata=metadata,
            string_data={pod.CONFIG_FILE: registry_config(settings)},
            immutable=True,
            opts=child,
        )
        tls_secret = k8s.core.v1.Secret(
            f"{name}-tls",
            metadata=metadata,
            type="kubernetes.io/tls",
            string_data={
                "tls.crt": certificates.certificate_pem,
                "tls.key": certificates.key_pem,
                "ca.crt": certificates.ca_pem,
            },
            immutable=True,
            opts=child,
        )
        http_secret = k8s.core.v1.Secret(
            f"{name}-http",
            metadata=metadata,
            string_data={"secret": _http_secret(name, child)},
            immutable=True,
            opts=child,
        )
        pruner = Pruner(
            f"{name}-pruner",
            settings=settings,
            labels=labels,
            namespace=home,
            tls_secret=tls_secret.metadata.name,
            opts=child,
        )
        named = k8s.meta.v1.ObjectMetaArgs(name=SERVICE, namespace=home, labels=marks)
        # Never two pods on one tree: neither in a rollout (Recreate) nor when the namespace changes.
        alone = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(delete_before_replace=True))
        k8s.apps.v1.Deployment(
            name,
            metadata=named,
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,
                revision_history_limit=2,
                strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=SELECTOR),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(labels=marks, annotations=_annotations(settings)),
                    spec=_pod(settings, config, tls_secret, http_secret, pruner),
                ),
            ),
            opts=alone,
        )
        self.service = service.declare(name, settings.exposure, hosts, home, marks, child=child, alone=alone)
        self.namespace = home
        self.register_outputs({"namespace": self.namespace, "service": self.service})


def names_inside(namespace: str) -> list[str]:
    """What the registry is called by the cluster's pods, and by the pruner beside it."""
    service = [SERVICE, f"{SERVICE}.{namespace}", f"{SERVICE}.{namespace}.svc"]
    return [*service, f"{SERVICE}.{namespace}.svc.cluster.local", "localhost", "127.0.0.1", "::1"]


def registry_config(settings: Settings) -> str:
    """The registry's config.yml, read alike by 2.8 and 3.x."""
    cache = {} if settings.cache == "none" else {"cache": {"blobdescriptor": settings.cache}}
    return yaml.safe_dump(
        {
            "version": 0.1,
            # Each request has its line in the log proper; an access log would only say it again.
            "log": {"level": "info", "accesslog": {"disabled": True}, "fields": {"service": "registry"}},
            "storage": {
                "filesystem": {"rootdirectory": pod.DATA_FOLDER},
                "delete": {"enabled": True},
                # Abandoned uploads are the pruner's: it also finds those that never wrote when they started,
                # and one tree is better cleaned by one program.
                "maintenance": {"uploadpurging": {"enabled": False}},
                **cache,
            },
            "http": {
                "addr": f":{pod.PORT}",
                "draintimeout": f"{_DRAIN}s",
                "headers": {"X-Content-Type-Options": ["nosniff"]},
                "tls": {
                    "certificate": f"{pod.TLS_FOLDER}/tls.crt",
                    "key": f"{pod.TLS_FOLDER}/tls.key",
                    "minimumtls": "tls1.2",
                },
                "debug": {
                    "addr": f"127.0.0.1:{pod.DEBUG_PORT}",
                    "prometheus": {"enabled": True, "path": "/metrics"},
                },
            },
            "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
        },
        sort_keys=False,
    )


def _http_secret(name: str, child: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """What the registry signs the state of uploads with; the same across restarts, so that they resume."""
    key = tls.PrivateKey(f"{name}-http-secret", algorithm="ED25519", opts=child)
    return pulumi.Output.secret(key.private_key_pem).apply(
        lambda pem: hashlib.sha256(pem.encode()).hexdigest()
    )


def _annotations(settings: Settings) -> dict[str, str] | None:
    """What a Prometheus finds pods by that knows of no operator."""
    if settings.seen.metrics != "annotations":
        return None
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(pod.METRICS_PORT),
        "prometheus.io/path": "/metrics",
    }


def _pod(
    settings: Settings,
    config: k8s.core.v1.Secret,
    tls_secret: k8s.core.v1.Secret,
    http_secret: k8s.core.v1.Secret,
    pruner: Pruner,
) -> k8s.core.v1.PodSpecArgs:
    return k8s.core.v1.PodSpecArgs(
        # The pruner finds the registry's process and signals it.
        share_process_namespace=True,
        service_account_name=pruner.service_account,
        # A token, where there is one, is mounted into the pruner alone.
        automount_service_account_token=False,
        # A Service named registry would set REGISTRY_PORT and more, which the registry takes for settings.
        enable_service_links=False,
        termination_grace_period_seconds=_TERMINATION,
        security_context=storage.security(settings.storage),
        affinity=storage.affinity(settings.storage),
        init_containers=pruner.init_containers,
        containers=[_container(settings, http_secret), pruner.container],
        volumes=[
            storage.volume(settings.storage),
            *_config_volumes(settings, config),
            pod.secret_volume(_TLS, tls_secret.metadata.name, 0o400, ("tls.crt", "tls.key")),
            *pruner.volumes,
        ],
    )


def _config_volumes(settings: Settings, config: k8s.core.v1.Secret) -> list[k8s.core.v1.VolumeArgs]:
    online = settings.pruning.mode == "online"
    given = pod.secret_volume(
        pod.CONFIG if online else pod.PRISTINE_CONFIG, config.metadata.name, 0o400, (pod.CONFIG_FILE,)
    )
    if online:
        return [given]
    # The pruner rewrites what the registry reads, so that lies where it can be written.
    return [
        given,
        k8s.core.v1.VolumeArgs(
            name=pod.CONFIG, empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit="1Mi")
        ),
    ]


def _container(settings: Settings, http_secret: k8s.core.v1.Secret) -> k8s.core.v1.ContainerArgs:
    return k8s.core.v1.ContainerArgs(
        name="registry",
        image=settings.registry_image,
        image_pull_policy="IfNotPresent",
        args=["serve", f"{pod.CONFIG_FOLDER}/{pod.CONFIG_FILE}"],
        env=[
            k8s.core.v1.EnvVarArgs(
                name="REGISTRY_HTTP_SECRET",
                value_from=k8s.core.v1.EnvVarSourceArgs(
                    secret_key_ref=k8s.core.v1.SecretKeySelectorArgs(
                        name=http_secret.metadata.name, key="secret"
                    )
                ),
            ),
            # Version 3 sends its traces to a collector on localhost unless told otherwise.
            k8s.core.v1.EnvVarArgs(name="OTEL_TRACES_EXPORTER", value="none"),
        ],
        ports=[k8s.core.v1.ContainerPortArgs(name="https", container_port=pod.PORT)],
        # A restart in place begins with the startup probe again, so it never counts against the liveness.
        startup_probe=_probe(period=1, failures=120),
        readiness_probe=_probe(period=5, failures=2),
        liveness_probe=_probe(period=10, failures=6),
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "50m", "memory": "64Mi"}, limits={"cpu": "2", "memory": "512Mi"}
        ),
        security_context=pod.container_security(),
        volume_mounts=[
            pod.mount(pod.DATA, pod.DATA_FOLDER, read_only=False),
            pod.mount(pod.CONFIG, pod.CONFIG_FOLDER, read_only=True),
            pod.mount(_TLS, pod.TLS_FOLDER, read_only=True),
        ],
    )


def _probe(*, period: int, failures: int) -> k8s.core.v1.ProbeArgs:
    # The root is behind the registry's own health check, and neither behind its login nor in its log.
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(path="/", port="https", scheme="HTTPS"),
        period_seconds=period,
        failure_threshold=failures,
        timeout_seconds=5,
    )
