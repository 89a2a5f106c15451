"""The Kubernetes API as a pod reaches it, with the service account that is mounted into it.

The standard library speaks to the API: the official client is some 30 MB, and the ConfigMap that brings the
pruner into the pod holds 1 MiB. All that is needed is to list a few kinds, in pages, and to read and change
single objects.
"""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any, cast

from pruner.clock import Clock
from pruner.delays import CLUSTER_RETRY, CLUSTER_TIMEOUT
from pruner.errors import ClusterError

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

_PAGE = 250  # items a page, so that a large cluster's answer stays a few megabytes
_ATTEMPTS = 4
_BUSY = frozenset({429, 500, 502, 503, 504})
_MISSING = 404
_CONFLICT = 409
_EXPIRED = 410
_MERGE = "application/merge-patch+json"


class NotFound(ClusterError):
    """There is no such object, or no such kind."""


class Conflict(ClusterError):
    """The object is there already, or another than it was taken for."""


class KubernetesApi:
    """The API server, asked with the pod's service account; paths have no leading slash.

    The token is read anew for every request, as the kubelet replaces it within the hour. Every call raises
    ClusterError when the server refuses, cannot be reached or does not answer what was asked, and Stopped.
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
                "KUBERNETES_SERVICE_HOST is not set, so this is not a pod of a cluster, and there is none to "
                "ask: set GC_PROTECT_RUNNING to false to prune without asking one"
            )
        host = f"[{host}]" if ":" in host else host
        return cls(
            f"https://{host}:{port}", os.path.join(account, "token"), os.path.join(account, "ca.crt"), clock
        )

    def items(self, path: str) -> Iterator[dict[str, Any]]:
        """Every object of the kind at `path`, in all namespaces, page by page; some may come twice."""
        token, limit = "", _PAGE
        while True:
            query = {"limit": str(limit)} | ({"continue": token} if token else {})
            try:
                page = self._ask(
                    "GET", f"{path}?{urllib.parse.urlencode(query)}", path, may="list them in all namespaces"
                )
            except _ExpiredError:
                if not token:
                    raise
                # The pages took longer than the server remembers: begin again, all on one page.
                token, limit = "", 0
                continue
            if "items" not in page:
                raise ClusterError(f"the cluster's API gave no list of {path}")
            yield from mappings(page["items"])
            token = str(mapping(page.get("metadata")).get("continue") or "")
            if not token:
                return

    def get(self, path: str) -> dict[str, Any]:
        """The object at `path`; raises NotFound."""
        return self._ask("GET", path, path, may="get it")

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge `body` into the object at `path` and return what it is then; raises NotFound."""
        return self._ask("PATCH", path, path, body, may="patch it")

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object of the kind at `path`; a busy server is asked again, so some are made twice."""
        return self._ask("POST", path, path, body, may="create them")

    def _ask(
        self, method: str, request: str, path: str, body: Mapping[str, Any] | None = None, *, may: str
    ) -> dict[str, Any]:
        wait = CLUSTER_RETRY
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._once(method, request, path, body, may)
            except _BusyError:
                if attempt == _ATTEMPTS:
                    raise
            self._clock.sleep(wait)
            wait *= 2
        raise AssertionError("unreachable")

    def _once(
        self, method: str, request: str, path: str, body: Mapping[str, Any] | None, may: str
    ) -> dict[str, Any]:
        try:
            with open(self._token_file, encoding="utf-8") as file:
                token = file.read().strip()
        except OSError as error:
            raise ClusterError(f"the service account's token {self._token_file}: {error.strerror}") from error
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = _MERGE if method == "PATCH" else "application/json"
        try:
            content = None if body is None else json.dumps(body).encode()
            asked = urllib.request.Request(f"{self._url}/{request}", content, headers, method=method)
            with self._opener.open(asked, timeout=CLUSTER_TIMEOUT) as response:
                answer = json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise _refusal(error, path, may) from error
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise _BusyError(f"the cluster's API at {self._url} cannot be reached: {reason}") from error
        except ValueError as error:
            raise ClusterError(f"the cluster's API gave no JSON for {path}: {error}") from error
        if not isinstance(answer, dict):
            raise ClusterError(f"the cluster's API gave no object and no list of {path}")
        return cast("dict[str, Any]", answer)


def mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is an object of JSON, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def mappings(value: object) -> list[dict[str, Any]]:
    """The objects of JSON in the list `value`; none if it is not a list."""
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


def _refusal(error: urllib.error.HTTPError, path: str, may: str) -> ClusterError:
    try:
        message = str(mapping(json.loads(error.read())).get("message") or error.reason)
    except (OSError, ValueError):
        message = str(error.reason)
    sentence = f"the cluster's API answered {error.code} for {path}: {message}"
    if error.code in _BUSY:
        return _BusyError(sentence)
    if error.code == _EXPIRED:
        return _ExpiredError(sentence)
    if error.code == _MISSING:
        return NotFound(sentence)
    if error.code == _CONFLICT:
        return Conflict(sentence)
    if error.code in (401, 403):
        sentence += f"; the pruner's service account must be allowed to {may}"
    return ClusterError(sentence)
