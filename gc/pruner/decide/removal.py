"""One removal: a thing that goes, with its reason."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pruner.storage import Stat
from pruner.tree.model import Leftover, Link

Kind = Literal[
    "upload",
    "temporary",
    "tag",
    "index-link",
    "revision",
    "layer-link",
    "signatures",
    "blob",
    "folder",
    "repository",
    "trash",
]
LINKS: frozenset[Kind] = frozenset({"tag", "index-link", "revision", "layer-link"})
"""Kinds that are link files: taken away first and put back when a later look wants them."""
LEFTOVERS: frozenset[Kind] = frozenset({"upload", "temporary", "signatures"})


class Removal(NamedTuple):
    """One thing that goes.

    `path` is relative to the storage's root. `bytes` is what it frees: the data of blobs, uploads and
    temporary files; links count 0, and so does a blob with a second hard link. `repository` of a blob is the
    only one that had it, and empty when there were several or none.
    """

    kind: Kind
    repository: str
    digest: str
    path: str
    bytes: int
    reason: str
    tag: str = ""
    link: Link | None = None
    leftover: Leftover | None = None
    stat: Stat | None = None


def as_json(removal: Removal, root: str) -> dict[str, Any]:
    """A removal as JSON data; bytes are a number, the path absolute."""
    return {
        "kind": removal.kind,
        "repository": removal.repository,
        "digest": removal.digest,
        "path": f"{root}/{removal.path}",
        "bytes": removal.bytes,
        "reason": removal.reason,
        **({"tag": removal.tag} if removal.tag else {}),
    }
