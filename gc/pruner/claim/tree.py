"""The claim in the tree: one small file in its root, beside the registry's folder.

Of several pods that find a tree unclaimed only one makes its claim: the file is written under a name of its
own and then moved to a place that must be free.
"""

from __future__ import annotations

import json
import time
from calendar import timegm
from contextlib import suppress
from typing import Any, cast

from pruner.claim.decision import Claim, Owner
from pruner.errors import ClaimRefused
from pruner.storage import Storage
from pruner.tree import layout

_LIMIT = 4096
_VERSION = 1
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"


def read(storage: Storage) -> Claim | None:
    """The tree's claim, None where there is none.

    Raises ClaimRefused for one that cannot be understood, and OSError.
    """
    try:
        content, *_ = storage.read(layout.CLAIM, _LIMIT)
    except FileNotFoundError:
        return None
    try:
        return _parsed(content)
    except (ValueError, TypeError, KeyError) as error:
        raise ClaimRefused(
            f"{storage.root}/{layout.CLAIM} is not a claim that can be read here ({error}): whose tree it is "
            "is not known; if it is this registry's alone, remove the file"
        ) from None


def make(storage: Storage, claim: Claim) -> bool:
    """Write the claim, in the place of the one it replaces; False when another came first. Raises OSError."""
    content = _text(claim)
    if claim.replaces and _is_there(storage):
        storage.write(layout.CLAIM, content)
        return True
    candidate = f"{layout.CLAIM}.{claim.id}"
    try:
        storage.write(candidate, content)
        if storage.put_back(candidate, layout.CLAIM):
            return True
    except OSError:
        _remove(storage, candidate)
        raise
    _remove(storage, candidate)
    return False


def is_empty(storage: Storage) -> bool:
    """Whether nothing lies in the root that tells what it is. Raises OSError."""
    return all(layout.is_of_any_root(entry.name) for entry in storage.list(""))


def _is_there(storage: Storage) -> bool:
    return any(entry.name == layout.CLAIM for entry in storage.list(""))


def _remove(storage: Storage, candidate: str) -> None:
    for path in (candidate, f"{candidate}.tmp"):
        with suppress(OSError):
            storage.remove(path)


def _text(claim: Claim) -> bytes:
    fields = {
        "version": _VERSION,
        "id": claim.id,
        "owner": claim.owner.name,
        "cluster": claim.owner.cluster,
        "since": time.strftime(_MOMENT, time.gmtime(claim.since)),
        "replaces": claim.replaces,
    }
    return (json.dumps(fields, indent=2) + "\n").encode()


def _parsed(content: bytes) -> Claim:
    fields = cast("dict[str, Any]", json.loads(content))
    if fields["version"] != _VERSION:
        raise ValueError(f"version {fields['version']}")
    texts = [fields[key] for key in ("id", "owner", "cluster", "replaces")]
    if not all(isinstance(text, str) for text in texts) or not texts[0]:
        raise ValueError("its fields are not texts")
    since = timegm(time.strptime(fields["since"], _MOMENT))
    return Claim(fields["id"], Owner(fields["owner"], fields["cluster"]), since, fields["replaces"])
