"""What this registry claimed, remembered outside of every tree: in one ConfigMap, by place."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from pruner.errors import ClusterError
from pruner.kubernetes import KubernetesApi, NotFound, mapping

# Its UID is the closest to an identity that a cluster has: it is there from the start to the end.
_CLUSTER = "api/v1/namespaces/kube-system"


class Record(Protocol):
    """Remembers the id of the last claim for each place."""

    def read(self, storage: str) -> str:
        """The id of the claim that was made at `storage`; empty when none was. Raises ClusterError."""
        ...

    def write(self, storage: str, claim: str) -> None:
        """Remember it. Raises ClusterError."""
        ...


class NoRecord:
    """Remembers nothing, for a registry outside of a cluster."""

    def read(self, storage: str) -> str:
        """Nothing is known."""
        del storage
        return ""

    def write(self, storage: str, claim: str) -> None:
        """Forget it."""
        del storage, claim


@dataclass(frozen=True, slots=True)
class ConfigMapRecord:
    """The ConfigMap `name` of `namespace`, which is there already and may be read and patched, no more."""

    api: KubernetesApi
    namespace: str
    name: str

    def read(self, storage: str) -> str:
        """The id of the claim that was made at `storage`; empty when none was. Raises ClusterError."""
        text = mapping(self._found().get("data")).get(_key(storage))
        if text is None:
            return ""
        try:
            claim = json.loads(text)["claim"]
        except (ValueError, TypeError, KeyError):
            claim = None
        if not isinstance(claim, str):
            raise ClusterError(
                f"the ConfigMap {self.namespace}/{self.name} says {text!r} of {storage}, which is not "
                f"a record of a claim: remove the key {_key(storage)} if the tree there is the right one"
            )
        return claim

    def write(self, storage: str, claim: str) -> None:
        """Remember it. Raises ClusterError."""
        value = json.dumps({"storage": storage, "claim": claim})
        self.api.patch(self._path, {"data": {_key(storage): value}})

    @property
    def _path(self) -> str:
        return f"api/v1/namespaces/{self.namespace}/configmaps/{self.name}"

    def _found(self) -> dict[str, Any]:
        try:
            return self.api.get(self._path)
        except NotFound:
            raise ClusterError(
                f"the ConfigMap {self.namespace}/{self.name}, which remembers what this registry claimed, is "
                "gone: `pulumi up --refresh` makes it again"
            ) from None


def cluster_id(api: KubernetesApi) -> str:
    """What tells this cluster from every other one, for as long as it lives. Raises ClusterError."""
    uid = mapping(api.get(_CLUSTER).get("metadata")).get("uid")
    if not isinstance(uid, str) or not uid:
        raise ClusterError(
            "the cluster's namespace kube-system has no UID, so the cluster cannot be told from others"
        )
    return uid


def _key(storage: str) -> str:
    return hashlib.sha256(storage.encode()).hexdigest()[:12]
