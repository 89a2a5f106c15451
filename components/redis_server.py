"""A small Redis for the cache of several registries: it keeps nothing on disk and may be lost at any time.

What it forgets the registries look up in the storage again. It is reached by its Service's address, so that
no name has to be resolved, and by those who know its password.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pulumi_tls as tls

from . import pod
from .caching import PORT, GivenServer, OwnServer
from .inputs import endpoint
from .labels import Labels, selector

_TREE = "docker-registry.internal/tree"
_USER = 1000
_CONFIG = "redis-config"
_CONFIG_FOLDER = "/etc/redis"
_CONFIG_FILE = "redis.conf"
_MEMORY = 96  # MiB; some 300,000 descriptors

_PROBE = k8s.core.v1.ProbeArgs(
    tcp_socket=k8s.core.v1.TCPSocketActionArgs(port=PORT), period_seconds=5, failure_threshold=3
)


class RedisServer(pulumi.ComponentResource):
    """One pod and its Service; `server` is how it is reached."""

    server: GivenServer

    def __init__(
        self,
        name: str,
        *,
        own: OwnServer,
        tree: pulumi.Input[str],
        placement: Mapping[str, Any],
        labels: Labels,
        namespace: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`tree` is what people call the storage; another one has another server.

        What is remembered of one tree is wrong of another, and pods of both run side by side in a rollout.
        `placement` are fields of a PodSpec that say where pods run.
        """
        super().__init__("docker-registry:index:RedisServer", name, {"image": own.image}, opts)
        child = pulumi.ResourceOptions(parent=self)
        mark = pulumi.Output.from_input(tree).apply(
            lambda tree: hashlib.sha256(tree.encode()).hexdigest()[:8]
        )
        chosen: dict[str, pulumi.Input[str]] = {**selector("cache"), _TREE: mark}
        marks = {**labels.of("cache"), _TREE: mark}
        called = k8s.meta.v1.ObjectMetaArgs(
            name=pulumi.Output.concat("registry-redis-", mark), namespace=namespace, labels=marks
        )
        key = tls.PrivateKey(f"{name}-password", algorithm="ED25519", opts=child)
        password = pulumi.Output.secret(key.private_key_pem).apply(
            lambda pem: hashlib.sha256(pem.encode()).hexdigest()
        )
        # Named by the provider: another content is another name, which rolls the pod.
        config = k8s.core.v1.Secret(
            f"{name}-config",
            metadata=k8s.meta.v1.ObjectMetaArgs(namespace=namespace, labels=marks),
            string_data={_CONFIG_FILE: password.apply(_configuration)},
            immutable=True,
            opts=child,
        )
        k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=called,
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,
                revision_history_limit=2,
                # Two at once would each know a part.
                strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=chosen),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(labels=marks), spec=_pod(own, config, placement)
                ),
            ),
            opts=child,
        )
        service = k8s.core.v1.Service(
            f"{name}-service",
            metadata=called,
            spec=k8s.core.v1.ServiceSpecArgs(
                selector=chosen,
                ip_family_policy="PreferDualStack",
                ports=[k8s.core.v1.ServicePortArgs(name="redis", port=PORT, target_port=PORT)],
            ),
            opts=child,
        )
        self.server = GivenServer(
            addresses=service.spec.cluster_ip.apply(lambda address: (endpoint(address, PORT),)),
            database=0,
            username=None,
            password=password,
            sentinel_master=None,
            sentinel_username=None,
            sentinel_password=None,
            ca_certificate=None,
        )
        self.register_outputs({"addresses": self.server.addresses})


def _configuration(password: str) -> str:
    lines = [
        "bind * -::*",
        f"port {PORT}",
        f"requirepass {password}",
        'save ""',
        "appendonly no",
        f"maxmemory {_MEMORY}mb",
        # Anything may be forgotten.
        "maxmemory-policy allkeys-lru",
    ]
    return "\n".join(lines) + "\n"


def _pod(own: OwnServer, config: k8s.core.v1.Secret, placement: Mapping[str, Any]) -> k8s.core.v1.PodSpecArgs:
    return k8s.core.v1.PodSpecArgs(
        **placement,
        automount_service_account_token=False,
        enable_service_links=False,
        termination_grace_period_seconds=10,
        security_context=k8s.core.v1.PodSecurityContextArgs(
            run_as_user=_USER,
            run_as_group=_USER,
            run_as_non_root=True,
            fs_group=_USER,
            seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        containers=[
            k8s.core.v1.ContainerArgs(
                name="redis",
                image=own.image,
                image_pull_policy="IfNotPresent",
                # Valkey's images have it under this name too. No entrypoint, which would change owners.
                command=["redis-server", f"{_CONFIG_FOLDER}/{_CONFIG_FILE}"],
                ports=[k8s.core.v1.ContainerPortArgs(name="redis", container_port=PORT)],
                readiness_probe=_PROBE,
                liveness_probe=_PROBE,
                resources=k8s.core.v1.ResourceRequirementsArgs(
                    requests={"cpu": "10m", "memory": "32Mi"},
                    limits={"cpu": "1", "memory": f"{2 * _MEMORY}Mi"},
                ),
                security_context=pod.container_security(),
                volume_mounts=[pod.mount(_CONFIG, _CONFIG_FOLDER, read_only=True)],
            )
        ],
        volumes=[pod.secret_volume(_CONFIG, config.metadata.name, 0o440, (_CONFIG_FILE,))],
    )
