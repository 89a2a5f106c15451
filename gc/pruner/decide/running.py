"""Which images the cluster runs or names, asked of the Kubernetes API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pruner.kubernetes import KubernetesApi, mapping, mappings

WORKLOADS: Mapping[str, tuple[str, ...]] = {
    "api/v1/pods": ("spec",),
    "api/v1/podtemplates": ("template", "spec"),
    "api/v1/replicationcontrollers": ("spec", "template", "spec"),
    "apis/apps/v1/deployments": ("spec", "template", "spec"),
    "apis/apps/v1/replicasets": ("spec", "template", "spec"),
    "apis/apps/v1/statefulsets": ("spec", "template", "spec"),
    "apis/apps/v1/daemonsets": ("spec", "template", "spec"),
    # What a rollback of a StatefulSet or DaemonSet would run; a Deployment's old ReplicaSets tell of its own.
    "apis/apps/v1/controllerrevisions": ("data", "spec", "template", "spec"),
    "apis/batch/v1/jobs": ("spec", "template", "spec"),
    "apis/batch/v1/cronjobs": ("spec", "jobTemplate", "spec", "template", "spec"),
}
"""The kinds that are asked, by their path in the API, and where each keeps its pod's specification."""

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://")
_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}")
_TAG = re.compile(r":([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$")
_DOCKER_HUB = frozenset({"", "docker.io", "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True)
class RunningImages:
    """What must stay because the cluster runs or names it.

    `tags` are (repository, tag). `digests` count in every repository; some may be digests of image configs.
    """

    tags: frozenset[tuple[str, str]] = frozenset()
    digests: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reference:
    """An image as a workload names it; `repositories` are the names it may have in any registry."""

    repositories: tuple[str, ...]
    tag: str | None
    digest: str | None


def parse_reference(text: str) -> Reference:
    """Take an image reference, or a container status' imageID, apart.

    The host is dropped, as a node may pull through a mirror under another name: to protect an image of the
    same name that runs from elsewhere costs some bytes, to miss one costs an image. A name of the Docker Hub
    that is a single word also stands for its full one, `library/<name>`. Without a tag and a digest the tag
    is `latest`. Nothing is refused: what is not a reference just names no image.
    """
    rest = _SCHEME.sub("", text.strip())
    if _DIGEST.fullmatch(rest):
        return Reference((), None, rest)
    rest, _, digest = rest.partition("@")
    tagged = _TAG.search(rest)
    tag = tagged[1] if tagged else None
    rest = rest[: tagged.start()] if tagged else rest
    first, slash, path = rest.partition("/")
    has_host = bool(slash) and (
        "." in first or ":" in first or first == "localhost" or first != first.lower()
    )
    host, name = (first, path) if has_host else ("", rest)
    names = [name] if name else []
    if name and "/" not in name and host in _DOCKER_HUB:
        names.append(f"library/{name}")
    return Reference(tuple(names), tag if tag or digest else "latest", digest or None)


def running_images(api: KubernetesApi) -> RunningImages:
    """Every image that a pod runs or a workload names, in all namespaces.

    Raises ClusterError when any of the kinds cannot be listed whole: half an answer would unprotect images.
    """
    names: set[str] = set()
    for path, spec in WORKLOADS.items():
        for item in api.items(path):
            names.update(_named(item, spec))
    return images_of(names)


def images_of(names: Iterable[str]) -> RunningImages:
    """What the references `names` protect."""
    tags: set[tuple[str, str]] = set()
    digests: set[str] = set()
    for reference in map(parse_reference, names):
        if reference.tag:
            tags.update((repository, reference.tag) for repository in reference.repositories)
        if reference.digest:
            digests.add(reference.digest)
    return RunningImages(frozenset(tags), frozenset(digests))


def _named(item: Mapping[str, Any], spec_path: tuple[str, ...]) -> Iterator[str]:
    spec: Mapping[str, Any] = item
    for key in spec_path:
        spec = mapping(spec.get(key))
    for kind in _CONTAINERS:
        for container in mappings(spec.get(kind)):
            yield from _texts(container, "image")
    for volume in mappings(spec.get("volumes")):
        yield from _texts(mapping(volume.get("image")), "reference")
    # The digest that a tag meant when the pod began: the tag may have moved on.
    status = mapping(item.get("status"))
    for kind in _STATUSES:
        for container in mappings(status.get(kind)):
            yield from _texts(container, "image", "imageID")


def _texts(mapping: Mapping[str, Any], *keys: str) -> Iterator[str]:
    for key in keys:
        value = mapping.get(key)
        if isinstance(value, str) and value:
            yield value
