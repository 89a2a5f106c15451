"""The registry: its configuration and secrets, the Deployment it shares with the pruner, and its Service."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s
import pulumi_tls as tls

from . import (
    apart,
    caching,
    logins,
    namespace,
    network,
    pod,
    podoptions,
    registryconfig,
    service,
    several,
    storage,
    trust,
)
from .certificates import Certificates
from .cluster import SERVICE
from .labels import SELECTOR, Labels
from .logins import Logins
from .redis_server import RedisServer
from .settings import Settings
from .sidecar import Pruner, relays

# Seconds. The pod gives the registry, and the pruner's step at hand, a little longer than requests have.
_TERMINATION = registryconfig.DRAIN + 30

_TLS = "tls"


class Registry(pulumi.ComponentResource):
    """A namespace with the registry and its pruner in one pod, behind a Service."""

    namespace: pulumi.Output[str]
    service: pulumi.Output[str]
    logins: Logins

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
        redis = settings.redis
        if isinstance(redis, caching.OwnServer):
            redis = RedisServer(
                f"{name}-redis",
                own=redis,
                tree=storage.called(settings.storage),
                placement=settings.pod.placement,
                labels=labels,
                namespace=home,
                opts=child,
            ).server
        key = _secret_key(name, child)
        self.logins = logins.declare(name, settings.auth, key, metadata, child)
        ca = trust.config_map(f"{name}-ca", certificates.ca_pem, settings.namespace, home, marks, child)
        # These three are named by the provider: other content is another name, which rolls the pod.
        config = k8s.core.v1.Secret(
            f"{name}-config",
            metadata=metadata,
            string_data={pod.CONFIG_FILE: registryconfig.text(settings, redis, self.logins.section)},
            immutable=True,
            opts=child,
        )
        tls_secret, ca_volume = trust.mounted(f"{name}-tls", certificates.served, ca, metadata, child)
        http_secret = k8s.core.v1.Secret(
            f"{name}-http",
            metadata=metadata,
            string_data={"secret": key.apply(lambda pem: hashlib.sha256(pem.encode()).hexdigest())},
            immutable=True,
            opts=child,
        )
        # Never two pods on one tree: neither in a rollout (Recreate) nor when the namespace changes.
        alone = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(delete_before_replace=True))
        several_pods = settings.replicas > 1
        led = service.declare(
            name,
            settings.exposure,
            hosts,
            home,
            marks,
            alone_there=not several_pods,
            child=child,
            alone=alone,
        )
        shared = _shared(name, settings, config, redis, metadata, child)
        pruner = Pruner(
            f"{name}-pruner",
            settings=settings,
            shared=shared,
            labels=labels,
            namespace=home,
            ca_volume=ca_volume,
            registry=led.spec.cluster_ip if several_pods else None,
            opts=child,
        )
        named = k8s.meta.v1.ObjectMetaArgs(name=SERVICE, namespace=home, labels=marks)
        deployment = k8s.apps.v1.Deployment(
            name,
            metadata=named,
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=settings.replicas,
                revision_history_limit=2,
                strategy=several.strategy(settings.replicas),
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=SELECTOR),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=settings.pod.metadata(
                        marks,
                        pod.scraped(settings.seen.metrics)
                        if _has_pruner(settings) or relays(settings)
                        else None,
                    ),
                    spec=_pod(settings, shared, tls_secret, http_secret, self.logins, pruner),
                ),
            ),
            opts=pulumi.ResourceOptions.merge(
                alone, pulumi.ResourceOptions(depends_on=list(self.logins.needs))
            ),
        )
        if several_pods:
            several.budget(f"{name}-budget", home, marks, child)
            apart.declare(
                f"{name}-pruner-deployment",
                pruner=pruner,
                shared=shared,
                settings=settings,
                namespace=home,
                marks=labels.of("pruner"),
                # The last of what had the tree to itself is gone by then.
                opts=pulumi.ResourceOptions.merge(alone, pulumi.ResourceOptions(depends_on=[deployment])),
            )
        network.declare(f"{name}-network", settings, home, labels, child)
        self.service = led.metadata.name
        self.namespace = home
        self.register_outputs({"namespace": self.namespace, "service": self.service})


def names_inside(namespace: str) -> list[str]:
    """What the registry is called by the cluster's pods, and by the pruner beside it."""
    service = [SERVICE, f"{SERVICE}.{namespace}", f"{SERVICE}.{namespace}.svc"]
    return [*service, f"{SERVICE}.{namespace}.svc.cluster.local", "localhost", "127.0.0.1", "::1"]


