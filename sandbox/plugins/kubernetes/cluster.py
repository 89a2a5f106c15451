"""The cluster's API: any kind of object by plain REST through the official client's connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import urllib3
from kubernetes.client.api_client import ApiClient
from kubernetes.client.exceptions import ApiException

from sandbox.plugins.kubernetes.configuration import Unreachable
from sandbox.plugins.kubernetes.kinds import Kind
from sandbox.plugins.protocol import PluginError
from sandbox.plugins.values import Properties, as_dict, as_list

# Seconds to connect, and for the answer.
_TIMEOUT: Final = urllib3.Timeout(connect=5, read=60)


class ApiError(PluginError):
    """The API server said no; the text is its own message."""

    def __init__(self, code: int, status: Properties) -> None:
        super().__init__(str(status.get("message") or f"HTTP {code}"))
        self.code = code
        self.reason = str(status.get("reason") or "")
        self.about = str(as_dict(status.get("details")).get("kind") or "")


class NoSuchKind(PluginError):
    """The API server knows no such kind: its definition is missing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where objects of a kind lie in the API."""

    plural: str
    namespaced: bool


class Cluster:
    """One API server."""

    def __init__(self, client: ApiClient) -> None:
        self._client = cast("Any", client)
        self._places: dict[Kind, Place] = {}
        self._lock = threading.Lock()

    def ping(self) -> None:
        """Raise Unreachable or ApiError unless the server answers and knows us."""
        self._request("GET", "/api/v1")

    def place(self, kind: Kind) -> Place:
        """Where the kind's objects lie. Raises NoSuchKind; what is missing is asked again each time."""
        with self._lock:
            if kind not in self._places:
                try:
                    listing = self._request("GET", _base(kind))
                except ApiError as error:
                    if error.code != 404:
                        raise
                    listing = {}
                for entry in as_list(listing.get("resources")):
                    if entry["kind"] == kind.kind and "/" not in entry["name"]:
                        self._places[kind] = Place(entry["name"], entry["namespaced"])
            if kind not in self._places:
                raise NoSuchKind(
                    f"the API server knows no {kind}: is its CustomResourceDefinition made first?"
                )
            return self._places[kind]

    def get(self, kind: Kind, namespace: str, name: str) -> Properties:
        """The object as it is."""
        return self._request("GET", self._path(kind, namespace, name))

    def list(self, kind: Kind, namespace: str, label_selector: str = "") -> list[Properties]:
        """The objects of a kind in a namespace."""
        query = {"labelSelector": label_selector} if label_selector else {}
        return as_list(self._request("GET", self._path(kind, namespace), query).get("items"))

    def create(self, kind: Kind, namespace: str, body: Properties, manager: str, dry: bool) -> Properties:
        """Make the object; an existing one is an error."""
        return self._request("POST", self._path(kind, namespace), _query(manager, dry), body)

    def apply(
        self, kind: Kind, namespace: str, body: Properties, manager: str, *, force: bool, dry: bool
    ) -> Properties:
        """Server-side apply: the manager's fields become those of the body, others' stay."""
        path = self._path(kind, namespace, body["metadata"]["name"])
        query = {**_query(manager, dry), "force": str(force).lower()}
        # The body is JSON, which is YAML; only the header must say YAML.
        return self._request("PATCH", path, query, body, "application/apply-patch+yaml")

    def replace(self, kind: Kind, namespace: str, body: Properties, manager: str, dry: bool) -> Properties:
        """Put the body in the object's place."""
        path = self._path(kind, namespace, body["metadata"]["name"])
        return self._request("PUT", path, _query(manager, dry), body)

    def patch(self, kind: Kind, namespace: str, name: str, operations: Sequence[Properties]) -> Properties:
        """Apply JSON patch operations."""
        path = self._path(kind, namespace, name)
        return self._request("PATCH", path, {}, list(operations), "application/json-patch+json")

    def delete(self, kind: Kind, namespace: str, name: str, propagation: str) -> None:
        """Ask for the object's removal; it may take its time."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        self._request("DELETE", self._path(kind, namespace, name), {}, options)

    def _path(self, kind: Kind, namespace: str, name: str = "") -> str:
        place = self.place(kind)
        path = _base(kind)
        if place.namespaced and namespace:
            path += f"/namespaces/{namespace}"
        return f"{path}/{place.plural}" + (f"/{name}" if name else "")

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Properties:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        text = None if body is None else json.dumps(body)
        try:
            _, url, headers, _, _ = self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=headers,
                auth_settings=["BearerToken"],
            )
            pool = self._client.rest_client.pool_manager
            answer = pool.request(method, url, body=text, headers=headers, timeout=_TIMEOUT)
        except (urllib3.exceptions.HTTPError, ApiException) as error:
            raise Unreachable(f"the API server does not answer: {error}") from error
        try:
            document = cast("Properties", json.loads(answer.data))
        except ValueError:
            document = {"message": answer.data.decode(errors="replace").strip()}
        if answer.status >= 400:
            raise ApiError(answer.status, document)
        return document


def _base(kind: Kind) -> str:
    return f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"


def _query(manager: str, dry: bool) -> dict[str, str]:
    return {"fieldManager": manager, **({"dryRun": "All"} if dry else {})}
