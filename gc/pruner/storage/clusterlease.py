"""A lease that a cluster keeps: an object of the kind Lease in the pruner's namespace."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pruner.clock import Clock
from pruner.kubernetes import ACCOUNT, Conflict, KubernetesApi, NotFound, mapping
from pruner.storage.lease import LENGTH, Note

_KIND = "coordination.k8s.io/v1"


class ClusterLease:
    """A LeaseStore (pruner.storage.lease) that is a Lease, written on the condition of its resourceVersion.

    `tree` and `lock` say what it is a lease of; `bound` and `aftermath` are those of the requests which it
    guards, in seconds.
    """

    def __init__(
        self, api: KubernetesApi, namespace: str, tree: str, lock: str, bound: float, aftermath: float
    ) -> None:
        self.bound = bound
        self.aftermath = aftermath
        self._api = api
        self._tree = tree
        self._path = f"apis/{_KIND}/namespaces/{namespace}/leases"
        digest = hashlib.sha256(f"{tree}/{lock}".encode()).hexdigest()
        self.name = f"docker-registry-pruner-{lock.rpartition('/')[2]}-{digest[:10]}"

    def read(self) -> Note | None:
        """What it says; None when there is none yet. Raises ClusterError."""
        try:
            return _note(self._api.get(f"{self._path}/{self.name}"))
        except NotFound:
            return None

    def write(self, holder: str, version: str | None) -> str | None:
        """Write it if it is still of `version` (None: not there); the new version, None if it is not."""
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": int(LENGTH),
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        metadata: dict[str, Any] = {"name": self.name, "annotations": {"docker-registry/tree": self._tree}}
        try:
            if version is None:
                lease = {"apiVersion": _KIND, "kind": "Lease", "metadata": metadata, "spec": spec}
                return _note(self._api.post(self._path, lease)).version
            metadata = {"resourceVersion": version}
            return _note(
                self._api.patch(f"{self._path}/{self.name}", {"metadata": metadata, "spec": spec})
            ).version
        except (Conflict, NotFound):
            return None


def of_pod(
    environ: Mapping[str, str], clock: Clock, tree: str, lock: str, bound: float, aftermath: float
) -> ClusterLease:
    """The lease of a lock on a tree in this pod's namespace; raises ClusterError and OSError."""
    with open(f"{ACCOUNT}/namespace", encoding="utf-8") as file:
        namespace = file.read().strip()
    return ClusterLease(KubernetesApi.of_pod(environ, clock), namespace, tree, lock, bound, aftermath)


def _note(lease: Mapping[str, Any]) -> Note:
    holder = mapping(lease.get("spec")).get("holderIdentity")
    return Note(str(holder or ""), str(mapping(lease.get("metadata")).get("resourceVersion") or ""))
