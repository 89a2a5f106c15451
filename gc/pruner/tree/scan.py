"""View -> Tree: one listing of everything, blobs first.

Blobs come first so that only what was there before the mark can ever be a candidate. In a repository tags
come before revisions, and these before layers, the reverse of the order in which a push writes them: what a
tag seen here needs was therefore written before it is looked for.

Folders that hold one link or one blob are listed by their names and not entered: nothing is done to what
stays, and what is to go is read before it goes. What interrupted writes left beside what stays, and a link
that holds something else than its place says (nothing that a registry writes), are found on the way: each
look enters some thousand of these folders, others on another day.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace

from pruner.clock import Clock
from pruner.storage import Entry, View, is_odd, read_errors
from pruner.tree import layout
from pruner.tree.model import Contents
from pruner.tree.reading import Known, Reader
from pruner.tree.repositories import read_repository
from pruner.tree.whole import Blobs, Repository, Tree

_PARTS = ("_manifests", "_layers", "_uploads")
ENTERED = 1000
"""About so many folders of what stays are entered in a look; a smaller tree is entered whole."""

Progress = Callable[[str, int], None]
"""Told the phase and how many things it has seen so far."""


def scan(
    reader: Reader, progress: Progress = lambda _phase, _count: None, entered: int | None = None
) -> Tree:
    """Everything in the storage as a value; raises ReadError. `entered` stands for ENTERED."""
    with read_errors(reader.view):
        return _Scan(reader, progress).tree(ENTERED if entered is None else entered)


def scan_whole(view: View, clock: Clock, progress: Progress = lambda _phase, _count: None) -> Tree:
    """The same for one who looks once, with every folder entered."""
    return scan(Reader(view, clock, Known()), progress, entered=1 << 62)


def with_emptied(tree: Tree, reader: Reader, names: Iterable[str]) -> Tree:
    """The same with those repositories, where no folder shows them as soon as nothing lies in them."""
    emptied = {
        name: read_repository(
            reader, f"{layout.REPOSITORIES}/{name}", name, [], borrowed=False, has_aliases=False
        )
        for name in names
        if name not in tree.repositories
    }
    return replace(tree, repositories={**tree.repositories, **emptied}) if emptied else tree


class _Scan:
    def __init__(self, reader: Reader, progress: Progress) -> None:
        self.reader = reader
        self.view = reader.view
        self.progress = progress
        self.repositories: dict[str, Repository] = {}
        self.loose = Contents()
        self.followed: set[object] = set()

    def tree(self, entered: int) -> Tree:
        blobs = Blobs(self.view, self._blobs())
        has_aliases = any(not start.startswith("sha256/") for start in blobs.packed)
        self._repositories(has_aliases=has_aliases)
        self._enter(blobs, entered)
        return Tree(blobs, self.repositories, self.loose)

    # -- blobs

    def _blobs(self) -> dict[str, bytes]:
        packed: dict[str, bytes] = {}
        count = 0
        for algorithm in self._names(layout.BLOBS, lambda name: name in layout.ALGORITHMS):
            above = f"{layout.BLOBS}/{algorithm}"
            for prefix in self._names(above, lambda name: len(name) == 2):
                folder = f"{above}/{prefix}"
                keys, others = self.reader.digests(folder, algorithm, self.loose)
                for entry in others:
                    self.reader.stray(f"{folder}/{entry.name}", entry, self.loose, in_repository=False)
                length = layout.ALGORITHMS[algorithm] // 2
                kept = self._in_place(keys, prefix, folder, length)
                if kept:
                    packed[f"{algorithm}/{prefix}"] = kept
                    count += len(kept) // length
                self.progress("list blobs", count)
        return packed

    def _in_place(self, keys: bytes, prefix: str, folder: str, length: int) -> bytes:
        """The keys without those of folders that lie below another start."""
        starts = keys[::length]
        if not keys or (starts == starts[:1] * len(starts) and starts[:1].hex() == prefix):
            return keys
        right: list[bytes] = []
        for at in range(0, len(keys), length):
            key = keys[at : at + length]
            if key[:1].hex() == prefix:
                right.append(key)
            else:
                self.loose.unexplained.append(f"{folder}/{key.hex()}")
        return b"".join(right)

    def _names(self, path: str, known: Callable[[str], bool]) -> list[str]:
        names, others = self.reader.listing(path)
        for entry in [*(Entry(name, "folder") for name in names if not known(name)), *others]:
            self.reader.stray(f"{path}/{entry.name}", entry, self.loose, in_repository=False)
        return sorted(name for name in names if known(name))

    # -- repositories

    def _repositories(self, *, has_aliases: bool) -> None:
        pending = [(layout.REPOSITORIES, "", False)]
        while pending:
            path, name, borrowed = pending.pop()
            names, others = self._listing(path, name)
            if names is None:
                continue
            entries = [*(Entry(each, "folder") for each in names), *others]
            is_repository = name != "" and any(entry.name in _PARTS for entry in entries)
            if is_repository:
                self.repositories[name] = read_repository(
                    self.reader, path, name, entries, borrowed=borrowed, has_aliases=has_aliases
                )
                self.progress("list repositories", len(self.repositories))
            elif name and not entries and not borrowed:
                self.reader.empty(path, self.loose)
            for entry in entries:
                below = f"{path}/{entry.name}"
                inner = f"{name}/{entry.name}" if name else entry.name
                if entry.name.startswith("_"):
                    if not is_repository:
                        self.reader.stray(below, entry, self.loose, in_repository=False)
                elif entry.kind == "folder":
                    pending.append((below, inner, borrowed))
                elif entry.kind == "symlink":
                    # The registry follows it, so what lies behind it is live; but it is not ours to change.
                    self.loose.unexplained.append(below)
                    if self._leads_elsewhere(below):
                        pending.append((below, inner, True))
                else:
                    self.reader.stray(below, entry, self.loose, in_repository=False)

    def _listing(self, path: str, name: str) -> tuple[list[str] | None, list[Entry]]:
        try:
            return self.reader.listing(path)
        except OSError as error:
            if not name or not is_odd(error):
                raise
            return None, []  # a symbolic link to a file, or to itself

    def _leads_elsewhere(self, link: str) -> bool:
        """Whether a symbolic link leads to what is not seen otherwise: neither back to where it lies in, nor
        where another one led already."""
        try:
            target = self.view.identity(link)
        except FileNotFoundError:
            return False
        except OSError as error:
            if not is_odd(error):
                raise
            return False
        above = link.rpartition("/")[0]
        while len(above) >= len(layout.REPOSITORIES):
            if self.view.identity(above) == target:
                return False
            above = above.rpartition("/")[0]
        if target in self.followed:
            return False
        self.followed.add(target)
        return True

    # -- what lies beside what stays

    def _enter(self, blobs: Blobs, most: int) -> None:
        total = len(blobs) + sum(
            len(each.layers) + len(each.revisions) + len(each.tags.current)
            for each in self.repositories.values()
        )
        if not most:
            return
        parts = -(-total // most) or 1
        day = int(self.reader.clock.now() // 86400)
        part = zlib.crc32(b"%d" % day) % parts
        for number, (start, packed) in enumerate(blobs.packed.items()):
            if number % parts == part:
                length = layout.ALGORITHMS[start[:6]] // 2
                for at in range(0, len(packed), length):
                    name = packed[at : at + length].hex()
                    self.reader.leaf(
                        f"{layout.BLOBS}/{start}/{name}", "data", self.loose, in_repository=False
                    )
        for number, repository in enumerate(self.repositories.values()):
            if number % parts == part:
                for links in (repository.revisions, repository.layers):
                    keys = list(links.keys_listed())
                    links.examine(keys)
                    for key in keys:
                        self.reader.leaf(links.path_of(key)[: -len("/link")], "link", repository.found)
                for tag in list(repository.tags.current):
                    repository.tags.closely(tag)