def _has_pruner(settings: Settings) -> bool:
    """Whether the pruner is in the registry's pod: of several pods it has one of its own, of a cache none."""
    return settings.replicas == 1 and not settings.pull_through


def _secret_key(name: str, child: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """What secrets are derived from that have to stay the same.

    Above all the one by which the registry signs the state of uploads, so that they go on over its restart.
    """
    key = tls.PrivateKey(f"{name}-http-secret", algorithm="ED25519", opts=child)
    return pulumi.Output.secret(key.private_key_pem)


def _shared(
    name: str,
    settings: Settings,
    config: k8s.core.v1.Secret,
    redis: caching.GivenServer | None,
    metadata: k8s.meta.v1.ObjectMetaArgs,
    child: pulumi.ResourceOptions,
) -> pod.Shared:
    kept = storage.reached(name, settings.storage, metadata, child)
    shared = kept.and_(pod.Shared(_config_volumes(settings, config), [], []))
    if redis is None or redis.ca_certificate is None:
        return shared
    return shared.and_(
        pod.authority(name, caching.CA, caching.CA_FOLDER, redis.ca_certificate, metadata, child)
    )


def _pod(
    settings: Settings,
    shared: pod.Shared,
    tls_secret: pulumi.Input[str],
    http_secret: k8s.core.v1.Secret,
    door: Logins,
    pruner: Pruner,
) -> k8s.core.v1.PodSpecArgs:
    several_pods, has_pruner = settings.replicas > 1, _has_pruner(settings)
    return k8s.core.v1.PodSpecArgs(
        # The pruner finds the registry's process and signals it.
        share_process_namespace=has_pruner or None,
        service_account_name=pruner.service_account,
        # A token, where there is one, is mounted into the pruner alone.
        automount_service_account_token=False,
        # A Service named registry would set REGISTRY_PORT and more, which the registry takes for settings.
        enable_service_links=False,
        termination_grace_period_seconds=several.TERMINATION if several_pods else _TERMINATION,
        security_context=storage.security(settings.storage),
        **settings.pod.placement,
        affinity=podoptions.affinity(
            settings.pod, storage.node(settings.storage), several.apart() if several_pods else {}
        ),
        topology_spread_constraints=several.spread() if several_pods else None,
        init_containers=pruner.init_containers,
        containers=[
            _container(settings, shared, http_secret, door),
            *([pruner.container] if has_pruner else []),
            *([] if pruner.relay is None else [pruner.relay]),
        ],
        volumes=[
            *shared.volumes,
            pod.secret_volume(_TLS, tls_secret, 0o400, ("tls.crt", "tls.key")),
            *door.volumes,
            *(pruner.volumes if has_pruner else pruner.init_volumes),
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


def _container(
    settings: Settings, shared: pod.Shared, http_secret: k8s.core.v1.Secret, door: Logins
) -> k8s.core.v1.ContainerArgs:
    return k8s.core.v1.ContainerArgs(
        name="registry",
        image=settings.registry_image,
        image_pull_policy="IfNotPresent",
        args=["serve", f"{pod.CONFIG_FOLDER}/{pod.CONFIG_FILE}"],
        env=[
            pod.secret_variable("REGISTRY_HTTP_SECRET", http_secret.metadata.name, "secret"),
            *shared.variables,
            # Version 3 sends its traces to a collector on localhost unless told otherwise.
            *pod.variables({"OTEL_TRACES_EXPORTER": "none", **settings.pod.registry.environment}),
        ],
        ports=[k8s.core.v1.ContainerPortArgs(name="https", container_port=pod.PORT)],
        # A restart in place begins with the startup probe again, so it never counts against the liveness.
        startup_probe=pod.probe(period=1, failures=120),
        readiness_probe=pod.probe(period=5, failures=2),
        liveness_probe=pod.probe(period=10, failures=6),
        resources=settings.pod.registry.resources,
        security_context=pod.container_security(),
        lifecycle=several.last_moments() if settings.replicas > 1 else None,
        volume_mounts=[
            *shared.mounts,
            pod.mount(pod.CONFIG, pod.CONFIG_FOLDER, read_only=True),
            pod.mount(_TLS, pod.TLS_FOLDER, read_only=True),
            *door.mounts,
        ],
    )
