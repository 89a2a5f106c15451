"""What the pod's containers have in common: where things are mounted, and how little they may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

# Volumes, by name.
DATA = "data"
CONFIG = "config"
PRISTINE_CONFIG = "pristine-config"

# The registry's images take their configuration from any path; this is where the pruner looks first as well.
CONFIG_FOLDER = "/etc/distribution"
PRISTINE_CONFIG_FOLDER = "/etc/registry-config"
CONFIG_FILE = "config.yml"
DATA_FOLDER = "/var/lib/registry"
TLS_FOLDER = "/etc/registry-tls"
CA_FILE = "ca.crt"

PORT = 5000

METRICS = "metrics"
METRICS_PORT = 9090
PAGE_PORT = 8080
"""Of the pruner's page, on the pod's loopback alone: `kubectl port-forward` reaches it."""

DEBUG_PORT = 5001
"""Of the registry, on loopback alone, for it serves profiles without a login; its metrics are passed on."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What several containers have, in one pod or in more: their way to storage and cache, or a program."""

    volumes: list[k8s.core.v1.VolumeArgs]
    mounts: list[k8s.core.v1.VolumeMountArgs]
    variables: list[k8s.core.v1.EnvVarArgs]

    def and_(self, other: Shared) -> Shared:
        """Both."""
        return Shared(
            [*self.volumes, *other.volumes],
            [*self.mounts, *other.mounts],
            [*self.variables, *other.variables],
        )


def container_security() -> k8s.core.v1.SecurityContextArgs:
    """No capability, no way to gain one, and nothing to write to but the mounts."""
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
        privileged=False,
        read_only_root_filesystem=True,
    )


def scraped(metrics: str) -> dict[str, str] | None:
    """The annotations by which a Prometheus finds the pruner's pod that knows of no operator."""
    if metrics != "annotations":
        return None
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(METRICS_PORT),
        "prometheus.io/path": "/metrics",
    }


def variables(values: Mapping[str, pulumi.Input[str]]) -> list[k8s.core.v1.EnvVarArgs]:
    """The environment variables of a container."""
    return [k8s.core.v1.EnvVarArgs(name=name, value=value) for name, value in values.items()]


def probe(*, period: int, failures: int) -> k8s.core.v1.ProbeArgs:
    """A question to the registry every `period` seconds, of which so many may go wrong."""
    # The root is behind the registry's own health check, and neither behind its login nor in its log.
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(path="/", port="https", scheme="HTTPS"),
        period_seconds=period,
        failure_threshold=failures,
        timeout_seconds=5,
    )


def liveness() -> k8s.core.v1.ProbeArgs:
    """A question to what serves the port METRICS: started anew after three minutes without an answer."""
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(path="/healthz", port=METRICS),
        initial_delay_seconds=30,
        period_seconds=30,
        timeout_seconds=10,
        failure_threshold=6,
    )


def mount(volume: str, folder: str, *, read_only: bool) -> k8s.core.v1.VolumeMountArgs:
    """The volume at `folder`."""
    return k8s.core.v1.VolumeMountArgs(name=volume, mount_path=folder, read_only=read_only)


def secret_variable(name: str, secret: pulumi.Input[str] | None, key: str) -> k8s.core.v1.EnvVarArgs:
    """The variable `name` from the `key` of a Secret."""
    return k8s.core.v1.EnvVarArgs(
        name=name,
        value_from=k8s.core.v1.EnvVarSourceArgs(
            secret_key_ref=k8s.core.v1.SecretKeySelectorArgs(name=secret, key=key)
        ),
    )


def secret_volume(
    volume: str, secret: pulumi.Input[str], mode: int, files: Sequence[str], *, optional: bool | None = None
) -> k8s.core.v1.VolumeArgs:
    """The `files` of a Secret, with `mode`.

    The pod waits for a Secret or a file that is not there yet, unless they are `optional`.
    """
    return k8s.core.v1.VolumeArgs(
        name=volume,
        secret=k8s.core.v1.SecretVolumeSourceArgs(
            secret_name=secret,
            default_mode=mode,
            items=[k8s.core.v1.KeyToPathArgs(key=file, path=file) for file in files],
            optional=optional,
        ),
    )


def config_map_volume(volume: str, config_map: k8s.core.v1.ConfigMap, mode: int) -> k8s.core.v1.VolumeArgs:
    """The files of a ConfigMap, with `mode`."""
    return k8s.core.v1.VolumeArgs(
        name=volume,
        config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name=config_map.metadata.name, default_mode=mode),
    )


def authority(
    name: str,
    volume: str,
    folder: str,
    certificate: pulumi.Input[str],
    metadata: k8s.meta.v1.ObjectMetaArgs,
    opts: pulumi.ResourceOptions,
) -> Shared:
    """Who signs for a server that the pod asks: the file CA_FILE in `folder`, declared.

    Named by the provider: another certificate is another name, which rolls the pods.
    """
    config_map = k8s.core.v1.ConfigMap(
        f"{name}-{volume}", metadata=metadata, data={CA_FILE: certificate}, immutable=True, opts=opts
    )
    return Shared([config_map_volume(volume, config_map, 0o444)], [mount(volume, folder, read_only=True)], [])
