"""Manifests by digest, each read, checked and parsed once in the life of a run: their bytes never change.

The manifests of images, of which a registry has by far the most, are kept as the keys of their blobs alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
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

    `images` has the keys of the blobs of each image's manifest that was loaded. `reads` counts the reads, for
    those who assert on the work done. `index` is what an earlier run knew; `saves` is False when nothing is
    to be told to a later one.
    """

    def __init__(self, storage: View, index: Index | None = None, *, saves: bool = True) -> None:
        self._view = storage
        self._index = index
        self._saves = saves
        self.images: dict[Key, bytes] = {}
        self._others: dict[Key, Manifest] = {}
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
        known = self.images.get(key) or self._others.get(key)
        if known is not None:
            return known
        if key not in self._missing:
            self.load((key,))
        return self.images.get(key) or self._others.get(key) or self._missing.get(key)

    def load(self, keys: Collection[Key]) -> None:
        """Read those that are not known yet, in bulk; raises ReadError."""
        new = self._unknown(keys)
        with read_errors(self._view):
            if self._index is not None and new:
                new = self._recall(new, self._index)
            self._read(new)

    def loaded(self) -> None:
        """All that a look mostly needs is here: let go of what an earlier run knew, if nobody saves it."""
        if not self._saves:
            self._index = None

    def _unknown(self, keys: Iterable[Key]) -> list[Key]:
        images, others, missing = self.images, self._others, self._missing
        return [key for key in keys if key not in images and key not in others and key not in missing]

    def _read(self, keys: list[Key]) -> None:
        paths = layout.blob_paths(keys)
        self.reads += len(keys)
        for key, content in zip(keys, self._view.read_many(paths, SIZE_LIMIT), strict=True):
            if content is None:
                self._missing[key] = None
            elif isinstance(content, Odd):
                self._missing[key] = Damaged(f"its data is {content.what}")
            else:
                try:
                    check(content.content, key)
                    self._learn(key, plain(content.content) or parse(content.content))
                except Damaged as damage:
                    self._missing[key] = damage
                else:
                    if self._saves and content.version:
                        size = len(content.content)
                        self._seen[key] = Stat(size, content.mtime, 1, content.version)

    def _recall(self, keys: list[Key], index: Index) -> list[Key]:
        """Take from the index what lies unchanged in the tree; the keys of the others."""
        held = [key for key in keys if key in index]
        if not held:
            return keys
        for key, stat in zip(held, self._view.stat_many(layout.blob_paths(held)), strict=True):
            found = index.get(key, stat) if stat is not None and stat.kind == "file" else None
            if found is not None and stat is not None:
                self._learn(key, found)
                if self._saves:
                    self._seen[key] = stat
        return self._unknown(keys)

    def _learn(self, key: Key, found: bytes | Manifest) -> None:
        if isinstance(found, bytes):
            self.images[key] = found
        else:
            self._others[key] = found

    def save(self, storage: Storage, tree: Tree) -> str:
        """Write what the next run may know of the manifests in `tree`, when it is not known already.

        A disk that has no room for it, or that cannot be written, is not a reason to fail, since it is a
        copy: then a sentence says so, else it is empty.
        """
        seen = self._seen
        keys = {
            key
            for repository in tree.repositories.values()
            for key in repository.revisions.keys_listed()
            if key in seen
        }
        if self._index is not None and len(self._index) == len(keys) and not self.reads:
            return ""
        index = Index.of((key, seen[key], self.images.get(key) or self._others[key]) for key in sorted(keys))
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
