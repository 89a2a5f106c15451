"""Blobs that nothing refers to, each looked at: its size, its age, and whether it is a plain file at all."""

from __future__ import annotations

from array import array
from collections.abc import Set
from dataclasses import dataclass, field

from pruner.decide.roots import Rules
from pruner.storage import View, read_errors
from pruner.tree import layout
from pruner.tree.digests import Key
from pruner.tree.model import Contents
from pruner.tree.reading import Reader
from pruner.tree.scan import Progress
from pruner.tree.whole import Blobs


def _longs() -> array[int]:
    return array("q")


@dataclass(slots=True)
class Candidates:
    """Column by column, since there may be a million; sizes in bytes, times in seconds since the epoch."""

    keys: list[Key] = field(default_factory=list[Key])
    sizes: array[int] = field(default_factory=_longs)
    mtimes: array[float] = field(default_factory=lambda: array("d"))
    links: array[int] = field(default_factory=_longs)

    def __len__(self) -> int:
        return len(self.keys)

    def old(self, rules: Rules) -> Candidates:
        """Those that are not too young to go."""
        if not self.mtimes or not rules.young(max(self.mtimes)):
            return self
        old = Candidates()
        for key, size, mtime, links in zip(self.keys, self.sizes, self.mtimes, self.links, strict=True):
            if not rules.young(mtime):
                old.add(key, size, mtime, links)
        return old

    def add(self, key: Key, size: int, mtime: float, links: int) -> None:
        """Take one more."""
        self.keys.append(key)
        self.sizes.append(size)
        self.mtimes.append(mtime)
        self.links.append(links)


def find_candidates(
    blobs: Blobs, live: Set[Key], reader: Reader, found: Contents, progress: Progress
) -> Candidates:
    """The blobs that are not `live`, in order; what is there in place of one is noted in `found`.

    Raises ReadError.
    """
    candidates = Candidates()
    add = candidates.add
    view: View = reader.view
    with read_errors(view):
        for bucket in blobs.buckets():
            keys = [key for key in bucket if key not in live]
            if not keys:
                continue
            length = len(keys[0])
            paths = [layout.blob_path(key.hex(), length) for key in keys]
            for key, path, stat in zip(keys, paths, view.stat_many(paths), strict=True):
                if stat is not None and stat.kind == "file":
                    add(key, stat.size, stat.mtime, stat.links)
                else:
                    blobs.missing.add(key)
                    reader.leaf(path[: -len("/data")], "data", found, in_repository=False)
            progress("look at what may go", len(candidates))
    return candidates
