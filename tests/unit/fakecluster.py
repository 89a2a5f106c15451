"""A cluster's API as far as the program asks it: an HTTP server on loopback and a kubeconfig for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import yaml

TOKEN = "a-token"


@dataclass
class FakeCluster:
    """What the API answers with; `refuse` is a path prefix that gets a 403.

    `addresses` are those that the address resource of a namespace names, beside `annotations` and `ca`, and
    `auths` what it says of logins; `claims` and `secrets` are by NAMESPACE/NAME, `namespaces` have each its
    labels.
    """

    nodes: list[dict[str, Any]] = field(default_factory=lambda: [node("n1", InternalIP="10.0.0.1")])
    services: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    definitions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    classes: list[dict[str, Any]] = field(default_factory=lambda: [storage_class("standard", default=True)])
    claims: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    addresses: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    auths: dict[str, str] = field(default_factory=dict[str, str])
    namespaces: dict[str, dict[str, str]] = field(default_factory=lambda: {"default": {}, "kube-system": {}})
    annotations: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    ca: str = ""
    refuse: str = "/none"
    asked: list[str] = field(default_factory=list[str])
    port: int = 0

    def kubeconfig(self, *, broken_default: bool = False) -> str:
        """A kubeconfig of two contexts, `fake` and one that leads nowhere; current is `fake` unless told."""
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "nowhere" if broken_default else "fake",
                "contexts": [
                    {"name": "fake", "context": {"cluster": "fake", "user": "fake"}},
                    {"name": "nowhere", "context": {"cluster": "nowhere", "user": "fake"}},
                ],
                "clusters": [
                    {"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.port}"}},
                    # Port 9 of loopback, discard: nothing listens there.
                    {"name": "nowhere", "cluster": {"server": "http://127.0.0.1:9"}},
                ],
                "users": [{"name": "fake", "user": {"token": TOKEN}}],
            }
        )

    def answer(self, path: str, query: dict[str, list[str]]) -> list[dict[str, Any]] | None:
        """The items of a list, None for what there is not."""
        if path == "/version/":
            return []
        if path == "/api/v1/nodes":
            return self.nodes
        if path == "/api/v1/namespaces":
            return [{"metadata": {"name": name}} for name in self.namespaces]
        if path == "/api/v1/services":
            return self.services
        if path == "/apis/storage.k8s.io/v1/storageclasses":
            return self.classes
        if path == "/apis/apiextensions.k8s.io/v1/customresourcedefinitions":
            wanted = query["fieldSelector"][0].removeprefix("metadata.name=")
            return [item for item in self.definitions if item["metadata"]["name"] == wanted]
        return None

    def one(self, path: str) -> dict[str, Any] | None:
        """The object at `path`, None for what there is not."""
        above, _, below = path.partition("/namespaces/")
        if above == "/api/v1" and "/persistentvolumeclaims/" in below:
            return self.claims.get(below.replace("/persistentvolumeclaims/", "/"))
        if above == "/api/v1" and below in self.namespaces:
            return {"metadata": {"name": below, "labels": self.namespaces[below]}}
        if above == "/api/v1" and "/secrets/" in below:
            return self.secrets.get(below.replace("/secrets/", "/"))
        return self.published(path)

    def published(self, path: str) -> dict[str, Any] | None:
        """The address resource at `path`, None for what there is not."""
        above, _, below = path.partition("/namespaces/")
        namespace, _, resource = below.partition("/")
        known = above == "/apis/docker-registry.internal/v1" and resource == "registryaddresses/registry"
        if not known or namespace not in self.addresses:
            return None
        auth = {"auth": self.auths[namespace]} if namespace in self.auths else {}
        return {
            "kind": "RegistryAddress",
            "metadata": {"annotations": self.annotations.get(namespace)},
            "spec": {"addresses": self.addresses[namespace], "caBundle": self.ca, **auth},
        }


def node(name: str, *, ready: bool = True, **addresses: str | list[str]) -> dict[str, Any]:
    """A node with addresses by type."""
    given = [
        {"type": kind, "address": address}
        for kind, values in addresses.items()
        for address in ([values] if isinstance(values, str) else values)
    ]
    conditions = [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": name}, "status": {"addresses": given, "conditions": conditions}}


def service(
    namespace: str, name: str, *ports: int, health: int | None = None, families: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A NodePort Service of address `families`."""
    spec: dict[str, Any] = {"ports": [{"port": 1, "nodePort": port} for port in ports]}
    spec |= {"healthCheckNodePort": health} if health else {}
    spec |= {"ipFamilies": list(families)} if families else {}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec}


def storage_class(name: str, *, default: bool = False) -> dict[str, Any]:
    """A StorageClass."""
    marks = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": marks}, "provisioner": "example.com/disks"}


def claim(size: str, of_class: str = "standard", *modes: str) -> dict[str, Any]:
    """A persistentVolumeClaim, ReadWriteOnce unless told."""
    spec = {"storageClassName": of_class, "resources": {"requests": {"storage": size}}}
    return {"spec": {**spec, "accessModes": list(modes) or ["ReadWriteOnce"]}}


def definition(name: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    """A CustomResourceDefinition, as much of it as the client's model insists on."""
    return {
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "group": name.partition(".")[2],
            "names": {"kind": "RegistryAddress", "plural": name.partition(".")[0]},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True}],
        },
    }


@contextmanager
def running() -> Generator[FakeCluster]:
    """A cluster that answers until the end of the block."""
    cluster = FakeCluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlparse(self.path)
            cluster.asked.append(url.path)
            items = cluster.answer(url.path, parse_qs(url.query))
            one = cluster.one(url.path)
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                self._send(401, {"kind": "Status"})
            elif url.path.startswith(cluster.refuse):
                self._send(403, {"kind": "Status"})
            elif one is not None:
                self._send(200, one)
            elif items is None:
                self._send(404, {"kind": "Status"})
            else:
                self._send(200, {"kind": "List", "metadata": {}, "items": items})

        def _send(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    cluster.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
