"""The other pods of our namespace that may serve our tree, which no process table here shows.

Asked of the cluster's API, with a token that may list pods. Such a pod is minded when it runs with the
configuration file that we were given and its cache is not in memory; another that may write to the volume is
named, and the run does not begin.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from pruner.clock import Clock
from pruner.errors import ClusterError, RegistryError
from pruner.registry.config import RegistryConfig

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

Elsewhere: TypeAlias = Callable[[RegistryConfig], None]
"""Raises RegistryError for a pod that may serve the same tree, and when that cannot be asked."""

_OVER = frozenset({"Succeeded", "Failed"})
_DECIDING = ("REGISTRY_STORAGE", "REGISTRY_REDIS", "REGISTRY_CONFIGURATION_PATH")
"""Variables that would give a registry another tree or cache than its file does."""

# What of a volume says where its files are, by kind; a volume of any other kind is the pod's own.
_SOURCES: Mapping[str, tuple[str, ...]] = {
    "persistentVolumeClaim": ("claimName",),
    "hostPath": ("path",),
    "nfs": ("server", "path"),
    "configMap": ("name",),
    "secret": ("secretName",),
    "cephfs": ("monitors", "path"),
    "csi": ("driver", "volumeAttributes"),
}


@dataclass(frozen=True, slots=True)
class _Mount:
    """A volume in a container: `source` is equal for two mounts of the same files."""

    source: tuple[str, ...]
    path: str
    below: str
    writable: bool


def seen_by(environ: Mapping[str, str], clock: Clock, account: str = ACCOUNT) -> Elsewhere | None:
    """What refuses the pods that this one can see, or None outside of a cluster and without a token."""
    if not environ.get("KUBERNETES_SERVICE_HOST") or not os.path.exists(f"{account}/token"):
        return None

    def refuse(config: RegistryConfig) -> None:
        from pruner.kubernetes import KubernetesApi  # TLS is slow to import

        try:
            with open(f"{account}/namespace", encoding="utf-8") as file:
                namespace = file.read().strip()
            pods = KubernetesApi.of_pod(environ, clock, account).items(f"api/v1/namespaces/{namespace}/pods")
            refuse_unminded(list(pods), environ.get("HOSTNAME", ""), config)
        except (OSError, ClusterError) as error:
            raise RegistryError(
                f"whether another pod serves {config.root} could not be asked ({error})"
            ) from error

    return refuse


def refuse_unminded(pods: list[dict[str, Any]], name: str, config: RegistryConfig) -> None:
    """Raise RegistryError for one of the namespace's `pods` that may serve the tree with a cache of its own.

    `name` is our own pod's. Where it is not among them (a pod with the node's name) nothing is known.
    """
    own = next((pod for pod in pods if _text(pod, "metadata", "name") == name), None)
    if own is None:
        return
    mounts = [mount for container in _containers(own) for mount in _mounts(own, container)]
    trees = _around(mounts, config.root)
    files = _around(mounts, config.path)
    for pod in pods:
        if pod is own or _text(pod, "status", "phase") in _OVER:
            continue
        elsewhere = _text(pod, "spec", "nodeName") != _text(own, "spec", "nodeName")
        for container in _containers(pod):
            if _is_pruner(container):
                continue
            theirs = list(_mounts(pod, container))
            met = [mount for mount in theirs if any(_meet(mount, tree) for tree in trees)]
            if not any(mount.writable and not (elsewhere and mount.source[0] == "hostPath") for mount in met):
                continue
            same_file = any(mount.source == file.source for mount in theirs for file in files)
            if same_file and config.cache != "inmemory" and not _decides(container):
                continue
            raise RegistryError(_sentence(pod, container, config, same_file=same_file))


def _sentence(
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    config: RegistryConfig,
    *,
    same_file: bool,
) -> str:
    who = f"container {container.get('name')} of the pod {_text(pod, 'metadata', 'name')}"
    if same_file and config.cache == "inmemory":
        return (
            f"{who} serves {config.root} as well, and its cache is in memory, which cannot be emptied from "
            "here: let one registry serve it, or set storage.cache to redis or leave it out"
        )
    return (
        f"{who} may write to {config.root} as well, and what it runs with cannot be seen: if it is a "
        f"registry, give it the volume of {config.path} and none of {', '.join(_DECIDING)}; if it is "
        "something else, --override other-registries"
    )


def _around(mounts: list[_Mount], path: str) -> list[_Mount]:
    """The mounts that hold `path`, innermost first and no further."""
    real = os.path.normpath(path)
    holding = [mount for mount in mounts if f"{real}/".startswith(f"{mount.path.rstrip('/')}/")]
    depth = max((len(mount.path.rstrip("/")) for mount in holding), default=0)
    return [mount for mount in holding if len(mount.path.rstrip("/")) == depth]


def _meet(one: _Mount, other: _Mount) -> bool:
    """Whether two mounts show some of the same files."""
    if one.source != other.source:
        return False
    first, second = f"{one.below.strip('/')}/".lstrip("/"), f"{other.below.strip('/')}/".lstrip("/")
    return first.startswith(second) or second.startswith(first)


def _decides(container: Mapping[str, Any]) -> bool:
    names = [str(each.get("name")) for each in _mappings(container.get("env"))]
    return bool(container.get("envFrom")) or any(name.startswith(_DECIDING) for name in names)


def _is_pruner(container: Mapping[str, Any]) -> bool:
    """Another of us, which the lock keeps from running at once."""
    command: object = container.get("command")
    words = cast("list[object]", command) if isinstance(command, list) else []
    return bool(words) and os.path.basename(str(words[0])) == "prune"


def _mounts(pod: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[_Mount]:
    volumes = {str(each.get("name")): each for each in _mappings(_mapping(pod.get("spec")).get("volumes"))}
    for mount in _mappings(container.get("volumeMounts")):
        volume = volumes.get(str(mount.get("name")), {})
        source = _source(volume)
        if source is not None:
            readonly = mount.get("readOnly") is True or _is_readonly(volume)
            yield _Mount(
                source,
                str(mount.get("mountPath")),
                str(mount.get("subPath") or "") if "subPathExpr" not in mount else "",
                not readonly,
            )


def _source(volume: Mapping[str, Any]) -> tuple[str, ...] | None:
    for kind, keys in _SOURCES.items():
        if isinstance(volume.get(kind), dict):
            values = _mapping(volume[kind])
            return (kind, *(str(values.get(key)).rstrip("/") for key in keys))
    return None


def _is_readonly(volume: Mapping[str, Any]) -> bool:
    return any(_mapping(volume.get(kind)).get("readOnly") is True for kind in _SOURCES)


def _containers(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those that stay: an init container ends before any registry of its pod begins, but for sidecars."""
    spec = _mapping(pod.get("spec"))
    for container in _mappings(spec.get("initContainers")):
        if container.get("restartPolicy") == "Always":
            yield container
    yield from _mappings(spec.get("containers"))
    yield from _mappings(spec.get("ephemeralContainers"))


def _text(value: object, *path: str) -> str:
    for key in path:
        value = _mapping(value).get(key)
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [_mapping(each) for each in cast("list[object]", value)] if isinstance(value, list) else []
