"""Manifests by digest, each read and parsed once in the life of a run: a digest's bytes never change."""

from __future__ import annotations

from pruner.storage import Storage, read_errors
from pruner.tree import layout
from pruner.tree.manifests import SIZE_LIMIT, Damaged, Manifest, parse


class Library:
    """Reads manifests from a storage; `reads` counts the reads, for those who assert on the work done."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[str, Manifest] = {}
        self.reads = 0

    def get(self, digest: str) -> Manifest | Damaged | None:
        """The manifest; Damaged when the bytes are none; None when the blob is not there.

        Raises ReadError when it is there and cannot be read.
        """
        known = self._known.get(digest)
        if known is not None:
            return known
        path = layout.blob_data(digest)
        self.reads += 1
        with read_errors(self._storage):
            try:
                content, _ = self._storage.read(path, SIZE_LIMIT)
            except FileNotFoundError:
                return None
        try:
            manifest = parse(content)
        except Damaged as damage:
            return damage  # v2.8 writes in place: it may be whole at the next look
        self._known[digest] = manifest
        return manifest
