"""Where the images are kept: the kinds of storage, and what is accepted of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from . import accepted, bucket
from .args import DockerRegistryArgs
from .bucket import Bucket
from .inputs import later, made
from .objects import Storage

_PATH = "/var/lib/docker-registry"
_OF_NEW_CLAIM = ("size", "storage_class", "access_modes", "retain")
# What is of one kind alone.
_OF = {
    "hostPath": ("path", "node"),
    "persistentVolumeClaim": (*_OF_NEW_CLAIM, "existing_claim"),
    "s3": (
        "bucket",
        "region",
        "endpoint",
        "force_path_style",
        "root_directory",
        "encryption",
        "kms_key",
        "access_key",
        "secret_key",
        "existing_secret",
        "service_account_annotations",
        "ca_certificate",
        "redirect",
    ),
}


@dataclass(frozen=True, slots=True)
class HostPath:
    """A folder of a node: its absolute `path`, and the `node` by name, or None for wherever the pod lands.

    `adopt` is the claim that may be taken over, None for none.
    """

    path: pulumi.Input[str]
    node: pulumi.Input[str] | None
    adopt: str | None


@dataclass(frozen=True, slots=True)
class NewClaim:
    """A persistentVolumeClaim of the stack's own; with `retain` it and its namespace outlive the stack.

    `storage_class` is None for the cluster's default, `adopt` as in HostPath.
    """

    size: pulumi.Input[str]
    storage_class: pulumi.Input[str] | None
    access_modes: tuple[str, ...]
    retain: bool
    adopt: str | None

    @property
    def claim(self) -> str:
        """The name of the persistentVolumeClaim."""
        return "registry-data"


@dataclass(frozen=True, slots=True)
class ExistingClaim:
    """A persistentVolumeClaim of the namespace that somebody else made, and keeps."""

    claim: pulumi.Input[str]
    adopt: str | None


Kept = HostPath | NewClaim | ExistingClaim | Bucket


def read(value: Any, namespace: pulumi.Input[str]) -> Kept:
    """The storage that `value` describes, as args or as a mapping. Raises ValueError."""
    storage = made(Storage, value)
    kind = accepted.choice(storage.kind or Storage().kind, *_OF)
    for other, fields in _OF.items():
        if other != kind:
            _refuse(storage, fields, f"of a {other}: leave it out, or set kind to that")
    adopt = None if storage.adopt is None else accepted.claim(storage.adopt)
    if kind == "hostPath":
        path = later(namespace, default_path) if storage.path is None else storage.path
        node = None if storage.node is None else later(storage.node, accepted.dns_name)
        return HostPath(later(path, accepted.host_path), node, adopt)
    if kind == "s3":
        return bucket.read(storage, adopt)
    if storage.existing_claim is not None:
        _refuse(storage, _OF_NEW_CLAIM, "of a claim that the stack makes: leave it or existingClaim out")
        return ExistingClaim(later(storage.existing_claim, accepted.dns_name), adopt)
    if storage.size is None:
        raise ValueError("size is missing: give how much room the images are to have, such as 50Gi")
    storage_class = storage.storage_class
    return NewClaim(
        size=later(storage.size, accepted.size),
        storage_class=None if storage_class is None else later(storage_class, accepted.dns_name),
        access_modes=accepted.access_modes(storage.access_modes or ["ReadWriteOnce"]),
        retain=True if storage.retain is None else accepted.boolean(storage.retain),
        adopt=adopt,
    )


def default_path(namespace: str) -> str:
    """Where the images of the registry in `namespace` are kept by default: no two of a node in one folder."""
    return _PATH if namespace == DockerRegistryArgs().namespace else f"{_PATH}-{namespace}"


def _refuse(storage: Storage, fields: tuple[str, ...], why: str) -> None:
    for field in fields:
        if getattr(storage, field) is not None:
            raise ValueError(f"{accepted.camel_case(field)} is {why}")
