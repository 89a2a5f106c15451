"""Manifests by digest, each read, checked and parsed once in the life of a run: their bytes never change.

The manifests of images, of which a registry has by far the most, are kept as the keys of their blobs alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pruner.storage import Odd, Stat, Storage, View, read_errors
from pruner.tree import layout
from pruner.tree.digests import Key, key_of, text_of, unpack
from pruner.tree.index import PATH, Index
from pruner.tree.manifests import SIZE_LIMIT, Damaged, Manifest, check, parse, plain

if TYPE_CHECKING:
    from pruner.tree.whole import Tree

Found = bytes | Manifest | Damaged | None
"""The keys of an image's blobs; any other manifest; Damaged when the bytes are none; None: not there."""


class Library:
    """Reads manifests from a storage.

    `reads` counts the reads, for those who assert on the work done. `index` is what an earlier run knew.
    """

    def __init__(self, storage: View, index: Index | None = None) -> None:
        self._view = storage
        self._index = index
        self._known: dict[Key, bytes | Manifest] = {}
        self._seen: dict[Key, Stat] = {}
        self._missing: dict[Key, Damaged | None] = {}
        self.reads = 0

    def begin(self, view: View) -> None:
        """A look begins: what was not there or not whole may be by now (2.8 writes in place)."""
        self._view = view
        self._missing.clear()

    def get(self, digest: str) -> Manifest | Damaged | None:
        """The manifest; Damaged when the bytes are none; None when the blob is not there.

        Raises ReadError when it is there and cannot be read.
        """
        found = self.find(key_of(digest))
        return image(found) if isinstance(found, bytes) else found

    def find(self, key: Key) -> Found:
        """The same, an image's manifest as the keys of its blobs."""
        known = self._known.get(key)
        if known is not None:
            return known
        if key not in self._missing:
            self.load((key,))
        return self._known.get(key) or self._missing.get(key)

    def load(self, keys: Collection[Key]) -> None:
        """Read those that are not known yet, in bulk; raises ReadError."""
        known, missing = self._known, self._missing
        new = [key for key in keys if key not in known and key not in missing]
        with read_errors(self._view):
            if self._index is not None and new:
                new = self._recall(new, self._index)
            self._read(new)

    def _read(self, keys: list[Key]) -> None:
        paths = [layout.blob_path(key.hex(), len(key)) for key in keys]
        self.reads += len(keys)
        for key, content in zip(keys, self._view.read_many(paths, SIZE_LIMIT), strict=True):
            if content is None:
                self._missing[key] = None
            elif isinstance(content, Odd):
                self._missing[key] = Damaged(f"its data is {content.what}")
            else:
                try:
                    check(content.content, key)
                    found = plain(content.content)
                    self._known[key] = parse(content.content) if found is None else found
                except Damaged as damage:
                    self._missing[key] = damage
                else:
                    if content.version:
                        size = len(content.content)
                        self._seen[key] = Stat(size, content.mtime, 1, content.version)

    def _recall(self, keys: list[Key], index: Index) -> list[Key]:
        """Take from the index what lies unchanged in the tree; the keys of the others."""
        held = [key for key in keys if key in index]
        if not held:
            return keys
        paths = [layout.blob_path(key.hex(), len(key)) for key in held]
        for key, stat in zip(held, self._view.stat_many(paths), strict=True):
            found = index.get(key, stat) if stat is not None and stat.kind == "file" else None
            if found is not None and stat is not None:
                self._known[key] = found
                self._seen[key] = stat
        return [key for key in keys if key not in self._known]

    def save(self, storage: Storage, tree: Tree) -> str:
        """Write what the next run may know of the manifests in `tree`, when it is not known already.

        A disk that has no room for it, or that cannot be written, is not a reason to fail, since it is a
        copy: then a sentence says so, else it is empty.
        """
        seen, known = self._seen, self._known
        keys = {
            key
            for repository in tree.repositories.values()
            for key in repository.revisions.keys_listed()
            if key in seen
        }
        if self._index is not None and len(self._index) == len(keys) and not self.reads:
            return ""
        index = Index.of((key, seen[key], known[key]) for key in sorted(keys))
        try:
            storage.write(PATH, bytes(index))
        except OSError as error:
            return (
                f"{storage.root}/{PATH} could not be written ({error.strerror or error}): the next run reads "
                "every manifest again"
            )
        return ""


def image(blobs: bytes) -> Manifest:
    """The manifest of an image with those blobs."""
    digests = dict.fromkeys(map(text_of, unpack(blobs)))
    return Manifest((), tuple(digests), None, explained=True)
