"""Which images the cluster runs or names, asked of the Kubernetes API.

The standard library speaks to the API: the official client is some 30 MB, and the ConfigMap that brings the
pruner into the pod holds 1 MiB. All that is needed is to list a few kinds, in pages.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, cast

from pruner.clock import Clock
from pruner.delays import CLUSTER_RETRY, CLUSTER_TIMEOUT
from pruner.errors import ClusterError

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

_PAGE = 250  # items a page, so that a large cluster's answer stays a few megabytes
_ATTEMPTS = 4
_BUSY = frozenset({429, 500, 502, 503, 504})
_EXPIRED = 410

# Where each kind keeps its pod's specification.
_WORKLOADS: Mapping[str, tuple[str, ...]] = {
    "api/v1/pods": ("spec",),
    "apis/apps/v1/deployments": ("spec", "template", "spec"),
    "apis/apps/v1/replicasets": ("spec", "template", "spec"),
    "apis/apps/v1/statefulsets": ("spec", "template", "spec"),
    "apis/apps/v1/daemonsets": ("spec", "template", "spec"),
    # What a rollback of a StatefulSet or DaemonSet would run; a Deployment's old ReplicaSets tell of its own.
    "apis/apps/v1/controllerrevisions": ("data", "spec", "template", "spec"),
    "apis/batch/v1/jobs": ("spec", "template", "spec"),
    "apis/batch/v1/cronjobs": ("spec", "jobTemplate", "spec", "template", "spec"),
}
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
    is `latest`. Nothing is refused: what is no reference just names no image.
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


class KubernetesApi:
    """The API server as a pod reaches it: list requests with the pod's service account.

    The token is read anew for every request, as the kubelet replaces it within the hour.
    """

    def __init__(self, url: str, token_file: str, ca_file: str, clock: Clock) -> None:
        """`url` is the server's https address; raises ClusterError when the CA file cannot be used."""
        self._url = url
        self._token_file = token_file
        self._clock = clock
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise ClusterError(f"the cluster's CA {ca_file} cannot be read ({error})") from error
        # No proxy and no redirect: the token goes to the API server alone.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _NoRedirect()
        )

    @classmethod
    def of_pod(cls, environ: Mapping[str, str], clock: Clock, account: str = ACCOUNT) -> KubernetesApi:
        """The API of the cluster this pod runs in; raises ClusterError outside of one."""
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise ClusterError(
                "running images are to be protected, but KUBERNETES_SERVICE_HOST is not set, so this is no "
                "pod of a cluster: set GC_PROTECT_RUNNING to false to prune without asking one"
            )
        host = f"[{host}]" if ":" in host else host
        return cls(
            f"https://{host}:{port}", os.path.join(account, "token"), os.path.join(account, "ca.crt"), clock
        )

    def items(self, path: str) -> Iterator[dict[str, Any]]:
        """Every object of the kind at `path`, in all namespaces, page by page; some may come twice.

        Raises ClusterError when the server refuses, cannot be reached or gives no list, and Stopped.
        """
        token, limit = "", _PAGE
        while True:
            query = {"limit": str(limit)} | ({"continue": token} if token else {})
            try:
                page = self._page(f"{path}?{urllib.parse.urlencode(query)}", path)
            except _ExpiredError:
                if not token:
                    raise
                # The pages took longer than the server remembers: begin again, all on one page.
                token, limit = "", 0
                continue
            if "items" not in page:
                raise ClusterError(f"the cluster's API gave no list of {path}")
            yield from _mappings(page["items"])
            token = str(_mapping(page.get("metadata")).get("continue") or "")
            if not token:
                return

    def _page(self, request: str, path: str) -> dict[str, Any]:
        wait = CLUSTER_RETRY
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._get(request, path)
            except _BusyError:
                if attempt == _ATTEMPTS:
                    raise
            self._clock.sleep(wait)
            wait *= 2
        raise AssertionError("unreachable")

    def _get(self, request: str, path: str) -> dict[str, Any]:
        try:
            with open(self._token_file, encoding="utf-8") as file:
                token = file.read().strip()
        except OSError as error:
            raise ClusterError(f"the service account's token {self._token_file}: {error.strerror}") from error
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        try:
            asked = urllib.request.Request(f"{self._url}/{request}", headers=headers)
            with self._opener.open(asked, timeout=CLUSTER_TIMEOUT) as response:
                answer = json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise _refusal(error, path) from error
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise _BusyError(f"the cluster's API at {self._url} cannot be reached: {reason}") from error
        except ValueError as error:
            raise ClusterError(f"the cluster's API gave no JSON for {path}: {error}") from error
        if not isinstance(answer, dict):
            raise ClusterError(f"the cluster's API gave no list of {path}")
        return cast("dict[str, Any]", answer)


def running_images(api: KubernetesApi) -> RunningImages:
    """Every image that a pod runs or a workload names, in all namespaces.

    Raises ClusterError when any of the kinds cannot be listed whole: half an answer would unprotect images.
    """
    names: set[str] = set()
    for path, spec in _WORKLOADS.items():
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
        spec = _mapping(spec.get(key))
    for kind in _CONTAINERS:
        for container in _mappings(spec.get(kind)):
            yield from _texts(container, "image")
    for volume in _mappings(spec.get("volumes")):
        yield from _texts(_mapping(volume.get("image")), "reference")
    # The digest that a tag meant when the pod began: the tag may have moved on.
    status = _mapping(item.get("status"))
    for kind in _STATUSES:
        for container in _mappings(status.get(kind)):
            yield from _texts(container, "image", "imageID")


def _texts(mapping: Mapping[str, Any], *keys: str) -> Iterator[str]:
    for key in keys:
        value = mapping.get(key)
        if isinstance(value, str) and value:
            yield value


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _mappings(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", item) for item in cast("list[object]", value) if isinstance(item, dict)]


class _BusyError(ClusterError):
    """Worth another attempt."""


class _ExpiredError(ClusterError):
    """The continue token is too old."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _refusal(error: urllib.error.HTTPError, path: str) -> ClusterError:
    try:
        message = str(_mapping(json.loads(error.read())).get("message") or error.reason)
    except (OSError, ValueError):
        message = str(error.reason)
    sentence = f"the cluster's API answered {error.code} for {path}: {message}"
    if error.code in _BUSY:
        return _BusyError(sentence)
    if error.code == _EXPIRED:
        return _ExpiredError(sentence)
    if error.code in (401, 403):
        sentence += "; the pruner's service account must be allowed to list them in all namespaces"
    return ClusterError(sentence)
