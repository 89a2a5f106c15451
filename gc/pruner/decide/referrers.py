"""Tags that are named after a subject, as signatures and the referrers of old clients are."""

from __future__ import annotations

from pruner.tree.library import Library
from pruner.tree.manifests import Manifest


def subject_key(digest: str) -> tuple[str, str]:
    """A digest as a tag names it: its algorithm, and as much of the hex part as fits."""
    algorithm, name = digest.split(":")
    return algorithm, name[:64]


def reaches(library: Library, root: str, key: tuple[str, str]) -> bool:
    """Whether a tag on `root` is named after its own image or a part of it, so that it is not a referrer.

    Raises ReadError.
    """
    seen: set[str] = set()
    pending = [root]
    while pending:
        digest = pending.pop()
        if subject_key(digest) == key:
            return True
        if digest in seen:
            continue
        seen.add(digest)
        manifest = library.get(digest)
        if isinstance(manifest, Manifest):
            if any(subject_key(blob) == key for blob in manifest.blobs):
                return True
            pending.extend(manifest.children)
    return False
