"""Whether the cluster can provide what a claim asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from .accepted import size_in_bytes
from .connection import ClusterError
from .inputs import known
from .keeping import ExistingClaim, NewClaim
from .several import SHARED_MODE


def check(
    storage: NewClaim | ExistingClaim,
    namespace: str | None,
    classes: Sequence[Mapping[str, Any]],
    claim: Mapping[str, Any] | None,
    replicas: int,
) -> None:
    """Raises ClusterError where the storage cannot come about, or cannot be shared by `replicas` pods.

    `classes` are the cluster's StorageClasses, `claim` the persistentVolumeClaim by the storage's name.
    """
    name = known(storage.claim)
    if claim is not None and replicas > 1 and SHARED_MODE not in claim["spec"].get("accessModes", ()):
        raise ClusterError(
            f"the claim {name} is of {' and '.join(claim['spec'].get('accessModes', ()))}, and {replicas} "
            f"replicas need {SHARED_MODE}, which a claim has from its beginning: set replicas to 1, or move "
            "the images to such a claim (docs/storage.md)"
        )
    if isinstance(storage, ExistingClaim):
        if name and namespace and claim is None:
            raise ClusterError(
                f"storage.existingClaim is {name!r}, which the namespace {namespace} does not have: "
                "make it, or leave existingClaim out and give a size"
            )
        return
    if claim is not None:
        _check_growth(storage, claim)
        return
    names, wanted = [each["metadata"]["name"] for each in classes], known(storage.storage_class)
    some = f"give {' or '.join(names)}" if names else "the cluster has none"
    if storage.storage_class is None and default_class(classes) is None:
        raise ClusterError(f"storage.storageClass is missing and the cluster has no default: {some}")
    if wanted is not None and wanted not in names:
        raise ClusterError(f"storage.storageClass is {wanted!r}, which the cluster does not have: {some}")


def _check_growth(storage: NewClaim, claim: Mapping[str, Any]) -> None:
    """Raises ClusterError for what cannot be changed of a claim that is there."""
    spec, size = claim["spec"], known(storage.size)
    has = str(spec["resources"]["requests"]["storage"])
    asked, there = size_in_bytes(size or ""), size_in_bytes(has)
    if asked is not None and there is not None and asked < there:
        raise ClusterError(f"storage.size is {size!r}, less than the {has} of the claim: a claim only grows")
    wanted, given = known(storage.storage_class), spec.get("storageClassName")
    if wanted is not None and wanted != given:
        raise ClusterError(
            f"storage.storageClass is {wanted!r}, but the claim {storage.claim} is of the class {given!r}, "
            "which stays: leave it, or move the images to another claim (docs/storage.md)"
        )


def default_class(classes: Sequence[Mapping[str, Any]]) -> str | None:
    """The class of a claim that names none, None where there is none."""
    for each in classes:
        annotations = cast("dict[str, str]", each["metadata"].get("annotations") or {})
        if annotations.get("storageclass.kubernetes.io/is-default-class") == "true":
            return each["metadata"]["name"]
    return None
