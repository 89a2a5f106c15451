"""The whole tree as a look saw it: blobs, repositories, and what lies outside of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from pruner.storage import Stat, View, read_errors
from pruner.tree import layout
from pruner.tree.digests import NAMES, Key, key_of, length_of, text_of, unpack
from pruner.tree.links import Links, Tags
from pruner.tree.model import Contents, Folder


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository as it lies in the tree; one with damage is kept whole.

    `borrowed` ones are reached through a symbolic link: they count as roots but are never changed.
    """

    name: str
    path: str
    tags: Tags
    revisions: Links
    layers: Links
    found: Contents
    borrowed: bool
    mtime: float

    def may_mean(self, links: Links) -> Iterator[Key]:
        """All that `links` of it may stand for, also those that are not files. Raises ReadError."""
        keys = list(links.keys_listed())
        links.examine(keys)
        empty = {folder.path for folder in self.empty_folders}
        for key in keys:
            link = links.at(key)
            if link is not None:
                yield from map(key_of, link.digests)
            elif links.path_of(key)[: -len("/link")] not in empty:
                yield key

    @property
    def damage(self) -> list[str]:
        """Why it is kept whole."""
        return self.found.damage

    @property
    def empty_folders(self) -> list[Folder]:
        """Empty folders in it."""
        return self.found.empty_folders

    @property
    def unexplained(self) -> list[str]:
        """What nobody can explain."""
        return self.found.unexplained


class Blobs(Set[str]):
    """The digests whose data is there: the names of their folders, and a look at the data when asked."""

    def __init__(self, view: View | None = None, packed: Mapping[str, bytes] | None = None) -> None:
        self._view = view
        self.packed: Mapping[str, bytes] = packed or {}
        self.missing: set[Key] = set()

    def start_with(self, algorithm: str, start: str) -> bool:
        """Whether a blob is there whose hex part begins so."""
        packed = self.packed.get(f"{algorithm}/{start[:2]}")
        if packed is None:
            return False
        begins = bytes.fromhex(start)
        return any(
            key.startswith(begins) and text_of(key) in self for key in unpack(packed, length_of(algorithm))
        )

    def is_listed(self, key: Key) -> bool:
        """Whether a folder of that name is there."""
        packed = self.packed.get(f"{NAMES[len(key)]}/{key[:1].hex()}", b"")
        at = packed.find(key)
        while at >= 0 and at % len(key):
            at = packed.find(key, at + 1)
        return at >= 0

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and layout.is_digest(digest) and bool(self.there((digest,)))

    def there(self, digests: Iterable[str]) -> set[str]:
        """Those of the digests whose data is there, asked for in bulk. Raises ReadError."""
        listed = [key for key in map(key_of, digests) if self.is_listed(key)]
        return {text_of(key) for key, _ in self._data(listed)}

    def sizes(self) -> Iterator[tuple[Key, int]]:
        """The key of each with its bytes, those of one start in order. Raises ReadError."""
        for start, packed in self.packed.items():
            for key, stat in self._data(sorted(unpack(packed, length_of(start)))):
                yield key, stat.size

    def _data(self, keys: list[Key]) -> Iterator[tuple[Key, Stat]]:
        if self._view is None:
            return
        with read_errors(self._view):
            stats = list(self._view.stat_many(layout.blob_paths(keys)))
        for key, stat in zip(keys, stats, strict=True):
            if stat is not None and stat.kind == "file":
                yield key, stat

    def __iter__(self) -> Iterator[str]:
        return (text_of(key) for key, _ in self.sizes())

    def __len__(self) -> int:
        listed = sum(len(packed) // length_of(start) for start, packed in self.packed.items())
        return listed - len(self.missing)

    @classmethod
    def _from_iterable(cls, it: Iterable[str]) -> set[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return set(it)


@dataclass(frozen=True, slots=True)
class Tree:
    """The whole storage; `found` is what lies outside of all repositories."""

    blobs: Blobs = field(default_factory=Blobs)
    repositories: Mapping[str, Repository] = field(default_factory=dict[str, Repository])
    found: Contents = field(default_factory=Contents)

    @property
    def unexplained(self) -> list[str]:
        """What nobody can explain, outside of all repositories."""
        return self.found.unexplained
